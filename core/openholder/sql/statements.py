"""Queries compiled to SELECTs. Names are quoted and come from the database's own schema; values are parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from openholder.query import Query
from openholder.sql.dialect import Dialect, Parameters
from openholder.sql.tables import Table

Statement = tuple[str, tuple[Any, ...]]
"""The text of a statement, and its parameters."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read of a table: the members, the text between SELECT and FROM, and the FROM clause."""

    members: tuple[str, ...]
    selected: str
    source: str

    @classmethod
    def of(cls, dialect: Dialect, table: Table, *, document: bool) -> Columns:
        """Compose the columns of a table; the member ``document`` only on request, because it may be large."""
        members = {name: column for name, column in table.members.items() if document or name != "document"}
        selected = ", ".join(dialect.selected(table, column) for column in members.values())
        return cls(tuple(members), selected, f"FROM {dialect.quoted(table.name)}")


@dataclass(frozen=True, slots=True)
class Select:
    """One query against one table, compiled once; `page`, `first` and `count` only assemble the text."""

    dialect: Dialect
    query: Query
    columns: Columns
    source: str
    """FROM and WHERE, with the filters that the database can apply exactly."""
    values: tuple[Any, ...]
    """The parameters of `source`."""
    order: tuple[str, ...]
    own_order: tuple[str, ...]
    is_exact: bool
    """Whether every filter and order is in it. If not, openholder filters and sorts the rows itself."""

    @classmethod
    def compile(cls, dialect: Dialect, table: Table, columns: Columns, query: Query) -> Select:
        """Compile `query` for `table`. What `dialect` cannot express exactly is left out and clears `is_exact`."""
        parameters = Parameters(dialect)
        terms: list[str] = []
        for condition in query.filters:
            bound = len(parameters.values)
            term = dialect.condition(table, condition, parameters.bind)
            if term is None:
                del parameters.values[bound:]
            else:
                terms.append(term)
        orders = [dialect.order(table, order) for order in query.order]
        where = f" WHERE {' AND '.join(terms)}" if terms else ""
        return cls(
            dialect=dialect,
            query=query,
            columns=columns,
            source=columns.source + where,
            values=tuple(parameters.values),
            order=(*filter(None, orders), *table.own_order),
            own_order=table.own_order,
            is_exact=len(terms) == len(query.filters) and None not in orders,
        )

    def page(self) -> Statement:
        """Return the SELECT for the page that the query asks for."""
        return self._select(self.order, self.query)

    def first(self, limit: int) -> Statement:
        """Return the SELECT for at most `limit` rows that pass the filters which the database can apply."""
        return self._select(self.own_order, Query(collection=self.query.collection, limit=limit))

    def count(self) -> Statement:
        """Return the SELECT for the number of rows on all pages together."""
        return f"SELECT count(*) {self.source}", self.values

    def _select(self, order: tuple[str, ...], cut: Query) -> Statement:
        parameters = Parameters(self.dialect, list(self.values))
        ordered = f" ORDER BY {', '.join(order)}" if order else ""
        page = self.dialect.page(cut, parameters.bind)
        return f"SELECT {self.columns.selected} {self.source}{ordered} {page}", tuple(parameters.values)
