"""The steps of one request, in order: token, query and body, access, records, answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec

from openholder.contract.conditions import compile_checker
from openholder.contract.errors import ErrorKind, RequestError, raise_all
from openholder.contract.limits import DEFAULT_SIZE
from openholder.contract.operation import BELOW_ACCOUNTS
from openholder.contract.operations import Operation
from openholder.contract.query_string import read_fields, read_parameters
from openholder.errors import SharingRefused, SourceUnavailable
from openholder.gate import CannotJudge, Gate, Reason, Refused
from openholder.serving.access import ValidRequest, build_owner_query, find_records, is_served
from openholder.serving.answers import Context, Listing, read_style
from openholder.serving.body import read_body
from openholder.serving.closing import Periods, find_months
from openholder.serving.ids import compile_id_pattern, read_ids
from openholder.serving.journal import Entry

_ENCODER = msgspec.json.Encoder(decimal_format="number")

_CHALLENGES = {Reason.NO_TOKEN: "", Reason.NOT_ONE_TOKEN: "invalid_request", Reason.EMPTY_TOKEN: "invalid_request"}
"""The ``error`` of WWW-Authenticate, if it is not ``invalid_token`` (RFC 6750 section 3.1)."""


@dataclass(slots=True)
class IncomingRequest:
    """One request whose preconditions are met."""

    operation: Operation
    path: str
    """Exactly as in the request line, without the query."""
    query: str
    """What follows the question mark in the request line."""
    raw_ids: Mapping[str, bytes]
    authorization: Sequence[str]
    body: bytes
    entry: Entry
    """What becomes known of it on the way."""


class Service:
    """Answers requests. Raises `RequestError` for everything that is not the data."""

    def __init__(
        self,
        gate: Gate,
        context: Context,
        *,
        realm: str,
        failure_status: int,
        id_characters: str = "",
        closed_accounts: Periods = MappingProxyType({}),
    ) -> None:
        self._gate = gate
        self._context = context
        self._sources = context.sources
        self._realm = realm
        self._failure_status = failure_status
        self._ids = compile_id_pattern(id_characters)
        self._closed_accounts = closed_accounts

    def prepare(self, operations: Iterable[Operation]) -> None:
        """Let sources that answer at once prepare for the operations, before the first request comes.

        It compiles conditions, composes statements and looks at data that nobody has queried yet. What fails here
        fails again, and is reported, when somebody asks for it.
        """
        operations = list(operations)
        for operation in operations:
            compile_checker(operation.record)
        nobody = {"customerId": "-", "accountId": "-"}
        for collection in dict.fromkeys(operation.collection for operation in operations):
            source = self._sources.find_source(collection)
            if source and source.fetch_now:
                with suppress(Exception):
                    source.fetch_now(build_owner_query(collection, nobody).cut(0, DEFAULT_SIZE))

    async def answer(self, request: IncomingRequest) -> bytes:
        """Return the body of the answer. Raises `RequestError` for everything that is not the data."""
        operation, entry = request.operation, request.entry
        entry.judged = operation
        if not is_served(self._sources, operation):
            raise RequestError(ErrorKind.NOT_SERVED, "not_served")
        try:
            await self._gate.admit(request.authorization, request.path, entry.token)
            entry.admitted = True
            source = self._sources.find_source(operation.collection)
            entry.source = source.name if source else ""
            content = await self._render(request)
        except Refused as exc:
            raise self._to_error(exc.reason) from None
        except CannotJudge as exc:
            raise build_unavailable(f"cannot_judge: {exc}", exc.retry_after) from None
        except SharingRefused:
            kind = ErrorKind.ACCOUNT_REFUSED if operation.whose in BELOW_ACCOUNTS else ErrorKind.HARM
            status = 422 if operation.whose == "specific" else 0
            raise RequestError(kind, "sharing_refused", status=status) from None
        except SourceUnavailable as exc:
            raise build_unavailable("source_unavailable", exc.retry_after) from None
        return content if isinstance(content, bytes) else _ENCODER.encode(content)

    def _to_error(self, reason: Reason) -> RequestError:
        error = _CHALLENGES.get(reason, "invalid_token")
        challenge = f'Bearer realm="{self._realm}"' + (f', error="{error}"' if error else "")
        headers = {"WWW-Authenticate": challenge}
        if error == "invalid_request":
            return RequestError(ErrorKind.HEADER_INVALID, reason, headers=headers)
        return RequestError(ErrorKind.AUTHENTICATION_FAILED, reason, status=self._failure_status, headers=headers)

    async def _render(self, request: IncomingRequest) -> Any:
        operation, entry = request.operation, request.entry
        fields, errors = read_fields(operation, request.query)
        query, query_errors = read_parameters(operation, fields, datetime.now(UTC))
        named, body_errors = read_body(operation, request.body)
        style, page_errors = read_style(self._context, Listing(operation, request.path, query.given, named), fields)
        if errors or query_errors or page_errors or body_errors:
            raise_all([*errors, *query_errors, *page_errors, *body_errors])
        entry.ids, entry.named = read_ids(request.raw_ids, self._ids), named
        months = find_months(self._sources, self._closed_accounts, operation) if self._closed_accounts else None
        valid = ValidRequest(operation, entry.ids, query, named, self._ids.fullmatch, months)
        content, entry.rows = await style.render(await find_records(self._sources, valid))
        return content


def build_unavailable(reason: str, retry_after: int) -> RequestError:
    """Build a 503 with the seconds after which to try again (RFC 9110 section 10.2.3)."""
    return RequestError(ErrorKind.UNAVAILABLE, reason, headers={"Retry-After": str(retry_after)})
