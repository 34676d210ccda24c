"""What an upstream returned, as rows of a collection under the names of members; or no record at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from openholder import SourceFault, find_collection, list_members
from openholder.mapping import MappedRow, RowMapping

OWN_ID = {"customers": "id", "accounts": "id", "logins": "customerId"}
"""The collections that decide who may see what, and the member without which an object is not a record of them."""

LOOKUPS: Mapping[str, frozenset[str]] = {
    "customers": frozenset({"customerId", "email"}),
    "accounts": frozenset({"accountId"}),
    "logins": frozenset({"email"}),
}
"""The variables that ask an upstream whether it knows somebody or something. Elsewhere only ``{id}`` does."""

_ERROR_MEMBERS = frozenset({"code", "detail", "details", "error", "error_description", "errors", "instance", "message"})
_ERROR_MEMBERS |= {"path", "status", "timestamp", "title", "trace", "type"}
"""Members that descriptions of errors have (RFC 9457, Spring, and usual practice). Alone they make no record."""


def is_lookup(collection: str, variables: Iterable[str]) -> bool:
    """Tell whether a template with these variables may ask for something that the upstream does not have."""
    return not LOOKUPS.get(collection, frozenset({"id"})).isdisjoint(variables)


def is_record(record: Mapping[str, Any], collection: str, mapping: RowMapping, *, is_single: bool) -> bool:
    """Tell whether an object of the upstream has something in it that a record of the collection has.

    An object such as ``{}``, or an error that came with status 200, has not. Neither has one that only repeats the ids
    of the request. A record that decides who may see what must have an id of its own.
    """
    if collection in OWN_ID:
        own_id = mapping.find_column(OWN_ID[collection]) or ""
        return own_id in record or own_id.partition(".")[0] in record
    present = [name for name in mapping.list_members(record) if mapping.find(name, record) is not None]
    found = {name.partition(".")[0] for name in present} - set(find_collection(collection).owners.values())
    members = list_members(collection)
    if members:
        return bool(found & members - _ERROR_MEMBERS)
    # The records of a custom endpoint have any members. A list of codes and messages, but no single one, is believed.
    return bool(found - _ERROR_MEMBERS) or (not is_single and bool(found) and found.isdisjoint({"error", "errors"}))


def require_members(rows: Iterable[Mapping[str, Any]], members: Iterable[str], collection: str) -> None:
    """Raise `SourceFault` for a row without one of the members that the URL asks for: it may be anybody's."""
    for row in rows:
        missing = [member for member in members if row.get(member) in (None, "")]
        if missing:
            otherwise = "" if collection in OWN_ID else ", put it into the path of the template, or see trusts_query"
            raise SourceFault(
                f"upstream returned a record of {collection!r} without {' and '.join(missing)}; it may be anybody's; "
                f"have the member returned{otherwise}"
            )


def find_repeated(pages: Sequence[Sequence[Mapping[str, Any]]], collection: str, mapping: RowMapping) -> str:
    """Say which record of a list came twice, by the name of its id; empty if none did.

    A record without an id may lawfully be equal to another one, but then on the same page.
    """
    described = find_collection(collection)
    members = [*described.owners.values(), *filter(None, [described.key])]
    seen: set[object] = set()
    for page in pages:
        whole: set[object] = set()
        for record in page:
            if described.key and mapping.find(described.key, record) is not None:
                identity: object = tuple(str(mapping.find(member, record)) for member in members)
                if identity in seen:
                    return f"two records with the same {described.key}"
                seen.add(identity)
            else:
                whole.add(json.dumps(record, sort_keys=True, default=str))
        if whole & seen:
            return "two equal records without an id"
        seen |= whole
    return ""


def read_dates(value: Any) -> Any:
    """Replace arrays of numbers that Java's time classes are written as (Jackson) by texts, at any depth.

    Three numbers are a day, five or six a local time, and a seventh its nanoseconds. Other arrays stay as they are.
    """
    if isinstance(value, dict):
        return {name: read_dates(member) for name, member in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) in (3, 5, 6, 7) and all(type(number) is int for number in value) and value[0] >= 1000:
        try:
            if len(value) == 3:
                return date(*value).isoformat()
            fraction = f".{value[6]:09}" if len(value) == 7 and 0 <= value[6] < 1_000_000_000 else ""
            return datetime(*value[:6]).isoformat() + fraction
        except (ValueError, OverflowError):
            return value
    return [read_dates(member) for member in value]


def make_row(record: Mapping[str, Any], collection: str, mapping: RowMapping, from_url: Mapping[str, str]) -> MappedRow:
    """Return a record of the upstream under the names of members, completed by what the URL says.

    Members of the standards are no arrays of numbers, so those are dates. Of custom endpoints, nobody knows.
    """
    return mapping.open(read_dates(record) if list_members(collection) else record, from_url)
