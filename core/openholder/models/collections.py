"""The collections: which column of each says whose row it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of rows, with the columns that hold the customer's and the account's id."""

    name: str
    customer: str | None = None
    account: str | None = None


COLLECTIONS = {
    collection.name: collection
    for collection in (
        Collection("customers", customer="id"),
        Collection("logins", customer="customerId"),
        Collection("accounts", customer="customerId", account="id"),
        Collection("balances", account="accountId"),
    )
}
"""All collections that openholder knows, by name."""
