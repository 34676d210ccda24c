"""One exchange with an upstream: what may be tried again, what is its fault, and how much of an answer is read."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

from openholder import SourceFault, SourceUnavailable

BUSY = frozenset({429, 503})
PASSING = frozenset({502, 503, 504})
"""What a gateway says while what is behind it restarts: worth another try even where it does not say when."""
DEFAULT_RETRY_AFTER = 5
MAX_RETRY_AFTER = 9999


class Down(SourceFault):
    """The upstream as a whole is in trouble, not just one answer of it: what the circuit breaker counts."""


class Again(Exception):
    """An attempt failed in a way that another one may mend, after ``wait`` seconds where the upstream said so."""

    def __init__(self, failure: SourceFault | SourceUnavailable, wait: int | None = None) -> None:
        super().__init__()
        self.failure = failure
        self.wait = wait


async def sent(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> aiohttp.ClientResponse:
    """Send a request and wait for the head of the answer. Redirects come as they are; the URL goes out as it is."""
    try:
        return await session.request(method, URL(url, encoded=True), allow_redirects=False, **more)
    except aiohttp.ClientConnectionError as exc:
        down = Down(f"upstream not reached: {type(exc).__name__}")
        raise Again(down) if _is_ours_to_repeat(exc, method) else down from exc
    except aiohttp.ClientError as exc:
        raise SourceFault(f"upstream answer cannot be read: {type(exc).__name__}") from exc


def _is_ours_to_repeat(exc: aiohttp.ClientConnectionError, method: str) -> bool:
    """Whether another try is ours to make.

    Where a connection is dropped, aiohttp has sent a GET once more already; and one who keeps silent has the question:
    asking again would double the load.
    """
    connecting = isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return connecting or (method != "GET" and isinstance(exc, aiohttp.ServerDisconnectedError))


async def body_of(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body as it comes in, given up as soon as it is longer than ``limit``."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(65_536):
            body += chunk
            if len(body) > limit:
                response.close()
                raise SourceFault(f"upstream sent more than {limit} bytes")
    except aiohttp.ClientError as exc:
        raise Down(f"upstream answer broke off: {type(exc).__name__}") from exc
    return bytes(body)


def refuse_trouble(response: aiohttp.ClientResponse) -> None:
    """Raise for a status that speaks of the upstream's state rather than of the question."""
    status, wait = response.status, retry_after(response.headers.get("Retry-After", ""))
    if status in BUSY:
        seconds = DEFAULT_RETRY_AFTER if wait is None else wait
        unavailable = SourceUnavailable(f"upstream answered {status}", retry_after=seconds)
        raise Again(unavailable, wait) if status in PASSING or wait is not None else unavailable
    if status >= 500:
        down = Down(f"upstream answered {status}")
        raise Again(down, wait) if status in PASSING else down


def retry_after(text: str) -> int | None:
    """``Retry-After`` in seconds, written as such or as an HTTP date that is still to come. ``None``: not usable."""
    in_seconds = text.isascii() and text.isdecimal() and len(text) < 10
    seconds = int(text) if in_seconds else _seconds_until(text)
    return seconds if 0 <= seconds <= MAX_RETRY_AFTER else None


def _seconds_until(date: str) -> int:
    try:
        return round(parsedate_to_datetime(date).timestamp() - time.time())
    except (ValueError, OverflowError):
        return -1
