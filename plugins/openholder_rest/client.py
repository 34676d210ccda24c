"""The client of one upstream: pooled connections, credentials, one more try where that is safe."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from openholder import SourceFault
from openholder_rest.credentials import Credentials, Fixed, Tokens
from openholder_rest.following import Answer
from openholder_rest.settings import RESTSettings
from openholder_rest.transport import Again, body_of, refuse_trouble, sent

JSON, PDF = "application/json", "application/pdf"
BACKOFF = 0.1
"""Seconds before the second attempt, on the average; twice that before each further one."""


class Unauthorized(SourceFault):
    """The upstream does not take our credentials, or no longer."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What time it is, and how to let it pass."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


class Client:
    """Asks one upstream. To be made within the event loop, and closed."""

    def __init__(self, settings: RESTSettings, pace: Pace) -> None:
        self._settings = settings
        self._pace = pace
        self._headers = settings.request_headers()
        self._session = _session(settings)
        self._credentials = self._made_credentials()

    def _made_credentials(self) -> Credentials:
        if self._settings.oauth:
            return Tokens(self._settings.oauth, self._session, self._pace.clock)
        return Fixed(self._settings.authorization())

    async def close(self) -> None:
        """Close the pool."""
        await self._credentials.close()
        await self._session.close()

    async def get(self, url: str, media: str) -> Answer | None:
        """What the upstream answers with, which must be of that media type. Nothing, where it has no such thing.

        A GET changes nothing, so that it may be repeated; how often and for how long is limited.
        """
        started, attempt = self._pace.clock(), 0
        while True:
            try:
                return await self._attempt(url, media)
            except Again as again:
                wait = _backoff(attempt) if again.wait is None else again.wait
                spent = self._pace.clock() - started
                if attempt >= self._settings.retries or spent + wait > self._settings.retry_budget:
                    raise again.failure from again.__cause__
            attempt += 1
            await self._pace.sleep(wait)

    async def _attempt(self, url: str, media: str) -> Answer | None:
        authorization = await self._credentials.header()
        try:
            return await self._exchange(url, media, authorization)
        except Unauthorized:
            another = await self._credentials.header(refused=authorization)
            if another == authorization:
                raise
        return await self._exchange(url, media, another)

    async def _exchange(self, url: str, media: str, authorization: str) -> Answer | None:
        headers = {**self._headers, "Accept": media}
        if authorization:
            headers["Authorization"] = authorization
        async with await sent(self._session, "GET", url, headers=headers) as response:
            if response.status == 404:
                return None
            refuse_trouble(response)
            _refuse_unusable(response, media)
            body = await body_of(response, self._settings.max_bytes)
            return Answer(body, link=", ".join(response.headers.getall("Link", [])))


def _session(settings: RESTSettings) -> aiohttp.ClientSession:
    # Without headers of its own: they are for the upstream, and tokens come from another place.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=settings.connections, ssl=_tls(settings)),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_timeout, sock_read=settings.read_timeout
        ),
    )


def _tls(settings: RESTSettings) -> ssl.SSLContext | bool:
    """Whom the source trusts, and its own certificate. Raises `SourceFault` for files that cannot be used."""
    if not settings.tls_ca and not settings.tls_certificate:
        return True
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
    except (ssl.SSLError, OSError) as exc:
        raise SourceFault(f"tls_ca cannot be used: {type(exc).__name__}") from None
    if settings.tls_certificate:
        try:
            # The passphrase is empty: OpenSSL would ask for one on the terminal.
            context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
        except (ssl.SSLError, OSError, ValueError) as exc:
            raise SourceFault(f"tls_certificate and tls_key cannot be used: {type(exc).__name__}") from None
    return context


def _backoff(attempt: int) -> float:
    return BACKOFF * random.uniform(0.5, 1.5) * float(2**attempt)


def _refuse_unusable(response: aiohttp.ClientResponse, media: str) -> None:
    if response.status == 401:
        raise Unauthorized("upstream answered 401")
    if response.status != 200:
        raise SourceFault(f"upstream answered {response.status}")
    kind = response.content_type
    if kind != media and not (media == JSON and kind.endswith("+json")):
        raise SourceFault(f"upstream did not answer with {media}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise SourceFault("upstream sent a compressed answer, which was not asked for")
