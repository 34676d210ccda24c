"""Energy prices and solar feed-in tariffs. CDS 1.36.0, energy."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from openholder.contract.formats import AmountString, DateString, ExternalRef, Record, URIString

MeasureUnit = Literal["KWH", "KVA", "KVAR", "KVARH", "KW", "DAYS", "METER", "MONTH"]
"""The unit of a price."""

Day = Literal["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "PUBLIC_HOLIDAYS"]
TimeZone = Literal["LOCAL", "AEST"]
DemandInterval = Literal["DAY", "MONTH", "TARIFF_PERIOD"]

ChargeType = Literal["ENVIRONMENTAL", "REGULATED", "NETWORK", "METERING", "RETAIL_SERVICE", "RCTI", "OTHER"]
"""The type of a charge, in tariffs, invoices and billing."""


class Rate(Record):
    """The price of a unit. With a volume it applies up to that volume; the next rate applies above it."""

    unit_price: AmountString
    measure_unit: MeasureUnit | None = None
    volume: Decimal | None = None


class ControlledLoadSingleRate(Record):
    """Prices of a controlled load that are the same at all hours."""

    display_name: str
    rates: list[Rate]
    description: str | None = None
    daily_supply_charge: AmountString | None = None
    period: ExternalRef | None = None


class ControlledLoadTimeOfUse(Record):
    """The hours of a controlled load, or a text that describes them if they are not fixed."""

    days: list[Day] | None = None
    start_time: ExternalRef | None = None
    end_time: ExternalRef | None = None
    additional_info: str | None = None
    additional_info_uri: URIString | None = None


class ControlledLoadTimeOfUseRate(Record):
    """Prices of a controlled load during certain hours."""

    display_name: str
    rates: list[Rate]
    time_of_use: list[ControlledLoadTimeOfUse]
    type: Literal["PEAK", "OFF_PEAK", "SHOULDER", "SOLAR_SPONGE"]
    description: str | None = None
    daily_supply_charge: AmountString | None = None
    period: ExternalRef | None = None


class PlanControlledLoad(Record):
    """The tariff of an appliance with a separate meter, such as a water heater."""

    display_name: str
    rate_block_u_type: Literal["singleRate", "timeOfUseRates"]
    start_date: DateString | None = None
    end_date: DateString | None = None
    single_rate: ControlledLoadSingleRate | None = None
    time_of_use_rates: list[ControlledLoadTimeOfUseRate] | None = None


class TariffPeriodSingleRate(Record):
    """Usage prices that are the same at all hours."""

    display_name: str
    rates: list[Rate]
    description: str | None = None
    general_unit_price: AmountString | None = None
    period: ExternalRef | None = None


class TariffPeriodTimeOfUse(Record):
    """Days and hours at which a usage price applies."""

    days: list[Day]
    start_time: ExternalRef
    end_time: ExternalRef


class TariffPeriodTimeOfUseRate(Record):
    """Usage prices during certain hours."""

    display_name: str
    rates: list[Rate]
    time_of_use: list[TariffPeriodTimeOfUse]
    type: Literal["PEAK", "OFF_PEAK", "SHOULDER", "SHOULDER1", "SHOULDER2"]
    description: str | None = None
    period: ExternalRef | None = None


class DemandCharge(Record):
    """The charge for the highest demand within certain hours."""

    display_name: str
    amount: AmountString
    start_time: ExternalRef
    end_time: ExternalRef
    measurement_period: DemandInterval
    charge_period: DemandInterval
    description: str | None = None
    measure_unit: MeasureUnit | None = None
    days: list[Day] | None = None
    min_demand: AmountString | None = None
    max_demand: AmountString | None = None


class PlanTariffPeriod(Record):
    """The tariff of a part of the year. It begins and ends on days without a year, so they are not dates."""

    display_name: str
    start_date: str
    end_date: str
    rate_block_u_type: Literal["singleRate", "timeOfUseRates", "demandCharges"]
    type: ChargeType | None = None
    daily_supply_charge_type: Literal["SINGLE", "BAND"] | None = None
    daily_supply_charge: AmountString | None = None
    banded_daily_supply_charges: list[Rate] | None = None
    time_zone: TimeZone | None = None
    single_rate: TariffPeriodSingleRate | None = None
    time_of_use_rates: list[TariffPeriodTimeOfUseRate] | None = None
    demand_charges: list[DemandCharge] | None = None


class SingleFeedInTariff(Record):
    """The price paid for energy fed in at any hour."""

    rates: list[Rate]
    period: ExternalRef | None = None


class FeedInTimeVariation(Record):
    """Days and hours at which a feed-in price applies."""

    days: list[Day]
    start_time: ExternalRef | None = None
    end_time: ExternalRef | None = None


class TimeVaryingFeedInTariff(Record):
    """The price paid for energy fed in during certain hours."""

    display_name: str
    time_variations: list[FeedInTimeVariation]
    type: Literal["PEAK", "OFF_PEAK", "SHOULDER"] | None = None
    rates: list[Rate] | None = None
    period: ExternalRef | None = None


class PlanSolarFeedInTariff(Record):
    """A solar feed-in tariff, and who pays it."""

    display_name: str
    scheme: Literal["PREMIUM", "CURRENT", "VARIABLE", "OTHER"]
    payer_type: Literal["GOVERNMENT", "RETAILER"]
    tariff_u_type: Literal["singleTariff", "timeVaryingTariffs"]
    description: str | None = None
    start_date: DateString | None = None
    end_date: DateString | None = None
    single_tariff: SingleFeedInTariff | None = None
    time_varying_tariffs: list[TimeVaryingFeedInTariff] | None = None
