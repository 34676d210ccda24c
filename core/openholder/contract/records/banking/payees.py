"""Payees and their accounts. CDS 1.36.0, banking."""

from __future__ import annotations

from typing import Literal

import msgspec

from openholder.contract.formats import DateString, ExternalRef, MaskedString, NonEmptyString, Record

PayeeKind = Literal["biller", "digitalWallet", "domestic", "international"]


class BillerPayee(Record):
    """A company paid through BPAY."""

    biller_code: str
    biller_name: str
    crn: str | None = None


class DomesticPayeeAccount(Record):
    """An Australian bank account as the destination."""

    bsb: str
    account_number: str
    account_name: str | None = None


class DomesticPayeeCard(Record):
    """A card as the destination."""

    card_number: MaskedString


class DomesticPayeePayId(Record):
    """A PayID as the destination."""

    identifier: str
    type: Literal["ABN", "EMAIL", "ORG_IDENTIFIER", "TELEPHONE"]
    name: str | None = None


class DomesticPayee(Record):
    """A payee in Australia. ``payee_account_u_type`` names the member with the destination."""

    payee_account_u_type: Literal["account", "card", "payId"]
    account: DomesticPayeeAccount | None = None
    card: DomesticPayeeCard | None = None
    pay_id: DomesticPayeePayId | None = None


class DigitalWalletPayee(Record):
    """A payee with a digital wallet."""

    name: str
    identifier: str
    type: Literal["EMAIL", "CONTACT_NAME", "TELEPHONE"]
    provider: Literal["PAYPAL_AU", "OTHER"]


class BeneficiaryDetails(Record):
    """The person or company abroad that receives the payment."""

    country: ExternalRef
    name: str | None = None
    message: str | None = None


class BankAddress(Record):
    """Name and address of a bank abroad."""

    name: str
    address: str


class BankDetails(Record):
    """The account abroad, and the codes of its bank in various networks."""

    country: ExternalRef
    account_number: str
    bank_address: BankAddress | None = None
    beneficiary_bank_bic: ExternalRef | None = msgspec.field(default=None, name="beneficiaryBankBIC")
    fed_wire_number: str | None = None
    sort_code: str | None = None
    chip_number: str | None = None
    routing_number: str | None = None
    legal_entity_identifier: ExternalRef | None = None


class InternationalPayee(Record):
    """A payee abroad."""

    beneficiary_details: BeneficiaryDetails
    bank_details: BankDetails


class Payee(Record):
    """An entry of the address book. A list may contain the details too, so all of their members are allowed."""

    payee_id: NonEmptyString
    nickname: str
    type: Literal["BILLER", "DIGITAL_WALLET", "DOMESTIC", "INTERNATIONAL"]
    description: str | None = None
    creation_date: DateString | None = None
    payee_u_type: PayeeKind | None = None
    biller: BillerPayee | None = None
    domestic: DomesticPayee | None = None
    digital_wallet: DigitalWalletPayee | None = None
    international: InternationalPayee | None = None


class PayeeDetail(Payee, kw_only=True):
    """A payee with the destination of payments. ``payee_u_type`` names the member that has it."""

    payee_u_type: PayeeKind
