"""One request, and what came back for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from openholder.contract.operations import Operation

TOLD = ("page", "page-size", "limit")
"""Query parameters whose values are told: no others are free of a customer's data."""
OK = 200
NO_ANSWER = 0
NOT_SERVED = "(a path that is not served)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked. The token is made when it is sent, unless there is one here."""

    method: str
    path: str
    """Percent-encoded, as it goes over the wire."""
    query: str = ""
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """Sent beside Authorization and x-fapi-interaction-id, or in their place."""
    token: str | None = None
    """Empty: the request is sent without."""
    operation: Operation | None = None
    note: str = ""
    """What is special about it, in words that name no value."""

    @property
    def route(self) -> str:
        """The operation that is asked, without anybody's ids."""
        return route(self.operation) if self.operation else NOT_SERVED

    @property
    def told(self) -> str:
        """The request as a report may have it: the ids as names, of the query the values that are nobody's."""
        pairs = parse_qsl(self.query, keep_blank_values=True)
        query = "&".join(f"{name}={value if name in TOLD else '…'}" for name, value in pairs)
        return self.route + (query and f"?{query}") + (self.note and f" ({self.note})")


def route(operation: Operation) -> str:
    """What an operation is called in reports."""
    return f"{operation.method} {operation.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and its answer."""

    request: Request
    status: int = NO_ANSWER
    headers: Mapping[str, str] = field(default_factory=dict)
    """Their names in any case."""
    content: bytes = b""
    json: Any = None
    """The content, decoded; None where it is not JSON."""
    unreadable: str = ""
    """Why the content is not JSON, where it should be."""
    seconds: float = 0.0
    fault: str = ""
    """Why there was no answer."""
    away: bool = False
    """Whether there was nobody to connect to."""
    interaction_id: str = ""
    """The x-fapi-interaction-id that was sent."""

    @property
    def good(self) -> bool:
        """Whether data came."""
        return self.status == OK

    @property
    def media(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def code(self) -> str:
        """The code of the first error, without the prefix of the CDS; empty where there is none."""
        errors = at(self.json, "errors")
        first = errors[0] if isinstance(errors, list) and errors else None
        return str(at(first, "code") or "").removeprefix("urn:au-cds:error:")

    @property
    def came(self) -> str:
        """The answer in a few words, none of them a value."""
        if self.fault:
            return self.fault
        if not self.good:
            return f"{self.status} {shown(self.code)}".strip()
        empty = self.request.operation and self.json and not records(self)
        return f"{OK} without data" if empty else f"{OK} with data"


@dataclass(frozen=True, slots=True)
class Leg:
    """An operation asked for one customer or account: an exchange for each page."""

    operation: Operation
    ids: Mapping[str, str]
    """What the path was filled with."""
    exchanges: Sequence[Exchange]
    asked: Sequence[str] = ()
    """The account ids that the body named."""

    @property
    def whole(self) -> bool:
        """Whether every page came."""
        return all(exchange.good for exchange in self.exchanges)

    @property
    def first(self) -> Exchange:
        """The answer to the first request."""
        return self.exchanges[0]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records on all pages, in the order they came."""
        return [record for exchange in self.exchanges for record in records(exchange)]


def records(exchange: Exchange) -> list[dict[str, Any]]:
    """The records in an answer: one, where the operation answers with one."""
    operation = exchange.request.operation
    if operation is None or not exchange.good:
        return []
    content = at(exchange.json, *operation.reply.envelope)
    listed = content if operation.reply.many else [content]
    return [record for record in listed if isinstance(record, dict)] if isinstance(listed, list) else []


def at(content: Any, *names: str) -> Any:
    """What stands at a path of member names; None where nothing does."""
    for name in names:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def shown(text: str) -> str:
    """A word of the server's own as a report may have it: an error code or media type, or else only that it was odd."""
    plain = text.isascii() and len(text) <= 80 and not set(text) - _PLAIN
    return text if plain else "(something that is no plain word)"


_PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:/.+")
