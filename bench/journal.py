"""Measure what the journal costs for one finished request: its metrics and its log line.

Run ``python bench/journal.py``; openholder must be installed. Requests are recorded in an event loop, as in a server
with log level ``info`` into a file. Each figure is the best of many rounds, and also a multiple of a fixed piece of
work (`yardstick`) done between the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields

from yardstick import Yardstick

from openholder.gate import TokenFacts
from openholder.server.logs import batch_lines, configure_logging
from openholder.serving.journal import Entry, Journal
from openholder.settings import Log

ROUND = 200
"""Requests of one round, about as many as a server answers while a batch of lines fills."""
LEVELS = ("info", "error")


def make_entry(number: int) -> Entry:
    """Make the entry of a request that was answered with data."""
    entry = Entry(
        method="GET",
        route="/customer/{customerId}/accounts/{accountId}/balances",
        operation="getBalance",
        interaction_id="1c3f3a5e-0d2b-4c1c-9d3a-5d7f3b1f7a11",
        ip="127.0.0.1",
        status=200,
        size=182,
        seconds=0.00123,
        admitted=True,
        ids={"customerId": f"cus-{number:08}", "accountId": f"acc-{number:08}"},
        source="bank",
    )
    facts = {"kid": "k1-2026", "alg": "PS256", "jti": "0123456789ab", "life": 299.25}
    for member in fields(TokenFacts):
        setattr(entry.token, member.name, facts[member.name])
    return entry


async def measure(level: str, rounds: int, customers: int, yardstick: Yardstick) -> tuple[float, float]:
    """Record requests of so many customers. Return the best CPU microseconds of one, and the multiple."""
    entries = [make_entry(number % customers) for number in range(ROUND)]
    best, piece = float("inf"), yardstick.measure()
    with tempfile.TemporaryFile("w") as file:
        configure_logging(Log(format="json", level=level), file)
        journal = Journal()
        with batch_lines():
            for number in range(rounds):
                best = min(best, await measure_round(journal.record, entries))
                piece = min(piece, yardstick.measure(times=10)) if number % 10 == 0 else piece
    return best, best / piece


async def measure_round(record: Callable[[Entry], None], entries: list[Entry]) -> float:
    """Record all entries, and let the loop write them."""
    started = time.process_time()
    for entry in entries:
        record(entry)
    await asyncio.sleep(0.06)
    return (time.process_time() - started) / len(entries) * 1e6


def main() -> None:
    """Measure each level, with ids that were seen before and with ids that were not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    yardstick = Yardstick()
    for level in LEVELS:
        us, multiple = asyncio.run(measure(level, options.rounds, ROUND, yardstick))
        sys.stdout.write(f"level {level}: {us:.1f} us a request, {multiple:.3f} pieces of work\n")
    sys.stdout.write(f"The piece of work took {yardstick.us:.0f} us.\n")


if __name__ == "__main__":
    main()
