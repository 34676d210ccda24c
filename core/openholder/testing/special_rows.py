"""Rows that take the place of the kit's in some tests: many, typed, empty, broken, changed.

Each function returns rows by collection, for those collections that it is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from openholder.query import Row
from openholder.strict_json import parse_json
from openholder.testing.comparing import DATE_LENGTH
from openholder.testing.queries import find_owner, list_owner_ids
from openholder.testing.sample_rows import AMOUNTS, IDENTITIES, LISTS, MOMENTS, TRUTHS, Rows, make_rows

LONG: Final = 2100
"""Rows of one owner: more than the thousand of a page, twice."""
FREE_TEXTS: Final = ("name", "description", "reference", "nickname", "displayName")
"""Members with text that no query reads, in most collections."""
BROKEN: Final = "kim-s-secret-of-1987"
"""What stands where an amount, a time, a boolean or a list should be. No message may quote it."""


def list_growing(collections: Sequence[str]) -> list[str]:
    """Return those collections whose owners may have any number of records."""
    return [name for name in collections if IDENTITIES[name] != find_owner(name)[1] and name != "logins"]


def make_many_rows(collection: str) -> Rows:
    """Return a long list of one owner between the rows of the others, each with an id of its own."""
    rows = make_rows(collection, documents=False)
    owner, member = list_owner_ids(collection)[0], find_owner(collection)[1]
    own = [row for row in rows if row[member] == owner]
    more = [{**own[number % len(own)], IDENTITIES[collection]: f"n{number * 7 % LONG}"} for number in range(LONG)]
    return {collection: [*more, *(row for row in rows if row[member] != owner)]}


def make_rows_with_text(collection: str, text: str) -> Rows:
    """Return the rows with one text in all members of free text, apart from ids."""
    members = set(FREE_TEXTS) - {IDENTITIES[collection], find_owner(collection)[1]}
    rows = make_rows(collection, documents=False)
    return {collection: [{key: text if key in members else value for key, value in row.items()} for row in rows]}


def make_broken_rows(collection: str, member: str) -> Rows:
    """Return the rows with a text in one member that is of another kind."""
    rows = make_rows(collection, documents=False)
    return {collection: [{**row, member: BROKEN} for row in rows]}


def make_typed_rows(collections: Sequence[str]) -> Rows:
    """Return the rows with `Decimal`, ``bool``, `datetime`, `date` and lists instead of text."""
    return {
        name: [{key: _type_value(key, value) for key, value in row.items()} for row in make_rows(name, documents=False)]
        for name in collections
    }


def _type_value(member: str, value: Any) -> object:
    if value is None:
        return None
    if member in AMOUNTS:
        return Decimal(value)
    if member in TRUTHS:
        return value == "true"
    if member in MOMENTS:
        return date.fromisoformat(value) if len(value) == DATE_LENGTH else datetime.fromisoformat(value)
    return parse_json(value) if member in LISTS else value


def change_rows(rows: Sequence[Row], collection: str) -> list[Row]:
    """Return the rows without every third one, and with other free text in the others."""
    members = set(FREE_TEXTS) - {IDENTITIES[collection], find_owner(collection)[1]}
    kept = [row for number, row in enumerate(rows) if number % 3]
    return [{key: "changed" if key in members else value for key, value in row.items()} for row in kept]
