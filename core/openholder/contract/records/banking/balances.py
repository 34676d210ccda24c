"""How much money an account holds. CDS 1.36.0, banking."""

from __future__ import annotations

from openholder.contract.formats import AmountString, CurrencyString, NonEmptyString, Record


class BalancePurse(Record):
    """The part of a balance that is held in one further currency."""

    amount: AmountString
    currency: CurrencyString | None = None


class Balance(Record):
    """What an account holds or owes, and how much of it can be spent."""

    account_id: NonEmptyString
    current_balance: AmountString
    available_balance: AmountString
    credit_limit: AmountString | None = None
    amortised_limit: AmountString | None = None
    currency: CurrencyString | None = None
    purses: list[BalancePurse] | None = None
