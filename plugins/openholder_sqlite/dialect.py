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
        found = ""
        if not table.strip:
            forms = values if _matches_text(table, column) else list_forms(values)
            found = f"{self.quoted(column)} IN ({', '.join(map(bind, forms))}) AND "
        return f"({found}{self.text(table, column)} IN ({', '.join(map(bind, values))}))"

    def condition(self, table: Table, condition: Filter, bind: Bind) -> str:
        is_plain = not condition.otherwise and condition.absent is None
        if is_plain and condition.operator == "ieq":
            # NOCASE folds A-Z only, exactly as Filter defines ieq.
            searched = self.searched(table, condition)
            if not _names_expression(table, table.column(condition.member)):
                return f"{searched} = {bind(condition.value)}"
            found = f"{searched} IN ({', '.join(map(bind, list_forms((str(condition.value),))))})"
            text = self._write_text(table, table.column(condition.member))
            return f"({found} AND {text} COLLATE NOCASE = {bind(condition.value)})"
        if isinstance(condition.value, datetime) and condition.operator in SIGNS:
            return self._compare_instants(table, condition, bind)
        sql = super().condition(table, condition, bind)
        if sql:
            return sql
        columns = [self.first(table, (member,)) for member in condition.members]
        return f"openholder_admits({bind(encode_condition(condition))}, {', '.join(columns)})"

    def binder(self, table: Table, condition: Filter) -> Binder:
        value = condition.value
        if isinstance(value, datetime) and condition.operator in SIGNS:
            return partial(self._bind_instants, table)
        if not compares_text(condition):
            return lambda condition: (encode_condition(condition),)
        column = table.column(condition.member)
        if condition.operator == "ieq":
            return _bind_forms if _names_expression(table, column) else _bind_once
        if table.strip:
            return _bind_once
        return _bind_twice if _matches_text(table, column) else _bind_forms

    def may_fail(self, table: Table, condition: Filter) -> bool:
        """Tell whether a condition on a view calls a function of ours: in a join, SQLite may call it for any row."""
        if not table.is_view or compares_text(condition):
            return False
        return (table.collection, condition.members) not in self._plain

    def tie_break(self, table: Table, column: str) -> str:
        return f"{self.quoted(column)} COLLATE BINARY"

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
            is_text = "CHAR" in declared or "TEXT" in declared or _names_expression(table, column)
            is_text = is_text and not table.strip
            return f"{name if is_text else self._write_text(table, column)} COLLATE NOCASE"
        return self._write_text(table, column) if table.strip else name


def _matches_text(table: Table, column: str) -> bool:
    """Return whether comparing the column with a text finds all values with that text.

    A column declared without a type, or as BLOB, converts nothing: the number 12 in it never equals '12'.
    """
    declared = table.types[column].upper()
    return bool(declared) and "BLOB" not in declared and not table.strip


def _names_expression(table: Table, column: str) -> bool:
    """Return whether a column of a view is an expression without a type, which only the same expression indexes."""
    return table.is_view and not table.types[column] and not table.strip


def compares_text(condition: Filter) -> bool:
    """Return whether SQLite applies a filter without calling a function of ours."""
    is_text = isinstance(condition.value, str | tuple) and condition.operator in ("eq", "in", "ieq")
    return is_text and not condition.otherwise and condition.absent is None


def list_forms(texts: Sequence[str]) -> tuple[Any, ...]:
    """List the values that have one of some texts, in a column that converts nothing: text, number and bytes."""
    return (*texts, *map(_read_number, texts), *(text.encode("utf-8", "surrogatepass") for text in texts))


def _read_number(text: str) -> Any:
    """Return the number that SQLite would write so; the text itself if there is none."""
    try:
        number = int(text)
        return number if -(2**63) <= number < 2**63 else float(text)
    except (ValueError, OverflowError):
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _bind_forms(condition: Filter) -> tuple[Any, ...]:
    texts = _bind_once(condition)
    return (*list_forms(texts), *texts)


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
