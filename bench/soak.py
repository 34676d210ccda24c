"""Let a server run under load while everything around it changes: nothing is lost, wrong or growing.

``python bench/soak.py --for 30m`` starts ``openholder serve`` with two workers, TLS and an audit trail (Linux). It
measures the capacity of the machine, and sends a fixed share of that, 450 requests a second at most, in the mix of the
CDS. One in twenty must be refused. Meanwhile keys, certificate, configuration and database change, and workers are
ended, some by SIGKILL. Each answer is compared with the records that it must have. It ends with 1 if an answer is lost
or wrong, a change fails, the trail lacks a disclosure, the log has an address, or a worker grows.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import click
from soak_load import Load
from soak_server import EVENTS, SoakServer, Usage

from openholder.rehearsal.measures import find_percentile

LEAST_RATE, MOST_RATE = 20.0, 450.0
"""Requests a second: the CDS ask for 150 to 450, by the number of authorisations."""
SHARE = 0.35
"""Of the capacity: the load driver, which has the same machine, and bursts need the rest."""
TIERS = {"search": 1000, "customer": 1000, "accounts": 1000, "balance": 1500, "transactions": 1500}
"""Milliseconds within which the CDS want 95 % of the answers."""
ALLOWED_GROWTH = 1.15
"""Memory of the largest worker in the last quarter, as a multiple of that in the second: allocators keep some pages."""
ALLOWED_FILES = 16
"""Open files that a worker may have more then: connections and threads come and go."""
LONG = 600.0
"""Seconds from which growth is judged: a worker needs minutes to have seen everything once."""
SAMPLES = 12
"""Lines of memory and descriptors in the report."""


def parse_duration(text: str) -> float:
    """Parse a time such as 60s, 30m or 4h. Return seconds."""
    found = re.fullmatch(r"(\d+)([smh])", text)
    if not found:
        raise argparse.ArgumentTypeError("expected a number with a unit, such as 60s, 30m or 4h")
    return int(found[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[found[2]]


async def soak(server: SoakServer, load: Load, seconds: float, rate: float | None) -> float:
    """Put load on the server while events happen in turn. Return the rate, in requests a second."""
    await load.measure_capacity(2)  # the first requests are slower
    capacity = await load.measure_capacity(4)
    rate = rate or min(MOST_RATE, max(LEAST_RATE, SHARE * capacity))
    load.seconds.clear()
    click.echo(f"{capacity:.0f} requests a second are answered; sending {rate:.0f} a second for {seconds:.0f} s")
    ended, begun = asyncio.Event(), time.monotonic()
    running = asyncio.create_task(load.run(rate, ended))
    sampling = asyncio.create_task(server.sample_usage(seconds / 60))
    pause = max(4.0, min(60.0, seconds / (2 * len(EVENTS))))
    for name in cycle(EVENTS):  # each at least once, however slow the machine is
        if server.events[name] and time.monotonic() > begun + seconds - pause:
            break
        await asyncio.sleep(pause)
        server.require_running()
        await EVENTS[name](server, load)
        server.events[name] += 1
    await asyncio.sleep(max(pause, begun + seconds - time.monotonic()))
    ended.set()
    await running
    sampling.cancel()
    return rate


def format_report(server: SoakServer, load: Load) -> Iterator[str]:
    """Format times, events and what the server held, for people."""
    yield f"{'operation':14}{'answers':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'tier ms':>9}  p95 of tier"
    for operation, tier in TIERS.items():
        ranked = sorted(load.seconds[operation]) or [0.0]
        p50, p95, p99 = (find_percentile(ranked, percent) * 1000 for percent in (50, 95, 99))
        yield f"{operation:14}{len(ranked):9}{p50:9.1f}{p95:9.1f}{p99:9.1f}{tier:9}  {p95 / tier:.1%}"
    yield "refused as they must be: " + ", ".join(f"{count} {name}" for name, count in sorted(load.refused.items()))
    yield "events: " + ", ".join(f"{count} {name}" for name, count in server.events.items())
    yield f"{'second':>8}{'workers':>9}{'MiB, largest':>14}{'files, most':>13}"
    for second, used in server.samples[:: max(1, len(server.samples) // SAMPLES)]:
        yield f"{second:8.0f}{len(used):9}{find_largest(used)[0] / 1024:14.1f}{find_largest(used)[1]:13}"
    yield (
        f"{load.sent} sent, {load.good} answered with the expected records, {load.refused.total()} refused,"
        f" {load.interrupted} sent again as their worker was ended, {load.delayed} sent late,"
        f" {load.lost.total()} lost, {load.wrong.total()} wrong"
    )


def find_largest(used: dict[int, Usage]) -> tuple[int, int]:
    """Return the KiB and the open files of the workers that have most."""
    return max((u.kib for u in used.values()), default=0), max((u.files for u in used.values()), default=0)


def find_problems(server: SoakServer, load: Load, seconds: float) -> Iterator[str]:
    """Find whatever must not happen."""
    yield from (f"lost: {count} {what}" for what, count in load.lost.items())
    yield from (f"wrong: {count} {what}" for what, count in load.wrong.items())
    yield from server.problems
    if seconds >= LONG:
        quarter = len(server.samples) // 4
        middle, last = (
            [find_largest(used) for _, used in part]
            for part in (server.samples[quarter : 2 * quarter], server.samples[-quarter:])
        )
        (kib, grown), (files, more) = (
            (statistics.median(figures[place] for figures in part) for part in (middle, last)) for place in (0, 1)
        )
        if grown > kib * ALLOWED_GROWTH:
            yield f"the largest worker grew from {kib:.0f} to {grown:.0f} KiB"
        if more > files + ALLOWED_FILES:
            yield f"open files grew from {files:.0f} to {more:.0f}"


def main() -> int:
    """Run, print the report, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--for", dest="seconds", type=parse_duration, default=1800.0, help="such as 60s, 30m or 4h")
    parser.add_argument("--rate", type=float, help="requests a second, instead of a share of what was measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openholder-soak-") as name, SoakServer(Path(name)) as server:
        load = server.make_load()
        rate = asyncio.run(soak(server, load, options.seconds, options.rate))
        server.stop()
        server.check_traces(load)
        click.echo("\n".join(format_report(server, load)))
        if rate < 150 <= MOST_RATE:
            click.echo(
                f"note: {rate:.0f} a second were sent, not the 150 of the CDS: the load driver shares this machine"
            )
        problems = list(find_problems(server, load, options.seconds))
        if problems:
            lines = [line for line in server.read_log().splitlines() if '"level": "info"' not in line]
            click.echo("\n".join(lines[-40:]))
    click.echo("\n".join(f"PROBLEM: {line}" for line in problems) or "nothing lost, nothing wrong, nothing grew")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
