"""Watch the event loop: a plugin that blocks it delays every request, and nothing else would show which one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)

INTERVAL = 0.25
"""Seconds between two measurements."""
TOO_LONG = 0.5
"""Seconds. A longer block is logged."""


async def watch_loop(report_lag: Callable[[float], None], list_active: Callable[[], Iterable[str]]) -> None:
    """Report for how many seconds the loop was blocked in each interval, and log the active sources if it was long."""
    while True:
        suspects = set(list_active())
        due = time.monotonic() + INTERVAL
        await asyncio.sleep(INTERVAL)
        blocked = max(0.0, time.monotonic() - due)
        report_lag(blocked)
        if blocked > TOO_LONG:
            suspects.update(list_active())
            names = ", ".join(sorted(suspects)) or "none"
            log.error("event loop blocked for %.1f s; sources active at that time: %s", blocked, names)
