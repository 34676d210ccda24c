"""CDR common: who the customer is, in the words of CDS 1.36.0."""

from __future__ import annotations

from functools import partial

from openholder.models import common
from openholder.operations.table import DATA, Operation

_Row = partial(Operation, sector="common")
_C = "/v1/common/customer/{customerId}"

COMMON = (
    _Row(
        "getCommonCustomer", "GET", _C,
        "common.customers", common.Customer, DATA, whose="customer",
        summary="Customer", evidence="speculative",
    ),
    _Row(
        "getCommonCustomerDetail", "GET", f"{_C}/detail",
        "common.customers", common.CustomerDetail, DATA, whose="customer",
        summary="Customer detail", evidence="speculative",
    ),
)  # fmt: skip
