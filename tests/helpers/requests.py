"""What is asked for: the paths, queries and bodies of requests, on the sample data."""

from __future__ import annotations

from typing import Any

from helpers.people import CUSTOMERS
from openholder.contract.operations import OPERATIONS

NAMED = {operation.name: operation for operation in OPERATIONS}
BELOW = [row.name for row in OPERATIONS if "{accountId}" in row.path]
"""Operations below an account."""
CHOSEN = [row.name for row in OPERATIONS if row.method == "POST" and row.sector != "auth"]
"""Operations whose body names accounts."""

BANKING = "/v1/banking/customer/cust-1001"
ENERGY = "/v1/energy/customer/cust-3001"
FDX = "/fdx/v6/customer/cust-5001"
STATEMENT = ("fdxGetStatement", f"{FDX}/accounts/acc-5001/statements/stmt-5001-6")

EVER = "oldest-time=2000-01-01T00%3A00%3A00Z&newest-time=2099-12-31T00%3A00%3A00Z"
ALL_DATES = "oldest-date=2000-01-01&newest-date=2099-01-01"
ALL = "page-size=1000"

DEPRECATED = "deprecated_lists = true"
"""The setting with which the superseded lists are served."""

LAST = {"transactionId": "txn-2002-0005", "payeeId": "payee-1001-01", "statementId": "stmt-5001-1"}


def path_of(operation: str, customer: str = "", account: str = "") -> str:
    """Return the path of an operation, with ids of the sample data unless others are given."""
    row = NAMED[operation]
    own, first, _ = CUSTOMERS.get(row.sector, CUSTOMERS["banking"])
    return row.path.format(customerId=customer or own, accountId=account or first, **LAST)


def ids(*account_ids: str) -> Any:
    """Return the body that names accounts."""
    return {"data": {"accountIds": list(account_ids)}}
