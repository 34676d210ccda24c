"""The load of the soak: an open loop of requests, each answer compared with the expected records."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from array import array
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from bank import ISSUER
from soak_bank import Asked, Generation, draw_good, draw_hostile
from yarl import URL

from openholder.fiskil.signer import Signer

AT_ONCE = 200
"""Requests that wait for an answer. With more, the machine does not carry the rate: the next one waits, and counts."""
HOSTILE_SHARE = 0.05
SETTLING = 20.0
"""Seconds after a database was replaced, within which an answer may still come from the one before."""
AFTERMATH = 5.0
"""Seconds after a worker was ended, within which its connections may break: such a request is sent once more."""
PATIENCE = 60.0
"""Seconds after which a request without an answer is lost."""
KEPT = 500
"""Requests whose tokens are known to be used, to be sent again."""


@dataclass
class Load:
    """Requests at a rate, and what became of them."""

    base_url: str
    context: ssl.SSLContext
    signer: Signer
    generations: list[tuple[float, Generation]]
    """The databases, with when each was put into its place; the newest last."""
    sent: int = 0
    delayed: int = 0
    """Requests that were sent later than they were due, as too many others waited."""
    interrupted: int = 0
    """Requests whose connection broke with a worker that was ended; each was sent once more."""
    good: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, array[float]] = field(default_factory=lambda: defaultdict(lambda: array("f")))
    ended_at: float = -1e9
    """When a worker was last ended, by the monotonic clock."""
    used: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def __post_init__(self) -> None:
        self._chance = random.Random(7)

    async def measure_capacity(self, seconds: float) -> float:
        """Return how many requests a second are answered, with 16 callers that wait for each answer."""
        ends, before = time.monotonic() + seconds, self.good

        async def call_again(session: aiohttp.ClientSession) -> None:
            while time.monotonic() < ends:
                await self._send(session, self._draw_good(), time.monotonic())

        async with self._open_session() as session:
            await asyncio.gather(*(call_again(session) for _ in range(16)))
        return (self.good - before) / seconds

    async def run(self, rate: float, ended: asyncio.Event) -> None:
        """Send requests when they are due, until ``ended``; then wait for all answers."""
        tasks: set[asyncio.Task[None]] = set()
        async with self._open_session() as session:
            due = time.monotonic()
            while not ended.is_set():
                asked = self._draw_hostile() if self._chance.random() < HOSTILE_SHARE else self._draw_good()
                task = asyncio.create_task(self._send(session, asked, due))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                self.sent += 1
                due += 1 / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if len(tasks) >= AT_ONCE:
                    self.delayed += 1
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    due = max(due, time.monotonic())
            if tasks:
                await asyncio.wait(tasks)

    def _open_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self.context, keepalive_timeout=5),
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
        )

    def _draw_good(self) -> Asked:
        return draw_good(self._chance, self._sign)

    def _draw_hostile(self) -> Asked:
        return draw_hostile(self._chance, self.signer, self.base_url, self.used)

    def _sign(self, path: str) -> str:
        return self.signer.sign_token(ISSUER, self.base_url + path)

    async def _send(self, session: aiohttp.ClientSession, asked: Asked, due: float) -> None:
        """Send a request, and once more with a new token if the worker that had it was ended.

        aiohttp repeats a GET by itself when its connection breaks. The token is used then if the worker that was ended
        had got as far, and the repeated request is refused.
        """
        sent, found = time.monotonic(), await self._try(session, asked)
        is_broken = isinstance(found, Exception) or (asked.status == 200 and found[0] == 401)
        if is_broken and time.monotonic() - self.ended_at < AFTERMATH and not isinstance(found, TimeoutError):
            self.interrupted += 1
            if asked.status == 200:
                asked = asked._replace(token=self._sign(asked.path.partition("?")[0]))
            found = await self._try(session, asked)
        if isinstance(found, Exception):
            self.lost[f"{asked.operation}: {type(found).__name__}"] += 1
            return
        self._judge(asked, sent, *found)
        if asked.status == found[0] == 200:
            self.seconds[asked.operation].append(time.monotonic() - due)

    async def _try(self, session: aiohttp.ClientSession, asked: Asked) -> tuple[int, bytes] | Exception:
        try:
            return await self._exchange(session, asked)
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            return exc

    async def _exchange(self, session: aiohttp.ClientSession, asked: Asked) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {asked.token}"} if asked.token else {}
        if asked.body:
            headers["Content-Type"] = "application/json"
        url = URL(self.base_url + asked.path, encoded=True)
        async with session.request(asked.method, url, headers=headers, data=asked.body or None) as answer:
            return answer.status, await answer.read()

    def _judge(self, asked: Asked, sent: float, status: int, body: bytes) -> None:
        if status != asked.status:
            self.wrong[f"{asked.operation}: {status} instead of {asked.status}"] += 1
        elif status != 200:
            self.refused[asked.operation] += 1
        elif self._is_expected(asked, sent, json.loads(body)):
            self.good += 1
            if asked.method == "GET" and "?" not in asked.path and asked.token:
                self.used.append((asked.path, asked.token))
        else:
            self.wrong[f"{asked.operation}: other records"] += 1

    def _is_expected(self, asked: Asked, sent: float, found: Any) -> bool:
        """Return whether the answer is that of a database that may have been read: whole, and not too old."""
        found.pop("links", None)
        newest = len(self.generations) - 1
        for number in range(newest, max(-1, newest - 2), -1):
            if self.generations[number][1].expect(asked.operation, asked.key) == found:
                return number == newest or sent < self.generations[number + 1][0] + SETTLING
        return False
