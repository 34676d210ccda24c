"""What judges of data see, and what they are: the interface of the rows of `openholder.inspection.judges`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from openholder.contract.formats import Record
from openholder.contract.operations import Operation
from openholder.inspection.findings import Finding, LookedAt
from openholder.inspection.profile import Profile
from openholder.query import Row
from openholder.settings import Settings
from openholder.sources.registry import SourceRegistry


@dataclass(frozen=True, slots=True)
class SeenCustomer:
    """A customer whose data is looked at next, with the rows of ``accounts`` that name the customer."""

    id: str
    accounts: Sequence[Row]


@dataclass(frozen=True, slots=True)
class SeenRow:
    """A row as its source has it."""

    collection: str
    id: str
    """Its own id, or that of its account or customer if the collection has none."""
    owner: Mapping[str, str]
    """``customerId``, then ``accountId`` if the row belongs to an account."""
    row: Row


@dataclass(frozen=True, slots=True)
class SeenRecord:
    """A row, converted to one of the records that are made from its collection."""

    seen: SeenRow
    type: type[Record]
    reference: str
    """The standard that has the record."""
    record: Any
    """The record: a struct, or a mapping of a custom endpoint. None if the row does not fit."""

    def to_json(self) -> Any:
        """Return the record as it leaves: mappings, lists and plain values."""
        return msgspec.to_builtins(self.record, builtin_types=(bytes,), str_keys=True)


@dataclass(frozen=True, slots=True)
class SeenHolding:
    """All rows of one collection that belong to one customer or account. Judges see it after the rows."""

    collection: str
    owner: Mapping[str, str]
    records: int
    faults: Sequence[str]
    """Why rows are missing, if the source failed: messages without values."""
    ids: Sequence[str]
    """The ids of the records at fault, as far as they are known; as long as ``faults``."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The data as a whole, for what judges conclude in the end."""

    settings: Settings
    sources: SourceRegistry
    operations: Sequence[Operation]
    looked_at: LookedAt
    is_complete: bool
    """Whether all customers were looked at."""
    is_named: bool
    """Whether the customers were named, and are no sample."""
    now: datetime
    profile: Profile
    """Filled in by the judge that counts."""


class Judge:
    """Looks at data as it streams by, and yields findings. It keeps counts and ids, never the rows themselves.

    A judge implements the methods that it needs. What it yields for a row or record is a finding of that record, with
    its id in ``ids``: the collector groups and counts them. An instance looks at one survey.
    """

    def __init__(self, settings: Settings, operations: Sequence[Operation], now: datetime) -> None:
        self.settings = settings
        self.operations = operations
        self.now = now

    def see_customer(self, customer: SeenCustomer) -> Iterable[Finding]:
        """Look at a customer, before anything that the customer has."""
        return ()

    def see_row(self, seen: SeenRow) -> Iterable[Finding]:
        """Look at a row.

        What belongs to a joint account comes once, for the first of its owners; its rows of ``accounts`` for each.
        """
        return ()

    def see_record(self, seen: SeenRecord) -> Iterable[Finding]:
        """Look at a record. A row comes once for each type of record that is made from its collection."""
        return ()

    def see_holding(self, holding: SeenHolding) -> Iterable[Finding]:
        """Look at what was read of a collection for one owner, after its rows."""
        return ()

    def leave_customer(self, customer_id: str) -> Iterable[Finding]:
        """Look back at a customer, after everything that the customer has."""
        return ()

    async def conclude(self, survey: Survey) -> Iterable[Finding]:
        """Say what only the whole shows. The sources may be queried."""
        return ()
