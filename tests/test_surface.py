"""Everything that Fiskil may ask: what leaves is what the data say, whichever kind of source has them.

What is expected comes from the sample rows and the rules of the contract, by the small conversion of this module.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

import contract
from contract import needs_contract
from openholder.config import Configuration
from openholder.errors import ConfigurationError
from openholder.operations import OPERATIONS
from support import ISSUER, SOURCES, SQLITE, Upstream, World, document, rest, sample_rows, start_with, write_sqlite

EXACT = partial(json.loads, parse_float=lambda digits: ("number", digits))
"""JSON whose decimals keep every digit, so that 0.10 is not 0.1."""

URN = "urn:au-cds:error:"
DEPRECATED = "deprecated_lists = true"

# -- from rows to what must leave ---------------------------------------------------------------------------------

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


def test_every_operation_is_asked_in_this_module():
    assert {STATEMENT[0], *(case.operation for case in CASES)} == set(NAMED)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=60)
async def test_what_leaves_is_what_the_rows_say_and_nothing_else(world, subtests, kind):
    rows = sample_rows()
    await start_with(world, kind, rows, settings=DEPRECATED)
    for case in (*CASES, *FILTERED):
        with subtests.test(msg=label(case)):
            answer = await world.call(case.path, body=case.body)
            assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=UTF-8")
            assert EXACT(answer.text) == case.expected(rows)


@pytest.mark.parametrize("kind", ["sqlite", "rest"])
@pytest.mark.gen_test(timeout=30)
async def test_the_pages_of_a_list_put_together_are_the_list(world, subtests, kind):
    await start_with(world, kind, sample_rows())
    for path, name in (
        (f"{BANKING}/accounts/acc-2002/transactions", "transactions"),
        (f"{ENERGY}/accounts/acc-3001/billing", "transactions"),
    ):
        with subtests.test(msg=path):
            whole = (await world.call(f"{path}?{ALL}&{EVER}")).json["data"][name]
            query, found = f"page=1&page-size=40&{EVER}", []
            while query:
                page = (await world.call(f"{path}?{query}")).json
                found += page["data"][name]
                assert page["meta"] == {"totalRecords": len(whole), "totalPages": -(-len(whole) // 40)}
                query = page["links"].get("next", "")
                assert not query or query.endswith("&page-size=40&" + EVER)
            assert found == whole and len(whole) > 40
    with subtests.test(msg="fdx"):
        path = f"{FDX}/accounts/acc-5001/transactions?startTime=2026-01-01"
        whole = (await world.call(f"{path}&limit=1000")).json["transactions"]
        more, found = "", []
        while more is not None:
            page = (await world.call(f"{path}&limit=40{more}")).json
            found += page["transactions"]
            offset = page["page"].get("nextOffset")
            more = f"&offset={offset}" if offset else None
        assert found == whole and len(whole) > 40


@pytest.mark.parametrize("kind", ["sqlite", "csv", "rest"])
@pytest.mark.gen_test
async def test_without_a_window_the_last_twelve_months_count_and_of_invoices_twenty_four(world, kind):
    rows, now = sample_rows(), datetime.now(UTC)

    def dated(collection: str, account: str, member: str, days: Iterable[int], length: int, key: str = "") -> None:
        like = next(row for row in rows[collection] if row["accountId"] == account)
        rows[collection] = [
            like
            | {member: (now + timedelta(days=day, minutes=-1)).isoformat(timespec="seconds")[:length]}
            | ({key: f"{key}{day}"} if key else {})
            for day in days
        ]

    dated("banking.transactions", "acc-2002", "postingDateTime", (1, 0, -363, -368), 25, "transactionId")
    dated("energy.billing", "acc-3001", "executionDateTime", (1, 0, -363, -368), 25)
    dated("energy.invoices", "acc-3001", "issueDate", (3, 0, -728, -733), 10, "invoiceNumber")
    await start_with(world, kind, rows)
    transactions = (await world.call(f"{BANKING}/accounts/acc-2002/transactions")).json["data"]["transactions"]
    assert [found["transactionId"] for found in transactions] == ["transactionId0", "transactionId-363"]
    billing = (await world.call(f"{ENERGY}/accounts/acc-3001/billing")).json["data"]["transactions"]
    assert [found["executionDateTime"] for found in billing] == [
        row["executionDateTime"] for row in rows["energy.billing"][1:3]
    ]
    invoices = (await world.call(f"{ENERGY}/accounts/acc-3001/invoices")).json["data"]["invoices"]
    assert [found["invoiceNumber"] for found in invoices] == ["invoiceNumber0", "invoiceNumber-728"]


@needs_contract
@pytest.mark.gen_test(timeout=60)
async def test_every_answer_is_one_that_the_contract_allows(world, subtests):
    await start_with(world, "sqlite", sample_rows(), settings=DEPRECATED)
    for case in CASES:
        with subtests.test(msg=label(case)):
            answer = await world.call(case.path, body=case.body)
            assert list(contract.mistakes(case.operation, answer.status, "application/json", answer.json)) == []
    answer = await world.call(STATEMENT[1])
    assert list(contract.mistakes(STATEMENT[0], answer.status, answer.headers["Content-Type"], None)) == []


PLACES = {
    bare: lambda name: (),
    data: lambda name: ("data",),
    straight: lambda name: ("data",),
    listed: lambda name: ("data", name),
    paged: lambda name: ("data", name),
    scrolled: lambda name: (name,),
}
"""Where in an answer its records are."""


@needs_contract
@pytest.mark.parametrize("kind", ["sqlite", "csv"])
@pytest.mark.gen_test(timeout=30)
async def test_no_member_that_the_contract_knows_is_lost_or_reshaped(world, subtests, kind):
    """Records that have all of them, which no holder's would: each operation once, and its collection's rows anew."""
    asked = {case.operation: case for case in reversed(CASES) if case.shape in PLACES}
    owners = {"accountId", "customerId", "id", "transactionId", "payeeId"}
    rounds: list[dict[str, Case]] = []
    for case in asked.values():
        free = next((found for found in rounds if case.collection not in found), None)
        rounds.append({case.collection: case}) if free is None else free.update({case.collection: case})
    for cases in rounds:
        rows, full = sample_rows(), {}
        for collection, case in cases.items():
            instance = contract.full_instance(case.operation, *PLACES[case.shape](case.name))
            row = next(row for row in rows[collection] if row[case.column] in case.wanted)
            full[collection] = {**instance, **{name: row[name] for name in owners & set(instance)}}
            kept = {name: row.get(name) for name in owners if name in row}
            others = [row for row in rows[collection] if row[case.column] not in case.wanted]
            rows[collection] = [{name: as_cell(value) for name, value in full[collection].items()} | kept, *others]
        await start_over(world, kind, rows, settings=DEPRECATED)
        for collection, case in cases.items():
            with subtests.test(msg=label(case)):
                answer = await world.call(case.path, body=case.body)
                assert answer.status == 200
                found = answer.json
                for member in PLACES[case.shape](case.name):
                    found = found[member]
                assert (found[0] if isinstance(found, list) else found) == full[collection]


def as_cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=20)
async def test_further_members_of_ones_own_leave_in_the_fdx_alone(world, kind):
    rows = sample_rows()
    own = {"customerId": "SECRET", "branch.name": "Branch 7", "branch.codes": '["1","2"]'}
    rows = {name: [{**own, **row} for row in found] for name, found in rows.items()}
    await start_with(world, kind, rows, settings=DEPRECATED)
    for case in CASES:
        if case.collection == "logins":
            continue
        answer = await world.call(case.path, body=case.body)
        found = answer.json if case.shape is bare else answer.json.get(case.name, [{}])
        assert answer.status == 200 and b"SECRET" not in answer.text, label(case)
        if NAMED[case.operation].sector == "fdx":
            (one, *_) = found if isinstance(found, list) else [found]
            assert one["branch"]["name"] == "Branch 7", label(case)
        else:
            assert b"Branch 7" not in answer.text, label(case)


@needs_contract
def test_the_operations_are_those_of_the_contract():
    served = {row.name: (row.method, row.path, row.collection) for row in OPERATIONS}
    assert served == {name: tuple(agreed) for name, agreed in contract.operations().items()}


def with_nothing() -> Any:
    """The sample data, and accounts of which nothing else is known."""
    rows = sample_rows()
    for customer, account in (("cust-1001", "acc-2900"), ("cust-3001", "acc-3900"), ("cust-5001", "acc-5900")):
        rows["accounts"].append({"customerId": customer, "id": account, "status": "open"})
    return rows


NOTHING = {"custom": "acc-2900", "banking": "acc-2900", "energy": "acc-3900", "fdx": "acc-5900"}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=30)
async def test_of_an_account_without_records_come_empty_lists_and_no_single_record(world, subtests, kind):
    await start_with(world, kind, with_nothing())
    names = {case.operation: case.name for case in CASES}
    # An FDX list of accounts holds one at least, so that there is none to come for an account without a record.
    for name in sorted({*BELOW, *CHOSEN} - {"fdxFetchSpecificAccounts"}):
        with subtests.test(msg=name):
            row = NAMED[name]
            body = ids(NOTHING[row.sector]) if name in CHOSEN else None
            answer = await world.call(path_of(name, account=NOTHING[row.sector]), body=body)
            if not row.reply.many:
                assert answer.status == 404
                assert errors(name, answer)[0]["code"] == code(name, *UNKNOWN_RECORD)
                continue
            shape = {None: listed, "page": paged, "offset": scrolled}[row.reply.paging]
            assert (answer.status, answer.json) == (200, shape(names[name], []))
            if contract.CONTRACT.is_file():
                assert list(contract.mistakes(name, 200, "application/json", answer.json)) == []


@pytest.mark.parametrize("kind", ["sqlite", "rest"])
@pytest.mark.gen_test(timeout=30)
async def test_a_page_that_is_not_there_is_422_with_the_number_of_pages(world, subtests, kind):
    await start_with(world, kind, sample_rows(), settings=DEPRECATED)
    for case in CASES:
        if NAMED[case.operation].reply.paging == "page":
            with subtests.test(msg=label(case)):
                path, _, query = case.path.partition("?")
                there = await world.call(f"{path}?{query.replace(ALL, '')}&page-size=1", body=case.body)
                pages = there.json["meta"]["totalPages"]
                beyond = await world.call(
                    f"{path}?{query.replace(ALL, '')}&page-size=1&page={pages + 1}", body=case.body
                )
                assert (there.status, beyond.status) == (200, 422)
                (entry,) = errors(case.operation, beyond)
                assert (entry["code"], entry["detail"]) == (f"{URN}cds-all:Field/InvalidPage", str(pages))


@pytest.mark.gen_test(timeout=30)
async def test_every_answer_is_the_same_without_the_members_that_a_row_lacks(world, subtests):
    """Optional columns that are not there at all are no fault: a holder need not have them."""
    rows = sample_rows()
    wanted = {"nickname", "reference", "isOwned", "merchantName", "gstAmount", "planCharge", "description"}
    owed = {
        "banking.transactions": {"description", "reference"},
        "banking.payees": {"nickname"},
        "banking.instalment_plans": {"merchantName"},
    }
    for name, records in rows.items():
        for row in records:
            for column in wanted - owed.get(name, set()):
                row.pop(column, None)
    await start_with(world, "sqlite", rows)
    for case in CASES:
        if not NAMED[case.operation].deprecated:
            with subtests.test(msg=label(case)):
                assert EXACT((await world.call(case.path, body=case.body)).text) == case.expected(rows)


async def start_over(world: World, kind: str, rows: Any, **more: str) -> Upstream | None:
    """Stop what runs, and serve other data from a folder of their own."""
    await world.stop()
    world.folder = world.folder / "next"
    world.folder.mkdir()
    return await start_with(world, kind, rows, **more)


# -- errors -------------------------------------------------------------------------------------------------------


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
    if contract.CONTRACT.is_file() and answer.status != 405:
        assert list(contract.mistakes(operation, answer.status, "application/json", answer.json)) == []
        assert {entry["code"] for entry in entries} <= contract.codes(operation, answer.status)
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


@pytest.mark.gen_test(timeout=30)
async def test_an_account_in_the_path_is_the_customers_and_may_be_shared_or_404(world, subtests):
    await start_with(world, "sqlite", with_blocked())
    for name in BELOW:
        sector = NAMED[name].sector
        for account, words, refused in (
            (FOREIGN[sector], UNKNOWN_ACCOUNT, None),
            ("acc-9999", UNKNOWN_ACCOUNT, None),
            ("acc%00", UNKNOWN_ACCOUNT, None),
            (BLOCKED[sector], REFUSED_ACCOUNT, "true"),
        ):
            with subtests.test(msg=f"{name} {account}"):
                answer = await world.call(path_of(name, account=account))
                assert (answer.status, answer.headers.get("X-Sharing-Refused")) == (404, refused)
                (entry,) = errors(name, answer)
                assert (entry["code"], entry["detail"]) == (code(name, *words), "accountId")
        with subtests.test(msg=f"{name} of an unknown customer"):
            answer = await world.call(path_of(name, customer="cust-9999"))
            assert answer.status == 404 and "X-Sharing-Refused" not in answer.headers
            (entry,) = errors(name, answer)
            assert entry["code"] == code(name, *UNKNOWN_RECORD)


@pytest.mark.gen_test(timeout=30)
async def test_ids_in_a_body_are_each_the_customers_and_may_be_shared_or_all_is_422(world, subtests):
    await start_with(world, "sqlite", with_blocked())
    for name in CHOSEN:
        sector = NAMED[name].sector
        own, foreign, blocked = CUSTOMERS[sector][1], FOREIGN[sector], BLOCKED[sector]
        unknown, unavailable = code(name, *UNKNOWN_ACCOUNT), code(name, *REFUSED_ACCOUNT)
        for asked, entries in (
            ([own, foreign], [(unknown, foreign)]),
            (["acc-9999", own, foreign], [(unknown, "acc-9999"), (unknown, foreign)]),
            ([blocked], [(unavailable, blocked)]),
            ([own, foreign, blocked, own, foreign], [(unknown, foreign), (unavailable, blocked)]),
            (["<b>"], [(unknown, "data.accountIds")]),
        ):
            with subtests.test(msg=f"{name} {asked}"):
                answer = await world.call(path_of(name), body=ids(*asked))
                assert answer.status == 422
                assert [(entry["code"], entry["detail"]) for entry in errors(name, answer)] == entries
                refused = any(found == unavailable for found, _ in entries)
                assert answer.headers.get("X-Sharing-Refused") == ("true" if refused else None)
        with subtests.test(msg=f"{name} of an unknown customer"):
            answer = await world.call(path_of(name, customer="cust-9999"), body=ids(own))
            assert answer.status == 404
            (entry,) = errors(name, answer)
            assert entry["code"] == code(name, *UNKNOWN_RECORD)


@pytest.mark.gen_test(timeout=30)
async def test_a_body_names_accounts_as_a_list_of_texts_or_it_is_400(world, subtests):
    await start_with(world, "sqlite", sample_rows())
    bad = (
        ({}, MISSING, "data.accountIds"),
        ({"data": {}}, MISSING, "data.accountIds"),
        ({"data": None}, MISSING, "data.accountIds"),
        ({"data": {"accountIds": None}}, MISSING, "data.accountIds"),
        ({"accountIds": ["acc-2001"]}, MISSING, "data.accountIds"),
        ({"data": "acc-2001"}, INVALID, "data.accountIds"),
        ({"data": {"accountIds": "acc-2001"}}, INVALID, "data.accountIds"),
        ({"data": {"accountIds": {"acc-2001": True}}}, INVALID, "data.accountIds"),
        (ids(1), INVALID, "data.accountIds"),
        (ids(None), INVALID, "data.accountIds"),
        (ids(True), INVALID, "data.accountIds"),
        (ids(""), INVALID, "data.accountIds"),
        (ids(["acc-2001"]), INVALID, "data.accountIds"),
        (ids(*(f"acc-{number}" for number in range(1001))), INVALID, "data.accountIds"),
        ([], INVALID, "body"),
        (b"{", INVALID, "body"),
        (b'{"data":{"accountIds":[],"accountIds":["acc-2001"]}}', INVALID, "body"),
        (b"", MISSING, "body"),
    )
    for name in CHOSEN:
        for body, words, detail in bad:
            with subtests.test(msg=f"{name} {str(body)[:60]}"):
                answer = await world.call(path_of(name), body=body)
                assert answer.status == 400
                (entry,) = errors(name, answer)
                assert (entry["code"], entry["detail"]) == (code(name, *words), detail)


@pytest.mark.gen_test(timeout=30)
async def test_an_empty_list_of_accounts_is_an_empty_page_but_400_in_the_fdx(world, subtests):
    await start_with(world, "sqlite", sample_rows())
    for name in CHOSEN:
        with subtests.test(msg=name):
            answer = await world.call(path_of(name), body=ids())
            if NAMED[name].sector == "fdx":
                assert answer.status == 400
                (entry,) = errors(name, answer)
                assert entry["code"] == "invalid_request"
            else:
                case = next(case for case in CASES if case.operation == name)
                assert (answer.status, answer.json) == (200, paged(case.name, []))


@pytest.mark.parametrize("kind", ["sqlite", "rest"])
@pytest.mark.gen_test(timeout=30)
async def test_an_account_that_a_body_names_twice_counts_once_and_meta_is_ignored(world, subtests, kind):
    await start_with(world, kind, sample_rows())
    for name in CHOSEN:
        with subtests.test(msg=name):
            _, first, second = CUSTOMERS[NAMED[name].sector]
            once = await world.call(path_of(name), body=ids(first, second))
            twice = await world.call(path_of(name), body={**ids(first, second, first, second), "meta": [7]})
            assert once.status == 200
            assert once.text == twice.text


@pytest.mark.gen_test(timeout=30)
async def test_a_thousand_accounts_cost_the_questions_that_one_costs(world):
    numbers = [f"acc-{number:04}" for number in range(1000)]
    rows = {
        "customers": [{"id": "c1"}],
        "accounts": [{"customerId": "c1", "id": number} for number in numbers],
        "banking.balances": [
            {"accountId": number, "currentBalance": f"{place}.00", "availableBalance": "0.00"}
            for place, number in enumerate(numbers)
        ],
    }
    upstream = await world.stack.enter_async_context(Upstream(rows))
    template = rest(upstream.url, rows).replace("/accounts/{accountId}/banking.balances", "/all/banking.balances")
    await world.start(template)
    path = "/v1/banking/customer/c1/accounts/balances?page-size=1000"
    costs = []
    for asked in (numbers, numbers[:1]):
        upstream.requests.clear()
        answer = await world.call(path, body=ids(*asked))
        assert answer.status == 200
        assert [balance["accountId"] for balance in answer.json["data"]["balances"]] == asked
        costs.append([request.uri for request in upstream.requests])
    assert costs == [["/api/customers/c1/accounts", "/api/all/banking.balances"]] * 2


@pytest.mark.gen_test
async def test_superseded_lists_are_405_until_they_are_switched_on(world):
    await start_with(world, "sqlite", sample_rows())
    for operation, path in (("listBankingAccountsDeprecated", BANKING), ("listEnergyAccountsDeprecated", ENERGY)):
        answer = await world.call(f"{path}/accounts")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        (entry,) = errors(operation, answer)
        assert entry["code"] == f"{URN}cds-all:GeneralError/Expected"
    await start_over(world, "sqlite", sample_rows(), settings=DEPRECATED)
    for path in (BANKING, ENERGY):
        assert (await world.call(f"{path}/accounts")).status == 200
        put = await world.call(f"{path}/accounts", method="PUT", body={})
        assert (put.status, put.headers["Allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("kind", ["sqlite", "rest"])
@pytest.mark.gen_test(timeout=30)
async def test_both_holders_of_a_joint_account_see_the_same_records(world, subtests, kind):
    await start_with(world, kind, sample_rows())
    for row in OPERATIONS:
        joint = ids("acc-2003") if row.name in CHOSEN else None
        if row.sector != "banking" or row.deprecated or not (joint or row.name in BELOW):
            continue
        with subtests.test(msg=row.name):
            last = {"transactionId": "txn-2003-0081"}
            path = "{}?page-size=1000".format(row.path.replace("{accountId}", "acc-2003").format_map(
                {"customerId": "{customerId}", **last}
            ))  # fmt: skip
            answers = [
                await world.call(path.replace("{customerId}", holder), body=joint)
                for holder in ("cust-1001", "cust-1003")
            ]
            assert [answer.status for answer in answers] == [200, 200]
            assert answers[0].text == answers[1].text


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=30)
async def test_records_that_a_path_names_and_nobody_has_are_404(world, subtests, kind):
    await start_with(world, kind, sample_rows())
    for name, path in (
        ("listPayees", "/v1/banking/customer/cust-9999/payees"),
        ("getPayee", "/v1/banking/customer/cust-9999/payees/payee-1001-01"),
        ("getPayee", f"{BANKING}/payees/payee-9999"),
        ("getPayee", f"{BANKING}/payees/payee-1003-01"),
        ("getCommonCustomer", "/v1/common/customer/cust-9999"),
        ("getCommonCustomerDetail", "/v1/common/customer/cust-1004/detail"),
        ("getBankingTransaction", f"{BANKING}/accounts/acc-2002/transactions/txn-9999"),
        ("getBankingTransaction", f"{BANKING}/accounts/acc-2001/transactions/txn-2002-0005"),  # of another account
        ("getBankingTransaction", f"{BANKING}/accounts/acc-2001/transactions/txn-2001-0001"),  # has no detail
        ("getBankingTransaction", f"{BANKING}/accounts/acc-2002/transactions/TXN-2002-0005"),
        ("fdxGetStatement", f"{FDX}/accounts/acc-5001/statements/stmt-9999"),
        ("fdxGetStatement", f"{FDX}/accounts/acc-5001/statements/stmt-5003-1"),  # of another account
        ("fdxListStatements", "/fdx/v6/customer/cust-9999/accounts/acc-5001/statements"),
    ):
        with subtests.test(msg=path):
            answer = await world.call(path)
            assert answer.status == 404 and "X-Sharing-Refused" not in answer.headers
            (entry,) = errors(name, answer)
            assert entry["code"] == code(name, *UNKNOWN_RECORD)
    none = await world.call("/v1/banking/customer/cust-1004/payees")
    assert (none.status, none.json) == (200, paged("payees", []))


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test
async def test_a_statement_is_the_pdf_itself(world, kind):
    rows = sample_rows()
    await start_with(world, kind, rows)
    content = document(next(row["document"] for row in rows["fdx.statements"]))
    for accept in (None, "application/pdf", "application/*", "*/*"):
        answer = await world.call(STATEMENT[1], headers={"Accept": accept} if accept else None)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/pdf")
        assert answer.text == content
        assert answer.headers["Content-Length"] == str(len(content))
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["x-fapi-interaction-id"]
    refused = await world.call(STATEMENT[1], headers={"Accept": "application/json"})
    assert (refused.status, refused.code) == (406, "invalid_request")
    assert refused.headers["Content-Type"] == "application/json; charset=UTF-8"


@pytest.mark.gen_test
async def test_a_statement_that_has_no_document_yet_is_404_and_one_that_is_no_pdf_is_500(world):
    rows = sample_rows()
    await start_with(world, "sqlite", rows)
    with closing(sqlite3.connect(world.folder / "bank.db")) as bank, bank:
        for statement, content in (("1", None), ("2", b"<html>"), ("3", "%PDF-1.4 as text"), ("4", b"")):
            bank.execute(
                "UPDATE fdx_statements SET document = ? WHERE statementId = ?", (content, f"stmt-5001-{statement}")
            )
    found = [await world.call(f"{FDX}/accounts/acc-5001/statements/stmt-5001-{number}") for number in (1, 2, 3, 4)]
    assert [answer.status for answer in found] == [404, 500, 500, 500]
    assert [answer.code for answer in found] == ["not_found", "server_error", "server_error", "server_error"]


@pytest.mark.gen_test(timeout=30)
async def test_what_no_source_has_is_not_implemented_and_the_token_stays_good(world, subtests):
    kept = ("customers", "accounts")
    rows = sample_rows()
    await start_with(world, "sqlite", {name: rows[name] for name in kept})
    for row in OPERATIONS:
        if row.collection in kept or row.deprecated:
            continue
        with subtests.test(msg=row.name):
            body = ids(CUSTOMERS[row.sector][1]) if row.name in CHOSEN else None
            path = path_of(row.name)
            token = world.token(path)
            for _ in range(2):
                answer = await world.call(path, body=body, token=token)
                assert answer.status == 404
                (entry,) = errors(row.name, answer)
                assert entry["code"] == code(row.name, *NOT_SERVED)
    assert (await world.call("/auth/v1/customer/cust-1001")).status == 200


@pytest.mark.gen_test(timeout=30)
async def test_without_a_record_of_accounts_nothing_of_an_account_is_served(world, subtests):
    rows = sample_rows()
    await start_with(world, "sqlite", {name: records for name, records in rows.items() if name != "accounts"})
    for name in BELOW + CHOSEN:
        with subtests.test(msg=name):
            body = ids(CUSTOMERS[NAMED[name].sector][1]) if name in CHOSEN else None
            answer = await world.call(path_of(name), body=body)
            assert answer.status == 404
            (entry,) = errors(name, answer)
            assert entry["code"] == code(name, *NOT_SERVED)
    assert (await world.call(f"{BANKING}/payees")).status == 200


# -- rows that do not fit -----------------------------------------------------------------------------------------

MISFITS = (
    ("banking.accounts", "maskedNumber", "1791 2341 2345", "getBankingAccount"),
    ("banking.accounts", "creationDate", "2023-02-30", "getBankingAccount"),
    ("banking.accounts", "features", "[{", "getBankingAccount"),
    ("banking.balances", "currentBalance", "much", "getBankingBalance"),
    ("banking.balances", "currentBalance", "1.5", "getBankingBalance"),
    ("banking.balances", "currency", "aud", "getBankingBalance"),
    ("banking.transactions", "type", "GIFT", "listBankingTransactions"),
    ("banking.transactions", "valueDateTime", "2023-02-30T10:00:00Z", "listBankingTransactions"),
    ("banking.transactions", "description", None, "listBankingTransactions"),
    ("banking.direct_debits", "lastDebitAmount", "12", "listBankingDirectDebitsSpecific"),
    ("banking.scheduled_payments", "paymentSet", "{}", "listScheduledPayments"),
    ("banking.instalment_plans", "merchantName", None, "listInstalmentPlansSpecific"),
    ("banking.payees", "type", "FRIEND", "listPayees"),
    ("energy.accounts", "plans", "{}", "getEnergyAccount"),
    ("energy.balances", "balance", "12,50", "getEnergyBalance"),
    ("energy.concessions", "startDate", "2023-02-29", "listEnergyConcessions"),
    ("energy.payment_schedules", "amount", "0", "getEnergyPaymentSchedule"),
    ("energy.invoices", "dueDate", "2023-02-30", "listEnergyInvoices"),
    ("energy.billing", "gst", "none", "listEnergyBilling"),
    ("common.customers", "customerUType", "alien", "getCommonCustomer"),
    ("fdx.accounts", "currentBalance", "much", "fdxGetAccount"),
    ("fdx.transactions", "checkNumber", "seven", "fdxListTransactions"),
    ("fdx.statements", "links", "{}", "fdxListStatements"),
    ("fdx.payment_networks", "transferIn", "perhaps", "fdxListPaymentNetworks"),
    ("fdx.contacts", "emails", '"one"', "fdxGetContact"),
)
FAR = {"banking": EVER, "energy": f"{EVER}&{ALL_DATES}"}


def rounds() -> list[list[tuple[str, str, str | None, str]]]:
    """The misfits, one of each collection at a time."""
    made: list[list[tuple[str, str, str | None, str]]] = []
    for misfit in MISFITS:
        free = next((found for found in made if misfit[0] not in {other[0] for other in found}), None)
        made.append([misfit]) if free is None else free.append(misfit)
    return made


async def ask(world: World, name: str) -> Any:
    """Ask one operation for everything that its customer has."""
    operation = NAMED[name]
    query = f"?plan-status=ALL&{FAR.get(operation.sector, '')}" if operation.reply.many else ""
    body = ids(*CUSTOMERS[operation.sector][1:]) if name in CHOSEN else None
    return await world.call(path_of(name) + query, body=body)


@pytest.mark.parametrize("kind", ["sqlite", "csv"])
@pytest.mark.gen_test(timeout=30)
async def test_a_row_that_does_not_fit_is_500_and_the_log_says_where_it_is_but_not_what(world, subtests, kind):
    for misfits in rounds():
        rows = sample_rows()
        for collection, member, value, _ in misfits:
            rows[collection] = [{**row, member: value} for row in rows[collection]]
        await start_over(world, kind, rows)
        for collection, member, value, name in misfits:
            with subtests.test(msg=f"{name} {collection}.{member} = {value}"):
                with capture_logs() as logs:
                    answer = await ask(world, name)
                assert answer.status == 500
                (entry,) = errors(name, answer)
                assert entry["code"] == code(name, *FAULT)
                (line,) = (line for line in logs if line["event"] == "request")
                assert (line["log_level"], line["source"]) == ("error", "bank")
                assert f"collection '{collection}'" in line["fault"]
                assert f"member '{member}'" in line["fault"]
                assert value is None or value not in line["fault"]
                assert entry["detail"] == "unexpected error"


NO_DAYS = (
    ("banking.transactions", "postingDateTime", "2023-02-30T10:00:00Z", "listBankingTransactions"),
    ("banking.instalment_plans", "creationDate", "2023-02-29", "listInstalmentPlansSpecific"),
    ("energy.billing", "executionDateTime", "2023-04-31T10:00:00+10:00", "listEnergyBilling"),
    ("energy.invoices", "issueDate", "2023-06-31", "listEnergyInvoicesSpecific"),
    ("fdx.transactions", "transactionTimestamp", "2023-02-30T10:00:00Z", "fdxListTransactions"),
    ("fdx.statements", "statementDate", "1900-02-29", "fdxListStatements"),
    ("banking.accounts", "creationDate", "2023-02-30", "getBankingAccount"),
)


@pytest.mark.parametrize("kind", ["sqlite", "csv", "rest"])
@pytest.mark.gen_test(timeout=20)
async def test_a_day_that_no_calendar_has_is_500_and_never_a_record_left_out(world, subtests, kind):
    rows = sample_rows()
    for collection, member, value, _ in NO_DAYS:
        rows[collection] = [{**row, member: value} for row in rows[collection]]
    await start_with(world, kind, rows)
    for _, member, value, name in NO_DAYS:
        with subtests.test(msg=f"{name} {member} = {value}"):
            answer = await ask(world, name)
            assert answer.status == 500
            assert errors(name, answer)[0]["code"] == code(name, *FAULT)
            assert value not in answer.text.decode()


@pytest.mark.parametrize(
    ("declared", "value", "amount"),
    [
        ("NUMERIC", "1250.50", "1250.50"),
        ("NUMERIC", "1250", "1250.00"),
        ("NUMERIC", "0.1", "0.10"),
        ("NUMERIC", "-0.05", "-0.05"),
        ("NUMERIC", "12.345", "12.345"),
        ("NUMERIC", "999999999999.99", "999999999999.99"),
        ("INTEGER", "7", "7.00"),
        ("REAL", "7", "7.00"),
        ("REAL", "0.1", "0.10"),
        ("DECIMAL(12,2)", "100.10", "100.10"),
        ("TEXT", "100.10", "100.10"),
        ("TEXT", "100.100", "100.100"),
    ],
)
@pytest.mark.gen_test
async def test_amounts_from_columns_of_numbers_become_text_with_two_places(world, declared, value, amount):
    rows = sample_rows()
    write_sqlite(world.folder / "bank.db", rows)
    with closing(sqlite3.connect(world.folder / "bank.db")) as bank, bank:
        bank.execute("DROP TABLE banking_balances")
        bank.execute(
            f"CREATE TABLE banking_balances (accountId TEXT, currentBalance {declared}, availableBalance {declared})"
        )
        bank.execute("INSERT INTO banking_balances VALUES ('acc-2001', ?, ?)", (value, value))
    await world.start(SQLITE)
    answer = await world.call(f"{BANKING}/accounts/acc-2001/balance")
    expected = {"accountId": "acc-2001", "currentBalance": amount, "availableBalance": amount}
    assert (answer.status, answer.json) == (200, {"data": expected})


# -- endpoints of the holder's own --------------------------------------------------------------------------------

PAYSLIPS = "/v1/customer/{customerId}/payslips"
CARDS = "/v1/customer/{customerId}/accounts/{accountId}/cards"
ENDPOINTS = f"""
[[endpoints]]
path = "{PAYSLIPS}"
collection = "payslips"
envelope = "data.payslips"
paging = "page"
[[endpoints]]
path = "{PAYSLIPS}/{{id}}"
collection = "payslips"
[[endpoints]]
path = "{CARDS}"
collection = "cards"
envelope = "cards"
paging = "offset"
[[endpoints]]
path = "{CARDS}/{{number}}"
collection = "cards"
envelope = "data"
[[endpoints]]
path = "/v1/customer/{{customerId}}/missing"
collection = "nowhere"
"""


def with_own() -> Any:
    """The sample data, and two collections that only the holder knows."""
    rows = with_blocked()
    rows["payslips"] = [
        {"customerId": owner, "id": f"pay-{number}", "employer.name": "Kelpie Outdoor", "gross": gross,
         "lines": '[{"what":"base","hours":7.50}]', "note": None, "paid": "true"}
        for number, (owner, gross) in enumerate(
            [("cust-1001", "5123.40"), ("cust-1001", "5200.00"), ("cust-1003", "1.00"), ("cust-1001", "12.00")], 1
        )
    ]  # fmt: skip
    rows["cards"] = [
        {"accountId": account, "id": f"card-{number}", "number": f"n-{number}", "scheme": "VISA"}
        for number, account in enumerate(["acc-2001", "acc-2001", "acc-2008", "acc-2001", "acc-2901"], 1)
    ]
    return rows


@pytest.mark.parametrize("kind", ["sqlite", "csv", "rest"])
@pytest.mark.gen_test
async def test_endpoints_of_ones_own_answer_with_records_as_they_are(world, kind):
    rows = with_own()
    rows["cards"] = [
        {"customerId": "cust-1003" if row["accountId"] == "acc-2008" else "cust-1001", **row} for row in rows["cards"]
    ]
    await start_with(world, kind, rows, tables=ENDPOINTS)
    truth = "true" if kind != "rest" else True
    employer = {"name": "Kelpie Outdoor"}
    mine = [
        {"id": row["id"], "employer": employer, "gross": row["gross"], "lines": row["lines"], "paid": truth}
        for row in rows["payslips"]
        if row["customerId"] == "cust-1001"
    ]
    if kind == "rest":
        mine = [{**row, "lines": EXACT(row["lines"])} for row in mine]
    first = await world.call("/v1/customer/cust-1001/payslips?page-size=2")
    assert EXACT(first.text) == {
        "data": {"payslips": mine[:2]},
        "links": {"next": "page=2&page-size=2", "last": "page=2&page-size=2"},
        "meta": {"totalRecords": 3, "totalPages": 2},
    }
    second = await world.call("/v1/customer/cust-1001/payslips?page=2&page-size=2")
    assert EXACT(second.text)["data"] == {"payslips": mine[2:]}
    one = await world.call("/v1/customer/cust-1001/payslips/pay-2")
    assert (one.status, EXACT(one.text)) == (200, mine[1])

    cards, offset = [], ""
    for _ in range(3):
        answer = await world.call(f"/v1/customer/cust-1001/accounts/acc-2001/cards?limit=1{offset}")
        cards += answer.json["cards"]
        assert answer.json["page"]["totalElements"] == 3
        offset = f"&offset={answer.json['page'].get('nextOffset')}"
    assert offset == "&offset=None"
    assert cards == [{"id": f"card-{n}", "number": f"n-{n}", "scheme": "VISA"} for n in (1, 2, 4)]
    card = await world.call("/v1/customer/cust-1001/accounts/acc-2001/cards/n-2")
    assert (card.status, card.json) == (200, {"data": {"id": "card-2", "number": "n-2", "scheme": "VISA"}})


@pytest.mark.gen_test
async def test_endpoints_of_ones_own_keep_the_rules_of_ownership_and_errors(world, subtests):
    await start_with(world, "sqlite", with_own(), tables=ENDPOINTS)
    for path, word, refused in (
        ("cust-9999/payslips", "not_found", None),
        ("cust-9999/payslips/pay-1", "not_found", None),
        ("cust-1001/payslips/pay-3", "not_found", None),
        ("cust-1001/payslips/pay%2F1", "not_found", None),
        ("cust-1001/accounts/acc-2008/cards", "account_not_found", None),
        ("cust-1001/accounts/acc-9999/cards/n-1", "account_not_found", None),
        ("cust-1001/accounts/acc-2901/cards", "account_unavailable", "true"),
        ("cust-1001/accounts/acc-2001/cards/n-3", "not_found", None),
        ("cust-9999/accounts/acc-2001/cards", "not_found", None),
        ("cust-1001/missing", "not_found", None),
    ):
        with subtests.test(msg=path):
            answer = await world.call(f"/v1/customer/{path}")
            assert (answer.status, answer.code) == (404, word)
            assert answer.headers.get("X-Sharing-Refused") == refused
            assert answer.json["errors"][0]["meta"]["urn"].startswith(URN)
    assert (await world.call("/v1/customer/cust-1001/payslips", token="")).status == 401
    posted = await world.call("/v1/customer/cust-1001/payslips", body={})
    assert (posted.status, posted.headers["Allow"]) == (405, "GET")


SCHEMA = {
    "type": "object",
    "required": ["id", "gross"],
    "properties": {
        "gross": {"type": "number", "minimum": 10},
        "paid": {"type": "boolean"},
        "lines": {"type": "array", "items": {"required": ["hours"]}},
        "weeks": {"type": ["integer", "null"]},
    },
}


@pytest.mark.parametrize("kind", ["sqlite", "csv", "rest"])
@pytest.mark.gen_test
async def test_a_schema_gives_columns_their_types_and_refuses_rows_that_do_not_fulfil_it(world, kind):
    rows = with_own()
    rows["payslips"] = [{**row, "weeks": "2"} for row in rows["payslips"]]
    (world.folder / "payslip.json").write_text(json.dumps(SCHEMA))
    tables = f'[[endpoints]]\npath = "{PAYSLIPS}/{{id}}"\ncollection = "payslips"\nschema_file = "payslip.json"\n'
    await start_with(world, kind, rows, tables=tables)
    good = await world.call("/v1/customer/cust-1001/payslips/pay-1")
    assert (good.status, EXACT(good.text)) == (200, {
        "id": "pay-1", "employer": {"name": "Kelpie Outdoor"}, "gross": ("number", "5123.40"), "weeks": 2,
        "lines": [{"what": "base", "hours": ("number", "7.50")}], "paid": True,
    })  # fmt: skip
    with capture_logs() as logs:
        bad = await world.call("/v1/customer/cust-1003/payslips/pay-3")
    assert (bad.status, bad.code) == (500, "server_error")
    (line,) = (line for line in logs if line["event"] == "request")
    assert "payslips" in line["fault"] and "gross" in line["fault"]
    assert "1.00" not in line["fault"]


@pytest.mark.gen_test
async def test_a_reference_of_a_schema_is_never_fetched(world):
    upstream = await world.stack.enter_async_context(Upstream(sample_rows()))
    write_sqlite(world.folder / "bank.db", with_own())
    (world.folder / "payslip.json").write_text(json.dumps({"$ref": f"{upstream.url}/payslip.json"}))
    tables = f'[[endpoints]]\npath = "{PAYSLIPS}/{{id}}"\ncollection = "payslips"\nschema_file = "payslip.json"\n'
    await world.start(SQLITE, tables=tables)
    answer = await world.call("/v1/customer/cust-1001/payslips/pay-1")
    assert (answer.status, answer.code) == (500, "server_error")
    assert upstream.requests == []


CONFIGURATION = f"""
public_url = "https://bank.example"
[fiskil]
issuer = "{ISSUER}"
jwks_url = "https://keys.example/jwks.json"
[sources.bank]
kind = "sqlite"
path = "bank.db"
"""


@pytest.mark.parametrize(
    ("entries", "key", "text"),
    [
        (['path = "/auth/v1/customer/{customerId}"'], "endpoints.0.path", "Fiskil's own"),
        (['path = "/v1/banking/customer/{customerId}/payees/{id}"'], "endpoints.0.path", "Fiskil's own"),
        (
            ['path = "/v1/customer/{customerId}/x/{id}"', 'path = "/v1/customer/{customerId}/x/{other}"'],
            "endpoints.1.path",
            "endpoints.0",
        ),
        (['path = "/v1/payslips/{customerId}"'], "endpoints.0.path", "/customer/{customerId}"),
        (['path = "/v1/customer/{customerId}/{id}/{id}"'], "endpoints.0.path", "once"),
        (['path = "/v1/customer/{customerId}/x"\npaging = "page"'], "endpoints.0", "envelope"),
        (['path = "/v1/customer/{customerId}/x"\nschema_file = "none.json"'], "endpoints.0.schema_file", ""),
        (['path = "/v1/customer/{customerId}/x"\nschema_file = "bad.json"'], "endpoints.0.schema_file", "JSON Schema"),
    ],
)
def test_an_endpoint_that_cannot_be_meant_is_a_mistake(tmp_path, entries, key, text):
    (tmp_path / "bank.db").touch()
    (tmp_path / "bad.json").write_text('{"type": "strang"}')
    tables = "".join(f'[[endpoints]]\ncollection = "x"\n{entry}\n' for entry in entries)
    (tmp_path / "openholder.toml").write_text(CONFIGURATION + tables)
    with pytest.raises(ConfigurationError) as raised:
        Configuration.load(tmp_path / "openholder.toml")
    (mistake,) = raised.value.mistakes
    assert (mistake.key, text in mistake.message) == (key, True), mistake
