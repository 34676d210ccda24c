"""Checks of every response for what a server tells beside the data: cookies, versions, and members of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from openholder.contract.operations import OPERATIONS
from openholder.openapi import build_document
from openholder.rehearsal.checks import Check
from openholder.rehearsal.exchange import Exchange, redact_word
from openholder.rehearsal.results import Rule

COOKIES = Rule(
    name="no-cookies",
    severity="warning",
    expected="Responses set no cookies.",
    why="Each request has its own token. A session beside it outlives the token, and may let the next caller in.",
    reference="RFC 9110 section 3.3: each request can be understood in isolation; OWASP ASVS 5.0, session management",
    how_to_fix="Disable the session middleware of the framework, and cookies of the load balancer.",
    example="GET /auth/v1/customer/{customerId}: Set-Cookie with status 200",
)
VERSIONS = Rule(
    name="no-versions",
    severity="warning",
    expected="No header of a response with data tells the version of the software.",
    why="It shows an attacker which published weaknesses to try.",
    reference="OWASP ASVS 5.0, section 13.4: unintended information leakage; RFC 9110 section 10.2.4: Server",
    how_to_fix="Remove X-Powered-By and similar headers, and the version from Server (nginx: server_tokens off).",
    example="GET /auth/v1/customer/{customerId}: a version in X-Powered-By",
)
INTERNAL_MEMBERS = Rule(
    name="internal-members",
    severity="error",
    expected="Records have no members that are meant for the server only, such as passwords, scores and row versions.",
    why="Recipients store all that they receive. What the customer did not consent to share must not leave.",
    reference="OWASP API Security 2023, API3: broken object property level authorization; Privacy Safeguards",
    how_to_fix="Build each response from a list of members. Never serialise the row of a table.",
    example="GET /auth/v1/customer/{customerId}: $.passwordHash",
)
_INTERNAL = re.compile(
    r"_(?:id|rev|class|version|_v)|(?i:.*(?:pass_?w(?:or)?d|pass_?phrase|secret|cvv|cvc|tfn|tax_?file|internal|api_?key)"
    r".*|(?:created|updated|modified|deleted)_?by|(?:is_?)?deleted(?:_?at)?|row_?(?:version|id)"
    r"|.*(?:risk|credit|fraud|aml|kyc)_?(?:score|rating|flag|status|notes?)|.*(?:staff|officer|internal)_?notes?"
    r"|.*(?:staff|teller|employee|officer)_?(?:id|number|code)"
    r"|pin|pan|ssn|salt|(?:.*_)(?:pin|hash|salt|ssn|pan))|.*(?:Pin|Hash|Salt|Ssn|Pan)"
)
"""Names that frameworks and banks give to what is theirs. Members of the standards are never among them."""
_VERSION_HEADERS = ("Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version", "X-Runtime-Version", "Via")


def _find_cookies(exchange: Exchange) -> Iterator[str]:
    if "Set-Cookie" in exchange.headers:
        yield f"Set-Cookie with status {exchange.status}"


def _find_versions(exchange: Exchange) -> Iterator[str]:
    for name in _VERSION_HEADERS:
        value = exchange.headers.get(name, "")
        if re.search(r"[/\s(]v?\d+\.\d+|^\d+\.\d+", value) and not (name == "Via" and "/" not in value):
            yield f"a version in {name}"


def _find_internal_members(exchange: Exchange) -> Iterator[str]:
    known = _list_known_members()
    for place, name in _walk_members(exchange.json, "$"):
        if name not in known and _INTERNAL.fullmatch(name):
            yield f"{redact_word(place.replace('$', '').replace('[]', '.'))}"


def _walk_members(content: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield the place and the name of each member, once for all entries of a list."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield f"{place}.{name}", name
            yield from _walk_members(value, f"{place}.{name}")
    elif isinstance(content, list):
        found = (each for entry in content for each in _walk_members(entry, f"{place}[]"))
        yield from dict.fromkeys(found)


@cache
def _list_known_members() -> frozenset[str]:
    """List the names of all members of the contract, of any record."""

    def walk(schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            properties = schema.get("properties")
            yield from properties if isinstance(properties, dict) else ()
            for value in schema.values():
                yield from walk(value)
        elif isinstance(schema, list):
            for value in schema:
                yield from walk(value)

    return frozenset(walk(build_document(OPERATIONS)))


def _has_json(exchange: Exchange) -> bool:
    return exchange.is_ok and isinstance(exchange.json, dict)


def _is_ok(exchange: Exchange) -> bool:
    return exchange.is_ok


def _is_answered(exchange: Exchange) -> bool:
    return not exchange.transport_error


DISCLOSURE_CHECKS = (
    Check(COOKIES, _find_cookies, _is_answered),
    Check(VERSIONS, _find_versions, _is_ok),
    Check(INTERNAL_MEMBERS, _find_internal_members, _has_json),
)
"""Run on every exchange, including those of probes and attacks."""
