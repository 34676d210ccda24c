"""From method and path to a delegate: the table of operations as a tree of paths."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote_to_bytes

from tornado.escape import parse_qs_bytes
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.routing import AnyMatches, Router, Rule
from tornado.web import Application

from openholder.contract.operations import Operation
from openholder.serving.delegate import RequestDelegate, ServingState

AUTH_PREFIX = "/auth/v1/"
AUTH_ALIAS = "/v1/auth/"
"""The prefix of the consent endpoints on Fiskil's Postman page."""


@dataclass(slots=True)
class Place:
    """One place in the tree of paths: what may follow, and the operations of a path that ends here."""

    literals: dict[str, Place] = field(default_factory=dict)
    any_id: Place | None = None
    """What follows an id, which is any segment that is not empty."""
    operations: list[Operation] = field(default_factory=list)
    id_names: list[str] = field(default_factory=list)
    """The names of the ids on the way, in order."""


class OperationRouter(Router):
    """Finds the operations of a path by walking down a tree, one segment at a time.

    A literal segment wins over an id in the same place. Of two paths that differ in the names of their ids only, the
    first one counts.
    """

    def __init__(
        self,
        state: ServingState,
        operations: Iterable[Operation],
        delegate: type[RequestDelegate] = RequestDelegate,
    ) -> None:
        self._state = state
        self._delegate = delegate
        self._root = Place()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        place, names = self._root, []
        for segment in operation.path.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                place.any_id = place.any_id or Place()
                place = place.any_id
            else:
                place = place.literals.setdefault(segment, Place())
        if not place.operations or place.operations[0].path == operation.path:
            place.operations.append(operation)
            place.id_names = names

    def find_operations(self, path: str) -> tuple[Sequence[Operation], dict[str, bytes]]:
        """Return the operations of a path, and its ids.

        Args:
            path: The path exactly as in the request line, without the query.

        Returns:
            The operations, none for an unknown path; and the ids, percent-decoded once. They stay bytes: whether they
            are text is checked after the token.
        """
        segments = path.split("/")
        ids: list[str] = []
        place = None if segments[0] else _follow(self._root, segments, ids)
        if place is None:
            return (), {}
        values = map(unquote_to_bytes, ids) if "%" in path else map(str.encode, ids)
        return place.operations, dict(zip(place.id_names, values, strict=True))

    def find_handler(self, request: HTTPServerRequest, **found: Any) -> HTTPMessageDelegate:
        """Return the delegate of one request."""
        return self._delegate(self._state, request, *self.find_operations(request.path))


def _follow(place: Place | None, segments: Sequence[str], ids: list[str]) -> Place | None:
    """Follow the segments after the first down the tree; `ids` receives those that are ids.

    A literal that leads nowhere is tried as an id: the places to go back to are kept on the way.
    """
    turns: list[tuple[Place, int, int]] = []
    depth, count = 1, len(segments)
    while True:
        while place is not None and depth < count:
            segment = segments[depth]
            literal = place.literals.get(segment)
            if literal is None:
                ids.append(segment)
                place = place.any_id if segment else None
            else:
                if place.any_id is not None and segment:
                    turns.append((place.any_id, depth, len(ids)))
                place = literal
            depth += 1
        if place is not None and place.operations:
            return place
        if not turns:
            return None
        place, turned, known = turns.pop()
        ids[known:] = [segments[turned]]
        depth = turned + 1


class OperationApplication(Application):
    """A Tornado application of one router, which is asked at once instead of looking through rules for it."""

    def __init__(self, router: OperationRouter) -> None:
        super().__init__([Rule(AnyMatches(), router)])
        self.find_handler = router.find_handler  # type: ignore[method-assign,assignment]


class Request(HTTPServerRequest):
    """A request whose head the transport has checked. Its query is parsed only when somebody asks for it."""

    def __init__(self, server: object, connection: HTTPConnection, start_line: RequestStartLine, headers: HTTPHeaders):
        self.method, self.uri, self.version = start_line
        self.path, _, self.query = start_line.path.partition("?")
        self.headers = headers
        self.connection = connection
        self.server_connection = server
        context: Any = getattr(connection, "context", None)
        self.remote_ip = context.remote_ip
        self.protocol = context.protocol
        self.body = b""

    @cached_property
    def query_arguments(self) -> dict[str, list[bytes]]:  # type: ignore[override]
        """The fields of the query."""
        return parse_qs_bytes(self.query, keep_blank_values=True) if self.query else {}


class RoutingDelegate(HTTPMessageDelegate):
    """Becomes the delegate of a request once its head is there."""

    def __init__(self, switch: Switch, server: object, connection: HTTPConnection) -> None:
        self._switch, self._server, self._connection = switch, server, connection

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Route the request."""
        assert isinstance(start_line, RequestStartLine)
        request = Request(self._server, self._connection, start_line, headers)
        delegate: HTTPMessageDelegate = self._switch.application.find_handler(request)
        self.data_received = delegate.data_received  # type: ignore[method-assign]
        self.finish = delegate.finish  # type: ignore[method-assign]
        self.on_connection_close = delegate.on_connection_close  # type: ignore[method-assign]
        return delegate.headers_received(start_line, headers)


class Switch(Router):
    """Routes each request to the current application.

    Tornado asks for the delegate of a connection's next request as soon as the last one is answered, which may be long
    before that request arrives. So the server must not hold an application: it holds this, and a reload changes it.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Return the delegate of a request whose head has not come yet."""
        return RoutingDelegate(self, server_conn, request_conn)

    def find_handler(self, request: HTTPServerRequest, **found: Any) -> HTTPMessageDelegate:
        """Return what the current application has for a request."""
        return self.application.find_handler(request, **found)


def add_alias(operations: Iterable[Operation]) -> list[Operation]:
    """Return the operations, with the consent endpoints a second time under `AUTH_ALIAS`."""
    operations = list(operations)
    aliased = [operation for operation in operations if operation.path.startswith(AUTH_PREFIX)]
    return operations + [replace(each, path=each.path.replace(AUTH_PREFIX, AUTH_ALIAS, 1)) for each in aliased]


def build_application(
    state: ServingState, operations: Iterable[Operation], delegate: type[RequestDelegate] = RequestDelegate
) -> Application:
    """Build the Tornado application of the public port."""
    return OperationApplication(OperationRouter(state, operations, delegate))
