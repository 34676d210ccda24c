"""Whether the collections agree with each other about a customer: what is offered, states, flags and balances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

from openholder.contract.operations import Operation
from openholder.contract.records.auth import ConsentAccount
from openholder.contract.rows import read_record
from openholder.errors import OpenholderError
from openholder.inspection.findings import Finding, Severity
from openholder.inspection.judges.base import Judge, SeenCustomer, SeenHolding, SeenRecord, SeenRow, Survey
from openholder.inspection.paths import flatten
from openholder.inspection.tally import Tally
from openholder.query import Filter, Query, Row, text
from openholder.serving.access import AUTHORITY, read_link
from openholder.settings import Settings
from openholder.sources.registry import SourceRegistry

LISTS = {"banking.accounts": "openStatus", "energy.accounts": "openStatus", "fdx.accounts": "status"}
"""The collections that list accounts, each with its member for the state."""
SERVICE_POINTS = {
    "energy.invoices": ("servicePoints[]",),
    "energy.billing": tuple(f"{name}.servicePointId" for name in ("usage", "demand", "onceOff", "otherCharges")),
}
"""The members that name service points of the account."""
MAX_IDS_KEPT = 10_000
"""Accounts that are looked up once all customers were seen."""
BATCH_SIZE = 500
"""Ids that one query looks up."""
_MOSTLY, _LEAST = 0.5, 3
"""The share of accounts whose balances must differ, and of how many, until that is more than a matter of minutes."""
_CDS_ACCOUNTS = "CDS 1.36.0, accounts"


class LinkJudge(Judge):
    """Yields accounts of which one collection says what another denies. It keeps what one customer has."""

    def __init__(self, settings: Settings, operations: Sequence[Operation], now: datetime) -> None:
        super().__init__(settings, operations, now)
        self._states: dict[str, str] = {}
        self._consent: dict[str, Row] = {}
        self._unlisted: dict[str, None] = {}
        self._kept: dict[str, None] = {}
        self._left_out = 0
        self._balances = Tally()
        self._forget()

    def _forget(self) -> None:
        self._states.clear()
        self._consent.clear()
        self._details: dict[str, dict[str, Any]] = {}
        self._looked_at: dict[str, int] = {}
        self._with_plans: set[str] = set()
        self._points: dict[str, set[str]] = {}
        self._named_points: list[tuple[str, str, str, str, set[str]]] = []

    def see_customer(self, customer: SeenCustomer) -> Iterable[Finding]:
        """Note the accounts that are offered, with their states."""
        self._forget()
        for row in customer.accounts:
            try:
                link = read_link(row)
            except OpenholderError:
                continue
            self._states[link.id] = link.status
        return ()

    def see_row(self, seen: SeenRow) -> Iterable[Finding]:
        """Note the balances that the customer sees when consenting."""
        if seen.collection == "balances":
            self._consent[list(seen.owner.values())[-1]] = seen.row
        return ()

    def see_record(self, seen: SeenRecord) -> Iterable[Finding]:
        """Note what the records of an account say of it."""
        collection, account = seen.seen.collection, seen.seen.owner.get("accountId", "")
        if seen.record is None or not account:
            return ()
        if collection in LISTS:
            found = seen.to_json()
            if len(found) >= len(self._details.get(account, ())):
                self._details[account] = {**found, "collection": collection}
            if collection == "energy.accounts":
                named = {str(value) for path, value in flatten(found) if path == "plans[].servicePointIds[]"}
                self._points.setdefault(account, set()).update(named)
        elif collection in SERVICE_POINTS:
            for member in SERVICE_POINTS[collection]:
                named = {str(value) for path, value in flatten(seen.to_json()) if path == member}
                if named:
                    self._named_points.append((collection, member, account, seen.seen.id, named))
        elif collection == "banking.balances":
            self._compare_balances(account, seen.to_json())
        return ()

    def see_holding(self, holding: SeenHolding) -> Iterable[Finding]:
        """Note which lists have an account, and which accounts have plans."""
        account = holding.owner.get("accountId", "")
        if holding.collection in LISTS:
            self._looked_at[account] = self._looked_at.get(account, 0) + holding.records + len(holding.faults)
        elif holding.collection == "banking.instalment_plans" and holding.records:
            self._with_plans.add(account)
        return ()

    def leave_customer(self, customer_id: str) -> Iterator[Finding]:
        """Say where the collections disagree about this customer's accounts."""
        for account, records in self._looked_at.items():
            if not records:
                self._keep(self._unlisted, account)
        for account, detail in self._details.items():
            yield from self._judge_state(account, detail)
            if detail.get("accountOwnership") in ("ONE_PARTY", "TWO_PARTY") and detail.get("isOwned", True):
                self._keep(self._kept, f"{detail['accountOwnership']} {account}")
        for account in self._with_plans:
            if self._details.get(account, {}).get("isInstalmentDetailAvailable") is not True:
                wanted = "true for an account that has instalment plans: nobody asks for them where it is false"
                yield Finding(
                    "reference",
                    "denied",
                    "warning",
                    "banking.accounts",
                    "isInstalmentDetailAvailable",
                    wanted,
                    _CDS_ACCOUNTS,
                    ids=(account,),
                )
        for collection, member, account, record, named in self._named_points:
            known = self._points.get(account)
            if known and not named <= known:
                severity: Severity = "note" if named & known else "warning"
                wanted = "a service point that the account has in plans[].servicePointIds: the same id everywhere"
                yield Finding("reference", "unknown-service-point", severity, collection, member, wanted, ids=(record,))

    def _keep(self, kept: dict[str, None], name: str) -> None:
        if len(kept) < MAX_IDS_KEPT:
            kept[name] = None
        else:
            self._left_out += 1

    def _judge_state(self, account: str, detail: dict[str, Any]) -> Iterator[Finding]:
        collection = detail["collection"]
        member, state = LISTS[collection], self._states.get(account, "open")
        told = str(detail.get(member, "OPEN")).upper()
        if told in ("OPEN", "CLOSED") and (told == "CLOSED") != (state == "closed"):
            wanted = "the state that `accounts` has in its `status`: an account is closed in both, or in none"
            yield Finding("access", "states-disagree", "warning", collection, member, wanted, ids=(account,))

    def _compare_balances(self, account: str, found: dict[str, Any]) -> None:
        consent = self._consent.get(account)
        if consent is None or consent.get("current") is None:
            return
        if str(consent.get("currency") or "AUD") != found.get("currency", "AUD"):
            return
        try:
            differs = Decimal(str(consent["current"])) != Decimal(found["currentBalance"])
        except ArithmeticError:
            return
        self._balances.add(differs, account)

    async def conclude(self, survey: Survey) -> Iterable[Finding]:
        """Look up accounts that no list has, and the holders of those that have one or two."""
        findings = [*await self._find_unlisted(survey.sources), *await self._find_holders(survey.sources)]
        if self._balances.shown:
            many = self._balances.of >= _LEAST and self._balances.share >= _MOSTLY
            wanted = "the current balance that banking.balances has for the account"
            severity: Severity = "warning" if many else "note"
            findings.append(
                self._balances.to_finding("reference", "balances-differ", severity, "balances", "current", wanted)
            )
        if self._left_out:
            wanted = f"fewer customers at once: after {MAX_IDS_KEPT} accounts their holders were not looked up"
            findings.append(Finding("coverage", "not-looked-up", "note", AUTHORITY, "id", wanted))
        return findings

    async def _find_unlisted(self, sources: SourceRegistry) -> list[Finding]:
        """Find offered accounts that no list has. Lists of sectors that were left out are asked here."""
        missing = set(self._unlisted)
        looked_at = {operation.collection for operation in self.operations}
        for collection in LISTS:
            if missing and collection not in looked_at and sources.find_source(collection):
                rows = await look_up(sources, collection, "accountId", missing)
                if rows is None:
                    return []
                missing -= {text(row.get("accountId")) for row in rows}
        names = [name for name in LISTS if sources.find_source(name)]
        wanted = f"a record in {' or '.join(names)}: the account is offered for consent, and a request for it gets 404"
        return [
            Finding("reference", "in-no-list", "error", AUTHORITY, "id", wanted, ids=(account,))
            for account in self._unlisted
            if account in missing
        ]

    async def _find_holders(self, sources: SourceRegistry) -> list[Finding]:
        """Find accounts of one or two parties that more customers hold."""
        ownership = {name.partition(" ")[2]: name.partition(" ")[0] for name in self._kept}
        rows = await look_up(sources, AUTHORITY, "id", ownership) or []
        links: dict[str, list[Row]] = {}
        for row in rows:
            links.setdefault(text(row.get("id")), []).append(row)
        most = {"ONE_PARTY": 1, "TWO_PARTY": 2}
        findings = []
        for account, told in ownership.items():
            if _count_holders(links.get(account, ())) > most[told]:
                wanted = (
                    f"{'TWO_PARTY or MANY_PARTY' if told == 'ONE_PARTY' else 'MANY_PARTY'}, because `accounts` has"
                    f" more holders; or no row there for people who are none"
                )
                findings.append(
                    Finding(
                        "access",
                        "more-holders",
                        "warning",
                        "banking.accounts",
                        "accountOwnership",
                        wanted,
                        _CDS_ACCOUNTS,
                        ids=(account,),
                    )
                )
        return findings


def _count_holders(rows: Sequence[Row]) -> int:
    """Count the customers who hold an account, of those that have a row for it.

    `users` says who does not. It may have ids of its own: then somebody there who holds nothing and is none of these
    customers may still be one of them, and is taken for one.
    """
    holds: dict[str, bool] = {}
    for row in rows:
        # A list that cannot be read is a finding of its own, and says nothing here.
        with suppress(OpenholderError):
            users = read_record(AUTHORITY, {"id": "-", "users": row.get("users")}, ConsentAccount).users or ()
            holds |= {str(user.id): user.is_account_holder for user in users}
    customers = {text(row.get("customerId")) for row in rows}
    certain = sum(holds.get(customer, False) for customer in customers)
    possible = len(customers - holds.keys()) - sum(not held for user, held in holds.items() if user not in customers)
    named = min(sum(holds.values()), len(customers))
    return max(certain + max(possible, 0), named)


async def look_up(sources: SourceRegistry, collection: str, column: str, ids: Iterable[str]) -> list[Row] | None:
    """Fetch the rows with these ids, whoever they belong to. None if the source cannot find them so."""
    every = sorted(ids)
    rows: list[Row] = []
    try:
        for start in range(0, len(every), BATCH_SIZE):
            condition = Filter(column, "in", tuple(every[start : start + BATCH_SIZE]))
            rows += (await sources.fetch(Query(collection=collection, filters=(condition,)))).records
    except OpenholderError:
        return None
    return rows
