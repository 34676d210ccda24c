"""``check --data`` and ``diff``: what an operator learns of the data before anybody asks for it."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator

from helpers.commands import run_command
from helpers.processes import configuration
from helpers.support import CSV, SQLITE, sample_rows, write_csv, write_sqlite
from openholder.inspection.differences import compare_values

pytestmark = pytest.mark.slow

SCHEMA = Draft202012Validator(
    json.loads(files("openholder.inspection").joinpath("findings.schema.json").read_text("utf-8"))
)

IGNORED = ("source-advice", "nothing-new", "long-pending")
"""Faults that the sample data has on some machine or day: advice on indexes, and what comes of its age."""


def change(path, statement, rows=1):
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount == rows or rows is None


@pytest.fixture
def bank(tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    configuration(tmp_path, more=SQLITE)
    return tmp_path


def findings(bank, *arguments):
    """Run `check --data --json`, and return its exit code, what it looked at, and what it found."""
    ended = run_command("check", "--dev", "--data", "--json", *arguments, cwd=bank)
    found = json.loads(ended.stdout)
    SCHEMA.validate(found)
    return ended.returncode, found["looked_at"], [row for row in found["findings"] if row["fault"] not in IGNORED]


def test_good_data_is_counted_collection_by_collection(bank):
    code, looked_at, found = findings(bank, "--all")
    assert (code, found) == (0, [])
    rows = sample_rows()
    assert looked_at["customers"] == len(rows["customers"])
    assert set(looked_at["collections"]) == set(rows)
    assert looked_at["collections"]["energy.invoices"] == 24
    text = run_command("check", "--dev", "--data", "--all", cwd=bank).stdout
    assert "findings: 0 errors, " in text
    assert "energy.invoices" in text and "24 records  source 'bank'; mean query " in text


def test_every_fault_of_every_record_is_named_by_member(bank):
    spoilt = "UPDATE banking_transactions SET amount = 'SECRET', type = 'SECRET' WHERE accountId = 'acc-2002'"
    change(bank / "bank.db", spoilt, rows=None)
    code, _, found = findings(bank, "--customer", "cust-1001")
    assert code == 1
    bad = {row["member"]: row for row in found if row["severity"] == "error"}
    assert set(bad) == {"amount", "type"}
    count = bad["amount"]["count"]
    assert count > 100 and bad["type"]["count"] == count and bad["amount"]["of"] > count
    assert len(bad["amount"]["ids"]) == 100 and bad["amount"]["wanted"] == "an amount such as 1234.56"
    ended = run_command("check", "--dev", "--data", "--customer", "cust-1001", cwd=bank)
    assert ended.returncode == 1
    assert f"error    banking.transactions amount: wrong-form: {count} of " in ended.stdout
    shown = next(line for line in ended.stdout.splitlines() if "such as txn-2002-" in line)
    assert shown.count("txn-2002-") == 3
    assert "SECRET" not in str(found) + ended.stdout + ended.stderr


def test_text_that_is_not_utf8_is_named_by_record_not_by_value(bank):
    latin = "CAST(X'5A6FEB20534543524554' AS TEXT)"
    change(bank / "bank.db", f"UPDATE banking_payees SET nickname = {latin} WHERE payeeId = 'payee-1001-01'")
    change(bank / "bank.db", f"UPDATE energy_invoices SET issueDate = {latin} WHERE rowid = 1")
    ended = run_command("check", "--dev", "--data", "--json", "--all", cwd=bank)
    found = [row for row in json.loads(ended.stdout)["findings"] if row["severity"] == "error"]
    unreadable = {row["collection"]: row for row in found if row["fault"] == "unreadable"}
    assert ended.returncode == 1
    assert unreadable["banking.payees"]["ids"] == ["payee-1001-01"]
    assert "column 'nickname' has text that is not UTF-8; convert it" in unreadable["banking.payees"]["wanted"]
    assert unreadable["energy.invoices"]["member"] == "issueDate"
    assert "SECRET" not in ended.stdout + ended.stderr and "Zo" not in ended.stdout


@pytest.mark.parametrize("more", [(), ("--data", "--customer", "cust-1001")], ids=["sample", "data"])
def test_an_id_that_no_request_can_have_is_named_with_the_reason(bank, more):
    reasons = {
        "x" * 257: "an id has 257 characters; at most 256 are allowed; requests for it get 404",
        "a/1": "an id has a character that `id_characters` does not allow, or none at all; requests for it get 404",
        "..": "an id is . or .., which clients remove from a path; requests for it get 404",
    }
    for number, name in enumerate(reasons, 2001):
        change(bank / "bank.db", f"UPDATE banking_balances SET accountId = '{name}' WHERE accountId = 'acc-{number}'")
        change(
            bank / "bank.db",
            f"UPDATE accounts SET id = '{name}' WHERE id = 'acc-{number}' AND customerId = 'cust-1001'",
        )
    ended = run_command("check", "--dev", "--json", *more, cwd=bank)
    found = json.loads(ended.stdout)
    for collection, member in (("accounts", "id"), ("banking.balances", "accountId")):
        if more:
            rows = [row for row in found["findings"] if row["fault"] == "unusable-id"]
            told = {
                row["wanted"]: row["ids"] for row in rows if (row["collection"], row["member"]) == (collection, member)
            }
            assert told == {reason: [name] for name, reason in reasons.items()}
        else:
            steps = [row["detail"] for row in found if row["what"] == f"ids of {collection}"]
            assert all(any(reason in step for step in steps) for reason in reasons.values())
    assert ended.returncode == 1


def test_customers_are_a_spread_sample_or_those_that_are_named(bank):
    _, looked_at, _ = findings(bank, "--customer", "cust-3001")
    assert looked_at["customers"] == looked_at["collections"]["customers"] == 1
    assert looked_at["collections"]["energy.billing"] == 94
    code, looked_at, found = findings(bank, "--sample", "2")
    assert (code, looked_at["customers"]) == (0, 2)
    notes = {(row["fault"], row["collection"]) for row in found}
    assert {row["severity"] for row in found} == {"note"}
    assert ("not-in-sample", "energy.accounts") in notes and ("no-loan", "banking.accounts") in notes
    first, second = (findings(bank, *arguments)[1] for arguments in (("--customer", "cust-1001"), ("--sample", "1")))
    assert first == second  # a sample begins with the first, and ends with the last


def test_a_sector_can_be_looked_at_alone(bank):
    _, looked_at, _ = findings(bank, "--all", "--sector", "energy")
    assert {name.partition(".")[0] for name in looked_at["collections"] if "." in name} == {"energy"}
    text = run_command("check", "--dev", "--sector", "fdx", cwd=bank).stdout
    assert "/fdx/v6/" in text and "/v1/banking/" not in text and "/auth/v1/" in text


def compare(bank, *arguments):
    ended = run_command("diff", "openholder.toml", "new.toml", "--json", *arguments, cwd=bank)
    return ended.returncode, json.loads(ended.stdout)["differences"]


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
    told = {(row["customer"], row["collection"], row["record"], row["member"]): row["difference"] for row in found}
    assert told["cust-1001", "banking.transactions", "txn-2002-0005", "amount"] == "differs"
    assert told["cust-1001", "banking.payees", "payee-1001-01", ""] == "is missing"
    assert ("cust-3001", "energy.invoices", "?", "") in told
    assert {row["collection"] for row in found} == {"banking.transactions", "banking.payees", "energy.invoices"}
    assert "SECRET" not in str(found)


def test_a_summary_counts_and_the_ids_are_in_a_file(bank):
    write_sqlite(bank / "new.db", sample_rows())
    change(bank / "new.db", "UPDATE banking_transactions SET amount = '1.00' WHERE accountId = 'acc-2002'", None)
    change(bank / "new.db", "DELETE FROM banking_payees WHERE payeeId = 'payee-1001-01'")
    put_new(bank, SQLITE.replace("bank.db", "new.db"))
    arguments = ("diff", "openholder.toml", "new.toml", "--customer", "cust-1001")
    ended = run_command(*arguments, "--ids", "ids.csv", cwd=bank)
    heading, *rows, last = ended.stdout.splitlines()
    assert heading.split() == ["COLLECTION", "MEMBER", "DIFFERENCE", "COUNT"]
    (amounts,) = [row.split() for row in rows if row.startswith("banking.transactions")]
    assert amounts[1:3] == ["amount", "differs"] and int(amounts[3]) > 1
    assert (ended.returncode, last) == (1, f"{int(amounts[3]) + 1} differences")
    assert "txn-2002" not in ended.stdout + ended.stderr
    with open(bank / "ids.csv", encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == int(amounts[3]) + 1
    assert {row["customer"] for row in written} == {"cust-1001"}
    assert (bank / "ids.csv").stat().st_mode & 0o077 == 0
    ended = run_command(*arguments, "--ids", "nowhere/ids.csv", cwd=bank)
    assert (ended.returncode, "cannot be written: No such file or directory" in ended.stderr) == (1, True)


def test_equal_moments_and_numbers_differ_in_spelling_alone(bank):
    write_sqlite(bank / "new.db", sample_rows())
    in_utc = "strftime('%Y-%m-%dT%H:%M:%SZ', postingDateTime)"
    change(bank / "new.db", f"UPDATE banking_transactions SET postingDateTime = {in_utc}", None)
    change(bank / "new.db", "UPDATE banking_balances SET currentBalance = currentBalance || '0'", None)
    put_new(bank, SQLITE.replace("bank.db", "new.db"))
    assert compare(bank, "--customer", "cust-1001") == (0, [])
    ended = run_command("diff", "openholder.toml", "new.toml", "--customer", "cust-1001", cwd=bank)
    assert (ended.returncode, ended.stdout) == (0, "0 differences\n")
    assert "spelt differently: see --spelling" in ended.stderr
    code, found = compare(bank, "--customer", "cust-1001", "--spelling")
    assert code == 1
    assert {row["member"] for row in found} == {"postingDateTime", "currentBalance"}


EQUAL = (
    ("amount", "1200.5", "1200.50"),
    ("amount", "-0.00", "0.00"),
    ("schedule.amount", [{"amount": "1"}], [{"amount": "1.0"}]),
    ("posted", "2026-10-01T09:30:00+10:00", "2026-09-30T23:30:00Z"),
    ("rate", 4.75, Decimal("4.750")),
)
UNEQUAL = (
    ("amount", "1200.5", "1200.51"),
    ("posted", "2026-10-01T09:30:00+10:00", "2026-10-01T09:30:00Z"),
    ("number", "0123", "123"),  # text that looks like a number
    ("number", "2026-10-01T09:30:00+10:00", "2026-09-30T23:30:00Z"),
    ("flag", True, 1),
    ("flag", False, "false"),
    ("amount", "1200.5", None),
)
KINDS = {"amount": "amount", "schedule.amount": "amount", "posted": "time", "rate": "amount", "flag": "truth"}


@pytest.mark.parametrize(("rows", "expected"), [(EQUAL, "is spelt differently"), (UNEQUAL, "differs")])
def test_values_are_compared_by_what_their_member_means(rows, expected):
    for path, old, new in rows:
        name = path.partition(".")[0]
        assert [how for _, how in compare_values(old, new, name, KINDS)] == [expected], path
        assert list(compare_values(old, old, name, KINDS)) == []
    assert list(compare_values({"a": 1, "l": [1]}, {"b": 1, "l": [1, 2]}, "", {})) == [
        ("a", "is missing"),
        ("l", "differs"),
        ("b", "is new"),
    ]


RULE = "[closed_accounts]\nbanking = 24\nenergy = 24\nfdx = 24\n"


def compare_closed(bank, more=""):
    put_new(bank, SQLITE.replace("bank.db", "new.db") + more)
    ended = run_command("diff", "openholder.toml", "new.toml", "--json", "--customer", "cust-1019", cwd=bank)
    found = json.loads(ended.stdout)
    places = {(row["collection"], row["record"], row["difference"]) for row in found["differences"]}
    return found["accounts_left_out"], places


def test_accounts_that_nobody_shares_are_left_out_and_counted(bank):
    """The one account of cust-1019 is closed, and the new data says another amount of it."""
    for path in (bank / "bank.db", bank / "new.db"):
        write_sqlite(path, sample_rows())
        change(path, "ALTER TABLE accounts ADD COLUMN closingDate TEXT", None)
        change(path, "UPDATE accounts SET closingDate = '2001-01-01' WHERE id = 'acc-2034'")
    change(bank / "new.db", "UPDATE banking_balances SET currentBalance = '7.00' WHERE accountId = 'acc-2034'")
    assert compare_closed(bank) == (0, {("banking.balances", "acc-2034", "differs")})
    left_out, places = compare_closed(bank, RULE)
    assert left_out == 0
    assert {("accounts", "acc-2034", "is missing"), ("banking.balances", "acc-2034", "is missing")} <= places
    old = bank / "openholder.toml"
    old.write_text(old.read_text() + RULE)
    assert compare_closed(bank) == (1, set())
    text = run_command("diff", "openholder.toml", "new.toml", "--customer", "cust-1019", cwd=bank).stderr
    assert "1 accounts left out, which neither shares: blocked, or closed for longer than" in text
    change(bank / "new.db", "UPDATE accounts SET closingDate = NULL WHERE id = 'acc-2034'")
    left_out, places = compare_closed(bank)
    assert (left_out, {place[0] for place in places}) == (0, {"accounts"})


@pytest.mark.parametrize("column", ["", "closingDate", "closed_on"])
def test_check_warns_of_a_rule_without_days_of_closing(bank, column):
    if column:
        change(bank / "bank.db", f"ALTER TABLE accounts ADD COLUMN {column} TEXT", None)

    def warned():
        text = run_command("check", "--dev", cwd=bank).stdout
        return [line for line in text.splitlines() if line.startswith("closed accounts ")]

    assert warned() == []
    path = bank / "openholder.toml"
    path.write_text(path.read_text() + RULE)
    lines = warned()
    assert len(lines) == (column != "closingDate")
    text = "none of the first 25 accounts has a column `closingDate`"
    assert all(" warning " in line and text in line for line in lines)
    if column == "closed_on":
        path.write_text(path.read_text() + '[sources.bank.columns.accounts]\nclosingDate = "closed_on"\n')
        assert warned() == []


def test_another_order_is_a_difference_too(bank):
    write_sqlite(bank / "new.db", sample_rows())
    with closing(sqlite3.connect(bank / "new.db")) as connection, connection:
        connection.execute("CREATE TABLE turned AS SELECT * FROM banking_payees ORDER BY rowid DESC")
        connection.execute("DROP TABLE banking_payees")
        connection.execute("ALTER TABLE turned RENAME TO banking_payees")
    put_new(bank, SQLITE.replace("bank.db", "new.db"))
    assert compare(bank, "--customer", "cust-1001") == (
        1,
        [
            {
                "customer": "cust-1001",
                "collection": "banking.payees",
                "record": "*",
                "member": "",
                "difference": "order differs",
            }
        ],
    )
