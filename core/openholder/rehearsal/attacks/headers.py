"""Attacks with invalid header values and invalid ids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from urllib.parse import quote

from openholder.contract.operations import Operation
from openholder.rehearsal.attacks.target import Attack, Target, find_target, is_error, is_json_get, try_attacks
from openholder.rehearsal.exchange import Exchange, Request, read_records
from openholder.rehearsal.results import Result, Rule

HEADERS = Rule(
    name="odd-headers",
    severity="error",
    expected="A header with an invalid value is ignored, or refused with 400 or 406.",
    why="Fiskil passes these headers on unchanged: such requests would always fail.",
    reference="Consumer Data Standards, HTTP headers; RFC 9110 section 5.5",
    how_to_fix="Validate a header before using it; generate a new interaction id if it is not a UUID.",
    example="GET /auth/v1/customer/{customerId} (an invalid customer IP address): 403",
)
IDS = Rule(
    name="id-injection",
    severity="critical",
    expected="An id that is a wildcard, a path or an SQL fragment is refused with 404 or 400.",
    why="Otherwise a customer's data may go to a stranger: a notifiable breach.",
    reference="Fiskil, errors: 404 for an id in the path; OWASP ASVS 5.0, section 1.2: injection prevention",
    how_to_fix="Bind ids as parameters and compare with =; restrict their characters; never build a URL from them.",
    example="GET /auth/v1/customer/{customerId} (a percent sign as customerId): 200 with data",
)
COMPRESSION = Rule(
    name="unasked-compression",
    severity="error",
    expected="A response is not compressed if the request forbids it.",
    why="The recipient reads compressed bytes as JSON, and fails.",
    reference="RFC 9110 section 12.5.3: Accept-Encoding",
    how_to_fix="Let the server or the proxy choose a coding that Accept-Encoding lists.",
    example="GET /auth/v1/customer/{customerId} (Accept-Encoding: identity): 200 with data",
)
CORS = Rule(
    name="no-cors",
    severity="warning",
    expected="A response does not allow the pages of other sites to read it.",
    why="Fiskil calls from its servers. A page in a browser that reads responses has a stolen token.",
    reference="Fetch Standard, CORS protocol: Access-Control-Allow-Origin; OWASP ASVS 5.0, section 3.4",
    how_to_fix="Remove the CORS middleware, or list the origins that need it.",
    example="GET /auth/v1/customer/{customerId} (Origin: another site): 200 with data",
)
RULES = (HEADERS, IDS, COMPRESSION, CORS)
ORIGIN = "https://stranger.example"
LONG = 4096
"""Characters: fewer than the limit of most proxies for a line."""


def _set_header(name: str, value: str, target: Target) -> Request:
    return target.build_request(headers=((name, value),))


def _is_ignored_or_invalid(exchange: Exchange) -> bool:
    """Tell whether the header was ignored, or was refused as such and not as a bad token or an unknown id."""
    return (exchange.is_ok or is_error(exchange)) and exchange.status not in (401, 403, 404)


HEADER_ATTACK = Attack(
    rule=HEADERS,
    expect=_is_ignored_or_invalid,
    attempts={
        "an interaction id that is not a UUID": partial(_set_header, "x-fapi-interaction-id", "no UUID"),
        "an interaction id of 4096 characters": partial(_set_header, "x-fapi-interaction-id", "a" * LONG),
        "an invalid customer IP address": partial(_set_header, "x-fapi-customer-ip-address", "999.0.0.1'"),
        "an invalid date": partial(_set_header, "x-fapi-auth-date", "yesterday"),
        "Accept: text/html": partial(_set_header, "Accept", "text/html"),
        "an invalid version": partial(_set_header, "x-v", "-1; x"),
    },
)


def _is_not_compressed(exchange: Exchange) -> bool:
    return exchange.headers.get("Content-Encoding", "identity").lower() == "identity"


COMPRESSION_ATTACK = Attack(
    rule=COMPRESSION,
    expect=_is_not_compressed,
    attempts={"Accept-Encoding: identity": partial(_set_header, "Accept-Encoding", "identity")},
)


def _is_same_origin(exchange: Exchange) -> bool:
    return exchange.headers.get("Access-Control-Allow-Origin", "") not in ("*", ORIGIN)


CORS_ATTACK = Attack(
    rule=CORS,
    expect=_is_same_origin,
    attempts={"Origin: another site": partial(_set_header, "Origin", ORIGIN)},
)
INVALID_IDS = {
    "two dots": "..",
    "a path": "..%2F..%2Fetc%2Fpasswd",
    "a trailing NUL": "{id}%00",
    "a line feed and a header": "{id}%0D%0AX-Injected:%201",
    "an SQL fragment": "x%27%20OR%20%271%27=%271",
    "an SQL comment": "{id}%27--",
    "a percent sign": "%25",
    "an asterisk": "*",
    "a question mark": "{id}%3Fx=1",
    "invalid UTF-8": "%ff%c0%af",
    "4096 characters": "a" * LONG,
}
"""Percent-encoded ids; ``{id}`` becomes the valid one."""


def _is_harmless(exchange: Exchange) -> bool:
    """Tell whether there are neither data nor an injected header. Empty answers are judged by another rule."""
    return not any(read_records(exchange)) and "X-Injected" not in exchange.headers


def _replace_id(name: str, invalid: str, target: Target) -> Request:
    """Put an invalid id into the path, for the parameter of this name."""
    ids = {key: quote(value, safe="") for key, value in target.sequence.ids.items()}
    path = target.operation.path.format_map({**ids, name: invalid.replace("{id}", ids[name])})
    return replace(target.build_request(), path=path)


def _has_id(operation: Operation, name: str) -> bool:
    """Tell whether a GET path has this id, and no id besides those of customer and account."""
    return is_json_get(operation) and operation.path.count("{") <= 2 and f"{{{name}}}" in operation.path


async def run(target: Target) -> AsyncIterator[Result]:
    """Try the headers, and the ids in place of customer and account ids."""
    async for result in try_attacks(target, [HEADER_ATTACK, COMPRESSION_ATTACK, CORS_ATTACK]):
        yield result
    for name in ("customerId", "accountId"):
        operations = [operation for operation in target.session.served_operations if _has_id(operation, name)]
        attack = Attack(
            rule=IDS,
            expect=_is_harmless,
            attempts={f"{note} as {name}": partial(_replace_id, name, text) for note, text in INVALID_IDS.items()},
        )
        async for result in try_attacks(find_target(target.session, operations), [attack]):
            yield result
