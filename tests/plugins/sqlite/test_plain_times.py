"""Times that are all written alike are compared as text, with exactly the answers that comparing moments gives."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest

from openholder import Filter, Order, Query, SourceFault, select
from openholder_sqlite import SQLiteSettings, SQLiteSource

MEMBERS = ("postedAt", "executedAt")
PLAIN = [f"2026-01-{day:02}T0{day % 3}:00:0{day % 7}Z" for day in range(1, 29)]
TIES = ["2026-01-05T00:00:00Z"] * 6 + PLAIN[:10]
ODD = {
    "offset": "2026-01-05T10:00:00+10:00",
    "fraction": "2026-01-05T10:00:00.5Z",
    "day": "2026-01-05",
    "leap second": "2026-06-30T23:59:60Z",
    "no such day": "2026-02-30T00:00:00Z",
    "no such hour": "2026-01-05T24:00:00Z",
    "year 0": "0000-01-05T00:00:00Z",
    "lower case": "2026-01-05t00:00:00z",
    "space": "2026-01-05 00:00:00",
    "no offset": "2026-01-05T00:00:00",
    "now": "now",
    "number": 2460000.5,
    "bytes": b"2026-01-05T00:00:00Z",
    "empty": "",
}
NOW = datetime(2026, 1, 15, 1, 0, 0, 500_000, tzinfo=UTC)
BOUNDS = (
    NOW,
    datetime(2026, 1, 5, tzinfo=UTC),
    datetime(2026, 1, 5, 10, tzinfo=timezone(timedelta(hours=10))),
    datetime(2026, 1, 5, 2, 0, 4, 1, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(-timedelta(hours=14))),
)


@pytest.fixture
def opened(io_loop, tmp_path):
    """Open a source over a table of these times, and wait until its times have been looked at."""
    sources = []

    async def open_source(times):
        rows = [
            {"id": f"t{number % 10}{number}", "postedAt": first, "executedAt": second}
            for number, (first, second) in enumerate(times)
        ]
        with closing(sqlite3.connect(tmp_path / "bank.db")) as connection:
            connection.executescript(
                "CREATE TABLE transactions (id TEXT, postedAt TEXT, executedAt);"
                "CREATE INDEX by_time ON transactions (postedAt DESC)"
            )
            connection.executemany("INSERT INTO transactions VALUES (:id, :postedAt, :executedAt)", rows)
            connection.commit()
        source = SQLiteSource("bank", SQLiteSettings(path=tmp_path / "bank.db"))
        await source.open()
        sources.append(source)
        with suppress(SourceFault):
            await answer(source, build_query())
        await asyncio.gather(*source._watched.database._on_loop._plain_times._looks.values())
        return source, rows

    yield open_source
    for source in sources:
        io_loop.run_sync(source.close)


def build_query(*filters, offset=0, limit=5):
    newest = Order("postedAt", descending=True, reads="instant", otherwise=("executedAt",))
    return Query(collection="transactions", filters=filters, order=(newest, Order("id")), offset=offset, limit=limit)


async def answer(source, query):
    """Fetch as the server does."""
    page = source.fetch_now(query)
    return await source.fetch(query) if page is None else page


def is_known(source):
    return bool(source._watched.database._on_loop._plain_times._known)


@pytest.mark.parametrize(
    "times",
    [
        [(time, None) for time in PLAIN],
        [(time, None) for time in TIES],
        [(None if number % 3 else time, time) for number, time in enumerate(PLAIN)],
        [(None if number % 3 else time, None if number % 2 else time) for number, time in enumerate(TIES)],
    ],
    ids=["complete", "ties", "two members", "some without"],
)
@pytest.mark.gen_test
async def test_the_answers_are_those_of_moments(io_loop, opened, times):
    source, rows = await opened(times)
    assert is_known(source)
    for bound, sign, absent, offset in itertools.product(BOUNDS, ("ge", "le"), (None, NOW), (0, 1, 4, 50)):
        condition = Filter("postedAt", sign, bound, otherwise=("executedAt",), absent=absent)
        query = build_query(condition, offset=offset)
        assert await answer(source, query) == select(rows, query), (bound, sign, absent, offset)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.gen_test
async def test_one_other_time_is_enough_to_compare_moments(io_loop, opened, odd):
    source, rows = await opened([*((time, None) for time in PLAIN), (None, odd)])
    assert not is_known(source)
    for offset in (0, 20):
        query = build_query(Filter("postedAt", "le", NOW, otherwise=("executedAt",)), offset=offset)
        try:
            expected = select(rows, query)
        except SourceFault:
            with pytest.raises(SourceFault, match="postedAt/executedAt"):
                await answer(source, query)
        else:
            assert await answer(source, query) == expected


@pytest.mark.gen_test
async def test_what_others_write_is_noticed_in_the_same_query(io_loop, opened, tmp_path):
    source, _ = await opened([(time, None) for time in PLAIN])
    with closing(sqlite3.connect(tmp_path / "bank.db")) as writer:
        writer.execute("INSERT INTO transactions VALUES ('late', 'yesterday', NULL)")
        writer.commit()
    with pytest.raises(SourceFault, match="postedAt/executedAt"):
        await answer(source, build_query())
    assert not is_known(source)
