"""The customer's agreements with the retailer: contracts, discounts, fees. CDS 1.36.0, energy."""

from __future__ import annotations

from typing import Literal

from openholder.contract.formats import AmountString, DateString, ExternalRef, RateString, Record
from openholder.contract.records.energy.tariffs import (
    PlanControlledLoad,
    PlanSolarFeedInTariff,
    PlanTariffPeriod,
    TimeZone,
)

PricingModel = Literal[
    "SINGLE_RATE",
    "SINGLE_RATE_CONT_LOAD",
    "TIME_OF_USE",
    "TIME_OF_USE_CONT_LOAD",
    "FLEXIBLE",
    "FLEXIBLE_CONT_LOAD",
    "QUOTA",
]
PaymentOption = Literal["PAPER_BILL", "CREDIT_CARD", "DIRECT_DEBIT", "BPAY", "OTHER"]
GreenPowerChargeType = Literal[
    "FIXED_PER_DAY", "FIXED_PER_WEEK", "FIXED_PER_MONTH", "FIXED_PER_UNIT", "PERCENT_OF_USE", "PERCENT_OF_BILL"
]
EligibilityType = Literal[
    "EXISTING_CUST",
    "EXISTING_POOL",
    "EXISTING_SOLAR",
    "EXISTING_BATTERY",
    "EXISTING_SMART_METER",
    "EXISTING_BASIC_METER",
    "SENIOR_CARD",
    "SMALL_BUSINESS",
    "NO_SOLAR_FIT",
    "NEW_CUSTOMER",
    "ONLINE_ONLY",
    "REQ_EQUIP_SUPPLIER",
    "THIRD_PARTY_ONLY",
    "SPORT_CLUB_MEMBER",
    "ORG_MEMBER",
    "SPECIFIC_LOCATION",
    "MINIMUM_USAGE",
    "LOYALTY_MEMBER",
    "GROUP_BUY_MEMBER",
    "CONTINGENT_PLAN",
    "OTHER",
]
FeeType = Literal[
    "EXIT",
    "ESTABLISHMENT",
    "LATE_PAYMENT",
    "DISCONNECTION",
    "DISCONNECT_MOVE_OUT",
    "DISCONNECT_NON_PAY",
    "RECONNECTION",
    "CONNECTION",
    "PAYMENT_PROCESSING",
    "CC_PROCESSING",
    "CHEQUE_DISHONOUR",
    "DD_DISHONOUR",
    "MEMBERSHIP",
    "CONTRIBUTION",
    "PAPER_BILL",
    "OTHER",
]
FeeTerm = Literal[
    "FIXED",
    "1_YEAR",
    "2_YEAR",
    "3_YEAR",
    "4_YEAR",
    "5_YEAR",
    "PERCENT_OF_BILL",
    "ANNUAL",
    "DAILY",
    "WEEKLY",
    "MONTHLY",
    "BIANNUAL",
    "VARIABLE",
]


class MeteringCharge(Record):
    """The cost of the meter, as a range."""

    display_name: str
    minimum_value: AmountString
    description: str | None = None
    maximum_value: AmountString | None = None
    period: ExternalRef | None = None


class IntrinsicGreenPower(Record):
    """The share of renewable energy that a contract includes without extra cost."""

    green_percentage: RateString


class PlanIncentives(Record):
    """An incentive for choosing the plan."""

    display_name: str
    description: str
    category: Literal["GIFT", "ACCOUNT_CREDIT", "OTHER"]
    eligibility: str | None = None


class DiscountRate(Record):
    """A discount as a share of the bill or of the usage charges."""

    rate: RateString


class DiscountAmount(Record):
    """A discount as a fixed amount."""

    amount: AmountString


class DiscountOverThreshold(Record):
    """A discount on usage above a threshold."""

    rate: RateString
    usage_amount: AmountString


class PlanDiscounts(Record):
    """A discount. ``method_u_type`` names the member with its calculation."""

    display_name: str
    type: Literal["CONDITIONAL", "GUARANTEED", "OTHER"]
    method_u_type: Literal["percentOfBill", "percentOfUse", "fixedAmount", "percentOverThreshold"]
    description: str | None = None
    category: Literal["PAY_ON_TIME", "DIRECT_DEBIT", "GUARANTEED_DISCOUNT", "OTHER"] | None = None
    end_date: DateString | None = None
    percent_of_bill: DiscountRate | None = None
    percent_of_use: DiscountRate | None = None
    fixed_amount: DiscountAmount | None = None
    percent_over_threshold: DiscountOverThreshold | None = None


class GreenPowerTier(Record):
    """The price of a share of renewable energy."""

    percent_green: RateString
    rate: RateString | None = None
    amount: AmountString | None = None


class PlanGreenPowerCharges(Record):
    """Additional charges for renewable energy, by its share."""

    display_name: str
    scheme: Literal["GREENPOWER", "OTHER"]
    type: GreenPowerChargeType
    tiers: list[GreenPowerTier]
    description: str | None = None


class PlanEligibility(Record):
    """A condition that a customer must meet for the plan."""

    type: EligibilityType
    information: str
    description: str | None = None


class PlanFees(Record):
    """A fee, and how often it is due."""

    type: FeeType
    term: FeeTerm
    amount: AmountString | None = None
    rate: RateString | None = None
    description: str | None = None


class PlanContract(Record):
    """The terms for the supply of one fuel."""

    pricing_model: PricingModel
    is_fixed: bool
    payment_option: list[PaymentOption]
    tariff_period: list[PlanTariffPeriod]
    additional_fee_information: str | None = None
    time_zone: TimeZone | None = None
    variation: str | None = None
    on_expiry_description: str | None = None
    intrinsic_green_power: IntrinsicGreenPower | None = None
    controlled_load: list[PlanControlledLoad] | None = None
    incentives: list[PlanIncentives] | None = None
    discounts: list[PlanDiscounts] | None = None
    green_power_charges: list[PlanGreenPowerCharges] | None = None
    eligibility: list[PlanEligibility] | None = None
    fees: list[PlanFees] | None = None
    solar_feed_in_tariff: list[PlanSolarFeedInTariff] | None = None


class PlanDetail(Record):
    """The contracts of a plan. ``fuel_type`` says which of the two are present."""

    fuel_type: Literal["ELECTRICITY", "GAS", "DUAL"]
    is_contingent_plan: bool | None = None
    metering_charges: list[MeteringCharge] | None = None
    gas_contract: PlanContract | None = None
    electricity_contract: PlanContract | None = None
