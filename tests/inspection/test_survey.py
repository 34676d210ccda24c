"""``check --data`` and ``diff``: what an operator learns of the data before anybody asks for it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from helpers.commands import run_command
from helpers.processes import configuration
from helpers.support import CSV, SQLITE, sample_rows, write_csv, write_sqlite

pytestmark = pytest.mark.slow

CHANGES = {
    "an amount that is none": (
        "UPDATE banking_transactions SET amount = 'SECRET' WHERE transactionId = 'txn-2002-0005'",
        "banking.transactions",
        "record 'txn-2002-0005': member 'amount' does not fit (found str)",
    ),
    "a member that is missing": (
        "UPDATE banking_payees SET nickname = NULL WHERE payeeId = 'payee-1001-01'",
        "banking.payees",
        "record 'payee-1001-01': member 'nickname' does not fit (found NoneType): is missing",
    ),
    "a time that is none": (
        "UPDATE energy_invoices SET issueDate = 'SECRET' WHERE rowid = 1",
        "energy.invoices",
        "collection 'energy.invoices': table 'energy_invoices': member 'issueDate': a value is neither a date-time",
    ),
    "an account of nobody": (
        "INSERT INTO accounts (customerId, id, name) VALUES ('cust-none', 'acc-none', 'SECRET')",
        "accounts",
        "record 'acc-none' belongs to a customer or account that does not exist",
    ),
    "a transaction of no account": (
        "UPDATE banking_transactions SET accountId = 'acc-none' WHERE transactionId = 'txn-2002-0005'",
        "banking.transactions",
        "record 'txn-2002-0005' belongs to a customer or account that does not exist",
    ),
    "a detail that does not fit": (
        """UPDATE banking_transactions SET extendedData = '{"extensionUType": "SECRET"}', isDetailAvailable = 'true'
        WHERE transactionId = 'txn-2002-0006'""",
        "banking.transactions",
        "record 'txn-2002-0006': member 'extendedData",
    ),
}


def change(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount == 1


@pytest.fixture
def bank(tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    configuration(tmp_path, more=SQLITE)
    return tmp_path


def findings(bank, *arguments):
    ended = run_command("check", "--dev", "--data", "--json", *arguments, cwd=bank)
    found = [row for row in json.loads(ended.stdout) if row["what"].startswith("data")]
    return ended.returncode, found


def test_good_data_is_summed_up_collection_by_collection(bank):
    code, found = findings(bank, "--sample", "50")
    assert code == 0
    assert {row["verdict"] for row in found} == {"ok"}
    summed = {row["what"].removeprefix("data of "): row["detail"] for row in found}
    assert set(summed) == {name for name in sample_rows() if name != "logins"}
    assert summed["energy.invoices"].startswith("24 records from source 'bank'; ")
    assert "; median query " in summed["fdx.transactions"]


@pytest.mark.parametrize(("statement", "collection", "told"), CHANGES.values(), ids=CHANGES)
def test_each_invalid_record_is_named_by_member_not_by_value(bank, statement, collection, told):
    change(bank / "bank.db", statement)
    code, found = findings(bank, "--sample", "50")
    assert code == 1
    bad = [row for row in found if row["verdict"] == "failed"]
    assert {row["what"] for row in bad} == {f"data of {collection}"}
    assert any(row["detail"].startswith(told) for row in bad), bad
    assert "SECRET" not in str(found)


def test_text_that_is_not_utf8_is_named_by_record_not_by_value(bank):
    latin = "CAST(X'5A6FEB20534543524554' AS TEXT)"
    change(bank / "bank.db", f"UPDATE banking_payees SET nickname = {latin} WHERE payeeId = 'payee-1001-01'")
    change(bank / "bank.db", f"UPDATE energy_invoices SET issueDate = {latin} WHERE rowid = 1")
    ended = run_command("check", "--dev", "--data", "--json", "--sample", "50", cwd=bank)
    failed = {row["what"]: row["detail"] for row in json.loads(ended.stdout) if row["verdict"] == "failed"}
    payee = (
        "record 'payee-1001-01': collection 'banking.payees': table 'banking_payees': column 'nickname' has text that "
        "is not UTF-8; convert it"
    )
    assert ended.returncode == 1
    assert failed["data of banking.payees"] == payee
    assert failed["GET /v1/banking/customer/{customerId}/payees"].endswith(payee)
    invoice = failed["data of energy.invoices"]
    assert invoice.startswith("record 'INV-") and "column 'issueDate' has text that is not UTF-8" in invoice
    assert "SECRET" not in ended.stdout + ended.stderr and "Zo" not in ended.stdout


@pytest.mark.parametrize("more", [(), ("--data", "--customer", "cust-1001")], ids=["sample", "data"])
def test_an_id_that_no_request_can_have_is_named_with_the_reason(bank, more):
    reasons = {
        "x" * 257: f"'{'x' * 60}…': an id has 257 characters; at most 256 are allowed; requests for it get 404",
        "a/1": "'a/1': an id has a character that `id_characters` does not allow, or none at all; requests for it",
        "..": "'..': an id is . or .., which clients remove from a path; requests for it get 404",
    }
    for number, name in enumerate(reasons, 2001):
        change(bank / "bank.db", f"UPDATE banking_balances SET accountId = '{name}' WHERE accountId = 'acc-{number}'")
        change(
            bank / "bank.db",
            f"UPDATE accounts SET id = '{name}' WHERE id = 'acc-{number}' AND customerId = 'cust-1001'",
        )
    ended = run_command("check", "--dev", "--json", *more, cwd=bank)
    kind = "data" if more else "ids"
    for collection in ("accounts", "banking.balances"):
        rows = [row for row in json.loads(ended.stdout) if row["what"] == f"{kind} of {collection}"]
        told = [row["detail"].removeprefix("record ") for row in rows if " an id " in row["detail"]]
        assert {row["verdict"] for row in rows} == {"failed"}
        assert len(told) == 3
        assert all(any(detail.startswith(reason) for detail in told) for reason in reasons.values())
    assert ended.returncode == 1


def test_customers_are_a_sample_or_those_that_are_named(bank):
    _, found = findings(bank, "--customer", "cust-3001")
    summed = {row["what"].removeprefix("data of "): row["detail"] for row in found}
    assert summed["customers"].startswith("1 records") and summed["energy.billing"].startswith("94 records")
    assert summed["banking.payees"].startswith("0 records")
    _, found = findings(bank, "--sample", "2")
    assert next(row for row in found if row["what"] == "data of customers")["detail"].startswith("2 records")


def test_invalid_records_are_counted_after_the_first_twenty(bank):
    with closing(sqlite3.connect(bank / "bank.db")) as connection, connection:
        connection.execute("UPDATE banking_transactions SET status = 'DONE' WHERE accountId = 'acc-2002'")
    _, found = findings(bank, "--customer", "cust-1001")
    told = [row["detail"] for row in found if row["what"] == "data of banking.transactions"]
    assert len(told) == 22 and told[-1] == "and 375 more"


def compare(bank, *arguments):
    ended = run_command("diff", "openholder.toml", "new.toml", "--json", *arguments, cwd=bank)
    return ended.returncode, json.loads(ended.stdout)


def put_new(bank, source):
    text = (bank / "openholder.toml").read_text()
    assert SQLITE in text
    (bank / "new.toml").write_text(text.replace(SQLITE, source))


def test_equal_data_of_two_kinds_of_source_do_not_differ(bank):
    write_csv(bank / "bank", sample_rows())
    put_new(bank, CSV)
    assert compare(bank, "--sample", "50") == (0, [])


def test_each_difference_names_customer_record_and_member(bank):
    write_sqlite(bank / "new.db", sample_rows())
    for statement in (
        "UPDATE banking_transactions SET amount = '1.00' WHERE transactionId = 'txn-2002-0005'",
        "DELETE FROM banking_payees WHERE payeeId = 'payee-1001-01'",
        "UPDATE energy_invoices SET issueDate = 'SECRET' WHERE rowid = 1",
    ):
        change(bank / "new.db", statement)
    put_new(bank, SQLITE.replace("bank.db", "new.db"))
    code, found = compare(bank, "--customer", "cust-1001", "--customer", "cust-3001")
    assert code == 1
    told = {(row["customer"], row["collection"], row["record"]): row["difference"] for row in found}
    assert told["cust-1001", "banking.transactions", "txn-2002-0005"] == "differs in amount"
    assert told["cust-1001", "banking.payees", "payee-1001-01"] == "is missing"
    assert ("cust-3001", "energy.invoices", "?") in told
    assert {row["collection"] for row in found} == {"banking.transactions", "banking.payees", "energy.invoices"}
    assert "SECRET" not in str(found)
    ended = run_command("diff", "openholder.toml", "new.toml", "--customer", "cust-1001", cwd=bank)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (1, "2 differences")
    assert "differs in amount" in ended.stdout


def test_another_order_is_a_difference_too(bank):
    write_sqlite(bank / "new.db", sample_rows())
    with closing(sqlite3.connect(bank / "new.db")) as connection, connection:
        connection.execute("CREATE TABLE turned AS SELECT * FROM banking_payees ORDER BY rowid DESC")
        connection.execute("DROP TABLE banking_payees")
        connection.execute("ALTER TABLE turned RENAME TO banking_payees")
    put_new(bank, SQLITE.replace("bank.db", "new.db"))
    assert compare(bank, "--customer", "cust-1001") == (
        1,
        [{"customer": "cust-1001", "collection": "banking.payees", "record": "*", "difference": "order differs"}],
    )


@pytest.mark.parametrize(
    ("collection", "change", "told"),
    [
        ("accounts", lambda row: row | {"status": "ACT"}, ("data of accounts", "record 'acc-2001': ")),
        ("accounts", lambda row: row | {"id": "acc/2001"}, ("data of accounts", "record 'acc/2001': an id has ")),
        ("customers", lambda row: [row, row], ("data of customers", "record 'cust-1001' appears 2 times")),
        ("accounts", lambda row: [row, row], ("data of accounts", "record 'acc-2001' appears 2 times")),
        ("balances", lambda row: [row, row], ("data of balances", "2 records for one accountId, ")),
    ],
    ids=["a status nobody knows", "an id nobody can ask for", "a customer twice", "an account twice", "two balances"],
)
def test_what_would_fail_once_served_is_reported_beforehand(tmp_path, collection, change, told):
    rows = sample_rows()
    first, *others = rows[collection]
    changed = change(first)
    rows[collection] = [*(changed if isinstance(changed, list) else [changed]), *others]
    write_sqlite(tmp_path / "bank.db", rows)
    configuration(tmp_path, more=SQLITE)
    ended = run_command("check", "--dev", "--data", "--customer", "cust-1001", "--json", cwd=tmp_path)
    failed = {(row["what"], row["detail"]) for row in json.loads(ended.stdout) if row["verdict"] == "failed"}
    what, detail = told
    assert [found for name, found in failed if name == what and found.startswith(detail)], failed
    assert ended.returncode == 1
