"""Run a coroutine up to the first place where it waits, and only then as part of a task.

Most queries of a local source never wait. They need neither a timer nor a slot, which cost more than the query itself.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Started(Generic[T]):
    """A coroutine that has run up to its end or to the first place where it waits. Await it for the result.

    The first part runs when the object is made. Await it in the same task, without waiting for anything else before:
    the event loop must receive what the coroutine waits for.
    """

    def __init__(self, running: Coroutine[Any, Any, T]) -> None:
        self._running = running
        self.is_done = False
        """Whether the coroutine has ended, so that `result` is known."""
        try:
            self._waits_for = running.send(None)
        except StopIteration as end:
            self.is_done = True
            self.result: T = end.value

    def __await__(self) -> Generator[Any, Any, T]:
        """Pass on what the coroutine waits for, and give it what comes back, as ``yield from`` does (PEP 380)."""
        waits_for = self._waits_for
        try:
            while True:
                try:
                    sent = yield waits_for
                except BaseException as exc:
                    waits_for = self._running.throw(exc)
                else:
                    waits_for = self._running.send(sent)
        except StopIteration as end:
            result: T = end.value
            return result
