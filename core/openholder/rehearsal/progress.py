"""Show the progress of a rehearsal in one line on standard error, which is rewritten and finally removed."""

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
"""Seconds between two updates of the line."""
_CLEAR = "\r\x1b[K"


@dataclass
class Progress:
    """The figures of the line. They are drawn only if standard error is a terminal."""

    is_shown: bool
    phase: str = ""
    request: str = ""
    requests: int = 0
    failures: int = 0
    drawn_at: float = 0.0
    """When the line was last drawn, in seconds of the monotonic clock."""

    def begin(self, name: str) -> None:
        """Show the name of a phase or the redacted text of a request that begins."""
        if name in {phase.name for phase in PHASES}:
            self.phase, self.request = name, ""
            self.drawn_at = 0.0  # draw at once, so that even the shortest phase is seen
        else:
            self.request = name
        if not self.is_shown or time.monotonic() - self.drawn_at < INTERVAL:
            return
        self.drawn_at = time.monotonic()
        line = f"{self.phase}: {self.requests} requests, {self.failures} failures  {self.request}"
        sys.stderr.write(_CLEAR + line[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()

    def count_request(self, _: object) -> None:
        """Count one exchange."""
        self.requests += 1

    def watch_phases(self, phases: Sequence[Phase] = PHASES) -> tuple[Phase, ...]:
        """Return these phases, with their failed results counted."""
        return tuple(Phase(phase.name, partial(self._watch_phase, phase)) for phase in phases)

    async def _watch_phase(self, phase: Phase, session: Session) -> AsyncIterator[Result]:
        async for result in phase.run(session):
            self.failures += result.verdict == "failed"
            yield result


@contextmanager
def progress_line() -> Iterator[Progress]:
    """Show the line for the duration of the block."""
    is_shown = sys.stderr.isatty()
    try:
        yield Progress(is_shown)
    finally:
        if is_shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
