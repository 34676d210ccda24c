"""Attacks with bodies that are malformed, of the wrong type, or not what their Content-Type says."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from openholder.rehearsal.attacks.target import (
    Attack,
    RequestBuilder,
    Target,
    find_target_for,
    is_accepted,
    is_error,
    try_attacks,
)
from openholder.rehearsal.exchange import Exchange, Request, read_records
from openholder.rehearsal.results import Result, Rule, skip_rule

_ERRORS = "Fiskil, errors: 400; Consumer Data Standards, error codes: Field/Invalid and Field/Missing"

NOT_JSON = Rule(
    name="broken-body",
    severity="error",
    expected="A body that is not a JSON object is refused with 400.",
    why="Otherwise the result is arbitrary: an empty response looks as if the customer did not exist.",
    reference=f"{_ERRORS}; RFC 8259",
    how_to_fix="Catch parse errors, and answer 400 with the body as the invalid field.",
    example="POST /auth/v1/customer/search (an empty body): 200 with an empty response",
)
TYPES = Rule(
    name="body-types",
    severity="error",
    expected="A body with a missing member, or a member of the wrong type, is refused with 400.",
    why="An object or a list in place of a string may become a query operator that matches everyone.",
    reference=f"{_ERRORS}; OWASP ASVS 5.0, section 2.2: input validation",
    how_to_fix="Check the type of every member of the body before using it.",
    example="POST /auth/v1/customer/search (no email): 200 with an empty response",
)
STRICT = Rule(
    name="strict-body",
    severity="warning",
    expected="A body with a repeated member, NaN or invalid UTF-8 is refused with 400.",
    why="A gateway may check one value and the server use the other.",
    reference="RFC 8259 sections 4, 6 and 8.1",
    how_to_fix="Use a JSON parser that rejects repeated members and anything that is not JSON.",
    example="POST /auth/v1/customer/search (email twice): 200 with data",
)
CONTENT_TYPE = Rule(
    name="content-type",
    severity="warning",
    expected="A body whose media type is not application/json is refused with 415 or 400.",
    why="Any web page can make a browser send other types without a preflight request.",
    reference="Consumer Data Standards, HTTP response codes: 415; RFC 9110 section 15.5.16",
    how_to_fix="Check the media type before parsing the body.",
    example="POST /auth/v1/customer/search (Content-Type: text/plain): 200 with data",
)
WILDCARDS = Rule(
    name="search-injection",
    severity="critical",
    expected="A search for a wildcard or an SQL fragment finds nobody.",
    why="Otherwise anyone can log in as anyone.",
    reference="OWASP ASVS 5.0, section 1.2: injection prevention",
    how_to_fix="Bind the address as a parameter and compare with =, never with LIKE or a pattern.",
    example="POST /auth/v1/customer/search (a percent sign as email): 200 with data",
)
AGREED = Rule(
    name="body-as-agreed",
    severity="error",
    expected="A body may have the `meta` member of the standard and 500 ids, and application/json may have a charset.",
    why="All are allowed. As soon as they are sent, requests for several accounts fail.",
    reference="Consumer Data Standards, payload conventions: meta; RFC 9110 section 8.3.1: parameters of a media type",
    how_to_fix="Ignore unknown members, and compare the media type without its parameters.",
    example="POST /v1/banking/customer/{customerId}/accounts (meta in the body): 400",
)
RULES = (NOT_JSON, TYPES, STRICT, CONTENT_TYPE, WILDCARDS, AGREED)


def _set_body(content: bytes, target: Target) -> Request:
    return target.build_request(body=content)


def _rewrite_body(rewrite: Callable[[bytes], bytes], target: Target) -> Request:
    return target.build_request(body=rewrite(target.build_request().body or b""))


def _set_content_type(media_type: str, target: Target) -> Request:
    return target.build_request(headers=(("Content-Type", media_type),))


def _send_truncated_gzip(target: Target) -> Request:
    body = gzip.compress(target.build_request().body or b"")[:20]
    return target.build_request(body=body, headers=(("Content-Encoding", "gzip"),))


def _rewrite_member(rewrite: Callable[[Any], object], *path: str) -> RequestBuilder:
    """Return a builder that rewrites the member at this path of the valid body."""

    def rewrite_json(body: bytes) -> bytes:
        content = parent = json.loads(body)
        for name in path[:-1]:
            parent = parent[name]
        parent[path[-1]] = rewrite(parent[path[-1]])
        return json.dumps(content).encode()

    return partial(_rewrite_body, rewrite_json)


def _search_for(email: object) -> RequestBuilder:
    return partial(_set_body, json.dumps({"email": email}).encode())


def _is_empty(exchange: Exchange) -> bool:
    return not read_records(exchange)


ACCOUNT_IDS = ("data", "accountIds")
SEARCH_ATTACKS = (
    Attack(
        rule=NOT_JSON,
        expect=is_error,
        attempts={
            "an empty body": partial(_set_body, b""),
            "text that is not JSON": partial(_set_body, b"{email"),
            "a list": partial(_rewrite_body, lambda body: b"[" + body + b"]"),
            "null": partial(_set_body, b"null"),
            "a string": partial(_set_body, b'"email"'),
            "extra text after the JSON": partial(_rewrite_body, lambda body: body + b"}"),
            "10000 nested lists": partial(_set_body, b"[" * 10_000 + b"]" * 10_000),
            "truncated gzip": _send_truncated_gzip,
        },
    ),
    Attack(
        rule=TYPES,
        expect=is_error,
        attempts={
            "no email": partial(_set_body, b"{}"),
            "null as email": _search_for(None),
            "a number as email": _search_for(7),
            "a list as email": _rewrite_member(lambda email: [email], "email"),
            "an object as email": _search_for({"$ne": None}),
        },
    ),
    Attack(
        rule=STRICT,
        expect=is_error,
        attempts={
            "email twice": partial(_rewrite_body, lambda body: b'{"email": "nobody@stranger.example", ' + body[1:]),
            "invalid UTF-8": partial(_rewrite_body, lambda body: body[:-1] + b', "x": "\xff\xfe"}'),
            "NaN in another member": partial(_rewrite_body, lambda body: body[:-1] + b', "x": NaN}'),
        },
    ),
    Attack(
        rule=CONTENT_TYPE,
        expect=is_error,
        attempts={
            "Content-Type: text/plain": partial(_set_content_type, "text/plain"),
            "Content-Type of an HTML form": partial(_set_content_type, "application/x-www-form-urlencoded"),
        },
    ),
    Attack(
        rule=WILDCARDS,
        expect=_is_empty,
        attempts={
            "a percent sign as email": _search_for("%"),
            "an address without its first character": _rewrite_member(lambda email: email[1:], "email"),
            "the domain of an address as email": _rewrite_member(lambda email: email.partition("@")[2], "email"),
            "an at sign as email": _search_for("@"),
            "an at sign between percent signs as email": _search_for("%@%"),
            "an asterisk as email": _search_for("*"),
            "an SQL fragment as email": _search_for("x' OR '1'='1"),
            "a regular expression as email": _search_for(".*@.*"),
        },
    ),
)
ACCOUNTS_ATTACKS = (
    Attack(
        rule=NOT_JSON,
        expect=is_error,
        attempts={
            "an empty body": partial(_set_body, b""),
            "a list": partial(_rewrite_body, lambda body: b"[" + body + b"]"),
            "extra text after the JSON": partial(_rewrite_body, lambda body: body + b"}"),
        },
    ),
    Attack(
        rule=TYPES,
        expect=is_error,
        attempts={
            "no accountIds": partial(_set_body, b'{"data": {}}'),
            "null as data": _rewrite_member(lambda data: None, "data"),
            "a string as accountIds": _rewrite_member(lambda ids: "".join(ids[:1]), *ACCOUNT_IDS),
            "an object as accountIds": _rewrite_member(lambda ids: {"$ne": None}, *ACCOUNT_IDS),
            "numbers in accountIds": _rewrite_member(lambda ids: [1, 2], *ACCOUNT_IDS),
            "a number among accountIds": _rewrite_member(lambda ids: [*ids, 7], *ACCOUNT_IDS),
            "accountIds as numbers": _rewrite_member(
                lambda ids: [int(value) if value.isdecimal() else 7 for value in ids], *ACCOUNT_IDS
            ),
            "null in accountIds": _rewrite_member(lambda ids: [*ids, None], *ACCOUNT_IDS),
            "a list in accountIds": _rewrite_member(lambda ids: [ids], *ACCOUNT_IDS),
        },
    ),
    Attack(
        rule=AGREED,
        expect=is_accepted,
        attempts={
            "meta in the body": partial(_rewrite_body, lambda body: body[:-1] + b', "meta": {}}'),
            "500 accountIds": _rewrite_member(lambda ids: (ids * 500)[:500], *ACCOUNT_IDS),
            "application/json with a charset": partial(_set_content_type, "application/json; charset=utf-8"),
        },
    ),
)


async def run(target: Target) -> AsyncIterator[Result]:
    """Send the bodies to the search, and to one operation with account ids in its body."""
    search = find_target_for(target.session, "search")
    by_accounts = find_target_for(target.session, "specific")
    for attacked, name, attacks in (
        (search, "the search", SEARCH_ATTACKS),
        (by_accounts, "operations with account ids in the body", ACCOUNTS_ATTACKS),
    ):
        if attacked is None:
            for attack in attacks:
                yield skip_rule(attack.rule, name, "not served")
        async for result in try_attacks(attacked, attacks):
            yield result
