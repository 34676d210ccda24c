"""The expected answers: every operation on the sample data, with the body that the contract wants.

The bodies are computed from the sample rows by the small conversion of this module, which shares nothing with the
server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from helpers.requests import ALL, ALL_DATES, BANKING, ENERGY, EVER, FDX, ids

EXACT = partial(json.loads, parse_float=lambda digits: ("number", digits))
"""JSON whose decimals keep every digit, so that 0.10 is not 0.1."""

TRUTHS = {
    "emailVerified",
    "phoneNumberVerified",
    "isDetailAvailable",
    "isACNCRegistered",
    "isOwned",
    "isInstalmentDetailAvailable",
    "transferIn",
    "transferOut",
}
NUMBERS = {"amount", "currentBalance", "availableBalance", "checkNumber"}
"""Numbers in the shape of the FDX; the CDR has text under some of the same names."""


def to_record(row: Mapping[str, str | None], *, only=None, without=(), numbers=()) -> dict[str, Any]:
    """Return the members of a row: objects from dotted columns and JSON text, nothing for an empty cell."""
    nested: dict[str, Any] = {}
    for column, text in row.items():
        if text is None or column in without or (only is not None and column not in only):
            continue
        *path, last = column.split(".")
        place = nested
        for name in path:
            place = place.setdefault(name, {})
        if last in TRUTHS:
            place[last] = text == "true"
        elif last in numbers or text[0] in "[{":
            place[last] = EXACT(text)
        else:
            place[last] = text
    return nested


def page_body(name: str, records: list[Any]) -> dict[str, Any]:
    """Return the one page of a CDR list that has all records."""
    total = {"totalRecords": len(records), "totalPages": 1 if records else 0}
    return {"data": {name: records}, "links": {}, "meta": total}


def cursor_page_body(name: str, records: list[Any]) -> dict[str, Any]:
    return {"page": {"totalElements": len(records)}, name: records}


def single_body(_: str, records: list[Any]) -> Any:
    (one,) = records
    return one


def data_body(_: str, records: list[Any]) -> Any:
    return {"data": single_body(_, records)}


def list_body(name: str, records: list[Any]) -> dict[str, Any]:
    return {"data": {name: records}}


def bare_list_body(_: str, records: list[Any]) -> dict[str, Any]:
    """Return the body of the superseded list of bank accounts, as Fiskil documents it."""
    return {**page_body("", records), "data": records}


def newest_first(*members: str, key: str = "") -> Callable[[list[Any]], list[Any]]:
    """Return a sort by the first of these members that has a value, then by ``key``, or in the order of the rows."""

    def time(row: Mapping[str, str | None]) -> datetime:
        return datetime.fromisoformat(next(row[member] for member in members if row[member]))

    def sort(rows: list[Any]) -> list[Any]:
        by_id = sorted(rows, key=lambda row: row[key]) if key else rows
        return sorted(by_id, key=time, reverse=True)

    return sort


@dataclass(frozen=True)
class Case:
    """A request, and which rows its answer must have."""

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
        """The whole body of the answer."""
        found = [row for row in rows[self.collection] if row[self.column] in self.wanted and self.also(row)]
        assert found, "the sample data have something to show"
        return self.shape(self.name, [to_record(row, **(self.options or {})) for row in self.order(found)])


OWN = {"acc-2001", "acc-2002", "acc-2003", "acc-2005"}
"""The accounts of cust-1001 but for the blocked one."""

BRIEF = {
    "accountId",
    "creationDate",
    "displayName",
    "nickname",
    "openStatus",
    "isOwned",
    "accountOwnership",
    "maskedNumber",
    "productCategory",
    "productName",
    "isInstalmentDetailAvailable",
}
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
        operation="searchCustomers",
        path="/auth/v1/customer/search",
        collection="customers",
        shape=lambda _, found: {"data": found},
        column="email",
        wanted={"jane.citizen@example.com"},
        body={"email": "Jane.Citizen@example.com"},
        options={"only": {"id", "name", "phoneNumber"}},
    ),
    Case(
        operation="searchCustomers",
        path="/auth/v1/customer/search",
        collection="customers",
        shape=lambda _, found: {"data": found},
        column="id",
        wanted={"cust-1006", "cust-1027"},
        body={"email": "tran.minh@example.com"},
        options={"only": {"id", "name", "phoneNumber"}},
    ),
    Case(
        operation="getCustomerDetails",
        path="/auth/v1/customer/cust-1001",
        collection="customers",
        shape=single_body,
        column="id",
        wanted={"cust-1001"},
    ),
    Case(
        operation="getCustomerDetails",
        path="/auth/v1/customer/cust-5001",
        collection="customers",
        shape=single_body,
        column="id",
        wanted={"cust-5001"},
    ),
    Case(
        operation="listConsentAccounts",
        path="/auth/v1/customer/cust-1001/accounts",
        collection="accounts",
        shape=lambda _, found: {"accounts": found},
        column="customerId",
        wanted={"cust-1001"},
        also=lambda row: row["status"] != "blocked",
        options={"without": ("customerId", "status")},
    ),
    Case(
        operation="getStarterBalance",
        path="/customer/cust-1001/accounts/acc-2001/balances",
        collection="balances",
        shape=lambda _, found: {"account_id": found[0].pop("accountId"), **found[0]},
        column="accountId",
        wanted={"acc-2001"},
        options={"numbers": {"available", "current"}},
    ),
    Case(
        operation="listBankingAccountsDeprecated",
        path=f"{BANKING}/accounts?{ALL}",
        collection="banking.accounts",
        shape=bare_list_body,
        column="accountId",
        wanted=OWN,
    ),
    Case(
        operation="listBankingAccountsDeprecated",
        path=f"{BANKING}/accounts?{ALL}&open-status=CLOSED",
        collection="banking.accounts",
        shape=bare_list_body,
        column="accountId",
        wanted={"acc-2005"},
    ),
    Case(
        operation="listBankingAccountsSpecific",
        path=f"{BANKING}/accounts?{ALL}",
        collection="banking.accounts",
        shape=page_body,
        column="accountId",
        wanted={"acc-2001", "acc-2005"},
        name="accounts",
        body=ids("acc-2001", "acc-2005"),
        options={"only": BRIEF},
    ),
    Case(
        operation="getBankingAccount",
        path=f"{BANKING}/accounts/acc-2001",
        collection="banking.accounts",
        shape=data_body,
        column="accountId",
        wanted={"acc-2001"},
    ),
    Case(
        operation="getBankingAccount",
        path="/v1/banking/customer/cust-1003/accounts/acc-2049",
        collection="banking.accounts",
        shape=data_body,
        column="accountId",
        wanted={"acc-2049"},
    ),
    Case(
        operation="listBankingBalancesSpecific",
        path=f"{BANKING}/accounts/balances?{ALL}",
        collection="banking.balances",
        shape=page_body,
        column="accountId",
        wanted={"acc-2001", "acc-2003"},
        name="balances",
        body=ids("acc-2001", "acc-2003"),
    ),
    Case(
        operation="listBankingBalancesSpecific",
        path=f"{BANKING}/accounts/balances?{ALL}&open-status=OPEN",
        collection="banking.balances",
        shape=page_body,
        column="accountId",
        wanted={"acc-2003"},
        name="balances",
        body=ids("acc-2003", "acc-2005"),
    ),
    Case(
        operation="getBankingBalance",
        path=f"{BANKING}/accounts/acc-2002/balance",
        collection="banking.balances",
        shape=data_body,
        column="accountId",
        wanted={"acc-2002"},
    ),
    Case(
        operation="listBankingTransactions",
        path=f"{BANKING}/accounts/acc-2002/transactions?{ALL}&{EVER}",
        collection="banking.transactions",
        shape=page_body,
        column="accountId",
        wanted={"acc-2002"},
        name="transactions",
        order=TRANSACTIONS,
        options={"without": ("extendedData",)},
    ),
    Case(
        operation="getBankingTransaction",
        path=f"{BANKING}/accounts/acc-2002/transactions/txn-2002-0005",
        collection="banking.transactions",
        shape=data_body,
        column="transactionId",
        wanted={"txn-2002-0005"},
    ),
    Case(
        operation="listBankingDirectDebits",
        path=f"{BANKING}/accounts/acc-2002/direct-debits?{ALL}",
        collection="banking.direct_debits",
        shape=page_body,
        column="accountId",
        wanted={"acc-2002"},
        name="directDebitAuthorisations",
    ),
    Case(
        operation="listBankingDirectDebitsSpecific",
        path=f"{BANKING}/accounts/direct-debits?{ALL}",
        collection="banking.direct_debits",
        shape=page_body,
        column="accountId",
        wanted={"acc-2002", "acc-2003"},
        name="directDebitAuthorisations",
        body=ids("acc-2002", "acc-2003"),
    ),
    Case(
        operation="listScheduledPayments",
        path=f"{BANKING}/accounts/acc-2002/payments/scheduled?{ALL}",
        collection="banking.scheduled_payments",
        shape=page_body,
        column="accountId",
        wanted={"acc-2002"},
        name="scheduledPayments",
        options=NO_ACCOUNT,
    ),
    Case(
        operation="listScheduledPaymentsSpecific",
        path=f"{BANKING}/payments/scheduled?{ALL}",
        collection="banking.scheduled_payments",
        shape=page_body,
        column="accountId",
        wanted={"acc-2002", "acc-2003"},
        name="scheduledPayments",
        body=ids("acc-2002", "acc-2003"),
        options=NO_ACCOUNT,
    ),
    Case(
        operation="listScheduledPaymentsSpecificSecondPath",
        path=f"{BANKING}/accounts/payments/scheduled?{ALL}",
        collection="banking.scheduled_payments",
        shape=page_body,
        column="accountId",
        wanted={"acc-2002", "acc-2003"},
        name="scheduledPayments",
        body=ids("acc-2002", "acc-2003"),
        options=NO_ACCOUNT,
    ),
    Case(
        operation="listInstalmentPlans",
        path=f"{BANKING}/accounts/acc-2002/payments/plans?{ALL}&plan-status=ALL",
        collection="banking.instalment_plans",
        shape=page_body,
        column="accountId",
        wanted={"acc-2002"},
        name="plans",
        order=PLANS,
    ),
    Case(
        operation="listInstalmentPlans",
        path=f"{BANKING}/accounts/acc-2002/payments/plans",
        collection="banking.instalment_plans",
        shape=page_body,
        column="planId",
        wanted={"plan-2002-02"},
        name="plans",
    ),
    Case(
        operation="listInstalmentPlansSpecific",
        path=f"/v1/banking/customer/cust-1003/accounts/payments/plans?{ALL}&plan-status=ALL",
        collection="banking.instalment_plans",
        shape=page_body,
        column="accountId",
        wanted={"acc-2049"},
        name="plans",
        order=PLANS,
        body=ids("acc-2049", "acc-2003", "acc-2008"),
    ),
    Case(
        operation="listPayees",
        path=f"{BANKING}/payees?{ALL}",
        collection="banking.payees",
        shape=page_body,
        column="customerId",
        wanted={"cust-1001"},
        name="payees",
        options=NO_CUSTOMER,
    ),
    Case(
        operation="listPayees",
        path=f"{BANKING}/payees?{ALL}&type=BILLER",
        collection="banking.payees",
        shape=page_body,
        column="customerId",
        wanted={"cust-1001"},
        name="payees",
        options=NO_CUSTOMER,
        also=lambda row: row["type"] == "BILLER",
    ),
    Case(
        operation="getPayee",
        path=f"{BANKING}/payees/payee-1001-02",
        collection="banking.payees",
        shape=data_body,
        column="payeeId",
        wanted={"payee-1001-02"},
        options=NO_CUSTOMER,
    ),
    Case(
        operation="listEnergyAccountsDeprecated",
        path=f"{ENERGY}/accounts?{ALL}",
        collection="energy.accounts",
        shape=page_body,
        column="accountId",
        wanted={"acc-3001", "acc-3002"},
        name="accounts",
    ),
    Case(
        operation="listEnergyAccountsSpecific",
        path=f"{ENERGY}/accounts?{ALL}",
        collection="energy.accounts",
        shape=page_body,
        column="accountId",
        wanted={"acc-3001", "acc-3002"},
        name="accounts",
        body=ids("acc-3001", "acc-3002"),
    ),
    Case(
        operation="getEnergyAccount",
        path=f"{ENERGY}/accounts/acc-3002",
        collection="energy.accounts",
        shape=data_body,
        column="accountId",
        wanted={"acc-3002"},
    ),
    Case(
        operation="getEnergyBalance",
        path=f"{ENERGY}/accounts/acc-3001/balance",
        collection="energy.balances",
        shape=data_body,
        column="accountId",
        wanted={"acc-3001"},
        options=NO_ACCOUNT,
    ),
    Case(
        operation="listEnergyBalancesSpecific",
        path=f"{ENERGY}/accounts/balances?{ALL}",
        collection="energy.balances",
        shape=page_body,
        column="accountId",
        wanted={"acc-3001", "acc-3002"},
        name="balances",
        body=ids("acc-3001", "acc-3002"),
    ),
    Case(
        operation="listEnergyConcessions",
        path=f"{ENERGY}/accounts/acc-3001/concessions",
        collection="energy.concessions",
        shape=list_body,
        column="accountId",
        wanted={"acc-3001"},
        name="concessions",
        options=NO_ACCOUNT,
    ),
    Case(
        operation="getEnergyPaymentSchedule",
        path=f"{ENERGY}/accounts/acc-3002/payment-schedule",
        collection="energy.payment_schedules",
        shape=list_body,
        column="accountId",
        wanted={"acc-3002"},
        name="paymentSchedules",
        options=NO_ACCOUNT,
    ),
    Case(
        operation="listEnergyInvoices",
        path=f"{ENERGY}/accounts/acc-3001/invoices?{ALL}&{ALL_DATES}",
        collection="energy.invoices",
        shape=page_body,
        column="accountId",
        wanted={"acc-3001"},
        name="invoices",
        order=INVOICES,
    ),
    Case(
        operation="listEnergyInvoicesSpecific",
        path=f"{ENERGY}/accounts/invoices?{ALL}&{ALL_DATES}",
        collection="energy.invoices",
        shape=page_body,
        column="accountId",
        wanted={"acc-3001", "acc-3002"},
        name="invoices",
        body=ids("acc-3002", "acc-3001"),
        order=INVOICES,
    ),
    Case(
        operation="listEnergyBilling",
        path=f"{ENERGY}/accounts/acc-3001/billing?{ALL}&{EVER}",
        collection="energy.billing",
        shape=page_body,
        column="accountId",
        wanted={"acc-3001"},
        name="transactions",
        order=BILLING,
    ),
    Case(
        operation="listEnergyBillingSpecific",
        path=f"{ENERGY}/accounts/billing?{ALL}&{EVER}",
        collection="energy.billing",
        shape=page_body,
        column="accountId",
        wanted={"acc-3001", "acc-3002"},
        name="transactions",
        body=ids("acc-3001", "acc-3002"),
        order=BILLING,
    ),
    Case(
        operation="getCommonCustomer",
        path="/v1/common/customer/cust-1001",
        collection="common.customers",
        shape=data_body,
        column="customerId",
        wanted={"cust-1001"},
        options={"without": ("customerId", "person.phoneNumbers", "person.emailAddresses", "person.physicalAddresses")},
    ),
    Case(
        operation="getCommonCustomer",
        path="/v1/common/customer/cust-1002",
        collection="common.customers",
        shape=data_body,
        column="customerId",
        wanted={"cust-1002"},
        options={"without": ("customerId", "organisation.physicalAddresses")},
    ),
    Case(
        operation="getCommonCustomerDetail",
        path="/v1/common/customer/cust-1001/detail",
        collection="common.customers",
        shape=data_body,
        column="customerId",
        wanted={"cust-1001"},
        options=NO_CUSTOMER,
    ),
    Case(
        operation="getCommonCustomerDetail",
        path="/v1/common/customer/cust-1002/detail",
        collection="common.customers",
        shape=data_body,
        column="customerId",
        wanted={"cust-1002"},
        options=NO_CUSTOMER,
    ),
    Case(
        operation="fdxFetchSpecificAccounts",
        path=f"{FDX}/accounts?limit=1000",
        collection="fdx.accounts",
        shape=cursor_page_body,
        column="accountId",
        wanted={"acc-5001", "acc-5002", "acc-5005"},
        name="accounts",
        body=ids("acc-5001", "acc-5002", "acc-5005"),
        options={"without": ("currentBalance", "availableBalance")},
    ),
    Case(
        operation="fdxGetAccount",
        path=f"{FDX}/accounts/acc-5001",
        collection="fdx.accounts",
        shape=single_body,
        column="accountId",
        wanted={"acc-5001"},
        options=FDX_NUMBERS,
    ),
    Case(
        operation="fdxGetAccount",
        path=f"{FDX}/accounts/acc-5002",
        collection="fdx.accounts",
        shape=single_body,
        column="accountId",
        wanted={"acc-5002"},
        options=FDX_NUMBERS,
    ),
    Case(
        operation="fdxListTransactions",
        path=f"{FDX}/accounts/acc-5001/transactions?limit=1000",
        collection="fdx.transactions",
        shape=cursor_page_body,
        column="accountId",
        wanted={"acc-5001"},
        name="transactions",
        order=POSTED,
        options={**NO_ACCOUNT, **FDX_NUMBERS},
    ),
    Case(
        operation="fdxListStatements",
        path=f"{FDX}/accounts/acc-5003/statements?limit=1000",
        collection="fdx.statements",
        shape=cursor_page_body,
        column="accountId",
        wanted={"acc-5003"},
        name="statements",
        order=newest_first("statementDate", key="statementId"),
        options={"without": ("document",)},
    ),
    Case(
        operation="fdxListPaymentNetworks",
        path=f"{FDX}/accounts/acc-5002/payment-networks",
        collection="fdx.payment_networks",
        shape=cursor_page_body,
        column="accountId",
        wanted={"acc-5002"},
        name="paymentNetworks",
        options=NO_ACCOUNT,
    ),
    Case(
        operation="fdxGetContact",
        path=f"{FDX}/accounts/acc-5001/contact",
        collection="fdx.contacts",
        shape=single_body,
        column="accountId",
        wanted={"acc-5001"},
        options=NO_ACCOUNT,
    ),
)
"""Every operation at least once. `fdxGetStatement` has no record to compare: `STATEMENT`."""

TXN = {
    "operation": "listBankingTransactions",
    "collection": "banking.transactions",
    "shape": page_body,
    "column": "accountId",
    "wanted": {"acc-2002"},
    "name": "transactions",
    "order": TRANSACTIONS,
    "options": {"without": ("extendedData",)},
}
TXN_PATH = f"{BANKING}/accounts/acc-2002/transactions?{ALL}&{EVER}"


def between(member: str, first: str, last: str) -> Callable[[Mapping[str, str | None]], bool]:
    """Return a condition on days as they are written; a row without a value does not fulfil it."""
    return lambda row: first <= (row[member] or "") <= last


FILTERED = (
    Case(
        path=f"{TXN_PATH}&min-amount=-45.00&max-amount=-12.5",
        **TXN,
        also=lambda row: Decimal(-45) <= Decimal(row["amount"]) <= Decimal("-12.50"),
    ),
    Case(path=f"{TXN_PATH}&min-amount=0", **TXN, also=lambda row: Decimal(row["amount"]) >= 0),
    Case(path=f"{TXN_PATH}&text=Rent", **TXN, also=lambda row: "Rent" in row["description"] + "|" + row["reference"]),
    Case(
        path=f"{BANKING}/accounts/acc-2002/transactions?{ALL}&newest-time=2026-03-01T00:00:00%2B11:00"
        "&oldest-time=2026-02-01T00:00:00%2B11:00",
        **TXN,
        also=lambda row: (
            datetime.fromisoformat("2026-02-01T00:00:00+11:00")
            <= datetime.fromisoformat(row["postingDateTime"] or row["executionDateTime"] or row["valueDateTime"])
            <= datetime.fromisoformat("2026-03-01T00:00:00+11:00")
        ),
    ),
    Case(
        operation="listInstalmentPlansSpecific",
        path=f"/v1/banking/customer/cust-1003/accounts/payments/plans?{ALL}&plan-status=INACTIVE",
        collection="banking.instalment_plans",
        shape=page_body,
        column="accountId",
        wanted={"acc-2049"},
        name="plans",
        order=PLANS,
        body=ids("acc-2049"),
        also=lambda row: all(part.get("isPaid") for part in json.loads(row["schedule"])),
    ),
    Case(
        operation="listBankingAccountsSpecific",
        path=f"{BANKING}/accounts?{ALL}&product-category=TRANS_AND_SAVINGS_ACCOUNTS&open-status=OPEN&is-owned=true",
        collection="banking.accounts",
        shape=page_body,
        column="accountId",
        wanted={"acc-2001", "acc-2002", "acc-2003"},
        name="accounts",
        body=ids("acc-2001", "acc-2002", "acc-2003", "acc-2005"),
        options={"only": BRIEF},
    ),
    Case(
        operation="listScheduledPaymentsSpecific",
        path=f"{BANKING}/payments/scheduled?{ALL}&open-status=OPEN",
        collection="banking.scheduled_payments",
        shape=page_body,
        column="accountId",
        wanted={"acc-2001", "acc-2002", "acc-2003"},
        name="scheduledPayments",
        body=ids("acc-2002", "acc-2001", "acc-2003", "acc-2005"),
        options=NO_ACCOUNT,
    ),
    Case(
        operation="listEnergyInvoices",
        path=f"{ENERGY}/accounts/acc-3001/invoices?{ALL}&oldest-date=2025-02-10&newest-date=2026-02-10",
        collection="energy.invoices",
        shape=page_body,
        column="accountId",
        wanted={"acc-3001"},
        name="invoices",
        order=INVOICES,
        also=between("issueDate", "2025-02-10", "2026-02-10"),
    ),
    Case(
        operation="fdxListStatements",
        path=f"{FDX}/accounts/acc-5001/statements?startTime=2026-06-30&endTime=2026-08-31",
        collection="fdx.statements",
        shape=cursor_page_body,
        column="accountId",
        wanted={"acc-5001"},
        name="statements",
        order=newest_first("statementDate", key="statementId"),
        options={"without": ("document",)},
        also=between("statementDate", "2026-06-30", "2026-08-31"),
    ),
)
"""Lists of which the query wants a part."""


def label_of(case: Case) -> str:
    return f"{case.operation} {case.path}"
