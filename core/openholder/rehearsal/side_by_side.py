"""Do several things at once: most of a rehearsal's time is spent waiting for responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any, TypeVar

from openholder.rehearsal.results import Result

T = TypeVar("T")
MOST = 6
"""Requests at once: as many as a browser has connections, and fewer than any holder must be able to answer."""


async def do_side_by_side(parts: Iterable[Coroutine[Any, Any, T]], most: int = MOST) -> list[T]:
    """Run coroutines, at most so many at once, and return their results in order.

    If one raises, the others are cancelled.
    """
    slots = asyncio.Semaphore(most)

    async def take_slot(part: Coroutine[Any, Any, T]) -> T:
        try:
            async with slots:
                return await part
        finally:
            part.close()

    tasks = [asyncio.ensure_future(take_slot(part)) for part in parts]
    try:
        return [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_side_by_side(parts: Iterable[AsyncIterator[Result]]) -> AsyncIterator[Result]:
    """Run several sources of results, and yield their results in the order of the sources."""

    async def collect(part: AsyncIterator[Result]) -> list[Result]:
        return [result async for result in part]

    for results in await do_side_by_side([collect(part) for part in parts]):
        for result in results:
            yield result
