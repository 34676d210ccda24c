"""``openholder columns``: which columns a collection may have, for whoever maps a schema of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

import click
from msgspec import inspect

from openholder.cli.options import json_option, table
from openholder.contract.collections import COLLECTIONS
from openholder.contract.formats import (
    AmountString,
    CurrencyString,
    DateString,
    DateTimeString,
    MaskedString,
    PhoneNumber,
    RateString,
    Record,
)
from openholder.contract.operations import OPERATIONS
from openholder.contract.records.auth import AccountLink, Login

COLUMNS = ("column", "owed", "type")
INSIDE: Mapping[str, type[Record]] = {"accounts": AccountLink, "logins": Login}
"""Records that never leave, and say whose is what."""
_PLAIN: Mapping[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.IntType: "whole number",
    inspect.DecimalType: "number",
    inspect.BoolType: "true or false",
}

_FORMS: Mapping[Any, str] = {
    AmountString: "amount: 1200.50",
    CurrencyString: "currency: AUD",
    DateString: "day: 2026-10-01",
    DateTimeString: "time: 2026-10-01T09:30:00+10:00",
    MaskedString: "masked number: xxxx xxxx xxxx 1234",
    PhoneNumber: "phone number: +61491570006",
    RateString: "rate: 0.0475",
}
_PATTERNS = {get_args(form)[1].pattern: text for form, text in _FORMS.items()}

Row = tuple[str, str, str]


@click.command()
@click.argument("collection", required=False, type=click.Choice(list(COLLECTIONS), case_sensitive=False))
@json_option
def columns(collection: str | None, as_json: bool) -> int:
    """List the collections, or the columns of one: names, whether each record owes them, and what they hold.

    OWED is "yes", or "within" for what an object owes once it is there: address.postcode beside address.state. An
    object or list may be one column of JSON text, an object also one column for each of its members.
    """
    head, rows = (COLUMNS, rows_of(collection)) if collection else (("collection",), [(name,) for name in COLLECTIONS])
    if as_json:
        click.echo(json.dumps([dict(zip(head, row, strict=True)) for row in rows], indent=2))
    else:
        click.echo(table([tuple(name.upper() for name in head), *rows]))
    return 0


def rows_of(collection: str) -> Sequence[Row]:
    """The columns of a collection: whose a record is, then the members of all records that are made of it."""
    rows: dict[str, Row] = {name: (name, "yes", "text") for name in COLLECTIONS[collection].owners.values()}
    for record, needed in _records(collection):
        for name, owed, kind in _members(record, "", "yes"):
            # What one operation cannot do without is 404 there, and nothing to the others.
            row = (name, "" if name == needed else owed, kind)
            rows[name] = max(rows.get(name, row), row, key=lambda one: bool(one[1]))
    return list(rows.values())


def misspelt(collection: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Columns that nothing is made of, each with the column that is not there and was probably meant.

    Any other column may be there: it stays behind, or is a member of the holder's own.
    """
    known = [name for name, _, _ in rows_of(collection)]
    found = dict.fromkeys(name for row in rows for name in row)
    absent = {_plain(name): name for name in known if name not in found}
    for name in (name for name in found if name not in known):
        for meant in get_close_matches(_plain(name), absent, n=1, cutoff=0.85):
            yield name, absent[meant]


def _plain(name: str) -> str:
    """A name as one remembers it: ``display_name`` is ``displayName``."""
    return name.replace("_", "").casefold()


def _records(collection: str) -> Iterator[tuple[type[Record], str]]:
    """The records that are made of a collection, each with the member that its operation needs."""
    if collection in INSIDE:
        yield INSIDE[collection], ""
    yield from ((row.record, row.needs) for row in OPERATIONS if row.collection == collection)


def _members(record: type[Record], place: str, owed: str) -> Iterator[Row]:
    """A row for each member; behind an object, and a list of objects, one for each member of those."""
    shape = inspect.type_info(record)
    assert isinstance(shape, inspect.StructType)
    columns = {member: column for column, member in record.columns.items()}
    for member in shape.fields:
        kind = _bare(member.type)
        name = place + columns.get(member.encode_name, member.encode_name)
        yield name, owed if member.required else "", _told(kind)
        listed = isinstance(kind, inspect.ListType)
        inner = _bare(kind.item_type) if isinstance(kind, inspect.ListType) else kind
        if isinstance(inner, inspect.StructType) and issubclass(inner.cls, Record):
            yield from _members(inner.cls, f"{name}[]." if listed else f"{name}.", "within")


def _bare(kind: inspect.Type) -> inspect.Type:
    """A type without its annotations, and without null: a member that has no value is left out."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        types = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return _bare(types[0]) if len(types) == 1 else kind
    return kind


def _told(kind: inspect.Type) -> str:
    match kind:
        case inspect.LiteralType(values=values):
            return " | ".join(map(str, values))
        case inspect.ListType(item_type=item):
            return f"list of {_told(_bare(item))}, as JSON"
        case inspect.UnionType(types=types):
            return " or ".join(_told(_bare(one)) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.StructType():
            return "object"
        case inspect.StrType(pattern=pattern) if pattern in _PATTERNS:
            return _PATTERNS[pattern]
    return _PLAIN[type(kind)]
