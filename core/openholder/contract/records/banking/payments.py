"""Direct debits, scheduled payments and instalment plans. CDS 1.36.0, banking."""

from __future__ import annotations

from typing import Literal

from openholder.contract.formats import (
    AmountString,
    CurrencyString,
    DateString,
    DateTimeString,
    ExternalRef,
    NonEmptyString,
    PerhapsEmpty,
    PositiveInteger,
    RateString,
    Record,
)
from openholder.contract.records.banking.payees import (
    BillerPayee,
    DigitalWalletPayee,
    DomesticPayee,
    InternationalPayee,
)

NonBusinessDayTreatment = Literal["AFTER", "BEFORE", "ON", "ONLY"]
Weekday = Literal["FRI", "MON", "SAT", "SUN", "THU", "TUE", "WED"]


class AuthorisedEntity(Record):
    """The organisation that may debit the account."""

    description: str | None = None
    financial_institution: str | None = None
    abn: str | None = None
    acn: str | None = None
    arbn: str | None = None


class DirectDebit(Record):
    """An authorisation to debit an account."""

    account_id: NonEmptyString
    authorised_entity: AuthorisedEntity
    last_debit_date_time: DateTimeString | None = None
    last_debit_amount: AmountString | None = None


class ScheduledPaymentFrom(Record):
    """The account that a scheduled payment is taken from."""

    account_id: NonEmptyString


class ScheduledPaymentTo(Record):
    """The destination of a scheduled payment. ``to_u_type`` names the member that has it."""

    to_u_type: Literal["accountId", "biller", "digitalWallet", "domestic", "international", "payeeId"]
    account_id: NonEmptyString | None = None
    payee_id: str | None = None
    nickname: str | None = None
    payee_reference: str | None = None
    digital_wallet: DigitalWalletPayee | None = None
    domestic: DomesticPayee | None = None
    biller: BillerPayee | None = None
    international: InternationalPayee | None = None


class ScheduledPaymentSet(Record):
    """One destination of a scheduled payment, and its amount."""

    to: ScheduledPaymentTo
    is_amount_calculated: bool | None = None
    amount: AmountString | None = None
    currency: CurrencyString | None = None


class ScheduledPaymentRecurrenceOnceOff(Record):
    """The payment is made on one day only."""

    payment_date: DateString


class ScheduledPaymentInterval(Record):
    """An interval, and the day within it on which to pay."""

    interval: ExternalRef
    day_in_interval: ExternalRef | None = None


class ScheduledPaymentRecurrenceIntervalSchedule(Record):
    """The payment is made on certain days of an interval, such as the second of each month."""

    intervals: list[ScheduledPaymentInterval]
    final_payment_date: DateString | None = None
    payments_remaining: PositiveInteger | None = None
    non_business_day_treatment: NonBusinessDayTreatment | None = None


class ScheduledPaymentRecurrenceLastWeekday(Record):
    """The payment is made on the last given weekday of an interval, such as the last Friday of a month."""

    interval: ExternalRef
    last_week_day: Weekday
    final_payment_date: DateString | None = None
    payments_remaining: PositiveInteger | None = None
    non_business_day_treatment: NonBusinessDayTreatment | None = None


class ScheduledPaymentRecurrenceEventBased(Record):
    """The payment is made on an event that is described in words."""

    description: str


class ScheduledPaymentRecurrence(Record):
    """When a scheduled payment is made. ``recurrence_u_type`` names the member with the details."""

    recurrence_u_type: Literal["eventBased", "intervalSchedule", "lastWeekDay", "onceOff"]
    next_payment_date: DateString | None = None
    once_off: ScheduledPaymentRecurrenceOnceOff | None = None
    interval_schedule: ScheduledPaymentRecurrenceIntervalSchedule | None = None
    last_week_day: ScheduledPaymentRecurrenceLastWeekday | None = None
    event_based: ScheduledPaymentRecurrenceEventBased | None = None


class ScheduledPayment(Record):
    """A payment that the bank makes automatically, once or regularly."""

    scheduled_payment_id: NonEmptyString
    payer_reference: PerhapsEmpty
    status: Literal["ACTIVE", "INACTIVE", "SKIP"]
    from_: ScheduledPaymentFrom
    payment_set: list[ScheduledPaymentSet]
    recurrence: ScheduledPaymentRecurrence
    nickname: str | None = None
    payee_reference: str | None = None


class InstalmentPlanSchedule(Record):
    """An instalment, with its amount and due date."""

    amount_due: AmountString
    due_date: DateString
    is_paid: bool | None = None


class InstalmentPlan(Record):
    """A purchase that is paid in instalments."""

    account_id: NonEmptyString
    plan_id: NonEmptyString
    plan_reference: str
    merchant_name: str
    plan_nickname: str
    creation_date: DateString
    amount: AmountString
    duration: ExternalRef
    instalment_interval: ExternalRef
    schedule: list[InstalmentPlanSchedule]
    merchant_category_code: str | None = None
    plan_currency: CurrencyString | None = None
    plan_charge: AmountString | None = None
    plan_rate: RateString | None = None
