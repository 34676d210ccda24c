"""CDR common: the customer's details (CDS 1.36.0)."""

from __future__ import annotations

from functools import partial

from openholder.contract.operation import DATA, HIGH_TIER, Operation
from openholder.contract.records import common

_operation = partial(Operation, sector="common", tier=HIGH_TIER)
_C = "/v1/common/customer/{customerId}"

COMMON = (
    _operation(
        name="getCommonCustomer",
        method="GET",
        path=_C,
        collection="common.customers",
        record=common.Customer,
        reply=DATA,
        whose="customer",
        summary="Customer",
        evidence="speculative",
    ),
    _operation(
        name="getCommonCustomerDetail",
        method="GET",
        path=f"{_C}/detail",
        collection="common.customers",
        record=common.CustomerDetail,
        reply=DATA,
        whose="customer",
        summary="Customer detail",
        evidence="speculative",
    ),
)
