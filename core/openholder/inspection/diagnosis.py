"""Find every fault of a row, where the conversion to a record ends at the first one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from openholder.contract.collections import find_collection
from openholder.contract.fitting import DECIMAL_COMMA, Misfit, compile_fitter, find_empty
from openholder.contract.formats import OpenRecord, RateString, Record
from openholder.contract.rows import to_record
from openholder.contract.wanted import describe_wanted, unwrap
from openholder.errors import UntrustedJSON, name_found
from openholder.query import Row
from openholder.strict_json import parse_json

_MOST_NAMED = 3
"""Members that are named as the reason for an object."""
_RATE = describe_wanted(inspect.type_info(RateString))
_RATE_LENGTH = len("-0.") + 16
"""Characters of a rate below one with as many digits as are allowed."""


class Fault(NamedTuple):
    """One fault of a row."""

    member: str
    """Its path, with ``[]`` for the items of a list."""
    fault: str
    wanted: str


def diagnose(row: Row, record: type[Record], collection: str) -> list[Fault]:
    """Return all faults that keep a row from being a record; none if it is one."""
    hidden = find_collection(collection).hidden
    try:
        to_record(row, record, hidden)
    except Misfit as misfit:
        return _find_faults(row, record, hidden) or [Fault(misfit.member, "wrong-form", str(misfit))]
    return []


def _find_faults(row: Row, record: type[Record], hidden: Collection[str]) -> list[Fault]:
    faults: list[Fault] = []
    nested = _nest(row, record.columns, faults)
    shape = inspect.type_info(record)
    assert isinstance(shape, inspect.StructType)
    faults += _walk_object(shape, nested, "", "")
    if record.any_of and nested.keys().isdisjoint(record.any_of):
        faults.append(Fault(" or ".join(record.any_of), "missing", "at least one of them"))
    if not faults and issubclass(record, OpenRecord):
        misfit = record.find_misfit({name: value for name, value in nested.items() if name not in hidden})
        faults += [Fault(misfit, "wrong-form", "a value that matches the JSON Schema")] if misfit else []
    return list(dict.fromkeys(faults))


@cache
def _list_hints(record: type) -> Mapping[str, Any]:
    return get_type_hints(record, include_extras=True)


def _find_item(hint: Any) -> Any:
    """Return the type of the items in the type of a list."""
    if get_origin(hint) is list:
        return get_args(hint)[0]
    return next((found for found in map(_find_item, get_args(hint)) if found is not None), None)


class _Parts(dict[str, Any]):
    """An object made of dotted columns."""


def _nest(row: Row, columns: Mapping[str, str], faults: list[Fault]) -> dict[str, Any]:
    """Collect dotted columns in objects. A member that the row has twice is a fault, and its first value counts."""
    nested = _Parts()
    for column, value in row.items():
        if value is None:
            continue
        *path, last = columns.get(column, column).split(".")
        place: Any = nested
        for name in path:
            place = place.setdefault(name, _Parts())
            if not isinstance(place, _Parts):
                break
        if not isinstance(place, _Parts) or last in place:
            faults.append(Fault(column, "given-twice", "the whole object, or its parts"))
        else:
            place[last] = value
    return nested


def _walk_object(shape: inspect.StructType, value: dict[str, Any], path: str, owed: str) -> Iterator[Fault]:
    """Yield the faults of an object. ``owed`` says why an object that may be absent has to have its members."""
    columns = {member: column for column, member in getattr(shape.cls, "columns", {}).items()}
    hints = _list_hints(shape.cls)
    for field in shape.fields:
        name = path + columns.get(field.encode_name, field.encode_name)
        found = value.get(field.encode_name)
        if found is None:
            if field.required and not find_empty(field.type):
                yield Fault(name, "missing", describe_wanted(field.type) + owed)
        else:
            yield from _walk_member(field.type, hints[field.name], found, name)


def _walk_member(kind: inspect.Type, hint: Any, value: Any, path: str) -> Iterator[Fault]:
    inner = unwrap(kind)
    if isinstance(inner, inspect.StructType | inspect.ListType | inspect.DictType) and isinstance(value, str | bytes):
        try:
            value = parse_json(value)
        except UntrustedJSON:
            yield Fault(path, "empty" if not value else "not-json", f"{describe_wanted(kind)}; or no value")
            return
    match inner:
        case inspect.StructType():
            if isinstance(value, dict):
                yield from _walk_object(inner, value, f"{path}.", _explain_object(value, path))
            else:
                yield Fault(path, "wrong-type", f"{describe_wanted(kind)}; found {name_found(value)}")
        case inspect.ListType(item_type=item):
            if not isinstance(value, list):
                yield Fault(path, "wrong-type", f"{describe_wanted(kind)}; found {name_found(value)}")
                return
            for one in value:
                yield from _walk_member(item, _find_item(hint), one, f"{path}[]")
        case _:
            yield from _find_misfit(kind, hint, value, path)


def _explain_object(value: dict[str, Any], path: str) -> str:
    """Say which members make an object exist, so that its others are owed."""
    there = [f"{path}.{name}" for name, found in value.items() if found is not None]
    if not isinstance(value, _Parts) or not there:
        return f", because {path} is there"
    more = f" and {len(there) - _MOST_NAMED} more" if len(there) > _MOST_NAMED else ""
    return f", because {', '.join(there[:_MOST_NAMED])}{more} {'is' if len(there) == 1 else 'are'} there"


def _find_misfit(kind: inspect.Type, hint: Any, value: Any, path: str) -> Iterator[Fault]:
    """Yield the fault of a single value, if it has one."""
    wanted = describe_wanted(kind)
    try:
        msgspec.convert(compile_fitter(kind)(value, path), hint)
    except Misfit as misfit:
        if DECIMAL_COMMA in str(misfit):
            yield Fault(path, "decimal-comma", f'{wanted}; or set `decimal = ","` for the source')
        elif "surrogates" in str(misfit):
            yield Fault(path, "not-utf8", f"{wanted}, in UTF-8")
        else:
            yield Fault(path, _classify(kind, value), _describe(kind, value))
    except msgspec.ValidationError:
        yield Fault(path, _classify(kind, value), _describe(kind, value))


def _classify(kind: inspect.Type, value: Any) -> str:
    inner = unwrap(kind)
    if value == "":
        return "empty"
    if isinstance(inner, inspect.LiteralType):
        return "not-allowed"
    if not isinstance(inner, inspect.StrType) or isinstance(value, dict | list | bool | bytes):
        return "wrong-type"
    is_long = describe_wanted(kind) == _RATE and len(str(value)) > _RATE_LENGTH
    return "too-many-digits" if is_long else "wrong-form"


def _describe(kind: inspect.Type, value: Any) -> str:
    """Describe what is wanted, and the type that was found where that says more than the form."""
    wanted = describe_wanted(kind)
    if value == "":
        return f"{wanted}; or no value, as NULL"
    return wanted if isinstance(value, str) else f"{wanted}; found {name_found(value)}"
