"""From method and path to a delegate: the table of operations as rules of a Tornado application."""

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

AUTH_PREFIX = "/auth/v1/"
AUTH_ALIAS = "/v1/auth/"
"""The prefix of the consent endpoints on Fiskil's Postman page."""


class Endpoint(Router):
    """One path, with the operations that it has."""

    def __init__(self, state: ServingState, operations: Sequence[Operation]) -> None:
        self._state = state
        self._operations = operations

    def find_handler(self, request: HTTPServerRequest, **found: Any) -> HTTPMessageDelegate:
        """Return the delegate of one request. Ids arrive percent-decoded once, as bytes."""
        raw_ids: Mapping[str, bytes] = found.get("path_kwargs", {})
        return RequestDelegate(self._state, request, self._operations, raw_ids)


class Switch(Router):
    """Routes each request to the current application.

    Tornado asks for the delegate of a connection's next request as soon as the last one is answered, which may be long
    before that request arrives. So the server must not hold an application: it holds this, and a reload changes it.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    def find_handler(self, request: HTTPServerRequest, **found: Any) -> HTTPMessageDelegate | None:
        """Return what the current application has for a request."""
        return self.application.find_handler(request, **found)


def add_alias(operations: Iterable[Operation]) -> list[Operation]:
    """Return the operations, with the consent endpoints a second time under `AUTH_ALIAS`."""
    operations = list(operations)
    aliased = [operation for operation in operations if operation.path.startswith(AUTH_PREFIX)]
    return operations + [replace(each, path=each.path.replace(AUTH_PREFIX, AUTH_ALIAS, 1)) for each in aliased]


def build_application(state: ServingState, operations: Iterable[Operation]) -> Application:
    """Build the Tornado application of the public port. A literal segment wins over an id in the same place."""
    paths: dict[str, list[Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, []).append(operation)
    rules = []
    for path in sorted(paths, key=lambda path: [segment.startswith("{") for segment in path.split("/")]):
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)) + "$"
        rules.append(Rule(PathMatches(pattern), Endpoint(state, paths[path])))
    return Application([*rules, Rule(AnyMatches(), Endpoint(state, ()))])
