"""From method and path to an exchange: the table of operations as rules of a Tornado application."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.routing import AnyMatches, PathMatches, Router, Rule
from tornado.web import Application

from openholder.contract.operations import Operation
from openholder.serving.delegate import RequestDelegate, ServingState

AUTH_PREFIX, AUTH_ALIAS = "/auth/v1/", "/v1/auth/"


class Endpoint(Router):
    """One path, with the operations that it has."""

    def __init__(self, desk: ServingState, operations: Sequence[Operation]) -> None:
        self._desk = desk
        self._operations = operations

    def find_handler(self, request: HTTPServerRequest, **found: Any) -> HTTPMessageDelegate:
        """The delegate for one request. Ids arrive percent-decoded once, as bytes."""
        raw_ids: Mapping[str, bytes] = found.get("path_kwargs", {})
        return RequestDelegate(self._desk, request, self._operations, raw_ids)


class Switch(Router):
    """Leads each request to the application of the moment.

    Tornado asks a server for the next request's delegate as soon as the last one of a connection is answered, which may
    be long before it comes: what the delegate leads to must not be fixed by then.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    def find_handler(self, request: HTTPServerRequest, **found: Any) -> HTTPMessageDelegate | None:
        """What the application of the moment has for a request."""
        return self.application.find_handler(request, **found)


def with_alias(operations: Iterable[Operation]) -> list[Operation]:
    """The operations, and the consent endpoints once more under the prefix that Fiskil's Postman page has."""
    operations = list(operations)
    aliased = [operation for operation in operations if operation.path.startswith(AUTH_PREFIX)]
    return operations + [replace(row, path=row.path.replace(AUTH_PREFIX, AUTH_ALIAS, 1)) for row in aliased]


def application(desk: ServingState, operations: Iterable[Operation]) -> Application:
    """The Tornado application of the public port. A literal segment wins over an id at the same place."""
    paths: dict[str, list[Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, []).append(operation)
    rules = [
        Rule(PathMatches(_pattern(path)), Endpoint(desk, paths[path]))
        for path in sorted(paths, key=lambda path: [segment.startswith("{") for segment in path.split("/")])
    ]
    return Application([*rules, Rule(AnyMatches(), Endpoint(desk, ()))])


def _pattern(template: str) -> str:
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template)) + "$"
