"""Attacks on ``aud``: a token is valid for the public URI of the request and for nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from urllib.parse import quote

from openholder.rehearsal.attacks.target import (
    Attack,
    Target,
    find_target,
    is_accepted,
    is_json_get,
    is_rejected,
    send_attempt,
)
from openholder.rehearsal.exchange import INTERACTION, Exchange, Request
from openholder.rehearsal.results import SERVER, Result, Rule, judge_rule, skip_rule
from openholder.rehearsal.session import UNKNOWN_ID, build_request
from openholder.rehearsal.side_by_side import do_side_by_side

STRANGER = "stranger.example"
REFUSALS = (401, 403)
"""Statuses with which a token is refused."""
_GUIDE = "Fiskil, API reference: aud is the URI of the resource, without the query"

AUDIENCE = Rule(
    name="aud",
    severity="critical",
    expected="A token is refused if its aud is missing or differs from the URI of the request.",
    why="Otherwise a token issued for one customer opens another customer's transactions.",
    reference=f"{_GUIDE}; RFC 8725 section 3.9",
    how_to_fix="Compare aud with the configured public URL plus the path as received: the whole string, not a prefix.",
    example="GET /auth/v1/customer/{customerId} (the aud of another account): 200 with data",
)
EXACT = Rule(
    name="aud-exact",
    severity="warning",
    expected="A token is refused if its aud only resembles the URI of the request, or lists further URIs.",
    why="A gateway and the server may interpret the path differently.",
    reference=f"{_GUIDE}; RFC 3986 section 6.2.2",
    how_to_fix="Compare exactly. Normalise letter case and default ports at most, never slashes, dots or the query.",
    example="GET /auth/v1/customer/{customerId} (an aud with a second URI): 200 with data",
)
LISTED = Rule(
    name="aud-list",
    severity="warning",
    expected="A token is accepted if its aud is a list that contains only the URI of the request.",
    why="JWT libraries write aud as a string or as a list. If Fiskil's library changes, every request fails.",
    reference="RFC 7519 section 4.1.3",
    how_to_fix="Treat a list with one entry like the entry itself.",
    example="GET /auth/v1/customer/{customerId} (aud as a list of one): 401",
)
ESCAPED = Rule(
    name="aud-escaped",
    severity="error",
    expected="A token is accepted if its aud is the URI as it was sent, also if an id in it is percent-encoded.",
    why="Every request for an id with a blank, a colon or a plus sign is refused, and nobody sees why.",
    reference=f"{_GUIDE}; RFC 3986 section 2.4: a URI is compared before its escapes are decoded",
    how_to_fix="Compare aud with the path as received, before a framework or a proxy has decoded it: originalUrl of"
    " Express, raw_path of ASGI, REQUEST_URI of WSGI; in nginx, proxy_pass without a path.",
    example="GET /auth/v1/customer/{customerId} (an unknown id with a colon): 401, and 404 for an id without one",
)
HOST = Rule(
    name="host-header",
    severity="error",
    expected="A token for another host is refused, even if Host or X-Forwarded-Host names that host.",
    why="The sender controls these headers: tokens for another server would be accepted here.",
    reference="RFC 9700 section 4.10.2; RFC 9110 section 7.2",
    how_to_fix="Build the expected aud from the configured public URL, never from request headers.",
    example="GET /auth/v1/customer/{customerId} (another host in Host, over http): 200 with data",
)


def _rewrite_aud(rewrite: Callable[[str], object], target: Target) -> str:
    return target.build_token(aud=rewrite(target.uri))


def _build_token_for_other_customer(target: Target) -> str:
    ids = dict.fromkeys(target.sequence.ids, quote(UNKNOWN_ID))
    return target.build_token(aud=target.session.caller.audience + target.operation.path.format_map(ids))


def _use_token_of_other_account(target: Target) -> Request:
    """Use a token for one account with another; with another customer if no operation has an account id."""
    operations = [each for each in target.session.served_operations if "{accountId}" in each.path and is_json_get(each)]
    on_account = find_target(target.session, operations)
    if on_account is None:
        return target.build_request(token=_build_token_for_other_customer(target))
    other = on_account.operation.path.format_map({**on_account.sequence.ids, "accountId": UNKNOWN_ID})
    return on_account.build_request(token=on_account.build_token(aud=target.session.caller.audience + other))


def _rewrite_path(form: str, target: Target) -> str:
    """Build a token whose aud has another end of the path; ``tail`` is its last segment."""
    head, _, tail = target.uri.rpartition("/")
    aud = form.format(head=head, tail=tail, first=ord(tail[0]), rest=tail[1:])
    return target.build_token(aud=aud)


def _swap_case_of_path(uri: str) -> str:
    """Change the letters of the path: those of scheme and host are the same in any case (RFC 3986 section 6.2.2.1)."""
    *origin, path = uri.split("/", 3)
    return "/".join((*origin, path.swapcase()))


def _send_query_in_aud(target: Target) -> Request:
    return target.build_request(query="page=1", token=target.build_token(aud=f"{target.uri}?page=1"))


def _build_token_for_server(target: Target) -> str:
    return target.build_token(aud=target.session.caller.audience)


def _spoof_host(target: Target, *names: str, scheme: str = "https") -> Request:
    """Use a token for another host in a request whose headers name that host."""
    values = {"Forwarded": f"host={STRANGER};proto=https", "X-Forwarded-Proto": "https"}
    return target.build_request(
        headers=tuple((name, values.get(name, STRANGER)) for name in names),
        token=target.build_token(aud=f"{scheme}://{STRANGER}{target.build_request().path}"),
    )


ESCAPED_IDS = {
    "an unknown id with a blank": f"{UNKNOWN_ID} 2",
    "an unknown id with a colon": f"{UNKNOWN_ID}:2",
    "an unknown id with a plus sign": f"{UNKNOWN_ID}+2",
    "an unknown id with an at sign": f"{UNKNOWN_ID}@2",
    "an unknown id with a letter of another language": f"{UNKNOWN_ID}é",
}
"""Ids that are percent-encoded in the path, and alike in aud."""


async def try_escaped_ids(target: Target) -> AsyncIterator[Result]:
    """Ask for unknown ids that must be percent-encoded: their tokens are as good as that of a plain unknown id."""

    async def send(note: str, value: str) -> Exchange:
        ids = {**target.sequence.ids, list(target.sequence.ids)[-1]: value}
        request = build_request(target.operation, ids)
        token = target.build_token(aud=target.session.caller.audience + request.path)
        return await send_attempt(target, note, replace(request, token=token))

    plain, *escaped = await do_side_by_side(
        send(note, value) for note, value in {"an unknown id": UNKNOWN_ID, **ESCAPED_IDS}.items()
    )
    if plain.status in REFUSALS or not plain.status:
        yield skip_rule(ESCAPED, SERVER, f"an unknown id was answered with {plain.status_text}")
        return
    for exchange in escaped:
        # A firewall has an opinion about ids too, and does not answer as the server does.
        is_own = INTERACTION in exchange.headers or INTERACTION not in plain.headers
        is_kept = not (exchange.status in REFUSALS and is_own)
        observed = f"{exchange.status_text}, and {plain.status} for an id without one"
        yield judge_rule(ESCAPED, SERVER, is_kept, observed, exchange.request)


ATTACKS = (
    Attack(
        rule=AUDIENCE,
        expect=is_rejected,
        attempts={
            "no aud": partial(Target.build_token, aud=None),
            "an empty aud": partial(Target.build_token, aud=""),
            "aud as a list in a list": partial(_rewrite_aud, lambda uri: [[uri]]),
            "the aud of another customer": _build_token_for_other_customer,
            "the aud of another account": _use_token_of_other_account,
            "the aud of another host": partial(_rewrite_aud, lambda uri: f"https://{STRANGER}/{uri.split('/', 3)[-1]}"),
            "an aud without a path": _build_token_for_server,
            "an aud without its last character": partial(_rewrite_aud, lambda uri: uri[:-1]),
            "an aud with a longer path": partial(_rewrite_aud, lambda uri: f"{uri}/x"),
            "only the path as aud": partial(_rewrite_aud, lambda uri: f"/{uri.split('/', 3)[-1]}"),
        },
    ),
    Attack(
        rule=EXACT,
        expect=is_rejected,
        attempts={
            "an aud with a trailing slash": partial(_rewrite_aud, lambda uri: f"{uri}/"),
            "an aud with a double slash": partial(_rewrite_aud, lambda uri: "//".join(uri.rsplit("/", 1))),
            "an aud with a query": partial(_rewrite_aud, lambda uri: f"{uri}?page=1"),
            "an aud with the query of the request": _send_query_in_aud,
            "an aud with its path in another letter case": partial(_rewrite_aud, _swap_case_of_path),
            "an aud with a fragment": partial(_rewrite_aud, lambda uri: f"{uri}#x"),
            "an aud with an escaped slash": partial(_rewrite_aud, lambda uri: "%2F".join(uri.rsplit("/", 1))),
            "an aud with a step towards the root": partial(_rewrite_path, "{head}/x/../{tail}"),
            "an aud with an escaped step towards the root": partial(_rewrite_path, "{head}/x/%2e%2e/{tail}"),
            "an aud of another id, with escaped slashes": partial(_rewrite_path, "{head}/x%2F..%2F{tail}"),
            "an aud with a letter that is escaped twice": partial(_rewrite_path, "{head}/%25{first:x}{rest}"),
            "an aud with a second URI": partial(_rewrite_aud, lambda uri: [uri, f"https://{STRANGER}/"]),
        },
        implied_by=AUDIENCE,
    ),
    Attack(
        rule=LISTED,
        expect=is_accepted,
        attempts={"aud as a list of one": partial(_rewrite_aud, lambda uri: [uri])},
    ),
    Attack(
        rule=HOST,
        expect=is_rejected,
        attempts={
            "another host in Host": lambda target: _spoof_host(target, "Host"),
            "another host in Host, over http": lambda target: _spoof_host(target, "Host", scheme="http"),
            "another host in X-Forwarded-Host": lambda target: _spoof_host(
                target, "X-Forwarded-Host", "X-Forwarded-Proto"
            ),
            "another host in Forwarded": lambda target: _spoof_host(target, "Forwarded"),
            "another host in X-Original-Host": lambda target: _spoof_host(
                target, "X-Original-Host", "X-Forwarded-Server"
            ),
        },
        refusals=(400, 401, 403, 404, 421),
        implied_by=AUDIENCE,
    ),
)
