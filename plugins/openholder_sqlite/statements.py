"""How SQLite writes a question. With the functions of `openholder_sqlite.functions` it can answer every one itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from openholder import Filter, Order, instant
from openholder.sql import Bind, Dialect, Table
from openholder_sqlite.functions import packed

__all__ = ["SQLite", "quoted"]

NOCASE = " COLLATE NOCASE"
SIGNS = {"ge": ">=", "le": "<="}


def quoted(name: str) -> str:
    """An SQL identifier that means exactly ``name``."""
    return Dialect().quoted(name)


class SQLite(Dialect):
    """The dialect of SQLite, whose columns may hold any type and compare as they were declared."""

    def text(self, table: Table, column: str) -> str:
        return f"{super().text(table, column)} COLLATE BINARY"

    def one_of(self, table: Table, column: str, values: Sequence[str], bind: Bind) -> str | None:
        if not _is_comparable(table, column):
            return super().one_of(table, column, values, bind)
        # The first half finds the rows through an index; the second keeps a number's column from matching '12.0' or
        # ' 12' where 12 stands, and one with COLLATE NOCASE from matching other letters.
        found = f"{self.quoted(column)} IN ({', '.join(map(bind, values))})"
        return f"({found} AND {super().one_of(table, column, values, bind)})"

    def condition(self, table: Table, condition: Filter, bind: Bind) -> str:
        alone = not condition.otherwise and condition.absent is None
        if alone and condition.operator == "ieq":
            # It folds A-Z only, as Filter wants it.
            return f"{self.searched(table, condition)} = {bind(condition.value)}"
        if isinstance(condition.value, datetime) and condition.operator in SIGNS:
            return self._moment(table, condition, condition.value, bind)
        return super().condition(table, condition, bind) or self._admitted(table, condition, bind)

    def _admitted(self, table: Table, condition: Filter, bind: Bind) -> str:
        columns = [self.first(table, (member,)) for member in condition.members]
        return f"openholder_admits({bind(packed(condition))}, {', '.join(columns)})"

    def _moment(self, table: Table, condition: Filter, wanted: datetime, bind: Bind) -> str:
        # No bound on the text of the column before it, for the sake of an index: it would leave out, in silence, what
        # is no moment at all.
        absent = condition.absent.isoformat() if isinstance(condition.absent, datetime) else condition.absent
        value = f"COALESCE({self.first(table, condition.members)}, {bind(absent)})"
        sign, moment = SIGNS[condition.operator], bind(instant(wanted.isoformat()))
        return f"openholder_instant({value}, {_literal(condition.members)}) {sign} {moment}"

    def order(self, table: Table, order: Order) -> str:
        if not table.columns(order.members):
            return ""
        value = self.first(table, order.members)
        text = f"CAST({value} AS TEXT) COLLATE BINARY"
        read = f"openholder_instant({value}, {_literal(order.members)})" if order.reads == "instant" else text
        # A record without a value comes as if its value were the greatest.
        return f"{read} {'DESC NULLS FIRST' if order.descending else 'ASC NULLS LAST'}"

    def searched(self, table: Table, condition: Filter) -> str:
        """The column, or its text where it may hold any type."""
        column = table.column(condition.member)
        if condition.operator == "ieq":
            return f"{_text(column, _is_text(table, column))}{NOCASE}"
        return _text(column, _is_comparable(table, column))


def _is_text(table: Table, column: str) -> bool:
    declared = table.types[column].upper()
    return "CHAR" in declared or "TEXT" in declared


def _is_comparable(table: Table, column: str) -> bool:
    """Whether comparing the column with a text finds all that is equal as text."""
    declared = table.types[column].upper()
    return bool(declared) and "BLOB" not in declared


def _text(column: str, comparable: bool) -> str:
    return quoted(column) if comparable else f"CAST({quoted(column)} AS TEXT)"


def _literal(members: tuple[str, ...]) -> str:
    """The names of members as an SQL string: they are the host's own, and quoted all the same."""
    return "'" + "/".join(members).replace("'", "''") + "'"
