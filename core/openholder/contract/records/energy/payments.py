"""Payment schedules and concessions. CDS 1.36.0, energy."""

from __future__ import annotations

from typing import Literal

from openholder.contract.formats import AmountString, DateString, ExternalRef, RateString, Record, URIString

CalculationType = Literal["STATIC", "BALANCE", "CALCULATED"]
"""How the amount of a regular payment is determined."""


class CardDebit(Record):
    """Regular payments by card."""

    card_scheme: Literal["VISA", "MASTERCARD", "AMEX", "DINERS", "OTHER", "UNKNOWN"]
    payment_frequency: ExternalRef
    calculation_type: CalculationType


class DirectDebit(Record):
    """Regular payments from a bank account. Its number is omitted if a token replaces it."""

    payment_frequency: ExternalRef
    calculation_type: CalculationType
    is_tokenised: bool | None = None
    bsb: str | None = None
    account_number: str | None = None


class DigitalWallet(Record):
    """Regular payments from a digital wallet."""

    name: str
    identifier: str
    type: Literal["EMAIL", "CONTACT_NAME", "TELEPHONE"]
    provider: Literal["PAYPAL_AU", "OTHER"]
    payment_frequency: ExternalRef
    calculation_type: CalculationType


class ManualPayment(Record):
    """Bills that the customer pays individually."""

    bill_frequency: ExternalRef


class PaymentSchedule(Record):
    """How the bills of an account are paid. ``payment_schedule_u_type`` names the member with the details."""

    payment_schedule_u_type: Literal["cardDebit", "directDebit", "manualPayment", "digitalWallet"]
    amount: AmountString | None = None
    card_debit: CardDebit | None = None
    direct_debit: DirectDebit | None = None
    digital_wallet: DigitalWallet | None = None
    manual_payment: ManualPayment | None = None


class Concession(Record):
    """A concession that the customer is entitled to, such as a pensioner's."""

    type: Literal["FIXED_AMOUNT", "FIXED_PERCENTAGE", "VARIABLE"]
    display_name: str
    additional_info: str | None = None
    additional_info_uri: URIString | None = None
    start_date: DateString | None = None
    end_date: DateString | None = None
    discount_frequency: ExternalRef | None = None
    amount: AmountString | None = None
    percentage: RateString | None = None
    applied_to: list[Literal["INVOICE", "USAGE", "SERVICE_CHARGE", "CONTROLLED_LOAD"]] | None = None
