"""What was not met: collections without a record, and kinds of customers and accounts that the sample lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from openholder.contract.operations import Operation
from openholder.errors import OpenholderError
from openholder.inspection.findings import Finding, Severity
from openholder.inspection.judges.base import Judge, SeenCustomer, SeenRow, Survey
from openholder.query import Query, Row
from openholder.serving.access import AUTHORITY, is_served
from openholder.settings import Settings

ALWAYS_FILLED = frozenset(
    {
        "accounts",
        "balances",
        "banking.accounts",
        "banking.balances",
        "banking.transactions",
        "energy.accounts",
        "energy.balances",
        "energy.invoices",
        "fdx.accounts",
        "fdx.transactions",
    }
)
"""Collections of which every holder of the sector has records."""
OFTEN_EMPTY = frozenset({"banking.instalment_plans", "energy.concessions", "fdx.payment_networks", "fdx.statements"})
"""Collections that many holders serve without a record, since they offer no such product."""


class SampleKind(NamedTuple):
    """A kind of customer, account or record that a sample should have met."""

    name: str
    words: str
    collection: str
    is_one: Callable[[Row], bool]


def _has(member: str, *values: str) -> Callable[[Row], bool]:
    return lambda row: row.get(member) in values


KINDS = (
    SampleKind("closed", "a closed account", "accounts", _has("status", "closed")),
    SampleKind("blocked", "a blocked or suspended account", "accounts", _has("status", "blocked", "suspended")),
    SampleKind("joint", "a joint account", "banking.accounts", _has("accountOwnership", "TWO_PARTY", "MANY_PARTY")),
    SampleKind("card", "a credit card", "banking.accounts", _has("specificAccountUType", "creditCard")),
    SampleKind("loan", "a loan", "banking.accounts", _has("specificAccountUType", "loan")),
    SampleKind("term-deposit", "a term deposit", "banking.accounts", _has("specificAccountUType", "termDeposit")),
    SampleKind("pending", "a pending transaction", "banking.transactions", _has("status", "PENDING")),
    SampleKind("organisation", "an organisation", "common.customers", _has("customerUType", "organisation")),
)


class CoverageJudge(Judge):
    """Yields what the survey has not met, so that nothing is good because nobody looked."""

    def __init__(self, settings: Settings, operations: Sequence[Operation], now: datetime) -> None:
        super().__init__(settings, operations, now)
        self._met: set[str] = set()
        self._accounts = 0

    def see_customer(self, customer: SeenCustomer) -> Iterable[Finding]:
        """Count accounts."""
        self._accounts += len(customer.accounts)
        return ()

    def see_row(self, seen: SeenRow) -> Iterable[Finding]:
        """Note the kinds that a row is of."""
        self._met.update(kind.name for kind in KINDS if kind.collection == seen.collection and kind.is_one(seen.row))
        return ()

    async def conclude(self, survey: Survey) -> Iterable[Finding]:
        """Say what was not met."""
        if not survey.looked_at.customers:
            wanted = (
                "at least one customer; rights of the database user, row level security and the schema may hide them"
            )
            return [Finding("coverage", "no-customers", "error", "customers", "", wanted)]
        served = dict.fromkeys(row.collection for row in self.operations if is_served(survey.sources, row))
        empty = [name for name in served if not survey.looked_at.collections.get(name)]
        findings = [await self._judge_empty(survey, name) for name in empty]
        return [*findings, *self._list_kinds_not_met(survey)]

    async def _judge_empty(self, survey: Survey, collection: str) -> Finding:
        """Say whether a collection is empty, or has records of other customers only."""
        try:
            page = await survey.sources.fetch(Query(collection=collection, limit=1))
        except OpenholderError:
            page = None
        if page is not None and page.records:
            wanted = "a customer who has such records: look at more with --sample or --all, or name one with --customer"
            return Finding("coverage", "not-in-sample", "note", collection, "", wanted)
        severity: Severity = "warning"
        if survey.is_named or collection in OFTEN_EMPTY:
            severity = "note"
        elif page is not None and collection in ALWAYS_FILLED and (self._accounts or collection == AUTHORITY):
            severity = "error"
        wanted = (
            "at least one record. If the holder has none on purpose, ignore this; else look at the rights of the"
            " database user, row level security, the load and the conditions of the view"
        )
        return Finding("coverage", "no-records", severity, collection, "", wanted)

    def _list_kinds_not_met(self, survey: Survey) -> Iterator[Finding]:
        if survey.is_complete or survey.is_named:
            return
        for kind in KINDS:
            if kind.name not in self._met and survey.looked_at.collections.get(kind.collection):
                wanted = f"{kind.words}: the sample has none; look at more with --sample or --all"
                yield Finding("coverage", f"no-{kind.name}", "note", kind.collection, "", wanted)
