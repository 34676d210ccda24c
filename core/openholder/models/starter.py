"""The data endpoint of Fiskil's build guide: snake_case, no envelope, JSON numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar

from msgspec import Meta

from openholder.models.formats import NonEmptyString, Record

CurrencyCode = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
"""ISO 4217."""


class Balance(Record, rename=None):
    """The balance of one account, in exact decimals."""

    columns: ClassVar[dict[str, str]] = {"accountId": "account_id"}

    account_id: NonEmptyString
    available: Decimal | None = None
    current: Decimal | None = None
    currency: CurrencyCode | None = None
