"""Headers and ids with something odd in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import quote

from openholder.operations import Operation
from openholder.operations.table import JSON
from openholder.rehearsal.attacks.target import Attack, Make, Target, first, outcomes, tolerated
from openholder.rehearsal.exchange import Exchange, Request, records
from openholder.rehearsal.findings import Outcome, Rule

HEADERS = Rule(
    "odd-headers", "error",
    expected="A header with an odd value is ignored, or refused with 400 or 406.",
    why="Requests that Fiskil only passes on would fail for good.",
    written="Consumer Data Standards, HTTP headers; RFC 9110 section 5.5",
    mend="Check what a header holds before it is used; make a new interaction id where it is no UUID.",
)  # fmt: skip
IDS = Rule(
    "id-injection", "critical",
    expected="An id that is a wildcard, a path or a piece of SQL is refused with 404 or 400.",
    why="Somebody's data goes to a stranger: a notifiable breach.",
    written="Fiskil, errors: 404 for an id in the path; OWASP ASVS 5.0, section 1.2: injection prevention",
    mend="Bind ids as parameters and compare with =; allow few characters in ids; build no path or URL from them.",
)  # fmt: skip
RULES = (HEADERS, IDS)
LONG = 4096
"""Characters: less than proxies allow a line to have."""


def _header(name: str, value: str) -> Make:
    return lambda target: target.request(headers=((name, value),))


def _patient(exchange: Exchange) -> bool:
    return tolerated(exchange) and exchange.status not in (401, 403, 404)


_HEADERS = Attack(HEADERS, _patient, {
    "an interaction id that is no UUID": _header("x-fapi-interaction-id", "no UUID"),
    "an interaction id of 4096 characters": _header("x-fapi-interaction-id", "a" * LONG),
    "an address of the customer's that is none": _header("x-fapi-customer-ip-address", "999.0.0.1'"),
    "a date that is none": _header("x-fapi-auth-date", "yesterday"),
    "Accept: text/html": _header("Accept", "text/html"),
    "a version that is none": _header("x-v", "-1; x"),
})  # fmt: skip
_ODD = {
    "two dots": "..",
    "a path": "..%2F..%2Fetc%2Fpasswd",
    "a NUL behind": "{id}%00",
    "a line feed and a header": "{id}%0D%0AX-Injected:%201",
    "a piece of SQL": "x%27%20OR%20%271%27=%271",
    "a comment of SQL": "{id}%27--",
    "a percent sign": "%25",
    "an asterisk": "*",
    "a question mark": "{id}%3Fx=1",
    "bytes that are no UTF-8": "%ff%c0%af",
    "4096 characters": "a" * LONG,
}
"""Ids as they go over the wire; ``{id}`` is the good one."""


def _nothing(exchange: Exchange) -> bool:
    """No data, and no header of the id's own. That an empty answer should be 404 is another rule."""
    return not any(records(exchange)) and "X-Injected" not in exchange.headers


def _id(name: str, odd: str) -> Make:
    """The path with an odd id in it."""

    def made(target: Target) -> Request:
        ids = {key: quote(value, safe="") for key, value in target.leg.ids.items()}
        path = target.operation.path.format_map({**ids, name: odd.replace("{id}", ids[name])})
        return replace(target.request(), path=path)

    return made


def _ids(name: str) -> Attack:
    return Attack(IDS, _nothing, {f"{note} as {name}": _id(name, odd) for note, odd in _ODD.items()})


async def played(target: Target) -> AsyncIterator[Outcome]:
    """Try the headers, and the ids in both places where there are any."""
    async for outcome in outcomes(target, [_HEADERS]):
        yield outcome
    for name in ("customerId", "accountId"):
        async for outcome in outcomes(first(target.scene, _reads(name)), [_ids(name)]):
            yield outcome


def _reads(name: str) -> Callable[[Operation], bool]:
    return lambda operation: (
        operation.method == "GET"
        and operation.reply.media == JSON
        and operation.path.count("{") <= 2
        and f"{{{name}}}" in operation.path
    )
