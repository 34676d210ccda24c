"""The tables of a database as collections, and their answers to queries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from openholder.errors import SourceFault
from openholder.query import Filter, Page, Query, Row, select
from openholder.sql.dialect import NO_LIMIT, Dialect
from openholder.sql.statements import Columns, Select, Statement
from openholder.sql.tables import Table

Rows = Callable[[str, tuple[Any, ...]], Awaitable[Sequence[Sequence[Any]]]]
"""Runs one SELECT with its parameters and returns all its rows."""

MAX_ROWS = 100_000
MAX_PREPARED = 1024
"""SELECTs whose text is kept. Operations need a few dozen, and one for each number of ids in a list."""
_CUT = (7, 11)
"""A limit and an offset that differ, to see in which order a dialect binds them."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The SELECTs for all queries that differ in values only: a filter's value, the offset and the limit."""

    table: Table
    members: tuple[str, ...]
    page: str
    count: str


class Schema:
    """The tables of a database under the names of collections: ``banking.transactions`` is ``banking_transactions``.

    Args:
        dialect: How the database writes SQL.
        tables: Its tables and views, from its own catalogue.
        columns: For a collection, members and the columns of another name that hold them.
        max_rows: How many rows openholder filters and sorts itself if the database cannot; more is a fault.

    Raises:
        SourceFault: ``columns`` names a table or a column that does not exist.
    """

    def __init__(
        self,
        dialect: Dialect,
        tables: Iterable[Table],
        columns: Mapping[str, Mapping[str, str]],
        max_rows: int = MAX_ROWS,
    ) -> None:
        self.dialect = dialect
        self._max_rows = max_rows
        self._tables: dict[str, Table] = {}
        for table in tables:
            mapping = columns.get(table.name) or columns.get(_as_collection(table.name)) or {}
            self._tables[table.name] = table.renamed(mapping)
        known = set(self.collections())
        for collection in columns:
            if collection not in known:
                raise SourceFault(f"`columns` names {collection!r}, but there is no table or view of that name")
        # What a SELECT reads does not depend on the query, apart from the document.
        self._columns = {
            (name, document): Columns.of(dialect, table, document=document)
            for name, table in self._tables.items()
            for document in (False, True)
        }
        self._prepared: dict[Hashable, Prepared | None] = {}

    def collections(self) -> Iterator[str]:
        """Yield each table's name, and its name as a collection of a sector."""
        for name in self._tables:
            yield name
            yield _as_collection(name)

    def columns(self) -> dict[str, frozenset[str]]:
        """Return the columns of each table."""
        return {name: frozenset(table.types) for name, table in self._tables.items()}

    def table(self, collection: str) -> Table:
        """Return the table of a collection.

        Args:
            collection: Its name, with a dot or an underscore after the sector.

        Raises:
            SourceFault: There is none.
        """
        table = self._tables.get(collection) or self._tables.get(collection.replace(".", "_"))
        if table is None:
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
        if not self._prepare(query):
            compiled = self._compile(query)
            if not compiled.is_exact:
                return await self._select_here(compiled, rows)
        steps = self.steps(query)
        try:
            statement = next(steps)
            while True:
                statement = steps.send(await rows(*statement))
        except StopIteration as end:
            page: Page = end.value
            return page

    def steps(self, query: Query) -> Generator[Statement, Sequence[Sequence[Any]], Page]:
        """Answer a query step by step, for a driver that does not wait. `fetch` does the same for one that does.

        Args:
            query: A query that the database can express exactly.

        Yields:
            One SELECT with its parameters. Send back all its rows.

        Returns:
            The rows of the page under the names of members, and the total over all pages.

        Raises:
            SourceFault: There is no table for the collection, or no column for a filter.
        """
        prepared = self._prepare(query)
        if prepared:
            values = self._bind(prepared.table, query.filters)
            limit = NO_LIMIT if query.limit is None else query.limit
            members, page, count = prepared.members, (prepared.page, (*values, limit, query.offset)), prepared.count
        else:
            compiled = self._compile(query)
            members, page, (count, values) = compiled.columns.members, compiled.page(), compiled.count()
        records: list[Row] = [dict(zip(members, row, strict=True)) for row in (yield page)]
        if query.offset == 0 and (query.limit is None or len(records) < query.limit):
            return Page(records=records, total=len(records))
        # By a second SELECT: ``count(*) OVER ()`` in the first makes the database carry along every row that is not on
        # the page. Over SQLite, 20 columns: 0.9 to 4 times as long if pages are sorted, 1.3 to 126 times if not.
        ((total,),) = yield count, values
        return Page(records=records, total=int(total))

    def _prepare(self, query: Query) -> Prepared | None:
        """Return the SELECTs for queries of this form; ``None`` if the text depends on the values."""
        kinds = tuple([_describe(condition) for condition in query.filters])
        form = (query.collection, query.document, query.limit is None, query.order, kinds)
        try:
            return self._prepared[form]
        except KeyError:
            if len(self._prepared) >= MAX_PREPARED:
                self._prepared.clear()
            prepared = self._prepared[form] = self._compose(query)
            return prepared

    def _compose(self, query: Query) -> Prepared | None:
        limit, offset = _CUT
        compiled = self._compile(replace(query, limit=None if query.limit is None else limit, offset=offset))
        table = self.table(query.collection)
        if not compiled.is_exact or any(self.dialect.values(table, condition) is None for condition in query.filters):
            return None
        (page, bound), (count, _) = compiled.page(), compiled.count()
        cut = (NO_LIMIT if query.limit is None else limit, offset)
        if bound != (*self._bind(table, query.filters), *cut):
            return None
        return Prepared(table, compiled.columns.members, page, count)

    def _bind(self, table: Table, filters: Iterable[Filter]) -> tuple[Any, ...]:
        return tuple([value for condition in filters for value in self.dialect.values(table, condition) or ()])

    def _compile(self, query: Query) -> Select:
        table = self.table(query.collection)
        return Select.compile(self.dialect, table, self._columns[table.name, query.document], query)

    async def _select_here(self, compiled: Select, rows: Rows) -> Page:
        found = await rows(*compiled.first(self._max_rows + 1))
        if len(found) > self._max_rows:
            raise SourceFault(
                f"table {self.table(compiled.query.collection).name!r}: more than {self._max_rows} rows would have to "
                "be filtered one by one; give the columns that are filtered or sorted a proper type, or make a view"
            )
        # In a thread: so many rows take their time, and the loop has other requests to serve.
        records = [dict(zip(compiled.columns.members, row, strict=True)) for row in found]
        return await asyncio.to_thread(select, records, compiled.query)


def _describe(condition: Filter) -> Hashable:
    """Return all of a filter but its values."""
    value = condition.value
    number = len(value) if isinstance(value, tuple) else None
    return (
        condition.member,
        condition.operator,
        type(value),
        number,
        condition.otherwise,
        type(condition.absent),
        condition.item,
    )


def _as_collection(name: str) -> str:
    return name.replace("_", ".", 1)
