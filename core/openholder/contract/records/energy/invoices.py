"""Energy invoices. CDS 1.36.0, energy."""

from __future__ import annotations

from typing import Annotated, Literal

from openholder.contract.formats import EMPTY_LIST, AmountString, DateString, NonEmptyString, Record
from openholder.contract.records.energy.tariffs import ChargeType


class InvoicePeriod(Record):
    """The period that an invoice covers."""

    start_date: DateString
    end_date: DateString


class PayOnTimeDiscount(Record):
    """A discount if the invoice is paid by a certain day."""

    discount_amount: AmountString
    date: DateString
    gst_amount: AmountString | None = None


class OtherCharge(Record):
    """A charge for something other than usage."""

    amount: AmountString
    description: str
    type: ChargeType | None = None


class InvoiceUsageCharges(Record):
    """The totals for one fuel: electricity or gas."""

    total_usage_charges: AmountString
    total_generation_credits: AmountString
    total_once_off_charges: AmountString
    total_once_off_discounts: AmountString
    other_charges: list[OtherCharge] | None = None
    total_gst: AmountString | None = None


class InvoiceAccountCharges(Record):
    """The totals that do not belong to a fuel."""

    total_charges: AmountString
    total_discounts: AmountString
    total_gst: AmountString | None = None


class Invoice(Record):
    """An invoice with its totals."""

    account_id: NonEmptyString
    invoice_number: str
    issue_date: DateString
    balance_at_issue: AmountString
    service_points: Annotated[list[str], EMPTY_LIST]
    payment_status: Literal["PAID", "PARTIALLY_PAID", "NOT_PAID"]
    due_date: DateString | None = None
    period: InvoicePeriod | None = None
    invoice_amount: AmountString | None = None
    gst_amount: AmountString | None = None
    pay_on_time_discount: PayOnTimeDiscount | None = None
    gas: InvoiceUsageCharges | None = None
    electricity: InvoiceUsageCharges | None = None
    account_charges: InvoiceAccountCharges | None = None
