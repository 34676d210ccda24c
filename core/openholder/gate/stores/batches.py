"""Entries on their way to a store that takes them in batches, and the callers that wait for the results."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

Entry: TypeAlias = tuple[bytes, float]
"""A token's digest, and when it expires."""
Result: TypeAlias = bool | Exception

AT_ONCE = 500
"""The most entries in one batch."""


class Waiting(NamedTuple):
    """An entry, and the caller that waits for its result."""

    entry: Entry
    since: float
    answer: asyncio.Future[bool]

    def resolve(self, result: Result) -> None:
        """Give the caller the result, unless it no longer waits."""
        if self.answer.done():
            return
        if isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class Batches:
    """Gathers entries while a batch is being written, and writes them in the order in which they came.

    One batch at a time: a batch that waited behind another one would still be written after its callers have given up,
    and use up tokens whose requests were answered with 503.
    """

    def __init__(self, write: Callable[[Sequence[Entry]], Awaitable[Sequence[Result]]], timeout: float) -> None:
        """Keep the arguments.

        Args:
            write: Writes entries, and returns for each of them whether it was absent, or why that is not known.
            timeout: Seconds that an entry may wait for its batch.
        """
        self._write = write
        self._timeout = timeout
        self._waiting: deque[Waiting] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def add(self, entry: bytes, expires_at: float) -> bool:
        """Have an entry written. Return whether it was absent."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(Waiting((entry, expires_at), loop.time(), answer))
        if self._writer is None:
            self._writer = loop.create_task(self._write_all())
        return await answer

    async def drain(self) -> None:
        """Wait until all entries have been written."""
        if self._writer:
            await asyncio.wait([self._writer])

    async def _write_all(self) -> None:
        while batch := self._take_batch():
            results: Sequence[Result]
            try:
                results = await self._write([waiting.entry for waiting in batch])
            except Exception as exc:
                results = [exc] * len(batch)
            for waiting, result in zip(batch, results, strict=True):
                waiting.resolve(result)
        self._writer = None

    def _take_batch(self) -> list[Waiting]:
        """Take the next entries whose callers still wait, and fail those that have waited too long."""
        latest = asyncio.get_running_loop().time() - self._timeout
        batch: list[Waiting] = []
        while self._waiting and len(batch) < AT_ONCE:
            waiting = self._waiting.popleft()
            if waiting.since < latest:
                waiting.resolve(TimeoutError())
            elif not waiting.answer.done():
                batch.append(waiting)
        return batch
