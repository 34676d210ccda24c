"""Accounts, transactions and statements in the FDX shape.

The first members of each record are those of Fiskil's public pages on FDX v6. The others are those that public
descriptions of FDX implementations name. Where they only give examples of values, and for times and days that Fiskil's
pages do not show, a member takes any text. Members that identify a person or an account beyond what Fiskil shows
(``taxId``, ``dateOfBirth``, ``accountNumber`` and the like) are not declared: they leave only if the setting
``open_members`` names them.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import field

from openholder.contract.formats import DateString, DateTimeString, NonEmptyString, Record, ShortID


class Currency(Record):
    """The currency of an account."""

    currency_code: str | None = None
    currency_rate: Decimal | None = None
    original_currency_code: str | None = None


class Attribute(Record):
    """A name and a value that the data holder defines."""

    name: str | None = None
    value: str | None = None


class Account(Record):
    """An account in a list."""

    account_id: ShortID
    account_category: str | None = None
    account_type: str | None = None
    account_number_display: str | None = None
    product_name: str | None = None
    nickname: str | None = None
    status: str | None = None
    currency: Currency | None = None
    description: str | None = None


class Bill(Record):
    """A bill that the account owes."""

    total_payment_due: Decimal | None = None
    minimum_payment_due: Decimal | None = None
    due_date: str | None = None
    auto_pay_enabled: bool | None = None
    auto_pay_amount: Decimal | None = None
    auto_pay_date: str | None = None
    past_due_amount: Decimal | None = None
    last_payment_amount: Decimal | None = None
    last_payment_date: str | None = None
    statement_balance: Decimal | None = None
    statement_date: str | None = None


class SecurityId(Record):
    """The identifier of a security, and the system that it belongs to."""

    id: str | None = None
    id_type: str | None = None


class AssetClass(Record):
    """The share of one class of assets."""

    asset_class: str | None = None
    percent: Decimal | None = None


class Holding(Record):
    """A position of an investment account."""

    security_ids: list[SecurityId] | None = None
    security_id: str | None = None
    security_id_type: str | None = None
    holding_name: str | None = None
    holding_type: str | None = None
    holding_sub_type: str | None = None
    position_type: str | None = None
    held_in_account: str | None = None
    description: str | None = None
    symbol: str | None = None
    original_purchase_date: str | None = None
    purchased_price: Decimal | None = None
    current_amortization_factor: Decimal | None = None
    current_unit_price: Decimal | None = None
    change_in_price: Decimal | None = None
    current_unit_price_date: str | None = None
    units: Decimal | None = None
    market_value: Decimal | None = None
    face_value: Decimal | None = None
    average_cost: bool | None = None
    cash_account: bool | None = None
    rate: Decimal | None = None
    expiration_date: str | None = None
    inv401k_source: str | None = None
    digital_units: str | None = None
    asset_classes: list[AssetClass] | None = None


class OpenOrder(Record):
    """An order of an investment account that has not been carried out."""

    order_id: str | None = None
    security_id: str | None = None
    security_id_type: str | None = None
    symbol: str | None = None
    description: str | None = None
    units: Decimal | None = None
    order_type: str | None = None
    order_date: str | None = None
    unit_price: Decimal | None = None
    unit_type: str | None = None
    order_duration: str | None = None
    sub_account: str | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    inv401k_source: str | None = None


class InvestmentBalance(Record):
    """A named balance of an investment account."""

    balance_name: str | None = None
    balance_description: str | None = None
    balance_type: str | None = None
    balance_value: Decimal | None = None
    balance_date: str | None = None
    currency: Currency | None = None


class Contribution(Record):
    """What employee and employer pay into a security of a pension plan."""

    security_id: str | None = None
    security_id_type: str | None = None
    employer_match_percentage: Decimal | None = None
    employer_match_amount: Decimal | None = None
    employee_pre_tax_amount: Decimal | None = None
    employee_pre_tax_percentage: Decimal | None = None
    employee_after_tax_amount: Decimal | None = None
    employee_after_tax_percentage: Decimal | None = None
    employee_defer_pre_tax_amount: Decimal | None = None
    employee_defer_pre_tax_percentage: Decimal | None = None
    employee_year_to_date: Decimal | None = None
    employer_year_to_date: Decimal | None = None
    rollover_contribution_percentage: Decimal | None = None
    rollover_contribution_amount: Decimal | None = None


class InvestmentLoan(Record):
    """A loan against an investment account."""

    loan_id: str | None = None
    loan_description: str | None = None
    initial_loan_balance: Decimal | None = None
    loan_start_date: str | None = None
    current_loan_balance: Decimal | None = None
    date_as_of: str | None = None
    loan_rate: Decimal | None = None
    loan_payment_amount: Decimal | None = None
    loan_payment_frequency: str | None = None
    loan_payment_initial: Decimal | None = None
    loan_payments_remaining: int | None = None
    loan_maturity_date: str | None = None
    loan_interest_to_date: Decimal | None = None
    loan_total_projected_interest: Decimal | None = None
    loan_next_payment_date: str | None = None


class PensionSource(Record):
    """A source of pension payments."""

    display_name: str | None = None
    amount: Decimal | None = None
    payment_option: str | None = None
    as_of_date: str | None = None
    frequency: str | None = None
    start_date: str | None = None


class AccountDetail(Account):
    """An account with its balances, and the terms of deposits, loans, lines of credit and investments."""

    current_balance: Decimal | None = None
    available_balance: Decimal | None = None

    # Of every category
    display_name: str | None = None
    parent_account_id: str | None = None
    line_of_business: str | None = None
    routing_transit_number: str | None = None
    balance_type: str | None = None
    balance_as_of: str | None = None
    account_open_date: str | None = None
    account_close_date: str | None = None
    interest_rate: Decimal | None = None
    interest_rate_type: str | None = None
    interest_rate_as_of: str | None = None
    prior_interest_rate: Decimal | None = None
    transfer_in: bool | None = None
    transfer_out: bool | None = None
    bill_pay_status: str | None = None
    last_activity_date: str | None = None
    reward_program_id: str | None = None
    transactions_included: bool | None = None
    fi_attributes: list[Attribute] | None = None

    # Of deposits
    opening_day_balance: Decimal | None = None
    annual_percentage_yield: Decimal | None = None
    interest_ytd: Decimal | None = None
    term: int | None = None
    maturity_date: str | None = None

    # Of loans
    principal_balance: Decimal | None = None
    escrow_balance: Decimal | None = None
    original_principal: Decimal | None = None
    originating_date: str | None = None
    loan_term: int | None = None
    total_number_of_payments: int | None = None
    next_payment_amount: Decimal | None = None
    next_payment_date: str | None = None
    pay_off_amount: Decimal | None = None
    last_payment_amount: Decimal | None = None
    last_payment_date: str | None = None
    interest_paid_year_to_date: Decimal | None = None

    # Of lines of credit
    credit_line: Decimal | None = None
    available_credit: Decimal | None = None
    minimum_payment_amount: Decimal | None = None
    past_due_amount: Decimal | None = None
    last_stmt_balance: Decimal | None = None
    last_stmt_date: str | None = None
    purchases_apr: Decimal | None = None
    advances_apr: Decimal | None = None
    cash_advance_limit: Decimal | None = None
    available_cash: Decimal | None = None
    finance_charges: Decimal | None = None
    card_network: str | None = None
    bills: list[Bill] | None = None

    # Of investments
    allowed_check_writing: bool | None = None
    allowed_option_trade: bool | None = None
    current_value: Decimal | None = None
    available_cash_balance: Decimal | None = None
    margin: bool | None = None
    margin_balance: Decimal | None = None
    short_balance: Decimal | None = None
    rollover_amount: Decimal | None = None
    employer_name: str | None = None
    broker_id: str | None = None
    plan_id: str | None = None
    calendar_year_for_401k: int | None = None
    daily_change: Decimal | None = None
    percentage_change: Decimal | None = None
    holdings: list[Holding] | None = None
    open_orders: list[OpenOrder] | None = None
    balance_list: list[InvestmentBalance] | None = None
    contribution: list[Contribution] | None = None
    investment_loans: list[InvestmentLoan] | None = None
    pension_source: list[PensionSource] | None = None


class PaymentDetails(Record):
    """The parts of a payment of a loan."""

    principal_amount: Decimal | None = None
    interest_amount: Decimal | None = None
    insurance_amount: Decimal | None = None
    escrow_amount: Decimal | None = None
    pmi_amount: Decimal | None = None
    fees_amount: Decimal | None = None


class Transaction(Record):
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

    reference_transaction_id: str | None = None
    memo: str | None = None
    category: str | None = None
    sub_category: str | None = None
    reference: str | None = None
    foreign_amount: Decimal | None = None
    foreign_currency: str | None = None
    image_ids: list[str] | None = None
    payment_details: PaymentDetails | None = None
    fi_attributes: list[Attribute] | None = None

    # Of investments
    shares: Decimal | None = None
    face_value: Decimal | None = None
    price: Decimal | None = None
    security_id: str | None = None
    security_id_type: str | None = None
    security_type: str | None = None
    symbol: str | None = None
    markup: Decimal | None = None
    commission: Decimal | None = None
    taxes: Decimal | None = None
    fees: Decimal | None = None
    load: Decimal | None = None
    inv401k_source: str | None = None
    confirmation_number: str | None = None
    fractional_cash: Decimal | None = None
    income_type: str | None = None
    old_units: Decimal | None = None
    split_ratio_numerator: Decimal | None = None
    split_ratio_denominator: Decimal | None = None
    new_units: Decimal | None = None
    sub_account_sec: str | None = None
    sub_account_fund: str | None = None
    loan_id: str | None = None
    loan_principal: Decimal | None = None
    loan_interest: Decimal | None = None
    payroll_date: str | None = None
    prior_year_contrib: bool | None = None
    withholding: Decimal | None = None
    tax_exempt: bool | None = None
    gain: Decimal | None = None
    state_withholding: Decimal | None = None
    penalty: Decimal | None = None
    running_balance: Decimal | None = None
    unit_price: Decimal | None = None
    units: Decimal | None = None
    unit_type: str | None = None
    transaction_reason: str | None = None
    accrued_interest: Decimal | None = None
    transfer_action: str | None = None
    position_type: str | None = None
    ticker: str | None = None


class StatementLink(Record):
    """A link to a statement's document, with its formats."""

    href: str | None = None
    rel: str | None = None
    action: str | None = None
    types: list[str] | None = None


class Statement(Record):
    """A statement of an account; the document itself is linked to."""

    statement_id: ShortID
    account_id: ShortID | None = None
    statement_date: DateString | None = None
    description: str | None = None
    links: list[StatementLink] | None = None
    status: str | None = None


class TransferLimit(Record):
    """How much and how often may be transferred until a moment."""

    resets_on: str | None = None
    transfer_max_amount: Decimal | None = None
    transfer_remaining_amount: Decimal | None = None
    max_occurrence: int | None = None
    remaining_occurrence: int | None = None


class TransferPeriods(Record):
    """The limits of one direction by period."""

    day: TransferLimit | None = None
    week: TransferLimit | None = None
    month: TransferLimit | None = None
    year: TransferLimit | None = None
    transaction: TransferLimit | None = None


class TransferLimits(Record):
    """The limits of transfers in and out."""

    in_: TransferPeriods | None = field(name="in", default=None)
    out: TransferPeriods | None = None


class PaymentNetwork(Record):
    """The identifier of an account in a payment network."""

    bank_id: str | None = None
    identifier: str | None = None
    type: str | None = None
    transfer_in: bool | None = None
    transfer_out: bool | None = None
    identifier_type: str | None = None
    supports_request_for_payment: bool | None = None
    transfer_limits: TransferLimits | None = None


class PersonName(Record):
    """The parts of a person's name, or the name of a company."""

    first: str | None = None
    middle: str | None = None
    last: str | None = None
    suffix: str | None = None
    prefix: str | None = None
    company: str | None = None


class AccountHolder(Record):
    """An owner of the account, alone or jointly."""

    relationship: str | None = None
    name: PersonName | None = None


class Address(Record):
    """A postal address."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None
    line3: str | None = None
    type: str | None = None


class Telephone(Record):
    """A telephone number, with its country code in a separate member."""

    type: str | None = None
    country: str | None = None
    number: str | None = None


class Contact(Record):
    """The owners of an account and their contact details."""

    holders: list[AccountHolder] | None = None
    emails: list[str] | None = None
    addresses: list[Address] | None = None
    telephones: list[Telephone] | None = None
