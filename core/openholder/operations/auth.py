"""The three consent endpoints."""

from __future__ import annotations

from openholder.models.auth import ConsentAccount, Customer, CustomerMatch
from openholder.operations.table import Operation

AUTH = (
    Operation(
        name="searchCustomers",
        method="POST",
        path="/auth/v1/customer/search",
        collection="customers",
        lookup="search",
        many=True,
        record=CustomerMatch,
        envelope="data",
        urns=True,
        summary="Find customers by e-mail address",
        evidence="partly",
    ),
    Operation(
        name="getCustomerDetails",
        method="GET",
        path="/auth/v1/customer/{customerId}",
        collection="customers",
        lookup="customer",
        many=False,
        record=Customer,
        envelope=None,
        urns=True,
        summary="Identity claims of one customer",
        evidence="full",
    ),
    Operation(
        name="listConsentAccounts",
        method="GET",
        path="/auth/v1/customer/{customerId}/accounts",
        collection="accounts",
        lookup="consent",
        many=True,
        record=ConsentAccount,
        envelope="accounts",
        urns=True,
        summary="Accounts offered during consent",
        evidence="partly",
    ),
)
