"""What differs between SQL databases, with defaults that all of them understand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from openholder.query import Filter, Order, Query
from openholder.sql.tables import Table

Bind = Callable[[Any], str]
"""Adds a value to the statement's parameters and returns its placeholder."""

Binder = Callable[[Filter], tuple[Any, ...]]
"""Returns the parameters of one filter."""

NO_LIMIT = 2**63 - 1


class Dialect:
    """How one database writes SQL. The base class compares texts for equality, which every source needs.

    Values are always parameters: ``bind(value)`` returns the placeholder to write. If placeholders have no
    numbers, call it in the order in which they appear.
    """

    strips: ClassVar[bool] = False
    """Whether equality filters leave out blanks around texts if `Table.strip` says so. If not, openholder does it."""
    unordered: ClassVar[str] = ""
    """The ORDER BY of a SELECT without an order, for a database that cuts no page without one."""

    def is_text(self, table: Table, column: str) -> bool:
        """Tell whether a column may have text, which the words of a mapping read.

        Args:
            table: The table.
            column: One of its columns.

        Returns:
            False if its type excludes text; true by default.
        """
        return True

    def quoted(self, name: str) -> str:
        """Quote an identifier.

        Args:
            name: The name of a table or column, with any characters.

        Returns:
            SQL that means exactly that name.
        """
        return '"' + name.replace('"', '""') + '"'

    def mark(self, number: int) -> str:
        """Return the placeholder of a parameter.

        Args:
            number: Its place among the parameters of the statement. The first is 1.
        """
        return "?"

    def selected(self, table: Table, column: str) -> str:
        """Return a column as a SELECT reads it.

        Args:
            table: The table.
            column: One of its columns.

        Returns:
            The quoted column; converted in SQL, if its driver's type is not one that rows may have.
        """
        return self.value(table, column)

    def value(self, table: Table, column: str) -> str:
        """Return the value of a column: NULL for an empty text, where that counts as none.

        Args:
            table: The table.
            column: One of its columns.
        """
        name = self.quoted(column)
        return f"NULLIF({name}, '')" if column in table.blanks else name

    def text(self, table: Table, column: str) -> str:
        """Return a column as text, to be compared character by character whatever the column's collation.

        Args:
            table: The table.
            column: One of its columns.
        """
        return f"CAST({self.quoted(column)} AS TEXT)"

    def one_of(self, table: Table, column: str, values: Sequence[str], bind: Bind) -> str | None:
        """Translate an equality filter: the column's text is one of several.

        Args:
            table: The table.
            column: One of its columns.
            values: The texts. There is at least one.
            bind: Adds a parameter.

        Returns:
            The condition; ``None`` as for `condition`.
        """
        return f"{self.text(table, column)} IN ({', '.join(map(bind, values))})"

    def condition(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        """Translate a filter into a condition with exactly the meaning of `Filter`.

        Args:
            table: The table.
            condition: The filter.
            bind: Adds a parameter.

        Returns:
            The condition; ``None`` if the database cannot express it, so that openholder filters the rows itself.

        Raises:
            SourceFault: The table has no column for the member.
        """
        values = texts(condition)
        if not values:
            return None
        column = table.members.get(condition.member) or table.column(condition.member)  # which raises SourceFault
        return self.one_of(table, column, values, bind)

    def narrow(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        """Translate a filter into a condition that lets further rows pass, where `condition` returns ``None``.

        openholder applies the filter itself to the rows that pass: an index can find them nevertheless.

        Args:
            table: The table. Its ``mapping``, ``strip`` and ``absent`` say how values are read.
            condition: The filter. Members that are not among those of the table are converted, or have no column.
            bind: Adds a parameter.

        Returns:
            A condition that every row passes which the filter admits; ``None``, the default, for none.
        """
        return None

    def binder(self, table: Table, condition: Filter) -> Binder | None:
        """Return how to get the values that `condition` binds, if its text can be kept for other values.

        Then `Schema` composes the text of a SELECT once for all queries with the same kinds of filters.

        Args:
            table: The table.
            condition: The filter.

        Returns:
            A function that returns, for any filter that differs from this one in its values only, the parameters in the
            order in which `condition` binds them. ``None``, the default, if the text itself depends on the values: it
            may depend on all else, such as the member, the operator, and the type and number of the values.
        """
        return None

    def order(self, table: Table, order: Order) -> str | None:
        """Translate an order into a term of ORDER BY with exactly the meaning of `Order`.

        Args:
            table: The table.
            order: The order.

        Returns:
            The term; empty if the table has no such column; ``None`` if the database cannot sort like that, so that
            openholder sorts the rows itself.
        """
        return None if table.columns(order.members) else ""

    def may_fail(self, table: Table, condition: Filter) -> bool:
        """Tell whether a condition, as SQL, can fail because of a value in a row.

        Such conditions are applied to rows that pass all others: what is wrong with one owner's row is no fault of
        another owner's request.

        Args:
            table: The table.
            condition: The filter.

        Returns:
            False by default: comparisons of texts do not fail.
        """
        return False

    def tie_break(self, table: Table, column: str) -> str:
        """Return what sorts two rows that differ in a column, if their table has no order of its own.

        Args:
            table: The table.
            column: One of its columns.

        Returns:
            A term of ORDER BY, by default the column's text. Two values that are read differently must not be equal.
        """
        return self.text(table, column)

    def page(self, query: Query, bind: Bind) -> str:
        """Return the clause that cuts the page.

        Args:
            query: The query, of which ``offset`` and ``limit`` count. A limit of ``None`` is none.
            bind: Adds a parameter.
        """
        return f"LIMIT {bind(NO_LIMIT if query.limit is None else query.limit)} OFFSET {bind(query.offset)}"

    def first(self, table: Table, members: tuple[str, ...]) -> str:
        """Return the first of some members that has a value.

        Args:
            table: The table.
            members: Their names, in the order in which they count.

        Returns:
            The column, or a COALESCE; ``NULL`` if the table has none of them.
        """
        columns = [self.value(table, table.members[member]) for member in members if member in table.members]
        return f"COALESCE({', '.join(columns)})" if len(columns) > 1 else "".join(columns) or "NULL"

    def searched(self, table: Table, condition: Filter) -> str:
        """Return the expression that an index must cover for a filter to find its rows without reading all.

        Args:
            table: The table.
            condition: The filter.

        Raises:
            SourceFault: The table has no column for the member.
        """
        return self.quoted(table.column(condition.member))

    def index(self, table: Table, condition: Filter) -> str:
        """Return the statement that creates the index which a filter needs.

        Args:
            table: The table. For a view, the statement names what to do on the tables behind it.
            condition: The filter.
        """
        name = self.quoted(f"{table.name}_{condition.member}")
        statement = f"CREATE INDEX {name} ON {self.quoted(table.name)} ({self.searched(table, condition)});"
        return f"on the tables behind the view, the equivalent of: {statement}" if table.is_view else statement


@dataclass(slots=True)
class Parameters:
    """The parameters of a statement that is being composed."""

    dialect: Dialect
    values: list[Any] = field(default_factory=list)

    def bind(self, value: Any) -> str:
        """Add one value and return its placeholder."""
        self.values.append(value)
        return self.dialect.mark(len(self.values))


def texts(condition: Filter) -> tuple[str, ...]:
    """Return the texts that an equality filter on one member allows; empty for every other filter."""
    if condition.otherwise or condition.absent is not None or condition.operator not in ("eq", "in"):
        return ()
    value = condition.value
    return (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
