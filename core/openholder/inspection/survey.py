"""Let all data of some customers stream past the judges, with the queries that requests would cause.

One page of rows is in memory at a time, and the ids of all accounts. Messages name collections, ids, members and types
of values, never values.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from openholder.config import Configuration
from openholder.contract.collections import find_collection, read_key
from openholder.contract.conditions import STANDARD
from openholder.contract.formats import Record
from openholder.contract.members import list_record_types
from openholder.contract.operation import Operation
from openholder.contract.rows import Misfit, to_record
from openholder.errors import OpenholderError, SourceFault
from openholder.inspection.findings import Collector, Finding, LookedAt
from openholder.inspection.holdings import Progress
from openholder.inspection.judges import JUDGES, Judge
from openholder.inspection.judges.base import SeenCustomer, SeenHolding, SeenRecord, SeenRow, Survey
from openholder.inspection.profile import Profile
from openholder.inspection.selection import Selection, select_customers
from openholder.query import Query, Row
from openholder.server.generation import list_operations, make_sources
from openholder.serving.access import AUTHORITY, build_owner_query, fetch_account_rows, is_served, read_link
from openholder.serving.answers import has_needed
from openholder.serving.closing import find_longest, has_lapsed
from openholder.sources.registry import SourceRegistry

BATCH_SIZE = 1000
"""Records that are fetched with one query."""
MAX_UNREADABLE = 100
"""Records of one owner's collection that cannot be read, after which the rest of them is left out."""
_STANDARDS = {"auth": "Fiskil, reference pages", "fdx": "FDX API v6", "custom": "your JSON Schema"}
"""The source of a sector's records, where it is not the CDS."""


@dataclass(slots=True)
class Timing:
    """The queries of one collection."""

    source: str
    queries: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def add(self, seconds: float) -> None:
        """Add a query."""
        self.queries += 1
        self.seconds += seconds
        self.longest = max(self.longest, seconds)


@dataclass(slots=True)
class Inspection:
    """What came of an inspection of data."""

    looked_at: LookedAt = field(default_factory=LookedAt)
    findings: Sequence[Finding] = ()
    timings: dict[str, Timing] = field(default_factory=dict)
    """By collection."""
    profile: Profile = field(default_factory=Profile)


class _RecordType(NamedTuple):
    """A type of record that is made from a collection, and the operation that returns it, if one does."""

    type: type[Record]
    reference: str
    operation: Operation | None


class _Surveyor:
    """Reads, shows what it reads to the judges, and collects what they find."""

    def __init__(
        self, configuration: Configuration, sources: SourceRegistry, operations: Sequence[Operation], now: datetime
    ) -> None:
        self._sources = sources
        self._operations = operations
        self._periods = configuration.settings.closed_accounts.periods
        self._judges: list[Judge] = [judge(configuration.settings, operations, now) for judge in JUDGES]
        self._collector = Collector()
        self._types: dict[str, list[_RecordType]] = {}
        self._met: dict[str, set[tuple[str, ...]]] = {}
        """The accounts that were met, each with the findings of its rows: a joint one has a row for each owner."""
        self.result = Inspection()

    async def look_at(self, customer_id: str) -> None:
        """Look at everything that a customer has. Accounts that another customer has too were looked at there."""
        self.result.looked_at.customers += 1
        owner = {"customerId": customer_id}
        new = await self._look_at_accounts(owner)
        served = dict.fromkeys(row.collection for row in self._operations if is_served(self._sources, row))
        if self._sources.find_source("logins"):
            served["logins"] = None
        for collection in served:
            spec = find_collection(collection)
            if collection == AUTHORITY:
                continue
            if spec.customer:
                await self._look_at_holding(collection, owner)
            elif spec.account:
                for account_id in new:
                    await self._look_at_holding(collection, {**owner, "accountId": account_id})
        for judge in self._judges:
            for finding in judge.leave_customer(customer_id):
                self._collector.add([finding])

    async def conclude(self, survey: Survey) -> None:
        """Let the judges conclude, and list what they found."""
        for judge in self._judges:
            for finding in await judge.conclude(survey):
                self._collector.add([finding])
        self.result.findings = self._collector.list_findings(self.result.looked_at)

    async def _look_at_accounts(self, owner: Mapping[str, str]) -> list[str]:
        """Look at the customer's accounts. Return those to look at further: they are new, and may be shared."""
        rows: Sequence[Row] = ()
        faults, ids = [], []
        if self._sources.find_source(AUTHORITY):
            started = time.perf_counter()
            try:
                rows = await fetch_account_rows(self._sources, owner["customerId"])
            except OpenholderError as exc:
                faults.append(str(exc))
                ids.append(_name_fault(exc, owner))
            self._time(AUTHORITY, started)
        for judge in self._judges:
            self._collector.add(judge.see_customer(SeenCustomer(owner["customerId"], rows)))
        new = []
        months = find_longest(self._sources, self._periods) if self._periods else None
        for row in rows:
            seen = SeenRow(AUTHORITY, _name_row(AUTHORITY, row, owner), owner, row)
            is_first, known = seen.id not in self._met, self._met.setdefault(seen.id, set())
            findings = [finding for finding in self._judge(seen) if finding.group not in known]
            known.update(finding.group for finding in findings)
            self._collector.add(findings)
            if is_first:
                self._count(AUTHORITY)
                new += _list_shareable(row, months)
        self._end_holding(SeenHolding(AUTHORITY, owner, len(rows), faults, ids))
        return new

    async def _look_at_holding(self, collection: str, owner: Mapping[str, str]) -> None:
        """Look at all rows of a collection that belong to one customer or account."""
        records = 0
        faults: list[str] = []
        ids: list[str] = []
        async for part in self._read(build_owner_query(collection, owner)):
            if isinstance(part, OpenholderError):
                faults.append(str(part))
                ids.append(_name_fault(part, owner))
                continue
            for row in part:
                records += 1
                self._count(collection)
                self._collector.add(self._judge(SeenRow(collection, _name_row(collection, row, owner), owner, row)))
        if collection == "logins" and faults and not records:
            return  # a source needs to find them by address alone
        self.result.looked_at.collections.setdefault(collection, 0)
        self._end_holding(SeenHolding(collection, owner, records, faults, ids))

    def _judge(self, seen: SeenRow) -> Iterator[Finding]:
        for judge in self._judges:
            yield from judge.see_row(seen)
        for record in self._convert(seen):
            for judge in self._judges:
                yield from judge.see_record(record)

    def _convert(self, seen: SeenRow) -> Iterator[SeenRecord]:
        """Convert a row to each type of record that is made from its collection."""
        hidden = find_collection(seen.collection).hidden
        for kind, reference, operation in self._list_types(seen.collection):
            if operation is not None and not has_needed(operation, seen.row):
                continue
            record: Any = None
            with suppress(Misfit):
                record = to_record(seen.row, kind, hidden)
            yield SeenRecord(seen, kind, reference, record)

    def _list_types(self, collection: str) -> list[_RecordType]:
        """List the types of records of a collection: those that leave, and those that decide on access."""
        if collection not in self._types:
            rows = {row.record: row for row in self._operations if row.collection == collection}
            leaving = [_RecordType(kind, _name_reference(row), row) for kind, row in rows.items()]
            internal = [
                _RecordType(kind, _STANDARDS["auth"], None)
                for kind, _ in list_record_types(collection)
                if collection in (AUTHORITY, "logins") and kind not in rows
            ]
            self._types[collection] = [*internal, *leaving]
        return self._types[collection]

    async def _read(self, query: Query) -> AsyncIterator[Sequence[Row] | OpenholderError]:
        """Read all rows of a query, a page at a time, and the fault of each row that cannot be read.

        A row that cannot be read spoils its page, and one that cannot be sorted spoils all. So the order is left out
        if nothing can be read in it, and the pages become smaller until only that row is missing.
        """
        offset, size, failed = 0, BATCH_SIZE, 0
        while failed < MAX_UNREADABLE:
            started = time.perf_counter()
            try:
                page = await self._sources.fetch(query.cut(offset, size))
            except OpenholderError as exc:
                if not offset and query.order:
                    yield exc
                    query = replace(query, order=())
                elif size > 1 and isinstance(exc, SourceFault):
                    size = max(1, size // 10)
                else:
                    yield exc
                    if not isinstance(exc, SourceFault) or not exc.record:
                        return
                    offset, failed = offset + 1, failed + 1
                continue
            finally:
                self._time(query.collection, started)
            yield page.records
            offset += len(page.records)
            size = min(BATCH_SIZE, size * 10)
            if not page.records or offset >= page.total:
                return

    def _end_holding(self, holding: SeenHolding) -> None:
        for judge in self._judges:
            self._collector.add(judge.see_holding(holding))

    def _count(self, collection: str) -> None:
        counts = self.result.looked_at.collections
        counts[collection] = counts.get(collection, 0) + 1

    def _time(self, collection: str, started: float) -> None:
        source = self._sources.find_source(collection)
        timing = self.result.timings.setdefault(collection, Timing(source.name if source else ""))
        timing.add(time.perf_counter() - started)


async def inspect_data(
    configuration: Configuration, selection: Selection, progress: Progress, now: datetime | None = None
) -> Inspection:
    """Inspect the data of the selected customers. ``now`` is the time from which ages count.

    Raises:
        Unreachable: A source cannot be opened.
        UnusableSource: A source cannot be used.
    """
    operations = [
        operation
        for operation in list_operations(configuration.settings)
        if not selection.sectors or operation.sector in {"auth", *selection.sectors}
    ]
    now = now or datetime.now(UTC)
    async with make_sources(configuration) as sources:
        surveyor = _Surveyor(configuration, sources, operations, now)
        try:
            customers, is_complete = await select_customers(sources, selection)
        except SourceFault as exc:
            wanted = f"customers to look at ({exc}); name them with --customer"
            surveyor.result.findings = [Finding("coverage", "unlisted", "error", "customers", "id", wanted)]
            return surveyor.result
        with progress(customers) as remaining:
            for customer in remaining:
                await surveyor.look_at(customer)
        survey = Survey(
            configuration.settings,
            sources,
            operations,
            surveyor.result.looked_at,
            is_complete=is_complete,
            is_named=bool(selection.named),
            now=now,
            profile=surveyor.result.profile,
        )
        await surveyor.conclude(survey)
        return surveyor.result


def _name_row(collection: str, row: Row, owner: Mapping[str, str]) -> str:
    """Return the id of a row, or that of its owner if it has none of its own."""
    key = read_key(collection, row)
    return list(owner.values())[-1] if key in ("?", "None") else key


def _name_fault(fault: OpenholderError, owner: Mapping[str, str]) -> str:
    return (fault.record if isinstance(fault, SourceFault) else "") or list(owner.values())[-1]


def _name_reference(operation: Operation) -> str:
    return _STANDARDS.get(operation.sector, f"{STANDARD}, {operation.sector}")


def _list_shareable(row: Row, months: int | None) -> list[str]:
    """Return the id of an account that may be shared. What is wrong with the row is the judges' to say."""
    try:
        link = read_link(row)
        is_shared = link.may_be_shared and (months is None or not has_lapsed(link, months))
    except OpenholderError:
        return []
    return [link.id] if is_shared else []
