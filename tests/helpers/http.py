"""HTTP servers of both transports without openholder behind them: they answer with what they have understood."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from openholder.edge.headers import AnswerHeaders
from openholder.edge.heads import BadRequest
from openholder.edge.server import Limits, Server
from openholder.llhttp.server import LLHTTPServer
from openholder.server.connections import bind
from openholder.server.tornado_http import TornadoServer

KINDS: dict[str, type[Server]] = {"llhttp": LLHTTPServer, "tornado": TornadoServer}
LIMITS = Limits(connections=100, per_address=100, first_head=10, idle=10, body=5)
INTERACTION_ID = "7e4f0e0a-98c6-4e5b-9c4b-0b0b0b0b0b0b"


class Mirror(HTTPMessageDelegate):
    """Answers with the request as it was understood."""

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection
        self.body = b""

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        self.understood: dict[str, Any] = {"line": list(start_line), "headers": sorted(headers.get_all())}

    def data_received(self, chunk: bytes) -> None:
        self.body += chunk

    def finish(self) -> None:
        answer = json.dumps({**self.understood, "body": self.body.decode("latin-1")}).encode()
        headers = AnswerHeaders("application/json", INTERACTION_ID, len(answer))
        head_only = self.understood["line"][0] == "HEAD"
        self.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), headers, b"" if head_only else answer)
        self.connection.finish()

    def on_connection_close(self) -> None:
        """Do nothing: the request was not complete."""


@dataclass
class Mirrors(HTTPServerConnectionDelegate):
    """An application of mirrors, and what its server has refused and reported."""

    refused: list[str] = field(default_factory=list)
    reported: list[str] = field(default_factory=list)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        return Mirror(request_conn)

    def refuse(self, refusal: BadRequest, ip: str) -> bytes:
        assert ip.startswith("127.")
        self.refused.append(refusal.reason)
        return f"HTTP/1.1 {refusal.status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()

    def report(self, reason: str, ip: str) -> None:
        assert ip.startswith("127.")
        self.reported.append(reason)


@dataclass
class Reflecting:
    """A running server of mirrors."""

    server: Server
    application: Mirrors
    port: int

    async def talk(self, sent: bytes, *, pieces: int = 0) -> bytes:
        """Send bytes, at once or in pieces, and return all that comes until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        received = b""
        try:
            for start in range(0, len(sent), pieces or len(sent)):
                writer.write(sent[start : start + (pieces or len(sent))])
                await writer.drain()
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                while chunk := await reader.read(65_536):
                    received += chunk
        except ConnectionError:
            pass  # the server did not wait for the rest
        finally:
            writer.transport.abort()
        return received


@asynccontextmanager
async def reflecting(transport: str, limits: Limits = LIMITS) -> AsyncIterator[Reflecting]:
    """Serve mirrors for the duration of the block."""
    application = Mirrors()
    server = KINDS[transport](application, application.refuse, application.report, limits)
    sockets = bind("127.0.0.1", 0)
    server.add_sockets(sockets)
    yield Reflecting(server, application, sockets[0].getsockname()[1])
    server.stop()
    await server.close_all_connections()
