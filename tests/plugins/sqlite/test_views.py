"""Views over a bank's own tables: joins, expressions, and what else a query must not depend on."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from openholder import Filter, Query, SourceFault
from openholder.contract.collections import find_collection
from openholder.sql import Schema, Table
from openholder_sqlite import SQLiteSettings, SQLiteSource
from openholder_sqlite.dialect import SQLiteDialect


@asynccontextmanager
async def open_bank(folder, script, **settings):
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        connection.executescript(f"PRAGMA synchronous = OFF; {script}")
    source = SQLiteSource("bank", SQLiteSettings(path=folder / "bank.db", connections=1, **settings))
    try:
        await source.open()
        yield source
    finally:
        await source.close()


async def fetch(source, query):
    return source.fetch_now(query) or await source.fetch(query)


# -- a row of somebody else ---------------------------------------------------------------------------------------

JOINED = """
CREATE TABLE ACCT (ID INTEGER PRIMARY KEY, NO TEXT);
CREATE TABLE TXN (ACCT INTEGER, SEQ TEXT, TM TEXT, AMT TEXT, NARR TEXT);
INSERT INTO ACCT VALUES (1, 'a1'), (2, 'a2'), (3, 'a3');
INSERT INTO TXN VALUES (1, 't1', '2026-10-01T09:30:00Z', '1.00', 'x'), (2, 't2', '0000-00-00 00:00:00', '?', 'x'),
    (1, 't3', '2026-10-02T09:30:00+10:00', '2.00', 'x'), (3, 't4', '2026-10-02T09:30:00Z', '3', 'x');
CREATE VIEW banking_transactions AS SELECT NO AS accountId, SEQ AS transactionId, TM AS postingDateTime, AMT AS amount,
    NARR AS description FROM TXN JOIN ACCT ON ACCT.ID = TXN.ACCT;
"""
INDEXES = {
    "none": "",
    "account": "CREATE INDEX by_no ON ACCT (NO)",
    "transactions": "CREATE INDEX by_account ON TXN (ACCT)",
    "times": "CREATE INDEX by_time ON TXN (TM)",
    "all": "CREATE INDEX by_no ON ACCT (NO); CREATE INDEX by_account ON TXN (ACCT, TM, AMT, SEQ, NARR)",
}
WINDOW = Filter("postingDateTime", "ge", datetime(2026, 1, 1, tzinfo=UTC), absent=datetime(2026, 2, 1, tzinfo=UTC))
BOUNDED = (Filter("amount", "ge", Decimal(1)), Filter("description", "eq", "x"))


@pytest.mark.parametrize("on_loop", [True, False])
@pytest.mark.parametrize("indexes", INDEXES.values(), ids=INDEXES)
@pytest.mark.gen_test
async def test_a_row_of_another_account_fails_nobody_else(io_loop, tmp_path, indexes, on_loop):
    """SQLite may run a condition in the outer loop of a join, for rows of any account."""
    order = find_collection("banking.transactions").order
    async with open_bank(tmp_path, f"{JOINED} {indexes}; ANALYZE;", on_loop=on_loop) as source:
        for filters in ((), (WINDOW,), BOUNDED, (*BOUNDED, WINDOW)):
            for limit in (None, 1, 25):
                owned = Query(
                    collection="banking.transactions",
                    filters=(Filter("accountId", "eq", "a1"), *filters),
                    order=order,
                    limit=limit,
                )
                page = await fetch(source, owned)
                assert [row["transactionId"] for row in page.records] == ["t3", "t1"][:limit]
                assert page.total == 2
        both = Filter("accountId", "in", ("a1", "a3"))
        page = await fetch(source, Query(collection="banking.transactions", filters=(WINDOW, both), limit=9))
        assert page.total == 3
        broken = Query(collection="banking.transactions", filters=(Filter("accountId", "eq", "a2"), WINDOW))
        with pytest.raises(
            SourceFault, match="table 'banking_transactions': record 1 of its owner: member 'postingDateTime'"
        ) as caught:
            await fetch(source, broken)
        assert caught.value.row["transactionId"] == "t2"


# -- ids and addresses that are expressions -----------------------------------------------------------------------

EXPRESSIONS = """
CREATE TABLE CUST (NO INTEGER, MAIL TEXT, ANY_NO, CODE BLOB);
CREATE VIEW customers AS SELECT 'AU' || NO AS id, trim(MAIL) AS email, ANY_NO AS other, CODE AS code, NO + 0 AS number
    FROM CUST;
CREATE INDEX ids ON CUST ('AU' || NO);
CREATE INDEX addresses ON CUST (trim(MAIL) COLLATE NOCASE);
CREATE INDEX others ON CUST (ANY_NO);
CREATE INDEX codes ON CUST (CODE);
CREATE INDEX numbers ON CUST (NO + 0);
"""


@pytest.mark.parametrize(
    "condition",
    [
        Filter("id", "eq", "AU12"),
        Filter("id", "in", ("AU12", "AU13")),
        Filter("email", "ieq", "kim@example.com"),
        Filter("other", "eq", "12"),
        Filter("code", "eq", "12"),
        Filter("number", "eq", "12"),
    ],
    ids=lambda condition: f"{condition.member} {condition.operator}",
)
def test_an_expression_in_a_view_is_found_through_its_index(condition):
    types = {"id": "", "email": "", "other": "", "code": "BLOB", "number": ""}
    schema = Schema(SQLiteDialect(), [Table("customers", types, is_view=True)], {})
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(EXPRESSIONS)
        for limit in (None, 25):
            statement, parameters = schema.page(Query(collection="customers", filters=(condition,), limit=limit))
            plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            assert "SEARCH CUST USING INDEX" in plan[0], plan


STORED = ["12", 12, 12.5, 1.0, b"12", "012", " 12", "12.0", "Kim@Example.com", "kim@example.com ", None, 10**18, "1e3"]
ASKED = ["12", "12.0", "12.5", "1.0", "1", "012", " 12", "kim@example.com", "KIM@EXAMPLE.COM", "1e3", "1000.0", "nan"]
ASKED += ["1000000000000000000", "9" * 30, "\uff11\uff12", "1_2", "inf", "", "12\0"]


@pytest.mark.parametrize("on_loop", [True, False])
@pytest.mark.gen_test
async def test_expressions_are_compared_as_text_whatever_they_are(io_loop, tmp_path, on_loop):
    script = "CREATE TABLE base (id, email, n INTEGER PRIMARY KEY); CREATE INDEX ids ON base (id);"
    script += "CREATE VIEW customers AS SELECT id, email, n FROM base;"
    with closing(sqlite3.connect(tmp_path / "bank.db")) as connection, connection:
        connection.executescript(script)
        connection.executemany("INSERT INTO base (id, email) VALUES (?, ?)", [(value, value) for value in STORED])
        texts = {value: connection.execute("SELECT CAST(? AS TEXT)", (value,)).fetchone()[0] for value in STORED}
    async with open_bank(tmp_path, "", on_loop=on_loop) as source:
        for asked in ASKED:
            for condition, expected in (
                (Filter("id", "eq", asked), [n for n, value in enumerate(STORED, 1) if texts[value] == asked]),
                (
                    Filter("email", "ieq", asked),
                    [n for n, value in enumerate(STORED, 1) if value and texts[value].lower() == asked.lower()],
                ),
            ):
                page = await fetch(source, Query(collection="customers", filters=(condition,)))
                assert (condition, sorted(row["n"] for row in page.records)) == (condition, expected)


# -- advice -------------------------------------------------------------------------------------------------------

ADVISED = {
    "columns": "CREATE TABLE T (NO TEXT, MAIL TEXT); CREATE VIEW customers AS SELECT NO AS id, MAIL AS email FROM T",
    "expressions": "CREATE TABLE T (NO INTEGER, MAIL TEXT);"
    "CREATE VIEW customers AS SELECT 'AU, ' || t.NO AS id, trim(t.MAIL) \"email\" FROM T t",
    "a join": "CREATE TABLE A (ID INTEGER PRIMARY KEY, NO TEXT, M TEXT); CREATE TABLE X (ACCT INTEGER, TM TEXT);"
    "CREATE VIEW customers AS SELECT NO AS id, M AS email, TM FROM X JOIN A ON A.ID = X.ACCT",
    "a union": "CREATE TABLE A (NO TEXT, M TEXT); CREATE TABLE B (NO TEXT, M TEXT);"
    "CREATE VIEW customers AS SELECT NO AS id, M AS email FROM A UNION ALL SELECT NO, M FROM B",
    "a subquery": "CREATE TABLE A (NO TEXT, M TEXT, N);"
    "CREATE VIEW customers AS SELECT NO AS id, M AS email, (SELECT count(*) FROM A b WHERE b.N = a.N) AS s FROM A a",
}
SEARCHED = (Filter("id", "eq", "1"), Filter("id", "in", ("1", "2")), Filter("email", "ieq", "kim@example.com"))


@pytest.mark.parametrize("script", ADVISED.values(), ids=ADVISED)
@pytest.mark.gen_test
async def test_the_indexes_that_are_advised_are_used(io_loop, tmp_path, script):
    async with open_bank(tmp_path, script) as source:
        for condition in SEARCHED:
            query = Query(collection="customers", filters=(condition,))
            advised = [text for text in await source.advice(query) if text.startswith("CREATE INDEX")]
            with closing(sqlite3.connect(tmp_path / "bank.db")) as connection:
                connection.executescript("".join(advised))
            assert advised or condition.operator == "in"  # which the index for the first serves too
            assert await source.advice(query) == []


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE A (NO TEXT, N); CREATE VIEW customers AS SELECT NO AS id, rank() OVER (ORDER BY N) s FROM A",
        "CREATE TABLE A (NO TEXT); CREATE VIEW customers AS SELECT NO || random() AS id FROM A",
    ],
)
@pytest.mark.gen_test
async def test_where_no_index_helps_none_is_advised(io_loop, tmp_path, script):
    async with open_bank(tmp_path, script) as source:
        (text,) = await source.advice(Query(collection="customers", filters=SEARCHED[:1]))
    assert text.startswith("each query reads all of view 'customers', and no index changes that")
