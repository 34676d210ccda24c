"""The data endpoint of Fiskil's build guide, which a new data holder implements first."""

from __future__ import annotations

from openholder.contract.operation import BARE, Operation
from openholder.contract.records.starter import Balance

STARTER = (
    Operation(
        name="getStarterBalance",
        method="GET",
        path="/customer/{customerId}/accounts/{accountId}/balances",
        collection="balances",
        record=Balance,
        reply=BARE,
        whose="account",
        sector="custom",
        summary="Balance of one account",
        evidence="full",
    ),
)
