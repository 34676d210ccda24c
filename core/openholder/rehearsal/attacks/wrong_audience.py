"""Attacks on ``aud``: a token is valid for the public URI of the request and for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from openholder.rehearsal.attacks.target import Attack, Target, find_target, is_accepted, is_json_get, is_rejected
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.results import Rule
from openholder.rehearsal.session import UNKNOWN_ID

STRANGER = "stranger.example"
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
