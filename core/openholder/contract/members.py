"""The names and kinds that the members of a collection's records have.

`openholder` exports `list_members`, so the operations are imported when it is called: loading all records takes longer
than all else that the author of a plugin imports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal

from msgspec import inspect

from openholder.contract.collections import find_collection
from openholder.contract.formats import Record

Kind = Literal["amount", "whole", "truth", "time", "day", "text", "object"]
"""What a member holds: ``amount`` is a number with decimal places, ``whole`` one without; ``object`` is all else."""


def list_record_types(collection: str) -> list[tuple[type[Record], str]]:
    """List the types of records that are made from a collection, each with a member that it may not lack."""
    from openholder.contract.operations import OPERATIONS
    from openholder.contract.records.auth import AccountLink, Login

    # These are never part of a response: they say which customer owns or may see what.
    internal: Mapping[str, type[Record]] = {"accounts": AccountLink, "logins": Login}
    types = [(row.record, row.needs) for row in OPERATIONS if row.collection == collection]
    return [(internal[collection], ""), *types] if collection in internal else types


@cache
def list_members(collection: str) -> frozenset[str]:
    """List the members that records of a collection have in the standards.

    Args:
        collection: Its name.

    Returns:
        The names at the top of a record, and those of columns that fill one of another name. Empty for a collection
        that only custom endpoints use: its records may have any members.
    """
    members: set[str] = set()
    for record, _ in list_record_types(collection):
        struct = inspect.type_info(record)
        assert isinstance(struct, inspect.StructType)
        members |= {field.encode_name for field in struct.fields} | record.columns.keys()
    return frozenset(members)


@cache
def list_kinds(collection: str) -> Mapping[str, Kind]:
    """List the kind of each member that records of a collection have in the standards, also inside objects.

    Args:
        collection: Its name.

    Returns:
        The kinds by path: ``address.locality``, and ``schedule.amount`` for a member of the objects in a list. Empty
        for a collection that only custom endpoints use.
    """
    kinds: dict[str, Kind] = {}
    for record, _ in list_record_types(collection):
        kinds |= {path: _find_kind(kind) for path, kind in _walk_types(inspect.type_info(record), "")}
    return MappingProxyType(kinds)


@cache
def list_typed_members(collection: str) -> frozenset[str]:
    """List the members for which an empty text can only mean that there is no value: all but plain text.

    Args:
        collection: Its name.

    Returns:
        The members by path. For a collection that only custom endpoints use, the columns of its owners.
    """
    records = [inspect.type_info(record) for record, _ in list_record_types(collection)]
    found = [member for record in records for member in _walk_types(record, "")]
    plain = {path for path, kind in found if _is_plain_text(kind)}
    return frozenset({*find_collection(collection).owners.values(), *(path for path, _ in found)} - plain)


def _is_plain_text(kind: inspect.Type) -> bool:
    inner = _unwrap(kind)
    return isinstance(inner, inspect.StrType) and inner.pattern is None and not inner.min_length


def _walk_types(struct: inspect.Type, prefix: str) -> Iterator[tuple[str, inspect.Type]]:
    """Yield the types of the members of an object, or of the objects in a list."""
    struct = _unwrap(struct)
    if isinstance(struct, inspect.ListType):
        struct = _unwrap(struct.item_type)
    if not isinstance(struct, inspect.StructType):
        return
    columns = {member: column for column, member in getattr(struct.cls, "columns", {}).items()}
    for field in struct.fields:
        path = prefix + columns.get(field.encode_name, field.encode_name)
        yield path, field.type
        yield from _walk_types(field.type, f"{path}.")


def _find_kind(kind: inspect.Type) -> Kind:
    match kind:
        case inspect.Metadata(type=inner, extra=extra, extra_json_schema=schema):
            named = {"date-time": "time", "date": "day"}.get((schema or {}).get("format", ""))
            return named or ("amount" if "places" in (extra or {}) else _find_kind(inner))  # type: ignore[return-value]
        case inspect.UnionType(types=(inner, inspect.NoneType())):
            return _find_kind(inner)
        case inspect.StrType() | inspect.LiteralType():
            return "text"
        case inspect.DecimalType():
            return "amount"
        case inspect.IntType():
            return "whole"
        case inspect.BoolType():
            return "truth"
    return "object"


def _unwrap(kind: inspect.Type) -> inspect.Type:
    """Return the type inside annotations and a union with null."""
    while True:
        match kind:
            case inspect.Metadata(type=inner) | inspect.UnionType(types=(inner, inspect.NoneType())):
                kind = inner
            case _:
                return kind
