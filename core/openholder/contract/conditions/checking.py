"""Ask the conditions of many records at once: one checker for each record type, compiled once.

A checker asks each condition of all records in one pass, and of the objects inside them likewise. So good records cost
a reading of one member each, and no call of a function. A record type without conditions has no checker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import attrgetter, methodcaller
from typing import Any, NamedTuple

from msgspec import inspect

from openholder.contract.conditions.banking import BANKING
from openholder.contract.conditions.common import COMMON
from openholder.contract.conditions.energy import ENERGY
from openholder.contract.conditions.kinds import (
    STANDARD,
    Condition,
    Get,
    Named,
    Severity,
    Unseen,
    Where,
    is_card_number,
)
from openholder.contract.formats import Record

NOT_NAMED = "not-named"
"""The fault of an object that is there though another member does not name it."""


class Broken(NamedTuple):
    """A condition that a record breaks."""

    member: str
    """The path from the record: ``fees[].rateBased``."""
    fault: str
    severity: Severity
    wanted: str
    reference: str


class _Test(NamedTuple):
    """One condition, ready to be asked of objects."""

    broken: Broken
    select: Callable[[Sequence[Any]], list[Any]]
    """Returns the objects that break it."""
    explain: Callable[[Any], str] | None = None
    """Says what is wanted of one of them, if that depends on it."""


@dataclass(frozen=True, slots=True)
class _Node:
    """The conditions of one type of object, and of the objects inside it.

    Two readers of many members at once say whether tests are needed at all: they call no function for an object.
    """

    owed: tuple[_Test, ...]
    """Tests of members that may have to be there. Nothing can break them where all of those are."""
    read_owed: Get
    surplus: tuple[_Test, ...]
    """Tests of members that may have to be absent or masked. Nothing can break them where none of those is there."""
    read_surplus: Get
    others: tuple[_Test, ...]
    inner: tuple[tuple[Callable[[Sequence[Any]], list[Any]], _Node], ...]

    def find(self, objects: Sequence[Any]) -> Iterator[Broken]:
        """Yield each condition that an object breaks."""
        tests = self.others
        if self.owed and not all(map(all, map(self.read_owed, objects))):
            tests += self.owed
        if self.surplus and any(map(any, map(self.read_surplus, objects))):
            tests += self.surplus
        for broken, select, explain in tests:
            for one in select(objects):
                yield broken._replace(wanted=explain(one)) if explain else broken
        for gather, node in self.inner:
            found = gather(objects)
            if found:
                yield from node.find(found)


@dataclass(frozen=True, slots=True)
class Checker:
    """Finds the conditions that records of one type break."""

    node: _Node

    def find(self, records: Sequence[Any]) -> list[tuple[int, Broken]]:
        """Return each condition that a record breaks, with the record's place in the sequence."""
        if next(self.node.find(records), None) is None:
            return []
        return [
            (place, broken)
            for place, record in enumerate(records)
            for broken in dict.fromkeys(self.node.find([record]))
        ]


@cache
def compile_checker(record: type[Record], as_json: bool = False) -> Checker | None:
    """Compile the checker of a record type; None if no condition belongs to it.

    Args:
        record: The record type.
        as_json: Whether the records are JSON objects of any server, and not structs. Values of a wrong type are left
            to the JSON Schema.
    """
    node = _compile(inspect.type_info(record), "", _JSON if as_json else _STRUCTS)
    return Checker(node) if node else None


class _Access(NamedTuple):
    """How members are read, and inner objects found, in one representation of records."""

    read: Callable[[inspect.StructType, str], Get]
    see: Callable[[inspect.StructType, str], Get]
    """Reads a member whose truth says whether it is there. An empty object is: all of its members are optional."""
    read_all: Callable[[inspect.StructType, Sequence[str]], Get]
    """Reads several of them, as a tuple."""
    is_object: Callable[[Any], bool]
    is_list: Callable[[Any], bool]


def _read_struct(kind: inspect.StructType, member: str) -> Get:
    return attrgetter(next(field.name for field in kind.fields if field.encode_name == member))


def _read_structs(kind: inspect.StructType, members: Sequence[str]) -> Get:
    names = [field.name for member in members for field in kind.fields if field.encode_name == member]
    return attrgetter(*names, names[0]) if names else lambda found: ()  # of one name alone it would be no tuple


def _see_all_json(kind: inspect.StructType, members: Sequence[str]) -> Get:
    gets = [_see_json(kind, member) for member in members]
    return lambda found: [get(found) for get in gets]


def _see_json(kind: inspect.StructType, member: str) -> Get:
    return lambda found: True if (value := found.get(member)) == {} else value


_STRUCTS = _Access(
    _read_struct, _read_struct, _read_structs, lambda found: found is not None, lambda found: bool(found)
)
_JSON = _Access(
    lambda kind, member: methodcaller("get", member),
    _see_json,
    _see_all_json,
    lambda found: isinstance(found, dict),
    lambda found: isinstance(found, list),
)


def _compile(kind: inspect.Type, path: str, access: _Access) -> _Node | None:
    """Compile the conditions of an object and of those inside it; None if there are none."""
    assert isinstance(kind, inspect.StructType)
    tests: dict[str, list[_Test]] = {"owed": [], "surplus": [], "others": []}
    members: dict[str, set[str]] = {"owed": set(), "surplus": set()}
    for row in list_conditions(kind.cls):
        if isinstance(row.when, Unseen):
            continue
        for group, test in _make_tests(kind, row, path, access):
            tests[group].append(test)
            members.get(group, set()).add(row.member)
    inner = []
    for field in kind.fields:
        below, many = _find_object(field.type)
        if below is not None:
            node = _compile(below, f"{path}{field.encode_name}{'[].' if many else '.'}", access)
            if node:
                inner.append((_make_gather(access.read(kind, field.encode_name), many, access), node))
    if not inner and not any(tests.values()):
        return None
    owed, surplus = (access.read_all(kind, sorted(members[group])) for group in ("owed", "surplus"))
    return _Node(tuple(tests["owed"]), owed, tuple(tests["surplus"]), surplus, tuple(tests["others"]), tuple(inner))


def list_conditions(record: type) -> list[Condition]:
    """List the conditions that look at a type of object, those too that no record shows."""
    return [row for row in (*BANKING, *ENERGY, *COMMON) if issubclass(record, row.record)]


def _make_tests(kind: inspect.StructType, row: Condition, path: str, access: _Access) -> Iterator[tuple[str, _Test]]:
    """Make the test of a condition, and the one for an object that is there without being named, with their groups."""

    def read(member: str) -> Get:
        return access.see(kind, member)

    broken = Broken(path + row.member, row.fault, row.severity, row.describe(), row.reference)
    applies = row.when.compile(read)
    explain = _make_explanation(row, read) if isinstance(row.when, Where) else None
    first, many, rest = _split_path(row.member)
    if rest:
        below, _ = _find_object(next(field.type for field in kind.fields if field.encode_name == first))
        assert below is not None
        gather = _make_gather(access.read(kind, first), many, access)
        lacks = _make_lack(below, rest, access)
        yield (
            "others",
            _Test(broken, lambda all_: [one for one in all_ if applies(one) and lacks(gather([one]))], explain),
        )
        return
    get = read(row.member)
    if row.must == "masked":
        yield "surplus", _Test(broken, lambda all_: [one for one in all_ if is_card_number(get(one))])
    elif row.must == "absent":
        yield "surplus", _Test(broken, lambda all_: [one for one in all_ if get(one) and applies(one)])
    else:
        yield "owed", _Test(broken, lambda all_: [one for one in all_ if not get(one) and applies(one)], explain)
    if isinstance(row.when, Named):
        naming, value = read(row.when.by), row.when.value
        wanted = f"`{row.when.by}: {value}`, or no `{row.member}`"
        surplus = Broken(path + row.member, NOT_NAMED, "warning", wanted, f"{STANDARD}, {row.section}")
        yield "surplus", _Test(surplus, lambda all_: [one for one in all_ if get(one) and naming(one) != value])


def _make_explanation(row: Condition, read: Callable[[str], Get]) -> Callable[[Any], str]:
    """Make what says which of several values an object has: values of an enumeration, and never the customer's."""
    when = row.when
    assert isinstance(when, Where)
    get = read(when.member)
    return lambda one: replace(row, when=Where(when.member, (get(one),))).describe()


def _make_lack(kind: inspect.Type, member: str, access: _Access) -> Callable[[Sequence[Any]], bool]:
    """Make what tells whether one of some objects lacks the member at a path."""
    assert isinstance(kind, inspect.StructType)
    first, many, rest = _split_path(member)
    if not rest:
        get = access.see(kind, first)
        return lambda objects: any(not get(one) for one in objects)
    below, _ = _find_object(next(field.type for field in kind.fields if field.encode_name == first))
    assert below is not None
    gather, lacks = _make_gather(access.read(kind, first), many, access), _make_lack(below, rest, access)
    return lambda objects: lacks(gather(objects))


def _make_gather(get: Get, many: bool, access: _Access) -> Callable[[Sequence[Any]], list[Any]]:
    """Make what collects the inner objects that a member of each object holds."""
    is_object, is_list = access.is_object, access.is_list
    if many:
        return lambda objects: [
            one for outer in objects if is_list(found := get(outer)) for one in found if is_object(one)
        ]
    return lambda objects: [found for outer in objects if is_object(found := get(outer))]


def _split_path(path: str) -> tuple[str, bool, str]:
    """Split a path into its first member, whether that is a list, and the rest."""
    first, _, rest = path.partition(".")
    return first.removesuffix("[]"), first.endswith("[]"), rest


def _find_object(kind: inspect.Type) -> tuple[inspect.StructType | None, bool]:
    """Return the record inside the type of a member, and whether the member is a list of them."""
    many = False
    while True:
        match kind:
            case inspect.Metadata(type=inner) | inspect.UnionType(types=(inner, inspect.NoneType())):
                kind = inner
            case inspect.ListType(item_type=inner):
                kind, many = inner, True
            case inspect.StructType():
                return kind, many
            case _:
                return None, False
