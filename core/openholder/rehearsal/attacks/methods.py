"""Attacks with methods that a path does not support, and with paths that are not served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial

from openholder.rehearsal.attacks.target import (
    Attack,
    Target,
    find_target_for,
    is_accepted,
    is_error,
    try_attack,
    try_attacks,
)
from openholder.rehearsal.checks import Check, run_checks
from openholder.rehearsal.exchange import Exchange, Request
from openholder.rehearsal.results import Result, Rule
from openholder.rehearsal.session import UNKNOWN_ID

METHODS = Rule(
    name="other-methods",
    severity="error",
    expected="A method that the path does not support is refused with 405 or 404.",
    why="An unintended handler may change or disclose data.",
    reference="RFC 9110 section 15.5.6; Consumer Data Standards, HTTP response codes: 405",
    how_to_fix="Route by method and path, and handle only the methods of the contract.",
    example="GET /auth/v1/customer/{customerId} (PUT on a GET operation): 200 with data",
)
ALLOW = Rule(
    name="allow-header",
    severity="warning",
    expected="A 405 response lists the supported methods in Allow.",
    why="Without it, clients cannot tell which method would work.",
    reference="RFC 9110 section 15.5.6: Allow is required",
    how_to_fix="Send Allow with every 405.",
    example="GET /auth/v1/customer/{customerId} (PUT on a GET operation): 405 without the header",
)
HEAD = Rule(
    name="head",
    severity="warning",
    expected="HEAD is answered like GET without content, or refused with 405.",
    why="Monitoring systems and proxies send it.",
    reference="RFC 9110 section 9.3.2",
    how_to_fix="Let the framework answer HEAD, or refuse it.",
    example="GET /auth/v1/customer/{customerId} (HEAD on a GET operation): 500",
)
OVERRIDE = Rule(
    name="method-override",
    severity="warning",
    expected="X-HTTP-Method-Override and similar headers have no effect.",
    why="A gateway that only allows GET does not see which method the server executes.",
    reference="RFC 9110 section 9.1: the method is that of the request line",
    how_to_fix="Remove the middleware that reads these headers.",
    example="GET /auth/v1/customer/{customerId} (X-HTTP-Method-Override: DELETE): 405",
)
UNKNOWN_PATH = Rule(
    name="unknown-path",
    severity="error",
    expected="A path that is not served is refused with 404, whatever the token.",
    why="Anything that answers there was not meant to be reachable.",
    reference="Fiskil, errors: 404; Consumer Data Standards, HTTP response codes",
    how_to_fix="Serve only the paths of the contract; disable index pages and consoles of the framework.",
    example="(a path that is not served): 200 with data",
)


def _change_method(method: str, target: Target) -> Request:
    return target.build_bare_request(method)


def _override_method(header: str, target: Target) -> Request:
    return target.build_request(headers=((header, "DELETE"),))


def _request_longer_path(target: Target) -> Request:
    return target.build_bare_request("GET", f"{target.build_request().path}/{UNKNOWN_ID}/{UNKNOWN_ID}")


def _is_accepted_or_client_error(exchange: Exchange) -> bool:
    return exchange.is_ok or 400 <= exchange.status < 500


def _find_missing_allow(exchange: Exchange) -> Iterator[str]:
    if "Allow" not in exchange.headers:
        yield "405 without the header"


_ALLOW = (Check(ALLOW, _find_missing_allow, lambda exchange: exchange.status == 405),)
NOT_GET = Attack(
    rule=METHODS,
    expect=is_error,
    attempts={
        f"{method} on a GET operation": partial(_change_method, method)
        for method in ("PUT", "PATCH", "DELETE", "TRACE")
    },
)
NOT_POST = Attack(
    rule=METHODS,
    expect=is_error,
    attempts={f"{method} on a POST operation": partial(_change_method, method) for method in ("GET", "PUT")},
)
ATTACKS = (
    Attack(
        rule=HEAD,
        expect=_is_accepted_or_client_error,
        attempts={"HEAD on a GET operation": partial(_change_method, "HEAD")},
    ),
    Attack(
        rule=OVERRIDE,
        expect=is_accepted,
        attempts={
            "X-HTTP-Method-Override: DELETE": partial(_override_method, "X-HTTP-Method-Override"),
            "X-Method-Override: DELETE": partial(_override_method, "X-Method-Override"),
        },
    ),
    Attack(
        rule=UNKNOWN_PATH,
        expect=is_error,
        attempts={
            "an unknown path": partial(Target.build_bare_request, method="GET", path=f"/{UNKNOWN_ID}"),
            "an operation's path with more segments": _request_longer_path,
        },
    ),
)
RULES = (METHODS, ALLOW, *(attack.rule for attack in ATTACKS))


async def run(target: Target) -> AsyncIterator[Result]:
    """Try the methods and paths."""
    search = find_target_for(target.session, "search")
    for attacked, attack in ((target, NOT_GET), (search, NOT_POST)):
        if attacked is None:
            continue
        async for result, exchange in try_attack(attacked, attack):
            yield result
            for other in run_checks(_ALLOW, exchange, result.subject, exchange.request):
                yield other
    async for result in try_attacks(target, ATTACKS):
        yield result
