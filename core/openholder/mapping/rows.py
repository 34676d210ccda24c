"""Rows of a source as rows of members, by rules that are compiled once.

A row is converted member by member, and only when a member is read. So what is wrong with one row concerns nobody but
its owner, even if the source returns everybody's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from openholder.contract.members import list_kinds
from openholder.errors import SourceFault
from openholder.mapping.settings import MappingSettings, MemberRule, has_clock
from openholder.mapping.values import Amounts, Conversion, Times, tidy, translate_code
from openholder.query import Row

Read = Callable[[Row], Any]
"""Reads one member from a row of the source."""

_NO_RULE = MemberRule.model_construct()
_PLANS = 256
"""Kinds of rows for which it is known how they are read. Those of a table are all of one kind."""


class MappedRow(Mapping[str, Any]):
    """A row of the source under the names of members. A member is converted when it is read for the first time."""

    __slots__ = ("_found", "_known", "_readers", "_row")

    def __init__(self, readers: Mapping[str, Read], row: Row, known: Mapping[str, Any]) -> None:
        self._readers = readers
        self._row = row
        self._known = known
        self._found: dict[str, Any] = {}

    @property
    def origin(self) -> Row:
        """The row of the source, by column."""
        return self._row

    def __getitem__(self, member: str) -> Any:
        if member in self._found:
            return self._found[member]
        if member not in self._readers:
            return self._known[member]
        try:
            value = self._readers[member](self._row)
        except SourceFault as exc:
            exc.row = exc.row or self
            raise
        value = self._found[member] = self._known.get(member) if value is None else value
        return value

    def get(self, member: str, default: Any = None) -> Any:
        """Return the value of a member, or ``default`` if the row has no such member."""
        found = self._found
        if member in found:
            return found[member]
        return self[member] if member in self._readers else self._known.get(member, default)

    def __contains__(self, member: object) -> bool:
        return member in self._readers or member in self._known

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._readers, *self._known)))

    def __len__(self) -> int:
        return len(self._readers.keys() | self._known.keys())


class RowMapping:
    """How the rows of one collection are read.

    Args:
        collection: Its name.
        settings: The words of the source.
        is_json: Whether rows are JSON objects: dots in a column's name lead through objects.
    """

    def __init__(self, collection: str, settings: MappingSettings, *, is_json: bool = False) -> None:
        self.rules = settings.list_rules(collection)
        self._is_json = is_json
        self._decimal = settings.decimal
        # To list the kinds takes milliseconds, which only words that depend on them cost.
        has_times = any(rule.format or rule.repeated_hour for rule in self.rules.values())
        needs_kinds = has_times or settings.time_zone or settings.decimal != "."
        self._kinds: Mapping[str, str] = list_kinds(collection) if needs_kinds else {}
        self._zone = ZoneInfo(settings.time_zone) if settings.time_zone else None
        self._tidy = partial(tidy, strip=settings.strip, absent=frozenset(settings.absent))
        self._tidies = settings.strip or bool(settings.absent)
        self._moved = frozenset(
            name for rule in self.rules.values() for column in rule.columns for name in self._list_moved(column)
        )
        self._default: Conversion | None = self._tidy_inside if self._tidies else None
        self._conversions: dict[str, Conversion | None] = {}
        self._plan = lru_cache(_PLANS)(self._make_plan)

    def find_column(self, member: str) -> str | None:
        """Return the column that a member is taken from; None for a constant.

        Args:
            member: The member's path.
        """
        rule = self.rules.get(member, _NO_RULE)
        return None if rule.constant is not None else rule.column or member

    def list_members(self, columns: Iterable[str]) -> list[str]:
        """List the members of a row with these columns: those with a rule, and every column that no rule names.

        Args:
            columns: The names of its columns.
        """
        return [*(column for column in columns if column not in self._moved | self.rules.keys()), *self.rules]

    def find(self, member: str, row: Row) -> Any:
        """Return the value that a row of the source has for a member, as it is; None for a constant.

        Args:
            member: The member's path.
            row: The row of the source, by column.
        """
        column = self.find_column(member)
        if column is None:
            return None
        return _find_in_json(column, row) if self._is_json else row.get(column)

    def converts(self, member: str, *, is_text: bool = True) -> bool:
        """Tell whether a member may differ from the value of its column.

        Args:
            member: The member's path.
            is_text: Whether the column may have text. If not, only the rule of the member counts.
        """
        rule = self.rules.get(member, _NO_RULE)
        has_words = bool(rule.model_fields_set) and not rule.is_rename
        return has_words or (is_text and self._find_conversion(member) is not None)

    def is_tidied(self, member: str) -> bool:
        """Tell whether a member is the value of its column, but for blanks and texts that mean no value.

        Args:
            member: The member's path.
        """
        rule = self.rules.get(member, _NO_RULE)
        return self._tidies and rule.constant is None and self._compile_words(member) is None

    def read(self, row: Row) -> dict[str, Any]:
        """Convert a row.

        Args:
            row: The row of the source, by column.

        Returns:
            The row by member.

        Raises:
            SourceFault: A value cannot be converted. The message names the member.
        """
        return dict(self.open(row))

    def open(self, row: Row, known: Mapping[str, Any] = MappingProxyType({})) -> MappedRow:
        """Return a row whose members are converted when they are read.

        Args:
            row: The row of the source, by column.
            known: Values of members for which the row itself has none.
        """
        return MappedRow(self._plan(tuple(row)), row, known)

    def _list_moved(self, column: str) -> tuple[str, ...]:
        """List what is left out because a column was taken from it: in JSON, the object that it was in too."""
        return (column, column.partition(".")[0]) if self._is_json else (column,)

    def _make_plan(self, columns: tuple[str, ...]) -> Mapping[str, Read]:
        return {
            member: self._make_reader(member) for member in self.list_members(columns) if self._has(member, columns)
        }

    def _has(self, member: str, columns: tuple[str, ...]) -> bool:
        """Tell whether a member can be read from these columns: a document is not always selected."""
        column = self.find_column(member)
        return self._is_json or column is None or column in columns

    def _make_reader(self, member: str) -> Read:
        rule = self.rules.get(member, _NO_RULE)
        if rule.constant is not None:
            return lambda row: rule.constant
        find = partial(_find_in_json if self._is_json else _find, rule.column or member)
        conversion = self._find_conversion(member)
        return partial(_convert, find, conversion) if conversion else find

    def _find_conversion(self, path: str) -> Conversion | None:
        """Return what is done with the values of a member, also of one inside an object; None if they stay."""
        if path not in self._kinds and path not in self.rules:
            return self._default
        if path not in self._conversions:
            self._conversions[path] = self._compile(path)
        return self._conversions[path]

    def _compile(self, path: str) -> Conversion | None:
        convert = self._compile_words(path)
        if not self._tidies:
            return convert
        tidy_text = self._tidy
        if convert is None:
            return self._tidy_inside

        def convert_tidy(value: Any, row: Row) -> Any:
            text = tidy_text(value)
            return None if text is None else convert(text, row)

        return convert_tidy

    def _compile_words(self, path: str) -> Conversion | None:
        rule, kind = self.rules.get(path, _NO_RULE), self._kinds.get(path, "")
        if rule.codes:
            codes = rule.codes
            return lambda value, row: translate_code(path, codes, value)
        if rule.unit or rule.negative or (kind == "amount" and self._decimal != "."):
            read_sign = partial(self._read_sign, rule.negative.column) if rule.negative else _read_nothing
            return Amounts(path, self._decimal, rule, read_sign).convert
        if rule.format or rule.repeated_hour or (kind == "time" and self._zone):
            is_time = kind == "time" or (kind != "day" and (not rule.format or has_clock(rule.format)))
            times = Times(path, is_time, rule, self._zone)
            return lambda value, row: times.convert(value)
        if self._is_json and any(self._compile_words(name) for name in self._kinds if name.startswith(f"{path}.")):
            return lambda value, row: self._convert_inside(path, value, row)
        return None

    def _read_sign(self, column: str, row: Row) -> Any:
        return self._tidy(_find_in_json(column, row) if self._is_json else row[column])

    def _convert_inside(self, path: str, value: Any, row: Row) -> Any:
        """Convert the members of an object, or of the objects in a list."""
        if isinstance(value, list):
            return [self._convert_inside(path, item, row) for item in value]
        if not isinstance(value, Mapping):
            return value
        converted = dict(value)
        for name, found in value.items():
            conversion = self._find_conversion(f"{path}.{name}")
            if conversion and found is not None:
                converted[name] = conversion(found, row)
        return converted

    def _tidy_inside(self, value: Any, row: Row) -> Any:
        """Tidy a text, or all texts in an object or a list."""
        if isinstance(value, list):
            return [self._tidy_inside(item, row) for item in value]
        if isinstance(value, Mapping):
            return {name: self._tidy_inside(found, row) for name, found in value.items()}
        return self._tidy(value)


def _read_nothing(row: Row) -> None:
    return None


def _convert(find: Read, convert: Conversion, row: Row) -> Any:
    value = find(row)
    return None if value is None else convert(value, row)


def _find(column: str, row: Row) -> Any:
    return row[column]


def _find_in_json(column: str, row: Row) -> Any:
    """Return the value of a column; dots in its name lead through objects. None if there is no value."""
    if column in row:
        return row[column]
    value: Any = row
    for name in column.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
