"""How PostgreSQL writes a question: exactly where the types of columns allow it, and otherwise not at all.

Columns of one kind are read, compared and sorted alike. What is not in these tables openholder judges itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from openholder import Filter, Order
from openholder.sql import Bind, Dialect, Table

KINDS = {
    **dict.fromkeys(("text", "varchar"), "text"),
    **dict.fromkeys(("int2", "int4", "int8"), "integer"),
    **dict.fromkeys(("float4", "float8"), "float"),
    **dict.fromkeys(("_text", "_varchar", "_int2", "_int4", "_int8", "_numeric", "_bool"), "list"),
    "numeric": "number",
    "bool": "truth",
    "timestamptz": "moment",
    "timestamp": "local",
    "date": "day",
    "uuid": "uuid",
    "bytea": "bytes",
}
"""Types by what they have in common. All others are read as their text: enumerations, JSON, citext, char(n)."""

READ = {
    **dict.fromkeys(("text", "integer", "float", "list", "number", "truth", "bytes"), "{0}"),
    # What is no RFC 3339 date-time (infinity, years before 1 or after 9999) becomes none, and the host refuses it.
    "moment": "replace(CAST({0} AT TIME ZONE 'UTC' AS text), ' ', 'T') || 'Z'",
    "local": "replace(CAST({0} AS text), ' ', 'T')",
}
"""How a column is read; all others as their text."""

AS_TEXT = dict.fromkeys(("text", "integer", "uuid", "other"), 'CAST({0} AS text) COLLATE "C"')
AS_MOMENT = {"moment": "{0}", "day": "(CAST({0} AS timestamp) AT TIME ZONE 'UTC')"}
AS_NUMBER = {"integer": "{0}", "number": "{0}"}
AS_TRUTH = {"truth": "{0}"}

COMPARED: Mapping[type, tuple[Mapping[str, str], str]] = {
    str: (AS_TEXT, "text"),
    datetime: (AS_MOMENT, "timestamptz"),
    Decimal: (AS_NUMBER, "numeric"),
    bool: (AS_TRUTH, "boolean"),
}
"""For a type of value the kinds that can be compared with it, and the type of the parameter."""
SIGNS = {"eq": "=", "ge": ">=", "le": "<="}

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)


def _is_text(value: str) -> bool:
    """Whether a text can be in the database at all: one with NUL or a lone surrogate cannot."""
    return "\0" not in value and value.encode(errors="ignore").decode() == value


def _is_integer(value: str) -> bool:
    return bool(_INTEGER.fullmatch(value)) and -(2**63) <= int(value) < 2**63


def _is_number(value: str) -> bool:
    return len(value) < 1000 and bool(_NUMBER.fullmatch(value)) and str(Decimal(value)) == value


def _is_uuid(value: str) -> bool:
    try:
        return str(UUID(value)) == value
    except ValueError:
        return False


EQUAL: Mapping[str, tuple[Callable[[str], bool], str, str]] = {
    "text": (_is_text, "{0} {1}", ""),
    "integer": (_is_integer, "{0} {1}", "int8"),
    # The first half finds rows through an index; the second keeps 12 from being 12.0.
    "number": (_is_number, "({0} {1} AND CAST({0} AS text) {2})", "numeric"),
    "uuid": (_is_uuid, "{0} {1}", "uuid"),
    "other": (_is_text, 'CAST({0} AS text) COLLATE "C" {1}', ""),
}
"""For a kind: which texts can be that of a value, how the column is compared with them, and as which type."""


def _kind(table: Table, column: str) -> str:
    return KINDS.get(table.types[column], "other")


def _equals(mark: str, many: bool, cast: str) -> str:
    """Equal to a parameter, or to one of its array. A single ``=`` lets an index give the order, too."""
    single = f"{mark}::text" + (f"::{cast}" if cast else "")
    several = f"{mark}::text[]" + (f"::{cast}[]" if cast else "")
    return f"= ANY({several})" if many else f"= {single}"


class Postgres(Dialect):
    """The dialect of PostgreSQL in a database of UTF-8."""

    def mark(self, number: int) -> str:
        return f"${number}"

    def selected(self, table: Table, column: str) -> str:
        return READ.get(_kind(table, column), "CAST({0} AS text)").format(self.quoted(column))

    def one_of(self, table: Table, column: str, values: Sequence[str], bind: Bind) -> str | None:
        kind = _kind(table, column)
        if kind == "truth":  # a truth value is no text
            return "FALSE"
        if kind not in EQUAL:
            return None
        is_possible, form, cast = EQUAL[kind]
        possible = list(filter(is_possible, values))
        if not possible:
            return "FALSE"
        many = len(possible) > 1
        mark = bind(possible if many else possible[0])
        return form.format(self.quoted(column), _equals(mark, many, cast), _equals(mark, many, ""))

    def condition(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        own = {"ieq": self._same_letters, "contains": self._contains}.get(condition.operator, self._compared)
        found = super().condition(table, condition, bind)
        return own(table, condition, bind) if found is None else found

    def _same_letters(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        alone = not condition.otherwise and condition.absent is None
        if not alone or _kind(table, table.column(condition.member)) not in AS_TEXT:
            return None
        if not _is_text(str(condition.value)):
            return "FALSE"
        # Under COLLATE "C" A-Z have two cases and no other letters.
        return f'{self.searched(table, condition)} = lower({bind(condition.value)}::text COLLATE "C")'

    def _contains(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        parts = self._parts(table, condition.members, AS_TEXT)
        if parts is None:
            return None
        if not parts or not _is_text(str(condition.value)):
            return "FALSE"
        mark = bind(condition.value)
        return f"({' OR '.join(f'strpos({part}, {mark}::text) > 0' for part in parts)})"

    def _compared(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        value, absent = condition.value, condition.absent
        kinds, cast = COMPARED.get(type(value), ({}, ""))
        parts = self._parts(table, condition.members, kinds)
        unlike = absent is not None and type(absent) is not type(value)
        if parts is None or unlike or condition.operator not in SIGNS or not cast:
            return None
        if isinstance(value, str) and not _is_text(value):
            return "FALSE"
        parts += [] if absent is None else [f"{bind(absent)}::{cast}"]
        return f"{_first(parts)} {SIGNS[condition.operator]} {bind(value)}::{cast}" if parts else "FALSE"

    def order(self, table: Table, order: Order) -> str | None:
        parts = self._parts(table, order.members, AS_MOMENT if order.reads == "instant" else AS_TEXT)
        if not parts:
            return None if parts is None else ""
        # A record without a value comes as if its value were the greatest.
        return f"{_first(parts)} {'DESC NULLS FIRST' if order.descending else 'ASC NULLS LAST'}"

    def _parts(self, table: Table, members: tuple[str, ...], forms: Mapping[str, str]) -> list[str] | None:
        """Expressions for the columns of some members; ``None`` where one is of a kind that has no form."""
        columns = table.columns(members)
        if any(_kind(table, column) not in forms for column in columns):
            return None
        return [forms[_kind(table, column)].format(self.quoted(column)) for column in columns]

    def searched(self, table: Table, condition: Filter) -> str:
        """The column, or the expression in its place: in an index it has parentheses around it."""
        column = table.column(condition.member)
        name, kind = self.quoted(column), _kind(table, column)
        as_text = name if kind == "text" else f"CAST({name} AS text)"
        if condition.operator == "ieq":
            return f'(lower({as_text} COLLATE "C"))'
        return f'({as_text} COLLATE "C")' if kind == "other" else name


def _first(parts: Sequence[str]) -> str:
    return f"COALESCE({', '.join(parts)})" if len(parts) > 1 else parts[0]
