"""A line on standard error that tells how far a rehearsal is: rewritten in place, and gone at the end."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from openholder.rehearsal.findings import Outcome
from openholder.rehearsal.play import ACTS, Act
from openholder.rehearsal.scene import Scene

INTERVAL = 0.1
"""Seconds between two pictures: more often nobody can read."""
_CLEAR = "\r\x1b[K"


@dataclass
class Progress:
    """What is known so far. It is shown on a terminal only."""

    shown: bool
    act: str = ""
    now: str = ""
    requests: int = 0
    findings: int = 0
    drawn: float = 0.0

    def told(self, words: str) -> None:
        """The next act, or the next request."""
        if words in {act.name for act in ACTS}:
            self.act, self.now, self.drawn = words, "", 0.0  # no act is too short to be seen
        else:
            self.now = words
        self._draw()

    def counted(self, _: object) -> None:
        """One more exchange."""
        self.requests += 1

    def acts(self, acts: Sequence[Act] = ACTS) -> tuple[Act, ...]:
        """These acts, with their findings counted."""
        return tuple(Act(act.name, partial(self._counting, act)) for act in acts)

    async def _counting(self, act: Act, scene: Scene) -> AsyncIterator[Outcome]:
        async for outcome in act.play(scene):
            self.findings += outcome.verdict == "found"
            yield outcome

    def _draw(self) -> None:
        if not self.shown or time.monotonic() - self.drawn < INTERVAL:
            return
        self.drawn = time.monotonic()
        line = f"{self.act}: {self.requests} requests, {self.findings} findings  {self.now}"
        sys.stderr.write(_CLEAR + line[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()


@contextmanager
def progress() -> Iterator[Progress]:
    """The line, as long as the block runs."""
    shown = sys.stderr.isatty()
    try:
        yield Progress(shown)
    finally:
        if shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
