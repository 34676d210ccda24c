"""Requests, the responses to them, and sequences of both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from openholder.contract.operations import Operation

INTERACTION = "x-fapi-interaction-id"
REFUSED = "X-Sharing-Refused"
HARMLESS_PARAMETERS = ("page", "page-size", "limit")
"""Query parameters whose values reports may show: all others may contain customer data."""
OWN_VALUES = ("yesterday", "a lot", "5x", "%", "2026-02-30", "2026-01-01", "2026-02-01", "1990-01-01", "2099-12-31")
"""Values that the rehearsal makes up."""
_CODE = re.compile(r"[A-Z]+(_[A-Z]+)*")
OK = 200
NO_RESPONSE = 0
TOO_MANY = 429
NOT_IMPLEMENTED = 501
NOT_SERVED = "(a path that is not served)"
_PLAIN_CHARACTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:/.+")
_MAX_WORD = 80
_MAX_HEADER = 1000
_MAX_TARGET = 2000
_MAX_BODY = 16_384
_ODD_PATH = re.compile(r"%00|%0[ad]|%2f|%27|%ff|%c0|(?:^|/)\.\.(?:/|$)|\*", re.IGNORECASE)
"""NUL, line ends, slashes and quotes in ids, bytes that are not UTF-8, and steps towards the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. The caller signs a new token for it when it is sent, unless `token` is given."""

    method: str
    path: str
    """Percent-encoded, as sent over the wire."""
    query: str = ""
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Added to, or replacing, the headers that the caller sends with every request."""
    token: str | None = None
    """If empty, the request is sent without a token."""
    operation: Operation | None = None
    pauses: tuple[int, ...] = ()
    """Places in the body before which the sending pauses; 0 is the end of the header."""
    note: str = ""
    """What is special about the request; never contains a value."""

    @property
    def route(self) -> str:
        """The method and path of the operation, with placeholders instead of ids."""
        return format_route(self.operation) if self.operation else NOT_SERVED

    @property
    def is_ordinary(self) -> bool:
        """Return whether it is a request as Fiskil sends it, with a valid token."""
        return self.token is None and self.operation is not None and not self.headers and not self.is_malformed

    @property
    def is_malformed(self) -> bool:
        """Return whether only an attacker sends such a request, so that a proxy may refuse it by itself."""
        names = [name.lower() for name, _ in self.headers]
        return (
            self.method not in ("GET", "POST")
            or names.count("authorization") > 1
            or "content-encoding" in names
            or any(len(value) > _MAX_HEADER for _, value in self.headers)
            or len(self.path) + len(self.query) > _MAX_TARGET
            or len(self.body or b"") > _MAX_BODY
            or bool(_ODD_PATH.search(self.path))
        )

    @property
    def redacted_text(self) -> str:
        """The request as reports show it: with placeholders instead of ids and query values."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        query = "&".join(f"{name}={value if _is_harmless(name, value) else '…'}" for name, value in pairs)
        return self.route + (query and f"?{query}") + (self.note and f" ({self.note})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its response."""

    request: Request
    status: int = NO_RESPONSE
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names are case-insensitive."""
    content: bytes = b""
    json: Any = None
    """The decoded content; None if it is not JSON."""
    json_error: str = ""
    """Why the content could not be decoded, if its media type is JSON."""
    seconds: float = 0.0
    transport_error: str = ""
    """Why there was no response."""
    is_unreachable: bool = False
    """True if the connection was refused."""
    interaction_id: str = ""
    """The x-fapi-interaction-id of the request."""
    waited: float = 0.0
    """Seconds for which the request was put off, because the server answered 429 with Retry-After."""
    turn: tuple[int, ...] = ()
    """The place of the request among all requests (`take_turn`)."""

    @property
    def is_of_proxy(self) -> bool:
        """Return whether a proxy in front of the server seems to have refused a malformed request by itself."""
        is_own = self.headers.get(INTERACTION, "").lower() == self.interaction_id.lower()
        return self.request.is_malformed and self.status >= 400 and not is_own

    @property
    def is_ok(self) -> bool:
        """Return whether the status is 200."""
        return self.status == OK

    @property
    def is_withheld(self) -> bool:
        """Return whether the holder refuses to share what exists: the account is blocked, for example."""
        return self.status in (403, 404, 422) and (
            self.headers.get(REFUSED, "").lower() == "true" or "Unavailable" in self.error_code
        )

    @property
    def is_hiccup(self) -> bool:
        """Return whether the response may be better if the request is sent again: a server fault, or a bad token."""
        is_fault = self.status >= 500 and self.status != NOT_IMPLEMENTED
        return bool(self.transport_error) or is_fault or self.status in (401, 403)

    @property
    def retry_after(self) -> float | None:
        """Return the seconds to wait after 429, one if it does not say; None for other responses."""
        if self.status != TOO_MANY:
            return None
        return read_retry_after(self.headers) if "Retry-After" in self.headers else 1.0

    @property
    def media_type(self) -> str:
        """The media type without parameters, in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def error_code(self) -> str:
        """The code of the first error without the CDS prefix; empty if there is no error."""
        errors = get_member(self.json, "errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        return str(get_member(first, "code") or "").removeprefix("urn:au-cds:error:")

    @property
    def status_text(self) -> str:
        """The response in a few words, without any value."""
        if self.transport_error:
            return self.transport_error
        if not self.is_ok:
            return f"{self.status} {redact_word(self.error_code)}".strip()
        is_empty = self.request.operation and self.json and not read_records(self)
        return f"{OK} without data" if is_empty else f"{OK} with data"


@dataclass(frozen=True, slots=True)
class CallSequence:
    """The exchanges of one operation for the same ids, one for each page."""

    operation: Operation
    ids: Mapping[str, str]
    """The path parameters."""
    exchanges: Sequence[Exchange]
    account_ids: Sequence[str] = ()
    """The account ids in the request body."""
    pages: Sequence[int] = ()
    """The number of each page that was read, in order; empty if all pages were."""
    page_count: int = 0
    """The number of pages that the list has, if not all were read; 0 if nobody knows."""
    unread: str = ""
    """Why not all pages were read; empty if they were."""

    @property
    def route(self) -> str:
        """The route of the operation, as the subject of results."""
        return format_route(self.operation)

    @property
    def is_complete(self) -> bool:
        """Return whether every page was answered with 200."""
        return all(exchange.is_ok for exchange in self.exchanges)

    @property
    def is_whole(self) -> bool:
        """Return whether every page of the list was read, and answered with 200."""
        return self.is_complete and not self.unread

    @property
    def numbered(self) -> list[tuple[int, Exchange]]:
        """The number of each page that was read, and its exchange."""
        return list(zip(self.pages or range(1, len(self.exchanges) + 1), self.exchanges, strict=True))

    @property
    def first(self) -> Exchange:
        """The exchange of the first page."""
        return self.exchanges[0]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of all pages, in the order received."""
        return [record for exchange in self.exchanges for record in read_records(exchange)]


def _is_harmless(name: str, value: str) -> bool:
    """Return whether the value of a query parameter is the rehearsal's own or the standard's, not a customer's."""
    return name in HARMLESS_PARAMETERS or value in OWN_VALUES or (name != "text" and bool(_CODE.fullmatch(value)))


def format_route(operation: Operation) -> str:
    """Return the name of an operation in reports: method and path."""
    return f"{operation.method} {operation.path}"


def read_records(exchange: Exchange) -> list[dict[str, Any]]:
    """Return the records of a response; a single record becomes a list of one."""
    operation = exchange.request.operation
    if operation is None or not exchange.is_ok:
        return []
    content = get_member(exchange.json, *operation.reply.envelope)
    if isinstance(exchange.json, dict) and isinstance(exchange.json.get("errors"), list):
        return []  # an error with the wrong status
    records = content if operation.reply.many else [content]
    return [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []


def read_page_size(request: Request) -> int:
    """Return the requested page size; the default is 25 (CDS, pagination)."""
    query = parse_qs(request.query)
    return int((query.get("page-size") or query.get("limit") or ["25"])[0])


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After names (RFC 9110 section 10.2.3); None if it is missing or names none."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()) if text else None
    except (ValueError, TypeError):
        return None


def get_member(content: Any, *names: str) -> Any:
    """Return the value at a path of member names; None if any of them is missing."""
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def redact_word(text: str) -> str:
    """Return an error code or media type of the server if it is safe to show, otherwise a placeholder."""
    is_plain = text.isascii() and len(text) <= _MAX_WORD and not set(text) - _PLAIN_CHARACTERS
    return text if is_plain else "(unusual text)"
