"""Measure a large CSV file: seconds to load, peak memory, and event loop stalls while it is replaced.

Run ``python bench/csv_load.py --rows 1000000``; openholder must be installed (Linux, for the peak memory). The file has
15 columns and is in a temporary folder. ``--set memory_bytes=0`` changes a setting of the source. A fixed piece of work
is measured before and after the load: multiples of it are comparable between machines, and between busy and quiet ones.
The longest stall of an idle process at the same time shows how much of the event loop's stall is due to the machine.
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
QUERY = Query(
    collection="banking.transactions", filters=(Filter("accountId", "eq", "acct-000017"),), order=(), offset=0, limit=25
)


def write_file(folder: Path, rows: int, version: str, compress: bool) -> None:
    """Write a file as in production: beside the old one, then rename it."""
    open_file, suffix = (gzip.open, ".csv.gz") if compress else (Path.open, ".csv")
    new = folder / "new"
    with open_file(new, "wt", encoding="utf-8") as file:
        file.write(HEADERS + "\n")
        file.writelines(ROW.format(n, n % ACCOUNTS, n % 28 + 1, version) for n in range(rows))
    new.replace(folder / f"banking.transactions{suffix}")


class StallMeter:
    """Ticks on the event loop, and keeps the longest delay of a tick."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.ticks = 0

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            started = time.perf_counter()
            await asyncio.sleep(TICK)
            self.longest = max(self.longest, time.perf_counter() - started - TICK)
            self.ticks += 1


def measure_idle_stalls(parent: Connection) -> None:
    """Tick in an idle process until the parent sends a message, then send the longest delay of a tick."""
    longest = 0.0
    while not parent.poll():
        started = time.perf_counter()
        time.sleep(TICK)
        longest = max(longest, time.perf_counter() - started - TICK)
    parent.send(longest)


@contextmanager
def run_idle_process() -> Iterator[None]:
    """Run an idle process beside the block, and print its longest stall."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=measure_idle_stalls, args=(there,))
    process.start()
    yield
    here.send("end")
    longest: float = here.recv()
    process.join()
    print_line(f"an idle process: {longest * 1000:.0f} ms")


def get_peak_memory() -> float:
    """Return the peak physical memory of this process, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def print_line(text: str) -> None:
    """Print one line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def do_fixed_work() -> float:
    """Do a piece of work that never changes, and return the seconds of processor time that it took."""
    started, total = time.process_time(), 0
    for number in range(5_000_000):
        total += number * number
    return time.process_time() - started


async def measure_load(source: CSVSource, other: CSVSource, rows: int) -> None:
    """Open the source, and the same one as another worker would, and print times and memory."""
    before, fixed = get_peak_memory(), do_fixed_work()
    started, started_cpu = time.perf_counter(), time.process_time()
    await source.open()
    seconds, cpu = time.perf_counter() - started, time.process_time() - started_cpu
    fixed = (fixed + do_fixed_work()) / 2
    print_line(f"load:            {seconds:.1f} s, {rows / seconds:,.0f} rows/s")
    print_line(f"processor time:  {cpu:.1f} s, {cpu / fixed:.1f} times the fixed work ({fixed:.2f} s)")
    print_line(f"peak memory:     {get_peak_memory():.0f} MiB, of which {before:.0f} before the load")
    started = time.perf_counter()
    await other.open()
    print_line(f"another worker:  {time.perf_counter() - started:.3f} s")
    await other.close()


async def measure_reload(source: CSVSource) -> None:
    """Run queries until the new version is served, and print how long that took and the slowest query."""
    started, slowest, queries, version = time.perf_counter(), 0.0, 0, "one"
    while version != "two":
        query_started = time.perf_counter()
        version = (await source.fetch(QUERY)).records[0]["version"]
        slowest = max(slowest, time.perf_counter() - query_started)
        queries += 1
        await asyncio.sleep(TICK)
    seconds = time.perf_counter() - started
    print_line(f"reload:          {seconds:.1f} s, {queries} queries, slowest {slowest * 1000:.0f} ms")


async def measure(settings: CSVSettings, folder: Path, rows: int, compress: bool) -> None:
    """Load the file, replace it, and print the figures."""
    source = CSVSource("bench", settings)
    await measure_load(source, CSVSource("other", settings), rows)
    write_file(folder, rows, "two", compress)
    meter = StallMeter()
    with run_idle_process():
        ticking = asyncio.create_task(meter.run())
        await measure_reload(source)
        ticking.cancel()
    print_line(f"longest stall:   {meter.longest * 1000:.0f} ms in {meter.ticks} ticks of {TICK * 1000:.0f} ms")
    print_line(f"peak memory:     {get_peak_memory():.0f} MiB, after the reload")
    await source.close()


def main() -> None:
    """Measure once, with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--gz", action="store_true", help="measure a .csv.gz instead of a .csv")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the source")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        write_file(folder, options.rows, "one", options.gz)
        size = sum(file.stat().st_size for file in folder.iterdir())
        print_line(f"file:            {options.rows:,} rows, {size / 2**20:.0f} MiB")
        more = dict(re.split("=", pair, maxsplit=1) for pair in options.set)
        settings = CSVSettings.model_validate({"path": folder, "reload": 0.2, **more})
        asyncio.run(measure(settings, folder, options.rows, options.gz))


if __name__ == "__main__":
    main()
