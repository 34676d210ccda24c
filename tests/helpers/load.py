"""Requests at a steady rate from a thread of their own: each is counted, and each answer compared."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import Any

import aiohttp
from yarl import URL

from helpers.processes import PATIENCE
from helpers.support import ISSUER
from openholder.fiskil.signer import Signer

AT_ONCE = 50
"""Requests that may wait for an answer at the same time."""


@contextmanager
def serve_keys(signer: Signer) -> Iterator[int]:
    """Serve the signer's keys as Fiskil does, whatever happens to the servers under test. Give the port."""

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(signer.jwks())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: its status and whether the answer was right, or the error instead of an answer."""

    sent: float
    """When, by the monotonic clock."""
    seconds: float
    status: int | str
    value: Any = None
    """What the answer was read as, or the error body."""


@dataclass
class Load:
    """GET requests to ``url`` for the duration of the block.

    Every second request is sent on a connection of its own, the others on connections that stay open. A request is
    sent when it is due, unless `AT_ONCE` others have no answer yet: then the machine allows no higher rate.
    """

    url: str
    signer: Signer
    paths: Mapping[str, Callable[[Any], Any]]
    """What is asked, in turn, and what reads the decoded answer."""
    public_url: str = ""
    """What tokens are for; by default ``url``."""
    rate: float = 300
    context: ssl.SSLContext | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    sent: int = 0
    accepted: list[tuple[str, str]] = field(default_factory=list)
    """The path and the token of each request that was answered with data."""

    def __enter__(self) -> Load:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        self.wait_for(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(2 * PATIENCE)

    def wait_for(self, answers: int) -> None:
        """Wait for so many further answers."""
        wanted, deadline = len(self.outcomes) + answers, time.monotonic() + PATIENCE
        while len(self.outcomes) < wanted:
            assert time.monotonic() < deadline, "no answers"
            time.sleep(0.01)

    def count(self, since: float = 0.0) -> Counter[Any]:
        """Count the outcomes of requests sent since then, by status and value."""
        return Counter((one.status, repr(one.value)) for one in self.outcomes if one.sent >= since)

    async def _run(self) -> None:
        limits = aiohttp.ClientTimeout(total=PATIENCE)
        tls = True if self.context is None else self.context
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=tls), timeout=limits) as kept,
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=tls, force_close=True), timeout=limits
            ) as fresh,
        ):
            tasks: set[asyncio.Task[None]] = set()
            due = time.monotonic()
            for session, path in zip(cycle((kept, fresh)), cycle(self.paths)):
                if self._ended.is_set():
                    break
                task = asyncio.create_task(self._send(session, path))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                self.sent += 1
                due = max(due + 1 / self.rate, time.monotonic() - 1)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                while len(tasks) >= AT_ONCE:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks:
                await asyncio.wait(tasks)

    async def _send(self, session: aiohttp.ClientSession, path: str) -> None:
        token = self.signer.sign_token(ISSUER, (self.public_url or self.url) + path.partition("?")[0])
        sent, value = time.monotonic(), None
        status: int | str
        try:
            headers = {"Authorization": f"Bearer {token}"}
            async with session.get(URL(self.url + path, encoded=True), headers=headers) as answer:
                status, body = answer.status, json.loads(await answer.read())
            value = self.paths[path](body) if status == 200 else body["errors"][0]["code"]
            if status == 200:
                self.accepted.append((path, token))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            status = type(exc).__name__
        self.outcomes.append(Outcome(sent, time.monotonic() - sent, status, value))
