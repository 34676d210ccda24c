"""The collections: which column of each says whose row it is, and in which order its records are listed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from openholder.query import Order


@dataclass(frozen=True)
class Collection:
    """A named set of rows, with the columns that hold the customer's and the account's id."""

    name: str
    customer: str | None = None
    account: str | None = None
    key: str | None = None
    """The member that tells the records of one customer or account apart."""
    order: tuple[Order, ...] = ()
    """How lists are ordered; where it is empty, as the source has the records."""

    @cached_property
    def owners(self) -> dict[str, str]:
        """For each id that a path may hold, the column that it selects by."""
        columns = {"customerId": self.customer, "accountId": self.account}
        return {name: column for name, column in columns.items() if column}

    @cached_property
    def hidden(self) -> frozenset[str]:
        """The columns that say whose a record is or lie beside it, and leave only where its shape has them."""
        return frozenset({*self.owners.values(), "customerId", "document"})


def _newest(member: str, *otherwise: str, key: str = "") -> tuple[Order, ...]:
    """Newest first, and what is equally new by its id, where there is one."""
    newest = Order(member, descending=True, reads="instant", otherwise=otherwise)
    return (newest, Order(key)) if key else (newest,)


EFFECTIVE_TIME = ("postingDateTime", "executionDateTime", "valueDateTime")
"""When a bank transaction took effect: when it was posted, else executed, else of value."""

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
            order=_newest(*EFFECTIVE_TIME, key="transactionId"),
        ),
        Collection("banking.direct_debits", account="accountId"),
        Collection("banking.scheduled_payments", account="accountId", key="scheduledPaymentId"),
        Collection(
            "banking.instalment_plans", account="accountId", key="planId", order=_newest("creationDate", key="planId")
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
            order=_newest("issueDate", key="invoiceNumber"),
        ),
        Collection("energy.billing", account="accountId", order=_newest("executionDateTime")),
        Collection("common.customers", customer="customerId"),
        Collection("fdx.accounts", account="accountId", key="accountId"),
        Collection(
            "fdx.transactions",
            account="accountId",
            key="transactionId",
            order=_newest("postedTimestamp", "transactionTimestamp", key="transactionId"),
        ),
        Collection(
            "fdx.statements", account="accountId", key="statementId", order=_newest("statementDate", key="statementId")
        ),
        Collection("fdx.payment_networks", account="accountId"),
        Collection("fdx.contacts", account="accountId"),
    )
}
"""All collections of Fiskil's own operations, by name."""


def collection_named(name: str) -> Collection:
    """The collection of that name. One that only a custom endpoint knows has the columns that all have."""
    return COLLECTIONS.get(name) or Collection(name, customer="customerId", account="accountId", key="id")
