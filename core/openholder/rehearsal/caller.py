"""Calls a resource server as Fiskil does: one new token for each request."""

from __future__ import annotations

import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from openholder.contract.operation import JSON
from openholder.errors import UntrustedJSON
from openholder.fiskil.signer import LIFETIME, Signer
from openholder.rehearsal.exchange import Exchange, Request
from openholder.strict_json import parse_json

MAX_CONTENT = 33_554_432
"""Bytes of one answer: 32 MiB."""
INTERACTION = "x-fapi-interaction-id"


class Used(NamedTuple):
    """A request with the token that it was answered with data for."""

    request: Request
    expires: float
    """Seconds since 1970."""


@dataclass
class Caller:
    """Somebody whom the server takes for Fiskil. ``witnesses`` see every exchange."""

    session: aiohttp.ClientSession
    base_url: str
    """Where the server is called."""
    audience: str
    """What it takes itself to be: the URL that tokens are for, without a path's end."""
    issuer: str
    signer: Signer
    trust: ssl.SSLContext | bool = True
    """Whose certificates are good."""
    algorithm: str = "PS256"
    """What tokens are signed with: the server takes PS256, RS256 or both."""
    first: Used | None = None
    """The first request that was answered with data."""
    witnesses: list[Callable[[Exchange], None]] = field(default_factory=list)

    def token(self, path: str, **claims: Any) -> str:
        """A token for one request to ``path``; ``claims`` replace members, None removes one."""
        claims.setdefault("algorithm", self.algorithm)
        return self.signer.token(self.issuer, self.audience + path, **claims)

    async def send(self, request: Request) -> Exchange:
        """The exchange that a request leads to. It never raises for what the server does."""
        started, headers = time.perf_counter(), self._headers(request)
        try:
            exchange = await self._answered(request, headers)
        except aiohttp.ClientConnectorError as exc:
            exchange = Exchange(request=request, fault=f"no connection: {type(exc.os_error).__name__}", away=True)
        except TimeoutError:
            exchange = Exchange(request=request, fault="no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            exchange = Exchange(request=request, fault=f"no answer: {type(exc).__name__}")
        exchange = replace(exchange, seconds=time.perf_counter() - started)
        if exchange.good and self.first is None:
            token = headers.get("Authorization", "").removeprefix("Bearer ")
            self.first = Used(replace(request, token=token), time.time() + LIFETIME)
        for witness in self.witnesses:
            witness(exchange)
        return exchange

    async def _answered(self, request: Request, headers: CIMultiDict[str]) -> Exchange:
        url = URL(self.base_url + request.path + (request.query and f"?{request.query}"), encoded=True)
        async with self.session.request(
            request.method, url, data=request.body, headers=headers, allow_redirects=False
        ) as response:
            content = await _limited(response.content)
            if content is None:
                return Exchange(request=request, fault=f"an answer of more than {MAX_CONTENT >> 20} MiB")
            decoded, unreadable = _decoded(content) if response.content_type.endswith("json") else (None, "")
            return Exchange(
                request=request, status=response.status, headers=response.headers, content=content,
                json=decoded, unreadable=unreadable, interaction_id=headers.get(INTERACTION, ""),
            )  # fmt: skip

    def _headers(self, request: Request) -> CIMultiDict[str]:
        """Those of the request, and of our own whichever it does not have. An empty one is not sent."""
        token = self.token(request.path) if request.token is None else request.token
        headers = CIMultiDict(request.headers)
        headers.setdefault("Authorization", f"Bearer {token}" if token else "")
        headers.setdefault(INTERACTION, str(uuid.uuid4()))
        headers.setdefault("Content-Type", JSON if request.body is not None else "")
        return CIMultiDict((name, value) for name, value in headers.items() if value)


@asynccontextmanager
async def calling(
    base_url: str, audience: str, issuer: str, signer: Signer, *, seconds: float, trust: ssl.SSLContext | bool = True
) -> AsyncIterator[Caller]:
    """A caller that gives each answer so many seconds. ``trust``: whose certificates are good."""
    limit = aiohttp.ClientTimeout(total=seconds)
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=limit, cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=["User-Agent"]
    ) as session:
        yield Caller(session, base_url, audience, issuer, signer, trust)


async def _limited(stream: aiohttp.StreamReader) -> bytes | None:
    """What comes, or None where it is too much."""
    content = bytearray()
    async for part in stream.iter_chunked(65_536):
        content += part
        if len(content) > MAX_CONTENT:
            return None
    return bytes(content)


def _decoded(content: bytes) -> tuple[Any, str]:
    """The JSON, or why it is none."""
    try:
        return parse_json(content), ""
    except UntrustedJSON as exc:
        return None, str(exc)
