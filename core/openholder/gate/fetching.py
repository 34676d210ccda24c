"""Fetch a JWK Set over HTTP within strict limits, and keep the last usable one for a restart."""

from __future__ import annotations

import base64
import errno
import json
import logging
import os
import re
import ssl
import stat
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openholder.errors import OpenholderError
from openholder.outbound import Outbound, UnusableProxy, describe_failure, describe_response, describe_way
from openholder.strict_json import parse_json

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

MAX_BYTES = 65_536
"""Bytes of a JWK Set."""
MAX_KEPT = 2 * MAX_BYTES
"""Bytes of the file with the last usable JWK Set: base64 makes it a third longer."""
DEADLINE = 3.0
"""Seconds for the whole fetch, even if the response arrives byte by byte."""


@dataclass(frozen=True, slots=True)
class FetchedDocument:
    """A document, and the seconds for which its host allows caching (None: not stated)."""

    body: bytes
    max_age: float | None = None


Fetch = Callable[[], Awaitable[FetchedDocument]]


class FetchFailed(OpenholderError):
    """The document was not fetched. The message says why, without anything of the response's body."""


def make_fetch(url: str, outbound: Outbound | None = None) -> Fetch:
    """Make a function that fetches ``url``: limited time and size, no redirects, no decompression, TLS verified.

    The function raises `FetchFailed`.
    """
    # Not above: it takes 9 MiB, and the parent of several workers and most commands fetch nothing.
    import aiohttp
    from yarl import URL

    outbound = outbound or Outbound()
    headers = {
        "Accept": "application/jwk-set+json, application/json",  # RFC 7517 section 8.5.2
        "Accept-Encoding": "identity",
        "User-Agent": outbound.user_agent,
    }
    tls = ssl.create_default_context() if url.startswith("https:") else True
    limit = aiohttp.ClientTimeout(total=DEADLINE)

    async def fetch() -> FetchedDocument:
        proxy = None
        try:
            proxy = outbound.find_proxy(url)
            async with (
                # A connection for each fetch: minutes pass between two of them.
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=tls),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    timeout=limit,
                ) as session,
                session.get(URL(url, encoded=True), headers=headers, allow_redirects=False, proxy=proxy) as response,
            ):
                return await _read_document(response)
        except FetchFailed as exc:
            raise FetchFailed(f"{exc}{describe_way(proxy)}") from None
        except (aiohttp.ClientError, TimeoutError, UnusableProxy) as exc:
            raise FetchFailed(describe_failure(exc, proxy)) from exc

    return fetch


async def _read_document(response: aiohttp.ClientResponse) -> FetchedDocument:
    obstacle = describe_response(response.status, response.headers)
    if obstacle:
        raise FetchFailed(obstacle)
    if (response.content_length or 0) > MAX_BYTES:
        raise FetchFailed(f"a response of {response.content_length} bytes; at most {MAX_BYTES} are read")
    body = bytearray()
    async for chunk in response.content.iter_chunked(MAX_BYTES):
        body += chunk
        if len(body) > MAX_BYTES:
            raise FetchFailed(f"a response of more than {MAX_BYTES} bytes, which is the limit")
    found = re.search(r"max-age=([0-9]{1,9})\b", response.headers.get("Cache-Control", ""))
    return FetchedDocument(bytes(body), float(found[1]) if found else None)


class KnownKeys:
    """A file with the last usable key set of one URL, so that a restart does not depend on the URL's host.

    Whoever can write this file can sign tokens. It is therefore believed only if nobody but this user or root can have
    written it.
    """

    def __init__(self, path: Path, url: str, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._url = url
        self._clock = clock

    def save(self, document: bytes) -> None:
        """Replace the stored key set atomically. A failure is logged, not raised."""
        kept = {"url": self._url, "at": self._clock(), "document": base64.b64encode(document).decode("ascii")}
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(kept, file)
            fresh.replace(self._path)
        except OSError as exc:
            log.warning("cannot save the known keys to %s: %s", self._path, type(exc).__name__)

    def load(self) -> tuple[bytes, float] | None:
        """Return the key set stored for this URL and its age in seconds, or None if there is no trustworthy one."""
        try:
            kept = parse_json(_read_own_file(self._path))
            document, url = base64.b64decode(kept["document"], validate=True), kept["url"]
            age = self._clock() - float(kept["at"])
        except FileNotFoundError:
            return None
        except _UntrustedFile as exc:
            log.error("ignoring %s: %s; remove it, and it is written anew with the next fetch", self._path, exc)
            return None
        except (OSError, ValueError, LookupError, TypeError) as exc:
            log.error("ignoring %s: %s", self._path, type(exc).__name__)
            return None
        return (document, age) if url == self._url and age >= 0 else None


class _UntrustedFile(Exception):
    """Somebody else may have written the file. The message says why."""


def _read_own_file(path: Path) -> bytes:
    """Read a file that only this user or root can have written: judged by the open file, which nobody can exchange."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a named pipe would block
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise _UntrustedFile("it is a symbolic link") from exc
        raise
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _UntrustedFile("it is not a regular file")
        if found.st_uid not in {0, os.geteuid()}:
            raise _UntrustedFile("it belongs to another user")
        if found.st_mode & 0o022:
            raise _UntrustedFile("it is writable by group or others")
        if found.st_nlink > 1:
            raise _UntrustedFile("it has a second name (a hard link)")
        return file.read(MAX_KEPT)
