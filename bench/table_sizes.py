"""Measure indexed queries of an SQLite source for tables of several sizes: they should not slow down with the size.

Run ``python bench/table_sizes.py [ROWS ...]``, by default with 10,000 to 1,000,000 rows; openholder must be installed.
Ten million rows take a few minutes and 2 GB of disk. It prints the median of some runs, in milliseconds.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
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

SIZES = (10_000, 100_000, 1_000_000)
RUNS = 50
PER_ACCOUNT = 100
"""Transactions of each account; half of them are in the window of time."""
NOW = datetime(2026, 6, 15, tzinfo=UTC)
COLUMNS = ("accountId", "transactionId", *EFFECTIVE_TIME, "amount", "description")


def generate_rows(number: int) -> Iterator[tuple[str | None, ...]]:
    """Yield transactions, those of each account spread over the whole table."""
    accounts = number // PER_ACCOUNT
    for serial in range(number):
        account, turn = serial % accounts, serial // accounts
        posted = (NOW - timedelta(days=turn)).isoformat()
        yield (
            f"account-{account}",
            f"transaction-{serial}",
            posted,
            None,
            None,
            "12.50",
            "Coffee and a sandwich at the station",
        )


def build_queries(number: int) -> dict[str, Query]:
    """Build queries for an account and a transaction in the middle of the table."""
    account = Filter("accountId", "eq", f"account-{number // PER_ACCOUNT // 2}")
    member, *otherwise = EFFECTIVE_TIME
    window = Filter(member, "ge", NOW - timedelta(days=PER_ACCOUNT // 2), otherwise=tuple(otherwise), absent=NOW)
    order = COLLECTIONS["banking.transactions"].order
    return {
        "one record": Query(
            collection="banking.transactions",
            filters=(Filter("transactionId", "eq", f"transaction-{number // 2}"),),
            limit=1001,
        ),
        "page, as stored": Query(collection="banking.transactions", filters=(account,), limit=25),
        "page, newest first": Query(collection="banking.transactions", filters=(account,), order=order, limit=25),
        "page of a window": Query(collection="banking.transactions", filters=(account, window), order=order, limit=25),
    }


def create_database(path: Path, number: int) -> None:
    """Create a table with the indexes that ``openholder check`` advises."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"CREATE TABLE banking_transactions ({', '.join(f'{name} TEXT' for name in COLUMNS)})")
        marks = ", ".join("?" * len(COLUMNS))
        connection.executemany(f"INSERT INTO banking_transactions VALUES ({marks})", generate_rows(number))
        for column in ("accountId", "transactionId"):
            connection.execute(f"CREATE INDEX by_{column} ON banking_transactions ({column})")


async def measure(path: Path, number: int) -> list[float]:
    """Return the milliseconds of each query."""
    source = SQLiteSource("bank", SQLiteSettings(path=path))
    await source.open()
    try:
        return [await _measure_median(source, query) for query in build_queries(number).values()]
    finally:
        await source.close()


async def _measure_median(source: SQLiteSource, query: Query) -> float:
    taken = []
    for _ in range(RUNS):
        started = time.perf_counter()
        page = await source.fetch(query)
        taken.append((time.perf_counter() - started) * 1000)
        assert page.records
    return statistics.median(taken)


def main() -> None:
    """Print a line for each size."""
    sizes = tuple(map(int, sys.argv[1:])) or SIZES
    sys.stdout.write(f"{'rows':>12}" + "".join(f"{name:>20}" for name in build_queries(PER_ACCOUNT)) + "\n")
    for number in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bank.db"
            create_database(path, number)
            taken = asyncio.run(measure(path, number))
        sys.stdout.write(f"{number:12,}" + "".join(f"{one:17.2f} ms" for one in taken) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
