"""Rows that do not fit: 500, a log line that says where, and nothing of what they hold."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from structlog.testing import capture_logs

from helpers.errors import FAULT, error_code, read_errors
from helpers.people import CUSTOMERS
from helpers.requests import ALL_DATES, BANKING, CHOSEN, EVER, NAMED, ids, path_of
from helpers.support import SQLITE, World, restart_with, sample_rows, start_with, write_sqlite

MISFITS = (
    ("banking.accounts", "maskedNumber", "1791 2341 2345", "getBankingAccount"),
    ("banking.accounts", "creationDate", "2023-02-30", "getBankingAccount"),
    ("banking.accounts", "features", "[{", "getBankingAccount"),
    ("banking.balances", "currentBalance", "much", "getBankingBalance"),
    ("banking.balances", "currentBalance", "1.", "getBankingBalance"),
    ("banking.balances", "currency", "aud", "getBankingBalance"),
    ("banking.transactions", "type", "GIFT", "listBankingTransactions"),
    ("banking.transactions", "valueDateTime", "2023-02-30T10:00:00Z", "listBankingTransactions"),
    ("banking.transactions", "description", None, "listBankingTransactions"),
    ("banking.direct_debits", "lastDebitAmount", "12-", "listBankingDirectDebitsSpecific"),
    ("banking.scheduled_payments", "paymentSet", "{}", "listScheduledPayments"),
    ("banking.instalment_plans", "merchantName", None, "listInstalmentPlansSpecific"),
    ("banking.payees", "type", "FRIEND", "listPayees"),
    ("energy.accounts", "plans", "{}", "getEnergyAccount"),
    ("energy.balances", "balance", "12,50", "getEnergyBalance"),
    ("energy.concessions", "startDate", "2023-02-29", "listEnergyConcessions"),
    ("energy.payment_schedules", "amount", "$0", "getEnergyPaymentSchedule"),
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


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "csv"])
@pytest.mark.gen_test(timeout=30)
async def test_an_invalid_row_is_500_and_logged_by_place_alone(world, subtests, kind):
    """The log says where the value is, but not the value."""
    for misfits in rounds():
        rows = sample_rows()
        for collection, member, value, _ in misfits:
            rows[collection] = [{**row, member: value} for row in rows[collection]]
        await restart_with(world, kind, rows)
        for collection, member, value, name in misfits:
            with subtests.test(msg=f"{name} {collection}.{member} = {value}"):
                with capture_logs() as logs:
                    answer = await ask(world, name)
                assert answer.status == 500
                (entry,) = read_errors(name, answer)
                assert entry["code"] == error_code(name, *FAULT)
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
async def test_an_impossible_date_is_500_and_no_record_is_left_out(world, subtests, kind):
    rows = sample_rows()
    for collection, member, value, _ in NO_DAYS:
        rows[collection] = [{**row, member: value} for row in rows[collection]]
    await start_with(world, kind, rows)
    for _, member, value, name in NO_DAYS:
        with subtests.test(msg=f"{name} {member} = {value}"):
            answer = await ask(world, name)
            assert answer.status == 500
            assert read_errors(name, answer)[0]["code"] == error_code(name, *FAULT)
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
        ("TEXT", "7.1", "7.10"),
        ("TEXT", "7", "7.00"),
        ("TEXT", "-0", "-0.00"),
    ],
)
@pytest.mark.gen_test
async def test_amounts_get_two_decimal_places(world, declared, value, amount):
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
