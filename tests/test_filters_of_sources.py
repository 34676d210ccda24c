"""Every source answers a query as `select` does."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from datetime import timedelta, timezone
from decimal import Decimal

import aiosqlite
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.filters import ALL_PAID, NOON, NOT_OWNED, OPEN, OWNED, TEXT, UNPAID
from openholder import Filter, Order, Query, SourceFault, number, select
from openholder_csv import CSVSettings, CSVSource
from openholder_sqlite import Database

COLUMNS = ("id", "name", "note", "time", "later", "amount", "flag", "list")
DECLARED = {"TEXT": "texts", "NUMERIC": "numerics", "": "things"}

offsets = st.sampled_from([0, 600, 660, 570, -300, 840, -720, 1439, -1439]).map(
    lambda m: timezone(timedelta(minutes=m))
)
near = st.timedeltas(timedelta(days=-3), timedelta(days=3)) | st.sampled_from(
    [timedelta(), timedelta(microseconds=1), -timedelta(microseconds=1), timedelta(hours=12)]
)
moments = st.builds(lambda away, offset: (NOON + away).astimezone(offset), near, offsets)


def written(aware, digits):
    """An RFC 3339 date-time with so many digits behind the second."""
    text = aware.isoformat(timespec="seconds")
    fraction = f"{aware.microsecond:06d}789"[:digits]
    text = text[:19] + (f".{fraction}" if fraction else "") + text[19:]
    return text.replace("+00:00", "Z")


times = st.one_of(
    st.builds(written, moments, st.sampled_from([0, 1, 3, 6, 9])),
    st.integers(-3, 3).map(lambda days: (NOON.date() + timedelta(days=days)).isoformat()),
    st.sampled_from(["2016-12-31T23:59:60Z", "0001-01-01", "9999-12-31T23:59:59Z"]),
)
amounts = st.one_of(
    st.decimals(-20, 20, places=2).map(str),
    st.decimals(-(10**16), 10**16, places=16).map(lambda value: format(value, "f")),
    st.integers(-12, 12),
    st.sampled_from(["-0.00", "0", "9.00", "10.00", "-9", 9.5, -0.25, "+3", "1e1", 0.1 + 0.2, 10**15]),
)
flags = st.sampled_from([0, 1, "0", "1", "true", "false", "TRUE", "False"])
words = st.sampled_from(
    [
        "a",
        "A",
        "ab",
        "Ab",
        "%",
        "a_",
        "é",
        "É",
        "\uffee",
        "\U0001f600",
        "\u212a",
        "k",
        "12",
        12,
        "012",
        " 12",
        "12.0",
        "",
    ]
)
items = st.fixed_dictionaries({}, optional={"isPaid": flags | st.booleans() | st.none(), "amountDue": st.just("1.00")})
lists = st.lists(items, max_size=3).map(json.dumps)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "name": words | st.none(),
            "note": words | st.none(),
            "time": times | st.none(),
            "later": times | st.none(),
            "amount": amounts | st.none(),
            "flag": flags | st.none(),
            "list": lists | st.none(),
        }
    ),
    max_size=8,
)

members = st.sampled_from(["name", "note", "id"])
texts = words.map(str)
bounds = st.sampled_from(["ge", "le"])
TEXTS = (
    st.builds(Filter, members, st.sampled_from(["eq", "ieq"]), texts),
    st.builds(Filter, members, st.just("in"), st.lists(texts, max_size=3).map(tuple)),
    st.builds(Filter, members, st.just("contains"), texts, otherwise=st.lists(members, max_size=2).map(tuple)),
)
conditions = st.one_of(
    *TEXTS,
    st.builds(
        Filter,
        members,
        st.sampled_from(["eq", "ieq"]),
        texts,
        otherwise=st.lists(members, max_size=2).map(tuple),
        absent=st.none() | texts,
    ),
    st.builds(
        Filter,
        members,
        st.just("in"),
        st.lists(texts, max_size=3).map(tuple),
        otherwise=st.lists(members, max_size=2).map(tuple),
        absent=st.none() | texts,
    ),
    st.builds(
        Filter, st.just("amount"), st.just("eq"), amounts.map(number), absent=st.sampled_from([None, "9", "10.00"])
    ),
    st.builds(
        Filter, st.just("time"), st.just("eq"), moments, otherwise=st.just(("later",)), absent=st.none() | moments
    ),
    st.builds(Filter, st.just("list"), st.sampled_from(["some", "none"]), st.just("1.00"), item=st.just("amountDue")),
    st.builds(Filter, st.just("flag"), st.just("eq"), st.booleans(), absent=st.none() | st.booleans()),
    st.builds(
        Filter,
        st.sampled_from(["time", "later"]),
        bounds,
        moments,
        otherwise=st.sampled_from([(), ("later",), ("time",)]),
        absent=st.none() | moments,
    ),
    st.builds(Filter, st.just("amount"), bounds, st.decimals(-20, 20, places=2) | amounts.map(number)),
    st.builds(
        Filter,
        st.just("list"),
        st.sampled_from(["some", "none"]),
        st.booleans(),
        item=st.just("isPaid"),
        absent=st.none() | st.booleans(),
    ),
)
orders = st.one_of(
    st.builds(Order, members, st.booleans(), otherwise=st.sampled_from([(), ("note",)])),
    st.builds(Order, st.just("time"), st.booleans(), st.just("instant"), otherwise=st.sampled_from([(), ("later",)])),
)
queries = st.builds(
    Query,
    collection=st.sampled_from(sorted(DECLARED.values())),
    filters=st.lists(conditions, max_size=3).map(tuple),
    order=st.lists(orders, max_size=2).map(tuple),
    offset=st.integers(0, 4),
    limit=st.none() | st.integers(0, 6),
)


class Tables:
    """One file with a table for each way to declare columns, and the database of the source over it."""

    def __init__(self, path):
        self.path = path
        self.writer = sqlite3.connect(path)
        self.writer.execute("PRAGMA synchronous = OFF")
        self.writer.execute("PRAGMA journal_mode = WAL")
        for declared, table in DECLARED.items():
            columns = ", ".join(f"{column} {declared}" for column in COLUMNS)
            self.writer.execute(f"CREATE TABLE {table} ({columns})")
        self.database = Database(lambda: aiosqlite.connect(f"{path.as_uri()}?mode=ro", uri=True), {}, 1)

    def put(self, table, rows):
        """Make these the only rows of a table. Gives them back as SQLite keeps them."""
        with self.writer:
            self.writer.execute(f"DELETE FROM {table}")
            marks = ", ".join("?" * len(COLUMNS))
            values = [[str(index), *(row.get(column) for column in COLUMNS[1:])] for index, row in enumerate(rows)]
            self.writer.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
        stored = self.writer.execute(f"SELECT * FROM {table} ORDER BY rowid")
        return [dict(zip(COLUMNS, row, strict=True)) for row in stored]


@pytest.fixture
def tables(io_loop, tmp_path):
    tables = Tables(tmp_path / "things.db")
    io_loop.run_sync(tables.database.open)
    yield tables
    io_loop.run_sync(tables.database.close)
    tables.writer.close()


async def outcome(answer):
    """The page, or that there is none."""
    try:
        return await answer
    except SourceFault:
        return "fault"


def meant(stored, query):
    try:
        return select(stored, query)
    except SourceFault:
        return "fault"


here = settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.mark.slow
@given(rows, queries)
@here
def test_sqlite_results_equal_those_of_select(io_loop, tables, rows, query):
    stored = tables.put(query.collection, rows)
    assert io_loop.run_sync(lambda: outcome(tables.database.fetch(query))) == meant(stored, query)


@pytest.mark.slow
@given(
    rows.map(lambda found: [{name: str(value) for name, value in row.items() if value is not None} for row in found]),
    queries,
)
@settings(here, max_examples=80)
def test_csv_results_equal_those_of_select(io_loop, tmp_path, rows, query):
    records = [{column: row.get(column) or None for column in COLUMNS} | {"id": str(i)} for i, row in enumerate(rows)]
    with (tmp_path / f"{query.collection}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(records)

    async def answer():
        source = CSVSource("things", CSVSettings(path=tmp_path))
        await source.open()
        try:
            return await source.fetch(query)
        finally:
            await source.close()

    assert io_loop.run_sync(lambda: outcome(answer())) == meant(records, query)


NEWEST_FIRST = (Order("time", descending=True, reads="instant", otherwise=("later",)), Order("id"))


UNREADABLE = {
    "amount": ("ten", "1,000.00", "NaN", "$5", ""),
    "flag": ("Y", "", 2, 0.5),
    "list": (
        "{",
        '["a"]',
        "[{}",
        "[1]",
        "[null]",
        7,
        '{"isPaid": true}',
        '[{"isPaid": "no"}]',
        '[{"isPaid": 1, "isPaid": 0}]',
    ),
    "time": ("soon", "", "15/06/2026", 1781524800, "2026-02-30"),
}
QUESTIONS = {
    "flag": [{"filters": (Filter("flag", "eq", value, absent=True),)} for value in (True, False)],
    "amount": [{"filters": (Filter("amount", operator, Decimal(5)),)} for operator in ("ge", "le")],
    "list": [{"filters": (Filter("list", operator, False, item="isPaid"),)} for operator in ("some", "none")],
    "time": [
        {"order": NEWEST_FIRST},
        *({"filters": (Filter("time", operator, NOON, absent=NOON),)} for operator in ("ge", "le")),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("member", "value"), [(member, value) for member in UNREADABLE for value in UNREADABLE[member]]
)
@pytest.mark.parametrize("table", sorted(DECLARED.values()))
def test_sqlite_faults_where_a_value_cannot_be_read(io_loop, tables, table, member, value):
    stored = tables.put(table, [{"time": "2026-06-15", "amount": "7", "list": "[]"}, {member: value}])
    for question in QUESTIONS[member]:
        query = Query(collection=table, **question)
        assert meant(stored, query) == "fault"
        assert io_loop.run_sync(lambda query=query: outcome(tables.database.fetch(query))) == "fault"


@pytest.mark.gen_test
async def test_a_fault_in_sqlite_names_the_table_and_no_value(io_loop, tables):
    tables.put("texts", [{"amount": "secret 4711"}])
    query = Query(collection="texts", filters=(Filter("amount", "ge", Decimal(1)),))
    with pytest.raises(SourceFault, match=r"^table 'texts': ") as fault:
        await tables.database.fetch(query)
    assert "4711" not in str(fault.value)


@pytest.mark.gen_test
async def test_columns_that_are_not_there_have_no_values(io_loop, tmp_path):
    path = tmp_path / "few.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE few (id)")
        connection.executemany("INSERT INTO few VALUES (?)", [(2,), (1,)])
    database = Database(lambda: aiosqlite.connect(path), {}, 1)
    await database.open()
    try:
        for condition, total in [
            (OPEN, 2),
            (Filter("openStatus", "eq", "CLOSED", absent="OPEN"), 0),
            (OWNED, 2),
            (NOT_OWNED, 0),
            (Filter("time", "le", NOON, absent=NOON), 2),
            (Filter("time", "le", NOON), 0),
            (Filter("amount", "ge", Decimal(0)), 0),
            (TEXT, 0),
            (UNPAID, 0),
            (ALL_PAID, 2),
        ]:
            page = await database.fetch(Query(collection="few", filters=(condition,), order=NEWEST_FIRST))
            assert page.total == total
            assert [row["id"] for row in page.records] == [1, 2][:total]
    finally:
        await database.close()


@pytest.mark.gen_test
async def test_rows_without_an_order_keep_the_order_of_insertion(io_loop, tmp_path):
    path = tmp_path / "indexed.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE few (accountId TEXT, name TEXT, PRIMARY KEY (accountId, name))")
        connection.executemany("INSERT INTO few VALUES ('a', ?)", [(name,) for name in "qzbay"])
    database = Database(lambda: aiosqlite.connect(path), {}, 1)
    await database.open()
    try:
        filters = (Filter("accountId", "eq", "a"),)
        whole = await database.fetch(Query(collection="few", filters=filters))
        parts = [await database.fetch(Query(collection="few", filters=filters, offset=n, limit=1)) for n in range(5)]
    finally:
        await database.close()
    assert "".join(row["name"] for row in whole.records) == "qzbay"
    assert "".join(row["name"] for page in parts for row in page.records) == "qzbay"
