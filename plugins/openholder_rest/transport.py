"""One HTTP exchange with an upstream: what may be retried, what counts as an outage, and how much is read."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

from openholder import SourceFault, SourceUnavailable, describe_failure

BUSY = frozenset({429, 503})
PASSING = frozenset({502, 503, 504})
"""What a gateway returns while the server behind it restarts: worth a retry even without Retry-After."""
DEFAULT_RETRY_AFTER = 5
MAX_RETRY_AFTER = 9999


class UpstreamDown(SourceFault):
    """The upstream as a whole is in trouble, not just one response: what the circuit breaker counts."""


class RetryableError(Exception):
    """An attempt failed in a way that a retry may fix, after ``wait`` seconds if the upstream said so."""

    def __init__(self, failure: SourceFault | SourceUnavailable, wait: int | None = None) -> None:
        super().__init__()
        self.failure = failure
        self.wait = wait


async def send(
    session: aiohttp.ClientSession, method: str, url: str, *, proxy: str | None, **more: Any
) -> aiohttp.ClientResponse:
    """Send a request, through a proxy if there is one, and wait for the head of the response.

    Redirects are not followed: they could lead to another host. The URL is sent as it is: yarl would normalise its
    percent-encoding.
    """
    try:
        return await session.request(method, URL(url, encoded=True), allow_redirects=False, proxy=proxy, **more)
    except (aiohttp.ClientConnectionError, aiohttp.ClientHttpProxyError) as exc:
        down = UpstreamDown(f"upstream unreachable: {describe_failure(exc, proxy)}")
        raise RetryableError(down) if _may_retry(exc, method) else down from exc
    except aiohttp.ClientError as exc:
        raise SourceFault(f"upstream response is unreadable: {describe_failure(exc, proxy)}") from exc


def _may_retry(exc: aiohttp.ClientError, method: str) -> bool:
    """Return whether this client should retry.

    If a connection was dropped, aiohttp has already repeated a GET. If the upstream is silent, it has the request: a
    retry would double its load.
    """
    is_connecting = isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return is_connecting or (method != "GET" and isinstance(exc, aiohttp.ServerDisconnectedError))


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read the body. Raises `SourceFault` as soon as it exceeds ``limit`` bytes."""
    announced = response.content_length or 0
    if announced > limit:
        response.close()
        raise SourceFault(f"upstream response has {announced} bytes; at most {limit} are read")
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(65_536):
            body += chunk
            if len(body) > limit:
                response.close()
                raise SourceFault(f"upstream response exceeds {limit} bytes")
    except aiohttp.ClientError as exc:
        raise UpstreamDown(f"upstream response ended early ({type(exc).__name__})") from exc
    return bytes(body)


def raise_for_outage(response: aiohttp.ClientResponse) -> None:
    """Raise for a status that is about the state of the upstream, not about the request."""
    status = response.status
    wait = parse_retry_after(response.headers.get("Retry-After", ""))
    if status in BUSY:
        seconds = DEFAULT_RETRY_AFTER if wait is None else wait
        unavailable = SourceUnavailable(f"upstream returned status {status}", retry_after=seconds)
        raise RetryableError(unavailable, wait) if status in PASSING or wait is not None else unavailable
    if status >= 500:
        down = UpstreamDown(f"upstream returned status {status}")
        raise RetryableError(down, wait) if status in PASSING else down


def parse_retry_after(text: str) -> int | None:
    """Return the seconds of a ``Retry-After`` header: a number, or an HTTP date in the future (RFC 9110, 10.2.3).

    None if it is neither, or longer than `MAX_RETRY_AFTER`.
    """
    if text.isascii() and text.isdecimal() and len(text) < 10:
        seconds = int(text)
    else:
        try:
            seconds = round(parsedate_to_datetime(text).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None
    return seconds if 0 <= seconds <= MAX_RETRY_AFTER else None
