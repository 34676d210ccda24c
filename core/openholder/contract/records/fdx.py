"""Accounts, transactions and statements in the FDX shape. Fiskil's public pages on FDX v6.

Where those pages list values by way of example only, the member takes any text.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from openholder.contract.formats import DateString, DateTimeString, NonEmptyString, OpenRecord, ShortID


class Currency(OpenRecord):
    """The currency of an account."""

    currency_code: str | None = None


class Account(OpenRecord):
    """An account in a list."""

    left_out: ClassVar[frozenset[str]] = frozenset({"currentBalance", "availableBalance"})

    account_id: ShortID
    account_category: str | None = None
    account_type: str | None = None
    account_number_display: str | None = None
    product_name: str | None = None
    nickname: str | None = None
    status: str | None = None
    currency: Currency | None = None


class AccountDetail(Account):
    """An account with its balances."""

    current_balance: Decimal | None = None
    available_balance: Decimal | None = None


class Transaction(OpenRecord):
    """A transaction. ``debit_credit_memo``, not the sign of the amount, says whether it is a debit."""

    transaction_id: NonEmptyString
    account_category: str | None = None
    transaction_type: str | None = None
    check_number: int | None = None
    payee: str | None = None
    posted_timestamp: DateTimeString | None = None
    transaction_timestamp: DateTimeString | None = None
    description: str | None = None
    debit_credit_memo: str | None = None
    status: str | None = None
    amount: Decimal | None = None


class StatementLink(OpenRecord):
    """A link to a statement's document, with its formats."""

    href: str | None = None
    rel: str | None = None
    action: str | None = None
    types: list[str] | None = None


class Statement(OpenRecord):
    """A statement of an account; the document itself is linked to."""

    statement_id: ShortID
    account_id: ShortID | None = None
    statement_date: DateString | None = None
    description: str | None = None
    links: list[StatementLink] | None = None
    status: str | None = None


class PaymentNetwork(OpenRecord):
    """The identifier of an account in a payment network."""

    bank_id: str | None = None
    identifier: str | None = None
    type: str | None = None
    transfer_in: bool | None = None
    transfer_out: bool | None = None


class PersonName(OpenRecord):
    """The parts of a person's name."""

    first: str | None = None
    middle: str | None = None
    last: str | None = None
    suffix: str | None = None


class AccountHolder(OpenRecord):
    """An owner of the account, alone or jointly."""

    relationship: str | None = None
    name: PersonName | None = None


class Address(OpenRecord):
    """A postal address."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Telephone(OpenRecord):
    """A telephone number, with its country code in a separate member."""

    type: str | None = None
    country: str | None = None
    number: str | None = None


class Contact(OpenRecord):
    """The owners of an account and their contact details."""

    holders: list[AccountHolder] | None = None
    emails: list[str] | None = None
    addresses: list[Address] | None = None
    telephones: list[Telephone] | None = None
