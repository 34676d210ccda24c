"""The balances of an account. CDS 1.36.0, banking."""

from __future__ import annotations

from openholder.contract.formats import AmountString, CurrencyString, NonEmptyString, Record


class BalancePurse(Record):
    """The part of a balance that is held in another currency."""

    amount: AmountString
    currency: CurrencyString | None = None


class Balance(Record):
    """The current and available balance of an account."""

    account_id: NonEmptyString
    current_balance: AmountString
    available_balance: AmountString
    credit_limit: AmountString | None = None
    amortised_limit: AmountString | None = None
    currency: CurrencyString | None = None
    purses: list[BalancePurse] | None = None
