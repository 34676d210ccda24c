"""Charges to an energy account, and payments. CDS 1.36.0, energy."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from openholder.contract.formats import AmountString, DateString, DateTimeString, NonEmptyString, Record
from openholder.contract.records.energy.tariffs import ChargeType, MeasureUnit

UsageTime = Literal[
    "PEAK",
    "OFF_PEAK",
    "OFF_PEAK_DEMAND_CHARGE",
    "SHOULDER",
    "SHOULDER1",
    "SHOULDER2",
    "CONTROLLED_LOAD",
    "SOLAR",
    "AGGREGATE",
    "ALL_DAY",
]
DemandTime = Literal[UsageTime, "EXCESS"]
"""The hours that a charge applies to. Only demand has ``EXCESS``."""


class CalculationFactor(Record):
    """A loss factor included in an amount."""

    value: Decimal
    type: Literal["DLF", "MLF"]


class Adjustment(Record):
    """An adjustment included in an amount."""

    amount: AmountString
    description: str


class BillingUsageTransaction(Record):
    """A charge for energy used, or a credit for energy fed in."""

    time_of_use_type: UsageTime
    start_date: DateTimeString
    end_date: DateTimeString
    usage: Decimal
    amount: AmountString
    service_point_id: str | None = None
    invoice_number: str | None = None
    description: str | None = None
    is_estimate: bool | None = None
    measure_unit: MeasureUnit | None = None
    calculation_factors: list[CalculationFactor] | None = None
    adjustments: list[Adjustment] | None = None


class BillingDemandTransaction(Record):
    """A charge for the highest demand within a period."""

    time_of_use_type: DemandTime
    start_date: DateTimeString
    end_date: DateTimeString
    rate: Decimal
    amount: AmountString
    service_point_id: str | None = None
    invoice_number: str | None = None
    description: str | None = None
    is_estimate: bool | None = None
    measure_unit: MeasureUnit | None = None
    calculation_factors: list[CalculationFactor] | None = None
    adjustments: list[Adjustment] | None = None


class BillingOnceOffTransaction(Record):
    """A one-off charge or credit."""

    amount: AmountString
    description: str
    service_point_id: str | None = None
    invoice_number: str | None = None


class BillingOtherTransaction(Record):
    """A charge for something other than usage or demand."""

    amount: AmountString
    description: str
    service_point_id: str | None = None
    invoice_number: str | None = None
    start_date: DateString | None = None
    end_date: DateString | None = None
    type: ChargeType | None = None
    calculation_factors: list[CalculationFactor] | None = None
    adjustments: list[Adjustment] | None = None


class BillingPaymentTransaction(Record):
    """A payment by the customer."""

    amount: AmountString
    method: Literal["DIRECT_DEBIT", "CARD", "TRANSFER", "BPAY", "CASH", "CHEQUE", "OTHER"]


class BillingTransaction(Record):
    """A billing transaction. ``transaction_u_type`` names the member with the details."""

    account_id: NonEmptyString
    execution_date_time: DateTimeString
    transaction_u_type: Literal["usage", "demand", "onceOff", "otherCharges", "payment"]
    gst: AmountString | None = None
    usage: BillingUsageTransaction | None = None
    demand: BillingDemandTransaction | None = None
    once_off: BillingOnceOffTransaction | None = None
    other_charges: BillingOtherTransaction | None = None
    payment: BillingPaymentTransaction | None = None
