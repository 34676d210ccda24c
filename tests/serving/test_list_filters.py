"""Filters of the lists of the CDR: amounts, texts, and members with a choice of values."""

from __future__ import annotations

import json

import pytest

from helpers import shared
from helpers.cdr_bank import (
    ALL,
    BANKING,
    ENERGY,
    FIELD,
    FIVE,
    PAYEES,
    PLANS,
    TRANSACTIONS,
    URN,
    open_bank,
    reset_bank,
)

pytestmark = pytest.mark.slow  # together they take seconds

module_loop = pytest.fixture(shared.open_loop, scope="module")
io_loop = pytest.fixture(shared.use_loop)

opened = pytest.fixture(open_bank, scope="module")
bank = pytest.fixture(reset_bank)


# -- amounts and text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("min-amount=9.00", "123"),
        ("min-amount=9", "123"),
        ("min-amount=9.01", "23"),
        ("min-amount=10.00&max-amount=10", "2"),
        ("max-amount=9.00", "1456"),
        ("max-amount=-1", "56"),
        ("min-amount=-9.00&max-amount=0", "45"),
        ("min-amount=-9.5", "12345"),
        ("max-amount=-9.5", "6"),
        ("min-amount=-0", "1234"),
        ("min-amount=11&max-amount=10", ""),
        ("min-amount=0000000000000100", "3"),
    ],
)
@pytest.mark.gen_test
async def test_amounts_are_compared_as_signed_numbers_and_not_as_text(bank, query, ids):
    amounts = ["9.00", "10.00", "100.00", "0.00", "-9.00", "-10.00"]
    bank.put_transactions(*[{"amount": amount, "executionDateTime": FIVE[0]} for amount in amounts])
    query += "&oldest-time=2026-06-01T00:00:00Z&newest-time=2026-07-01T00:00:00Z"
    assert await bank.listed(TRANSACTIONS, query) == list(ids)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Rent", "13"),
        ("rent", "2"),
        ("R", "134"),
        ("%25", "4"),
        ("_", ""),
        ("for%20May", "1"),
        ("for+May", "1"),
        ("%C3%A9", "4"),
        ("e%CC%81", ""),
        ("'%20OR%201=1--", ""),
        ("May%5CRent", ""),
        ("", "1234"),
        ("x" * 1000, ""),
    ],
)
@pytest.mark.gen_test
async def test_text_is_found_in_description_and_reference(bank, text, ids):
    """It is compared letter by letter."""
    bank.put_transactions(
        {"description": "Rent for May", "reference": ""},
        {"description": "Parents", "reference": "May\\parents' rent"},
        {"description": "Transfer", "reference": "xxRentxx"},
        {"description": "Réduction 100% R", "reference": ""},
    )
    assert sorted(await bank.listed(TRANSACTIONS, f"text={text}")) == list(ids)


@pytest.mark.gen_test
async def test_a_text_with_control_characters_or_too_long_is_refused(bank):
    for text in ["a%00", "%0A", "%7F", "%E2%80%AE", "x" * 1001]:
        answer = await bank.get(TRANSACTIONS, f"text={text}")
        assert (answer.status, answer.code) == (400, f"{URN}{FIELD}"), text


@pytest.mark.gen_test
async def test_filters_are_combined_and_totals_are_filtered(bank):
    amounts = ["5.00", "15.00", "25.00", "35.00"]
    bank.put_transactions(
        *[{"amount": amount, "description": "Rent"} for amount in amounts], {"amount": "20.00", "description": "Food"}
    )
    answer = (await bank.get(TRANSACTIONS, "min-amount=10&max-amount=30&text=Rent&page-size=1")).json
    assert answer["meta"] == {"totalRecords": 2, "totalPages": 2}
    assert answer["links"]["last"] == "page=2&page-size=1&min-amount=10&max-amount=30&text=Rent"


# -- choices -----------------------------------------------------------------------------------------------------------

PRODUCTS = [
    {"accountId": "a1", "productCategory": "TERM_DEPOSITS", "openStatus": None, "isOwned": None},
    {"accountId": "a2", "productCategory": "TRANS_AND_SAVINGS_ACCOUNTS", "openStatus": "CLOSED", "isOwned": "false"},
    {"accountId": "a3", "productCategory": "TERM_DEPOSITS", "openStatus": "OPEN", "isOwned": "1"},
]


@pytest.mark.parametrize(
    ("query", "accounts"),
    [
        ("", ["a1", "a2", "a3"]),
        ("product-category=TERM_DEPOSITS", ["a1", "a3"]),
        ("product-category=TRADE_FINANCE", []),
        ("open-status=OPEN", ["a1", "a3"]),
        ("open-status=CLOSED", ["a2"]),
        ("open-status=ALL", ["a1", "a2", "a3"]),
        ("is-owned=true", ["a1", "a3"]),
        ("is-owned=false", ["a2"]),
        ("is-owned=true&open-status=CLOSED", []),
        ("product-category=TERM_DEPOSITS&open-status=OPEN&is-owned=true", ["a1", "a3"]),
    ],
)
@pytest.mark.gen_test
async def test_account_filters_apply_to_lists_over_accounts(bank, query, accounts):
    three = [{"accountId": account} for account in ("a1", "a2", "a3")]
    bank.put("banking_accounts", PRODUCTS)
    bank.put("banking_balances", three)
    bank.put("banking_direct_debits", three)
    payments = [{"accountId": one, "from.accountId": one, "scheduledPaymentId": one} for one in ("a1", "a2", "a3")]
    bank.put("banking_scheduled_payments", payments)
    for path in ("accounts", "accounts/balances", "accounts/direct-debits", "payments/scheduled"):
        answer = (await bank.get(f"{BANKING}/{path}", query, ALL)).json
        (records,) = answer["data"].values()
        found = [record.get("accountId") or record["scheduledPaymentId"] for record in records]
        assert (found, answer["meta"]["totalRecords"]) == (accounts, len(accounts)), path


@pytest.mark.gen_test
async def test_filters_on_accounts_take_the_listed_values_only(bank):
    bank.put("banking_accounts", PRODUCTS)
    for query in [
        "product-category=term_deposits",
        "product-category=",
        "open-status=open",
        "is-owned=1",
        "is-owned=TRUE",
    ]:
        for path in ("accounts", "accounts/balances", "accounts/direct-debits", "payments/scheduled"):
            answer = await bank.get(f"{BANKING}/{path}", query, ALL)
            assert (answer.status, answer.code) == (400, f"{URN}{FIELD}")
            assert answer.json["errors"][0]["detail"] == query.partition("=")[0]


@pytest.mark.gen_test
async def test_energy_accounts_without_a_state_are_open(bank):
    bank.put(
        "energy_accounts",
        [
            {"accountId": one, "openStatus": state}
            for one, state in zip(("a1", "a2", "a3"), (None, "CLOSED", "OPEN"), strict=True)
        ],
    )
    for query, accounts in {
        "": ["a1", "a2", "a3"],
        "open-status=OPEN": ["a1", "a3"],
        "open-status=CLOSED": ["a2"],
    }.items():
        assert await bank.listed(f"{ENERGY}/accounts", query, ALL) == accounts


@pytest.mark.gen_test
async def test_active_plans_are_the_default(bank):
    """A plan is active while an instalment is unpaid."""
    schedules = {
        "none paid": [{"isPaid": False}],
        "not said": [{}],
        "one left": [{"isPaid": True}, {"isPaid": False}],
        "all paid": [{"isPaid": True}, {"isPaid": "true"}],
        "nothing due": [],
    }
    due = {"amountDue": "1.00", "dueDate": "2026-01-01"}
    rows = [
        {"planId": name, "schedule": json.dumps([due | one for one in schedule])}
        for name, schedule in schedules.items()
    ]
    bank.put("banking_instalment_plans", [row | {"accountId": "a1"} for row in rows])
    active, inactive = ["none paid", "not said", "one left"], ["all paid", "nothing due"]
    for query, plans in {
        "": active,
        "plan-status=ACTIVE": active,
        "plan-status=INACTIVE": inactive,
        "plan-status=ALL": active + inactive,
    }.items():
        assert sorted(await bank.listed(PLANS, query)) == sorted(plans)
        assert sorted(await bank.listed(f"{BANKING}/accounts/payments/plans", query, ALL)) == sorted(plans)


@pytest.mark.gen_test
async def test_payees_are_listed_by_their_type(bank):
    kinds = ["BILLER", "DOMESTIC", "INTERNATIONAL", "DIGITAL_WALLET", "DOMESTIC"]
    bank.put("banking_payees", [{"payeeId": f"p{n}", "type": kind} for n, kind in enumerate(kinds)])
    for query, payees in {
        "": ["p0", "p1", "p2", "p3", "p4"],
        "type=ALL": ["p0", "p1", "p2", "p3", "p4"],
        "type=DOMESTIC": ["p1", "p4"],
        "type=DIGITAL_WALLET": ["p3"],
        "type=BILLER": ["p0"],
        "type=INTERNATIONAL": ["p2"],
    }.items():
        assert await bank.listed(PAYEES, query) == payees
