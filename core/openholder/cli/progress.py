"""A line on standard error that tells how far a rehearsal is: rewritten in place, and gone at the end."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from openholder.rehearsal.phases import PHASES, Phase
from openholder.rehearsal.results import Result
from openholder.rehearsal.session import Session

INTERVAL = 0.1
"""Seconds between two pictures: more often nobody can read."""
_CLEAR = "\r\x1b[K"


@dataclass
class Progress:
    """What is known so far. It is shown on a terminal only."""

    shown: bool
    phase: str = ""
    now: str = ""
    requests: int = 0
    findings: int = 0
    drawn: float = 0.0

    def told(self, words: str) -> None:
        """The next act, or the next request."""
        if words in {phase.name for phase in PHASES}:
            self.phase, self.now, self.drawn = words, "", 0.0  # no phase is too short to be seen
        else:
            self.now = words
        self._draw()

    def counted(self, _: object) -> None:
        """One more exchange."""
        self.requests += 1

    def phases(self, phases: Sequence[Phase] = PHASES) -> tuple[Phase, ...]:
        """These acts, with their findings counted."""
        return tuple(Phase(phase.name, partial(self._counting, phase)) for phase in phases)

    async def _counting(self, phase: Phase, session: Session) -> AsyncIterator[Result]:
        async for result in phase.run(session):
            self.findings += result.verdict == "failed"
            yield result

    def _draw(self) -> None:
        if not self.shown or time.monotonic() - self.drawn < INTERVAL:
            return
        self.drawn = time.monotonic()
        line = f"{self.phase}: {self.requests} requests, {self.findings} findings  {self.now}"
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
