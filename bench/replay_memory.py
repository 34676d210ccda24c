"""What used tokens cost in the memory of one process, and how long a single call takes while they come and go.

Run ``python bench/replay_memory.py``; openholder must be installed. Each figure is the best of up to three runs in
processes of their own, since other programs only ever make a run slower.
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
"""When the entries expire, and over how many seconds that is."""
GOOD_BYTES, GOOD_SECONDS = 130.0, 0.05
RUNS = 3


@dataclass
class Figures:
    """What one run measured: bytes of resident memory for each entry, and the longest calls in seconds."""

    expiring: str
    entries: int
    bytes_each: float
    filling: float
    expiring_at_once: float
    seconds: float

    @property
    def good(self) -> bool:
        """Whether no further run is needed."""
        return self.bytes_each <= GOOD_BYTES and max(self.filling, self.expiring_at_once) <= GOOD_SECONDS


class _Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def resident() -> int:
    """Bytes of physical memory that this process holds (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def _fill(store: MemoryStore, count: int, prefix: str, expires_at: Callable[[int], float]) -> float:
    """Add that many entries; gives the seconds of the longest call."""
    longest = 0.0
    for number in range(count):
        entry, expiry = digest("issuer", f"{prefix}{number}"), expires_at(number)
        began = time.perf_counter()
        added = await store.add_if_absent(entry, expiry)
        longest = max(longest, time.perf_counter() - began)
        if not added:
            raise RuntimeError("a new entry was taken for a used one")
    return longest


async def _measure(expiring: str, entries: int) -> Figures:
    began, clock = time.perf_counter(), _Clock()
    store, spread = MemoryStore(clock=clock), SPREADS[expiring]
    await _fill(store, 1000, "warm", lambda _: START - 1)
    clock.now += 10
    await _fill(store, 1, "up", lambda _: START + 9)
    before = resident()
    filling = await _fill(store, entries, "live", lambda number: START + 300 + number % spread)
    grown = resident() - before
    if len(store) < entries:
        raise RuntimeError("entries were forgotten that are alive")
    clock.now = START + 1000
    emptying, calls = 0.0, 0
    while len(store) > calls:  # each call adds one entry of its own
        emptying = max(emptying, await _fill(store, 1, f"late{calls}-", lambda _: START + 2000))
        calls += 1
    return Figures(expiring, entries, grown / entries, filling, emptying, time.perf_counter() - began)


def measure(expiring: str, entries: int) -> Figures:
    """One run, in the process that calls."""
    return asyncio.run(_measure(expiring, entries))


def best(expiring: str, entries: int) -> Figures:
    """Figure by figure the best of as many runs as it takes to be good, three at most."""
    runs: list[Figures] = []
    while len(runs) < RUNS and not (runs and runs[-1].good):
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
    """Print a table, or JSON for machines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--expiring", choices=SPREADS, help="when they expire; by default each in turn")
    asked = parser.parse_args()
    figures = [best(expiring, asked.entries) for expiring in ([asked.expiring] if asked.expiring else SPREADS)]
    if asked.json:
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
