"""The HTTP client of one upstream: pooled connections, credentials, retries if they are safe."""

from __future__ import annotations

import asyncio
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from openholder import SourceFault, UntrustedJSON, describe_response, parse_json
from openholder_rest.credentials import Credentials, FixedCredentials, OAuthCredentials
from openholder_rest.responses import UpstreamResponse
from openholder_rest.settings import RESTSettings
from openholder_rest.transport import RetryableError, raise_for_outage, read_body, send

JSON = "application/json"
PDF = "application/pdf"
ERRORS = frozenset({"application/problem+json", "application/vnd.error+json"})
"""Media types that describe an error (RFC 9457), whatever the status."""
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}")
BACKOFF = 0.1
"""Mean seconds before the second attempt; doubled before each further one."""


class Unauthorized(SourceFault):
    """The upstream refused this source's credentials."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The clock of a source, and how it sleeps; tests replace both."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep


class UpstreamClient:
    """Sends GET requests to one upstream. Create it within the event loop, and close it."""

    def __init__(self, settings: RESTSettings, pace: Pace) -> None:
        self._settings = settings
        self._pace = pace
        self._headers = settings.build_headers()
        self._proxy = find_proxy(settings, settings.base_url)
        self._session = _create_session(settings)
        self._credentials: Credentials
        if settings.oauth:
            proxy = find_proxy(settings, settings.oauth.token_url)
            self._credentials = OAuthCredentials(settings.oauth, self._session, pace.clock, proxy)
        else:
            self._credentials = FixedCredentials(settings.build_authorization())

    async def close(self) -> None:
        """Close the pool."""
        await self._credentials.close()
        await self._session.close()

    async def get(self, url: str, media: str) -> UpstreamResponse | None:
        """Return the response, which must have that media type; None if it means that there is nothing.

        A GET changes nothing, so it may be repeated, within `retries` and `retry_budget`.
        """
        started = self._pace.clock()
        attempt = 0
        while True:
            try:
                return await self._attempt(url, media)
            except RetryableError as error:
                # Random, so that many callers do not retry at the same moment.
                backoff = BACKOFF * random.uniform(0.5, 1.5) * float(2**attempt)
                wait = backoff if error.wait is None else error.wait
                spent = self._pace.clock() - started
                if attempt >= self._settings.retries or spent + wait > self._settings.retry_budget:
                    raise error.failure from error.__cause__
            attempt += 1
            await self._pace.sleep(wait)

    async def _attempt(self, url: str, media: str) -> UpstreamResponse | None:
        authorization = await self._credentials.get_header()
        try:
            return await self._request(url, media, authorization)
        except Unauthorized:
            another = await self._credentials.get_header(refused=authorization)
            if another == authorization:
                raise
        return await self._request(url, media, another)

    async def _request(self, url: str, media: str, authorization: str) -> UpstreamResponse | None:
        headers = {**self._headers, "Accept": media}
        if authorization:
            headers["Authorization"] = authorization
        async with await send(self._session, "GET", url, proxy=self._proxy, headers=headers) as response:
            if await self._means_nothing(response):
                return None
            raise_for_outage(response)
            _check_response(response, media)
            found = response.headers
            return UpstreamResponse(
                await read_body(response, self._settings.max_bytes),
                charset=response.charset or "",
                link=", ".join(found.getall("Link", [])),
                content_range=found.get("Content-Range", ""),
                total=found.get("X-Total-Count", ""),
            )

    async def _means_nothing(self, response: aiohttp.ClientResponse) -> bool:
        """Tell whether a response other than 200 says that there is no such record."""
        nothing, status = self._settings.nothing, response.status
        if status in nothing.statuses:
            return True
        if status == 200 or status not in nothing.codes:
            return False
        try:
            return nothing.has_code(status, parse_json(await read_body(response, self._settings.max_bytes)))
        except UntrustedJSON:
            return False


def find_proxy(settings: RESTSettings, url: str) -> str | None:
    """Find the proxy for a URL. Raises `SourceFault` if the environment names one that cannot be used."""
    try:
        return settings.host.outbound.find_proxy(url)
    except ValueError as exc:
        raise SourceFault(str(exc)) from exc


def _create_session(settings: RESTSettings) -> aiohttp.ClientSession:
    # Not those of the settings: they are for the upstream, and token requests go to another server.
    headers = {"User-Agent": settings.host.outbound.user_agent}
    return aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(limit=settings.connections, ssl=_create_tls(settings)),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=settings.host.outbound.make_trace_configs(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_timeout, sock_read=settings.read_timeout
        ),
    )


def _create_tls(settings: RESTSettings) -> ssl.SSLContext | bool:
    """Load trusted authorities and the client certificate. Raises `SourceFault` if a file cannot be used."""
    if not settings.tls_ca and not settings.tls_certificate:
        return True
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
    except (ssl.SSLError, OSError) as exc:
        raise SourceFault(f"tls_ca cannot be used ({type(exc).__name__}): it must be a PEM file") from None
    if settings.tls_certificate:
        try:
            # With an empty passphrase OpenSSL fails for an encrypted key, instead of asking for one on the terminal.
            context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
        except (ssl.SSLError, OSError, ValueError) as exc:
            raise SourceFault(
                f"tls_certificate and tls_key cannot be used ({type(exc).__name__}): "
                "they must be a PEM certificate and its unencrypted key"
            ) from None
    return context


def _check_response(response: aiohttp.ClientResponse, media: str) -> None:
    """Raise `SourceFault` for a status, media type or encoding that cannot be used."""
    if response.status == 401:
        raise Unauthorized("upstream returned status 401")
    obstacle = describe_response(response.status, response.headers)
    if obstacle:
        raise SourceFault(f"upstream returned {obstacle}")
    received = response.content_type
    if received in ERRORS:
        raise SourceFault(f"upstream returned status 200 with the description of an error ({received})")
    if received != media and not (media == JSON and received.endswith("+json")):
        named = received if _MEDIA_TYPE.fullmatch(received) else "something unreadable"
        raise SourceFault(f"upstream response is not {media}; its Content-Type is {named}")
