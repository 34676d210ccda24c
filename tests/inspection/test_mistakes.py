"""Mistakes of a mapping, put into a good bank one at a time, and the finding that each must give."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from helpers.support import SQLITE, sample_rows, write_sqlite
from inspection.looking import look, spoil
from openholder.inspection.judges import owners
from openholder.inspection.selection import Selection

PEOPLE = Selection(("cust-1001", "cust-1002", "cust-1003", "cust-3001"))
"""Customers who have whatever a mistake changes: looking at all takes five times as long."""
TRANSACTION = "WHERE transactionId = 'txn-2002-0005'"


class Mistake(NamedTuple):
    """What a mapping does to the data, and what must be found."""

    sql: str
    collection: str
    member: str
    fault: str
    severity: str = "error"
    kind: str = "form"
    count: int | None = None
    wanted: str = ""


def json_set(table: str, column: str, path: str, value: str, where: str) -> str:
    return f'UPDATE {table} SET "{column}" = json_set("{column}", \'{path}\', {value}) {where}'


def json_drop(table: str, column: str, path: str, where: str = "") -> str:
    return f'UPDATE {table} SET "{column}" = json_remove("{column}", \'{path}\') {where}'


MISTAKES = {
    # The form of values
    "amounts with a currency sign": Mistake(
        f"UPDATE banking_transactions SET amount = '$1.00' {TRANSACTION}",
        "banking.transactions",
        "amount",
        "wrong-form",
        count=1,
        wanted="an amount such as 1234.56",
    ),
    "amounts with a decimal comma": Mistake(
        f"UPDATE banking_transactions SET amount = '1,50' {TRANSACTION}",
        "banking.transactions",
        "amount",
        "decimal-comma",
    ),
    "a time without an offset": Mistake(
        f"UPDATE banking_transactions SET valueDateTime = '2026-10-01T09:30:00' {TRANSACTION}",
        "banking.transactions",
        "valueDateTime",
        "wrong-form",
        wanted="a time with an offset, such as 2026-10-01T09:30:00+10:00",
    ),
    "a day where a time is wanted": Mistake(
        f"UPDATE banking_transactions SET valueDateTime = '2026-10-01' {TRANSACTION}",
        "banking.transactions",
        "valueDateTime",
        "wrong-form",
    ),
    "a day in local order": Mistake(
        "UPDATE banking_accounts SET creationDate = '01/10/2020' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "creationDate",
        "wrong-form",
        wanted="a day such as 2026-10-01",
    ),
    "a time that cannot be sorted": Mistake(
        f"UPDATE banking_transactions SET postingDateTime = '01/10/2026' {TRANSACTION}",
        "banking.transactions",
        "postingDateTime",
        "wrong-form",
        count=1,
    ),
    "all times in local order": Mistake(
        "UPDATE energy_invoices SET issueDate = '01/10/2026'", "energy.invoices", "issueDate", "wrong-form", count=24
    ),
    "the bank's own code": Mistake(
        f"UPDATE banking_transactions SET type = 'EFTPOS' {TRANSACTION}",
        "banking.transactions",
        "type",
        "not-allowed",
        wanted="DIRECT_DEBIT, FEE, INTEREST_CHARGED",
    ),
    "a status in lower case": Mistake(
        "UPDATE banking_transactions SET status = lower(status) WHERE accountId = 'acc-2002'",
        "banking.transactions",
        "status",
        "not-allowed",
    ),
    "a status that nobody knows": Mistake(
        "UPDATE accounts SET status = 'ACT' WHERE id = 'acc-2001'", "accounts", "status", "not-allowed", count=1
    ),
    "an account number in clear": Mistake(
        "UPDATE banking_accounts SET maskedNumber = '1791 2341 2345' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "maskedNumber",
        "wrong-form",
        wanted="a masked number such as xxxx xxxx xxxx 1234",
    ),
    "a currency in lower case": Mistake(
        "UPDATE banking_balances SET currency = 'aud' WHERE accountId = 'acc-2001'",
        "banking.balances",
        "currency",
        "wrong-form",
    ),
    "a rate in per cent with its sign": Mistake(
        "UPDATE banking_accounts SET depositRate = '4.35 %' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "depositRate",
        "wrong-form",
    ),
    "a rate with twenty digits": Mistake(
        "UPDATE banking_accounts SET depositRate = '0.04750000000000000000' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "depositRate",
        "too-many-digits",
        wanted="at most 16 digits behind the point",
    ),
    "empty text for nothing": Mistake(
        "UPDATE banking_accounts SET creationDate = '' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "creationDate",
        "empty",
        wanted="no value, as NULL",
    ),
    "a phone number without its country": Mistake(
        "UPDATE customers SET phoneNumber = '0491570006' WHERE id = 'cust-1001'",
        "customers",
        "phoneNumber",
        "wrong-form",
    ),
    "Y and N for truth": Mistake(
        "UPDATE banking_accounts SET isOwned = 'Y' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "isOwned",
        "wrong-type",
        wanted="true or false",
    ),
    "JSON that is none": Mistake(
        "UPDATE banking_accounts SET features = '[{' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "features",
        "not-json",
    ),
    "an object where a list is wanted": Mistake(
        "UPDATE banking_accounts SET fees = json_extract(fees, '$[0]') WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "fees",
        "wrong-type",
    ),
    "a code inside a list": Mistake(
        json_set("banking_accounts", "fees", "$[0].feeType", "'MONTHLY'", "WHERE accountId = 'acc-2002'"),
        "banking.accounts",
        "fees[].feeType",
        "not-allowed",
    ),
    "a member of a list that is missing": Mistake(
        json_drop("banking_accounts", "fees", "$[0].name", "WHERE accountId = 'acc-2002'"),
        "banking.accounts",
        "fees[].name",
        "missing",
    ),
    # What is owed
    "a member that is owed and missing": Mistake(
        "UPDATE banking_payees SET nickname = NULL WHERE payeeId = 'payee-1001-01'",
        "banking.payees",
        "nickname",
        "missing",
    ),
    "an object that a zero makes": Mistake(
        "UPDATE banking_accounts SET \"creditCard.minPaymentAmount\" = '0.00' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "creditCard.paymentDueDate",
        "missing",
        wanted="because creditCard.minPaymentAmount is there",
    ),
    # Conditions of the CDS
    "a loan without its loan": Mistake(
        "UPDATE banking_accounts SET loan = NULL",
        "banking.accounts",
        "loan",
        "missing-for-type",
        kind="condition",
        wanted="an object `loan`, because specificAccountUType is loan",
    ),
    "the type of every account is loan": Mistake(
        "UPDATE banking_accounts SET specificAccountUType = 'loan'",
        "banking.accounts",
        "loan",
        "missing-for-type",
        kind="condition",
    ),
    "no type of account": Mistake(
        "UPDATE banking_accounts SET specificAccountUType = NULL",
        "banking.accounts",
        "loan",
        "not-named",
        "warning",
        "condition",
    ),
    "a posted transaction without its time": Mistake(
        f"UPDATE banking_transactions SET postingDateTime = NULL {TRANSACTION}",
        "banking.transactions",
        "postingDateTime",
        "missing-when-required",
        kind="condition",
        count=1,
    ),
    "all transactions posted": Mistake(
        "UPDATE banking_transactions SET status = 'POSTED'",
        "banking.transactions",
        "postingDateTime",
        "missing-when-required",
        kind="condition",
    ),
    "details without ids": Mistake(
        "UPDATE banking_transactions SET transactionId = NULL, isDetailAvailable = 'true' WHERE accountId = 'acc-2002'"
        " AND extendedData IS NOT NULL",
        "banking.transactions",
        "transactionId",
        "missing-when-required",
        kind="condition",
    ),
    "a fee without its amount": Mistake(
        json_drop("banking_accounts", "fees", "$[0].fixedAmount", "WHERE accountId = 'acc-2002'"),
        "banking.accounts",
        "fees[].fixedAmount",
        "missing-for-type",
        kind="condition",
    ),
    "a card number in clear": Mistake(
        f"UPDATE banking_transactions SET crn = '4111111111111111' {TRANSACTION}",
        "banking.transactions",
        "crn",
        "in-clear",
        "warning",
        "condition",
    ),
    "a payee without its account": Mistake(
        "UPDATE banking_payees SET domestic = NULL, biller = NULL, international = NULL, digitalWallet = NULL",
        "banking.payees",
        "domestic",
        "missing-for-type",
        kind="condition",
    ),
    "a scheduled payment without its payee": Mistake(
        json_drop("banking_scheduled_payments", "paymentSet", "$[0].to.payeeId"),
        "banking.scheduled_payments",
        "paymentSet[].to.payeeId",
        "missing-for-type",
        kind="condition",
    ),
    "a scheduled payment without its amount": Mistake(
        json_drop("banking_scheduled_payments", "paymentSet", "$[0].amount"),
        "banking.scheduled_payments",
        "paymentSet[].amount",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "a customer without a person": Mistake(
        "UPDATE common_customers SET customerUType = 'organisation'",
        "common.customers",
        "organisation",
        "missing-for-type",
        kind="condition",
    ),
    "an Australian address without its postcode": Mistake(
        json_drop(
            "common_customers",
            "person.physicalAddresses",
            "$[0].simple.postcode",
            "WHERE customerId = 'cust-1001'",
        ),
        "common.customers",
        "person.physicalAddresses[].simple.postcode",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "an occupation without its version": Mistake(
        'UPDATE common_customers SET "person.occupationCodeVersion" = NULL',
        "common.customers",
        "person.occupationCodeVersion",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "usage without its charge": Mistake(
        "UPDATE energy_billing SET usage = NULL", "energy.billing", "usage", "missing-for-type", kind="condition"
    ),
    "a concession without its percentage": Mistake(
        "UPDATE energy_concessions SET percentage = NULL, amount = NULL",
        "energy.concessions",
        "percentage",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "a direct debit without its account": Mistake(
        json_drop("energy_payment_schedules", "directDebit", "$.bsb"),
        "energy.payment_schedules",
        "directDebit.bsb",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "an open account without its day": Mistake(
        "UPDATE energy_accounts SET creationDate = NULL",
        "energy.accounts",
        "creationDate",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "a gas plan without its contract": Mistake(
        json_drop("energy_accounts", "plans", "$[1].planDetail.gasContract", "WHERE accountId = 'acc-3001'"),
        "energy.accounts",
        "plans[].planDetail.gasContract",
        "missing-when-required",
        "warning",
        "condition",
    ),
    # Ids and owners
    "a doubled customer": Mistake(
        "INSERT INTO customers SELECT * FROM customers WHERE id = 'cust-1001'",
        "customers",
        "id",
        "duplicate-id",
        count=1,
    ),
    "doubled transactions": Mistake(
        "INSERT INTO banking_transactions SELECT * FROM banking_transactions WHERE accountId = 'acc-2002'",
        "banking.transactions",
        "transactionId",
        "duplicate-id",
    ),
    "two balances of one account": Mistake(
        "INSERT INTO balances SELECT * FROM balances WHERE accountId = 'acc-2001'",
        "balances",
        "",
        "several-records",
        count=1,
    ),
    "an account of nobody": Mistake(
        "INSERT INTO accounts (customerId, id, name) VALUES ('cust-none', 'acc-none', 'none')",
        "accounts",
        "customerId",
        "of-nobody",
        kind="reference",
        count=1,
    ),
    "a transaction of no account": Mistake(
        f"UPDATE banking_transactions SET accountId = 'acc-none' {TRANSACTION}",
        "banking.transactions",
        "accountId",
        "of-nobody",
        kind="reference",
    ),
    "an id that no request can have": Mistake(
        "UPDATE accounts SET id = 'acc/2001' WHERE id = 'acc-2001'", "accounts", "id", "unusable-id"
    ),
    "a status that is NULL": Mistake(
        "UPDATE accounts SET status = NULL WHERE id = 'acc-2001'", "accounts", "status", "no-status", kind="access"
    ),
    "text that is not UTF-8": Mistake(
        "UPDATE banking_payees SET nickname = CAST(X'5A6FEB' AS TEXT) WHERE payeeId = 'payee-1001-01'",
        "banking.payees",
        "nickname",
        "unreadable",
        count=1,
    ),
    # References across collections
    "personal loans left out of the view": Mistake(
        "DELETE FROM banking_accounts WHERE accountId = 'acc-2007'",
        "accounts",
        "id",
        "in-no-list",
        kind="reference",
        count=1,
        wanted="a record in banking.accounts or energy.accounts",
    ),
    "details of accounts that nobody is offered": Mistake(
        "DELETE FROM accounts WHERE id = 'acc-2001'",
        "banking.accounts",
        "accountId",
        "of-nobody",
        kind="reference",
        count=1,
    ),
    "an open account that is closed elsewhere": Mistake(
        "UPDATE banking_accounts SET openStatus = 'OPEN'",
        "banking.accounts",
        "openStatus",
        "states-disagree",
        "warning",
        "access",
        count=1,
    ),
    "an energy account that is closed elsewhere": Mistake(
        "UPDATE accounts SET status = 'closed' WHERE id = 'acc-3001'",
        "energy.accounts",
        "openStatus",
        "states-disagree",
        "warning",
        "access",
        count=1,
    ),
    "every account of one party": Mistake(
        "UPDATE banking_accounts SET accountOwnership = 'ONE_PARTY'",
        "banking.accounts",
        "accountOwnership",
        "more-holders",
        "warning",
        "access",
        count=1,
        wanted="TWO_PARTY or MANY_PARTY",
    ),
    "a login for nobody": Mistake(
        "UPDATE logins SET customerId = 'cust-none' WHERE customerId = 'cust-1002'",
        "logins",
        "customerId",
        "of-nobody",
        "warning",
        "reference",
        count=1,
    ),
    "customers without an address": Mistake(
        "UPDATE customers SET email = NULL WHERE id IN ('cust-1001', 'cust-1002')",
        "customers",
        "email",
        "no-login",
        "note",
        "access",
        count=1,
    ),
    "padded addresses": Mistake(
        "UPDATE customers SET email = email || '  ' WHERE id = 'cust-1001'",
        "customers",
        "email",
        "padded",
        "warning",
        "access",
        count=1,
    ),
    "a word for no address": Mistake(
        "UPDATE logins SET email = 'unknown' WHERE customerId = 'cust-1002'",
        "logins",
        "email",
        "not-an-address",
        "warning",
        "access",
        count=1,
    ),
    "a padded address of a person": Mistake(
        json_set("common_customers", "person.emailAddresses", "$[0].address", "' a@example.com'", ""),
        "common.customers",
        "person.emailAddresses[].address",
        "padded",
        "warning",
        "access",
    ),
    "a payment to the account of a stranger": Mistake(
        json_set(
            "banking_scheduled_payments",
            "paymentSet",
            "$[0].to",
            'json(\'{"toUType":"accountId","accountId":"acc-2009","nickname":"Niamh"}\')',
            "WHERE accountId = 'acc-2002'",
        ),
        "banking.scheduled_payments",
        "paymentSet[].to.accountId",
        "of-a-stranger",
        kind="reference",
    ),
    "a payment to a deleted payee": Mistake(
        "DELETE FROM banking_payees WHERE payeeId = 'payee-1001-01'",
        "banking.scheduled_payments",
        "paymentSet[].to.payeeId",
        "of-nothing",
        "warning",
        "reference",
        wanted="the `payeeId` of a record of banking.payees",
    ),
    "a payment to the payee of a stranger": Mistake(
        "UPDATE banking_payees SET customerId = 'cust-1009' WHERE payeeId = 'payee-1001-01'",
        "banking.scheduled_payments",
        "paymentSet[].to.payeeId",
        "of-a-stranger",
        kind="reference",
    ),
    "the offset account of a stranger": Mistake(
        json_set("banking_accounts", "loan", "$.offsetAccountIds", "json('[\"acc-2001\"]')", "WHERE loan IS NOT NULL"),
        "banking.accounts",
        "loan.offsetAccountIds[]",
        "of-a-stranger",
        kind="reference",
        count=1,
    ),
    "an offset account by its number": Mistake(
        json_set("banking_accounts", "loan", "$.offsetAccountIds", "json('[\"179191234\"]')", "WHERE loan IS NOT NULL"),
        "banking.accounts",
        "loan.offsetAccountIds[]",
        "of-nothing",
        "warning",
        "reference",
    ),
    "plans where there are none": Mistake(
        "UPDATE banking_accounts SET isInstalmentDetailAvailable = 'false'",
        "banking.accounts",
        "isInstalmentDetailAvailable",
        "denied",
        "warning",
        "reference",
    ),
    "meters by another number": Mistake(
        "UPDATE energy_invoices SET servicePoints = '[\"7\"]' WHERE accountId = 'acc-3001'",
        "energy.invoices",
        "servicePoints[]",
        "unknown-service-point",
        "warning",
        "reference",
    ),
    "balances that differ from those of consent": Mistake(
        "UPDATE balances SET current = '1.00' WHERE accountId != 'acc-2003'",
        "balances",
        "current",
        "balances-differ",
        "warning",
        "reference",
    ),
}


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
