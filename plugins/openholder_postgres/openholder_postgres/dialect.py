"""How PostgreSQL writes a query: exactly if the types of columns allow it, and otherwise not at all.

Columns of one kind are read, compared and sorted alike. openholder itself applies what these tables do not have.
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
    "float4": "single",
    "float8": "float",
    **dict.fromkeys(("_text", "_varchar", "_int2", "_int4", "_int8", "_numeric", "_bool"), "list"),
    "numeric": "number",
    "bool": "truth",
    "timestamptz": "moment",
    "timestamp": "local",
    "date": "day",
    "uuid": "uuid",
    "bytea": "bytes",
}
"""The kind of each type. All other types are read as text, kind ``other``: enumerations, JSON, citext, char(n)."""

READ = {
    **dict.fromkeys(("text", "integer", "float", "list", "number", "truth", "bytes"), "{0}"),
    # Its digits as the database writes them: 123456.78, and not the 123456.78125 that the bits are exactly.
    "single": "CAST(CAST({0} AS text) AS float8)",
    # infinity and years before 1 or after 9999 become texts that are not RFC 3339, so openholder refuses them.
    "moment": "replace(CAST({0} AT TIME ZONE 'UTC' AS text), ' ', 'T') || 'Z'",
    "local": "replace(CAST({0} AS text), ' ', 'T')",
}
"""The expression that reads a column of each kind; all others are cast to text."""

IN_ZONE = r"regexp_replace(replace(CAST({0} AS text), ' ', 'T'), '([+-]\d\d)$', '\1:00')"
"""The same for a moment, in the zone of the session."""
BLANKS = r"E' \t\n\r\f\x0B\u00A0'"
"""What `openholder.mapping.tidy` leaves out around texts."""
TEXTS = frozenset({"text", "other", "local", "list"})
"""The kinds whose values are texts, which the words of a mapping read."""

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
"""For each type of a value: the kinds that can be compared with it, and the type of the parameter."""
SIGNS = {"eq": "=", "ge": ">=", "le": "<="}

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)


def _is_text(value: str) -> bool:
    """Return whether the database can store a text: not one with NUL or a lone surrogate."""
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
    # The first half finds rows through an index; the second, on the text, keeps 12 from matching 12.0.
    "number": (_is_number, "({0} {1} AND CAST({0} AS text) {2})", "numeric"),
    "uuid": (_is_uuid, "{0} {1}", "uuid"),
    "other": (_is_text, 'CAST({0} AS text) COLLATE "C" {1}', ""),
}
"""For each kind: which texts a value can have, how to compare the column with them, and the type to cast them to.

A text that no value of the kind can have, such as '012' for an integer, must not be cast: 12 would match it.
"""


def _get_kind(table: Table, column: str) -> str:
    return KINDS.get(table.types[column], "other")


def _equals(mark: str, is_array: bool, cast: str) -> str:
    """Compare with a parameter, or with the items of an array. Only a plain ``=`` lets an index sort the rows too."""
    if is_array:
        return f"= ANY({mark}::text[]" + (f"::{cast}[])" if cast else ")")
    return f"= {mark}::text" + (f"::{cast}" if cast else "")


class PostgresDialect(Dialect):
    """The dialect of PostgreSQL in a database encoded in UTF8.

    Moments are read in UTC, or in the zone of the session if the source has a ``time_zone``.
    """

    strips = True

    def __init__(self, time_zone: str | None = None) -> None:
        self._moment = IN_ZONE if time_zone else READ["moment"]

    def is_text(self, table: Table, column: str) -> bool:
        return _get_kind(table, column) in TEXTS

    def mark(self, number: int) -> str:
        return f"${number}"

    def selected(self, table: Table, column: str) -> str:
        kind = _get_kind(table, column)
        form = self._moment if kind == "moment" else READ.get(kind, "CAST({0} AS text)")
        return _without_blank(table, column, form.format(self.quoted(column)))

    def _name(self, table: Table, column: str) -> str:
        """Return a column, without blanks around its texts if the table is to be read so."""
        name = self.quoted(column)
        is_stripped = table.strip and _get_kind(table, column) in ("text", "other")
        return f"btrim(CAST({name} AS text), {BLANKS})" if is_stripped else name

    def one_of(self, table: Table, column: str, values: Sequence[str], bind: Bind) -> str | None:
        kind = _get_kind(table, column)
        if kind == "truth":  # a boolean never equals a text
            return "FALSE"
        if kind not in EQUAL:
            return None
        is_possible, form, cast = EQUAL[kind]
        possible = [value for value in values if is_possible(value)]
        if not possible:
            return "FALSE"
        is_array = len(possible) > 1
        mark = bind(possible if is_array else possible[0])
        return form.format(self._name(table, column), _equals(mark, is_array, cast), _equals(mark, is_array, ""))

    def condition(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        sql = super().condition(table, condition, bind)
        if sql is not None:
            return sql
        if condition.operator == "ieq":
            return self._equals_ignoring_case(table, condition, bind)
        if condition.operator == "contains":
            return self._contains(table, condition, bind)
        return self._compare(table, condition, bind)

    def _equals_ignoring_case(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        is_plain = not condition.otherwise and condition.absent is None
        if not is_plain or _get_kind(table, table.column(condition.member)) not in AS_TEXT:
            return None
        if not _is_text(str(condition.value)):
            return "FALSE"
        # Under COLLATE "C" lower() changes A-Z only, exactly as Filter defines ieq.
        return f'{self.searched(table, condition)} = lower({bind(condition.value)}::text COLLATE "C")'

    def _contains(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        parts = self._convert_columns(table, condition.members, AS_TEXT)
        if parts is None:
            return None
        if not parts or not _is_text(str(condition.value)):
            return "FALSE"
        mark = bind(condition.value)
        return f"({' OR '.join(f'strpos({part}, {mark}::text) > 0' for part in parts)})"

    def _compare(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        value, absent = condition.value, condition.absent
        if type(value) not in COMPARED or condition.operator not in SIGNS:
            return None
        if absent is not None and type(absent) is not type(value):
            return None
        expressions, cast = COMPARED[type(value)]
        parts = self._convert_columns(table, condition.members, expressions)
        if parts is None:
            return None
        if isinstance(value, str) and not _is_text(value):
            return "FALSE"
        if absent is not None:
            parts.append(f"{bind(absent)}::{cast}")
        return f"{_coalesce(parts)} {SIGNS[condition.operator]} {bind(value)}::{cast}" if parts else "FALSE"

    def order(self, table: Table, order: Order) -> str | None:
        parts = self._convert_columns(table, order.members, AS_MOMENT if order.reads == "instant" else AS_TEXT)
        if not parts:
            return None if parts is None else ""
        # Records without a value sort last (first if descending), as Order defines it.
        return f"{_coalesce(parts)} {'DESC NULLS FIRST' if order.descending else 'ASC NULLS LAST'}"

    def tie_break(self, table: Table, column: str) -> str:
        return f'CAST({self.quoted(column)} AS text) COLLATE "C"'

    def _convert_columns(
        self, table: Table, members: tuple[str, ...], expressions: Mapping[str, str]
    ) -> list[str] | None:
        """Return an expression for each column of some members; None if the kind of one has no expression."""
        columns = table.columns(members)
        if any(_get_kind(table, column) not in expressions for column in columns):
            return None
        return [
            _without_blank(table, column, expressions[_get_kind(table, column)].format(self.quoted(column)))
            for column in columns
        ]

    def searched(self, table: Table, condition: Filter) -> str:
        """Return the column, or the expression to compare: with parentheses, which an index requires."""
        column = table.column(condition.member)
        name, kind = self._name(table, column), _get_kind(table, column)
        as_text = name if kind == "text" else f"CAST({name} AS text)"
        if condition.operator == "ieq":
            return f'(lower({as_text} COLLATE "C"))'
        if kind == "other":
            return f'({as_text} COLLATE "C")'
        return f"({name})" if table.strip else name


def _without_blank(table: Table, column: str, expression: str) -> str:
    """Turn an empty text into NULL where it counts as none. Only columns of text can hold one."""
    is_text = _get_kind(table, column) in ("text", "other")
    return f"NULLIF({expression}, '')" if is_text and column in table.blanks else expression


def _coalesce(parts: Sequence[str]) -> str:
    return f"COALESCE({', '.join(parts)})" if len(parts) > 1 else parts[0]
