"""Call a resource server as Fiskil does, with a new token for each request."""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload
from multidict import CIMultiDict
from yarl import URL

from openholder.contract.operation import JSON
from openholder.errors import UntrustedJSON
from openholder.fiskil.signer import LIFETIME, Signer
from openholder.rehearsal.exchange import INTERACTION, Exchange, Request
from openholder.rehearsal.published_keys import PublishedKeys
from openholder.strict_json import parse_json

MAX_CONTENT = 33_554_432
"""The largest response that is read, in bytes: 32 MiB."""
PAUSE = 0.1
"""Seconds between two parts of a body."""


class PausedBody(BytesPayload):
    """A body that is sent in parts, with pauses between them, so that they arrive in packets of their own."""

    def __init__(self, content: bytes, pauses: tuple[int, ...]) -> None:
        super().__init__(content)
        self._ends = (*pauses, len(content))

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Send the header and the parts."""
        writer.send_headers()
        start = 0
        for end in self._ends:
            if end > start:
                await writer.write(self._value[start:end])
            await asyncio.sleep(PAUSE if end < len(self._value) else 0)
            start = end


class AcceptedToken(NamedTuple):
    """A request, including its token, that was answered with data."""

    request: Request
    expires: float
    """Seconds since 1970."""


@dataclass
class Caller:
    """Sends requests with tokens that the server accepts as Fiskil's."""

    connect: Callable[[], aiohttp.ClientSession]
    """Opens an HTTP client, with connections of its own."""
    http: aiohttp.ClientSession
    base_url: str
    """Where the server is called."""
    audience: str
    """The server's own public URL: the ``aud`` of a token, without the path of the request."""
    issuer: str
    signer: Signer
    trust: ssl.SSLContext | bool = True
    """Verifies the server's certificate."""
    authority: Path | None = None
    """The file that `trust` was loaded from, for a process of its own."""
    algorithm: str = "PS256"
    """The algorithm of the tokens: a server may accept PS256, RS256 or both."""
    keys: PublishedKeys | None = None
    """The key set, if it is the rehearsal that serves it."""
    first_accepted: AcceptedToken | None = None
    """The first request that was answered with data."""
    observers: list[Callable[[Exchange], None]] = field(default_factory=list)
    """Called with every exchange."""

    def sign_token(self, path: str, **claims: Any) -> str:
        """Sign a token for one request to ``path``; ``claims`` replace members, None removes one."""
        claims.setdefault("algorithm", self.algorithm)
        return self.signer.sign_token(self.issuer, self.audience + path, **claims)

    @asynccontextmanager
    async def new_connections(self) -> AsyncIterator[None]:
        """Use no connection of before for the duration of the block.

        Requests that follow each other then have the same connection: what a process of the server has learnt from the
        first, it knows at the second.
        """
        earlier = self.http
        async with self.connect() as self.http:
            try:
                yield
            finally:
                self.http = earlier

    async def send(self, request: Request) -> Exchange:
        """Send a request and return the exchange. Never raises for anything that the server does."""
        started, headers = time.perf_counter(), self._build_headers(request)
        try:
            exchange = await self._exchange(request, headers)
        except aiohttp.ClientConnectorError as exc:
            reason = f"no connection: {type(exc.os_error).__name__}"
            exchange = Exchange(request=request, transport_error=reason, is_unreachable=True)
        except TimeoutError:
            exchange = Exchange(request=request, transport_error="no response in time")
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            exchange = Exchange(request=request, transport_error=f"no response: {type(exc).__name__}")
        exchange = replace(exchange, seconds=time.perf_counter() - started)
        if exchange.is_ok and self.first_accepted is None:
            token = headers.get("Authorization", "").removeprefix("Bearer ")
            self.first_accepted = AcceptedToken(replace(request, token=token), time.time() + LIFETIME)
        for observer in self.observers:
            observer(exchange)
        return exchange

    async def _exchange(self, request: Request, headers: CIMultiDict[str]) -> Exchange:
        url = URL(self.base_url + request.path + (request.query and f"?{request.query}"), encoded=True)
        body: Any = request.body
        if body is not None and request.pauses:
            body = PausedBody(body, request.pauses)
        async with self.http.request(
            request.method, url, data=body, headers=headers, allow_redirects=False
        ) as response:
            content = await read_body(response.content)
            if content is None:
                return Exchange(request=request, transport_error=f"a response of more than {MAX_CONTENT >> 20} MiB")
            decoded, json_error = None, ""
            if response.content_type.endswith("json"):
                try:
                    decoded = parse_json(content)
                except UntrustedJSON as exc:
                    json_error = str(exc)
            return Exchange(
                request=request,
                status=response.status,
                headers=response.headers,
                content=content,
                json=decoded,
                json_error=json_error,
                interaction_id=headers.get(INTERACTION, ""),
            )

    def _build_headers(self, request: Request) -> CIMultiDict[str]:
        """Return the headers of the request and the default ones that it lacks. Empty headers are not sent."""
        token = self.sign_token(request.path) if request.token is None else request.token
        headers = CIMultiDict(request.headers)
        headers.setdefault("Authorization", f"Bearer {token}" if token else "")
        headers.setdefault(INTERACTION, str(uuid.uuid4()))
        headers.setdefault("Content-Type", JSON if request.body is not None else "")
        return CIMultiDict((name, value) for name, value in headers.items() if value)


@asynccontextmanager
async def open_caller(
    base_url: str,
    audience: str,
    issuer: str,
    signer: Signer,
    *,
    seconds: float,
    trust: ssl.SSLContext | bool = True,
    authority: Path | None = None,
) -> AsyncIterator[Caller]:
    """Open the HTTP client of a caller for the duration of the block.

    Args:
        base_url: Where the server is called.
        audience: The server's own public URL.
        issuer: ``iss`` and ``sub`` of the tokens.
        signer: Signs the tokens.
        seconds: The time limit for each response.
        trust: Verifies the server's certificate.
        authority: The file that ``trust`` was loaded from, if it was.
    """
    connect = partial(open_http, seconds=seconds, trust=trust)
    async with connect() as http:
        yield Caller(connect, http, base_url, audience, issuer, signer, trust, authority)


def open_http(
    *, seconds: float, trust: ssl.SSLContext | bool, middlewares: Sequence[aiohttp.ClientMiddlewareType] = ()
) -> aiohttp.ClientSession:
    """Open an HTTP client without cookies, User-Agent, and a limit of connections.

    Args:
        seconds: The time limit for each response.
        trust: Verifies the server's certificate.
        middlewares: Called around each request.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust, limit=0),
        timeout=aiohttp.ClientTimeout(total=seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=["User-Agent"],
        middlewares=middlewares,
    )


async def read_body(stream: aiohttp.StreamReader) -> bytes | None:
    """Read the body; return None if it exceeds the limit."""
    content = bytearray()
    async for part in stream.iter_chunked(65_536):
        content += part
        if len(content) > MAX_CONTENT:
            return None
    return bytes(content)
