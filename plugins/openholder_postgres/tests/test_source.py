"""The PostgreSQL source: names of tables and columns, values, and conditions with their exact meaning."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from cluster import PASSWORD
from openholder import PLACE, Filter, Order, Query, SourceFault, select
from openholder.sql import Schema, Table
from openholder_postgres.dialect import PostgresDialect
from queries import build_query, fetch_once, fetch_records, open_bank
from questions import MIXED, NOON, build_queries

# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "columns"),
    [
        ("""CREATE TABLE accounts ("customerId" text, id text); INSERT INTO accounts VALUES ('c1', 'a1')""", {}),
        (
            "CREATE TABLE acct (owner text, acct_no text); INSERT INTO acct VALUES ('c1', 'a1');"
            'CREATE VIEW accounts AS SELECT owner AS "customerId", acct_no AS id FROM acct',
            {},
        ),
        (
            """CREATE TABLE acct (o text, n text); INSERT INTO acct VALUES ('c1', 'a1');
            CREATE MATERIALIZED VIEW accounts AS SELECT o AS "customerId", n AS id FROM acct""",
            {},
        ),
        (
            """CREATE TABLE accounts ("customerId" text, id text) PARTITION BY LIST (id);
            CREATE TABLE one PARTITION OF accounts DEFAULT; INSERT INTO accounts VALUES ('c1', 'a1')""",
            {},
        ),
        (
            """CREATE TABLE accounts (owner text, "my ""no"" {0}" text); INSERT INTO accounts VALUES ('c1', 'a1')""",
            {"accounts": {"customerId": "owner", "id": 'my "no" {0}'}},
        ),
    ],
    ids=["table", "view", "materialized view", "partitioned", "columns"],
)
def test_tables_views_and_columns_map_a_schema(schema, script, columns):
    opened = schema(script)
    page = fetch_once(lambda: opened(columns=columns), build_query("accounts", customerId="c1", id="a1"))
    assert page.records == [{"customerId": "c1", "id": "a1"}]


def test_columns_must_name_what_exists(schema):
    opened = schema("CREATE TABLE accounts (id text)")
    for columns, message in (
        ({"acounts": {"id": "id"}}, "`columns` names 'acounts', but there is no table or view of that name"),
        ({"accounts": {"id": "no"}}, "table 'accounts' has no column 'no', which `columns` or `mapping` names"),
    ):
        with pytest.raises(SourceFault, match=f"^{message}$"):
            fetch_once(lambda columns=columns: opened(columns=columns), Query(collection="accounts"))


def test_columns_that_the_user_may_not_read_are_left_out(schema, cluster):
    schema("CREATE TABLE customers (id text, secret text); INSERT INTO customers VALUES ('1', 'x')")
    cluster.execute(
        "DROP OWNED BY clerk; DROP USER clerk"
        if asyncio.run(cluster.fetch_value("SELECT to_regrole('clerk')"))
        else "SELECT 1"
    )
    cluster.execute(
        f"CREATE USER clerk PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA own TO clerk;"
        "GRANT SELECT (id) ON own.customers TO clerk"
    )
    page = fetch_once(lambda: open_bank(cluster, schema_name="own", user="clerk"), Query(collection="customers"))
    assert page.records == [{"id": "1"}]
    cluster.execute("REVOKE USAGE ON SCHEMA own FROM clerk")
    with pytest.raises(SourceFault, match="schema 'own' has no table or view that the user may read"):
        fetch_once(lambda: open_bank(cluster, schema_name="own", user="clerk"), Query(collection="customers"))


@pytest.mark.parametrize("attempt", ["' OR ''='", '"; DROP TABLE own.customers; --', "$1", "\\", "a\0b", "\ud800", "%"])
def test_ids_are_values_and_never_sql(schema, attempt):
    opened = schema("CREATE TABLE customers (id text, email text); INSERT INTO customers VALUES ('1', 'a')")
    for operator, value in (("eq", attempt), ("in", (attempt, "x")), ("ieq", attempt), ("contains", attempt)):
        assert fetch_once(opened, build_query("customers", Filter("id", operator, value))).total == 0
    assert fetch_once(opened, Query(collection="customers")).total == 1


# -- nothing as an empty text -------------------------------------------------------------------------------------

BLANK = """
CREATE TABLE banking_transactions ("accountId" text, "transactionId" text, "postingDateTime" {0}, "currency" char(3),
    status text, description text, amount numeric);
INSERT INTO banking_transactions VALUES ('a1', 't1', '2026-06-15T12:00:00Z', 'AUD', 'POSTED', '', 1.00),
    ('a1', '', NULL, '', '', 'x', 2.00);
"""


@pytest.mark.parametrize("time", ["text", "timestamptz"])
def test_an_empty_text_is_absent_where_it_means_nothing_else(schema, time):
    script = BLANK.format(time) + (
        "UPDATE banking_transactions SET \"postingDateTime\" = '' WHERE amount = 2" * (time == "text")
    )
    opened = schema(script)
    order = (Order("postingDateTime", descending=True, reads="instant"), Order("transactionId"))
    query = Query(collection="banking.transactions", filters=(Filter("accountId", "eq", "a1"),), order=order)
    pending, posted = fetch_once(lambda: opened(empty_is_absent=True), query).records
    assert pending == {
        **dict.fromkeys(("transactionId", "postingDateTime", "currency", "status")),
        "accountId": "a1",
        "description": "x",
        "amount": Decimal("2.00"),
    }
    assert (posted["transactionId"], posted["currency"], posted["description"]) == ("t1", "AUD", "")
    plain = fetch_once(opened, Query(collection="banking.transactions", filters=query.filters)).records
    assert {row["status"] for row in plain} == {"POSTED", ""}


# -- values -------------------------------------------------------------------------------------------------------

VALUES = {
    "text": ("'Caf\u00e9'", "Caf\u00e9"),
    "char(4)": ("'ab'", "ab"),
    "integer": ("12", 12),
    "numeric": ("12345678901234567890.10", Decimal("12345678901234567890.10")),
    "boolean": ("true", True),
    "timestamptz": ("'2026-06-15 22:00:00.25+10'", "2026-06-15T12:00:00.25Z"),
    "timestamp": ("'2026-06-15 22:00:00'", "2026-06-15T22:00:00"),
    "date": ("'2026-02-28'", "2026-02-28"),
    "uuid": ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "jsonb": ("""'{"a": 1.50}'""", '{"a": 1.50}'),
    "json": ("""'{"a":1.50}'""", '{"a":1.50}'),
    "text[]": ("'{a,b}'", ["a", "b"]),
    "bytea": ("'\\x00ff'", b"\x00\xff"),
    "interval": ("'1 day'", "1 day"),
    "mood": ("'happy'", "happy"),
    "amount": ("1.50", Decimal("1.50")),
    "point": ("'(1,2)'", "(1,2)"),
    "double precision": ("0.1", 0.1),
    "real": ("123456.78", 123456.78),  # the bits are exactly 123456.78125
}


def test_each_type_is_read_as_a_value_of_records(schema):
    columns = ", ".join(f'"c {number}" {kind}' for number, kind in enumerate(VALUES))
    types = "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN amount AS numeric CHECK (VALUE > 0);"
    values = ", ".join(literal for literal, _ in VALUES.values())
    rows = f"INSERT INTO things VALUES ({values}); INSERT INTO things DEFAULT VALUES"
    opened = schema(f"{types} CREATE TABLE things ({columns}); {rows}")
    found, empty = fetch_once(opened, Query(collection="things")).records
    assert list(found.values()) == [value for _, value in VALUES.values()]
    assert set(empty.values()) == {None}


def test_infinity_is_a_fault_that_names_the_member(schema):
    opened = schema("CREATE TABLE things (id text, at timestamptz); INSERT INTO things VALUES ('1', 'infinity')")
    page = fetch_once(opened, Query(collection="things"))
    with pytest.raises(SourceFault, match=r"^member 'at': a value is neither a date-time with an offset nor a date "):
        select(page.records, Query(collection="things", order=(Order("at", reads="instant"),)))


def test_an_id_is_a_number_without_an_exponent(schema):
    """Write out 350000, which the driver gives as 3.5E+5."""
    opened = schema("CREATE TABLE customers (id numeric); INSERT INTO customers VALUES (350000), (12), (12.0)")
    for wanted, found in (("350000", True), ("3.5E+5", False), ("12", True), ("12.0", True), ("012", False)):
        condition = Filter("id", "eq", wanted)
        page = fetch_once(opened, build_query("customers", condition))
        assert (page.total, condition.admits_all(page.records)) == (int(found), True)


def test_a_record_without_an_id_says_where_it_stands(schema):
    opened = schema(
        'CREATE TABLE energy_concessions ("accountId" text, type text); CREATE VIEW balances AS '
        "SELECT 'a1' AS \"accountId\"; INSERT INTO energy_concessions VALUES ('a2', 'x'), ('a1', 'y')"
    )
    (row,) = fetch_once(opened, build_query("energy.concessions", accountId="a1")).records
    assert row == {"accountId": "a1", "type": "y", PLACE: "energy_concessions ctid (0,2)"}
    assert fetch_once(opened, build_query("balances", accountId="a1")).records == [{"accountId": "a1"}]


# -- the exact meaning of a Query ----------------------------------------------------------------------------------


def test_every_filter_and_order_means_what_select_means(schema):
    opened = schema(MIXED)

    async def scenario():
        async with opened() as source:
            stored = await fetch_records(source, Query(collection="things"))
            assert len(stored) == 5
            for query in build_queries():
                assert await source.fetch(query) == select(stored, query), query

    asyncio.run(scenario())


def build_schema():
    types = {"accountId": "text", "id": "int8", "email": "varchar", "at": "timestamptz", "day": "date"}
    types |= {"amount": "numeric", "flag": "bool", "schedule": "jsonb", "rate": "float8", "key": "uuid"}
    return Schema(PostgresDialect(), [Table("things", types, ("id",))], {})


EXPRESSED = [
    Filter("accountId", "eq", "a"),
    Filter("accountId", "in", ("a", "b")),
    Filter("email", "ieq", "a"),
    Filter("email", "contains", "a", otherwise=("accountId",)),
    Filter("accountId", "eq", "OPEN", absent="OPEN"),
    Filter("id", "eq", "7"),
    Filter("key", "eq", "7"),
    Filter("at", "ge", NOON, otherwise=("day",), absent=NOON),
    Filter("amount", "le", Decimal(5)),
    Filter("flag", "eq", True, absent=True),
]
LEFT_TO_OPENHOLDER = [
    Filter("schedule", "some", True, item="isPaid"),
    Filter("email", "ge", NOON),
    Filter("at", "ge", NOON, otherwise=("email",)),
    Filter("rate", "ge", Decimal(5)),
    Filter("rate", "eq", "5"),
]


@pytest.mark.parametrize("condition", EXPRESSED, ids=str)
def test_the_database_filters_what_types_allow(condition):
    statement, _ = build_schema().page(
        Query(collection="things", filters=(condition,), order=(Order("at", True, "instant"),))
    )
    assert "WHERE" in statement
    assert "ORDER BY COALESCE" in statement or 'ORDER BY "at" DESC NULLS FIRST' in statement


@pytest.mark.parametrize("condition", LEFT_TO_OPENHOLDER, ids=str)
def test_the_database_leaves_inexact_filters_to_openholder(condition):
    owner = Filter("accountId", "eq", "a")
    statement, parameters = build_schema().page(Query(collection="things", filters=(owner, condition), limit=1))
    assert '"accountId" = $1::text ORDER BY' in statement
    assert parameters == ("a", 100_001, 0)


# -- pages and indexes --------------------------------------------------------------------------------------------

MANY = """
CREATE TABLE things (number bigint PRIMARY KEY, "accountId" text, email varchar(200), at timestamptz);
INSERT INTO things SELECT n, 'a' || n % 1000, 'Kim' || n || '@example.com', now() FROM generate_series(1, 20000) n;
ANALYZE things;
"""


def test_a_missing_index_is_advised_and_used(schema, cluster):
    opened = schema(MANY)
    queries = [
        build_query("things", accountId="a7"),
        build_query("things", Filter("email", "ieq", "kim7@example.com")),
        build_query("things", Filter("accountId", "in", ("a7", "a8"))),
    ]

    async def fetch_advice():
        async with opened() as source:
            return [await source.advice(query) for query in queries]

    advised = asyncio.run(fetch_advice())
    assert advised[0] == ['CREATE INDEX "things_accountId" ON "things" ("accountId");']
    assert advised[1] == ['CREATE INDEX "things_email" ON "things" ((lower("email" COLLATE "C")));']
    cluster.execute("SET search_path = own; " + advised[0][0] + advised[1][0] + "ANALYZE things")
    assert asyncio.run(fetch_advice()) == [[], [], []]


def test_a_thousand_ids_are_one_query(schema):
    opened = schema(MANY)
    wanted = Filter("accountId", "in", tuple(f"a{number}" for number in range(0, 2000, 2)))
    page = fetch_once(opened, Query(collection="things", filters=(wanted,), limit=25, offset=9990))
    assert (page.total, len(page.records)) == (10_000, 10)


def test_pages_without_an_order_do_not_overlap(schema):
    opened = schema(
        'CREATE TABLE few ("accountId" text, name text); CREATE INDEX ON few ("accountId", name);'
        "INSERT INTO few SELECT 'a', chr(122 - n) FROM generate_series(0, 9) n"
    )

    async def scenario():
        async with opened() as source:
            filters = (Filter("accountId", "eq", "a"),)
            pages = [Query(collection="few", filters=filters, offset=n, limit=3) for n in (0, 3, 6, 9)]
            return [record["name"] for page in pages for record in await fetch_records(source, page)]

    assert "".join(asyncio.run(scenario())) == "zyxwvutsrq"


BILLS = """
CREATE TABLE bill (contract text, at timestamptz, line int);
INSERT INTO bill SELECT 'a1', '2026-09-30Z', n FROM generate_series(1, 600) n ORDER BY md5(n::text);
CREATE INDEX ON bill (contract);
CREATE VIEW energy_billing AS
SELECT contract AS "accountId", at AS "executionDateTime", line AS "usage.description" FROM bill;
"""


def test_each_record_of_a_view_without_ids_is_on_one_page(schema):
    opened = schema(BILLS)
    newest = Order("executionDateTime", descending=True, reads="instant")
    owned = Query(collection="energy.billing", filters=(Filter("accountId", "eq", "a1"),), order=(newest,), limit=25)

    async def scenario():
        async with opened() as source:
            pages = [await source.fetch(replace(owned, offset=offset)) for offset in range(0, 600, 25)]
            (advice,) = await source.advice(owned)
            return [record["usage.description"] for page in pages for record in page.records], advice

    lines, advice = asyncio.run(scenario())
    assert sorted(lines) == list(range(1, 601))
    assert advice.startswith(
        "view 'energy_billing' has no order of its own, so each page of 'energy.billing' sorts all"
    )


# -- a schema that changes ----------------------------------------------------------------------------------------


def test_changed_columns_are_noticed(schema, cluster):
    opened = schema(
        "CREATE TABLE things (id text, amount text, gone text); INSERT INTO things VALUES ('1', '2.50', 'x')"
    )

    async def scenario():
        async with opened() as source:
            query = build_query("things", Filter("amount", "ge", Decimal(2)))
            assert await fetch_records(source, query) == [{"id": "1", "amount": "2.50", "gone": "x"}]
            await cluster.execute_async("ALTER TABLE own.things DROP COLUMN gone")
            assert await fetch_records(source, query) == [{"id": "1", "amount": "2.50"}]
            await cluster.execute_async("ALTER TABLE own.things ALTER COLUMN amount TYPE numeric USING amount::numeric")
            assert await fetch_records(source, query) == [{"id": "1", "amount": Decimal("2.50")}]
            await cluster.execute_async("ALTER TABLE own.things ADD COLUMN fresh text DEFAULT 'y'")
            await source.health()
            assert await fetch_records(source, query) == [{"id": "1", "amount": Decimal("2.50"), "fresh": "y"}]

    asyncio.run(scenario())
