"""Mistakes that no single record shows, put into a good bank, and the finding of the profile that each must give.

Those that do not touch each other are made together, since looking at a bank takes seconds.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from helpers.rich_bank import make_rich_bank
from helpers.support import write_sqlite
from inspection.looking import NOW, look, spoil
from inspection.mistakes import Mistake, json_set
from openholder.inspection.profile import MemberProfile
from openholder.inspection.selection import Selection

CARDS = "WHERE accountId IN (SELECT accountId FROM banking_accounts WHERE productCategory = 'CRED_AND_CHRG_CARDS')"
LOANS = "WHERE accountId IN (SELECT accountId FROM banking_accounts WHERE productCategory = 'PERS_LOANS')"
SAVINGS = "WHERE accountId IN (SELECT accountId FROM banking_accounts WHERE productCategory LIKE 'T%')"
SAME = "SELECT 1"
"""A further consequence of the statements around it."""
TRANSACTIONS, BALANCES, ACCOUNTS = "banking.transactions", "banking.balances", "banking.accounts"


def profile(sql: str, collection: str, member: str, fault: str, severity: str = "warning", wanted: str = "") -> Mistake:
    return Mistake(sql, collection, member, fault, severity, "profile", wanted=wanted)


TOGETHER = (
    {
        "all debits positive": profile(
            "UPDATE banking_transactions SET amount = ltrim(amount, '-') WHERE type IN ('PAYMENT', 'DIRECT_DEBIT')",
            TRANSACTIONS,
            "amount",
            "positive-payment",
            wanted="negative amounts for PAYMENT",
        ),
        "direct debits positive": profile(SAME, TRANSACTIONS, "amount", "positive-direct-debit"),
        "interest charged positive": profile(
            "UPDATE banking_transactions SET amount = ltrim(amount, '-') WHERE type = 'INTEREST_CHARGED'",
            TRANSACTIONS,
            "amount",
            "positive-interest-charged",
        ),
        "one fee positive": profile(
            "UPDATE banking_transactions SET amount = '5.10' WHERE transactionId = 'txn-acc-3-0-2'",
            TRANSACTIONS,
            "amount",
            "positive-fee",
            "note",
        ),
        "incoming transfers negative": profile(
            "UPDATE banking_transactions SET amount = '-' || amount WHERE type = 'TRANSFER_INCOMING'",
            TRANSACTIONS,
            "amount",
            "negative-transfer-incoming",
        ),
        "debts positive": profile(
            f"UPDATE banking_balances SET currentBalance = ltrim(currentBalance, '-') {CARDS} OR creditLimit > ''",
            BALANCES,
            "currentBalance",
            "positive-debt",
        ),
        "deposits negative": profile(
            f"UPDATE banking_balances SET currentBalance = '-' || currentBalance {SAVINGS}",
            BALANCES,
            "currentBalance",
            "negative-deposit",
        ),
        "less than nothing available": profile(
            "UPDATE banking_balances SET availableBalance = '-10.50' WHERE accountId = 'acc-4-0'",
            BALANCES,
            "availableBalance",
            "negative",
        ),
        "the rate in per cent": profile(
            "UPDATE banking_accounts SET lendingRate = '6.09' WHERE lendingRate IS NOT NULL",
            ACCOUNTS,
            "lendingRate",
            "above-one",
            wanted="4.5 % is 0.045",
        ),
        "a rate inside a list in per cent": profile(
            json_set("banking_accounts", "depositRates", "$[0].rate", "'4.4'", "WHERE depositRates IS NOT NULL"),
            ACCOUNTS,
            "depositRates[].rate",
            "above-one",
        ),
        "a concession in per cent": profile(
            "UPDATE energy_concessions SET percentage = '17.5'", "energy.concessions", "percentage", "above-one"
        ),
        "details for everything": profile(
            "UPDATE banking_transactions SET isDetailAvailable = 'true'", TRANSACTIONS, "extendedData", "no-detail"
        ),
        "local text read as another encoding": profile(
            "UPDATE banking_payees SET nickname = 'CafÃ©' WHERE payeeId = 'payee-1'",
            "banking.payees",
            "nickname",
            "mis-decoded",
        ),
        "text that is padded": profile(
            "UPDATE banking_accounts SET productName = productName || '   '", ACCOUNTS, "productName", "padded", "note"
        ),
        "a word for nothing": profile(
            "UPDATE banking_scheduled_payments SET payeeReference = 'NULL'",
            "banking.scheduled_payments",
            "payeeReference",
            "placeholder",
        ),
        "text of a web page": profile(
            "UPDATE banking_accounts SET displayName = 'Save &amp; Spend' WHERE accountId = 'acc-2-0'",
            ACCOUNTS,
            "displayName",
            "html",
            "note",
        ),
        "a card number in a description": profile(
            "UPDATE banking_transactions SET description = 'Card 4111 1111 1111 1111' WHERE accountId = 'acc-1-0'",
            TRANSACTIONS,
            "description",
            "in-clear",
        ),
        "every nickname the same": profile(
            "UPDATE banking_accounts SET nickname = 'Savings'", ACCOUNTS, "nickname", "constant"
        ),
        "every masked number the same": profile(
            "UPDATE banking_accounts SET maskedNumber = 'xxxx'", ACCOUNTS, "maskedNumber", "constant"
        ),
        "every account of one day": profile(
            "UPDATE banking_accounts SET creationDate = '2020-01-01'", ACCOUNTS, "creationDate", "constant"
        ),
        "a day for no day": profile(
            json_set("banking_accounts", "loan", "$.loanEndDate", "'9999-12-31'", "WHERE loan IS NOT NULL"),
            ACCOUNTS,
            "loan.loanEndDate",
            "placeholder-date",
        ),
        "a start that is to come": profile(
            json_set("banking_accounts", "loan", "$.originalStartDate", "'2099-01-01'", "WHERE loan IS NOT NULL"),
            ACCOUNTS,
            "loan.originalStartDate",
            "in-future",
        ),
        "numbers with a dash": profile(
            "UPDATE banking_accounts SET bsb = '062-000' WHERE bsb IS NOT NULL", ACCOUNTS, "bsb", "not-digits"
        ),
        "no account number": profile(
            "UPDATE banking_accounts SET accountNumber = NULL", ACCOUNTS, "accountNumber", "never-filled", "note"
        ),
        "the family name twice": profile(
            json_set("common_customers", "person", "$.firstName", "json_extract(person, '$.lastName')", ""),
            "common.customers",
            "person.firstName",
            "same-as-family-name",
        ),
        "the code of a merchant as a number": profile(
            "UPDATE banking_transactions SET merchantCategoryCode = '742' WHERE merchantCategoryCode > ''",
            TRANSACTIONS,
            "merchantCategoryCode",
            "not-digits",
        ),
        "pending for ever": profile(
            "UPDATE banking_transactions SET status = 'PENDING', executionDateTime = '2026-02-01T00:00:00Z'"
            " WHERE transactionId = 'txn-acc-3-0-9'",
            TRANSACTIONS,
            "status",
            "long-pending",
        ),
    },
    {
        "savings with a limit of nothing": profile(
            "UPDATE banking_balances SET creditLimit = '0.00' WHERE creditLimit IS NULL",
            BALANCES,
            "creditLimit",
            "zero-for-nothing",
            "note",
        ),
        "cards without their limit": profile(
            f"UPDATE banking_balances SET creditLimit = NULL {CARDS}", BALANCES, "creditLimit", "missing-for-kind"
        ),
        "purchases without their merchant": profile(
            "UPDATE banking_transactions SET merchantName = NULL", TRANSACTIONS, "merchantName", "never-filled", "note"
        ),
        "loans without a loan": profile(
            f"UPDATE banking_accounts SET loan = NULL, specificAccountUType = NULL {LOANS}",
            ACCOUNTS,
            "loan",
            "missing-for-kind",
        ),
        "cards without a card": profile(
            f"UPDATE banking_accounts SET creditCard = NULL, specificAccountUType = NULL {CARDS}",
            ACCOUNTS,
            "creditCard",
            "usually-there",
            "note",
        ),
        "a redraw of nothing": profile(
            json_set("banking_accounts", "loan", "$.maxRedraw", "'0.00'", "WHERE loan IS NOT NULL"),
            ACCOUNTS,
            "loan.maxRedraw",
            "zero-for-nothing",
        ),
        "cents that were not divided": profile(
            "UPDATE banking_transactions SET amount = replace(amount, '.', '')", TRANSACTIONS, "amount", "all-whole"
        ),
        "a debit of nothing": profile(
            "UPDATE banking_balances SET availableBalance = '-0.00' WHERE accountId = 'acc-4-0'",
            BALANCES,
            "availableBalance",
            "negative-zero",
            "note",
        ),
        "every description the same": profile(
            "UPDATE banking_transactions SET description = 'Entry'", TRANSACTIONS, "description", "constant"
        ),
    },
    {
        "limits in thousands": profile(
            "UPDATE banking_balances SET creditLimit = '20.00' WHERE creditLimit > ''",
            BALANCES,
            "currentBalance",
            "over-limit",
        ),
        "the limit as what is available": profile(SAME, BALANCES, "availableBalance", "above-limit"),
        "cards with a limit of nothing": profile(
            f"UPDATE banking_balances SET creditLimit = '0.00' {CARDS}", BALANCES, "creditLimit", "zero-for-nothing"
        ),
        "all amounts nothing": profile(
            "UPDATE banking_transactions SET amount = '0.00'", TRANSACTIONS, "amount", "zero-for-nothing"
        ),
        "days that are the epoch": profile(
            "UPDATE banking_transactions SET postingDateTime = '1970-01-01T00:00:00Z' WHERE postingDateTime > ''",
            TRANSACTIONS,
            "postingDateTime",
            "placeholder-date",
        ),
        "one amount for all": profile(SAME, TRANSACTIONS, "amount", "constant"),
        "one time for all": profile(SAME, TRANSACTIONS, "postingDateTime", "constant"),
        "a load that has stopped": profile(SAME, TRANSACTIONS, "", "nothing-new", wanted="of the last 45 days"),
    },
)
CASES = [(batch, name) for batch, mistakes in enumerate(TOGETHER) for name in mistakes]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Find what is wrong with each batch of mistakes."""
    folder = tmp_path_factory.mktemp("rich")
    write_sqlite(folder / "bank.db", make_rich_bank())
    findings = []
    for batch in TOGETHER:
        spoilt = tmp_path_factory.mktemp("spoilt")
        spoil(folder / "bank.db", spoilt, *(mistake.sql for mistake in batch.values()))
        findings.append(look(spoilt, Selection(all=True)).findings)
    return findings


@pytest.mark.parametrize(("batch", "name"), CASES, ids=[name for _, name in CASES])
def test_each_mistake_is_found(found, batch, name):
    mistake = TOGETHER[batch][name]
    place = ("profile", mistake.collection, mistake.member, mistake.fault, mistake.severity)
    rows = [row for row in found[batch] if (row.kind, row.collection, row.member, row.fault, row.severity) == place]
    assert len(rows) == 1, [row for row in found[batch] if row.collection == mistake.collection]
    assert mistake.wanted in rows[0].wanted
    assert rows[0].count is None or 0 < rows[0].count <= rows[0].of


def test_nothing_else_is_found(found):
    """Each fault of the profile is that of a mistake, so that none is a false alarm."""
    for batch, findings in zip(TOGETHER, found, strict=True):
        named = {(row.collection, row.member, row.fault) for row in batch.values()}
        told = {(row.collection, row.member, row.fault) for row in findings if row.kind == "profile"}
        assert told - named == set()


def test_ages_count_from_now(tmp_path, monkeypatch):
    write_sqlite(tmp_path / "bank.db", make_rich_bank())
    monkeypatch.setattr("inspection.looking.NOW", NOW + timedelta(days=50))
    assert [row.fault for row in look(tmp_path, Selection(number=5)).findings if row.severity != "note"] == [
        "nothing-new"
    ]


SHOPS = (0, 7, 8, 8, *[hour for hour in range(9, 18) for _ in range(4)], 18, 18, 18, 19, 19, 20, 20, 21, 22)
"""The hours of the day at which people pay, as often as they do."""
BATCH = (1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 9, 12, 15, 18)


@pytest.mark.parametrize(
    ("hours", "offset", "times", "is_local"),
    [
        (SHOPS, "Z", 500, True),
        (SHOPS, "+00:00", 500, True),
        (SHOPS, "Z", 199, False),
        (SHOPS, "+10:00", 500, False),
        (SHOPS, "+08:00", 500, False),
        ([(hour - 11) % 24 for hour in SHOPS], "Z", 500, False),
        ([(hour - 10) % 24 for hour in SHOPS], "Z", 500, False),
        ([(hour - 8) % 24 for hour in SHOPS], "Z", 500, False),
        ([(hour - 10) % 24 for hour in BATCH], "Z", 500, False),
        (BATCH, "Z", 500, False),
        (range(24), "Z", 500, False),
        ([14], "Z", 500, False),  # days, as their midnight
        ([0], "Z", 500, False),
    ],
)
def test_only_local_times_with_z_look_local(hours, offset, times, is_local):
    member = MemberProfile("time")
    for number in range(times):
        member.add(f"2026-10-01T{hours[number % len(hours)]:02}:20:00{offset}", "")
    assert bool(member.count_local_hours()) is is_local


@pytest.mark.parametrize(("customers", "is_found"), [(60, True), (4, False)])
def test_local_times_with_z_are_told_with_figures(tmp_path, customers, is_found):
    write_sqlite(tmp_path / "rich.db", make_rich_bank())
    cases = " ".join(f"WHEN {place} THEN '{hour:02}'" for place, hour in enumerate(SHOPS))
    written = f"substr(postingDateTime, 1, 11) || CASE rowid % {len(SHOPS)} {cases} END || ':20:00Z'"
    spoil(
        tmp_path / "rich.db",
        tmp_path,
        f"UPDATE banking_transactions SET postingDateTime = {written} WHERE postingDateTime > ''",
    )
    found = [row for row in look(tmp_path, Selection(number=customers)).findings if row.fault == "local-as-utc"]
    assert bool(found) is is_found
    for row in found:
        assert (row.collection, row.member, row.severity) == (TRANSACTIONS, "postingDateTime", "warning")
        assert f"of {row.of}, " in row.wanted and f"and {row.count} between 18:00 and 06:00" in row.wanted
