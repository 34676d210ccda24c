"""How a query is written for any database of `openholder_sqlalchemy.backends`: exactly, or left to openholder.

A type of `openholder.sql.Table` is the kind of a column, followed by what else is known about it. Columns of one kind
are read, compared and sorted alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from sqlalchemy.engine import Dialect as Engine

from openholder import Filter, Order, Query
from openholder.sql import Bind, Dialect, Table
from openholder_sqlalchemy.backends import BACKENDS

TEXTS = frozenset({"text", "any", "other", "local", "clob"})
"""Kinds whose values are texts, which the words of a mapping read. SQLite has any value in ``any``."""
COMPARED = frozenset({"text", "any", "other"})
"""Kinds that are compared as text. An integer is too, but as a number, which has one text only."""
FOLDS, NARROW, LONG = "folds", "narrow", "long"
"""What else a type may say: equality in its collation ignores the case of A-Z; its character set is not all of Unicode;
it has texts or bytes longer than MariaDB looks at to sort them (max_sort_length)."""
MARKS = {"qmark": "?", "format": "%s", "numeric": ":{0}", "numeric_dollar": "${0}", "named": ":p{0}"}
"""The placeholder of each paramstyle (PEP 249), by its number."""
SIGNS = {"eq": "=", "ge": ">=", "le": "<="}
NUMBERS = {"integer": "{0}", "number": "{0}"}
TRUTHS = {"truth": "{0}"}
NEVER = "1 = 0"

_EXACT = Context(prec=100)
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,38}", re.ASCII)


def get_kind(table: Table, column: str) -> str:
    """Return the kind of a column."""
    return table.types[column].partition(" ")[0]


class AlchemyDialect(Dialect):
    """The dialect of the database that a dialect of SQLAlchemy is for."""

    strips = True

    def __init__(self, engine: Engine) -> None:
        self.backend = BACKENDS[engine.name]
        # SQLAlchemy writes the names of Oracle in lower case, which quotes would make others.
        preparer = engine.identifier_preparer
        self._quote = preparer.quote if engine.requires_name_normalize else preparer.quote_identifier
        self._paramstyle = "qmark" if engine.name == "mssql" else engine.paramstyle  # of ODBC, which is not loaded yet
        self.unordered = self.backend.unordered  # type: ignore[misc]  # a constant of the database

    def is_text(self, table: Table, column: str) -> bool:
        return get_kind(table, column) in TEXTS

    def quoted(self, name: str) -> str:
        return str(self._quote(name))

    def mark(self, number: int) -> str:
        return MARKS[self._paramstyle].format(number)

    def pack(self, parameters: tuple[Any, ...]) -> Any:
        """Return the parameters of a statement as the driver takes them."""
        is_named = self._paramstyle == "named"
        return {f"p{number}": value for number, value in enumerate(parameters, 1)} if is_named else parameters

    def selected(self, table: Table, column: str) -> str:
        value = self.backend.read.get(get_kind(table, column), "{0}").format(self.quoted(column))
        is_blank = column in table.blanks and get_kind(table, column) in COMPARED
        return self.backend.filled.format(value) if is_blank else value

    def text(self, table: Table, column: str) -> str:
        return self.backend.exact.format(self._name(table, column))

    def page(self, query: Query, bind: Bind) -> str:
        values = {"limit": 2**63 - 1 if query.limit is None else query.limit, "offset": query.offset}
        order = sorted(values, key=self.backend.page.index)  # placeholders without numbers are bound as they appear
        return self.backend.page.format(**{name: bind(values[name]) for name in order})

    def one_of(self, table: Table, column: str, values: Sequence[str], bind: Bind) -> str | None:
        kind, backend = get_kind(table, column), self.backend
        if kind == "truth":  # never equals a text
            return NEVER
        if kind == "integer":
            return self._is_one_of_integers(table, column, values, bind)
        if kind not in COMPARED and not (kind == "number" and backend.compares_numbers):
            return None
        possible = [value for value in values if _is_text(value)]
        if not possible:
            return NEVER
        # The first half finds the rows through an index, whatever letters the column's collation takes for equal.
        found = ""
        if kind == "text" and not table.strip and all(_is_comparable(table, column, value) for value in possible):
            found = (
                f"{self.quoted(column)} IN ({', '.join(map(self._convert(backend.text_mark, bind), possible))}) AND "
            )
        marks = map(self._convert(backend.exact_mark, bind), possible)
        return f"({found}{self.text(table, column)} IN ({', '.join(marks)}))"

    def _is_one_of_integers(self, table: Table, column: str, values: Sequence[str], bind: Bind) -> str:
        # A text that no integer has, such as '012', must not be compared as one.
        numbers = [int(value) for value in values if _INTEGER.fullmatch(value)]
        largest = self.backend.largest
        possible = [number for number in numbers if -largest <= number < largest]
        marks = map(self._convert(self.backend.integer_mark, bind), possible)
        return f"{self.quoted(column)} IN ({', '.join(marks)})" if possible else NEVER

    def condition(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        sql = super().condition(table, condition, bind)
        if sql is not None:
            return sql
        value = condition.value
        if condition.operator == "ieq":
            return self._equals_ignoring_case(table, condition, bind)
        if condition.operator == "contains" and isinstance(value, str):
            return self._contains(table, condition, value, bind)
        compare = self._compare_moments if isinstance(value, datetime) else self._compare
        return compare(table, condition, bind)

    def narrow(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        if isinstance(condition.value, datetime):
            return self._narrow_window(table, condition, condition.value, bind)
        similar, value = self.backend.similar, str(condition.value)
        is_plain = condition.operator == "ieq" and not condition.otherwise and condition.absent is None
        column = table.members.get(condition.member)
        if not (is_plain and similar and column and _is_text(value)) or get_kind(table, column) not in COMPARED:
            return None
        folds = FOLDS in _list_marks(table, column) and not table.strip
        if folds and _is_comparable(table, column, value):
            return f"{self.quoted(column)} = {bind(value)}"
        return similar.format(self._name(table, column), bind(value))

    def order(self, table: Table, order: Order) -> str | None:
        forms = self.backend.sorted
        is_text = order.reads == "text"
        members, moments = order.members, self.backend.moments
        parts = self._express_texts(table, members) if is_text else self._express_all(table, members, moments)
        if parts == []:
            return ""
        return forms[order.descending].format(_coalesce(parts)) if parts and forms else None

    def searched(self, table: Table, condition: Filter) -> str:
        """Return the column; of long texts the beginning, because an index of MariaDB holds no more."""
        column = table.column(condition.member)
        is_long = LONG in _list_marks(table, column)
        return f"{self.quoted(column)}(64)" if is_long else self.quoted(column)

    def can_use_index(self, table: Table, condition: Filter) -> bool:
        """Tell whether a filter compares the column itself, so that an index on it finds the rows."""
        column = table.members.get(condition.member)
        if column is None or table.strip or get_kind(table, column) not in ("text", "integer"):
            return False
        return condition.operator in ("eq", "in") or (
            condition.operator == "ieq" and FOLDS in _list_marks(table, column)
        )

    def tie_break(self, table: Table, column: str) -> str:
        kind = get_kind(table, column)
        if LONG in _list_marks(table, column):
            return f"MD5({self.quoted(column)})"
        if kind in self.backend.ties:
            return self.backend.ties[kind].format(self.quoted(column))
        return self.text(table, column) if kind in COMPARED | {"list"} else self.quoted(column)

    # -- comparisons ------------------------------------------------------------------------------------------------

    def _equals_ignoring_case(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        folded, column = self.backend.folded, table.column(condition.member)
        is_plain = not condition.otherwise and condition.absent is None
        if not (is_plain and folded) or get_kind(table, column) not in COMPARED:
            return None
        if not _is_text(str(condition.value)):
            return NEVER
        return f"{folded.format(self._name(table, column))} = {folded.format(bind(condition.value))}"

    def _contains(self, table: Table, condition: Filter, value: str, bind: Bind) -> str | None:
        parts = self._express_texts(table, condition.members)
        if parts is None or not self.backend.contains:
            return None
        if not parts or not _is_text(value):
            return NEVER
        mark, found = self._convert(self.backend.exact_mark, bind), self.backend.contains
        return f"({' OR '.join([found.format(part, mark(value)) for part in parts])})"

    def _compare(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        value, absent, backend = condition.value, condition.absent, self.backend
        if isinstance(value, str) and condition.operator == "eq" and _is_text(value):
            mark, parts = backend.exact_mark, self._express_texts(table, condition.members)
        elif isinstance(value, Decimal) and _is_writable(value):
            mark, parts = backend.number_mark, self._express_all(table, condition.members, NUMBERS)
        elif isinstance(value, bool):
            mark, parts = backend.truth_mark, self._express_all(table, condition.members, TRUTHS)
        else:
            return None
        if not mark or parts is None or condition.operator not in SIGNS:
            return None
        if absent is not None and type(absent) is not type(value):
            return None
        write = self._convert(mark, bind)
        if absent is not None:
            parts.append(write(absent))
        return f"{_coalesce(parts)} {SIGNS[condition.operator]} {write(value)}" if parts else NEVER

    def _compare_moments(self, table: Table, condition: Filter, bind: Bind) -> str | None:
        absent, backend = condition.absent, self.backend
        value = condition.value
        if not (isinstance(value, datetime) and isinstance(absent, datetime | None)):
            return None
        if condition.operator not in ("ge", "le"):
            return None
        # A day such as 0000-00-00 is a fault: it passes either way, so that openholder reads it.
        bound = "9999-12-31" if condition.operator == "ge" else "0001-01-01"
        moments = backend.moments
        if moments and backend.invalid:
            moments = {
                kind: form.format(f"CASE WHEN {backend.invalid} THEN '{bound}' ELSE {{0}} END")
                for kind, form in moments.items()
            }
        parts = self._express_all(table, condition.members, moments)
        if parts is None:
            return None
        write = self._convert(backend.moment_mark, bind)
        try:
            if absent is not None:
                parts.append(write(_write_utc(absent, as_text=backend.has_moment_texts)))
            if not parts:
                return NEVER
            mark = write(_write_utc(value, as_text=backend.has_moment_texts))
        except OverflowError:  # at the ends of the years 1 and 9999
            return None
        return f"{_coalesce(parts)} {SIGNS[condition.operator]} {mark}"

    def _narrow_window(self, table: Table, condition: Filter, value: datetime, bind: Bind) -> str | None:
        """Compare local times as if they were of UTC, in a window that is a day longer: no zone is further from it."""
        mapping = table.mapping
        if mapping is None or table.absent or table.converted.isdisjoint(condition.members):
            return None
        columns = {}
        for member in condition.members:
            if member not in table.members and member not in table.converted:
                continue
            rule, column = mapping.rules.get(member), mapping.find_column(member)
            if column is None or (rule and rule.model_fields_set - {"column", "repeated_hour"}):
                return None
            columns[member] = column
        days = {name: "day" if kind == "local" else kind for name, kind in table.types.items()}
        try:
            wider = value + timedelta(days=-1 if condition.operator == "ge" else 1)
        except OverflowError:
            return None
        return self._compare_moments(replace(table, members=columns, types=days), replace(condition, value=wider), bind)

    # -- expressions ------------------------------------------------------------------------------------------------

    def _name(self, table: Table, column: str) -> str:
        """Return a column as it is compared as text: without blanks around it, or without empty ones, if it is so."""
        value = self.selected(table, column)
        is_stripped = table.strip and get_kind(table, column) in COMPARED
        return self.backend.stripped.format(value) if is_stripped else value

    def _express_all(self, table: Table, members: tuple[str, ...], forms: Mapping[str, str] | None) -> list[str] | None:
        """Return an expression for each column of some members; None if the kind of one has no form."""
        columns = table.columns(members)
        if forms is None or not _have(table, columns, forms.keys()):
            return None
        return [forms[get_kind(table, column)].format(self.quoted(column)) for column in columns]

    def _express_texts(self, table: Table, members: tuple[str, ...]) -> list[str] | None:
        """Return each column of some members as text; None if one is no text."""
        columns = table.columns(members)
        kinds = COMPARED | ({"integer"} if self.backend.compares_numbers else set())
        return [self.text(table, column) for column in columns] if _have(table, columns, kinds) else None

    @staticmethod
    def _convert(form: str, bind: Bind) -> Callable[[Any], str]:
        """Return what binds a value and converts its placeholder."""
        return lambda value: form.format(bind(value))


def _have(table: Table, columns: Sequence[str], kinds: Set[str]) -> bool:
    return all(get_kind(table, column) in kinds for column in columns)


def _list_marks(table: Table, column: str) -> list[str]:
    return table.types[column].split()[1:]


def _is_comparable(table: Table, column: str, value: str) -> bool:
    """Tell whether MariaDB can compare a column with a text: others are an illegal mix of collations."""
    return value.isascii() or NARROW not in _list_marks(table, column)


def _is_text(value: str) -> bool:
    """Tell whether a database can hold a text: not one with NUL or a lone surrogate."""
    return "\0" not in value and value.encode(errors="ignore").decode() == value


def _is_writable(value: Decimal) -> bool:
    """Tell whether MariaDB can convert a number without cutting digits: 35 before the point, 30 behind it."""
    return abs(value) < 10**35 and value == value.quantize(Decimal(1).scaleb(-30), context=_EXACT)


def _write_utc(moment: datetime, *, as_text: bool) -> datetime | str:
    utc = moment.astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(" ", "microseconds") if as_text else utc


def _coalesce(parts: Sequence[str]) -> str:
    return f"COALESCE({', '.join(parts)})" if len(parts) > 1 else parts[0]
