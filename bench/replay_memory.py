"""Measure the memory replay store: bytes of each entry, and its slowest call while entries are added and expire.

Run ``python bench/replay_memory.py``; openholder must be installed. Each figure is the best of up to three runs, each
in its own process, since other programs can only make a run slower.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from openholder.gate.replay import digest
from openholder.gate.stores.memory import MemoryStore

START = 1_800_000_000.0
SPREADS = {"over five minutes": 300, "in one second": 1}
"""Over how many seconds the entries expire."""
GOOD_BYTES, GOOD_SECONDS = 130.0, 0.05
RUNS = 3


@dataclass
class Figures:
    """Figures of one run: bytes of resident memory for each entry, and the slowest calls in seconds."""

    expiring: str
    entries: int
    bytes_each: float
    filling: float
    expiring_at_once: float
    seconds: float

    @property
    def is_good(self) -> bool:
        """True if no further run is needed."""
        return self.bytes_each <= GOOD_BYTES and max(self.filling, self.expiring_at_once) <= GOOD_SECONDS


class _Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def get_resident_memory() -> int:
    """Return the bytes of physical memory that this process uses (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _fill(store: MemoryStore, count: int, prefix: str, expires_at: Callable[[int], float]) -> float:
    """Add ``count`` entries. Return the seconds of the slowest call."""
    longest = 0.0
    for number in range(count):
        entry, expiry = digest("issuer", f"{prefix}{number}"), expires_at(number)
        started = time.perf_counter()
        added = await store.add_if_absent(entry, expiry)
        longest = max(longest, time.perf_counter() - started)
        if not added:
            raise RuntimeError("the store refused a new entry as used")
    return longest


async def _measure(expiring: str, entries: int) -> Figures:
    started, clock = time.perf_counter(), _Clock()
    store, spread = MemoryStore(clock=clock), SPREADS[expiring]
    await _fill(store, 1000, "warm", lambda _: START - 1)
    clock.now += 10
    await _fill(store, 1, "up", lambda _: START + 9)
    before = get_resident_memory()
    filling = await _fill(store, entries, "live", lambda number: START + 300 + number % spread)
    grown = get_resident_memory() - before
    if len(store) < entries:
        raise RuntimeError("the store dropped entries that have not expired")
    clock.now = START + 1000
    slowest, calls = 0.0, 0
    while len(store) > calls:  # each call adds one entry, and drops some that have expired
        slowest = max(slowest, await _fill(store, 1, f"late{calls}-", lambda _: START + 2000))
        calls += 1
    return Figures(expiring, entries, grown / entries, filling, slowest, time.perf_counter() - started)


def measure(expiring: str, entries: int) -> Figures:
    """Run once, in the calling process."""
    return asyncio.run(_measure(expiring, entries))


def measure_best(expiring: str, entries: int) -> Figures:
    """Run up to three times, until the figures are good. Return the best of each figure."""
    runs: list[Figures] = []
    while len(runs) < RUNS and not (runs and runs[-1].is_good):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            runs.append(pool.submit(measure, expiring, entries).result())
    return Figures(
        expiring,
        entries,
        min(run.bytes_each for run in runs),
        min(run.filling for run in runs),
        min(run.expiring_at_once for run in runs),
        sum(run.seconds for run in runs),
    )


def main() -> None:
    """Print a table, or JSON for other programs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--expiring", choices=SPREADS, help="over which time the entries expire; by default each of them in turn"
    )
    options = parser.parse_args()
    spreads = [options.expiring] if options.expiring else list(SPREADS)
    figures = [measure_best(expiring, options.entries) for expiring in spreads]
    if options.json:
        sys.stdout.write(json.dumps([asdict(one) for one in figures]) + "\n")
        return
    head = ("entries", "expiring", "bytes each", "longest call filling", "longest call expiring", "run")
    rows = [
        (
            f"{one.entries:,}",
            one.expiring,
            f"{one.bytes_each:.0f}",
            f"{one.filling * 1000:.1f} ms",
            f"{one.expiring_at_once * 1000:.1f} ms",
            f"{one.seconds:.1f} s",
        )
        for one in figures
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        sys.stdout.write("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + "\n")


if __name__ == "__main__":
    main()
