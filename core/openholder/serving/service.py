"""What happens to one request, in order: form, token, query, source, record, answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from openholder.errors import SharingRefused, SourceFault, SourceUnavailable, UntrustedJSON
from openholder.gate import CannotJudge, Gate, Reason, Refused
from openholder.models.rows import record_from
from openholder.operations import Operation
from openholder.serving.ids import checked_ids, id_pattern
from openholder.serving.lookup import LOOKUPS, is_served
from openholder.serving.problems import Case, Problem
from openholder.sources.directory import Directory
from openholder.sources.query import Record
from openholder.strict_json import parse_json

_ENCODER = msgspec.json.Encoder(decimal_format="number")

_CHALLENGES = {Reason.NO_TOKEN: "", Reason.NOT_ONE_TOKEN: "invalid_request", Reason.EMPTY_TOKEN: "invalid_request"}
"""The ``error`` of WWW-Authenticate where it is not ``invalid_token`` (RFC 6750 section 3.1)."""


@dataclass(slots=True)
class Request:
    """One request, as far as the service has to do with it."""

    operation: Operation
    path: str
    """As it stands in the request line, without the query."""
    raw_ids: Mapping[str, bytes]
    authorization: Sequence[str]
    body: bytes
    admitted: bool = False
    """Whether the gate let it in, and its token is used up."""
    ids: dict[str, str] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)
    """What the log is told."""


class Service:
    """Answers requests. Raises `Problem` for everything that is not the data."""

    def __init__(
        self, gate: Gate, sources: Directory, *, realm: str, failure_status: int, id_characters: str = ""
    ) -> None:
        self._gate = gate
        self._sources = sources
        self._realm = realm
        self._failure_status = failure_status
        self._ids = id_pattern(id_characters)

    async def answer(self, request: Request) -> bytes:
        """The body of the answer to one request whose form is in order."""
        if not is_served(self._sources, request.operation):
            raise Problem(Case.NOT_SERVED, "not_served")
        await self._admit(request)
        body = _parsed(request.body) if request.operation.method == "POST" else None
        request.ids = checked_ids(request.raw_ids, self._ids)
        rows = await self._look_up(request, body)
        return _ENCODER.encode(self._shaped(request, rows))

    async def _admit(self, request: Request) -> None:
        try:
            await self._gate.admit(request.authorization, request.path, request.facts)
            request.admitted = True
        except Refused as exc:
            raise self._failure(exc.reason) from None
        except CannotJudge as exc:
            raise unavailable(f"cannot_judge: {exc}", exc.retry_after) from None

    def _failure(self, reason: Reason) -> Problem:
        error = _CHALLENGES.get(reason, "invalid_token")
        challenge = f'Bearer realm="{self._realm}"' + (f', error="{error}"' if error else "")
        headers = {"WWW-Authenticate": challenge}
        if error == "invalid_request":
            return Problem(Case.HEADER_INVALID, reason, headers=headers)
        return Problem(Case.AUTHENTICATION_FAILED, reason, status=self._failure_status, headers=headers)

    async def _look_up(self, request: Request, body: Any) -> list[Record]:
        operation = request.operation
        source = self._sources.source_of(operation.collection)
        request.facts["source"] = source.name if source else ""
        try:
            return await LOOKUPS[operation.lookup](self._sources, operation, request.ids, body)
        except SharingRefused:
            case = Case.ACCOUNT_REFUSED if operation.lookup == "account" else Case.HARM
            raise Problem(case, "sharing_refused") from None
        except SourceUnavailable as exc:
            raise unavailable("source_unavailable", exc.retry_after) from None

    def _shaped(self, request: Request, rows: list[Record]) -> Any:
        operation = request.operation
        if not operation.many and not rows:
            raise Problem(Case.RECORD_UNKNOWN, "record_unknown")
        if not operation.many and len(rows) > 1:
            raise SourceFault(f"collection {operation.collection!r}: more than one record for one id")
        records = [record_from(operation.collection, row, operation.record) for row in rows]
        content = records if operation.many else records[0]
        return {operation.envelope: content} if operation.envelope else content


def unavailable(reason: str, retry_after: int) -> Problem:
    """503, with the seconds after which another try makes sense (RFC 9110 section 10.2.3)."""
    return Problem(Case.UNAVAILABLE, reason, headers={"Retry-After": str(retry_after)})


def _parsed(body: bytes) -> Any:
    if not body:
        raise Problem(Case.FIELD_MISSING, "body_missing", detail="body")
    try:
        return parse_json(body)
    except UntrustedJSON:
        raise Problem(Case.FIELD_INVALID, "body_not_json", detail="body") from None
