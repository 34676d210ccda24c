"""What a large CSV file costs: seconds to load, peak memory, and how long the event loop stalls while it is replaced.

Run ``python bench/csv_load.py --rows 1000000``; openholder must be installed (Linux, for the peak memory). The file has
15 columns and lies in a temporary folder. ``--set memory_bytes=0`` and the like change a setting of the source. How
long an idle process was kept waiting meanwhile says how much of the longest stall is the machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from openholder import Filter, Query
from openholder_csv import CSVSettings, CSVSource

HEADERS = (
    "transactionId,accountId,isDetailAvailable,type,status,description,postingDateTime,executionDateTime,amount,"
    "currency,reference,merchantName,merchantCategoryCode,billerCode,version"
)
ROW = (
    "tx-{0:09},acct-{1:06},true,PAYMENT,POSTED,Card purchase {0} at a shop,2026-01-{2:02}T08:30:00+10:00,"
    "2026-01-{2:02}T08:30:00Z,-{1}.50,AUD,ref {0},Shop number {1},5411,,{3}\n"
)
ACCOUNTS = 5000
TICK = 0.005
QUESTION = Query(
    collection="banking.transactions", filters=(Filter("accountId", "eq", "acct-000017"),), order=(), offset=0, limit=25
)


def write(folder: Path, rows: int, version: str, packed: bool) -> None:
    """Put a file in its place as one would in production: beside the old one, then moved."""
    opener, ending = (gzip.open, ".csv.gz") if packed else (Path.open, ".csv")
    new = folder / "new"
    with opener(new, "wt", encoding="utf-8") as file:
        file.write(HEADERS + "\n")
        file.writelines(ROW.format(n, n % ACCOUNTS, n % 28 + 1, version) for n in range(rows))
    new.replace(folder / f"banking.transactions{ending}")


class Stalls:
    """Ticks on the event loop, and notes the longest time between two beyond what was asked for."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.ticks = 0

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            self.longest = max(self.longest, time.perf_counter() - began - TICK)
            self.ticks += 1


def tick_beside(end: Connection) -> None:
    """Tick in a process that does nothing else, until told to end: what the machine itself makes wait."""
    longest = 0.0
    while not end.poll():
        began = time.perf_counter()
        time.sleep(TICK)
        longest = max(longest, time.perf_counter() - began - TICK)
    end.send(longest)


@contextmanager
def compared() -> Iterator[None]:
    """Measure, and tell, what the machine makes an idle process wait while this lasts."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=tick_beside, args=(there,))
    process.start()
    yield
    here.send("end")
    longest: float = here.recv()
    process.join()
    told(f"an idle process: {longest * 1000:.0f} ms")


def peak() -> float:
    """The most MiB of physical memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def told(text: str) -> None:
    """Print one figure."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def loaded(source: CSVSource, rows: int) -> None:
    """Open the source, and tell what that took."""
    before, began = peak(), time.perf_counter()
    await source.open()
    seconds = time.perf_counter() - began
    told(f"load:            {seconds:.1f} s, {rows / seconds:,.0f} rows/s")
    told(f"peak memory:     {peak():.0f} MiB, of which {before:.0f} before the load")


async def replaced(source: CSVSource) -> None:
    """Ask, again and again, until the new version answers; tell how long that took and the slowest answer."""
    began, slowest, questions, version = time.perf_counter(), 0.0, 0, "one"
    while version != "two":
        asked = time.perf_counter()
        version = (await source.fetch(QUESTION)).records[0]["version"]
        slowest, questions = max(slowest, time.perf_counter() - asked), questions + 1
        await asyncio.sleep(TICK)
    told(
        f"reload:          {time.perf_counter() - began:.1f} s, {questions} questions, slowest {slowest * 1000:.0f} ms"
    )


async def measure(source: CSVSource, folder: Path, rows: int, packed: bool) -> None:
    """Load, replace, and tell the figures."""
    await loaded(source, rows)
    write(folder, rows, "two", packed)
    stalls = Stalls()
    with compared():
        ticking = asyncio.create_task(stalls.run())
        await replaced(source)
        ticking.cancel()
    told(f"longest stall:   {stalls.longest * 1000:.0f} ms in {stalls.ticks} ticks of {TICK * 1000:.0f} ms")
    told(f"peak memory:     {peak():.0f} MiB, after the reload")
    await source.close()


def main() -> None:
    """Measure once with the settings of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--gz", action="store_true", help="a .csv.gz instead of a .csv")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the source")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write(folder, asked.rows, "one", asked.gz)
        size = sum(path.stat().st_size for path in folder.iterdir())
        told(f"file:            {asked.rows:,} rows, {size / 2**20:.0f} MiB")
        more = dict(re.split("=", pair, maxsplit=1) for pair in asked.set)
        source = CSVSource("bench", CSVSettings.model_validate({"path": folder, "reload": 0.2, **more}))
        asyncio.run(measure(source, folder, asked.rows, asked.gz))


if __name__ == "__main__":
    main()
