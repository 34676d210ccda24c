"""The columns that each collection may have, derived from the record types, and columns that look misspelt."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

from msgspec import inspect

from openholder.contract.collections import COLLECTIONS, find_collection
from openholder.contract.conditions import list_conditions
from openholder.contract.conditions.kinds import Always
from openholder.contract.fitting import find_empty
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
from openholder.contract.meanings import find_meaning, load_meanings
from openholder.contract.members import list_record_types
from openholder.contract.operations import OPERATIONS
from openholder.contract.parameters import Choice, Parameter, list_names
from openholder.query import Row

SIMILARITY = 0.85
"""How alike two names must be, from 0 to 1, for one to be a misspelling of the other."""
_DELETED = re.compile("(is)?(soft)?(deleted|deletion|removed|void|voided)(at|on|by|date|day|time|flag|ind|yn)?")
"""What columns with marks of deleted rows are called, without underscores and capitals."""

_TYPE_NAMES: Mapping[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.IntType: "whole number",
    inspect.DecimalType: "number",
    inspect.BoolType: "true or false",
}
_FORMATS: Mapping[Any, str] = {
    AmountString: "amount: 1200.50",
    CurrencyString: "currency: AUD",
    DateString: "day: 2026-10-01",
    DateTimeString: "time: 2026-10-01T09:30:00+10:00",
    MaskedString: "masked number: xxxx xxxx xxxx 1234",
    PhoneNumber: "phone number: +61491570006",
    RateString: "rate: 0.0475",
}
_PATTERNS = {get_args(annotated)[1].pattern: text for annotated, text in _FORMATS.items()}


class Column(NamedTuple):
    """A column that a collection may have."""

    name: str
    required: str
    """``yes``, ``within`` (required once the object that it belongs to is present), ``if`` (required in some cases), or
    empty."""
    type: str
    condition: str = ""
    """When the standard wants it, or wants it masked or absent: "if status is POSTED", "masked a card number …"."""
    filters: tuple[str, ...] = ()
    """The query parameters that select records by it."""
    meaning: str = ""
    """What it means, in one sentence."""


@cache
def list_columns(collection: str) -> tuple[Column, ...]:
    """Return the owner columns of a collection, then the members of each record type that is made from it."""
    owners = COLLECTIONS[collection].owners
    columns = {
        name: Column(name, "yes", "text", meaning=load_meanings()["owner"][owner]) for owner, name in owners.items()
    }
    filters = _list_filters(collection)
    for record, needed in list_record_types(collection):
        for column in _walk_members(record, "", "yes"):
            if column.name == needed and column.required == "yes":
                # Without it a row is 404 for this one operation, and still a record for the others.
                column = column._replace(required="")
            column = column._replace(filters=tuple(filters.get(column.name, ())))
            known = columns.get(column.name)
            if known is None or (column.required, known.required) == ("yes", ""):
                columns[column.name] = column
            elif column.condition and not known.condition:
                columns[column.name] = known._replace(condition=column.condition, required=known.required or "if")
    return tuple(columns.values())


def _list_filters(collection: str) -> dict[str, dict[str, None]]:
    """List the query parameters that read each member of a collection."""
    found: dict[str, dict[str, None]] = {}
    for operation in OPERATIONS:
        parameters: tuple[Parameter, ...] = operation.parameters if operation.collection == collection else ()
        if collection == f"{operation.sector}.accounts":
            parameters += operation.account_parameters
        for parameter in parameters:
            for member in _list_read_members(parameter):
                found.setdefault(member, {}).update(dict.fromkeys(list_names(parameter)))
    return found


def _list_read_members(parameter: Parameter) -> set[str]:
    if isinstance(parameter, Choice):
        return {chosen.member for chosen in parameter.filters.values() if chosen}
    return {parameter.member, *parameter.otherwise}


def find_misspelt(collection: str, rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """Find unknown columns, each with the absent column that it resembles.

    Any other unknown column is allowed: it is dropped, or leaves because ``open_members`` names it.
    """
    known = [column.name for column in list_columns(collection)]
    found = dict.fromkeys(name for row in rows for name in row)
    absent = {_simplify(name): name for name in known if name not in found}
    for name in found:
        if name not in known:
            for match in get_close_matches(_simplify(name), absent, n=1, cutoff=SIMILARITY):
                yield name, absent[match]


def find_deletion_marks(collection: str, rows: Iterable[Row]) -> list[str]:
    """Find unknown columns that are named like a mark of deleted rows. Rows that have it are served like all others."""
    known = {column.name for column in list_columns(collection)}
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name not in known and _DELETED.fullmatch(_simplify(name))]


def split_undeclared(
    collection: str, rows: Iterable[Row], open_members: Collection[str]
) -> tuple[list[str], list[str]]:
    """Return the undeclared columns of a collection: those that leave because they are open members, and the others."""
    known = {column.name for column in list_columns(collection)} | find_collection(collection).hidden
    undeclared = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in known]
    leaving = [name for name in undeclared if any(f"{name}.".startswith(f"{member}.") for member in open_members)]
    return leaving, [name for name in undeclared if name not in leaving]


def _simplify(name: str) -> str:
    """Remove what people confuse in names: ``display_name`` and ``displayName`` become equal."""
    return name.replace("_", "").casefold()


def _walk_members(
    record: type[Record], prefix: str, required: str, cases: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> Iterator[Column]:
    """Yield a column for each member, followed by the members of the object, or list of objects, that it holds.

    Args:
        record: The record type.
        prefix: The path of the object, with a dot at its end.
        required: The word for members that the type requires.
        cases: The conditions of objects further out that concern a member of this one, in words, by path.
    """
    struct = inspect.type_info(record)
    assert isinstance(struct, inspect.StructType)
    columns = {member: column for column, member in record.columns.items()}
    found = dict(cases)
    for row in list_conditions(record):
        word: str = row.must if row.must != "present" else "as" if isinstance(row.when, Always) else "if"
        path = prefix + row.member
        found[path] = (*found.get(path, ()), f"{word} {row.when.describe()}")
    for member in struct.fields:
        kind = _unwrap(member.type)
        name = prefix + columns.get(member.encode_name, member.encode_name)
        is_required = member.required and not find_empty(member.type)
        said = found.get(name, ())
        word = required if is_required else "if" if any(words.startswith(("if ", "as ")) for words in said) else ""
        meaning = find_meaning(record, member.encode_name)
        yield Column(name, word, _name_type(kind), "; ".join(said), meaning=meaning)
        inner, separator = kind, "."
        if isinstance(kind, inspect.ListType):
            inner, separator = _unwrap(kind.item_type), "[]."
        if isinstance(inner, inspect.StructType) and issubclass(inner.cls, Record):
            yield from _walk_members(inner.cls, name + separator, "within", found)


def _unwrap(kind: inspect.Type) -> inspect.Type:
    """Remove annotations and null from a type: a member without a value is left out, never null."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        types = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return _unwrap(types[0]) if len(types) == 1 else kind
    return kind


def _name_type(kind: inspect.Type) -> str:
    match kind:
        case inspect.LiteralType(values=values):
            return " | ".join(map(str, values))
        case inspect.ListType(item_type=item):
            return f"list of {_name_type(_unwrap(item))}, as JSON"
        case inspect.UnionType(types=types):
            return " or ".join(_name_type(_unwrap(one)) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.StructType():
            return "object"
        case inspect.StrType(pattern=pattern) if pattern in _PATTERNS:
            return _PATTERNS[pattern]
    return _TYPE_NAMES[type(kind)]
