"""The three consent endpoints."""

from __future__ import annotations

from functools import partial

from openholder.contract.operation import BARE, HIGH_TIER, Operation, list_reply
from openholder.contract.records.auth import ConsentAccount, Customer, CustomerMatch

_operation = partial(Operation, sector="auth", tier=HIGH_TIER)

AUTH = (
    _operation(
        name="searchCustomers",
        method="POST",
        path="/auth/v1/customer/search",
        collection="customers",
        record=CustomerMatch,
        reply=list_reply("data"),
        whose="search",
        summary="Find customers by e-mail address",
        evidence="partly",
    ),
    _operation(
        name="getCustomerDetails",
        method="GET",
        path="/auth/v1/customer/{customerId}",
        collection="customers",
        record=Customer,
        reply=BARE,
        whose="customer",
        summary="Identity claims of one customer",
        evidence="full",
    ),
    _operation(
        name="listConsentAccounts",
        method="GET",
        path="/auth/v1/customer/{customerId}/accounts",
        collection="accounts",
        record=ConsentAccount,
        reply=list_reply("accounts"),
        whose="consent",
        summary="Accounts offered during consent",
        evidence="partly",
    ),
)
