"""The data endpoint of Fiskil's build guide, the first that a new data holder serves."""

from __future__ import annotations

from openholder.models.starter import Balance
from openholder.operations.table import Operation

STARTER = (
    Operation(
        name="getStarterBalance",
        method="GET",
        path="/customer/{customerId}/accounts/{accountId}/balances",
        collection="balances",
        lookup="account",
        many=False,
        record=Balance,
        envelope=None,
        urns=False,
        summary="Balance of one account",
        evidence="full",
    ),
)
