"""The names that the members of a collection's records have."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from msgspec import inspect

from openholder.contract.formats import Record
from openholder.contract.operations import OPERATIONS
from openholder.contract.records.auth import AccountLink, Login

INTERNAL: Mapping[str, type[Record]] = {"accounts": AccountLink, "logins": Login}
"""Records that are never part of a response: they say which customer owns or may see what."""


def list_record_types(collection: str) -> list[tuple[type[Record], str]]:
    """List the types of records that are made from a collection, each with a member that it may not lack."""
    internal = [(INTERNAL[collection], "")] if collection in INTERNAL else []
    return internal + [(row.record, row.needs) for row in OPERATIONS if row.collection == collection]


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
