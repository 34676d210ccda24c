"""The order of lists of the CDR, and that all their pages together have each record once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import shared
from helpers.cdr_bank import (
    ALL,
    BANKING,
    DEBITS,
    ENERGY,
    TRANSACTIONS,
    ago,
    debits,
    open_bank,
    reset_bank,
)

pytestmark = pytest.mark.slow  # together they take seconds

module_loop = pytest.fixture(shared.open_loop, scope="module")
io_loop = pytest.fixture(shared.use_loop)

opened = pytest.fixture(open_bank, scope="module")
bank = pytest.fixture(reset_bank)

MOMENTS = [
    None,
    "2026-06-15T12:00:00Z",
    "2026-06-15T22:00:00+10:00",
    "2026-06-15T12:00:00.000001Z",
    "2026-06-15T11:59:59-01:00",
    "2026-06-15T23:00:00+11:00",
    "2026-06-14T23:59:59.9Z",
]
DAYS = ["2026-06-15", "2026-06-14", "2025-12-31", "2026-02-28"]
WIDE = "oldest-time=2020-01-01T00:00:00Z&newest-time=2099-01-01T00:00:00Z"
sizes = st.integers(1, 8)
names = st.lists(st.text("abAB1_-", min_size=1, max_size=3), unique=True, max_size=16)
walking = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def micros(text):
    """Microseconds, or more than any moment has where there is none."""
    if text is None:
        return 10**20
    return round((datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def walk(io_loop, bank, path, size, filters="", body=None, member=""):
    """What the pages have from the first to the last, by following their links."""

    async def pages():
        query, found, pages = f"page-size={size}{'&' if filters else ''}{filters}", [], 0
        while query:
            answer = (await bank.get(path, query, body)).json
            (records,) = answer["data"].values()
            found.append(records)
            query, pages = answer["links"].get("next"), answer["meta"]["totalPages"]
            assert answer["meta"]["totalRecords"] >= sum(map(len, found))
        assert len(found) == max(pages, 1)
        assert all(len(records) == size for records in found[:-1])
        return [record for records in found for record in records]

    return [member(record) for record in io_loop.run_sync(pages)]


@pytest.mark.slow
@given(names, sizes, st.data())
@walking
def test_transactions_are_newest_first_then_by_id(io_loop, bank, ids, size, data):
    """Newest by effective time; each transaction is returned once."""
    moment = st.sampled_from(MOMENTS)
    rows = [
        {"transactionId": one} | {f"{kind}DateTime": data.draw(moment) for kind in ("posting", "execution", "value")}
        for one in ids
    ]
    bank.put("banking_transactions", [*rows, {"accountId": "a2", "transactionId": "other", "valueDateTime": DAYS[0]}])
    times = {
        row["transactionId"]: row["postingDateTime"] or row["executionDateTime"] or row["valueDateTime"] for row in rows
    }
    expected = sorted(ids, key=lambda one: (-micros(times[one]), one))
    assert walk(io_loop, bank, TRANSACTIONS, size, WIDE, member=lambda found: found["transactionId"]) == expected


POSTED = [
    ("energy_invoices", f"{ENERGY}/accounts/invoices", "invoiceNumber", "issueDate", "oldest-date=2020-01-01"),
    ("banking_instalment_plans", f"{BANKING}/accounts/payments/plans", "planId", "creationDate", "plan-status=ALL"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("table", "path", "key", "day", "filters"), POSTED)
@given(names, sizes, st.data())
@walking
def test_a_list_over_accounts_is_ordered_and_paged_as_one(
    io_loop, bank, table, path, key, day, filters, ids, size, data
):
    rows = [
        {key: one, day: data.draw(st.sampled_from(DAYS)), "accountId": data.draw(st.sampled_from(["a1", "a2", "a3"]))}
        for one in ids
    ]
    bank.put(table, rows)
    newest_first = sorted(sorted(rows, key=lambda row: row[key]), key=lambda row: row[day], reverse=True)
    wanted = data.draw(st.lists(st.sampled_from(["a1", "a2", "a3"]), max_size=4))
    found = walk(io_loop, bank, path, size, filters, {"data": {"accountIds": wanted}}, lambda record: record[key])
    assert found == [row[key] for row in newest_first if row["accountId"] in wanted]


@pytest.mark.slow
@given(st.lists(st.sampled_from(["a1", "a2", "a3"]), max_size=12), sizes)
@walking
def test_a_list_without_an_order_comes_as_the_rows_were_put_in(io_loop, bank, accounts, size):
    rows = [row for n, account in enumerate(accounts) for row in debits(str(n), account=account)]
    bank.put("banking_direct_debits", rows)
    entity = lambda record: int(record["authorisedEntity"]["description"])  # noqa: E731
    path = f"{BANKING}/accounts/direct-debits"
    assert walk(io_loop, bank, path, size, "", ALL, entity) == list(range(len(rows)))
    assert walk(io_loop, bank, DEBITS, size, "", None, entity) == [n for n, one in enumerate(accounts) if one == "a1"]


@pytest.mark.gen_test
async def test_billing_is_newest_first_and_ties_keep_the_rows_order(bank):
    today, yesterday = ago(), ago(days=1)
    times = [yesterday, today, yesterday, today, ago(days=2)]
    bank.put("energy_billing", [{"executionDateTime": time, "gst": f"{n}.00"} for n, time in enumerate(times)])
    body = {"data": {"accountIds": ["a2", "a1"]}}
    for size in (1, 2, 5):
        found = []
        for page in range(1, 1 + -(-5 // size)):
            query = f"page={page}&page-size={size}"
            found += await bank.listed(f"{ENERGY}/accounts/billing", query, body, member="gst")
        assert found == ["1.00", "3.00", "0.00", "2.00", "4.00"]
