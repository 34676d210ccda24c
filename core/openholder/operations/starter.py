"""The data endpoint of Fiskil's build guide, the first that a new data holder serves."""

from __future__ import annotations

from openholder.models.starter import Balance
from openholder.operations.table import BARE, Operation

STARTER = (
    Operation(
        "getStarterBalance", "GET", "/customer/{customerId}/accounts/{accountId}/balances",
        "balances", Balance, BARE, whose="account", sector="custom",
        summary="Balance of one account", evidence="full",
    ),
)  # fmt: skip
