"""The data endpoint of Fiskil's build guide: snake_case, no envelope, JSON numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from openholder.contract.formats import CurrencyString, NonEmptyString, Record


class Balance(Record, rename=None):
    """The balance of one account, in exact decimals."""

    columns: ClassVar[dict[str, str]] = {"accountId": "account_id"}
    any_of: ClassVar[tuple[str, ...]] = ("available", "current")

    account_id: NonEmptyString
    available: Decimal | None = None
    current: Decimal | None = None
    currency: CurrencyString | None = None
