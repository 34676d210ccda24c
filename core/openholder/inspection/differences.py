"""Compare the records that two configurations would return."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from openholder.config import Configuration
from openholder.contract.operations import Operation
from openholder.inspection.holdings import Progress, convert_records, list_customers, read_holdings
from openholder.server.generation import list_operations, make_sources
from openholder.sources.registry import SourceRegistry

KeyedRecord = tuple[str, Mapping[str, Any]]
"""A record with its id."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A record that the two configurations return differently."""

    customer: str
    collection: str
    record: str
    difference: str


async def compare_configurations(
    old: Configuration, new: Configuration, customers: Sequence[str], number: int, progress: Progress
) -> tuple[int, list[Difference]]:
    """Compare the given customers, or the first ``number`` customers of ``old``: how many were compared, and how."""
    differences: list[Difference] = []
    operations_before, operations_after = list_operations(old.settings), list_operations(new.settings)
    async with AsyncExitStack() as stack:
        sources_before = await stack.enter_async_context(make_sources(old))
        sources_after = await stack.enter_async_context(make_sources(new))
        selected = list(customers) or await list_customers(sources_before, number)
        with progress(selected) as remaining:
            for customer in remaining:
                before = await _read_records(sources_before, operations_before, customer)
                after = await _read_records(sources_after, operations_after, customer)
                for place in dict.fromkeys([*before, *after]):
                    for key, difference in compare_records(before.get(place, ()), after.get(place, ())):
                        differences.append(Difference(customer, place[0], key, difference))
    return len(selected), differences


async def _read_records(
    sources: SourceRegistry, operations: Sequence[Operation], customer: str
) -> dict[tuple[str, str], list[KeyedRecord]]:
    """Read the customer's records by collection and account. A record that cannot be served becomes its fault."""
    records: dict[tuple[str, str], list[KeyedRecord]] = {}
    async for holding in read_holdings(sources, operations, customer):
        found = [
            (key, {"fault": str(misfit)} if misfit else content)
            for key, content, misfit in convert_records(holding, operations)
        ]
        if holding.fault:
            found.append(("?", {"fault": holding.fault}))
        records[holding.collection, holding.ids.get("accountId", "")] = found
    return records


def compare_records(old: Sequence[KeyedRecord], new: Sequence[KeyedRecord]) -> Iterator[tuple[str, str]]:
    """Compare two lists of records: yield the id of each record that differs, and how."""
    before, after = _group_by_key(old), _group_by_key(new)
    for key in dict.fromkeys([*before, *after]):
        difference = _describe_difference(before.get(key, []), after.get(key, []))
        if difference:
            yield key, difference
    if before.keys() == after.keys() and [key for key, _ in old] != [key for key, _ in new]:
        yield "*", "order differs"


def _describe_difference(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> str:
    if not new:
        return "is missing"
    if not old:
        return "is new"
    if len(old) != len(new):
        return f"appears {len(new)} times instead of {len(old)}"
    members = {
        name
        for before, after in zip(old, new, strict=True)
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }
    return f"differs in {', '.join(sorted(members))}" if members else ""


def _group_by_key(records: Sequence[KeyedRecord]) -> dict[str, list[Mapping[str, Any]]]:
    groups: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for key, record in records:
        groups[key].append(record)
    return dict(groups)
