"""Fetching a JWK Set over HTTP with every limit on, and keeping the last good one for a restart."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from openholder.strict_json import parse_json

log = logging.getLogger(__name__)

MAX_BYTES = 65_536
DEADLINE = 3.0
"""Seconds for the whole fetch, however slowly the answer drips."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document, and the seconds for which its host says that it stays fresh."""

    body: bytes
    max_age: float | None = None


Fetch = Callable[[], Awaitable[Fetched]]


def fetch_from(url: str) -> Fetch:
    """A fetch of ``url`` with time and size limits, no redirects, no decompression, TLS verified."""

    async def fetch() -> Fetched:
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
        return Fetched(response.body, float(found[1]) if found else None)

    return fetch


class KnownKeys:
    """A file with the last good key set of one URL: a restart then does not depend on that URL's host.

    Whoever can write this file can sign tokens, so one that others may write is not believed.
    """

    def __init__(self, path: Path, url: str, clock: Callable[[], float] = time.time) -> None:
        self._path, self._url, self._clock = path, url, clock

    def keep(self, document: bytes) -> None:
        """Put ``document`` in place of what is there, all at once."""
        kept = {"url": self._url, "at": self._clock(), "document": base64.b64encode(document).decode("ascii")}
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            fresh.unlink(missing_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(kept, file)
            fresh.replace(self._path)
        except OSError as exc:
            log.warning("the known keys were not kept in %s: %s", self._path, type(exc).__name__)

    def recall(self) -> tuple[bytes, float] | None:
        """The document kept for this URL and its age in seconds, if there is one to be believed."""
        try:
            if self._path.stat().st_mode & 0o022:
                log.error("%s is not used: others than its owner may write it", self._path)
                return None
            kept = parse_json(self._path.read_bytes())
            document, url = base64.b64decode(kept["document"], validate=True), kept["url"]
            age = self._clock() - float(kept["at"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError) as exc:
            log.error("%s is not used: %s", self._path, type(exc).__name__)
            return None
        return (document, age) if url == self._url and age >= 0 else None
