"""Accounts, in brief and in full. CDS 1.36.0, banking."""

from __future__ import annotations

from typing import Literal

from openholder.contract.formats import (
    AmountString,
    CurrencyString,
    DateString,
    ExternalRef,
    MaskedString,
    NaturalNumber,
    NonEmptyString,
    PositiveInteger,
    RateString,
    Record,
)
from openholder.contract.records.auth import AccountUser
from openholder.contract.records.banking.products import DepositRate, Feature, Fee, LendingRate, RepaymentType
from openholder.contract.records.common import PhysicalAddress

AccountOwnership = Literal["UNKNOWN", "ONE_PARTY", "TWO_PARTY", "MANY_PARTY", "OTHER"]
MaturityInstructions = Literal["HOLD_ON_MATURITY", "PAID_OUT_AT_MATURITY", "ROLLED_OVER"]
ProductCategory = Literal[
    "BUSINESS_LOANS",
    "BUY_NOW_PAY_LATER",
    "CRED_AND_CHRG_CARDS",
    "LEASES",
    "MARGIN_LOANS",
    "OVERDRAFTS",
    "PERS_LOANS",
    "REGULATED_TRUST_ACCOUNTS",
    "RESIDENTIAL_MORTGAGES",
    "TERM_DEPOSITS",
    "TRADE_FINANCE",
    "TRANS_AND_SAVINGS_ACCOUNTS",
    "TRAVEL_CARDS",
]


class Account(Record):
    """An account in brief."""

    account_id: NonEmptyString
    display_name: str
    account_ownership: AccountOwnership
    masked_number: MaskedString
    product_category: ProductCategory
    product_name: str
    creation_date: DateString | None = None
    nickname: str | None = None
    open_status: Literal["CLOSED", "OPEN"] | None = None
    is_owned: bool | None = None
    is_instalment_detail_available: bool | None = None


class Instalments(Record):
    """The limits within which purchases can be paid in instalments."""

    minimum_split: PositiveInteger
    maximum_split: PositiveInteger
    maximum_concurrent_plans: NaturalNumber | None = None
    instalments_limit: AmountString | None = None
    minimum_plan_value: AmountString | None = None
    maximum_plan_value: AmountString | None = None


class TermDepositAccount(Record):
    """A term deposit, and what happens when it matures."""

    lodgement_date: DateString
    maturity_date: DateString
    maturity_instructions: MaturityInstructions
    maturity_amount: AmountString | None = None
    maturity_currency: CurrencyString | None = None


class CreditCardAccount(Record):
    """The next payment due on a credit card."""

    min_payment_amount: AmountString
    payment_due_amount: AmountString
    payment_due_date: DateString
    payment_currency: CurrencyString | None = None


class LoanAccount(Record):
    """A loan and its repayment."""

    repayment_type: RepaymentType
    original_start_date: DateString | None = None
    original_loan_amount: AmountString | None = None
    original_loan_currency: CurrencyString | None = None
    loan_end_date: DateString | None = None
    next_instalment_date: DateString | None = None
    min_instalment_amount: AmountString | None = None
    min_instalment_currency: CurrencyString | None = None
    max_redraw: AmountString | None = None
    max_redraw_currency: CurrencyString | None = None
    min_redraw: AmountString | None = None
    min_redraw_currency: CurrencyString | None = None
    offset_account_enabled: bool | None = None
    offset_account_ids: list[NonEmptyString] | None = None
    repayment_frequency: ExternalRef | None = None


class AccountFeature(Feature):
    """A feature of the product, and whether this account has activated it."""

    is_activated: Literal["ACTIVATED", "NOT_ACTIVATED", "UNKNOWN"] | None = None


class AccountDetail(Account):
    """An account with its numbers, rates, fees and features. ``specific_account_u_type`` is its type."""

    bsb: str | None = None
    account_number: str | None = None
    bundle_name: str | None = None
    instalments: Instalments | None = None
    specific_account_u_type: Literal["creditCard", "loan", "termDeposit"] | None = None
    term_deposit: list[TermDepositAccount] | None = None
    credit_card: CreditCardAccount | None = None
    loan: LoanAccount | None = None
    deposit_rate: RateString | None = None
    lending_rate: RateString | None = None
    deposit_rates: list[DepositRate] | None = None
    lending_rates: list[LendingRate] | None = None
    features: list[AccountFeature] | None = None
    fees: list[Fee] | None = None
    addresses: list[PhysicalAddress] | None = None


class DeprecatedAccount(AccountDetail):
    """An item of the deprecated account list: an account in full, with its users."""

    complex_account_type: str | None = None
    users: list[AccountUser] | None = None
