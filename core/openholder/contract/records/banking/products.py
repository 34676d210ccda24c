"""The rates, features, fees and discounts of a product. CDS 1.36.0, banking."""

from __future__ import annotations

from typing import Literal

from openholder.contract.formats import AmountString, CurrencyString, ExternalRef, RateString, Record, URIString

ApplicationType = Literal["MATURITY", "PERIODIC", "UPFRONT"]
RepaymentType = Literal["INTEREST_ONLY", "OTHER", "PRINCIPAL_AND_INTEREST", "UNCONSTRAINED"]
LoanPurpose = Literal["INVESTMENT", "OTHER", "OWNER_OCCUPIED", "UNCONSTRAINED"]
RateApplicability = Literal[
    "MIN_DEPOSITS",
    "MIN_DEPOSIT_AMOUNT",
    "DEPOSIT_BALANCE_INCREASED",
    "EXISTING_CUST",
    "NEW_ACCOUNTS",
    "NEW_CUSTOMER",
    "NEW_CUSTOMER_TO_GROUP",
    "ONLINE_ONLY",
    "OTHER",
    "MIN_PURCHASES",
    "MAX_WITHDRAWALS",
    "MAX_WITHDRAWAL_AMOUNT",
]
DepositRateType = Literal[
    "BONUS",
    "BUNDLE_BONUS",
    "FIXED",
    "FLOATING",
    "INTRODUCTORY",
    "MARKET_LINKED",
    "VARIABLE",
]
LendingRateType = Literal[
    "BALANCE_TRANSFER",
    "BUNDLE_DISCOUNT_FIXED",
    "BUNDLE_DISCOUNT_VARIABLE",
    "CASH_ADVANCE",
    "DISCOUNT",
    "FIXED",
    "FLOATING",
    "INTRODUCTORY",
    "MARKET_LINKED",
    "PENALTY",
    "PURCHASE",
    "VARIABLE",
]
FeatureType = Literal[
    "ADDITIONAL_CARDS",
    "BALANCE_TRANSFERS",
    "BILL_PAYMENT",
    "BONUS_REWARDS",
    "CARD_ACCESS",
    "CASHBACK_OFFER",
    "COMPLEMENTARY_PRODUCT_DISCOUNTS",
    "EXTRA_DOWN_PAYMENT",
    "DIGITAL_BANKING",
    "DIGITAL_WALLET",
    "DONATE_INTEREST",
    "EXTRA_REPAYMENTS",
    "FRAUD_PROTECTION",
    "FREE_TXNS",
    "FREE_TXNS_ALLOWANCE",
    "FUNDS_AVAILABLE_AFTER",
    "GUARANTOR",
    "INSTALMENT_PLAN",
    "INSURANCE",
    "INTEREST_FREE",
    "INTEREST_FREE_TRANSFERS",
    "LOYALTY_PROGRAM",
    "NOTIFICATIONS",
    "NPP_ENABLED",
    "NPP_PAYID",
    "OFFSET",
    "OTHER",
    "OVERDRAFT",
    "REDRAW",
    "RELATIONSHIP_MANAGEMENT",
    "UNLIMITED_TXNS",
]
FeeType = Literal[
    "CASH_ADVANCE",
    "DEPOSIT",
    "DISHONOUR",
    "ENQUIRY",
    "EVENT",
    "EXIT",
    "LATE_PAYMENT",
    "OTHER",
    "PAYMENT",
    "PERIODIC",
    "PURCHASE",
    "REPLACEMENT",
    "TRANSACTION",
    "UPFRONT",
    "UPFRONT_PER_PLAN",
    "VARIATION",
    "WITHDRAWAL",
]
DiscountType = Literal["BALANCE", "DEPOSITS", "ELIGIBILITY_ONLY", "FEE_CAP", "PAYMENTS"]
DiscountEligibilityType = Literal[
    "BUSINESS",
    "EMPLOYMENT_STATUS",
    "INTRODUCTORY",
    "MAX_AGE",
    "MIN_AGE",
    "MIN_INCOME",
    "MIN_TURNOVER",
    "NATURAL_PERSON",
    "OTHER",
    "PENSION_RECIPIENT",
    "RESIDENCY_STATUS",
    "STAFF",
    "STUDENT",
]


class RateCondition(Record):
    """The conditions under which a rate or tier applies."""

    rate_applicability_type: RateApplicability
    additional_value: str | None = None
    additional_info: str | None = None
    additional_info_uri: URIString | None = None


class RateTier(Record):
    """The range in which a rate applies, in money, time or per cent."""

    name: str
    unit_of_measure: Literal["DAY", "DOLLAR", "MONTH", "PERCENT"]
    minimum_value: str
    maximum_value: str | None = None
    rate_application_method: Literal["PER_TIER", "WHOLE_BALANCE"] | None = None
    applicability_conditions: list[RateCondition] | None = None
    additional_info: str | None = None
    additional_info_uri: URIString | None = None


class DepositRate(Record):
    """Interest that the customer receives."""

    deposit_rate_type: DepositRateType
    rate: RateString
    application_type: ApplicationType
    calculation_frequency: ExternalRef | None = None
    application_frequency: ExternalRef | None = None
    tiers: list[RateTier] | None = None
    applicability_conditions: list[RateCondition] | None = None
    additional_value: str | None = None
    additional_info: str | None = None
    additional_info_uri: URIString | None = None


class LendingRate(Record):
    """Interest that the customer pays."""

    lending_rate_type: LendingRateType
    rate: RateString
    application_type: ApplicationType
    repayment_type: RepaymentType
    loan_purpose: LoanPurpose
    comparison_rate: RateString | None = None
    calculation_frequency: ExternalRef | None = None
    application_frequency: ExternalRef | None = None
    interest_payment_due: Literal["IN_ADVANCE", "IN_ARREARS"] | None = None
    tiers: list[RateTier] | None = None
    applicability_conditions: list[RateCondition] | None = None
    additional_value: str | None = None
    additional_info: str | None = None
    additional_info_uri: URIString | None = None


class Feature(Record):
    """A feature of the product."""

    feature_type: FeatureType
    additional_value: str | None = None
    additional_info: str | None = None
    additional_info_uri: URIString | None = None


class FeeDiscountAmount(Record):
    """A reduction of a fee by a fixed amount."""

    amount: AmountString


class FeeDiscountRange(Record):
    """The minimum and maximum of a discount."""

    discount_minimum: AmountString | None = None
    discount_maximum: AmountString | None = None


class FeeDiscountRate(Record):
    """A reduction of a fee by a rate, and the base of the rate."""

    rate_type: Literal["BALANCE", "FEE", "INTEREST_ACCRUED", "TRANSACTION"]
    rate: RateString
    amount_range: FeeDiscountRange | None = None


class DiscountEligibility(Record):
    """A condition for a discount."""

    discount_eligibility_type: DiscountEligibilityType
    additional_value: str | None = None
    additional_info: str | None = None
    additional_info_uri: URIString | None = None


class Discount(Record):
    """A discount on a fee. ``discount_method_u_type`` names the member with its amount."""

    description: str
    discount_type: DiscountType
    discount_method_u_type: Literal["fixedAmount", "rateBased"]
    fixed_amount: FeeDiscountAmount | None = None
    rate_based: FeeDiscountRate | None = None
    additional_value: str | None = None
    additional_info: str | None = None
    additional_info_uri: URIString | None = None
    eligibility: list[DiscountEligibility] | None = None


class FeeAmount(Record):
    """A fee of a fixed amount."""

    amount: AmountString


class FeeRange(Record):
    """The minimum and maximum of a fee."""

    fee_minimum: AmountString | None = None
    fee_maximum: AmountString | None = None


class FeeRate(Record):
    """A fee as a rate, and the base of the rate."""

    rate_type: Literal["BALANCE", "INTEREST_ACCRUED", "TRANSACTION"]
    rate: RateString
    accrual_frequency: ExternalRef | None = None
    amount_range: FeeRange | None = None


class Fee(Record):
    """A fee. ``fee_method_u_type`` names the member with its amount."""

    name: str
    fee_type: FeeType
    fee_method_u_type: Literal["fixedAmount", "rateBased", "variable"]
    fixed_amount: FeeAmount | None = None
    rate_based: FeeRate | None = None
    variable: FeeRange | None = None
    fee_cap: AmountString | None = None
    fee_cap_period: ExternalRef | None = None
    currency: CurrencyString | None = None
    additional_value: str | None = None
    additional_info: str | None = None
    additional_info_uri: URIString | None = None
    discounts: list[Discount] | None = None
