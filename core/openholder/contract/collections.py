"""The collections: the columns that hold the owner's ids, and the order of lists."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

from openholder.errors import SourceFault
from openholder.query import PLACE, Order, Row, text


@dataclass(frozen=True)
class Collection:
    """A named set of rows.

    ``customer`` and ``account`` are the columns that hold the customer's and the account's id.
    """

    name: str
    customer: str | None = None
    account: str | None = None
    key: str | None = None
    """The member that identifies a record among those of one customer or account."""
    order: tuple[Order, ...] = ()
    """The order of lists. If empty, the source decides."""

    @cached_property
    def owners(self) -> dict[str, str]:
        """The column to select by, for each id that a path may contain."""
        columns = {"customerId": self.customer, "accountId": self.account}
        return {name: column for name, column in columns.items() if column}

    @cached_property
    def hidden(self) -> frozenset[str]:
        """Columns of owners and documents, and `PLACE`: part of the response only if the record type has the member."""
        return frozenset({*self.owners.values(), "customerId", "document", PLACE})


def _order_newest_first(member: str, *otherwise: str, key: str = "") -> tuple[Order, ...]:
    """Sort by time, newest first, and records of the same time by ``key`` if there is one."""
    newest = Order(member, descending=True, reads="instant", otherwise=otherwise)
    return (newest, Order(key)) if key else (newest,)


EFFECTIVE_TIME = ("postingDateTime", "executionDateTime", "valueDateTime")
"""The members with the effective time of a bank transaction: posting, or else execution, or else value date."""

COLLECTIONS = {
    collection.name: collection
    for collection in (
        Collection("customers", customer="id", key="id"),
        Collection("logins", customer="customerId"),
        Collection("accounts", customer="customerId", account="id", key="id"),
        Collection("balances", account="accountId"),
        Collection("banking.accounts", account="accountId", key="accountId"),
        Collection("banking.balances", account="accountId", key="accountId"),
        Collection(
            "banking.transactions",
            account="accountId",
            key="transactionId",
            order=_order_newest_first(*EFFECTIVE_TIME, key="transactionId"),
        ),
        Collection("banking.direct_debits", account="accountId"),
        Collection("banking.scheduled_payments", account="accountId", key="scheduledPaymentId"),
        Collection(
            "banking.instalment_plans",
            account="accountId",
            key="planId",
            order=_order_newest_first("creationDate", key="planId"),
        ),
        Collection("banking.payees", customer="customerId", key="payeeId"),
        Collection("energy.accounts", account="accountId", key="accountId"),
        Collection("energy.balances", account="accountId", key="accountId"),
        Collection("energy.concessions", account="accountId"),
        Collection("energy.payment_schedules", account="accountId"),
        Collection(
            "energy.invoices",
            account="accountId",
            key="invoiceNumber",
            order=_order_newest_first("issueDate", key="invoiceNumber"),
        ),
        Collection("energy.billing", account="accountId", order=_order_newest_first("executionDateTime")),
        Collection("common.customers", customer="customerId"),
        Collection("fdx.accounts", account="accountId", key="accountId"),
        Collection(
            "fdx.transactions",
            account="accountId",
            key="transactionId",
            order=_order_newest_first("postedTimestamp", "transactionTimestamp", key="transactionId"),
        ),
        Collection(
            "fdx.statements",
            account="accountId",
            key="statementId",
            order=_order_newest_first("statementDate", key="statementId"),
        ),
        Collection("fdx.payment_networks", account="accountId"),
        Collection("fdx.contacts", account="accountId"),
    )
}
"""All collections of Fiskil's operations, by name."""


@cache  # asked for each row; the names are those of operations, so there are few
def find_collection(name: str) -> Collection:
    """Return the collection of that name. One that only a custom endpoint uses has the default columns."""
    return COLLECTIONS.get(name) or Collection(name, customer="customerId", account="accountId", key="id")


def read_key(collection: str, row: Row) -> str:
    """Return the id of a record, or ``?`` if its collection has none."""
    key = find_collection(collection).key
    return _write_id(row.get(key, "?")) if key else "?"


def _write_id(found: object) -> str:
    # Text that is not UTF-8 has been read with lone surrogates, which cannot be written anywhere.
    return text(found).encode("utf-8", "replace").decode()


def name_record(fault: SourceFault, collection: str) -> None:
    """Replace the row at fault by its id, or that of its owner. The message gets its place, if it has one.

    Nothing else of the row may reach whoever handles the fault.
    """
    row, fault.row = fault.row, None
    if row is None:
        return
    spec = find_collection(collection)
    named = [column for column in (spec.key, spec.account, spec.customer) if column and row.get(column) is not None]
    fault.record = _write_id(row[named[0]]) if named else "?"
    if row.get(PLACE) is not None:
        fault.args = (f"{fault} ({row[PLACE]})",)
