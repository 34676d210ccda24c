"""The conditions of the energy records. CDS 1.36.0, energy."""

from __future__ import annotations

from openholder.contract.conditions.kinds import Beside, Condition, Either, Unless, Where, Without, name_objects
from openholder.contract.records.energy.accounts import AccountBase, AccountDetail
from openholder.contract.records.energy.billing import BillingTransaction
from openholder.contract.records.energy.invoices import Invoice
from openholder.contract.records.energy.payments import Concession, DirectDebit, PaymentSchedule
from openholder.contract.records.energy.plans import (
    PlanContract,
    PlanDetail,
    PlanDiscounts,
    PlanFees,
    PlanGreenPowerCharges,
)
from openholder.contract.records.energy.tariffs import (
    ControlledLoadTimeOfUse,
    PlanControlledLoad,
    PlanSolarFeedInTariff,
    PlanTariffPeriod,
)

_ACCOUNT = "EnergyAccountDetailV4"
_OPEN = Where("openStatus", (None, "OPEN"))
_CONTRACT = "EnergyPlanContractV3"
_PERIOD = "EnergyPlanTariffPeriodV2"
_TIME_OF_USE = "EnergyPlanControlledLoadV2_timeOfUse"
_CONCESSION = "EnergyConcession"
_DEBIT = "EnergyPaymentSchedule_directDebit"
_NOT_TOKENISED = Where("isTokenised", (None, False))

ACCOUNTS = (
    Condition(AccountBase, "creationDate", _OPEN, "EnergyAccountBaseV2"),
    Condition(AccountDetail, "plans[].planOverview", _OPEN, f"{_ACCOUNT}_plans"),
    Condition(AccountDetail, "plans[].planDetail", _OPEN, f"{_ACCOUNT}_plans"),
    Condition(PlanDetail, "gasContract", Where("fuelType", ("GAS", "DUAL")), f"{_ACCOUNT}_planDetail"),
    Condition(PlanDetail, "electricityContract", Where("fuelType", ("ELECTRICITY", "DUAL")), f"{_ACCOUNT}_planDetail"),
    Condition(PlanContract, "timeZone", Where("pricingModel", ("TIME_OF_USE",)), _CONTRACT),
    Condition(PlanContract, "variation", Where("isFixed", (False,)), _CONTRACT),
    Condition(
        PlanContract,
        "controlledLoad",
        Where("pricingModel", ("SINGLE_RATE_CONT_LOAD", "TIME_OF_USE_CONT_LOAD", "FLEXIBLE_CONT_LOAD")),
        _CONTRACT,
    ),
    Condition(
        PlanContract,
        "tariffPeriod[].singleRate.generalUnitPrice",
        Where("pricingModel", ("QUOTA",)),
        f"{_PERIOD}_singleRate",
    ),
    *name_objects(PlanTariffPeriod, "rateBlockUType", _PERIOD, "singleRate", "timeOfUseRates", "demandCharges"),
    Condition(PlanTariffPeriod, "dailySupplyCharge", Where("dailySupplyChargeType", ("SINGLE",)), _PERIOD),
    Condition(PlanTariffPeriod, "bandedDailySupplyCharges", Where("dailySupplyChargeType", ("BAND",)), _PERIOD),
    *name_objects(PlanControlledLoad, "rateBlockUType", "EnergyPlanControlledLoadV2", "singleRate", "timeOfUseRates"),
    Condition(ControlledLoadTimeOfUse, "startTime", Beside(("endTime",)), _TIME_OF_USE),
    Condition(ControlledLoadTimeOfUse, "endTime", Beside(("startTime",)), _TIME_OF_USE),
    Condition(
        ControlledLoadTimeOfUse,
        "additionalInfo",
        Either((Without(("startTime", "endTime")), Beside(("additionalInfoUri",)))),
        _TIME_OF_USE,
    ),
    *name_objects(
        PlanDiscounts,
        "methodUType",
        "EnergyPlanDiscounts",
        "percentOfBill",
        "percentOfUse",
        "fixedAmount",
        "percentOverThreshold",
    ),
    Condition(
        PlanGreenPowerCharges,
        "tiers[].rate",
        Where("type", ("PERCENT_OF_USE", "PERCENT_OF_BILL")),
        "EnergyPlanGreenPowerCharges_tiers",
    ),
    Condition(
        PlanGreenPowerCharges,
        "tiers[].amount",
        Where("type", ("FIXED_PER_DAY", "FIXED_PER_WEEK", "FIXED_PER_MONTH", "FIXED_PER_UNIT")),
        "EnergyPlanGreenPowerCharges_tiers",
    ),
    Condition(PlanFees, "amount", Unless("term", ("PERCENT_OF_BILL",)), "EnergyPlanFees"),
    Condition(PlanFees, "rate", Where("term", ("PERCENT_OF_BILL",)), "EnergyPlanFees"),
    *name_objects(
        PlanSolarFeedInTariff,
        "tariffUType",
        "EnergyPlanSolarFeedInTariffV3",
        "singleTariff",
        "timeVaryingTariffs",
    ),
)

BILLS = (
    *name_objects(
        BillingTransaction,
        "transactionUType",
        "EnergyBillingTransactionV3",
        "usage",
        "onceOff",
        "payment",
        "demand",
        "otherCharges",
    ),
    *name_objects(
        PaymentSchedule,
        "paymentScheduleUType",
        "EnergyPaymentSchedule",
        "cardDebit",
        "directDebit",
        "manualPayment",
        "digitalWallet",
    ),
    Condition(DirectDebit, "bsb", _NOT_TOKENISED, _DEBIT),
    Condition(DirectDebit, "accountNumber", _NOT_TOKENISED, _DEBIT),
    Condition(Concession, "additionalInfo", Where("type", ("VARIABLE",)), _CONCESSION),
    Condition(Concession, "discountFrequency", Where("type", ("FIXED_AMOUNT", "FIXED_PERCENTAGE")), _CONCESSION),
    Condition(Concession, "amount", Where("type", ("FIXED_AMOUNT",)), _CONCESSION),
    Condition(Concession, "percentage", Where("type", ("FIXED_PERCENTAGE",)), _CONCESSION),
    Condition(Invoice, "period", Beside(("gas", "electricity")), "EnergyInvoice"),
)

ENERGY = (*ACCOUNTS, *BILLS)
