"""Mistakes of a mapping, put into a good bank one at a time, and the finding that each must give."""

from __future__ import annotations

import json

import pytest

from helpers.support import SQLITE, sample_rows, write_sqlite
from inspection.looking import look, spoil
from inspection.mistakes import MISTAKES, TRANSACTION
from openholder.inspection.judges import owners
from openholder.inspection.selection import Selection

PEOPLE = Selection(("cust-1001", "cust-1002", "cust-1003", "cust-3001"))
"""Customers who have whatever a mistake changes: looking at all takes five times as long."""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "bank.db"
    write_sqlite(path, sample_rows())
    return path


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_is_found(good, tmp_path, mistake):
    spoil(good, tmp_path, mistake.sql)
    findings = look(tmp_path, PEOPLE).findings
    place = (mistake.kind, mistake.collection, mistake.member, mistake.fault, mistake.severity)
    found = [row for row in findings if (row.kind, row.collection, row.member, row.fault, row.severity) == place]
    assert found, findings
    assert sum(row.count for row in found) == (mistake.count or sum(row.count for row in found))
    assert any(mistake.wanted in row.wanted for row in found)
    assert all(row.ids and row.of >= row.count for row in found)


def test_all_faults_of_a_record_are_found_at_once(good, tmp_path):
    broken = "amount = 'much', type = 'GIFT', postingDateTime = NULL, description = NULL"
    spoil(good, tmp_path, f"UPDATE banking_transactions SET {broken} {TRANSACTION}")
    found = {(row.member, row.fault, row.count, row.ids) for row in look(tmp_path, PEOPLE).findings if row.ids}
    ids = ("txn-2002-0005",)
    assert found == {
        ("amount", "wrong-form", 1, ids),
        ("type", "not-allowed", 1, ids),
        ("description", "missing", 1, ids),
        ("postingDateTime", "missing-when-required", 1, ids),
    }


def test_a_record_of_a_joint_account_counts_once(good, tmp_path):
    """Two owners share acc-2003: its rows of `accounts` are two, and its transactions are read for one of them."""
    spoil(
        good,
        tmp_path,
        "UPDATE accounts SET status = 'ODD' WHERE id = 'acc-2003'",
        "UPDATE banking_balances SET currency = 'aud' WHERE accountId = 'acc-2012'",
    )
    findings = look(tmp_path, Selection(all=True)).findings
    counted = {row.collection: (row.count, row.ids) for row in findings if row.severity == "error"}
    assert counted == {"accounts": (1, ("acc-2003",)), "banking.balances": (1, ("acc-2012",))}


RULES = f"{SQLITE}[closed_accounts]\nbanking = 24\nenergy = 24\nfdx = 24\n"
CLOSED = ("cust-1019",)
"""A customer with one account, acc-2034, which is closed."""


def test_a_closed_account_without_a_day_is_found_under_a_rule(good, tmp_path):
    spoil(good, tmp_path)
    assert not [row for row in look(tmp_path, Selection(CLOSED)).findings if row.fault == "no-closing-day"]
    (found,) = [row for row in look(tmp_path, Selection(CLOSED), RULES).findings if row.fault == "no-closing-day"]
    assert (found.member, found.severity, found.ids) == ("closingDate", "error", ("acc-2034",))


@pytest.mark.parametrize(("day", "faults"), [("2001-01-01", set()), ("2999-01-01", {"in-no-list"})])
def test_an_account_closed_too_long_ago_needs_no_records(good, tmp_path, day, faults):
    spoil(
        good,
        tmp_path,
        "ALTER TABLE accounts ADD COLUMN closingDate TEXT",
        f"UPDATE accounts SET closingDate = '{day}' WHERE id = 'acc-2034'",
        "DELETE FROM banking_accounts WHERE accountId = 'acc-2034'",
    )
    found = {row.fault for row in look(tmp_path, Selection(CLOSED), RULES).findings if "acc-2034" in row.ids}
    assert found & {"in-no-list", "no-closing-day"} == faults


@pytest.mark.parametrize(("second", "faults"), [("true", {"more-holders"}), ("false", set())])
def test_only_who_holds_no_account_is_left_out_of_its_holders(good, tmp_path, second, faults):
    """Two customers have acc-2014, and both are in its `users`."""
    spoil(
        good,
        tmp_path,
        "UPDATE banking_accounts SET accountOwnership = 'ONE_PARTY' WHERE accountId = 'acc-2014'",
        f"UPDATE accounts SET users = json_set(users, '$[1].isAccountHolder', json('{second}')) WHERE id = 'acc-2014'",
    )
    findings = look(tmp_path, Selection(("cust-1006", "cust-1007"))).findings
    assert {row.fault for row in findings if row.fault == "more-holders"} == faults


def people(*users):
    """Return `users` of people with ids that no customer has; those whose letter is H hold the account."""
    return [
        {"id": f"person-{number}", "email": f"p{number}@example.com", "isAccountHolder": kind == "H"}
        for number, kind in enumerate(users)
    ]


@pytest.mark.parametrize(
    ("users", "faults"),
    [
        (people(), {"more-holders"}),
        (people("H", "-"), set()),  # the second customer is the user who holds nothing
        (people("-"), set()),
        (people("H", "H"), {"more-holders"}),
        (people("H", "H", "-"), {"more-holders"}),  # who logs in for them, and is no customer
        ([*people("-"), {"id": "cust-1006", "email": "six@example.com", "isAccountHolder": True}], set()),
        (
            [{"id": f"cust-100{n}", "email": f"{n}@example.com", "isAccountHolder": True} for n in (6, 7)]
            + people("-"),
            {"more-holders"},
        ),
    ],
)
def test_a_user_who_holds_nothing_may_have_another_id(good, tmp_path, users, faults):
    """Two customers have acc-2014."""
    spoil(
        good,
        tmp_path,
        "UPDATE banking_accounts SET accountOwnership = 'ONE_PARTY' WHERE accountId = 'acc-2014'",
        f"UPDATE accounts SET users = '{json.dumps(users)}' WHERE id = 'acc-2014'",
    )
    findings = look(tmp_path, Selection(("cust-1006", "cust-1007"))).findings
    assert {row.fault for row in findings if row.fault == "more-holders"} == faults


def test_owners_of_all_records_are_looked_up_or_it_says_so(good, tmp_path, monkeypatch):
    """The record of nobody is the last of its table."""
    spoil(
        good,
        tmp_path,
        "INSERT INTO banking_transactions (transactionId, accountId) VALUES ('txn-lost', 'acc-nowhere')",
    )
    monkeypatch.setattr(owners, "BATCH_SIZE", 7)

    def find(selection):
        faults = ("of-nobody", "owners-not-looked-up")
        findings = look(tmp_path, selection).findings
        return [row for row in findings if row.fault in faults and row.collection == "banking.transactions"]

    (found,) = find(Selection(all=True))
    records = sum(row["accountId"] is not None for row in sample_rows()["banking.transactions"]) + 1
    assert (found.fault, found.ids, found.count, found.of) == ("of-nobody", ("txn-lost",), 1, records)
    (told,) = find(Selection(("cust-1001",)))
    assert (told.fault, told.severity) == ("owners-not-looked-up", "note")
    assert told.wanted == f"--all, to look up the owners of all {records} records: here it was those of the first 7"


def test_there_are_mistakes_enough():
    assert len(MISTAKES) >= 40
