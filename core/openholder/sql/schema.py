"""The tables of a database as collections, and their answers to queries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from openholder.errors import SourceFault
from openholder.mapping import MappingSettings, TableSettings, name_table
from openholder.query import Filter, Page, Query, select
from openholder.sql.dialect import NO_LIMIT, Binder, Dialect
from openholder.sql.settings import SQLSettings
from openholder.sql.statements import Columns, Select, Statement
from openholder.sql.tables import Table

Rows = Callable[[str, tuple[Any, ...]], Awaitable[Sequence[Sequence[Any]]]]
"""Runs one SELECT with its parameters and returns all its rows."""

RowsNow = Callable[[str, tuple[Any, ...]], Sequence[Sequence[Any]]]
"""The same, without waiting."""

MAX_ROWS = 100_000
MAX_PREPARED = 1024
"""SELECTs whose text is kept. Operations need a few dozen, and one for each number of ids in a list."""
_CUT = (7, 11)
"""A limit and an offset that differ, to see in which order a dialect binds them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The SELECTs for all queries that differ in values only: a filter's value, the offset and the limit."""

    columns: Columns
    binders: tuple[Binder, ...]
    page: str
    count: str

    def bind(self, filters: Sequence[Filter]) -> tuple[Any, ...]:
        """Return the parameters of the filters."""
        values: tuple[Any, ...] = ()
        for binder, condition in zip(self.binders, filters, strict=True):
            values += binder(condition)
        return values


class Schema:
    """The tables of a database under the names of collections: ``banking.transactions`` is ``banking_transactions``.

    Args:
        dialect: How the database writes SQL.
        tables: Its tables and views, from its own catalogue.
        columns: The settings of the source, with all words of a mapping; or, for a collection, members and the columns
            of another name that hold them.
        max_rows: How many rows openholder filters and sorts itself if the database cannot; more is a fault.
        unusable: Further tables and views, which cannot be read, and why. Queries of them are faults that say so.

    Raises:
        SourceFault: The settings name a table or a column that does not exist.
    """

    def __init__(
        self,
        dialect: Dialect,
        tables: Iterable[Table],
        columns: MappingSettings | Mapping[str, Mapping[str, str]],
        max_rows: int = MAX_ROWS,
        unusable: Mapping[str, str] | None = None,
    ) -> None:
        self.dialect = dialect
        self._max_rows = max_rows
        unusable = unusable or {}
        if not isinstance(columns, MappingSettings):
            columns = MappingSettings.model_validate({"columns": columns})
        named = columns.tables if isinstance(columns, TableSettings) else {}
        self._tables = {
            name: table.serve(name, columns, dialect.is_text)
            for name, table in _find_tables({table.name: table for table in tables}, named, unusable)
        }
        others = {name_table(collection): name for collection, name in named.items() if name in unusable}
        self.unusable = {name: unusable[other] for name, other in others.items()} | {
            name: reason for name, reason in unusable.items() if name not in named.values()
        }
        """The tables that cannot be read, by the name under which they would be served, and why."""
        if isinstance(columns, SQLSettings):
            self._tables = {
                name: replace(table, blanks=columns.find_blanks(table)) for name, table in self._tables.items()
            }
        known = set(self.collections())
        for word, mapped in (("columns", columns.columns), ("mapping", columns.mapping)):
            for collection in mapped:
                if collection not in known:
                    raise SourceFault(f"`{word}` names {collection!r}, but there is no table or view of that name")
        self._prepare_tables()

    def _prepare_tables(self, *, keeps_order: bool = True) -> None:
        """Compose what a SELECT reads: it does not depend on the query, apart from the document."""
        self._columns = {
            (name, document): Columns.of(self.dialect, table, document=document, keeps_order=keeps_order)
            for name, table in self._tables.items()
            for document in (False, True)
        }
        self._prepared: dict[Hashable, Prepared | None] = {}

    def with_dialect(self, dialect: Dialect, *, keeps_order: bool = True) -> Schema:
        """Return the same tables for another dialect.

        Args:
            dialect: The dialect.
            keeps_order: Whether rows that are equal to the order of a query are in the tables' own order.
        """
        schema = copy(self)
        schema.dialect = dialect
        if not keeps_order:
            schema._tables = {name: replace(table, own_order=()) for name, table in self._tables.items()}
        schema._prepare_tables(keeps_order=keeps_order)
        return schema

    def collections(self) -> Iterator[str]:
        """Yield each table's name, and its name as a collection of a sector."""
        for name in (*self._tables, *self.unusable):
            yield name
            yield _as_collection(name)

    def columns(self) -> dict[str, frozenset[str]]:
        """Return the columns of each table."""
        return {table.name: frozenset(table.types) for table in self._tables.values()}

    def table(self, collection: str) -> Table:
        """Return the table of a collection.

        Args:
            collection: Its name, with a dot or an underscore after the sector.

        Raises:
            SourceFault: There is none.
        """
        table = self._tables.get(collection) or self._tables.get(name_table(collection))
        if table is None:
            reason = self.unusable.get(name_table(collection)) or self.unusable.get(collection)
            if reason:
                raise SourceFault(reason)
            raise SourceFault(f"there is no table or view for {collection!r}")
        return table

    def page(self, query: Query) -> Statement:
        """Return the SELECT that answers a query, or as much of it as the database can: what to have explained.

        Args:
            query: The query.

        Raises:
            SourceFault: There is no table for the collection, or no column for a filter.
        """
        compiled = self._compile(query)
        return compiled.page() if compiled.is_exact else compiled.first(self._max_rows + 1)

    def index(self, query: Query) -> str:
        """Return the statement that creates an index for the query's first filter, the owner of its rows.

        Args:
            query: A query with at least one filter.
        """
        return self.dialect.index(self.table(query.collection), query.filters[0])

    def describe_order(self, query: Query) -> list[str]:
        """Say what the order of a list costs, for the ``advice`` of a source.

        Args:
            query: The query of a list. One without a limit has no pages.

        Returns:
            One text if each page sorts all rows of its owner, because the table has no order of its own.
        """
        table = self.table(query.collection)
        if query.limit is None or table.own_order:
            return []
        what = "view" if table.is_view else "table"
        return [
            f"{what} {table.name!r} has no order of its own, so each page of {query.collection!r} sorts all records of "
            "its owner, by all columns; a table with a primary key needs no such sort"
        ]

    async def fetch(self, query: Query, rows: Rows) -> Page:
        """Answer a query.

        What the database cannot express exactly is filtered and sorted here, over all rows that pass the rest.

        Args:
            query: The query.
            rows: Runs one SELECT. It is awaited once, or twice if the total needs counting.

        Returns:
            The rows of the page under the names of members, and the total over all pages.

        Raises:
            SourceFault: More than ``max_rows`` rows would have to be filtered here, or one cannot be read.
        """
        statements = self._list_statements(query)
        if statements is None:
            return await self._select_here(self._compile(query), rows)
        columns, page, count = statements
        records = columns.read(await rows(*page))
        total = len(records)
        if query.offset or total == query.limit:
            ((total,),) = await rows(*count)
        return Page(records=records, total=int(total))

    def fetch_now(self, query: Query, rows: RowsNow) -> Page | None:
        """Answer a query as `fetch` does, with a driver that does not wait.

        Args:
            query: The query.
            rows: Runs one SELECT. It is called once, or twice if the total needs counting.

        Returns:
            The rows of the page under the names of members, and the total over all pages; ``None`` if the database
            cannot express the query exactly.

        Raises:
            SourceFault: There is no table for the collection, or no column for a filter.
        """
        statements = self._list_statements(query)
        if statements is None:
            return None
        columns, page, count = statements
        records = columns.read(rows(*page))
        total = len(records)
        if query.offset or total == query.limit:
            ((total,),) = rows(*count)
        return Page(records=records, total=int(total))

    def _list_statements(self, query: Query) -> tuple[Columns, Statement, Statement] | None:
        """Return what the SELECT of a page reads, that SELECT, and the one that counts; None if SQL cannot answer.

        The first page shows the total if it is not full. Otherwise a second SELECT counts: ``count(*) OVER ()`` in the
        first makes the database carry along every row that is not on the page. Over SQLite, 20 columns: 0.9 to 4 times
        as long if pages are sorted, 1.3 to 126 times if not.
        """
        # All of a filter but its values.
        form: list[Any] = [query.collection, query.document, query.limit is None, query.order]
        for condition in query.filters:
            value = condition.value
            form += condition.member, condition.operator, condition.otherwise, condition.item
            form += type(value), type(value) is tuple and len(value), type(condition.absent)
        key = tuple(form)
        try:
            prepared = self._prepared[key]
        except KeyError:
            if len(self._prepared) >= MAX_PREPARED:
                self._prepared.clear()
            prepared = self._prepared[key] = self._prepare(query)
        if prepared is None:
            compiled = self._compile(query)
            return (compiled.columns, compiled.page(), compiled.count()) if compiled.is_exact else None
        values = prepared.bind(query.filters)
        limit = NO_LIMIT if query.limit is None else query.limit
        return prepared.columns, (prepared.page, (*values, limit, query.offset)), (prepared.count, values)

    def _prepare(self, query: Query) -> Prepared | None:
        """Compose the SELECTs for queries of this form; return ``None`` if the text depends on the values."""
        limit, offset = _CUT
        compiled = self._compile(replace(query, limit=None if query.limit is None else limit, offset=offset))
        table = self.table(query.collection)
        if not compiled.is_exact or table.absent:  # which texts are absent depends on the values
            return None
        binders = [self.dialect.binder(table, condition) for condition in query.filters]
        if None in binders:
            return None
        (page, bound), (count, _) = compiled.page(), compiled.count()
        prepared = Prepared(compiled.columns, tuple(filter(None, binders)), page, count)
        cut = (NO_LIMIT if query.limit is None else limit, offset)
        return prepared if bound == (*prepared.bind(query.filters), *cut) else None

    def _compile(self, query: Query) -> Select:
        table = self.table(query.collection)
        return Select.compile(self.dialect, table, self._columns[table.collection, query.document], query)

    async def _select_here(self, compiled: Select, rows: Rows) -> Page:
        found = await rows(*compiled.first(self._max_rows + 1))
        if len(found) > self._max_rows:
            raise SourceFault(
                f"table {self.table(compiled.query.collection).name!r}: more than {self._max_rows} rows would have to "
                "be filtered one by one; give the columns that are filtered or sorted a proper type, or make a view"
            )
        # In a thread: so many rows take their time, and the loop has other requests to serve.
        return await asyncio.to_thread(_select_mapped, compiled, found)


def _select_mapped(compiled: Select, rows: Sequence[Sequence[Any]]) -> Page:
    page = select(compiled.columns.open(rows), compiled.query)
    return replace(page, records=[dict(row) for row in page.records])


def _find_tables(
    tables: Mapping[str, Table], named: Mapping[str, str], unusable: Mapping[str, str]
) -> Iterator[tuple[str, Table]]:
    """Yield each table under the name of a collection: its own name, unless ``named`` gives it to others."""
    others = {name_table(collection): name for collection, name in named.items()}
    for name, table in tables.items():
        if name not in others.values() and name not in others:
            yield name, table
    for collection, name in others.items():
        if name in unusable:
            continue
        if name not in tables:
            close = get_close_matches(name, tables, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise SourceFault(f"`tables` names {name!r}, but there is no table or view of that name{hint}")
        yield collection, tables[name]


def _as_collection(name: str) -> str:
    return name.replace("_", ".", 1)
