"""Measure a page of transactions from SQLite, with and without the index that ``openholder check`` advises.

Run ``python bench/missing_index.py``; openholder must be installed. It prints the best of some runs, since other
programs can only make a run slower. Compare the figures of one run with each other.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from openholder import Filter, Query
from openholder.contract.collections import COLLECTIONS, EFFECTIVE_TIME
from openholder_sqlite import SQLiteSettings, SQLiteSource

RUNS = 5
NOW = datetime.now(UTC)
ACCOUNTS = {"large": 20_000, "ordinary": 1_000} | {f"other-{number}": 1_000 for number in range(200)}
"""Transactions of each account over three years."""


def generate_rows() -> Iterator[tuple[str, ...]]:
    """Yield the transactions of all accounts."""
    generator = random.Random(1)
    for account, number in ACCOUNTS.items():
        for serial in range(number):
            posted = NOW - timedelta(seconds=generator.randrange(3 * 365 * 86_400))
            yield account, f"{account}-{serial}", posted.isoformat()


def build_query(account: str) -> Query:
    """Build the query for the first page of the last twelve months."""
    member, *otherwise = EFFECTIVE_TIME
    return Query(
        collection="banking.transactions",
        filters=(
            Filter("accountId", "eq", account, variable="accountId"),
            Filter(member, "ge", NOW - timedelta(days=365), otherwise=tuple(otherwise), absent=NOW),
            Filter(member, "le", NOW, otherwise=tuple(otherwise), absent=NOW),
        ),
        order=COLLECTIONS["banking.transactions"].order,
        limit=25,
    )


async def measure_page(source: SQLiteSource, account: str) -> tuple[int, float]:
    """Return the number of transactions, and the milliseconds to fetch a page of them."""
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        page = await source.fetch(build_query(account))
        seconds.append(time.perf_counter() - started)
    return page.total, min(seconds) * 1000


async def measure(path: Path, state: str) -> list[str]:
    """Print a line for each account. Return the statements that the source advises."""
    source = SQLiteSource("bank", SQLiteSettings(path=path))
    await source.open()
    for account in ("large", "ordinary"):
        total, milliseconds = await measure_page(source, account)
        sys.stdout.write(f"{account:9} {total:6} in the window, {state:10} {milliseconds:7.1f} ms\n")
    statements = list(await source.advice(build_query("large")))
    await source.close()
    return statements


def main() -> None:
    """Create a database, and measure with and without the index."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bank.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            columns = ", ".join(f"{name} TEXT" for name in ("accountId", "transactionId", *EFFECTIVE_TIME))
            connection.execute(f"CREATE TABLE banking_transactions ({columns})")
            connection.executemany("INSERT INTO banking_transactions VALUES (?, ?, ?, NULL, NULL)", generate_rows())
        for statement in asyncio.run(measure(path, "no index")):
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute(statement)
        asyncio.run(measure(path, "with index"))


if __name__ == "__main__":
    main()
