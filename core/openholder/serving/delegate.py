"""HTTP: bytes in, bytes out. The only module that knows Tornado's connection.

A delegate of ``tornado.httputil`` instead of a ``RequestHandler``: a JSON-only API needs none of its cookies,
templates, locale and etags, which cost more than everything else together.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
import uuid
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import responses
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
    format_timestamp,
)

from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.limits import MAX_BODY
from openholder.contract.operation import JSON
from openholder.contract.operations import Operation
from openholder.errors import ForeignRecord, SourceFault, describe
from openholder.serving.journal import Entry, Journal
from openholder.serving.preconditions import check_preconditions, declares_too_much
from openholder.serving.service import IncomingRequest, Service, unavailable

MAX_DISCARDED = 1_048_576
"""Bytes of a body too large that are read and thrown away, so that its sender gets to read the answer."""
WRITE_TIMEOUT = 30.0
"""Seconds in which a caller must have taken an answer."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"})

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


@dataclass(slots=True)
class ServingState:
    """What all exchanges of one server share."""

    service: Service
    journal: Journal
    most: int = 500
    """Requests that are answered at the same time; more get 503 at once."""
    running: set[asyncio.Task[None]] = field(default_factory=set)
    closing: bool = False
    """Whether the server is going away: answers then ask the caller to open no further request here."""


class RequestDelegate(HTTPMessageDelegate):
    """One request and its answer, on a path that has the given operations (none: an unknown path)."""

    def __init__(
        self,
        desk: ServingState,
        request: HTTPServerRequest,
        operations: Sequence[Operation],
        raw_ids: Mapping[str, bytes],
    ) -> None:
        assert isinstance(request.connection, HTTP1Connection)
        self._desk = desk
        self._connection = request.connection
        self._request = request
        self._operations = operations
        self._raw_ids = raw_ids
        self._operation = next((found for found in operations if found.method == request.method), None)
        self._started = time.perf_counter()
        self._body = bytearray()
        self._received = 0
        self._task: asyncio.Task[None] | None = None
        sent_id = request.headers.get("x-fapi-interaction-id", "")
        self._entry = Entry(
            method=request.method or "" if request.method in METHODS else "other",
            route=operations[0].path if operations else "unknown",
            operation=self._operation.name if self._operation else "",
            interaction_id=sent_id if _UUID.fullmatch(sent_id) else str(uuid.uuid4()),
            ip=request.remote_ip or "",
        )

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Refuse a body that is announced as too large before any of it is read."""
        # The limit is counted here from now on: Tornado's own ends in an answer without our error body.
        self._connection.set_max_body_size(sys.maxsize)
        if declares_too_much(headers):
            self._refuse_body()
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Collect the body, up to the limit."""
        self._received += len(chunk)
        if self._received > MAX_BODY and not self._entry.status:
            self._refuse_body()
        if not self._entry.status:
            self._body += chunk
        elif self._received > MAX_DISCARDED:
            self._connection.finish()
        return None

    def finish(self) -> None:
        """The request is complete: answer it, unless too many others are being answered."""
        if not self._entry.status and len(self._desk.running) >= self._desk.most:
            self._write(b"", unavailable("overloaded", 1))
        if self._entry.status:
            self._connection.finish()
            return
        self._task = asyncio.create_task(self._answer())
        self._desk.running.add(self._task)
        self._task.add_done_callback(self._desk.running.discard)

    def on_connection_close(self) -> None:
        """Nobody is there to read an answer any more: let its sources off."""
        if self._task:
            self._task.cancel()

    async def _answer(self) -> None:
        try:
            body, problem = await self._body_of_answer(), None
        except RequestError as exc:
            body, problem = b"", exc
        except SourceFault as exc:
            self._entry.fault = str(exc)
            reason = "foreign_record" if isinstance(exc, ForeignRecord) else "source_fault"
            body, problem = b"", RequestError(ErrorKind.UNEXPECTED, reason)
        except Exception as exc:
            self._entry.fault = describe(exc)
            body, problem = b"", RequestError(ErrorKind.UNEXPECTED, "fault")
        except asyncio.CancelledError:
            self._entry.status, self._entry.reason = 499, "caller_went_away"
            self._record()
            raise
        self._write(body, problem)
        self._connection.finish()

    async def _body_of_answer(self) -> bytes:
        if not self._operations:
            raise RequestError(ErrorKind.PATH_UNKNOWN, "path_unknown")
        if self._operation is None:
            allowed = ", ".join(sorted(operation.method for operation in self._operations))
            raise RequestError(ErrorKind.METHOD_NOT_ALLOWED, "method_not_allowed", headers={"Allow": allowed})
        check_preconditions(self._operation, self._request.headers)
        request = IncomingRequest(
            operation=self._operation,
            path=self._request.path,
            raw_ids=self._raw_ids,
            authorization=self._credentials(),
            body=bytes(self._body),
            query=self._request.query,
            token=self._entry.token,
        )
        try:
            return await self._desk.service.answer(request)
        finally:
            self._entry.ids = request.ids
            self._entry.admitted = request.admitted
            self._entry.source = request.source

    def _credentials(self) -> list[str]:
        """Every credential that was sent. One in the query is never read, but counts (RFC 6750 section 2)."""
        in_query = ["access_token"] * ("access_token" in self._request.query_arguments)
        return self._request.headers.get_list("Authorization") + in_query

    def _refuse_body(self) -> None:
        self._write(b"", RequestError(ErrorKind.BODY_TOO_LARGE, "body_too_large", headers={"Connection": "close"}))

    def _write(self, body: bytes, problem: RequestError | None) -> None:
        media = self._operation.reply.media if self._operation and not problem else JSON
        headers = {
            "Content-Type": f"{media}; charset=UTF-8" if media == JSON else media,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "x-fapi-interaction-id": self._entry.interaction_id,
            "Date": format_timestamp(time.time()),
        }
        self._entry.status = 200
        if problem:
            nearest = self._operations[0] if self._operations else None
            urns, sector = (nearest.urns, nearest.sector) if nearest else (True, "")
            body = problem.body(urns=urns, sector=sector, interaction_id=self._entry.interaction_id)
            self._entry.status = problem.status or problem.row.status
            self._entry.reason = problem.reason
            headers |= problem.all_headers
        if self._desk.closing:
            headers["Connection"] = "close"
        self._entry.size = len(body)
        self._send({**headers, "Content-Length": str(len(body))}, body)
        self._record()

    def _send(self, headers: dict[str, str], body: bytes) -> None:
        status = self._entry.status
        start_line = ResponseStartLine("HTTP/1.1", status, responses[status])
        chunk = b"" if self._request.method == "HEAD" else body
        written: Any = self._connection.write_headers(start_line, HTTPHeaders(headers), chunk)
        # Nobody waits for the bytes to leave, but not for ever either: a caller who never reads is cut off, and one who
        # went away meanwhile is no fault of ours.
        deadline = asyncio.get_running_loop().call_later(WRITE_TIMEOUT, self._connection.close)
        written.add_done_callback(lambda _: deadline.cancel())
        written.add_done_callback(lambda future: future.cancelled() or future.exception())

    def _record(self) -> None:
        self._entry.seconds = time.perf_counter() - self._started
        self._desk.journal.finished(self._entry)
