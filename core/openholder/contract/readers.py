"""Read rows as records in one pass, compiled once for each record type and set of columns.

Nearly all values already have the form of their members. A reader takes those as they are, and converts the others one
by one. If it meets anything else, `openholder.contract.rows` reads the row or says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, get_type_hints

import msgspec
from msgspec import inspect

from openholder.contract.fitting import Fitter, compile_fitter, find_empty
from openholder.contract.formats import OpenRecord, Record

Check = Callable[[str], object]
"""Tells whether an ASCII text can be taken as it is. A false answer decides nothing."""


class Unreadable(Exception):
    """The columns of a row, or its values, need more than a reader can do."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads rows with the same columns as objects of one type."""

    build: Callable[..., Any]
    texts: Sequence[tuple[str, str, Check, Callable[[Any], Any]]]
    """Field, column, check and conversion of each member that is text."""
    others: Sequence[tuple[str, str, Callable[[Any], Any]]]
    """Field, column and conversion of each other member."""
    parts: Sequence[tuple[str, Reader]]
    """Field and reader of each member that is an object in several columns."""
    empties: Sequence[tuple[str, Callable[[], Any]]]
    """Field and empty value of each mandatory member that is empty if the row has nothing."""
    required: frozenset[str]
    any_of: frozenset[str]
    covered: int
    """The number of columns that it reads."""

    def read(self, row: Mapping[str, Any]) -> Any:
        """Return the object.

        Raises:
            Unreadable: It lacks a member.
            Misfit: A value cannot be converted.
            msgspec.ValidationError: A value is not one that the member may have.
        """
        found: dict[str, Any] = {}
        for field, column, check, convert in self.texts:
            value = row[column]
            if value is not None:
                is_good = type(value) is str and value.isascii() and check(value)
                found[field] = value if is_good else convert(value)
        for field, column, convert in self.others:
            value = row[column]
            if value is not None:
                found[field] = convert(value)
        for field, reader in self.parts:
            part = reader.read(row) if reader.has_any(row) else None
            if part is not None:
                found[field] = part
        for field, make_empty in self.empties:
            if field not in found:
                found[field] = make_empty()
        if not self.required <= found.keys() or (self.any_of and self.any_of.isdisjoint(found)):
            raise Unreadable
        return self.build(**found)

    def has_any(self, row: Mapping[str, Any]) -> bool:
        """Tell whether any of its columns has a value."""
        return (
            any(row[column] is not None for _, column, _, _ in self.texts)
            or any(row[column] is not None for _, column, _ in self.others)
            or any(reader.has_any(row) for _, reader in self.parts)
        )


@lru_cache(maxsize=1024)
def compile_reader(record: type[Record], columns: tuple[str, ...]) -> Reader | None:
    """Compile the reader for rows with these columns; return None if such rows are not read in one pass.

    Those of a record with further members are not, nor are those with an object and its parts in columns.
    """
    try:
        return _compile(record, {column: record.columns.get(column, column) for column in columns})
    except Unreadable:
        return None


def _compile(kind: type, paths: Mapping[str, str]) -> Reader:
    """Compile the reader of an object from the path of each column within it."""
    shape = inspect.type_info(kind)
    columns = {path: column for column, path in paths.items()}
    if not isinstance(shape, inspect.StructType) or issubclass(kind, OpenRecord) or len(columns) != len(paths):
        raise Unreadable
    hints = get_type_hints(kind, include_extras=True)
    names = {field.encode_name: field.name for field in shape.fields}
    texts, others, parts, covered = [], [], [], 0
    for field in shape.fields:
        name, hint = field.encode_name, hints[field.name]
        below = {column: path[len(name) + 1 :] for column, path in paths.items() if path.startswith(f"{name}.")}
        if below:
            reader = _compile(_unwrap(hint), below)
            if name in columns or reader.covered != len(below):
                raise Unreadable
            parts.append((field.name, reader))
            covered += len(below)
        elif name in columns:
            convert, check = partial(_convert, compile_fitter(field.type), hint), _make_check(field.type)
            if check:
                texts.append((field.name, columns[name], check, convert))
            else:
                others.append((field.name, columns[name], convert))
            covered += 1
    return Reader(
        build=kind,
        texts=texts,
        others=others,
        parts=parts,
        empties=[(field.name, make) for field in shape.fields if (make := find_empty(field.type))],
        required=frozenset(field.name for field in shape.fields if field.required),
        any_of=frozenset(names[name] for name in getattr(kind, "any_of", ())),
        covered=covered,
    )


def _unwrap(hint: Any) -> Any:
    """Return the one type of a member that may be absent."""
    kinds = [kind for kind in getattr(hint, "__args__", ()) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 else hint


def _convert(fit: Fitter, hint: Any, value: Any) -> Any:
    return msgspec.convert(fit(value, ""), hint)


def _make_check(kind: inspect.Type) -> Check | None:
    """Make the check for a member of that type; return None if it is not text."""
    match kind:
        case inspect.Metadata(type=inner, extra=extra):
            extra = extra or {}
            return extra.get("quick") or (None if "check" in extra else _make_check(inner))
        case inspect.UnionType(types=(inner, inspect.NoneType())):
            return _make_check(inner)
        case inspect.LiteralType(values=values):
            return frozenset(values).__contains__
        case inspect.StrType(pattern=str() as pattern):
            return re.compile(pattern).search
        case inspect.StrType(min_length=None | 1, max_length=None):
            return bool
        case inspect.StrType(min_length=least, max_length=most):
            allowed = range(least or 0, (most or 2**31) + 1)
            return lambda text: len(text) in allowed
    return None
