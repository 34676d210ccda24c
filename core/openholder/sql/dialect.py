"""What differs between SQL databases, with defaults that any of them understands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from openholder.query import Filter, Order, Query
from openholder.sql.tables import Table

Bind = Callable[[Any], str]
"""Makes a value a parameter of the statement, and gives the mark that stands for it there."""

NO_LIMIT = 2**63 - 1


class Dialect:
    """How one database writes what all have. As it stands it knows equality of texts, which every source needs.

    Values are parameters, always: ``bind(value)`` gives the mark to write in place of one. Where marks have no numbers,
    call it in the order in which the marks stand.
    """

    def quoted(self, name: str) -> str:
        """An identifier that means exactly ``name``."""
        return '"' + name.replace('"', '""') + '"'

    def mark(self, number: int) -> str:
        """What stands for a parameter, the first of which is number 1."""
        return "?"

    def selected(self, table: Table, column: str) -> str:
        """A column as it is read: where its driver's type is no value of records, turned into one that is."""
        return self.quoted(column)

    def text(self, table: Table, column: str) -> str:
        """A column as text, to be compared letter by letter whatever the column's collation."""
        return f"CAST({self.quoted(column)} AS TEXT)"

    def one_of(self, table: Table, column: str, values: Sequence[str], bind: Bind) -> str | None:
        """Whether the text of a column is one of several, letter by letter; ``None`` as for `condition`."""
        return f"{self.text(table, column)} IN ({', '.join(map(bind, values))})"

    def condition(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        """What fulfils a filter, exactly as `Filter` means it. ``None``: the database cannot tell, openholder does."""
        values = texts(condition)
        return self.one_of(table, table.column(condition.member), values, bind) if values else None

    def order(self, table: Table, order: Order) -> str | None:
        """A term of ORDER BY, exactly as `Order` means it; empty where there is no such column.

        ``None``: the database cannot sort like that, so openholder does.
        """
        return None if table.columns(order.members) else ""

    def page(self, query: Query, bind: Bind) -> str:
        """The clause that cuts the page."""
        return f"LIMIT {bind(NO_LIMIT if query.limit is None else query.limit)} OFFSET {bind(query.offset)}"

    def first(self, table: Table, members: tuple[str, ...]) -> str:
        """The first of some members that has a value; NULL where there is no such column."""
        columns = [self.quoted(column) for column in table.columns(members)]
        return f"COALESCE({', '.join(columns)})" if len(columns) > 1 else "".join(columns) or "NULL"

    def searched(self, table: Table, condition: Filter) -> str:
        """What an index must be on, for a filter to find its records without reading all."""
        return self.quoted(table.column(condition.member))

    def index(self, table: Table, condition: Filter) -> str:
        """The statement that makes the index which a filter needs."""
        name = self.quoted(f"{table.name}_{condition.member}")
        statement = f"CREATE INDEX {name} ON {self.quoted(table.name)} ({self.searched(table, condition)});"
        return f"for the tables behind the view, what amounts to: {statement}" if table.is_view else statement


def texts(condition: Filter) -> tuple[str, ...]:
    """The texts of which one member must be one: empty where a filter asks for something else."""
    if condition.otherwise or condition.absent is not None or condition.operator not in ("eq", "in"):
        return ()
    value = condition.value
    return (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
