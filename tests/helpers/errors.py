"""Errors as the contract has them, and what is asked for to be refused."""

from __future__ import annotations

from typing import Any

import contract
from helpers.support import sample_rows
from helpers.surface import NAMED
from openholder.contract.operations import OPERATIONS

URN = "urn:au-cds:error:"


def errors(operation: str, answer: Any) -> list[dict[str, Any]]:
    """The entries of an error body, which must be as Fiskil's page and the contract have it."""
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    entries = answer.json["errors"]
    urns = NAMED[operation].sector in {"auth", "banking", "energy", "common"}
    for entry in entries:
        assert set(entry) == {"code", "title", "detail", "meta"}
        assert entry["meta"]["correlationId"] == answer.headers["x-fapi-interaction-id"]
        assert entry["code"].startswith(URN) == urns
        assert ("urn" in entry["meta"]) == (not urns or "GeneralError" in entry["code"])
    if answer.status != 405:
        assert list(contract.find_mistakes(operation, answer.status, "application/json", answer.json)) == []
        assert {entry["code"] for entry in entries} <= contract.read_error_codes(operation, answer.status)
    return entries


def code(operation: str, urn: str, word: str) -> str:
    """What an error is called in the sector of an operation."""
    sector = NAMED[operation].sector
    name = "energy" if sector == "energy" else "banking"
    return word if sector in {"fdx", "custom"} else URN + urn.format(sector=name, Sector=name.capitalize())


UNKNOWN_ACCOUNT = ("cds-{sector}:Authorisation/Invalid{Sector}Account", "account_not_found")
REFUSED_ACCOUNT = ("cds-{sector}:Authorisation/Unavailable{Sector}Account", "account_unavailable")
UNKNOWN_RECORD = ("cds-all:Resource/Invalid", "not_found")
NOT_SERVED = ("cds-all:Resource/NotImplemented", "not_found")
MISSING = ("cds-all:Field/Missing", "invalid_request")
INVALID = ("cds-all:Field/Invalid", "invalid_request")
FAULT = ("cds-all:GeneralError/Unexpected", "server_error")

CUSTOMERS = {
    "custom": ("cust-1001", "acc-2001", "acc-2002"),
    "banking": ("cust-1001", "acc-2001", "acc-2002"),
    "energy": ("cust-3001", "acc-3001", "acc-3002"),
    "fdx": ("cust-5001", "acc-5001", "acc-5003"),
}
"""For each sector a customer with two accounts."""
BELOW = [row.name for row in OPERATIONS if "{accountId}" in row.path]
CHOSEN = [row.name for row in OPERATIONS if row.method == "POST" and row.sector != "auth"]
LAST = {"transactionId": "txn-2002-0005", "payeeId": "payee-1001-01", "statementId": "stmt-5001-1"}


def path_of(operation: str, customer: str = "", account: str = "") -> str:
    row = NAMED[operation]
    own, first, _ = CUSTOMERS.get(row.sector, CUSTOMERS["banking"])
    return row.path.format(customerId=customer or own, accountId=account or first, **LAST)


def with_blocked() -> Any:
    """The sample data, with an account of each sector's customer that may not be shared."""
    rows = sample_rows()
    for customer, account, status in (
        ("cust-1001", "acc-2901", "suspended"),
        ("cust-3001", "acc-3901", "blocked"),
        ("cust-5001", "acc-5901", "suspended"),
    ):
        rows["accounts"].append({"customerId": customer, "id": account, "status": status})
    return rows


BLOCKED = {"custom": "acc-2901", "banking": "acc-2901", "energy": "acc-3901", "fdx": "acc-5901"}
FOREIGN = {"custom": "acc-3001", "banking": "acc-2008", "energy": "acc-2001", "fdx": "acc-3001"}
