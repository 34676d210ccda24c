"""Members that the configuration adds to records of FDX: everything that is neither declared nor added stays inside."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, cast, get_args

import msgspec

from openholder.contract.formats import Record
from openholder.contract.operations import OPERATIONS

OPENABLE = frozenset(operation.collection for operation in OPERATIONS if operation.sector == "fdx")
"""The collections whose records may have further members: the CDS define all members of theirs."""


def split_open_member(path: str) -> tuple[str, str]:
    """Split ``fdx.accounts.currency.symbol`` into the collection and the path of a member.

    Raises:
        ValueError: There is no such collection, or its records have no place for the member.
    """
    sector, _, rest = path.partition(".")
    name, _, member = rest.partition(".")
    collection = f"{sector}.{name}"
    if collection not in OPENABLE:
        raise ValueError(f"must begin with one of {', '.join(sorted(OPENABLE))}")
    if not member or not all(part.isidentifier() and part.isascii() for part in member.split(".")):
        raise ValueError(f"must name a member of {collection}, such as {collection}.branch")
    records = {operation.record for operation in OPERATIONS if operation.collection == collection}
    if not any(_has_place(record, member) for record in records):
        raise ValueError(f"must name a member of {collection}, or of an object that is a member of it already")
    return collection, member


def list_open_members(paths: Iterable[str], collection: str) -> frozenset[str]:
    """List the members that the configuration adds to the records of a collection.

    What one of its records declares is not added to another: a list leaves out what belongs to the detail.
    """
    records = {operation.record for operation in OPERATIONS if operation.collection == collection}
    declared = {field.encode_name for record in records for field in msgspec.structs.fields(record)}
    members = (member for name, member in map(split_open_member, paths) if name == collection)
    return frozenset(member for member in members if member not in declared)


@cache
def extend_record(record: type[Record], members: frozenset[str]) -> type[Record]:
    """Return a record type that has further members, of any type.

    Args:
        record: The record type.
        members: The paths of the members. ``holders.taxId`` adds a member to an object, or to each object of a list.
            What the record has already, or has no place for, adds nothing.
    """
    declared = {field.encode_name: field for field in msgspec.structs.fields(record)}
    inner: dict[str, set[str]] = {}
    for path in sorted(members):
        name, _, rest = path.partition(".")
        if _has_place(record, path) and (rest or name not in declared):
            inner.setdefault(name, set()).add(rest)
    fields: list[tuple[str, Any, Any]] = []
    for name, rests in inner.items():
        if name in declared:
            kind = _extend_type(declared[name].type, frozenset(rests))
            fields.append((declared[name].name, kind, None))
        else:
            # The attribute must not have a name that every record has, such as `columns`.
            fields.append((f"open_{name}", Any | None, msgspec.field(name=name, default=None)))
    if not fields:
        return record
    return cast(
        type[Record],
        msgspec.defstruct(
            record.__name__,
            fields,
            bases=(record,),
            kw_only=True,
            module=record.__module__,
            namespace={"__doc__": record.__doc__},
        ),
    )


def _has_place(record: type[Record], path: str) -> bool:
    """Tell whether the record has the object that the path leads into."""
    name, _, rest = path.partition(".")
    if not rest:
        return True
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(record)}
    inner = _find_record(kinds.get(name))
    return inner is not None and _has_place(inner, rest)


def _find_record(kind: Any) -> type[Record] | None:
    """Find the record in the type of a member: ``Name | None`` or ``list[Name] | None``."""
    if isinstance(kind, type) and issubclass(kind, Record):
        return kind
    return next(filter(None, map(_find_record, get_args(kind))), None)


def _extend_type(kind: Any, members: frozenset[str]) -> Any:
    """Extend the record in the type of a member."""
    is_list = any(get_args(alternative) for alternative in get_args(kind))
    record = _find_record(kind)
    assert record is not None
    extended: Any = extend_record(record, members)
    return list[extended] | None if is_list else extended | None
