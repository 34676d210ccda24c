"""People of the sample data, and the requests for them that are made most often."""

from __future__ import annotations

from helpers.support import Rows, sample_rows

JANE = {"email": "jane.citizen@example.com"}
"""The body that searches for cust-1001."""
SEARCH = "/auth/v1/customer/search"
BALANCE = "/customer/cust-1001/accounts/acc-2001/balances"

CUSTOMERS = {
    "custom": ("cust-1001", "acc-2001", "acc-2002"),
    "banking": ("cust-1001", "acc-2001", "acc-2002"),
    "energy": ("cust-3001", "acc-3001", "acc-3002"),
    "fdx": ("cust-5001", "acc-5001", "acc-5003"),
}
"""For each sector a customer with two accounts."""
BLOCKED = {"custom": "acc-2901", "banking": "acc-2901", "energy": "acc-3901", "fdx": "acc-5901"}
"""Accounts of these customers that may not be shared: only in ``rows_with_blocked``."""
FOREIGN = {"custom": "acc-3001", "banking": "acc-2008", "energy": "acc-2001", "fdx": "acc-3001"}
"""Accounts of other customers."""


def rows_with_blocked() -> Rows:
    """Return the sample data, with an account of each sector's customer that may not be shared."""
    rows = sample_rows()
    for customer, account, status in (
        ("cust-1001", "acc-2901", "suspended"),
        ("cust-3001", "acc-3901", "blocked"),
        ("cust-5001", "acc-5901", "suspended"),
    ):
        rows["accounts"].append({"customerId": customer, "id": account, "status": status})
    return rows
