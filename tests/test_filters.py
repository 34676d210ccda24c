"""What filters and orders mean, and that SQLite and CSV answer every question as `openholder.select` does."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import aiosqlite
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openholder import Filter, Order, Query, SourceFault, instant, number, select, truth
from openholder_csv import CSVSettings, CSVSource
from openholder_sqlite import Database

TRUE = (True, 1, "1", "true", "TRUE", "True")
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


def moment(*parts, offset=0):
    """Microseconds since 1970 of a moment, computed in another way than by the code under test."""
    aware = datetime(*parts, tzinfo=timezone(timedelta(minutes=offset)))
    since = aware.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds


# -- how values are read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-01-31T23:30:00+10:30", moment(2026, 1, 31, 13, 0)),
        ("2026-01-31T23:30:00-09:30", moment(2026, 2, 1, 9, 0)),
        ("2026-01-31T23:30:00-00:00", moment(2026, 1, 31, 23, 30)),
        ("2026-01-31T10:00:00.1Z", moment(2026, 1, 31, 10, 0, 0, 100_000)),
        ("2026-01-31T10:00:00.000001Z", moment(2026, 1, 31, 10, 0, 0, 1)),
        ("2026-01-31T10:00:00.0000019Z", moment(2026, 1, 31, 10, 0, 0, 1)),
        ("2026-01-31T10:00:00.123456789+01:00", moment(2026, 1, 31, 9, 0, 0, 123_456)),
        ("2026-01-31", moment(2026, 1, 31)),
        ("2024-02-29", moment(2024, 2, 29)),
        ("2016-12-31T23:59:60Z", moment(2016, 12, 31, 23, 59, 59)),
        ("2017-01-01T10:59:60+11:00", moment(2016, 12, 31, 23, 59, 59)),
        ("2016-12-31T23:59:60.25Z", moment(2016, 12, 31, 23, 59, 59, 250_000)),
        ("0001-01-01", moment(1, 1, 1)),
        ("9999-12-31T23:59:59.999999Z", moment(9999, 12, 31, 23, 59, 59, 999_999)),
    ],
)
def test_an_instant_is_the_same_with_any_offset(text, expected):
    assert instant(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "soon",
        "2026-02-30",
        "2026-13-01",
        "2025-02-29T00:00:00Z",
        "2026-01-31T10:00:00",
        "2026-01-31T25:00:00Z",
        "2026-01-31T10:60:00Z",
        "2026-01-31T10:00:61Z",
        "31/01/2026",
        "1769853600",
        "2026-01-31T10:00:00Z ",
        " 2026-01-31T10:00:00Z",
        "2026-01-31T10:00:00+1000000",
    ],
)
def test_an_invalid_time_is_a_fault_each_time_it_is_read(text):
    for _ in range(2):
        with pytest.raises(
            SourceFault,
            match=r"^a value is neither a date-time with an offset nor a date "
            r"\(found [\w ]+; expected one such as 2026-10-01T09:30:00\+10:00\)$",
        ):
            instant(text)


@given(st.datetimes(timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))))
def test_a_moment_is_read_from_every_offset(aware):
    assert instant(aware.isoformat()) == (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("9.00", "9"),
        ("-0.01", "-0.01"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1234567890123456.1234567890123456", "1234567890123456.1234567890123456"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000"),
        (-7, "-7"),
        (0, "0"),
        (10**40, str(10**40)),
        (Decimal("12.50"), "12.5"),
    ],
)
def test_a_number_is_read_exactly_as_it_is_written(found, expected):
    assert number(found) == Decimal(expected)


@pytest.mark.parametrize(
    "found", ["", "ten", "1,000.00", "$5.00", "5.00 AUD", "NaN", "-Infinity", "sNaN", "--1", float("nan"), [], True]
)
def test_what_is_no_finite_number_is_a_fault(found):
    with pytest.raises(
        SourceFault, match=r"^a value is not a (finite )?number( \(found [\w ]+; expected one such as 1234.56\))?$"
    ):
        number(found)


@pytest.mark.parametrize(
    ("found", "expected"),
    [(found, found in TRUE) for found in (*TRUE, False, 0, "0", "false", "FALSE")],
)
def test_truth_is_true_or_false_or_one_or_zero(found, expected):
    assert truth(found) is expected


@pytest.mark.parametrize("found", ["", "yes", "N", "t", 2, -1, "01", " true", None, [], "on"])
def test_what_is_neither_true_nor_false_is_a_fault(found):
    with pytest.raises(SourceFault, match=r"^a value is neither true nor false \(found [\w ]+\)$"):
        truth(found)


# -- one condition ------------------------------------------------------------------------------------------------

OPEN = Filter("openStatus", "eq", "OPEN", absent="OPEN")
OWNED, NOT_OWNED = (Filter("isOwned", "eq", value, absent=True) for value in (True, False))
SINCE_NOON = Filter("posted", "ge", NOON, otherwise=("executed", "valued"))
UNTIL_NOON = Filter("posted", "le", NOON, otherwise=("executed", "valued"))
TEXT = Filter("description", "contains", "Rent", otherwise=("reference",))
UNPAID = Filter("schedule", "some", False, item="isPaid", absent=False)
ALL_PAID = Filter("schedule", "none", False, item="isPaid", absent=False)


@pytest.mark.parametrize(
    ("condition", "record", "admitted"),
    [
        (OPEN, {"openStatus": "OPEN"}, True),
        (OPEN, {"openStatus": "CLOSED"}, False),
        (OPEN, {"openStatus": "open"}, False),
        (OPEN, {"openStatus": None}, True),
        (OPEN, {}, True),
        (OWNED, {}, True),
        (NOT_OWNED, {}, False),
        (OWNED, {"isOwned": "TRUE"}, True),
        (NOT_OWNED, {"isOwned": 0}, True),
        (NOT_OWNED, {"isOwned": "false"}, True),
        (OWNED, {"isOwned": False}, False),
        (SINCE_NOON, {"posted": "2026-06-15T12:00:00Z"}, True),
        (UNTIL_NOON, {"posted": "2026-06-15T12:00:00Z"}, True),
        (SINCE_NOON, {"posted": "2026-06-15T11:59:59.999999Z"}, False),
        (UNTIL_NOON, {"posted": "2026-06-15T12:00:00.000001Z"}, False),
        (UNTIL_NOON, {"posted": "2026-06-15T12:00:00.0000009Z"}, True),
        (SINCE_NOON, {"posted": "2026-06-15T21:59:59+10:00"}, False),
        (SINCE_NOON, {"posted": "2026-06-15T22:00:00+10:00"}, True),
        (UNTIL_NOON, {"posted": "2026-06-16T01:00:00+14:00"}, True),
        (SINCE_NOON, {"posted": "2026-06-14T23:00:00-13:00"}, True),
        (SINCE_NOON, {"posted": datetime(2026, 6, 15, 22, tzinfo=timezone(timedelta(hours=10)))}, True),
        (SINCE_NOON, {"posted": date(2026, 6, 16)}, True),
        (SINCE_NOON, {"posted": date(2026, 6, 15)}, False),
        (SINCE_NOON, {"executed": "2026-06-16", "valued": "2026-06-01"}, True),
        (SINCE_NOON, {"posted": None, "executed": "2026-06-01", "valued": "2026-06-16"}, False),
        (SINCE_NOON, {"posted": "2026-06-01", "executed": "2026-06-16"}, False),
        (SINCE_NOON, {"posted": None}, False),
        (Filter("posted", "ge", NOON, absent=NOON), {}, True),
        (Filter("posted", "ge", NOON, absent=NOON - timedelta(microseconds=1)), {}, False),
        (Filter("amount", "ge", Decimal("9.00")), {"amount": "10.00"}, True),
        (Filter("amount", "le", Decimal("9.00")), {"amount": "10.00"}, False),
        (Filter("amount", "ge", Decimal("9.00")), {"amount": "9"}, True),
        (Filter("amount", "le", Decimal("9")), {"amount": "9.000000000000000000000000000001"}, False),
        (Filter("amount", "ge", Decimal("-9")), {"amount": "-10.00"}, False),
        (Filter("amount", "le", Decimal("-9")), {"amount": "-10.00"}, True),
        (Filter("amount", "ge", Decimal(0)), {"amount": "-0.00"}, True),
        (Filter("amount", "le", Decimal("0.3")), {"amount": 0.1 + 0.2}, False),
        (Filter("amount", "le", Decimal(5)), {}, False),
        (Filter("amount", "eq", Decimal("9.0")), {"amount": "9.00"}, True),
        (TEXT, {"description": "Rent for May"}, True),
        (TEXT, {"description": "rent for May", "reference": "Rent"}, True),
        (TEXT, {"description": None, "reference": "Rent"}, True),
        (TEXT, {"description": "rent", "reference": "RENT"}, False),
        (TEXT, {}, False),
        (Filter("description", "contains", "%"), {"description": "anything"}, False),
        (Filter("description", "contains", "_"), {"description": "a_b"}, True),
        (Filter("number", "contains", "23"), {"number": 1234}, True),
        (Filter("number", "in", ("12", "13")), {"number": 12}, True),
        (Filter("number", "in", ("12", "13")), {"number": "1"}, False),
        (Filter("number", "eq", "350000"), {"number": Decimal("3.5E+5")}, True),
        (Filter("number", "in", ("350000", "1")), {"number": Decimal("3.5E+5")}, True),
        (Filter("number", "eq", "3.5E+5"), {"number": Decimal("3.5E+5")}, False),
        (Filter("number", "eq", "12"), {"number": Decimal("12.0")}, False),
        (Filter("number", "eq", "NaN"), {"number": Decimal("NaN")}, True),
        (Filter("name", "eq", "x", otherwise=("nick",)), {"nick": "x"}, True),
        (Filter("name", "eq", "x", otherwise=("nick",)), {"name": "y", "nick": "x"}, False),
        (UNPAID, {"schedule": [{"isPaid": True}, {"isPaid": False}]}, True),
        (UNPAID, {"schedule": '[{"isPaid": true}, {"amountDue": "1.00"}]'}, True),
        (UNPAID, {"schedule": '[{"isPaid": null}]'}, True),
        (UNPAID, {"schedule": b'[{"isPaid": "false"}]'}, True),
        (UNPAID, {"schedule": '[{"isPaid": true}, {"isPaid": 1}]'}, False),
        (UNPAID, {"schedule": "[]"}, False),
        (UNPAID, {}, False),
        (ALL_PAID, {"schedule": '[{"isPaid": true}]'}, True),
        (ALL_PAID, {"schedule": '[{"isPaid": true}, {"isPaid": 0}]'}, False),
        (ALL_PAID, {"schedule": "[]"}, True),
        (ALL_PAID, {"schedule": None}, True),
    ],
)
def test_a_condition_admits_what_it_says(condition, record, admitted):
    assert condition.admits(record) is admitted
    assert condition.admits_all([record, record]) is admitted
    assert condition.admits_all([])


@pytest.mark.parametrize(
    ("condition", "record"),
    [
        (OWNED, {"isOwned": "yes"}),
        (NOT_OWNED, {"isOwned": "yes"}),
        (NOT_OWNED, {"isOwned": ""}),
        (SINCE_NOON, {"posted": "15/06/2026"}),
        (UNTIL_NOON, {"posted": "15/06/2026"}),
        (SINCE_NOON, {"posted": 1769853600}),
        (SINCE_NOON, {"posted": "2026-06-15T12:00:00"}),
        (SINCE_NOON, {"posted": ""}),
        (SINCE_NOON, {"posted": "never", "executed": "2026-06-16"}),
        (Filter("amount", "ge", Decimal(1)), {"amount": "1,000.00"}),
        (Filter("amount", "le", Decimal(1)), {"amount": ""}),
        (Filter("amount", "le", Decimal(1)), {"amount": True}),
        (UNPAID, {"schedule": "{"}),
        (UNPAID, {"schedule": "[1]"}),
        (ALL_PAID, {"schedule": '["isPaid"]'}),
        (ALL_PAID, {"schedule": "[null]"}),
        (ALL_PAID, {"schedule": '{"isPaid": true}'}),
        (ALL_PAID, {"schedule": 7}),
        (UNPAID, {"schedule": '[{"isPaid": true, "isPaid": false}]'}),
        (UNPAID, {"schedule": '[{"isPaid": "perhaps"}]'}),
        (ALL_PAID, {"schedule": '[{"isPaid": true},]'}),
    ],
)
def test_an_unreadable_value_is_a_fault_and_drops_no_record(condition, record):
    with pytest.raises(SourceFault) as fault:
        condition.admits(record)
    assert not any(str(value) in str(fault.value) for value in record.values() if len(str(value)) > 4)
    with pytest.raises(SourceFault):
        condition.admits_all([record])
    with pytest.raises(SourceFault) as told:
        select([record], Query(collection="things", filters=(condition,)))
    assert told.value.row is record


# -- one order ----------------------------------------------------------------------------------------------------

ROWS = [
    {"id": "1", "posted": "2026-06-15T12:00:00Z", "name": "b"},
    {"id": "2", "posted": None, "executed": "2026-06-16T00:00:00+10:00", "name": "B"},
    {"id": "3", "name": None},
    {"id": "4", "posted": "2026-06-15T22:00:00+10:00", "name": "é"},
    {"id": "5", "posted": "2026-06-15T11:59:59.9Z", "name": "\U0001f600"},
    {"id": "6", "posted": "2026-06-15", "executed": "2027-01-01", "name": "\uffee"},
]
NEWEST = {"reads": "instant", "otherwise": ("executed",)}


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ((), "123456"),
        ((Order("posted", descending=True, **NEWEST),), "321456"),
        ((Order("posted", **NEWEST),), "651423"),
        ((Order("posted", descending=True, **NEWEST), Order("id", descending=True)), "324156"),
        ((Order("posted", descending=True, reads="instant"),), "231456"),
        ((Order("name"),), "214653"),
        ((Order("name", descending=True),), "356412"),
        ((Order("nowhere"), Order("id", descending=True)), "654321"),
    ],
)
def test_records_are_sorted_with_missing_values_last(order, ids):
    assert "".join(row["id"] for row in select(ROWS, Query(collection="rows", order=order)).records) == ids


@pytest.mark.parametrize("value", ["soon", "", "2026-06-15T12:00:00", 7])
def test_sorting_by_time_is_a_fault_if_a_value_is_invalid(value):
    with pytest.raises(SourceFault):
        Order("posted", reads="instant").key({"posted": value})
    assert Order("posted").key({"posted": value}) == (False, str(value))


# -- every source answers like select -----------------------------------------------------------------------------

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
