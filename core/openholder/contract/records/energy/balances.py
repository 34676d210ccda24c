"""The balance of an energy account. CDS 1.36.0, energy."""

from __future__ import annotations

from openholder.contract.formats import AmountString, NonEmptyString, Record


class SingleBalance(Record):
    """The balance of the account in the path, without its id."""

    balance: AmountString


class Balance(Record):
    """The balance of one account among several."""

    account_id: NonEmptyString
    balance: AmountString
