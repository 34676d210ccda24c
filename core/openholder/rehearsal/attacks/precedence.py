"""Attacks that show what a server looks at before the token: whether an id exists, and what a body contains."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from openholder.rehearsal.attacks.target import Target, find_target, find_target_for, is_json_get, send_attempt
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.results import Result, Rule, judge_rule
from openholder.rehearsal.session import UNKNOWN_ID, build_request

FIRST = Rule(
    name="token-before-data",
    severity="error",
    expected="A request without a token is refused as such, with the same status whether its ids exist or not.",
    why="Anybody on the internet can find out which ids exist.",
    reference="Fiskil, resource server guide: every request has its token; OWASP ASVS 5.0, section 8.2: access control",
    how_to_fix="Check the token before looking anything up.",
    example="GET …/accounts/{accountId} (an unknown accountId, without a token): 404",
)
BEFORE_BODY = Rule(
    name="token-before-body",
    severity="warning",
    expected="A request without a token is refused as such, even if its body is not JSON.",
    why="Everybody on the internet reaches the parser, and is told what a body must contain.",
    reference="OWASP ASVS 5.0, section 8.2: access control; RFC 6750 section 3.1",
    how_to_fix="Check the token before reading the body.",
    example="POST /auth/v1/customer/search (a body that is not JSON, without a token): 400",
)
RULES = (FIRST, BEFORE_BODY)


async def run(target: Target) -> AsyncIterator[Result]:
    """Send unknown ids and a broken body without a token."""
    for one, note, request in _build_requests(target):
        known = await send_attempt(one, "a known id, without a token", one.build_request(token=""))
        exchange = await send_attempt(one, f"{note}, without a token", replace(request, token=""))
        is_same = not known.status or not exchange.status or exchange.status == known.status
        yield judge_rule(FIRST, one.subject, is_same, exchange.status_text, exchange.request)
    search = find_target_for(target.session, "search") or find_target_for(target.session, "specific")
    if search:
        broken = search.build_request(token="", body=b"{email")
        exchange = await send_attempt(search, "a body that is not JSON, without a token", broken)
        is_kept = exchange.status in (0, 401, 403)
        yield judge_rule(BEFORE_BODY, search.subject, is_kept, exchange.status_text, exchange.request)


def _build_requests(target: Target) -> list[tuple[Target, str, Request]]:
    """Build a request with an unknown id for each place that an id can have."""
    session = target.session
    with_account = [each for each in session.served_operations if "{accountId}" in each.path and is_json_get(each)]
    places = (("customerId", target), ("accountId", find_target(session, with_account)))
    built = [
        (one, f"an unknown {name}", build_request(one.operation, {**one.sequence.ids, name: UNKNOWN_ID}))
        for name, one in places
        if one and name in one.sequence.ids
    ]
    bulk = find_target_for(session, "specific")
    if bulk:
        request = build_request(bulk.operation, bulk.sequence.ids, accounts=(UNKNOWN_ID,))
        built.append((bulk, "an unknown account in the body", request))
    return built
