"""A proxy that changes one thing about what a healthy server is asked, or answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler
from yarl import URL

from openholder.contract.operations import OPERATIONS, Operation
from openholder.server.app import bind
from openholder.strict_json import parse_json

_HOP = {"content-length", "transfer-encoding", "connection", "date", "server"}
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_ROUTES = sorted(
    ((re.compile(re.sub(r"{\w+}", "[^/]+", row.path)), row) for row in OPERATIONS), key=lambda pair: "{" in pair[1].path
)


@dataclass
class Call:
    """One request on its way, and its answer on the way back."""

    operation: Operation | None
    method: str
    path: str
    query: str
    body: bytes
    headers: dict[str, str]
    number: int
    """The how manieth of its operation."""
    token: Callable[[str], str] = lambda _: ""
    """A good token for a path: for servers that do not look at what theirs says."""
    status: int = 0
    answer: dict[str, str] = field(default_factory=dict)
    """The headers of the answer."""
    content: bytes = b""

    @property
    def name(self) -> str:
        return self.operation.name if self.operation else ""

    @property
    def json(self) -> Any:
        return parse_json(self.content)

    @json.setter
    def json(self, content: Any) -> None:
        self.content = _ENCODER.encode(content)

    @property
    def records(self) -> list[Any]:
        """The list in the answer; empty where there is none."""
        content = self.json if self.status == 200 else None
        for name in self.operation.reply.envelope if self.operation else ():
            content = content.get(name) if isinstance(content, dict) else None
        return content if isinstance(content, list) else []

    def with_records(self, records: list[Any]) -> None:
        """Put another list into the answer."""
        content = place = self.json
        *path, last = self.operation.reply.envelope
        for name in path:
            place = place[name]
        place[last] = records
        self.json = content


Change = Callable[[Call], None]


def nothing(call: Call) -> None:
    """Leave it as it is."""


@dataclass
class Proxy:
    """Passes everything on, but for one change on the way there and one on the way back."""

    upstream: str
    session: aiohttp.ClientSession
    ask: Change
    answer: Change
    delay: Callable[[Call], float]
    token: Callable[[str], str]
    numbers: dict[str, int] = field(default_factory=dict)

    async def pass_on(self, call: Call) -> None:
        call.token = self.token
        call.number = self.numbers[call.name] = self.numbers.get(call.name, 0) + 1
        await asyncio.sleep(self.delay(call))
        self.ask(call)
        url = URL(self.upstream + call.path + (call.query and f"?{call.query}"), encoded=True)
        async with self.session.request(
            call.method, url, data=call.body or None, headers=call.headers, allow_redirects=False
        ) as response:
            call.status, call.content = response.status, await response.read()
            call.answer = {name: value for name, value in response.headers.items() if name.lower() not in _HOP}
        self.answer(call)


class _Handler(RequestHandler):
    def initialize(self, proxy: Proxy) -> None:
        self.proxy = proxy

    async def _pass_on(self) -> None:
        request = self.request
        path = request.uri.partition("?")[0]
        found = (row for form, row in _ROUTES if row.method == request.method and form.fullmatch(path))
        headers = {name: value for name, value in request.headers.items() if name.lower() not in {*_HOP, "host"}}
        call = Call(next(found, None), request.method, path, request.query, request.body, headers, 0)
        await self.proxy.pass_on(call)
        self.set_status(call.status)
        for name in ("Content-Type", "Server"):
            self.clear_header(name)
        for name, value in call.answer.items():
            self.set_header(name, value)
        if call.content:
            self.finish(call.content)

    get = post = put = delete = patch = options = _pass_on


@asynccontextmanager
async def proxying(
    upstream: str,
    ask: Change = nothing,
    answer: Change = nothing,
    delay: Callable[[Call], float] = lambda _: 0,
    token: Callable[[str], str] = lambda _: "",
) -> AsyncIterator[str]:
    """The address of a proxy before ``upstream``."""
    sockets = bind("127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        proxy = Proxy(upstream, session, ask, answer, delay, token)
        server = HTTPServer(Application([(".*", _Handler, {"proxy": proxy})], log_function=lambda _: None))
        server.add_sockets(sockets)
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        server.stop()
        await server.close_all_connections()
