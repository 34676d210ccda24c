"""HTTP: bytes in, bytes out. The only module that touches Tornado's connection.

A delegate of ``tornado.httputil`` instead of a ``RequestHandler``: a JSON-only API needs none of its cookies,
templates, locale and etags, which cost more than everything else together.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import responses
from typing import Any, Protocol, cast

from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)

from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.limits import MAX_BODY
from openholder.contract.operation import JSON
from openholder.contract.operations import Operation
from openholder.edge.headers import JSON_UTF8, AnswerHeaders
from openholder.edge.proxies import TrustedProxies
from openholder.errors import ForeignRecord, SourceFault, describe
from openholder.serving.journal import Entry, Journal
from openholder.serving.preconditions import announces_too_much, check_preconditions
from openholder.serving.service import IncomingRequest, Service, build_unavailable

MAX_DISCARDED = 1_048_576
"""Bytes of a too large body that are read and discarded, so that its sender gets to read the answer."""
WRITE_TIMEOUT = 30.0
"""Seconds within which a caller must have received the answer."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"})

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


@dataclass(slots=True)
class ServingState:
    """What all requests to one generation of the server share."""

    service: Service
    journal: Journal
    max_requests: int = 500
    """Requests that are answered at the same time; more get 503 at once."""
    count_waiting: Callable[[], int] = int
    """Returns how many of them wait for keys: they take no place from a request that can be judged."""
    proxies: TrustedProxies = field(default_factory=lambda: TrustedProxies(()))
    """Whose ``X-Forwarded-For`` says where a request comes from."""
    running: dict[asyncio.Task[None], RequestDelegate] = field(default_factory=dict)
    """The requests that are being answered, the oldest first."""
    closing: bool = False
    """Whether the server is shutting down: answers then close their connection."""

    @property
    def is_full(self) -> bool:
        """True if no further request may be answered now."""
        running = len(self.running)
        return running >= self.max_requests and running - self.count_waiting() >= self.max_requests

    def give_up_late(self, limit: float) -> None:
        """End the requests that have taken more than ``limit`` seconds. They are answered with an error."""
        latest = time.perf_counter() - limit
        for task, request in list(self.running.items()):
            if request.started > latest:
                break
            request.late = True
            task.cancel()


class Connection(Protocol):
    """What a transport offers for one answer: Tornado's `HTTPConnection`, and word of a caller who goes away."""

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> asyncio.Future[None]:
        """Write the head of the answer and the first part of its body."""
        ...

    def finish(self) -> None:
        """End the answer."""
        ...

    def close(self) -> None:
        """Disconnect the caller."""
        ...

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Set what is called when the caller goes away before the answer is complete."""
        ...


class _Begun(Coroutine[Any, Any, None]):
    """A coroutine whose first step has been made already, for a task to go on with."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waiting: Any) -> None:
        self._coroutine = coroutine
        self._waiting = [waiting]
        """What the first step has returned: the task has to wait for that first."""

    def send(self, value: Any) -> Any:
        return self._waiting.pop() if self._waiting else self._coroutine.send(value)

    def throw(self, *exception: Any) -> Any:
        self._waiting.clear()
        return self._coroutine.throw(*exception)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("only a task can go on with it")


class RequestDelegate(HTTPMessageDelegate):
    """One request and its answer, on a path with the given operations; an unknown path has none."""

    def __init__(
        self,
        state: ServingState,
        request: HTTPServerRequest,
        operations: Sequence[Operation],
        raw_ids: Mapping[str, bytes],
    ) -> None:
        self._state = state
        self._connection = cast(Connection, request.connection)
        self._request = request
        self._operations = operations
        self._raw_ids = raw_ids
        self._operation: Operation | None = None
        for operation in operations:
            if operation.method == request.method:
                self._operation = operation
                break
        self.started = time.perf_counter()
        self.late = False
        """Whether it was given up for the time that it took."""
        self._body = bytearray()
        self._received = 0
        self._max_body = self._operation.max_body if self._operation else MAX_BODY
        self._closes = False
        self._task: asyncio.Task[None] | None = None
        sent_id = request.headers.get("x-fapi-interaction-id", "")
        self._entry = Entry(
            method=request.method or "" if request.method in METHODS else "other",
            route=operations[0].path if operations else "unknown",
            operation=self._operation.name if self._operation else "",
            interaction_id=sent_id if sent_id and _UUID.fullmatch(sent_id) else str(uuid.uuid4()),
            ip=state.proxies.find_caller(request.remote_ip or "", request.headers),
        )

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Refuse a body that is announced as too large before any of it is read."""
        if announces_too_much(headers, self._max_body):
            self._refuse_body()
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Collect the body, up to the limit."""
        self._received += len(chunk)
        if self._received > self._max_body and not self._entry.status:
            self._refuse_body()
        if not self._entry.status:
            self._body += chunk
        elif self._received > MAX_DISCARDED:
            self._connection.finish()
        return None

    def finish(self) -> None:
        """Answer the request, which is complete now, unless too many others are being answered."""
        if not self._entry.status and self._state.running and self._state.is_full:
            self._write(b"", build_unavailable("overloaded", 1))
        if self._entry.status:
            self._connection.finish()
            return
        # Most requests wait for nothing: a task for each of them would only cost time. The first step is made here,
        # outside of any task. What needs one, such as `asyncio.timeout`, therefore awaits `asyncio.sleep(0)` before.
        answering = self._answer()
        try:
            waiting = answering.send(None)
        except StopIteration:
            return
        self._task = asyncio.create_task(_Begun(answering, waiting))
        self._state.running[self._task] = self
        self._task.add_done_callback(self._state.running.pop)
        self._connection.set_close_callback(self.on_connection_close)

    def on_connection_close(self) -> None:
        """Cancel the work: the client has disconnected."""
        if self._task:
            self._task.cancel()

    async def _answer(self) -> None:
        try:
            body, error = await self._find_answer()
            if self._state.journal.on_answer is not None:
                body, error = await self._have_recorded(body, error)
        except asyncio.CancelledError:
            if not self.late:
                self._entry.status = 499  # nginx's code for a client that closed the request
                self._entry.reason = "caller_went_away"
                self._entry.seconds = time.perf_counter() - self.started
                self._state.journal.record(self._entry)
                raise
            self._entry.fault = "took longer than listen.request_timeout"
            body, error = b"", RequestError(ErrorKind.UNEXPECTED, "request_timeout")
        self._write(body, error)
        self._connection.finish()

    async def _find_answer(self) -> tuple[bytes, RequestError | None]:
        try:
            if not self._operations:
                raise RequestError(ErrorKind.PATH_UNKNOWN, "path_unknown")
            if self._operation is None:
                allowed = ", ".join(sorted(operation.method for operation in self._operations))
                raise RequestError(ErrorKind.METHOD_NOT_ALLOWED, "method_not_allowed", headers={"Allow": allowed})
            check_preconditions(self._operation, self._request.headers)
            credentials = self._request.headers.get_list("Authorization")
            query = self._request.query
            if query and ("access_token" in query or "%" in query) and "access_token" in self._request.query_arguments:
                credentials.append("access_token")  # never read, but it counts as a second token (RFC 6750 section 2)
            request = IncomingRequest(
                self._operation, self._request.path, query, self._raw_ids, credentials, bytes(self._body), self._entry
            )
            return await self._state.service.answer(request), None
        except RequestError as exc:
            return b"", exc
        except SourceFault as exc:
            self._entry.fault, self._entry.record = str(exc), exc.record
            reason = "foreign_record" if isinstance(exc, ForeignRecord) else "source_fault"
            return b"", RequestError(ErrorKind.UNEXPECTED, reason)
        except Exception as exc:
            self._entry.fault = describe(exc)
            return b"", RequestError(ErrorKind.UNEXPECTED, "fault")

    async def _have_recorded(self, body: bytes, error: RequestError | None) -> tuple[bytes, RequestError | None]:
        """Return the answer, or another one if it could not be recorded."""
        self._note(error)
        self._entry.seconds = time.perf_counter() - self.started
        await asyncio.sleep(0)  # from here on the request is a task
        if await self._state.journal.have_recorded(self._entry):
            return body, error
        return b"", build_unavailable("not_recorded", 1)

    def _refuse_body(self) -> None:
        self._closes = True
        self._write(b"", RequestError(ErrorKind.BODY_TOO_LARGE, "body_too_large"))
        if "Expect" in self._request.headers:
            self._connection.finish()  # the body will not come, and an interim answer must not follow this one

    def _write(self, body: bytes, error: RequestError | None) -> None:
        media = self._operation.reply.media if self._operation and not error else JSON
        more = self._note(error)
        if error:
            nearest = self._operations[0] if self._operations else None
            urns, sector = (nearest.urns, nearest.sector) if nearest else (True, "")
            body = error.make_body(urns=urns, sector=sector, interaction_id=self._entry.interaction_id)
        self._entry.size = len(body)
        content_type = JSON_UTF8 if media == JSON else media
        close = self._closes or self._state.closing
        headers = AnswerHeaders(content_type, self._entry.interaction_id, len(body), more, close=close)
        start_line = ResponseStartLine("HTTP/1.1", self._entry.status, responses[self._entry.status])
        written = self._connection.write_headers(start_line, headers, b"" if self._request.method == "HEAD" else body)
        if written.done():
            written.exception()  # a caller who has gone meanwhile is not an error
        else:
            # Nothing waits for the bytes to leave, but a caller who never reads them is disconnected.
            deadline = asyncio.get_running_loop().call_later(WRITE_TIMEOUT, self._connection.close)
            written.add_done_callback(lambda _: deadline.cancel())
            written.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._entry.seconds = time.perf_counter() - self.started
        self._state.journal.record(self._entry)

    def _note(self, error: RequestError | None) -> Mapping[str, str]:
        """Note what the answer will be. Return the headers that it has because of an error."""
        if error is None:
            self._entry.status = 200
            return {}
        self._entry.status = error.status or error.spec.status
        self._entry.reason = error.reason
        more = error.all_headers
        self._entry.refused = "X-Sharing-Refused" in more
        return more
