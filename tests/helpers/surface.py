"""Everything that Fiskil may ask of the sample data, and what must leave by the rules of the contract.

What is expected comes from the sample rows, by the small conversion of this module.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from helpers.support import Upstream, World, start_with
from openholder.contract.operations import OPERATIONS

EXACT = partial(json.loads, parse_float=lambda digits: ("number", digits))
"""JSON whose decimals keep every digit, so that 0.10 is not 0.1."""

DEPRECATED = "deprecated_lists = true"

TRUTHS = {"emailVerified", "phoneNumberVerified", "isDetailAvailable", "isACNCRegistered", "isOwned"} | {
    "isInstalmentDetailAvailable", "transferIn", "transferOut",
}  # fmt: skip
NUMBERS = {"amount", "currentBalance", "availableBalance", "checkNumber"}
"""Numbers in the shape of the FDX; the CDR has text under some of the same names."""


def record(row: Mapping[str, str | None], *, only=None, without=(), numbers=()) -> dict[str, Any]:
    """The members of a row: objects from dotted columns and JSON text, nothing for an empty cell."""
    made: dict[str, Any] = {}
    for column, text in row.items():
        if text is None or column in without or (only is not None and column not in only):
            continue
        *path, last = column.split(".")
        place = made
        for name in path:
            place = place.setdefault(name, {})
        place[last] = (
            text == "true" if last in TRUTHS else EXACT(text) if last in numbers or text[0] in "[{" else text
        )  # fmt: skip
    return made


def paged(name: str, records: list[Any]) -> dict[str, Any]:
    """One page of a CDR list, on which everything is."""
    total = {"totalRecords": len(records), "totalPages": 1 if records else 0}
    return {"data": {name: records}, "links": {}, "meta": total}


def scrolled(name: str, records: list[Any]) -> dict[str, Any]:
    return {"page": {"totalElements": len(records)}, name: records}


def bare(_: str, records: list[Any]) -> Any:
    (one,) = records
    return one


def data(_: str, records: list[Any]) -> Any:
    return {"data": bare(_, records)}


def listed(name: str, records: list[Any]) -> dict[str, Any]:
    return {"data": {name: records}}


def straight(_: str, records: list[Any]) -> dict[str, Any]:
    """As Fiskil's page on the superseded list of bank accounts has it."""
    return {**paged("", records), "data": records}


def newest_first(*members: str, key: str = "") -> Callable[[list[Any]], list[Any]]:
    """By the first of the members that has a value; what is equally new by its id, or as the rows stand."""

    def time(row: Mapping[str, str | None]) -> datetime:
        return datetime.fromisoformat(next(row[member] for member in members if row[member]))

    def ordered(rows: list[Any]) -> list[Any]:
        by_id = sorted(rows, key=lambda row: row[key]) if key else rows
        return sorted(by_id, key=time, reverse=True)

    return ordered


@dataclass(frozen=True)
class Case:
    """What is asked, and what of the rows must come back."""

    operation: str
    path: str
    collection: str
    shape: Callable[[str, list[Any]], Any]
    column: str
    wanted: Iterable[str]
    name: str = ""
    body: Any = None
    order: Callable[[list[Any]], list[Any]] = list
    options: Any = None
    also: Callable[[Mapping[str, str | None]], object] = bool

    def expected(self, rows: Any) -> Any:
        """The whole content of the answer."""
        found = [row for row in rows[self.collection] if row[self.column] in self.wanted and self.also(row)]
        assert found, "the sample data have something to show"
        return self.shape(self.name, [record(row, **(self.options or {})) for row in self.order(found)])


def ids(*account_ids: str) -> Any:
    return {"data": {"accountIds": list(account_ids)}}


BANKING = "/v1/banking/customer/cust-1001"
ENERGY = "/v1/energy/customer/cust-3001"
FDX = "/fdx/v6/customer/cust-5001"
EVER = "oldest-time=2000-01-01T00%3A00%3A00Z&newest-time=2099-12-31T00%3A00%3A00Z"
ALL_DATES = "oldest-date=2000-01-01&newest-date=2099-01-01"
ALL = "page-size=1000"
OWN = {"acc-2001", "acc-2002", "acc-2003", "acc-2005"}
"""The accounts of cust-1001 but for the blocked one."""

BRIEF = {"accountId", "creationDate", "displayName", "nickname", "openStatus", "isOwned", "accountOwnership"} | {
    "maskedNumber", "productCategory", "productName", "isInstalmentDetailAvailable",
}  # fmt: skip
CLAIMS = {"without": ("status",)}
NO_ACCOUNT = {"without": ("accountId",)}
NO_CUSTOMER = {"without": ("customerId",)}
FDX_NUMBERS = {"numbers": NUMBERS}

TRANSACTIONS = newest_first("postingDateTime", "executionDateTime", "valueDateTime", key="transactionId")
PLANS = newest_first("creationDate", key="planId")
BILLING = newest_first("executionDateTime")
INVOICES = newest_first("issueDate", key="invoiceNumber")
POSTED = newest_first("postedTimestamp", "transactionTimestamp", key="transactionId")

CASES = (
    Case(
        "searchCustomers", "/auth/v1/customer/search", "customers", lambda _, found: {"data": found},
        "email", {"jane.citizen@example.com"}, body={"email": "Jane.Citizen@example.com"},
        options={"only": {"id", "name", "phoneNumber"}},
    ),
    Case(
        "searchCustomers", "/auth/v1/customer/search", "customers", lambda _, found: {"data": found},
        "id", {"cust-1006", "cust-1027"}, body={"email": "tran.minh@example.com"},
        options={"only": {"id", "name", "phoneNumber"}},
    ),
    Case("getCustomerDetails", "/auth/v1/customer/cust-1001", "customers", bare, "id", {"cust-1001"}),
    Case("getCustomerDetails", "/auth/v1/customer/cust-5001", "customers", bare, "id", {"cust-5001"}),
    Case(
        "listConsentAccounts", "/auth/v1/customer/cust-1001/accounts", "accounts",
        lambda _, found: {"accounts": found}, "customerId", {"cust-1001"},
        also=lambda row: row["status"] != "blocked", options={"without": ("customerId", "status")},
    ),
    Case(
        "getStarterBalance", "/customer/cust-1001/accounts/acc-2001/balances", "balances",
        lambda _, found: {"account_id": found[0].pop("accountId"), **found[0]}, "accountId", {"acc-2001"},
        options={"numbers": {"available", "current"}},
    ),
    Case(
        "listBankingAccountsDeprecated", f"{BANKING}/accounts?{ALL}", "banking.accounts", straight, "accountId", OWN,
    ),
    Case(
        "listBankingAccountsDeprecated", f"{BANKING}/accounts?{ALL}&open-status=CLOSED", "banking.accounts", straight,
        "accountId", {"acc-2005"},
    ),
    Case(
        "listBankingAccountsSpecific", f"{BANKING}/accounts?{ALL}", "banking.accounts", paged, "accountId",
        {"acc-2001", "acc-2005"}, "accounts", body=ids("acc-2001", "acc-2005"), options={"only": BRIEF},
    ),
    Case(
        "getBankingAccount", f"{BANKING}/accounts/acc-2001", "banking.accounts", data, "accountId", {"acc-2001"},
    ),
    Case(
        "getBankingAccount", "/v1/banking/customer/cust-1003/accounts/acc-2049", "banking.accounts", data, "accountId",
        {"acc-2049"},
    ),
    Case(
        "listBankingBalancesSpecific", f"{BANKING}/accounts/balances?{ALL}", "banking.balances", paged, "accountId",
        {"acc-2001", "acc-2003"}, "balances", body=ids("acc-2001", "acc-2003"),
    ),
    Case(
        "listBankingBalancesSpecific", f"{BANKING}/accounts/balances?{ALL}&open-status=OPEN", "banking.balances", paged,
        "accountId", {"acc-2003"}, "balances", body=ids("acc-2003", "acc-2005"),
    ),
    Case("getBankingBalance", f"{BANKING}/accounts/acc-2002/balance", "banking.balances", data, "accountId",
         {"acc-2002"}),
    Case(
        "listBankingTransactions", f"{BANKING}/accounts/acc-2002/transactions?{ALL}&{EVER}", "banking.transactions",
        paged, "accountId", {"acc-2002"}, "transactions", order=TRANSACTIONS, options={"without": ("extendedData",)},
    ),
    Case(
        "getBankingTransaction", f"{BANKING}/accounts/acc-2002/transactions/txn-2002-0005", "banking.transactions",
        data, "transactionId", {"txn-2002-0005"},
    ),
    Case(
        "listBankingDirectDebits", f"{BANKING}/accounts/acc-2002/direct-debits?{ALL}", "banking.direct_debits", paged,
        "accountId", {"acc-2002"}, "directDebitAuthorisations",
    ),
    Case(
        "listBankingDirectDebitsSpecific", f"{BANKING}/accounts/direct-debits?{ALL}", "banking.direct_debits", paged,
        "accountId", {"acc-2002", "acc-2003"}, "directDebitAuthorisations", body=ids("acc-2002", "acc-2003"),
    ),
    Case(
        "listScheduledPayments", f"{BANKING}/accounts/acc-2002/payments/scheduled?{ALL}", "banking.scheduled_payments",
        paged, "accountId", {"acc-2002"}, "scheduledPayments", options=NO_ACCOUNT,
    ),
    Case(
        "listScheduledPaymentsSpecific", f"{BANKING}/payments/scheduled?{ALL}", "banking.scheduled_payments", paged,
        "accountId", {"acc-2002", "acc-2003"}, "scheduledPayments", body=ids("acc-2002", "acc-2003"),
        options=NO_ACCOUNT,
    ),
    Case(
        "listScheduledPaymentsSpecificSecondPath", f"{BANKING}/accounts/payments/scheduled?{ALL}",
        "banking.scheduled_payments", paged, "accountId", {"acc-2002", "acc-2003"}, "scheduledPayments",
        body=ids("acc-2002", "acc-2003"), options=NO_ACCOUNT,
    ),
    Case(
        "listInstalmentPlans", f"{BANKING}/accounts/acc-2002/payments/plans?{ALL}&plan-status=ALL",
        "banking.instalment_plans", paged, "accountId", {"acc-2002"}, "plans", order=PLANS,
    ),
    Case(
        "listInstalmentPlans", f"{BANKING}/accounts/acc-2002/payments/plans", "banking.instalment_plans", paged,
        "planId", {"plan-2002-02"}, "plans",
    ),
    Case(
        "listInstalmentPlansSpecific", f"/v1/banking/customer/cust-1003/accounts/payments/plans?{ALL}&plan-status=ALL",
        "banking.instalment_plans", paged, "accountId", {"acc-2049"}, "plans", order=PLANS,
        body=ids("acc-2049", "acc-2003", "acc-2008"),
    ),
    Case(
        "listPayees", f"{BANKING}/payees?{ALL}", "banking.payees", paged, "customerId", {"cust-1001"}, "payees",
        options=NO_CUSTOMER,
    ),
    Case(
        "listPayees", f"{BANKING}/payees?{ALL}&type=BILLER", "banking.payees", paged, "customerId", {"cust-1001"},
        "payees", options=NO_CUSTOMER, also=lambda row: row["type"] == "BILLER",
    ),
    Case(
        "getPayee", f"{BANKING}/payees/payee-1001-02", "banking.payees", data, "payeeId", {"payee-1001-02"},
        options=NO_CUSTOMER,
    ),
    Case(
        "listEnergyAccountsDeprecated", f"{ENERGY}/accounts?{ALL}", "energy.accounts", paged, "accountId",
        {"acc-3001", "acc-3002"}, "accounts",
    ),
    Case(
        "listEnergyAccountsSpecific", f"{ENERGY}/accounts?{ALL}", "energy.accounts", paged, "accountId",
        {"acc-3001", "acc-3002"}, "accounts", body=ids("acc-3001", "acc-3002"),
    ),
    Case("getEnergyAccount", f"{ENERGY}/accounts/acc-3002", "energy.accounts", data, "accountId", {"acc-3002"}),
    Case(
        "getEnergyBalance", f"{ENERGY}/accounts/acc-3001/balance", "energy.balances", data, "accountId", {"acc-3001"},
        options=NO_ACCOUNT,
    ),
    Case(
        "listEnergyBalancesSpecific", f"{ENERGY}/accounts/balances?{ALL}", "energy.balances", paged, "accountId",
        {"acc-3001", "acc-3002"}, "balances", body=ids("acc-3001", "acc-3002"),
    ),
    Case(
        "listEnergyConcessions", f"{ENERGY}/accounts/acc-3001/concessions", "energy.concessions", listed, "accountId",
        {"acc-3001"}, "concessions", options=NO_ACCOUNT,
    ),
    Case(
        "getEnergyPaymentSchedule", f"{ENERGY}/accounts/acc-3002/payment-schedule", "energy.payment_schedules", listed,
        "accountId", {"acc-3002"}, "paymentSchedules", options=NO_ACCOUNT,
    ),
    Case(
        "listEnergyInvoices", f"{ENERGY}/accounts/acc-3001/invoices?{ALL}&{ALL_DATES}",
        "energy.invoices", paged, "accountId", {"acc-3001"}, "invoices", order=INVOICES,
    ),
    Case(
        "listEnergyInvoicesSpecific",
        f"{ENERGY}/accounts/invoices?{ALL}&{ALL_DATES}", "energy.invoices", paged,
        "accountId", {"acc-3001", "acc-3002"}, "invoices", body=ids("acc-3002", "acc-3001"), order=INVOICES,
    ),
    Case(
        "listEnergyBilling", f"{ENERGY}/accounts/acc-3001/billing?{ALL}&{EVER}", "energy.billing", paged, "accountId",
        {"acc-3001"}, "transactions", order=BILLING,
    ),
    Case(
        "listEnergyBillingSpecific", f"{ENERGY}/accounts/billing?{ALL}&{EVER}", "energy.billing", paged, "accountId",
        {"acc-3001", "acc-3002"}, "transactions", body=ids("acc-3001", "acc-3002"), order=BILLING,
    ),
    Case(
        "getCommonCustomer", "/v1/common/customer/cust-1001", "common.customers", data, "customerId", {"cust-1001"},
        options={"without": ("customerId", "person.phoneNumbers", "person.emailAddresses", "person.physicalAddresses")},
    ),
    Case(
        "getCommonCustomer", "/v1/common/customer/cust-1002", "common.customers", data, "customerId", {"cust-1002"},
        options={"without": ("customerId", "organisation.physicalAddresses")},
    ),
    Case(
        "getCommonCustomerDetail", "/v1/common/customer/cust-1001/detail", "common.customers", data, "customerId",
        {"cust-1001"}, options=NO_CUSTOMER,
    ),
    Case(
        "getCommonCustomerDetail", "/v1/common/customer/cust-1002/detail", "common.customers", data, "customerId",
        {"cust-1002"}, options=NO_CUSTOMER,
    ),
    Case(
        "fdxFetchSpecificAccounts", f"{FDX}/accounts?limit=1000", "fdx.accounts", scrolled, "accountId",
        {"acc-5001", "acc-5002", "acc-5005"}, "accounts", body=ids("acc-5001", "acc-5002", "acc-5005"),
        options={"without": ("currentBalance", "availableBalance")},
    ),
    Case(
        "fdxGetAccount", f"{FDX}/accounts/acc-5001", "fdx.accounts", bare, "accountId", {"acc-5001"},
        options=FDX_NUMBERS,
    ),
    Case(
        "fdxGetAccount", f"{FDX}/accounts/acc-5002", "fdx.accounts", bare, "accountId", {"acc-5002"},
        options=FDX_NUMBERS,
    ),
    Case(
        "fdxListTransactions", f"{FDX}/accounts/acc-5001/transactions?limit=1000", "fdx.transactions", scrolled,
        "accountId", {"acc-5001"}, "transactions", order=POSTED, options={**NO_ACCOUNT, **FDX_NUMBERS},
    ),
    Case(
        "fdxListStatements", f"{FDX}/accounts/acc-5003/statements?limit=1000", "fdx.statements", scrolled, "accountId",
        {"acc-5003"}, "statements", order=newest_first("statementDate", key="statementId"),
        options={"without": ("document",)},
    ),
    Case(
        "fdxListPaymentNetworks", f"{FDX}/accounts/acc-5002/payment-networks", "fdx.payment_networks", scrolled,
        "accountId", {"acc-5002"}, "paymentNetworks", options=NO_ACCOUNT,
    ),
    Case(
        "fdxGetContact", f"{FDX}/accounts/acc-5001/contact", "fdx.contacts", bare, "accountId", {"acc-5001"},
        options=NO_ACCOUNT,
    ),
)  # fmt: skip
"""Every operation at least once. `fdxGetStatement` has no record to compare: `STATEMENT`."""

TXN = {
    "operation": "listBankingTransactions", "collection": "banking.transactions", "shape": paged, "column": "accountId",
    "wanted": {"acc-2002"}, "name": "transactions", "order": TRANSACTIONS, "options": {"without": ("extendedData",)},
}  # fmt: skip
TXN_PATH = f"{BANKING}/accounts/acc-2002/transactions?{ALL}&{EVER}"


def between(member: str, first: str, last: str) -> Callable[[Mapping[str, str | None]], bool]:
    """Days as they are written; nothing is between where there is no value."""
    return lambda row: first <= (row[member] or "") <= last


FILTERED = (
    Case(path=f"{TXN_PATH}&min-amount=-45.00&max-amount=-12.5", **TXN,
         also=lambda row: Decimal(-45) <= Decimal(row["amount"]) <= Decimal("-12.50")),
    Case(path=f"{TXN_PATH}&min-amount=0", **TXN, also=lambda row: Decimal(row["amount"]) >= 0),
    Case(path=f"{TXN_PATH}&text=Rent", **TXN, also=lambda row: "Rent" in row["description"] + "|" + row["reference"]),
    Case(
        path=f"{BANKING}/accounts/acc-2002/transactions?{ALL}&newest-time=2026-03-01T00:00:00%2B11:00"
        "&oldest-time=2026-02-01T00:00:00%2B11:00", **TXN, also=lambda row: (
            datetime.fromisoformat("2026-02-01T00:00:00+11:00")
            <= datetime.fromisoformat(row["postingDateTime"] or row["executionDateTime"] or row["valueDateTime"])
            <= datetime.fromisoformat("2026-03-01T00:00:00+11:00")
        ),
    ),
    Case(
        "listInstalmentPlansSpecific",
        f"/v1/banking/customer/cust-1003/accounts/payments/plans?{ALL}&plan-status=INACTIVE",
        "banking.instalment_plans", paged, "accountId", {"acc-2049"}, "plans", order=PLANS, body=ids("acc-2049"),
        also=lambda row: all(part.get("isPaid") for part in json.loads(row["schedule"])),
    ),
    Case(
        "listBankingAccountsSpecific", f"{BANKING}/accounts?{ALL}&product-category=TRANS_AND_SAVINGS_ACCOUNTS"
        "&open-status=OPEN&is-owned=true", "banking.accounts", paged, "accountId", {"acc-2001", "acc-2002", "acc-2003"},
        "accounts", body=ids("acc-2001", "acc-2002", "acc-2003", "acc-2005"), options={"only": BRIEF},
    ),
    Case(
        "listScheduledPaymentsSpecific", f"{BANKING}/payments/scheduled?{ALL}&open-status=OPEN",
        "banking.scheduled_payments", paged, "accountId", {"acc-2001", "acc-2002", "acc-2003"}, "scheduledPayments",
        body=ids("acc-2002", "acc-2001", "acc-2003", "acc-2005"), options=NO_ACCOUNT,
    ),
    Case(
        "listEnergyInvoices",
        f"{ENERGY}/accounts/acc-3001/invoices?{ALL}&oldest-date=2025-02-10&newest-date=2026-02-10",
        "energy.invoices", paged, "accountId", {"acc-3001"}, "invoices", order=INVOICES,
        also=between("issueDate", "2025-02-10", "2026-02-10"),
    ),
    Case(
        "fdxListStatements", f"{FDX}/accounts/acc-5001/statements?startTime=2026-06-30&endTime=2026-08-31",
        "fdx.statements", scrolled, "accountId", {"acc-5001"}, "statements",
        order=newest_first("statementDate", key="statementId"), options={"without": ("document",)},
        also=between("statementDate", "2026-06-30", "2026-08-31"),
    ),
)  # fmt: skip
"""Lists of which the query wants a part."""

STATEMENT = ("fdxGetStatement", f"{FDX}/accounts/acc-5001/statements/stmt-5001-6")
NAMED = {operation.name: operation for operation in OPERATIONS}


def label(case: Case) -> str:
    return f"{case.operation} {case.path}"


async def start_over(world: World, kind: str, rows: Any, **more: str) -> Upstream | None:
    """Stop what runs, and serve other data from a folder of their own."""
    await world.stop()
    world.folder = world.folder / "next"
    world.folder.mkdir()
    return await start_with(world, kind, rows, **more)
