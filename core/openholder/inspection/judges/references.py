"""Whether ids inside records lead to a record of the same customer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from openholder.contract.collections import find_collection
from openholder.contract.operations import Operation
from openholder.inspection.findings import Finding, Severity
from openholder.inspection.judges.base import Judge, SeenCustomer, SeenRecord, SeenRow, Survey
from openholder.inspection.judges.links import look_up
from openholder.inspection.paths import flatten
from openholder.query import text
from openholder.serving.access import AUTHORITY
from openholder.settings import Settings

MAX_KEPT = 10_000
"""References that are looked up, once all customers were seen. Those to the customer's own records are no part."""


class Reference(NamedTuple):
    """A member that has the id of a record of another collection."""

    collection: str
    member: str
    to: str
    key: str


REFERENCES = (
    Reference("banking.scheduled_payments", "paymentSet[].to.accountId", AUTHORITY, "id"),
    Reference("banking.scheduled_payments", "paymentSet[].to.payeeId", "banking.payees", "payeeId"),
    Reference("banking.accounts", "loan.offsetAccountIds[]", AUTHORITY, "id"),
    Reference("banking.transactions", "instalmentPlanId", "banking.instalment_plans", "planId"),
)
_COLLECTIONS = frozenset(row.collection for row in REFERENCES)


class _Named(NamedTuple):
    """A reference that a record has."""

    reference: Reference
    id: str
    account: str
    record: str


class ReferenceJudge(Judge):
    """Yields references to nothing, and to what belongs to others."""

    def __init__(self, settings: Settings, operations: Sequence[Operation], now: datetime) -> None:
        super().__init__(settings, operations, now)
        self._own: dict[str, set[str]] = {}
        self._named: dict[_Named, None] = {}
        self._kept: dict[_Named, None] = {}
        self._is_full = False

    def see_customer(self, customer: SeenCustomer) -> Iterable[Finding]:
        """Note the customer's accounts."""
        self._own = {AUTHORITY: {text(row.get("id")) for row in customer.accounts}}
        self._named = {}
        return ()

    def see_row(self, seen: SeenRow) -> Iterable[Finding]:
        """Note the customer's records that others may name."""
        if seen.collection in ("banking.payees", "banking.instalment_plans"):
            self._own.setdefault(seen.collection, set()).add(seen.id)
        return ()

    def see_record(self, seen: SeenRecord) -> Iterable[Finding]:
        """Note the references of a record."""
        collection = seen.seen.collection
        if collection not in _COLLECTIONS or seen.record is None:
            return ()
        values = list(flatten(seen.to_json()))
        for reference in REFERENCES:
            if reference.collection == collection:
                for path, value in values:
                    if path == reference.member:
                        self._named[_Named(reference, str(value), seen.seen.owner["accountId"], seen.seen.id)] = None
        return ()

    def leave_customer(self, customer_id: str) -> Iterable[Finding]:
        """Keep the references to what the customer does not have, to look them up."""
        for named in self._named:
            if named.id not in self._own.get(named.reference.to, ()):
                if len(self._kept) < MAX_KEPT:
                    self._kept[named] = None
                else:
                    self._is_full = True
        self._named = {}
        return ()

    async def conclude(self, survey: Survey) -> Iterable[Finding]:
        """Look up what the references lead to, and whose it is."""
        findings: list[Finding] = []
        for reference in REFERENCES:
            kept = [named for named in self._kept if named.reference == reference]
            if kept and survey.sources.find_source(reference.to):
                findings += await _judge(survey, reference, kept)
        if self._is_full:
            wanted = f"fewer customers at once: after {MAX_KEPT} references to others the rest was not followed"
            findings.append(Finding("coverage", "not-followed", "note", wanted=wanted))
        return findings


async def _judge(survey: Survey, reference: Reference, kept: Sequence[_Named]) -> list[Finding]:
    rows = await look_up(survey.sources, reference.to, reference.key, {named.id for named in kept})
    links = await look_up(survey.sources, AUTHORITY, "id", {named.account for named in kept})
    if rows is None or links is None:
        wanted = f"a source that finds `{reference.key}` of {reference.to} alone: these references were not followed"
        return [Finding("coverage", "not-followed", "note", reference.collection, reference.member, wanted)]
    spec = find_collection(reference.to)
    holders: dict[str, set[str]] = {}
    for row in links:
        holders.setdefault(text(row.get("id")), set()).add(text(row.get("customerId")))
    owners: dict[str, set[str]] = {}
    for row in rows:
        owners.setdefault(text(row.get(reference.key)), set()).add(text(row.get(spec.customer or spec.account or "")))
    findings = []
    for named in kept:
        allowed = holders.get(named.account, set()) if spec.customer else {named.account}
        found = owners.get(named.id)
        if found is None:
            wanted = f"the `{reference.key}` of a record of {reference.to}; or no value"
            findings.append(_report(named, "of-nothing", wanted))
        elif not found & allowed:
            whose = "a holder of this account" if spec.customer else "this account"
            wanted = f"a record of {whose}: this is the id of a record of somebody else"
            findings.append(_report(named, "of-a-stranger", wanted))
    return findings


def _report(named: _Named, fault: str, wanted: str) -> Finding:
    reference = named.reference
    severity: Severity = "error" if fault == "of-a-stranger" else "warning"
    return Finding("reference", fault, severity, reference.collection, reference.member, wanted, ids=(named.record,))
