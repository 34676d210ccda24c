"""Questions as SELECTs. Names are quoted and come from the database's own schema, values are parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from openholder.query import Query
from openholder.sql.dialect import Dialect
from openholder.sql.tables import Table

Statement = tuple[str, tuple[Any, ...]]
"""The text of a statement, and its parameters."""


@dataclass(slots=True)
class Parameters:
    """The parameters of a statement that is being put together."""

    dialect: Dialect
    values: list[Any] = field(default_factory=list)

    def bind(self, value: Any) -> str:
        """Add one, and give its mark."""
        self.values.append(value)
        return self.dialect.mark(len(self.values))


@dataclass(frozen=True, slots=True)
class Question:
    """A question to one table."""

    dialect: Dialect
    table: Table
    query: Query

    def wanted(self) -> dict[str, str]:
        """The members that are read, and their columns: a document only where it is asked for."""
        members = self.table.members.items()
        return {member: column for member, column in members if self.query.document or member != "document"}

    def is_expressed(self) -> bool:
        """Whether the database can answer it alone: every filter, and every order."""
        bind = Parameters(self.dialect).bind
        filters = (self.dialect.condition(self.table, one, bind) for one in self.query.filters)
        orders = (self.dialect.order(self.table, one) for one in self.query.order)
        return None not in (*filters, *orders)

    def page(self) -> Statement:
        """The SELECT for the page."""
        return self._select(self._order(), self.query)

    def first(self, most: int) -> Statement:
        """The SELECT for at most so many records that fulfil those filters which can be expressed."""
        return self._select(self.table.own_order, Query(collection=self.query.collection, limit=most))

    def count(self) -> Statement:
        """The SELECT for the number of records on all pages together."""
        parameters = Parameters(self.dialect)
        return f"SELECT count(*) {self._source(parameters)}", tuple(parameters.values)

    def _select(self, order: tuple[str, ...], cut: Query) -> Statement:
        parameters = Parameters(self.dialect)
        columns = [self.dialect.selected(self.table, column) for column in self.wanted().values()]
        parts = [f"SELECT {', '.join(columns)} {self._source(parameters)}"]
        parts += [f"ORDER BY {', '.join(order)}"] if order else []
        parts += [self.dialect.page(cut, parameters.bind)]
        return " ".join(parts), tuple(parameters.values)

    def _source(self, parameters: Parameters) -> str:
        terms = []
        for condition in self.query.filters:
            before = len(parameters.values)
            term = self.dialect.condition(self.table, condition, parameters.bind)
            if term is None:
                del parameters.values[before:]
            else:
                terms.append(term)
        where = f" WHERE {' AND '.join(terms)}" if terms else ""
        return f"FROM {self.dialect.quoted(self.table.name)}{where}"

    def _order(self) -> tuple[str, ...]:
        terms = (self.dialect.order(self.table, order) for order in self.query.order)
        return (*filter(None, terms), *self.table.own_order)
