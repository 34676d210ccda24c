"""What SQL sources share: a dialect that knows next to nothing is right, and one that knows more is faster."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from helpers.support import write_sqlite
from openholder import Filter, Order, Query, SourceFault, hookimpl, select
from openholder.sql import Dialect, Schema, SQLSettings, Table
from openholder.testing import SourceContract

pytestmark = pytest.mark.slow  # together they take seconds

DOCS = Path(__file__).parents[2] / "docs" / "plugins.md"


def example():
    """The dialect of the example in the documentation, and its source."""
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.S) if "Kimbase" in block
    )
    names = {}
    exec(compile(code, str(DOCS), "exec"), names)
    return names["Kimbase"], names["KimbaseSource"]


Kimbase, KimbaseSource = example()


class Standing(KimbaseSource):
    """The source of the documentation, with SQLite in the place of that database."""

    def __init__(self, path):
        super().__init__("bank", None)
        self.path = path

    @hookimpl
    async def open(self):
        names = await self.rows("SELECT name FROM sqlite_master", ())
        tables = []
        for (name,) in names:
            found = await self.rows(f"PRAGMA table_info({Kimbase().quoted(name)})", ())
            tables.append(Table(name, {column: kind for _, column, kind, *_ in found}, ("rowid",)))
        self._schema = Schema(Kimbase(), tables, {})

    async def rows(self, statement, parameters):
        return await asyncio.to_thread(self.read, statement, parameters)

    def read(self, statement, parameters):
        with closing(sqlite3.connect(self.path)) as connection:
            named = {f"p{number}": value for number, value in enumerate(parameters, 1)}
            return connection.execute(statement, named).fetchall()


class TestTheExampleOfTheDocumentation(SourceContract):
    exact_types = True

    def make_source(self, tmp_path, rows):
        write_sqlite(tmp_path / "bank.db", rows)
        return Standing(tmp_path / "bank.db")


NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
TABLE = Table("things", {"id": "text", "name": "text", "at": "text", "document": "blob"}, ("id",))
OWNER = Filter("id", "eq", "1")


def asked(query, *, rows=(), max_rows=100, dialect=None):
    """The page, and the statements that it took."""
    statements = []

    async def run(statement, parameters):
        statements.append((statement, parameters))
        return [(len(rows),)] if "count(*)" in statement else rows

    schema = Schema(dialect or Dialect(), [TABLE], {}, max_rows)
    return asyncio.run(schema.fetch(query, run)), statements


def test_what_the_database_can_answer_it_filters_and_cuts():
    page, (select_page, count) = asked(Query(collection="things", filters=(OWNER,), limit=1), rows=[("1", "Kim", None)])
    assert select_page == (
        'SELECT "id", "name", "at" FROM "things" WHERE CAST("id" AS TEXT) IN (?) ORDER BY id LIMIT ? OFFSET ?',
        ("1", 1, 0),
    )
    assert count == ('SELECT count(*) FROM "things" WHERE CAST("id" AS TEXT) IN (?)', ("1",))
    assert (page.records, page.total) == ([{"id": "1", "name": "Kim", "at": None}], 1)


@pytest.mark.parametrize(
    "more",
    [
        {"filters": (OWNER, Filter("at", "ge", NOON))},
        {"filters": (Filter("at", "ge", NOON), OWNER)},
        {"filters": (OWNER, Filter("name", "eq", "Kim", absent="Kim"))},
        {"filters": (OWNER,), "order": (Order("at", reads="instant"),)},
    ],
    ids=["filter", "filter first", "absent", "order"],
)
def test_what_sql_cannot_express_is_filtered_in_python(more):
    """The database returns the owner's records."""
    rows = [("1", "Kim", "2026-06-15T22:00:00+10:00"), ("1", None, "2026-01-01")]
    query = Query(collection="things", limit=1, **more)
    page, ((statement, parameters),) = asked(query, rows=rows)
    assert statement.endswith('FROM "things" WHERE CAST("id" AS TEXT) IN (?) ORDER BY id LIMIT ? OFFSET ?')
    assert parameters == ("1", 101, 0)
    assert page == select([dict(zip(("id", "name", "at"), row, strict=True)) for row in rows], query)


@pytest.mark.parametrize("condition", [Filter("id", "eq", True), Filter("id", "eq", Decimal(1))], ids=str)
def test_only_texts_are_compared_as_text(condition):
    page, ((statement, _),) = asked(Query(collection="things", filters=(condition,)), rows=[("1", None, None)])
    assert "WHERE" not in statement
    assert page.total == 1


def test_too_many_records_to_filter_are_a_fault_with_advice():
    query = Query(collection="things", filters=(OWNER, Filter("at", "ge", NOON)))
    rows = [("1", None, None)] * 4
    assert asked(query, rows=rows, max_rows=4)[0].total == 0
    with pytest.raises(
        SourceFault, match=r"^table 'things': more than 3 rows would have to be filtered one by one; give the columns"
    ):
        asked(query, rows=rows, max_rows=3)


def test_parameters_of_inexpressible_conditions_are_not_sent():
    class Hesitant(Dialect):
        def condition(self, table, condition, bind):
            bind("too early")
            return super().condition(table, condition, bind) if condition is OWNER else None

    query = Query(collection="things", filters=(Filter("at", "ge", NOON), OWNER))
    _, ((_, parameters),) = asked(query, dialect=Hesitant())
    assert parameters == ("too early", "1", 101, 0)


class Narrowing(Dialect):
    unordered = "ORDER BY (SELECT NULL)"

    def narrow(self, table, condition, bind):
        is_column = condition.member in table.members
        return f"folded = {bind(condition.value)}" if condition.operator == "ieq" and is_column else None


def test_rows_that_a_narrowing_lets_pass_are_filtered_too():
    query = Query(collection="things", filters=(Filter("name", "ieq", "\u00e9"), OWNER), limit=1)
    page, ((statement, parameters),) = asked(
        query, rows=[("1", "\u00e9", None), ("1", "\u00c9", None)], dialect=Narrowing()
    )
    assert 'WHERE folded = ? AND CAST("id" AS TEXT) IN (?) ORDER BY' in statement
    assert parameters == ("\u00e9", "1", 101, 0)
    assert (page.total, page.records[0]["name"]) == (1, "\u00e9")


def test_a_converted_member_is_none_of_the_table():
    rules = {"things": {"name": {"column": "name", "codes": {"1": "Kim"}}}}
    schema = Schema(Narrowing(), [TABLE], SQLSettings(mapping=rules))
    statement, _ = schema.page(Query(collection="things", filters=(Filter("name", "ieq", "kim"),)))
    assert "WHERE" not in statement


def test_a_page_without_an_order_has_what_its_database_needs():
    schema = Schema(Narrowing(), [Table("things", {"id": "text"})], {})
    assert schema.page(Query(collection="things"))[0].endswith('ORDER BY CAST("id" AS TEXT) LIMIT ? OFFSET ?')
    statement, _ = schema.with_dialect(Narrowing(), keeps_order=False).page(Query(collection="things"))
    assert statement == 'SELECT "id" FROM "things" ORDER BY (SELECT NULL) LIMIT ? OFFSET ?'


def test_documents_are_read_only_where_they_are_asked_for():
    _, ((statement, _),) = asked(Query(collection="things", document=True))
    assert statement.startswith('SELECT "id", "name", "at", "document" FROM')


def test_a_view_is_advised_an_index_of_the_tables_behind_it():
    view = Table("things", {"id": "text"}, ("id",), is_view=True)
    said = Schema(Dialect(), [view], {}).index(Query(collection="things", filters=(OWNER,)))
    assert said == 'on the tables behind the view, the equivalent of: CREATE INDEX "things_id" ON "things" ("id");'
