"""What energy costs and what is paid for solar energy fed in. CDS 1.36.0, energy."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from openholder.contract.formats import AmountString, DateString, ExternalRef, Record, URIString

MeasureUnit = Literal["KWH", "KVA", "KVAR", "KVARH", "KW", "DAYS", "METER", "MONTH"]
"""What a price is per."""

Day = Literal["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "PUBLIC_HOLIDAYS"]
TimeZone = Literal["LOCAL", "AEST"]
DemandInterval = Literal["DAY", "MONTH", "TARIFF_PERIOD"]

ChargeType = Literal["ENVIRONMENTAL", "REGULATED", "NETWORK", "METERING", "RETAIL_SERVICE", "RCTI", "OTHER"]
"""What a charge is for, in tariffs, invoices and billing alike."""


class Rate(Record):
    """The price of a unit; with a volume, only up to there, and the next rate takes over."""

    unit_price: AmountString
    measure_unit: MeasureUnit | None = None
    volume: Decimal | None = None


class ControlledLoadSingleRate(Record):
    """Prices of a controlled load that are the same at every hour."""

    display_name: str
    rates: list[Rate]
    description: str | None = None
    daily_supply_charge: AmountString | None = None
    period: ExternalRef | None = None


class ControlledLoadTimeOfUse(Record):
    """Hours at which a controlled load is on; when they are not fixed, a text explains them."""

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
    """Tariff of an appliance on a meter of its own, such as a water heater."""

    display_name: str
    rate_block_u_type: Literal["singleRate", "timeOfUseRates"]
    start_date: DateString | None = None
    end_date: DateString | None = None
    single_rate: ControlledLoadSingleRate | None = None
    time_of_use_rates: list[ControlledLoadTimeOfUseRate] | None = None


class TariffPeriodSingleRate(Record):
    """Usage prices that are the same at every hour."""

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
    """What the highest demand within certain hours costs."""

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
    """The tariff of one part of the year. Its bounds are days of any year, hence no dates."""

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
    """What is paid for energy fed in at any hour."""

    rates: list[Rate]
    period: ExternalRef | None = None


class FeedInTimeVariation(Record):
    """Days, and hours of them, at which a price for energy fed in applies."""

    days: list[Day]
    start_time: ExternalRef | None = None
    end_time: ExternalRef | None = None


class TimeVaryingFeedInTariff(Record):
    """What is paid for energy fed in during certain hours."""

    display_name: str
    time_variations: list[FeedInTimeVariation]
    type: Literal["PEAK", "OFF_PEAK", "SHOULDER"] | None = None
    rates: list[Rate] | None = None
    period: ExternalRef | None = None


class PlanSolarFeedInTariff(Record):
    """Who pays for solar energy fed into the grid, and how much."""

    display_name: str
    scheme: Literal["PREMIUM", "CURRENT", "VARIABLE", "OTHER"]
    payer_type: Literal["GOVERNMENT", "RETAILER"]
    tariff_u_type: Literal["singleTariff", "timeVaryingTariffs"]
    description: str | None = None
    start_date: DateString | None = None
    end_date: DateString | None = None
    single_tariff: SingleFeedInTariff | None = None
    time_varying_tariffs: list[TimeVaryingFeedInTariff] | None = None
