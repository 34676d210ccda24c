"""Snapshots of the running server: one a second for all who watch it, and none while nobody does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from openholder.contract.operations import OPERATIONS
from openholder.server.console.panels import PANELS, REQUESTS, Health, Server, View, list_figures
from openholder.server.console.readings import History, Readings
from openholder.server.generation import Generation
from openholder.sources.registry import Source

PERIOD = 1.0
"""Seconds between two snapshots."""
HEALTH_PERIOD = 5.0
"""Seconds between two questions to the sources."""
MAX_WATCHERS = 8
"""Pages that one worker keeps up to date."""


class Watching:
    """Makes the snapshots of one server."""

    def __init__(self, server: Server, clock: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._clock = clock
        self._history = History()
        self._health = Health()
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._making: asyncio.Task[bytes] | None = None
        self._made_at = float("-inf")
        self.watchers = 0
        """How many watch."""
        self.made = 0
        """How many snapshots have been made."""

    @contextmanager
    def watch(self) -> Iterator[bool]:
        """Take one of the places for the duration of the block. Yield whether there was one."""
        admitted = self.watchers < MAX_WATCHERS
        self.watchers += admitted
        try:
            yield admitted
        finally:
            self.watchers -= admitted

    async def get_snapshot(self) -> bytes:
        """Return the snapshot of this second as JSON. All who ask meanwhile get the same one."""
        if self._making is None or (self._making.done() and self._clock() - self._made_at >= PERIOD / 2):
            self._made_at = self._clock()
            self._making = asyncio.create_task(self._make())
        return await asyncio.shield(self._making)

    async def close(self) -> None:
        """Let nothing go on."""
        tasks = [task for task in (self._asking, self._making) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self) -> bytes:
        metrics = self._server.generation.state.journal.metrics
        if (self._asking is None or self._asking.done()) and self._clock() - self._asked_at >= HEALTH_PERIOD:
            self._asked_at = self._clock()
            self._asking = asyncio.create_task(self._ask())
            await asyncio.wait((self._asking,), timeout=PERIOD / 2)  # whoever takes longer is shown in the next one
        metrics.refresh()
        now = await asyncio.to_thread(lambda: Readings.take(metrics.collect()))
        oldest, last = self._history.add(now)
        passed = max(now.at - last.at, PERIOD)
        statuses = now.since(last).sum_by(REQUESTS, 2)
        failed = sum(count for status, count in statuses.items() if status.startswith("5"))
        rate = sum(statuses.values()) / passed
        period = max(now.at - oldest.at, PERIOD)
        self.made += 1
        return format_snapshot(View(self._server, self._health, now, now.since(oldest), period, rate, failed / passed))

    async def _ask(self) -> None:
        """Ask all sources at once, and then whether the server as a whole is ready."""
        generation = self._server.generation
        sources = generation.sources.list_sources()
        found = await asyncio.gather(*map(_find_problem, sources))
        problems = {source.name: problem for source, problem in zip(sources, found, strict=True)}
        self._health = Health(await self._server.check_readiness(), problems, _list_served(generation))


async def _find_problem(source: Source) -> str:
    try:
        await source.check_health()
    except Exception as exc:
        return type(exc).__name__
    return ""


def _list_served(generation: Generation) -> Mapping[str, Sequence[str]]:
    """List the collections that requests find in each source."""
    served: dict[str, list[str]] = {}
    custom = (endpoint.collection for endpoint in generation.configuration.settings.endpoints)
    for name in sorted({*custom, *(operation.collection for operation in OPERATIONS)}):
        if source := generation.sources.find_source(name):
            served.setdefault(source.name, []).append(name)
    return served


def format_snapshot(view: View) -> bytes:
    """Format one moment as the JSON that the page draws."""
    missing = view.health.missing
    return msgspec.json.encode(
        {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "state": ("ready", "good") if not missing else (f"not ready: {missing}", "bad"),
            "rate": view.rate,
            "failures": view.failures,
            "figures": list(list_figures(view)),
            "panels": [
                {
                    "name": panel.name,
                    "title": panel.title,
                    "note": panel.note,
                    "columns": panel.columns,
                    "rows": list(panel.list_rows(view)),
                }
                for panel in PANELS
            ],
        }
    )
