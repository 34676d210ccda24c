"""Whether customers can be found by the addresses with which people log in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from openholder.contract.operations import Operation
from openholder.inspection.findings import Finding, Severity
from openholder.inspection.judges.base import Judge, SeenCustomer, SeenHolding, SeenRecord, SeenRow, Survey
from openholder.inspection.paths import flatten
from openholder.inspection.tally import Tally
from openholder.settings import Settings

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
_CONTACTS = ("person.emailAddresses[].address", "organisation.emailAddresses[].address")
_MANY, _LEAST = 0.2, 5
"""The share of customers without an address, and of how many, until that is more than a few without online access."""


class LoginJudge(Judge):
    """Yields addresses that no search finds, and customers who have none."""

    def __init__(self, settings: Settings, operations: Sequence[Operation], now: datetime) -> None:
        super().__init__(settings, operations, now)
        self._without = Tally()
        self._has_address: bool | None = None
        self._knows_logins = False

    def see_customer(self, customer: SeenCustomer) -> Iterable[Finding]:
        """Forget the customer before."""
        self._has_address = None
        return ()

    def see_row(self, seen: SeenRow) -> Iterator[Finding]:
        """Look at the address of a customer or of a further person."""
        if seen.collection not in ("customers", "logins"):
            return
        address = seen.row.get("email")
        self._has_address = bool(address) or bool(self._has_address)
        # An address that is missing from a login is a fault of its form.
        if address is not None and address != "":
            yield from _judge(str(address), seen.collection, "email", seen.id)

    def see_record(self, seen: SeenRecord) -> Iterator[Finding]:
        """Look at the addresses of a customer's record."""
        if seen.seen.collection == "common.customers" and seen.record is not None:
            for path, value in flatten(seen.to_json()):
                if path in _CONTACTS:
                    yield from _judge(str(value), seen.seen.collection, path, seen.seen.id)

    def see_holding(self, holding: SeenHolding) -> Iterable[Finding]:
        """Note that logins can be listed by customer."""
        self._knows_logins |= holding.collection == "logins" and not holding.faults
        return ()

    def leave_customer(self, customer_id: str) -> Iterable[Finding]:
        """Note whether somebody can log in for the customer."""
        if self._has_address is not None:
            self._without.add(not self._has_address, customer_id)
        return ()

    async def conclude(self, survey: Survey) -> Iterable[Finding]:
        """Say how many customers nobody can log in for, if all addresses were seen."""
        if not self._without.shown or (survey.sources.find_source("logins") and not self._knows_logins):
            return []
        is_many = self._without.of >= _LEAST and self._without.share >= _MANY
        severity: Severity = "warning" if is_many else "note"
        wanted = (
            "an address in `customers` or a row in `logins`: nobody finds this customer, unless you log people in"
            " yourself"
        )
        return [self._without.to_finding("access", "no-login", severity, "customers", "email", wanted)]


def _judge(address: str, collection: str, member: str, record: str) -> Iterator[Finding]:
    if address != address.strip():
        wanted = "the address without blanks around it: a search compares all of it, and does not find this one"
        yield Finding("access", "padded", "warning", collection, member, wanted, ids=(record,))
    elif not ADDRESS.fullmatch(address):
        wanted = "an address such as kim@example.com; or no value"
        yield Finding("access", "not-an-address", "warning", collection, member, wanted, ids=(record,))
