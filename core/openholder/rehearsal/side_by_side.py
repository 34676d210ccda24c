"""Do several things at once, as if they were done one after the other: most of the time is spent waiting for responses.

How many requests are sent at once is bounded by the session. What each request is the first, second or third of does
not depend on which response comes first: `take_turn` numbers requests as if each part had waited for the one before.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

from openholder.rehearsal.results import Result

T = TypeVar("T")
Turn = tuple[int, ...]
"""The place of a request: turns compare as their requests would follow each other if none were sent at once."""


class _Place(NamedTuple):
    """Where the running part of the rehearsal is, and the numbers for what it does next."""

    turn: Turn
    numbers: Iterator[int]


_PLACE: ContextVar[_Place] = ContextVar("place")
_TOP = _Place((), itertools.count())
"""Where what is not one of several parts is."""


def take_turn() -> Turn:
    """Return the turn of what is done next."""
    place = _PLACE.get(_TOP)
    return (*place.turn, next(place.numbers))


async def do_side_by_side(parts: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines at once, and return their results in order.

    If one raises, the others are cancelled.
    """
    tasks = _start(parts)
    try:
        return [await task for task in tasks]
    finally:
        await _end(tasks)


async def run_side_by_side(parts: Iterable[AsyncIterator[Result]]) -> AsyncIterator[Result]:
    """Run several sources of results at once, and yield their results in the order of the sources.

    If one raises, the others are cancelled, and what they have found is yielded before.
    """
    found: list[list[Result]] = []

    async def collect(part: AsyncIterator[Result], results: list[Result]) -> None:
        async for result in part:
            results.append(result)  # noqa: PERF401 - one by one, so that a fault leaves those before it

    collecting = []
    for part in parts:
        found.append([])
        collecting.append(collect(part, found[-1]))
    tasks, error = _start(collecting), None
    try:
        for task, results in zip(tasks, found, strict=True):
            await task
            for result in results:
                yield result
            results.clear()
    except Exception as exc:
        error = exc
    finally:
        await _end(tasks)
    if error:
        for result in itertools.chain(*found):
            yield result
        raise error


def _start(parts: Iterable[Coroutine[Any, Any, T]]) -> list[asyncio.Task[T]]:
    """Start a task for each part, with a turn for everything that the part does."""

    async def run(part: Coroutine[Any, Any, T], turn: Turn) -> T:
        _PLACE.set(_Place(turn, itertools.count()))
        return await part

    return [asyncio.create_task(run(part, take_turn())) for part in parts]


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel the tasks that still run, and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
