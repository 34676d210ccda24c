"""Queries compiled to SELECTs. Names are quoted and come from the database's own schema; values are parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from openholder.contract.collections import find_collection
from openholder.mapping import RowMapping
from openholder.query import PLACE, Filter, Order, Query, Row
from openholder.sql.dialect import NO_LIMIT, Bind, Dialect, Parameters, texts
from openholder.sql.tables import Table

Statement = tuple[str, tuple[Any, ...]]
"""The text of a statement, and its parameters."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read of a table: the members, the text between SELECT and FROM, and the FROM clause."""

    members: tuple[str, ...]
    """The members; or the columns, if `mapping` makes members of them."""
    selected: str
    source: str
    mapping: RowMapping | None = None
    names: str = ""
    """The columns that are read, as they are."""
    ties: tuple[str, ...] = ()
    """What sorts rows that are equal to the order of a query, if the table has no order of its own: all its columns.

    Otherwise, one of them could be on two pages and another on none. Rows that are equal even then look the same.
    """

    @classmethod
    def of(cls, dialect: Dialect, table: Table, *, document: bool, keeps_order: bool = True) -> Columns:
        """Compose the columns of a table; the member ``document`` only on request, because it may be large.

        Without ``keeps_order``, rows that are equal to the order of a query may come in any order.
        """
        unwanted = None if document else table.members.get("document")
        columns = {name: name for name in table.types} if table.mapping else table.members
        read = {name: column for name, column in columns.items() if column != unwanted}
        selected = [dialect.selected(table, column) for column in read.values()]
        names = ", ".join(map(dialect.quoted, dict.fromkeys(read.values())))
        needs_ties = keeps_order and not table.own_order
        ties = (
            tuple([dialect.tie_break(table, column) for column in dict.fromkeys(read.values())]) if needs_ties else ()
        )
        members = tuple(read)
        if table.place and find_collection(table.collection.replace("_", ".", 1)).key is None:
            members, selected = (*members, PLACE), [*selected, table.place]
        return cls(members, ", ".join(selected), f"FROM {dialect.quoted(table.name)}", table.mapping, names, ties)

    def read(self, rows: Sequence[Sequence[Any]]) -> list[Row]:
        """Return the rows of a SELECT under the names of members."""
        named: list[Row] = list(map(dict, map(partial(zip, self.members, strict=True), rows)))
        return [self.mapping.read(row) for row in named] if self.mapping else named

    def open(self, rows: Sequence[Sequence[Any]]) -> list[Row]:
        """Return the same rows. Members are converted when they are read."""
        named: list[Row] = list(map(dict, map(partial(zip, self.members, strict=True), rows)))
        return [self.mapping.open(row) for row in named] if self.mapping else named


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
        is_exact = True
        safe: list[str] = []
        unsafe: list[str] = []
        for condition in sorted(query.filters, key=lambda condition: dialect.may_fail(table, condition)):
            bound = len(parameters.values)
            term = _express(dialect, table, condition, parameters.bind)
            if term is None:
                is_exact = False
                del parameters.values[bound:]
                term = dialect.narrow(table, condition, parameters.bind)
            if term is not None:
                (unsafe if dialect.may_fail(table, condition) else safe).append(term)
        orders = [_express_order(dialect, table, order) for order in query.order]
        source = columns.source + _where(safe)
        if safe and unsafe:
            # The limit keeps the database from applying the conditions in another order: in a join, it would.
            source = f"FROM (SELECT {columns.names} {source} LIMIT {NO_LIMIT}) AS {dialect.quoted(table.name)}"
        own_order = table.own_order or columns.ties
        return cls(
            dialect=dialect,
            query=query,
            columns=columns,
            source=source + _where(unsafe),
            values=tuple(parameters.values),
            order=(*filter(None, orders), *own_order),
            own_order=own_order,
            is_exact=is_exact and None not in orders,
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
        ordered = f"ORDER BY {', '.join(order)}" if order else self.dialect.unordered
        page = self.dialect.page(cut, parameters.bind)
        parts = (f"SELECT {self.columns.selected}", self.source, ordered, page)
        return " ".join(filter(None, parts)), tuple(parameters.values)


_NEVER = "1 = 0"


def _where(terms: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(terms)}" if terms else ""


def _express(dialect: Dialect, table: Table, condition: Filter, bind: Bind) -> str | None:
    """Return a filter as SQL; None if the database cannot express it, because it has not the values of members."""
    members = condition.members
    if not table.converted.isdisjoint(members):
        return None
    if table.tidied.isdisjoint(members):
        return dialect.condition(table, condition, bind)
    is_plain = not condition.otherwise and condition.absent is None
    if not is_plain or condition.operator not in ("eq", "ieq", "in") or (table.strip and not dialect.strips):
        return None
    wanted = texts(condition)
    possible = tuple([text for text in wanted if text not in table.absent])
    if wanted and not possible:
        return _NEVER
    if len(possible) < len(wanted):
        condition = replace(condition, operator="in", value=possible)
    if condition.operator == "ieq" and str(condition.value).casefold() in {text.casefold() for text in table.absent}:
        return None
    return dialect.condition(table, condition, bind)


def _express_order(dialect: Dialect, table: Table, order: Order) -> str | None:
    """Return an order as SQL; empty and None as `Dialect.order` does."""
    changed = table.converted | table.tidied
    return dialect.order(table, order) if changed.isdisjoint(order.members) else None
