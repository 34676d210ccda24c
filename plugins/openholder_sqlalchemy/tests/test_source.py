"""The source over MariaDB: names of tables and columns, values of each type, and the exact meaning of conditions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from openholder import Filter, Order, Query, SourceFault, select
from sources import build_query, fetch_once, fetch_records

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "settings"),
    [
        ("CREATE TABLE accounts (customerId text, id text); INSERT INTO accounts VALUES ('c1', 'a1')", {}),
        (
            "CREATE TABLE acct (owner text, acct_no text); INSERT INTO acct VALUES ('c1', 'a1');"
            "CREATE VIEW accounts AS SELECT owner AS customerId, acct_no AS id FROM acct",
            {},
        ),
        (
            "CREATE TABLE accounts (owner text, `my ``no`` 100% {0}` text); INSERT INTO accounts VALUES ('c1', 'a1')",
            {"columns": {"accounts": {"customerId": "owner", "id": "my `no` 100% {0}"}}},
        ),
        (
            "CREATE TABLE accounts (x int); CREATE TABLE ACCT (customerId text, id text);"
            "INSERT INTO ACCT VALUES ('c1', 'a1')",
            {"tables": {"accounts": "ACCT"}},
        ),
        (
            "CREATE TABLE accounts (customerId text, id text, `offset` point, `rows` uuid);"
            "INSERT INTO accounts (customerId, id) VALUES ('c1', 'a1')",
            {},
        ),
    ],
    ids=["table", "view", "columns", "tables", "reserved words"],
)
def test_tables_views_and_columns_map_a_schema(bank, script, settings):
    opened = bank(script)
    (record,) = fetch_once(lambda: opened(**settings), build_query("accounts", customerId="c1", id="a1")).records
    assert record.pop("rows", None) is None
    assert record == {"customerId": "c1", "id": "a1"}


def test_only_what_the_user_may_read_is_served(bank, maria):
    opened = bank(
        "CREATE TABLE customers (id text, secret text); INSERT INTO customers VALUES ('1', 'x');"
        "CREATE VIEW accounts AS SELECT id FROM customers; CREATE TABLE gone (id text);"
        "CREATE VIEW broken AS SELECT id FROM gone; DROP TABLE gone;"
        "CREATE OR REPLACE USER clerk@'127.0.0.1'; GRANT SELECT (id) ON own.customers TO clerk@'127.0.0.1';"
        "GRANT SELECT ON own.accounts TO clerk@'127.0.0.1'; GRANT SELECT ON own.broken TO clerk@'127.0.0.1'"
    )
    url = f"mysql+asyncmy://clerk@127.0.0.1:{maria.port}/own"

    async def scenario():
        async with opened(url=url, password=None) as source:
            assert set(source.collections()) == {"customers", "accounts"}
            return [await fetch_records(source, Query(collection=name)) for name in ("customers", "accounts")]

    assert asyncio.run(scenario()) == [[{"id": "1"}], [{"id": "1"}]]
    maria.execute(
        "DROP USER clerk@'127.0.0.1'; CREATE USER clerk@'127.0.0.1'; GRANT INSERT ON own.customers TO clerk@'127.0.0.1'"
    )
    with pytest.raises(SourceFault, match=r"no table or view that the user may read; grant SELECT"):
        fetch_once(lambda: opened(url=url, password=None), Query(collection="customers"))


def test_a_part_of_the_primary_key_is_no_order(bank, maria):
    opened = bank(
        "CREATE TABLE logins (customerId varchar(9), number int, email varchar(9), PRIMARY KEY (customerId, number));"
        "INSERT INTO logins VALUES ('c1', 1, 'b'), ('c1', 2, 'a'), ('c1', 3, 'c');"
        "CREATE OR REPLACE USER clerk@'127.0.0.1'; GRANT SELECT (customerId, email) ON own.logins TO clerk@'127.0.0.1'"
    )
    url = f"mysql+asyncmy://clerk@127.0.0.1:{maria.port}/own"

    async def scenario(**more):
        async with opened(**more) as source:
            pages = [await source.fetch(Query(collection="logins", offset=offset, limit=1)) for offset in range(3)]
            return "".join(record["email"] for page in pages for record in page.records)

    assert (asyncio.run(scenario()), asyncio.run(scenario(url=url, password=None))) == ("bac", "abc")


@pytest.mark.parametrize(
    "attempt", ["' OR ''='", "`; DROP TABLE own.customers; --", "%s", "\\", "\\' OR 1=1 -- ", "a\0b", "\ud800", "%"]
)
def test_ids_are_values_and_never_sql(bank, attempt):
    opened = bank("CREATE TABLE customers (id text, email text); INSERT INTO customers VALUES ('1', 'a')")

    async def scenario():
        async with opened() as source:
            for operator, value in (("eq", attempt), ("in", (attempt, "x")), ("ieq", attempt), ("contains", attempt)):
                assert (await source.fetch(build_query("customers", Filter("id", operator, value)))).total == 0
            assert (await source.fetch(Query(collection="customers"))).total == 1

    asyncio.run(scenario())


# -- values -------------------------------------------------------------------------------------------------------

VALUES = {
    "varchar(9)": ("'Caf\u00e9 \U0001f600'", "Caf\u00e9 \U0001f600"),
    "varchar(8) CHARACTER SET latin1": ("'Caf\u00e9'", "Caf\u00e9"),
    "text": ("'C:\\\\\\\\new'", "C:\\\\new"),
    "char(4)": ("'ab'", "ab"),
    "int": ("12", 12),
    "bigint unsigned": ("18446744073709551615", 18446744073709551615),
    "int(6) zerofill": ("12", "000012"),
    "decimal(30,10)": ("12345678901234567890.1", Decimal("12345678901234567890.1000000000")),
    "tinyint(1)": ("1", 1),
    "bit(1)": ("1", 1),
    "bit(12)": ("2049", 2049),
    "timestamp": ("'2026-06-15 12:00:00'", "2026-06-15T12:00:00Z"),
    "timestamp(3) null": ("'2026-06-15 12:00:00.25'", "2026-06-15T12:00:00.250Z"),
    "datetime": ("'2026-06-15 22:00:00'", "2026-06-15T22:00:00"),
    "date": ("'2026-02-28'", "2026-02-28"),
    "year": ("2026", 2026),
    "time": ("'10:30:00'", "10:30:00"),
    "json": ("""'{"a": 1.50}'""", '{"a": 1.50}'),
    "enum('A','a b')": ("'a b'", "a b"),
    "set('x','y')": ("'x,y'", "x,y"),
    "binary(3)": ("'ab'", b"ab\0"),
    "varbinary(3)": ("x'00ff'", b"\x00\xff"),
    "longblob": ("x'00ff'", b"\x00\xff"),
    "float": ("0.1", 0.1),
    "float NULL": ("123456.78", 1e300),  # six digits are shown, and it has more: no amount
    "float(10,2)": ("123456.78", 123456.78),
    "double": ("0.1", 0.1),
    "uuid": ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "inet6": ("'::1'", "::1"),
}


def test_each_type_is_read_as_a_value_of_records(bank):
    columns = ", ".join(f"`c {number}` {kind}" for number, kind in enumerate(VALUES))
    values = ", ".join(literal for literal, _ in VALUES.values())
    opened = bank(f"CREATE TABLE things ({columns}, n serial PRIMARY KEY); INSERT INTO things VALUES ({values}, 1)")
    (found,) = fetch_once(opened, Query(collection="things")).records
    assert found.pop("n") == 1
    assert dict(zip(VALUES, found.values(), strict=True)) == {kind: value for kind, (_, value) in VALUES.items()}


ZERO = """
CREATE TABLE banking_transactions (accountId varchar(9), transactionId varchar(9), postingDateTime timestamp NULL,
    valueDateTime datetime, executionDateTime date);
SET sql_mode = 'ALLOW_INVALID_DATES';
INSERT INTO banking_transactions VALUES ('a1', 't1', '0000-00-00', NULL, NULL), ('a2', 't2', NULL, NULL, '2026-05-00'),
    ('a3', 't3', '2026-05-01', NULL, NULL), ('a4', 't4', NULL, NULL, '2026-02-31');
"""


@pytest.mark.parametrize("year", [1990, 2026, 2030])
@pytest.mark.parametrize("operator", ["ge", "le"])
@pytest.mark.parametrize("account", ["a1", "a2"])
def test_a_day_that_is_none_is_never_left_out(bank, account, operator, year):
    """Whichever window a request has, the row comes, and what reads it names the member."""
    opened = bank(ZERO)
    window = Filter("postingDateTime", operator, datetime(year, 1, 1, tzinfo=UTC), otherwise=("executionDateTime",))
    (row,) = fetch_once(opened, build_query("banking.transactions", window, accountId=account)).records
    with pytest.raises(SourceFault, match="a value is neither a date-time with an offset nor a date"):
        window.admits(row)


def test_a_moment_is_written_in_the_zone_of_the_source(bank):
    opened = bank(
        "CREATE TABLE things (id int PRIMARY KEY, at timestamp(1) NULL); SET time_zone = '+00:00';"
        "INSERT INTO things VALUES (1, '2026-04-04 15:30:00.5'), (2, '2026-04-04 16:30:00'), (3, NULL)"
    )
    for zone, wanted in (
        ("Australia/Sydney", ["2026-04-05T02:30:00.500000+11:00", "2026-04-05T02:30:00+10:00", None]),
        ("UTC", ["2026-04-04T15:30:00.5Z", "2026-04-04T16:30:00.0Z", None]),
    ):
        page = fetch_once(lambda zone=zone: opened(time_zone=zone), Query(collection="things"))
        assert [row["at"] for row in page.records] == wanted


def test_a_datetime_of_utc_is_compared_by_the_database(bank):
    opened = bank(
        "CREATE TABLE banking_transactions (accountId varchar(9), transactionId int PRIMARY KEY,"
        "postingDateTime datetime);"
        "INSERT INTO banking_transactions VALUES ('a1', 1, '2026-06-15 11:59:59'), ('a1', 2, '2026-06-15 12:00:00')"
    )
    query = build_query("banking.transactions", Filter("postingDateTime", "ge", NOON), accountId="a1")

    async def scenario():
        async with opened(time_zone="UTC") as source:
            statement, _ = source._schema.page(query)
            return statement, await fetch_records(source, query)

    statement, (row,) = asyncio.run(scenario())
    assert "CAST(%s AS DATETIME(6))" in statement
    assert row["postingDateTime"] == "2026-06-15T12:00:00Z"


# -- the exact meaning of a Query ---------------------------------------------------------------------------------

MIXED = """
CREATE TABLE things (id serial PRIMARY KEY, `text` varchar(20), sharp varchar(20) COLLATE utf8mb4_bin,
    latin varchar(20) CHARACTER SET latin1, `long` text, short char(5), turkish varchar(20) COLLATE utf8mb4_turkish_ci,
    whole int, exact decimal(20,2), padded int(4) zerofill, flag boolean, at timestamp(6) NULL, day date,
    mood enum('A1', 'a2', '12'), rate double, bits bit(4), bytes varbinary(20));
SET time_zone = '+00:00';
INSERT INTO things VALUES
    (1, '12', '12', 'A1', '12', '12', 'KIM', 12, 12.00, 12, true, '2026-06-15 12:00', '2026-06-15', 'A1', 12, 12, '12'),
    (2, '012', 'a1', 'a1', 'a1 ', 'a1', 'kim', -12, 12, 0, false, '2026-06-15 12:00:00.000001', '2026-06-16', 'a2', 0.5,
        1, ''),
    (3, 'A1', NULL, '12', 'A1', NULL, 'k\u0131m', 0, 0.10, NULL, NULL, NULL, NULL, '12', NULL, NULL, NULL),
    (4, 'a1 ', 'A1', NULL, NULL, 'A1', NULL, NULL, NULL, 7, true, '2020-01-01', '2027-01-01', NULL, NULL, 0, 'A1'),
    (5, 'a1', 'a1 ', '\u00e9', '\u00e9', 'a1', 'A1', 7, 7, 7, true, NULL, NULL, NULL, NULL, 0, 'A1'),
    (6, NULL, '', '\u00c9', '\u00c9', '', '\u00e9', 2147483647, -9.5, 1, NULL, NULL, '2020-01-01', 'A1', 12, 3, 'a1');
"""
COLUMNS = (
    "text",
    "sharp",
    "latin",
    "long",
    "short",
    "turkish",
    "whole",
    "exact",
    "padded",
    "mood",
    "rate",
    "bits",
    "bytes",
    "flag",
)
SOUGHT = (
    *("12", "012", "0012", "12.0", "12.00", "0.10", "-12", "-0", "0", "1", "1e1", "99999999999", "9" * 23, "true"),
    *(
        "A1",
        "a1",
        "a1 ",
        "a1   ",
        " a1",
        "KIM",
        "kim",
        "K\u0130M",
        "\\",
        "",
        "\u00e9",
        "\u00c9",
        "e\u0301",
        "\U0001f600",
    ),
)


def build_text_filters():
    for column in COLUMNS:
        for value in SOUGHT:
            yield Filter(column, "eq", value)
            yield Filter(column, "ieq", value)
            yield Filter(column, "eq", value, absent="12")
            yield Filter(column, "contains", value, otherwise=("text",))
        yield Filter(column, "in", SOUGHT)
        yield Filter("absent", "eq", "A1", otherwise=(column, "text"), absent="a1")


def build_other_filters():
    for operator in ("ge", "le"):
        for column in ("at", "day", "absent"):
            for moment in (NOON, NOON.replace(microsecond=1), datetime(2026, 6, 15, tzinfo=UTC)):
                yield Filter(column, operator, moment)
                yield Filter(column, operator, moment, absent=NOON)
                yield Filter(column, operator, moment, otherwise=("day", "at"), absent=NOON)
        for column in ("whole", "exact", "absent"):
            for text in ("12", "12.00", "-9.5", "0.10000000000000000000001", "1E+30", "1E+50", "1E-40"):
                yield Filter(column, operator, Decimal(text))
    for truth in (True, False):
        for absent in (None, True, False):
            yield Filter("flag", "eq", truth, absent=absent)
            yield Filter("absent", "eq", truth, absent=absent)


ORDERS = [
    Order(member, descending, reads, otherwise)
    for descending in (False, True)
    for members, reads in (
        (("text", "sharp", "latin", "long", "short", "turkish", "whole", "padded", "mood", "absent"), "text"),
        (("at", "day"), "instant"),
    )
    for member in members
    for otherwise in ((), ("text",) if reads == "text" else ("day",))
]


def build_queries():
    for condition in (*build_text_filters(), *build_other_filters()):
        yield build_query("things", condition)
    for order in ORDERS:
        yield Query(collection="things", order=(order,), offset=1, limit=3)


def test_every_filter_and_order_means_what_select_means(bank):
    opened = bank(MIXED)

    async def scenario():
        async with opened() as source:
            stored = await fetch_records(source, Query(collection="things"))
            assert len(stored) == 6
            for query in build_queries():
                assert await source.fetch(query) == select(stored, query), query

    asyncio.run(scenario())


BILLS = """
CREATE TABLE bill (contract varchar(9), at timestamp NULL, line int, memo text, KEY (contract));
INSERT INTO bill SELECT 'a1', '2026-09-30', seq, REPEAT('x', 2000) FROM seq_1_to_120 ORDER BY MD5(seq);
CREATE VIEW energy_billing AS
SELECT contract AS accountId, at AS executionDateTime, line AS `usage.description`, memo AS `demand.description`
FROM bill;
"""


def test_each_record_of_a_view_without_ids_is_on_one_page(bank):
    opened = bank(BILLS)
    newest = Order("executionDateTime", descending=True, reads="instant")
    owned = Query(collection="energy.billing", filters=(Filter("accountId", "eq", "a1"),), order=(newest,), limit=25)

    async def scenario():
        async with opened() as source:
            pages = [await source.fetch(replace(owned, offset=offset)) for offset in range(0, 120, 25)]
            return [record["usage.description"] for page in pages for record in page.records], await source.advice(
                owned
            )

    lines, (advice,) = asyncio.run(scenario())
    assert sorted(lines) == list(range(1, 121))
    assert advice.startswith("view 'energy_billing' has no order of its own")
