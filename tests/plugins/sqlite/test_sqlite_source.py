"""The SQLite source: custom schemas, exact ids, and a file that is read and never written."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from openholder import Filter, Order, Query, SourceFault, select
from openholder.config import Configuration
from openholder.contract.collections import find_collection
from openholder.contract.records.auth import Customer
from openholder.contract.records.banking.transactions import Transaction
from openholder.contract.records.starter import Balance
from openholder.contract.rows import Misfit, to_record
from openholder.errors import Unreachable
from openholder.server.generation import make_sources
from openholder.sql import Schema, Table
from openholder_sqlite import SQLiteSettings, SQLiteSource
from openholder_sqlite.dialect import SQLiteDialect, quote_identifier
from openholder_sqlite.file_database import FileDatabase

HEAD = 'public_url = "https://a.example"\n[fiskil]\nissuer = "a"\njwks_url = "https://a.example/jwks.json"\n'
SOURCE = '[sources.bank]\nkind = "sqlite"\npath = "bank.db"\n'


def run_script(folder, script):
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        connection.executescript(script)


def build_sources(folder, script="", more=""):
    """Build the sources of a configuration with one SQLite file, after running ``script`` in it."""
    run_script(folder, script)
    path = folder / "openholder.toml"
    path.write_text(HEAD + SOURCE + more, encoding="utf-8")
    return make_sources(Configuration.load(path))


def build_query(collection, **members):
    """Build the query for all records with these members."""
    return Query(collection=collection, filters=tuple(Filter(name, "eq", value) for name, value in members.items()))


async def fetch_ids(sources, query):
    return [record["id"] for record in (await sources.fetch(query)).records]


# -- the file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"id,name\n1,Jane\n", b"SQLite format 3\0" + b"\xff" * 500, bytes(4096)])
@pytest.mark.gen_test
async def test_a_file_that_is_not_a_database_is_refused_unchanged(io_loop, tmp_path, content):
    sources = build_sources(tmp_path)
    (tmp_path / "bank.db").write_bytes(content)
    with pytest.raises(Unreachable, match=r"^source 'bank' cannot be opened: not a readable SQLite database: .+$"):
        async with sources:
            pass
    assert (tmp_path / "bank.db").read_bytes() == content


@pytest.mark.gen_test
async def test_a_missing_file_is_refused_and_never_created(io_loop, tmp_path):
    sources = build_sources(tmp_path)
    (tmp_path / "bank.db").unlink()
    with pytest.raises(Unreachable, match=r"^source 'bank' cannot be opened: .*unable to open database file"):
        async with sources:
            pass
    assert not (tmp_path / "bank.db").exists()


OPEN_OFTEN = """
import asyncio, pathlib, sys, openholder, openholder_sqlite

path = pathlib.Path(sys.argv[1])
settings = openholder_sqlite.SQLiteSettings(path=path, columns={"customers": {"id": "nowhere"}})
if sys.argv[2] != "there":
    path.unlink()
if sys.argv[2] == "a folder":
    path.mkdir()
for _ in range(10):
    try:
        asyncio.run(openholder_sqlite.SQLiteSource("bank", settings).open())
    except openholder.SourceFault:
        print("refused")
"""


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize(
    ("content", "by_then"), [(b"", "missing"), (b"", "a folder"), (b"no database", "there"), (b"", "there")]
)
def test_a_process_whose_source_cannot_open_ends_silently(tmp_path, content, by_then):
    """Each connection has a thread: left alone it keeps the process from ending, or complains about a closed loop."""
    (tmp_path / "bank.db").write_bytes(content)  # an empty file is a database without the mapped column
    command = [sys.executable, "-W", "error", "-c", OPEN_OFTEN, str(tmp_path / "bank.db"), by_then]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert (ended.stdout, ended.stderr) == ("refused\n" * 10, "")


@pytest.mark.gen_test
async def test_the_file_cannot_be_written_through_the_source(io_loop, tmp_path):
    run_script(tmp_path, "CREATE TABLE customers (id); INSERT INTO customers VALUES (1)")
    before = (tmp_path / "bank.db").read_bytes()
    database = FileDatabase(SQLiteSettings(path=tmp_path / "bank.db"), 1.0, None)
    connection = await database._connect_in_thread()
    try:
        for statement in ("DELETE FROM customers", "CREATE TABLE more (id)", "PRAGMA user_version = 7"):
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await connection.execute(statement)
    finally:
        await connection.close()
    assert (tmp_path / "bank.db").read_bytes() == before


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.gen_test
async def test_what_others_commit_is_seen_at_once(io_loop, tmp_path, mode):
    async with build_sources(tmp_path, f"PRAGMA journal_mode = {mode}; CREATE TABLE customers (id)") as sources:
        assert await fetch_ids(sources, Query(collection="customers")) == []
        with closing(sqlite3.connect(tmp_path / "bank.db")) as writer:
            with writer:
                writer.execute("INSERT INTO customers VALUES ('1')")
            assert await fetch_ids(sources, Query(collection="customers")) == ["1"]


# -- custom schemas ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "more"),
    [
        ("CREATE TABLE accounts (customerId, id); INSERT INTO accounts VALUES ('c1', 'a1')", ""),
        (
            "CREATE TABLE acct (owner, acct_no); INSERT INTO acct VALUES ('c1', 'a1');"
            "CREATE VIEW accounts AS SELECT owner AS customerId, acct_no AS id FROM acct",
            "",
        ),
        (
            """CREATE TABLE accounts (owner, "my ""no"" here"); INSERT INTO accounts VALUES ('c1', 'a1')""",
            "[sources.bank.columns.accounts]\ncustomerId = 'owner'\nid = 'my \"no\" here'\n",
        ),
        (
            "CREATE TABLE accounts (customerId, id, acct_no); INSERT INTO accounts VALUES ('c1', 'internal', 'a1')",
            '[sources.bank.columns.accounts]\nid = "acct_no"\n',
        ),
    ],
    ids=["as it is", "view", "columns", "columns win over a column of the member's name"],
)
@pytest.mark.gen_test
async def test_a_view_or_columns_make_a_schema_fit(io_loop, tmp_path, schema, more):
    async with build_sources(tmp_path, schema, more) as sources:
        page = await sources.fetch(build_query("accounts", customerId="c1", id="a1"))
        assert page.records == [{"customerId": "c1", "id": "a1"}]


@pytest.mark.parametrize("key", ['"banking.transactions"', "banking_transactions"])
@pytest.mark.gen_test
async def test_columns_may_name_the_collection_or_the_table(io_loop, tmp_path, key):
    schema = "CREATE TABLE banking_transactions (acct_no); INSERT INTO banking_transactions VALUES ('a1')"
    async with build_sources(tmp_path, schema, f'[sources.bank.columns.{key}]\naccountId = "acct_no"\n') as sources:
        assert (await sources.fetch(Query(collection="banking.transactions"))).records == [{"accountId": "a1"}]


@pytest.mark.gen_test
async def test_a_generated_column_is_a_column(io_loop, tmp_path):
    schema = (
        "CREATE TABLE customers (number, id TEXT GENERATED ALWAYS AS ('c' || number));INSERT INTO customers VALUES (7)"
    )
    async with build_sources(tmp_path, schema) as sources:
        assert await fetch_ids(sources, build_query("customers", id="c7")) == ["c7"]


@pytest.mark.parametrize(
    ("table", "named"), [("accounts", "table 'accounts' has no column 'acct_no'"), ("acounts", "acounts")]
)
@pytest.mark.gen_test
async def test_a_mapping_of_a_missing_name_is_refused(io_loop, tmp_path, table, named):
    sources = build_sources(tmp_path, "CREATE TABLE accounts (id)", f'[sources.bank.columns.{table}]\nid = "acct_no"\n')
    with pytest.raises(Unreachable, match=f"^source 'bank' cannot be opened: .*{named}"):
        async with sources:
            pass


@pytest.mark.gen_test
async def test_a_missing_owner_column_is_a_fault_with_its_name(io_loop, tmp_path):
    async with build_sources(tmp_path, "CREATE TABLE balances (account, current)") as sources:
        with pytest.raises(SourceFault, match="table 'balances' has no column 'accountId'"):
            await sources.fetch(build_query("balances", accountId="a1"))


NAMES = ["order", "two words", "it's", 'a "quoted" name', "100%", "a.b.c", "Größe", "banking_direct_debits", "energy_x"]


@pytest.mark.gen_test
async def test_every_listed_collection_can_be_queried(io_loop, tmp_path):
    run_script(tmp_path, "".join(f"CREATE TABLE {quote_identifier(name)} (id);" for name in NAMES))
    source = SQLiteSource("bank", SQLiteSettings(path=tmp_path / "bank.db"))
    await source.open()
    try:
        names = set(source.collections())
        assert {*NAMES, "banking.direct_debits", "energy.x"} <= names
        for name in names:
            assert (await source.fetch(Query(collection=name))).total == 0
    finally:
        await source.close()


@pytest.mark.parametrize("name", ["select", "group", "two words", "it's", 'a "quoted" name', "?", ":id", "id; --"])
@pytest.mark.gen_test
async def test_columns_may_be_called_anything(io_loop, tmp_path, name):
    schema = f"CREATE TABLE customers ({quote_identifier(name)}); INSERT INTO customers VALUES ('1'), ('2')"
    async with build_sources(tmp_path, schema) as sources:
        assert (await sources.fetch(build_query("customers", **{name: "2"}))).records == [{name: "2"}]


# -- ids ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("declared", ["INTEGER PRIMARY KEY", "INTEGER", "NUMERIC", "BIGINT", "TEXT", "", "BLOB"])
@pytest.mark.parametrize("asked", ["12.0", " 12", "12 ", "+12", "1.2e1", "012", "0xC", "\uff11\uff12", "", "12\0"])
@pytest.mark.gen_test
async def test_twelve_is_found_as_12_and_as_nothing_else(io_loop, tmp_path, declared, asked):
    async with build_sources(
        tmp_path, f"CREATE TABLE customers (id {declared}); INSERT INTO customers VALUES (12)"
    ) as sources:
        assert len(await fetch_ids(sources, build_query("customers", id="12"))) == 1
        assert await fetch_ids(sources, build_query("customers", id=asked)) == []


@pytest.mark.parametrize("collation", ["NOCASE", "RTRIM", "BINARY"])
@pytest.mark.gen_test
async def test_ids_are_compared_exactly_under_any_collation(io_loop, tmp_path, collation):
    schema = (
        f"CREATE TABLE customers (id TEXT COLLATE {collation});INSERT INTO customers VALUES ('abc'), ('ABC'), ('abc  ')"
    )
    async with build_sources(tmp_path, schema) as sources:
        for asked, found in [("abc", ["abc"]), ("ABC", ["ABC"]), ("Abc", []), ("abc ", []), ("abc  ", ["abc  "])]:
            assert await fetch_ids(sources, build_query("customers", id=asked)) == found


@pytest.mark.gen_test
async def test_typeless_columns_hold_text_and_numbers_side_by_side(io_loop, tmp_path):
    schema = "CREATE TABLE customers (id); INSERT INTO customers VALUES (12), ('12'), ('012'), (NULL)"
    async with build_sources(tmp_path, schema) as sources:
        assert await fetch_ids(sources, build_query("customers", id="12")) == [12, "12"]
        assert await fetch_ids(sources, build_query("customers", id="012")) == ["012"]


@pytest.mark.gen_test
async def test_ids_and_addresses_are_found_through_an_index(io_loop, tmp_path):
    schema = (
        "CREATE TABLE customers (id TEXT PRIMARY KEY, number INTEGER, email TEXT);"
        "CREATE INDEX numbers ON customers (number);"
        "CREATE INDEX addresses ON customers (email COLLATE NOCASE)"
    )
    run_script(tmp_path, schema)
    types = {"id": "TEXT", "number": "INTEGER", "email": "TEXT"}
    schema = Schema(SQLiteDialect(), [Table("customers", types)], {})
    with closing(sqlite3.connect(tmp_path / "bank.db")) as connection:
        for condition in (Filter("id", "eq", "1"), Filter("number", "eq", "1"), Filter("email", "ieq", "a@b.example")):
            text, parameters = schema.page(Query(collection="customers", filters=(condition,)))
            plan = " ".join(row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", parameters))
            assert "SEARCH" in plan and "INDEX" in plan


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "value", "leaves"),
    [
        ("TEXT", "'1200.50'", b"1200.50"),
        ("TEXT", "'12345678901234567890.12'", b"12345678901234567890.12"),
        ("NUMERIC", "1200.50", b"1200.5"),
        ("NUMERIC", "'1200.50'", b"1200.5"),
        ("NUMERIC", "-3", b"-3"),
        ("INTEGER", "1200", b"1200"),
        ("INTEGER", "0", b"0"),
        ("", "1200.50", b"1200.5"),
    ],
)
@pytest.mark.gen_test
async def test_numbers_leave_as_exact_decimals(io_loop, tmp_path, declared, value, leaves):
    schema = (
        f"CREATE TABLE balances (accountId, current {declared}, available {declared});"
        f"INSERT INTO balances VALUES ('a1', {value}, NULL)"
    )
    async with build_sources(tmp_path, schema) as sources:
        (row,) = (await sources.fetch(build_query("balances", accountId="a1"))).records
    encoded = msgspec.json.Encoder(decimal_format="number").encode(to_record(row, Balance))
    assert encoded == b'{"account_id":"a1","current":' + leaves + b"}"


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ('"address.locality", "address.postalCode"', "'Darwin', '0800'"),
        ("address", """'{"locality": "Darwin", "postalCode": "0800", "region": null}'"""),
    ],
    ids=["dotted columns", "JSON"],
)
@pytest.mark.gen_test
async def test_an_object_is_dotted_columns_or_json(io_loop, tmp_path, columns, values):
    schema = f"CREATE TABLE customers (id, name, {columns}); INSERT INTO customers VALUES ('c1', NULL, {values})"
    async with build_sources(tmp_path, schema) as sources:
        (row,) = (await sources.fetch(build_query("customers", id="c1"))).records
    customer = msgspec.to_builtins(to_record(row, Customer))
    assert customer == {"id": "c1", "address": {"locality": "Darwin", "postalCode": "0800"}}


@pytest.mark.gen_test
async def test_an_object_without_values_is_absent(io_loop, tmp_path):
    schema = 'CREATE TABLE customers (id, "address.locality"); INSERT INTO customers (id) VALUES (1)'
    async with build_sources(tmp_path, schema) as sources:
        (row,) = (await sources.fetch(Query(collection="customers"))).records
    assert msgspec.to_builtins(to_record(row, Customer)) == {"id": "1"}


# -- nothing as an empty text -------------------------------------------------------------------------------------

BLANK = """
CREATE TABLE banking_transactions (accountId TEXT, transactionId TEXT, postingDateTime TEXT, executionDateTime TEXT,
    amount TEXT, currency TEXT, merchantName TEXT, status TEXT, description TEXT, reference TEXT, type TEXT);
INSERT INTO banking_transactions VALUES
    ('a1', 't1', '2026-01-03T00:00:00Z', '', '1.00', '', '', 'POSTED', 'x', '', 'OTHER'),
    ('a1', 't2', '', '2026-01-04T00:00:00Z', '2.00', 'AUD', 'M', 'POSTED', 'x', '', 'OTHER'),
    ('a1', '', '', '', '3.00', '', '', 'PENDING', 'x', '', 'OTHER');
CREATE INDEX newest ON banking_transactions (accountId, postingDateTime);
"""
OWNED = Filter("accountId", "eq", "a1")
ORDER = find_collection("banking.transactions").order
SINCE = Filter(
    "postingDateTime",
    "ge",
    datetime(2026, 1, 4, tzinfo=UTC),
    otherwise=("executionDateTime",),
    absent=datetime(2026, 2, 1, tzinfo=UTC),
)


@pytest.mark.parametrize("on_loop", [True, False])
@pytest.mark.gen_test
async def test_an_empty_text_is_absent_where_it_means_nothing_else(io_loop, tmp_path, on_loop):
    more = f"empty_is_absent = true\non_loop = {str(on_loop).lower()}\n"
    async with build_sources(tmp_path, BLANK, more) as sources:
        query = Query(collection="banking.transactions", filters=(OWNED,), order=ORDER)
        rows = (await sources.fetch(query)).records
        assert [row["amount"] for row in rows] == ["3.00", "2.00", "1.00"]
        pending, _, posted = rows
        assert (pending["transactionId"], pending["postingDateTime"], posted["currency"]) == (None, None, None)
        assert (pending["merchantName"], pending["reference"]) == ("", "")  # texts stay
        since = await sources.fetch(Query(collection="banking.transactions", filters=(OWNED, SINCE), order=ORDER))
        assert [row["amount"] for row in since.records] == ["3.00", "2.00"]


@pytest.mark.gen_test
async def test_without_the_setting_an_empty_text_is_a_fault(io_loop, tmp_path):
    async with build_sources(tmp_path, BLANK) as sources:
        with pytest.raises(SourceFault, match="member 'postingDateTime/executionDateTime/valueDateTime': a value is"):
            await sources.fetch(Query(collection="banking.transactions", filters=(OWNED,), order=ORDER))
        (row, *_) = (await sources.fetch(Query(collection="banking.transactions"))).records
    with pytest.raises(
        Misfit, match=r"^member 'currency' does not fit \(found an empty text\): expected a currency such as AUD$"
    ):
        to_record({**row, "executionDateTime": None, "isDetailAvailable": False}, Transaction)


# -- texts that nobody may read -----------------------------------------------------------------------------------

LATIN = "CAST(X'5A6FEB20534543524554' AS TEXT)"  # Zoë SECRET in Latin-1
TABLE = """
CREATE TABLE banking_transactions (accountId TEXT, transactionId TEXT, postingDateTime TEXT, description TEXT);
INSERT INTO banking_transactions VALUES ('a1', 't1', '2026-01-01T00:00:00Z', 'é');
"""
BY_MOMENT = Filter("postingDateTime", "ge", datetime(2025, 1, 1, tzinfo=UTC))
BY_AMOUNT = Filter("description", "contains", "SECRET")
NEWEST = (Order("postingDateTime", descending=True, reads="instant"),)


@pytest.mark.parametrize("on_loop", [True, False])
@pytest.mark.parametrize(
    ("values", "query", "column"),
    [
        (f"'2026-01-01T00:00:00Z', {LATIN}", {}, "description"),
        (f"'2026-01-01T00:00:00Z', {LATIN}", {"filters": (BY_MOMENT,), "order": NEWEST, "limit": 2}, "description"),
        (f"'2026-01-01T00:00:00Z', {LATIN}", {"filters": (BY_AMOUNT,)}, "description"),
        (f"{LATIN}, 'x'", {}, "postingDateTime"),
        (f"{LATIN}, 'x'", {"filters": (BY_MOMENT,)}, "postingDateTime"),
        (f"{LATIN}, 'x'", {"order": NEWEST}, "postingDateTime"),
    ],
)
@pytest.mark.gen_test
async def test_text_that_is_not_utf8_is_a_fault_that_names_it(io_loop, tmp_path, values, query, column, on_loop):
    schema = f"{TABLE} INSERT INTO banking_transactions VALUES ('a1', 't2', {values})"
    async with build_sources(tmp_path, schema, f"on_loop = {str(on_loop).lower()}\n") as sources:
        with pytest.raises(SourceFault) as caught:
            await sources.fetch(Query(collection="banking.transactions", **query))
    table = "collection 'banking.transactions': table 'banking_transactions'"
    assert str(caught.value) == f"{table}: column {column!r} has text that is not UTF-8; convert it"
    assert (caught.value.record, caught.value.row, caught.value.__cause__) == ("t2", None, None)


@pytest.mark.gen_test
async def test_text_of_other_owners_is_no_reason_for_a_fault(io_loop, tmp_path):
    schema = f"{TABLE} INSERT INTO banking_transactions VALUES ('a2', 't2', '2026-01-01T00:00:00Z', {LATIN})"
    async with build_sources(tmp_path, schema) as sources:
        page = await sources.fetch(build_query("banking.transactions", accountId="a1"))
        assert [row["description"] for row in page.records] == ["é"]
        with pytest.raises(SourceFault) as caught:
            await sources.fetch(build_query("banking.transactions", accountId="a2"))
        assert caught.value.record == "t2"


@pytest.mark.gen_test
async def test_the_column_is_named_as_the_table_has_it(io_loop, tmp_path):
    schema = "CREATE TABLE CUST (NO TEXT, NM TEXT); CREATE VIEW customers AS SELECT * FROM CUST; " + (
        f"INSERT INTO CUST VALUES ({LATIN}, {LATIN})"
    )
    columns = '[sources.bank.columns.customers]\nid = "NO"\nname = "NM"\n'
    async with build_sources(tmp_path, schema, columns) as sources:
        with pytest.raises(SourceFault, match="table 'customers': column 'NO' has text") as caught:
            await sources.fetch(Query(collection="customers"))
    assert caught.value.record == "Zo? SECRET"  # can be written anywhere


QUOTING = """
CREATE TABLE raw (id TEXT, path TEXT); INSERT INTO raw VALUES ('a1', 'SECRET');
CREATE VIEW accounts AS SELECT id, json_extract('{}', path) AS name FROM raw;
CREATE VIEW customers AS SELECT id, json_extract(path, '$.a') AS name FROM raw;
CREATE VIEW logins AS SELECT id, zeroblob(9999999999 + length(path)) AS name FROM raw;
CREATE VIEW balances AS SELECT nowhere FROM raw;
"""


@pytest.mark.parametrize(
    ("collection", "reason"),
    [
        ("accounts", r"OperationalError at \w+\.py:\d+"),
        ("customers", "malformed JSON"),
        ("logins", r"DataError at \w+\.py:\d+"),
    ],
)
@pytest.mark.gen_test
async def test_what_sqlite_says_is_repeated_only_if_it_quotes_nothing(io_loop, tmp_path, collection, reason):
    async with build_sources(tmp_path, QUOTING.partition("CREATE VIEW balances")[0]) as sources:
        with pytest.raises(SourceFault, match=f"^collection '{collection}': table '{collection}': {reason}$") as caught:
            await sources.fetch(Query(collection=collection))
    assert "SECRET" not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.gen_test
async def test_a_view_of_a_column_that_is_gone_is_named(io_loop, tmp_path):
    async with build_sources(tmp_path, QUOTING) as sources:
        with pytest.raises(SourceFault, match=r"view 'balances' cannot be read: no such column: nowhere$"):
            await sources.fetch(Query(collection="balances"))


# -- time ---------------------------------------------------------------------------------------------------------

ENDLESS = """
CREATE VIEW customers AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n;
CREATE TABLE accounts (id); INSERT INTO accounts VALUES ('a1');
"""


@pytest.mark.gen_test
async def test_a_query_that_takes_too_long_frees_its_connection(io_loop, tmp_path):
    async with build_sources(tmp_path, ENDLESS, "connections = 1\ntimeout = 0.2\n") as sources:
        started = time.monotonic()
        for _ in range(3):
            with pytest.raises(SourceFault, match=r"^collection 'customers': no response within 0\.2 s$"):
                await sources.fetch(build_query("customers", id="none"))
            assert await fetch_ids(sources, Query(collection="accounts")) == ["a1"]
        assert time.monotonic() - started < 3


@pytest.mark.slow
@pytest.mark.gen_test
async def test_endless_queries_do_not_block_other_connections(io_loop, tmp_path):
    async with build_sources(tmp_path, ENDLESS, "connections = 3\ntimeout = 1.0\n") as sources:
        endless = [asyncio.create_task(sources.fetch(build_query("customers", id="none"))) for _ in range(2)]
        assert await fetch_ids(sources, Query(collection="accounts")) == ["a1"]
        assert not any(task.done() for task in endless)
        assert {type(end) for end in await asyncio.gather(*endless, return_exceptions=True)} == {SourceFault}


@pytest.mark.gen_test
async def test_a_caller_of_many_queries_lets_others_in_between(io_loop, tmp_path):
    schema = "CREATE TABLE accounts (id); INSERT INTO accounts VALUES ('a1')"
    async with build_sources(tmp_path, schema, "connections = 1\n") as sources:
        database = sources.find_source("accounts").hooks["fetch"].get_hookimpls()[0].plugin._watched.database
        done = []

        async def ask(name, times):
            for _ in range(times):
                await database.select("SELECT 1")
                done.append(name)

        await asyncio.gather(ask("many", 50), *[ask(str(n), 1) for n in range(5)])
    assert done[:6] == ["many", "0", "1", "2", "3", "4"]


@pytest.mark.gen_test
async def test_a_locked_database_blocks_only_its_own_query(io_loop, tmp_path):
    """If the loop stood still, the lock would not be given back before SQLite gives up."""
    async with build_sources(tmp_path, "CREATE TABLE accounts (id); INSERT INTO accounts VALUES ('a1')") as sources:
        with closing(sqlite3.connect(tmp_path / "bank.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            running = asyncio.create_task(sources.fetch(Query(collection="accounts")))
            await asyncio.wait([running], timeout=0.2)
            assert not running.done()
            other.execute("ROLLBACK")
        assert (await running).records == [{"id": "a1"}]


# -- a Query means what openholder.select says --------------------------------------------------------------------

VALUES = [12, 7, "12", "012", "12.0", " 12", "abc", "ABC", "Abc", "a%", "_bc", "\u212a", "k", "", None]
TYPES = ["", "INTEGER", "NUMERIC", "TEXT", "TEXT COLLATE NOCASE", "BLOB"]
texts = st.sampled_from([str(value) for value in VALUES if value is not None])
rows = st.lists(st.tuples(st.sampled_from(VALUES), st.sampled_from(VALUES)), max_size=12)
conditions = st.one_of(
    st.builds(Filter, st.sampled_from(["id", "email"]), st.sampled_from(["eq", "ieq"]), texts),
    st.builds(Filter, st.just("id"), st.just("in"), st.lists(texts, min_size=1, max_size=3).map(tuple)),
)
queries = st.builds(
    Query,
    collection=st.just("customers"),
    filters=st.lists(conditions, max_size=2).map(tuple),
    offset=st.integers(0, 5),
    limit=st.none() | st.integers(0, 8),
)


@pytest.mark.slow
@given(st.tuples(st.sampled_from(TYPES), st.sampled_from(TYPES)), rows, queries)
@example(("", ""), [(12, 12)], Query(collection="customers", filters=(Filter("email", "ieq", "12"),)))
@example(("", "NUMERIC"), [(12, 12)], Query(collection="customers", filters=(Filter("email", "ieq", "12.0"),)))
@settings(max_examples=200, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_filters_pages_and_totals_are_those_of_select(io_loop, tmp_path, types, rows, query):
    with closing(sqlite3.connect(tmp_path / "bank.db")) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("DROP TABLE IF EXISTS customers")
        connection.execute(f"CREATE TABLE customers (id {types[0]}, email {types[1]})")
        connection.executemany("INSERT INTO customers VALUES (?, ?)", rows)
        stored = [dict(zip(["id", "email"], row, strict=True)) for row in connection.execute("SELECT * FROM customers")]

    async def answer():
        source = SQLiteSource("bank", SQLiteSettings(path=tmp_path / "bank.db", connections=1))
        await source.open()
        try:
            return await source.fetch(query)
        finally:
            await source.close()

    assert io_loop.run_sync(answer) == select(stored, query)
