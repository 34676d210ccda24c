"""The query parameters of the CDS and the FDX: the values that each accepts, and the filters that they select."""

from __future__ import annotations

from typing import get_args

from openholder.contract.collections import EFFECTIVE_TIME
from openholder.contract.parameters import Choice, ValueParameter, Window
from openholder.contract.records.banking import ProductCategory
from openholder.query import Filter

_EFFECTIVE, *_OTHERWISE = EFFECTIVE_TIME
_POSTED, _TRANSACTED = "postedTimestamp", "transactionTimestamp"

PRODUCT_CATEGORY = Choice(
    "product-category", {value: Filter("productCategory", "eq", value) for value in get_args(ProductCategory)}
)
OPEN_STATUS = Choice(
    "open-status",
    {"ALL": None} | {value: Filter("openStatus", "eq", value, absent="OPEN") for value in ("CLOSED", "OPEN")},
    default="ALL",
)
IS_OWNED = Choice(
    "is-owned", {text: Filter("isOwned", "eq", text == "true", absent=True) for text in ("true", "false")}
)
ACCOUNTS = (PRODUCT_CATEGORY, OPEN_STATUS, IS_OWNED)

TRANSACTION_TIMES = Window(
    "oldest-time", "newest-time", "date-time", _EFFECTIVE, otherwise=tuple(_OTHERWISE), months=12
)
MIN_AMOUNT = ValueParameter("min-amount", "amount", "ge", "amount")
MAX_AMOUNT = ValueParameter("max-amount", "amount", "le", "amount")
TEXT = ValueParameter("text", "text", "contains", "description", otherwise=("reference",))
TRANSACTIONS = (TRANSACTION_TIMES, MIN_AMOUNT, MAX_AMOUNT, TEXT)

PAYEE_TYPE = Choice(
    "type",
    {"ALL": None}
    | {value: Filter("type", "eq", value) for value in ("BILLER", "DIGITAL_WALLET", "DOMESTIC", "INTERNATIONAL")},
    default="ALL",
)
PLAN_STATUS = Choice(
    "plan-status",
    {
        "ACTIVE": Filter("schedule", "some", False, item="isPaid", absent=False),
        "INACTIVE": Filter("schedule", "none", False, item="isPaid", absent=False),
        "ALL": None,
    },
    default="ACTIVE",
)
"""A plan is active as long as an instalment is unpaid."""

BILLING_TIMES = Window("oldest-time", "newest-time", "date-time", "executionDateTime", months=12)
INVOICE_DATES = Window("oldest-date", "newest-date", "date", "issueDate", months=24)

# FDX 6.3 has startDate and endDate. Fiskil's pages show the names of before, which 6.3 still has.
_DAYS = ("startDate", "endDate")
POSTED_DAYS = Window("startTime", "endTime", "date", _POSTED, otherwise=(_TRANSACTED,), later_names=_DAYS)
STATEMENT_DAYS = Window("startTime", "endTime", "date", "statementDate", later_names=_DAYS)
