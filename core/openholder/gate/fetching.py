"""Fetch a JWK Set over HTTP within strict limits, and keep the last usable one for a restart."""

from __future__ import annotations

import base64
import errno
import json
import logging
import os
import re
import stat
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from openholder.strict_json import parse_json

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


def make_fetch(url: str) -> Fetch:
    """Make a function that fetches ``url``: limited time and size, no redirects, no decompression, TLS verified."""

    async def fetch() -> FetchedDocument:
        client = AsyncHTTPClient(force_instance=True, max_body_size=MAX_BYTES, max_header_size=16_384)
        request = HTTPRequest(
            url,
            connect_timeout=DEADLINE,
            request_timeout=DEADLINE,
            follow_redirects=False,
            decompress_response=False,
            headers={"Accept": "application/json"},
        )
        try:
            response = await client.fetch(request)
        finally:
            client.close()
        found = re.search(r"max-age=([0-9]{1,9})\b", response.headers.get("Cache-Control", ""))
        return FetchedDocument(response.body, float(found[1]) if found else None)

    return fetch


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
