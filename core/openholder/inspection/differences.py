"""Compare the records that two configurations would return, by what their members mean."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from openholder.config import Configuration
from openholder.contract.members import Kind, list_kinds
from openholder.contract.operations import Operation
from openholder.inspection.holdings import Progress, convert_records, list_customers, read_holdings
from openholder.query import parse_moment
from openholder.server.generation import list_operations, make_sources
from openholder.sources.registry import SourceRegistry

KeyedRecord = tuple[str, Mapping[str, Any]]
"""A record with its id."""
Place = tuple[str, str]
"""A collection, and the account whose records they are; empty for those of a customer."""
Kinds = Mapping[str, Kind]
"""The kind of each member, by path."""

SPELLING = "is spelt differently"
"""The difference of two texts that mean the same moment or the same number."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A record, or a member of one, that the two configurations return differently."""

    customer: str
    collection: str
    record: str
    member: str
    """The path of the member; empty if the difference is one of the whole record."""
    difference: str


@dataclass(slots=True)
class Comparison:
    """How the answers of two configurations differ."""

    customers: int = 0
    """How many customers were compared."""
    differences: list[Difference] = field(default_factory=list)
    left_out: int = 0
    """How many accounts neither configuration shares: they are blocked, or were closed too long ago."""

    def select(self, *, spelling: bool) -> list[Difference]:
        """Return the differences of values, and those of spelling too if that is wanted."""
        return [found for found in self.differences if spelling or found.difference != SPELLING]

    def count_spelling(self) -> int:
        """Return how many members mean the same, and are only written differently."""
        return sum(found.difference == SPELLING for found in self.differences)


def summarise(differences: Iterable[Difference]) -> list[tuple[str, str, str, int]]:
    """Count differences by collection, member and kind of difference, the most frequent of a collection first."""
    counts = Counter((found.collection, found.member, found.difference) for found in differences)
    collections = list(dict.fromkeys(collection for collection, _, _ in counts))
    rows = [(*what, count) for what, count in counts.items()]
    return sorted(rows, key=lambda row: (collections.index(row[0]), -row[3], row[1]))


async def compare_configurations(
    old: Configuration, new: Configuration, customers: Sequence[str], number: int, progress: Progress
) -> Comparison:
    """Compare the data of the given customers, or of the first ``number`` customers of ``old``."""
    comparison = Comparison()
    operations_before, operations_after = list_operations(old.settings), list_operations(new.settings)
    async with AsyncExitStack() as stack:
        sources_before = await stack.enter_async_context(make_sources(old))
        sources_after = await stack.enter_async_context(make_sources(new))
        selected = list(customers) or await list_customers(sources_before, number)
        comparison.customers = len(selected)
        with progress(selected) as remaining:
            for customer in remaining:
                before, unshared_before = await _read_records(sources_before, operations_before, customer, old)
                after, unshared_after = await _read_records(sources_after, operations_after, customer, new)
                comparison.left_out += len({account for _, account in unshared_before & unshared_after})
                for place in dict.fromkeys([*before, *after]):
                    kinds = list_kinds(place[0])
                    for found in compare_records(before.get(place, ()), after.get(place, ()), kinds):
                        comparison.differences.append(Difference(customer, place[0], *found))
    return comparison


async def _read_records(
    sources: SourceRegistry, operations: Sequence[Operation], customer: str, configuration: Configuration
) -> tuple[dict[Place, list[KeyedRecord]], set[Place]]:
    """Read the customer's records by collection and account, and list the places of accounts that are not shared.

    A record that cannot be served becomes its fault.
    """
    records: dict[Place, list[KeyedRecord]] = {}
    unshared: set[Place] = set()
    async for holding in read_holdings(sources, operations, customer, configuration.settings.closed_accounts.periods):
        place = holding.collection, holding.ids.get("accountId", "")
        if not holding.is_shared:
            unshared.add(place)
            continue
        found = [
            (key, {"fault": str(misfit)} if misfit else content)
            for key, content, misfit in convert_records(holding, operations)
        ]
        if holding.fault:
            found.append(("?", {"fault": holding.fault}))
        records[place] = [*records.get(place, ()), *found]
    return records, unshared


def compare_records(
    old: Sequence[KeyedRecord], new: Sequence[KeyedRecord], kinds: Kinds
) -> Iterator[tuple[str, str, str]]:
    """Compare two lists of records: yield the id of each that differs, the member if it is one, and how."""
    before, after = _group_by_key(old), _group_by_key(new)
    for key in dict.fromkeys([*before, *after]):
        # Records of a list and of a detail have most members in common.
        for member, difference in dict.fromkeys(_compare_groups(before.get(key, []), after.get(key, []), kinds)):
            yield key, member, difference
    if before.keys() == after.keys() and [key for key, _ in old] != [key for key, _ in new]:
        yield "*", "", "order differs"


def _compare_groups(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], kinds: Kinds
) -> Iterator[tuple[str, str]]:
    if not new:
        yield "", "is missing"
    elif not old:
        yield "", "is new"
    elif len(old) != len(new):
        yield "", f"appears {len(new)} times instead of {len(old)}"
    else:
        for before, after in zip(old, new, strict=True):
            yield from compare_values(before, after, "", kinds)


def compare_values(old: Any, new: Any, path: str, kinds: Kinds) -> Iterator[tuple[str, str]]:
    """Compare two values of a member: yield the path of each member inside that differs, and how.

    Moments and numbers that are equal differ in spelling at most: ``+10:00`` and ``Z``, ``0.0475`` and ``0.047500``.

    Args:
        old: A value of JSON.
        new: Another one.
        path: The path of the member, with ``[]`` for the items of a list.
        kinds: The kind of each member, by path without ``[]``.
    """
    if type(old) is type(new) and old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in {**old, **new}:
            inner = f"{path}.{name}" if path else name
            if name not in new:
                yield inner, "is missing"
            elif name not in old:
                yield inner, "is new"
            else:
                yield from compare_values(old[name], new[name], inner, kinds)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for before, after in zip(old, new, strict=True):
            yield from compare_values(before, after, f"{path}[]", kinds)
    else:
        kind = kinds.get(path.replace("[]", ""), "text")
        same = _read_value(old, kind) == _read_value(new, kind)
        yield path, SPELLING if same else "differs"


def _read_value(value: Any, kind: Kind) -> Any:
    """Return what compares equal for values that mean the same."""
    if kind == "time" and isinstance(value, str):
        return parse_moment(value)
    if kind in ("amount", "whole") and isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        return Decimal(str(value))
    return type(value), value


def _group_by_key(records: Sequence[KeyedRecord]) -> dict[str, list[Mapping[str, Any]]]:
    groups: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for key, record in records:
        groups[key].append(record)
    return dict(groups)
