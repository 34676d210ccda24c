"""Transactions of an account. CDS 1.36.0, banking."""

from __future__ import annotations

from typing import Literal

from openholder.contract.formats import (
    AmountString,
    CurrencyString,
    DateTimeString,
    ExternalRef,
    NonEmptyString,
    PerhapsEmpty,
    Record,
)

TransactionType = Literal[
    "DIRECT_DEBIT",
    "FEE",
    "INTEREST_CHARGED",
    "INTEREST_PAID",
    "OTHER",
    "PAYMENT",
    "TRANSFER_INCOMING",
    "TRANSFER_OUTGOING",
]
NppPaymentService = Literal["X2P1", "IFTI", "BSCT", "CATSCT"]


class Transaction(Record):
    """A transaction in a list."""

    account_id: NonEmptyString
    is_detail_available: bool
    type: TransactionType
    status: Literal["PENDING", "POSTED"]
    description: str
    amount: AmountString
    reference: PerhapsEmpty
    transaction_id: NonEmptyString | None = None
    posting_date_time: DateTimeString | None = None
    value_date_time: DateTimeString | None = None
    execution_date_time: DateTimeString | None = None
    currency: CurrencyString | None = None
    merchant_name: str | None = None
    merchant_category_code: str | None = None
    instalment_plan_id: str | None = None
    biller_code: str | None = None
    biller_name: str | None = None
    crn: str | None = None
    apca_number: str | None = None


class NppPayload(Record):
    """Data of a payment over the New Payments Platform."""

    service: NppPaymentService
    service_version: ExternalRef
    extended_description: str | None = None
    end_to_end_id: str | None = None
    purpose_code: ExternalRef | None = None


class ExtendedData(Record):
    """The payer, the payee and the data of the payment system."""

    payer: str | None = None
    payee: str | None = None
    extension_u_type: Literal["nppPayload"] | None = None
    npp_payload: NppPayload | None = None


class TransactionDetail(Transaction, kw_only=True):
    """A transaction with all its details."""

    extended_data: ExtendedData
