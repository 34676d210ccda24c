"""Convert flat rows to typed records: the one place that knows what CSV and SQL cannot express.

Names are the mapping. A column named by a member's path (``address.locality``) fills that member. A column with JSON
text fills a member that is an object or a list. A column without a value yields no member. What a value of another type
may become is in `openholder.contract.fitting`. Everything else is a `Misfit`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from openholder.contract.collections import name_record
from openholder.contract.fitting import Fitter, Misfit, compile_fitter
from openholder.contract.formats import OpenRecord, Record
from openholder.contract.readers import Unreadable, compile_reader
from openholder.contract.wanted import describe_wanted, unwrap
from openholder.errors import SourceFault

__all__ = ["Misfit", "read_record", "read_records", "to_record"]

R = TypeVar("R", bound=Record)

_GIVEN_TWICE = "the row has both the whole object and its parts"


_describe = cache(inspect.type_info)
"""Describes a record type: it takes milliseconds, which a source full of misfits must not cost for each row."""


def read_records(
    collection: str, rows: Sequence[Mapping[str, Any]], record: type[R], hidden: Collection[str] = ()
) -> list[R]:
    """Convert rows as `read_record` does, all of them in one pass if they are alike.

    Raises:
        SourceFault: A row does not fit.
    """
    reader = compile_reader(record, rows[0]) if rows else None
    if reader:
        with suppress(Unreadable):
            return reader.read(rows)
    return [read_record(collection, row, record, hidden) for row in rows]


def read_record(collection: str, row: Mapping[str, Any], record: type[R], hidden: Collection[str] = ()) -> R:
    """Convert a row with `to_record`. An error names the collection too, so that the log says where to look.

    Raises:
        SourceFault: The row does not fit.
    """
    try:
        return to_record(row, record, hidden)
    except Misfit as exc:
        fault = SourceFault(f"collection {collection!r}: {exc}", row=row)
        name_record(fault, collection)
        raise fault from None


def to_record(row: Mapping[str, Any], record: type[R], hidden: Collection[str] = ()) -> R:
    """Convert a row to a record of the given type. Columns without a matching member are dropped.

    An `OpenRecord` keeps them, except for the ``hidden`` ones. Its result is a mapping of all members, ready to be
    encoded, because a struct cannot hold members that its type does not declare.

    Raises:
        Misfit: The row does not fit.
    """
    reader = compile_reader(record, row)
    if reader:
        with suppress(Unreadable):  # what follows reads it or says, in full, what is wrong
            return cast(R, reader.read([row])[0])
    return _to_record(row, record, hidden)


def fit_row(row: Mapping[str, Any], record: type[Record]) -> Any:
    """Convert the values of a row that need not be a record: what does not fit stays as it is, or is missing.

    Raises:
        Misfit: A value cannot even be read.
    """
    return _compile_shape(record).fit(_nest(row, record.columns), "")


def _to_record(row: Mapping[str, Any], record: type[R], hidden: Collection[str]) -> R:
    """Convert a row that is not read in one pass."""
    shape = _compile_shape(record)
    if issubclass(record, OpenRecord):
        row = {name: value for name, value in row.items() if name not in hidden or name in shape.members}
    fitted = shape.fit(_nest(row, record.columns), "")
    try:
        converted = msgspec.convert(fitted, record)
    except msgspec.ValidationError as exc:
        member = str(exc).rpartition("`$")[2].strip("`.") if "`$" in str(exc) else ""
        missing = re.search(r"required field `(\w+)`", str(exc))
        if missing:
            raise Misfit(".".join(filter(None, [member, missing[1]])), None, "is missing") from None
        wanted = describe_wanted(_find_type(record, member))
        raise Misfit(member, _get_value(fitted, member), f"expected {wanted}") from None
    if record.any_of and fitted.keys().isdisjoint(record.any_of):
        raise Misfit(" or ".join(record.any_of), None, "at least one of them is required")
    if not issubclass(record, OpenRecord):
        return converted
    misfit = record.find_misfit(fitted)
    if misfit is not None:
        raise Misfit(misfit, _get_value(fitted, misfit), "it does not match the JSON Schema")
    return cast(R, fitted)


def _find_type(record: type[Record], path: str) -> inspect.Type:
    """Return the type of the member at a path of msgspec, such as ``fees[...].amount``."""
    kind = _describe(record)
    for name in re.findall(r"\w+|\[[^]]*\]", path):
        match unwrap(kind):
            case inspect.StructType(fields=fields):
                kind = next((field.type for field in fields if field.encode_name == name), inspect.AnyType())
            case inspect.ListType(item_type=item):
                kind = item
    return kind


class _Parts(dict[str, Any]):
    """An object assembled from dotted columns, as opposed to one that a single column holds."""


def _nest(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Collect dotted columns in objects, and drop columns without a value."""
    nested = _Parts()
    for column, value in row.items():
        if value is None:
            continue
        *path, last = columns.get(column, column).split(".")
        place = nested
        for name in path:
            place = place.setdefault(name, _Parts())
            if not isinstance(place, _Parts):
                raise Misfit(name, place, _GIVEN_TWICE)
        if last in place:
            raise Misfit(column, value, _GIVEN_TWICE)
        place[last] = value
    return nested


def _get_value(value: Any, path: str) -> Any:
    """Return the value at a path such as ``users[0].id``."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        if name:
            value = value.get(name) if isinstance(value, dict) else None
        else:
            value = value[int(index)] if isinstance(value, list) else None
    return value


class _Shape(NamedTuple):
    """The converter of one record type, and the names of its members."""

    fit: Fitter
    members: frozenset[str]


@cache
def _compile_shape(record: type[Record]) -> _Shape:
    info = _describe(record)
    assert isinstance(info, inspect.StructType)
    return _Shape(compile_fitter(info), frozenset(field.encode_name for field in info.fields))
