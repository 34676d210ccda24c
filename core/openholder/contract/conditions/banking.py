"""The conditions of the banking records. CDS 1.36.0, banking; the values of ``additionalValue``: product components."""

from __future__ import annotations

from openholder.contract.conditions.kinds import Always, Condition, Unless, Unseen, Where, name_objects
from openholder.contract.records.banking.accounts import AccountDetail
from openholder.contract.records.banking.payees import BillerPayee, DomesticPayee, Payee
from openholder.contract.records.banking.payments import (
    AuthorisedEntity,
    ScheduledPayment,
    ScheduledPaymentRecurrence,
    ScheduledPaymentSet,
    ScheduledPaymentTo,
)
from openholder.contract.records.banking.products import (
    DepositRate,
    Discount,
    DiscountEligibility,
    Feature,
    Fee,
    LendingRate,
    RateCondition,
)
from openholder.contract.records.banking.transactions import ExtendedData, Transaction, TransactionDetail

_FEATURES_WITH_VALUE = (
    "BONUS_REWARDS",
    "CARD_ACCESS",
    "CASHBACK_OFFER",
    "COMPLEMENTARY_PRODUCT_DISCOUNTS",
    "DIGITAL_WALLET",
    "FREE_TXNS",
    "FREE_TXNS_ALLOWANCE",
    "FUNDS_AVAILABLE_AFTER",
    "INSURANCE",
    "INTEREST_FREE",
    "INTEREST_FREE_TRANSFERS",
    "LOYALTY_PROGRAM",
    "NOTIFICATIONS",
)
"""Of the others, ADDITIONAL_CARDS and BILL_PAYMENT may leave it out, and the rest have no use for it."""
_FIXED = ("FIXED", "FLOATING", "MARKET_LINKED")
_ELIGIBILITY_WITH_VALUE = (
    "EMPLOYMENT_STATUS",
    "INTRODUCTORY",
    "MAX_AGE",
    "MIN_AGE",
    "MIN_INCOME",
    "MIN_TURNOVER",
    "RESIDENCY_STATUS",
)
_RATE_CONDITIONS_WITH_VALUE = (
    "DEPOSIT_BALANCE_INCREASED",
    "MAX_WITHDRAWALS",
    "MAX_WITHDRAWAL_AMOUNT",
    "MIN_DEPOSITS",
    "MIN_DEPOSIT_AMOUNT",
    "MIN_PURCHASES",
)
_DEPOSIT = "BankingProductDepositRateV2"
_DISCOUNT = "BankingProductDiscountV2"
_ELIGIBILITY = "BankingProductDiscountEligibility"
_FEE = "BankingProductFeeV2"
_LENDING = "BankingProductLendingRateV3"
_CONDITION = "BankingProductRateConditionV2"
_TRANSACTION = "BankingTransactionV2"
_EXTENDED = "BankingTransactionDetailV3_allOf_extendedData"
_TO = "BankingScheduledPaymentToV2"
_CARD = Always("a card number is never sent in clear")

ACCOUNTS = (
    *name_objects(AccountDetail, "specificAccountUType", "BankingAccountDetailV5", "termDeposit", "creditCard", "loan"),
    *name_objects(Fee, "feeMethodUType", _FEE, "fixedAmount", "rateBased", "variable"),
    *name_objects(Discount, "discountMethodUType", _DISCOUNT, "fixedAmount", "rateBased"),
    Condition(Fee, "additionalValue", Where("feeType", ("LATE_PAYMENT", "PERIODIC")), _FEE),
    Condition(Fee, "additionalInfo", Where("feeType", ("OTHER",)), _FEE),
    Condition(
        Discount,
        "additionalValue",
        Where("discountType", ("BALANCE", "DEPOSITS", "FEE_CAP", "PAYMENTS")),
        _DISCOUNT,
    ),
    Condition(Discount, "eligibility", Where("discountType", ("ELIGIBILITY_ONLY",)), _DISCOUNT),
    Condition(
        DiscountEligibility,
        "additionalValue",
        Where("discountEligibilityType", _ELIGIBILITY_WITH_VALUE),
        _ELIGIBILITY,
    ),
    Condition(DiscountEligibility, "additionalInfo", Where("discountEligibilityType", ("OTHER",)), _ELIGIBILITY),
    Condition(Feature, "additionalValue", Where("featureType", _FEATURES_WITH_VALUE), "BankingProductFeatureV4"),
    Condition(Feature, "additionalInfo", Where("featureType", ("OTHER",)), "BankingProductFeatureV4"),
    Condition(
        DepositRate,
        "additionalValue",
        Where("depositRateType", (*_FIXED, "BONUS", "BUNDLE_BONUS", "INTRODUCTORY")),
        _DEPOSIT,
    ),
    Condition(DepositRate, "applicationFrequency", Where("applicationType", ("PERIODIC",)), _DEPOSIT),
    Condition(
        LendingRate,
        "additionalValue",
        Where(
            "lendingRateType",
            (*_FIXED, "BUNDLE_DISCOUNT_FIXED", "BUNDLE_DISCOUNT_VARIABLE", "DISCOUNT", "INTRODUCTORY", "PENALTY"),
        ),
        _LENDING,
    ),
    Condition(LendingRate, "applicationFrequency", Where("applicationType", ("PERIODIC",)), _LENDING),
    Condition(
        RateCondition, "additionalValue", Where("rateApplicabilityType", _RATE_CONDITIONS_WITH_VALUE), _CONDITION
    ),
    Condition(RateCondition, "additionalInfo", Where("rateApplicabilityType", ("OTHER",)), _CONDITION),
)

TRANSACTIONS = (
    Condition(Transaction, "transactionId", Where("isDetailAvailable", (True,)), _TRANSACTION, "error"),
    Condition(Transaction, "postingDateTime", Where("status", ("POSTED",)), _TRANSACTION, "error"),
    Condition(Transaction, "crn", _CARD, _TRANSACTION, "warning", "masked"),
    Condition(TransactionDetail, "extendedData.payer", Where("type", ("TRANSFER_INCOMING",)), _EXTENDED),
    Condition(TransactionDetail, "extendedData.payee", Where("type", ("TRANSFER_OUTGOING",)), _EXTENDED),
    *name_objects(ExtendedData, "extensionUType", _EXTENDED, "nppPayload"),
    Condition(
        ExtendedData,
        "nppPayload.extendedDescription",
        Where("extensionUType", ("nppPayload",)),
        f"{_EXTENDED}_nppPayload",
    ),
)

PAYMENTS = (
    *name_objects(Payee, "payeeUType", "BankingPayeeDetailV2", "biller", "digitalWallet", "domestic", "international"),
    *name_objects(DomesticPayee, "payeeAccountUType", "BankingDomesticPayee", "account", "card", "payId"),
    Condition(BillerPayee, "crn", _CARD, "BankingBillerPayee", "warning", "masked"),
    Condition(
        AuthorisedEntity,
        "financialInstitution",
        Always("a direct debit has one, unless it is made by card"),
        "BankingAuthorisedEntity",
        "note",
    ),
    *name_objects(
        ScheduledPaymentTo,
        "toUType",
        _TO,
        "accountId",
        "payeeId",
        "digitalWallet",
        "domestic",
        "biller",
        "international",
    ),
    Condition(ScheduledPaymentTo, "nickname", Unless("toUType", ("payeeId",)), _TO),
    Condition(ScheduledPaymentTo, "payeeReference", Unseen("the payment has a reference of its own"), _TO),
    Condition(
        ScheduledPayment,
        "payeeReference",
        Unseen("all payments of the set have one reference"),
        "BankingScheduledPaymentV2",
    ),
    Condition(
        ScheduledPaymentSet,
        "amount",
        Where("isAmountCalculated", (None, False)),
        "BankingScheduledPaymentSetV2",
    ),
    *name_objects(
        ScheduledPaymentRecurrence,
        "recurrenceUType",
        "BankingScheduledPaymentRecurrence",
        "onceOff",
        "intervalSchedule",
        "lastWeekDay",
        "eventBased",
    ),
)

BANKING = (*ACCOUNTS, *TRANSACTIONS, *PAYMENTS)
