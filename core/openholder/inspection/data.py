"""Inspect the data of some customers: whether every record can be served, and whether its owner exists."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from openholder.config import Configuration
from openholder.contract.collections import find_collection, read_key
from openholder.contract.operations import Operation
from openholder.errors import OpenholderError, SourceFault
from openholder.inspection.findings import Finding
from openholder.inspection.holdings import (
    BATCH_SIZE,
    Holding,
    Progress,
    convert_records,
    describe_fault,
    list_customers,
    read_holdings,
)
from openholder.inspection.unusable_ids import find_unusable_ids
from openholder.query import Filter, Query
from openholder.server.generation import list_operations, make_sources
from openholder.serving.ids import compile_id_pattern
from openholder.sources.registry import SourceRegistry

MAX_FAULTS = 20
"""Faults of one collection that are reported one by one; further ones are only counted."""


@dataclass(slots=True)
class CollectionTally:
    """Counts of what was read of one collection."""

    records: int = 0
    seconds: list[float] = field(default_factory=list)
    faults: dict[str, None] = field(default_factory=dict)
    """The messages in order, each once."""

    def report(self, collection: str, source: str) -> Iterator[Finding]:
        """Report a summary, then the first faults."""
        what = f"data of {collection}"
        median, longest = statistics.median(self.seconds) * 1000, max(self.seconds) * 1000
        summary = (
            f"{self.records} records from source {source!r}; median query {median:.1f} ms, slowest {longest:.1f} ms"
        )
        if self.faults:
            yield Finding(what, "failed", summary)
        else:
            yield Finding(what, "ok" if self.records else "empty", summary)
        for fault in list(self.faults)[:MAX_FAULTS]:
            yield Finding(what, "failed", fault)
        if len(self.faults) > MAX_FAULTS:
            yield Finding(what, "failed", f"and {len(self.faults) - MAX_FAULTS} more")


async def inspect_data(
    configuration: Configuration, customers: Sequence[str], number: int, progress: Progress
) -> list[Finding]:
    """Inspect the data of the given customers, or of the first ``number`` customers if none are given."""
    operations = list_operations(configuration.settings)
    pattern = compile_id_pattern(configuration.settings.id_characters)
    tallies: defaultdict[str, CollectionTally] = defaultdict(CollectionTally)
    async with make_sources(configuration) as sources:
        try:
            selected = list(customers) or await list_customers(sources, number)
        except SourceFault as exc:
            message = f"the source cannot list customers ({describe_fault(exc)}); select them with --customer"
            return [Finding("data", "failed", message)]
        with progress(selected) as remaining:
            for customer in remaining:
                async for holding in read_holdings(sources, operations, customer):
                    _count(tallies[holding.collection], holding, operations, pattern)
        for collection, tally in tallies.items():
            for key in await _find_orphans(sources, collection):
                tally.faults[f"record {key!r} belongs to a customer or account that does not exist"] = None
        findings: list[Finding] = []
        for collection, tally in tallies.items():
            source = sources.find_source(collection)
            findings += tally.report(collection, source.name if source else "")
        return findings


def _count(tally: CollectionTally, holding: Holding, operations: Sequence[Operation], pattern: re.Pattern[str]) -> None:
    tally.records += len(holding.rows)
    tally.seconds.append(holding.seconds)
    if holding.fault:
        tally.faults[holding.fault] = None
    for fault in _find_duplicates(holding, operations):
        tally.faults[fault] = None
    for fault in find_unusable_ids(holding.collection, holding.rows, operations, pattern):
        tally.faults[fault] = None
    for key, _, misfit in convert_records(holding, operations):
        if misfit:
            tally.faults[f"record {key!r}: {misfit}"] = None


def _find_duplicates(holding: Holding, operations: Sequence[Operation]) -> Iterator[str]:
    """Find records with the same id, and several records where an operation returns a single one."""
    keys = Counter(read_key(holding.collection, row) for row in holding.rows)
    for key, times in keys.items():
        if times > 1 and key != "?":
            yield f"record {key!r} appears {times} times"
    owner = list(holding.ids)[-1]
    # The owner's id is the last in the path if the operation returns the one record of that owner.
    is_single = any(
        operation.path.rpartition("{")[2].startswith(f"{owner}}}")
        for operation in operations
        if operation.collection == holding.collection and not operation.reply.many
    )
    if is_single and len(holding.rows) > 1:
        yield f"{len(holding.rows)} records for one {owner}, but the operation returns exactly one"


async def _find_orphans(sources: SourceRegistry, collection: str) -> list[str]:
    """Find records, among the first ones, whose customer or account does not exist.

    Return none if the source cannot list the records or their owners.
    """
    spec = find_collection(collection)
    if collection in ("customers", "logins") or not (spec.customer or spec.account):
        return []
    owners, member = ("customers", spec.customer) if spec.customer else ("accounts", spec.account)
    if not sources.find_source(owners) or member is None:
        return []
    try:
        rows = (await sources.fetch(Query(collection=collection, limit=BATCH_SIZE))).records
        named = {str(row[member]) for row in rows if row.get(member) is not None}
        known = await _select_existing(sources, owners, named)
    except OpenholderError:
        return []
    return [read_key(collection, row) for row in rows if str(row.get(member)) not in known]


async def _select_existing(sources: SourceRegistry, collection: str, ids: Collection[str]) -> set[str]:
    if not ids:
        return set()
    query = Query(collection=collection, filters=(Filter("id", "in", tuple(sorted(ids))),))
    return {str(row["id"]) for row in (await sources.fetch(query)).records}
