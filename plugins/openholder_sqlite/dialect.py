"""How SQLite writes a query. With the functions of `openholder_sqlite.sql_functions` it can run every query itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from openholder import Filter, Order, instant, microseconds
from openholder.sql import Bind, Binder, Dialect, Table
from openholder_sqlite.sql_functions import encode_condition

__all__ = ["SQLiteDialect", "quote_identifier"]

BLANKS = "' ' || char(9, 10, 11, 12, 13, 160)"
"""What `openholder.mapping.tidy` leaves out around texts."""
SIGNS = {"ge": ">=", "le": "<="}

Times = tuple[str, tuple[str, ...]]
"""A table, by the collection it is served as, and the members that hold the time of a row: the first value counts."""

PlainColumns = Mapping[Times, bool]
"""Times that are all written like ``2026-01-31T23:59:59Z``, and whether every row has the first of the members."""


def quote_identifier(name: str) -> str:
    """Quote an SQL identifier, so that it means exactly ``name``."""
    return Dialect().quoted(name)


class SQLiteDialect(Dialect):
    """The dialect of SQLite, whose columns may hold any type and compare as they were declared.

    The times in ``plain`` are compared and sorted as text.
    """

    def __init__(self, plain: PlainColumns | None = None) -> None:
        self._plain = plain or {}

    strips = True

    def text(self, table: Table, column: str) -> str:
        return f"{self._write_text(table, column)} COLLATE BINARY"

    def _write_text(self, table: Table, column: str) -> str:
        text = f"CAST({self.quoted(column)} AS TEXT)"
        return f"trim({text}, {BLANKS})" if table.strip else text

    def one_of(self, table: Table, column: str, values: Sequence[str], bind: Bind) -> str | None:
        # The first half finds the rows through an index. The second compares the text: it keeps a numeric column with
        # 12 from matching '12.0' or ' 12', and a COLLATE NOCASE column from matching other letters.
        name = self.quoted(column)
        found = f"{name} IN ({', '.join(map(bind, values))}) AND " if _matches_text(table, column) else ""
        return f"({found}{self.text(table, column)} IN ({', '.join(map(bind, values))}))"

    def condition(self, table: Table, condition: Filter, bind: Bind) -> str:
        is_plain = not condition.otherwise and condition.absent is None
        if is_plain and condition.operator == "ieq":
            # NOCASE folds A-Z only, exactly as Filter defines ieq.
            return f"{self.searched(table, condition)} = {bind(condition.value)}"
        if isinstance(condition.value, datetime) and condition.operator in SIGNS:
            return self._compare_instants(table, condition, bind)
        sql = super().condition(table, condition, bind)
        if sql:
            return sql
        columns = [self.first(table, (member,)) for member in condition.members]
        return f"openholder_admits({bind(encode_condition(condition))}, {', '.join(columns)})"

    def binder(self, table: Table, condition: Filter) -> Binder:
        value = condition.value
        is_plain = not condition.otherwise and condition.absent is None
        if is_plain and condition.operator == "ieq":
            return _bind_once
        if isinstance(value, datetime) and condition.operator in SIGNS:
            return partial(self._bind_instants, table)
        if is_plain and condition.operator in ("eq", "in") and isinstance(value, str | tuple):
            return _bind_twice if _matches_text(table, table.column(condition.member)) else _bind_once
        return lambda condition: (encode_condition(condition),)

    def _compare_instants(self, table: Table, condition: Filter, bind: Bind) -> str:
        members, sign = condition.members, SIGNS[condition.operator]
        marks = [bind(value) for value in self._bind_instants(table, condition)]
        if (table.collection, members) in self._plain:
            term = f"{self._write_plain(table, members)} {sign} {marks[0]}"
            return f"COALESCE({term}, {marks[1]})" if len(marks) > 1 else term
        # A comparison of the column's text could use an index, but it would silently leave out values that are not
        # date-times. They must be reported.
        value = f"openholder_instant({self.first(table, members)}, {_quote_members(members)})"
        if len(marks) > 1:
            value = f"COALESCE({value}, {marks[0]})"
        return f"{value} {sign} {marks[-1]}"

    def _bind_instants(self, table: Table, condition: Filter) -> tuple[Any, ...]:
        limit, absent = condition.value, condition.absent
        assert isinstance(limit, datetime)
        default = None
        if absent is not None:
            default = microseconds(absent) if isinstance(absent, datetime) else instant(str(absent))
        is_complete = self._plain.get((table.collection, condition.members))
        if is_complete is None:
            bounds: tuple[Any, ...] = (microseconds(limit),)
            return bounds if default is None else (default, *bounds)
        text = _format_bound(limit, condition.operator)
        if is_complete or default is None:
            return (text,)
        passes = default <= microseconds(limit) if condition.operator == "le" else default >= microseconds(limit)
        return text, int(passes)

    def _write_plain(self, table: Table, members: tuple[str, ...]) -> str:
        """Return the text of a plain time: of the first member alone if every row has it, so that an index helps."""
        if self._plain[table.collection, members]:
            members = tuple([member for member in members if member in table.members][:1])
        # No plain time is empty, and an index is on the column as it is.
        return self.first(replace(table, blanks=frozenset()), members)

    def order(self, table: Table, order: Order) -> str:
        members = order.members
        value = self.first(table, members)
        if value == "NULL":
            return ""
        plain = self._plain.get((table.collection, members)) if order.reads == "instant" else None
        if plain is not None:
            key = self._write_plain(table, members)
            if plain:
                return f"{key} {'DESC' if order.descending else 'ASC'}"
        elif order.reads == "instant":
            key = f"openholder_instant({value}, {_quote_members(members)})"
        else:
            key = f"CAST({value} AS TEXT) COLLATE BINARY"
        # Records without a value sort last (first if descending), as Order defines it.
        return f"{key} {'DESC NULLS FIRST' if order.descending else 'ASC NULLS LAST'}"

    def searched(self, table: Table, condition: Filter) -> str:
        """Return the column, or its text if it may hold any type."""
        column = table.column(condition.member)
        declared = table.types[column].upper()
        name = self.quoted(column)
        if condition.operator == "ieq":
            is_text = ("CHAR" in declared or "TEXT" in declared) and not table.strip
            return f"{name if is_text else self._write_text(table, column)} COLLATE NOCASE"
        return name if _matches_text(table, column) else self._write_text(table, column)


def _matches_text(table: Table, column: str) -> bool:
    """Return whether comparing the column with a text finds all values with that text.

    A column declared without a type, or as BLOB, converts nothing: the number 12 in it never equals '12'.
    """
    declared = table.types[column].upper()
    return bool(declared) and "BLOB" not in declared and not table.strip


def _bind_once(condition: Filter) -> tuple[Any, ...]:
    value = condition.value
    return value if isinstance(value, tuple) else (value,)


def _bind_twice(condition: Filter) -> tuple[Any, ...]:
    value = condition.value
    return value * 2 if isinstance(value, tuple) else (value, value)


def _format_bound(limit: datetime, operator: str) -> str:
    """Write the bound of a filter as a plain time: the second before it for ``le``, the one after it for ``ge``."""
    try:
        limit = limit.astimezone(UTC)
        if operator == "ge" and limit.microsecond:
            limit += timedelta(seconds=1)
    except OverflowError:  # at the ends of the years 1 and 9999, beyond every time in text
        return "" if limit.year == 1 else "~"
    return f"{limit.replace(microsecond=0, tzinfo=None).isoformat()}Z"


def _quote_members(members: tuple[str, ...]) -> str:
    """Quote the names of members as an SQL string: the host chose them, but SQL is never written unquoted."""
    return "'" + "/".join(members).replace("'", "''") + "'"
