"""Never green on nothing: no customers, no records, tables that are no collection, keys that cannot be reached."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from helpers.commands import run_command
from helpers.processes import configuration
from helpers.support import CSV, SQLITE, sample_rows, write_csv, write_sqlite

pytestmark = pytest.mark.slow

NOTHING = "DELETE FROM {}"


def run(folder, *arguments, dev=("--dev",), more=SQLITE, **environment):
    configuration(folder, more=more)
    ended = run_command("check", *dev, "--data", "--json", *arguments, cwd=folder, **environment)
    assert "Traceback" not in ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def execute(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def bank(tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    return tmp_path


def pick(found, **wanted):
    return [row for row in found["findings"] if wanted.items() <= row.items()]


def test_no_customers_is_an_error(bank):
    execute(bank / "bank.db", NOTHING.format("customers"))
    code, found = run(bank)
    assert (code, found["looked_at"]["customers"]) == (1, 0)
    assert pick(found, kind="coverage", fault="no-customers", severity="error", collection="customers")


def test_a_mark_of_deleted_rows_is_named(bank):
    """Rows with the mark are served like all others."""
    columns = {"banking_payees": "IS_DELETED", "banking_transactions": "deleted_at", "customers": "delivered_at"}
    execute(bank / "bank.db", *(f"ALTER TABLE {table} ADD COLUMN {column}" for table, column in columns.items()))
    code, found = run(bank, "--sample", "1")
    told = {
        (row["collection"], row["severity"], row["wanted"].partition(":")[0])
        for row in pick(found, fault="deletion-mark")
    }
    assert code == 0
    assert told == {
        ("banking.payees", "warning", "'IS_DELETED'"),
        ("banking.transactions", "warning", "'deleted_at'"),
    }


def test_customers_without_an_id_are_an_error_and_no_crash(tmp_path):
    rows = sample_rows()
    write_csv(tmp_path / "bank", rows)
    (tmp_path / "bank/customers.csv").write_text("CUST_NO,email,name\nc1,kim@example.com,Kim\n", encoding="utf-8")
    code, found = run(tmp_path, more=CSV)
    assert code == 1
    assert pick(found, fault="unlisted", collection="customers", member="id", severity="error")


@pytest.mark.parametrize(
    ("table", "severity", "code"),
    [
        ("banking_transactions", "error", 1),
        ("accounts", "error", 1),
        ("banking_payees", "warning", 0),
        ("energy_concessions", "note", 0),
    ],
)
def test_a_served_collection_without_a_record_is_told(bank, table, severity, code):
    execute(bank / "bank.db", NOTHING.format(table))
    ended, found = run(bank, "--all")
    collection = table.replace("_", ".", 1)
    assert pick(found, kind="coverage", fault="no-records", collection=collection, severity=severity)
    assert ended == code


@pytest.mark.parametrize("more", [("--data", "--json"), ("--json",)], ids=["data", "plain"])
def test_tables_that_are_no_collection_are_named(tmp_path, more):
    execute(
        tmp_path / "bank.db",
        "CREATE TABLE customer (id, email)",
        "CREATE TABLE account (id, customerId)",
        "CREATE TABLE banking_transaction (accountId)",
        "CREATE TABLE ledger (x)",
    )
    configuration(tmp_path, more=SQLITE)
    ended = run_command("check", "--dev", *more, cwd=tmp_path)
    found = json.loads(ended.stdout)
    assert ended.returncode == 1
    if more == ("--json",):
        told = {row["what"]: row["detail"] for row in found if row["verdict"] in ("warning", "failed")}
        assert "is `customers` meant?" in told["table customer"]
        assert "tables that are no collection: account, banking_transaction, customer, ledger" in told["sources"]
        return
    told = {row["collection"]: row["wanted"] for row in pick(found, fault="misspelt-table", severity="warning")}
    assert set(told) == {"customer", "account", "banking_transaction"}
    assert "is `banking.transactions` meant?" in told["banking_transaction"]
    assert pick(found, kind="configuration", fault="serves-nothing", severity="error")


def test_a_table_beside_the_collection_that_it_resembles_is_none(bank):
    execute(bank / "bank.db", "CREATE TABLE customer (id)", "CREATE TABLE ledger (x)")
    code, found = run(bank)
    assert (code, pick(found, fault="misspelt-table")) == (0, [])


def test_data_is_looked_at_without_keys(bank):
    code, found = run(bank, "--all", dev=())
    assert code == 0 and found["looked_at"]["customers"] == len(sample_rows()["customers"])
    (unreachable,) = pick(found, kind="configuration", fault="unreachable")
    assert unreachable["severity"] == "warning"
    ended = run_command("check", "--data", "--all", cwd=bank)
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[-1].startswith("not looked at: keys at http://127.0.0.1:")
    assert run_command("check", cwd=bank).returncode == 4


def test_sources_that_cannot_be_opened_are_exit_code_4(bank):
    (bank / "bank.db").write_bytes(b"this is no database" * 100)
    code, found = run(bank)
    assert (code, found["looked_at"]) == (4, {"customers": 0, "collections": {}})
    assert pick(found, kind="configuration", fault="sources-unreachable", severity="error")


def test_files_that_cannot_be_written_are_named(bank):
    (bank / "taken").mkdir()
    environment = {
        "OPENHOLDER_CURSOR_KEY": str(bank / "taken"),
        "OPENHOLDER_FISKIL__KNOWN_KEYS": str(bank / "taken"),
    }
    _, found = run(bank, "--sample", "1", **environment)
    told = [row["wanted"] for row in pick(found, fault="unwritable-file", severity="warning")]
    assert len(told) == 2 and "`cursor_key`" in str(told) and "`fiskil.known_keys`" in str(told)
    run(bank, "--sample", "1")
    assert sorted(path.name for path in bank.iterdir() if path.suffix == ".key") == []


def test_filters_that_need_another_collection_are_named(tmp_path):
    rows = sample_rows()
    kept = {name: rows[name] for name in ("customers", "accounts", "banking.balances")}
    write_csv(tmp_path / "bank", kept)
    code, found = run(tmp_path, "--all", more=CSV)
    (told,) = pick(found, fault="filters-unavailable", severity="warning")
    assert told["collection"] == "banking.balances"
    assert "product-category" in told["wanted"] and "`banking.accounts`" in told["wanted"]
    assert code == 0


def test_without_customers_the_accounts_say_whom_there_is(tmp_path):
    rows = sample_rows()
    write_csv(tmp_path / "bank", {name: rows[name] for name in ("accounts", "balances")})
    code, found = run(tmp_path, "--all", more=CSV)
    assert code == 0
    assert found["looked_at"]["customers"] == len({row["customerId"] for row in rows["accounts"]})


@pytest.mark.parametrize("number", [2, 7, 20])
def test_a_sample_is_spread_over_all_customers(bank, number):
    _, found = run(bank, "--sample", str(number))
    assert found["looked_at"]["customers"] == number
