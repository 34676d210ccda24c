"""Watching the event loop: a plugin that blocks it holds up everybody, and cannot be seen from its own hook."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

INTERVAL = 0.25
TOO_LONG = 0.5
"""Seconds for which the loop may be held before the log speaks of it."""


async def watch_loop(lag: Callable[[float], None], asked: Callable[[], Iterable[str]]) -> None:
    """Tell ``lag`` how long the loop was held each time, and the log which sources were ``asked`` when it was long."""
    while True:
        suspects = sorted(set(asked()))
        due = time.monotonic() + INTERVAL
        await asyncio.sleep(INTERVAL)
        held = max(0.0, time.monotonic() - due)
        lag(held)
        if held > TOO_LONG:
            suspects = sorted({*suspects, *asked()})
            log.error("the event loop was held for %.1f s; sources asked then: %s", held, ", ".join(suspects) or "none")
