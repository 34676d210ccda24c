"""The three consent endpoints."""

from __future__ import annotations

from functools import partial

from openholder.models.auth import ConsentAccount, Customer, CustomerMatch
from openholder.operations.table import BARE, Operation, listed

_Row = partial(Operation, sector="auth")

AUTH = (
    _Row(
        "searchCustomers", "POST", "/auth/v1/customer/search",
        "customers", CustomerMatch, listed("data"), whose="search",
        summary="Find customers by e-mail address", evidence="partly",
    ),
    _Row(
        "getCustomerDetails", "GET", "/auth/v1/customer/{customerId}",
        "customers", Customer, BARE, whose="customer",
        summary="Identity claims of one customer", evidence="full",
    ),
    _Row(
        "listConsentAccounts", "GET", "/auth/v1/customer/{customerId}/accounts",
        "accounts", ConsentAccount, listed("accounts"), whose="consent",
        summary="Accounts offered during consent", evidence="partly",
    ),
)  # fmt: skip
