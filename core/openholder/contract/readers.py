"""Read rows as records in one pass, compiled once for each record type and form of rows.

Nearly all values already have the form of their members, and `msgspec` checks that for a whole page at once. A reader
converts the others before, column by column. If it meets anything else, `openholder.contract.rows` reads the row or
says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import attrgetter, itemgetter
from typing import Any, cast

import msgspec
from msgspec import inspect

from openholder.contract.fitting import Fitter, Misfit, compile_fitter, find_empty
from openholder.contract.formats import OpenRecord, Record

Check = Callable[[Sequence[str]], bool]
"""Tells whether texts can be taken as they are. A false answer decides nothing."""

_encode = msgspec.json.Encoder().encode


class Unreadable(Exception):
    """The columns of a row, or its values, need more than a reader can do."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the values of an object are made of. Names are those of its members."""

    plain: Sequence[str]
    """The names of the members whose values need no conversion."""
    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    """Returns their values, and perhaps more."""
    fitted: Sequence[tuple[str, str, Fitter]]
    """Name, column and conversion of each other member."""
    parts: Sequence[tuple[str, Shape]]
    """Name and shape of each member that is an object in several columns."""
    empties: Sequence[tuple[str, str | None, Callable[[], Any]]]
    """Name, column if there is one, and empty value of each mandatory member that is empty if the row has nothing."""
    columns: Sequence[str]
    """All columns that it reads, those of its parts included."""
    is_flat: bool
    """Whether each member is in the column of its own name, so that a copy of the row has it there."""

    def arrange(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a row under the names of members. Raises `Misfit` if one cannot be converted."""
        found = dict(row if self.is_flat else zip(self.plain, self.pick(row), strict=False))
        for name, column, fit in self.fitted:
            value = row[column]
            found[name] = value if value is None else fit(value, "")
        for name, part in self.parts:
            found[name] = part.arrange(row) if any(row[column] is not None for column in part.columns) else None
        for name, empty, make_empty in self.empties:
            if empty is None or row[empty] is None:
                found[name] = make_empty()
        return found


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads rows with the same columns, and values of the same types, as objects of one type."""

    columns: tuple[str, ...]
    shape: Shape | None
    """How to arrange the values; None if `msgspec` finds them where they are."""
    checks: Sequence[tuple[str, Check]]
    """Columns with texts that `msgspec` cannot check, and what does."""
    records: Any
    """The type of a list of the records."""
    read_any_of: Callable[[Any], tuple[Any, ...]] | None
    """Returns the values of which there must be one."""

    def read(self, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Return the objects.

        Raises:
            Unreadable: A member is missing, or not what the reader was compiled for.
        """
        for row in rows:
            if tuple(row) != self.columns:  # a column that only this row has would be lost
                raise Unreadable
        try:
            found = msgspec.convert(list(map(self.shape.arrange, rows)) if self.shape else rows, self.records)
            _encode(found)  # a lone surrogate is found out here
        except (Misfit, msgspec.ValidationError, UnicodeEncodeError):
            raise Unreadable from None
        for column, check in self.checks:
            if not check([row[column] for row in rows if row[column] is not None]):
                raise Unreadable
        if self.read_any_of:
            for values in map(self.read_any_of, found):
                if values.count(None) == len(values):
                    raise Unreadable
        return cast(list[Any], found)


def compile_reader(record: type[Record], row: Mapping[str, Any]) -> Reader | None:
    """Return the reader for rows like this one; None if such rows are not read in one pass.

    Those of a record with further members are not, nor are those with an object and its parts in columns.
    """
    return _compile_reader(record, tuple(row), tuple(map(type, row.values())))


@lru_cache(maxsize=1024)
def _compile_reader(record: type[Record], columns: tuple[str, ...], kinds: tuple[type, ...]) -> Reader | None:
    checks: list[tuple[str, Check]] = []
    types = dict(zip(columns, kinds, strict=True))
    paths = {column: record.columns.get(column, column) for column in columns}
    try:
        shape = _compile(record, paths, types, checks)
    except Unreadable:
        return None
    needs_shape = not shape.is_flat or shape.fitted or shape.empties
    fields = {field.encode_name: field.name for field in msgspec.structs.fields(record)}
    any_of = [fields[name] for name in record.any_of]
    read_any_of = attrgetter(*any_of, any_of[0]) if any_of else None  # of one name alone it would be no tuple
    return Reader(columns, shape if needs_shape else None, checks, list[record], read_any_of)  # type: ignore[valid-type]


def _compile(kind: Any, paths: Mapping[str, str], types: Mapping[str, type], checks: list[tuple[str, Check]]) -> Shape:
    """Compile the shape of an object from the path of each column within it. Adds the checks of its texts."""
    described = _unwrap(inspect.type_info(kind))
    columns = {path: column for column, path in paths.items()}
    if not isinstance(described, inspect.StructType) or issubclass(described.cls, OpenRecord):
        raise Unreadable
    if not paths or len(columns) != len(paths):
        raise Unreadable
    plain: dict[str, str] = {}
    fitted, parts = [], []
    covered: list[str] = []
    for field in described.fields:
        name = field.encode_name
        below = {column: path[len(name) + 1 :] for column, path in paths.items() if path.startswith(f"{name}.")}
        if below:
            inner = _unwrap(field.type)
            part = _compile(getattr(inner, "cls", None), below, types, checks)
            if name in columns or len(part.columns) != len(below):
                raise Unreadable
            parts.append((name, part))
            covered += part.columns
        elif name in columns:
            column = columns[name]
            is_text, check = _find_check(field.type)
            if is_text and types[column] in (str, type(None)):
                plain[name] = column
                if check:
                    checks.append((column, check))
            else:
                fitted.append((name, column, compile_fitter(field.type)))
            covered.append(column)
    empties = [
        (field.encode_name, columns.get(field.encode_name), make)
        for field in described.fields
        if (make := find_empty(field.type))
    ]
    # A column of another name could be taken for a member that the row does not have.
    is_flat = not parts and all(path == column for column, path in paths.items())
    some = next(iter(paths))
    pick = itemgetter(*plain.values(), some, some)  # of one column alone it would be no tuple
    return Shape(tuple(plain), pick, fitted, parts, empties, covered, is_flat)


def _unwrap(kind: inspect.Type) -> inspect.Type:
    """Return the one type of a member that may be absent."""
    match kind:
        case inspect.Metadata(type=inner):
            return _unwrap(inner)
        case inspect.UnionType(types=(inner, inspect.NoneType())):
            return _unwrap(inner)
    return kind


def _find_check(kind: inspect.Type) -> tuple[bool, Check | None]:
    """Tell whether a member of that type is text, and return what to check apart from the type, if anything."""
    match kind:
        case inspect.Metadata(type=inner, extra=extra):
            is_text, inner_check = _find_check(inner)
            extra = extra or {}
            if "quick" in extra:
                return is_text, extra["quick"]
            return is_text, partial(_check_each, extra["check"]) if "check" in extra else inner_check
        case inspect.UnionType(types=(inner, inspect.NoneType())):
            return _find_check(inner)
    return isinstance(kind, inspect.StrType | inspect.LiteralType), None


def _check_each(check: Callable[[str], bool], texts: Sequence[str]) -> bool:
    return all(map(check, texts))
