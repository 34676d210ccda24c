"""Windows of time of the lists of the CDR. The clock is moved here, so each test has a server of its own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import time_machine

from helpers.cdr_bank import (
    BILLING,
    FIVE,
    INVOICES,
    TRANSACTIONS,
    CDRBank,
    ago,
)

pytestmark = pytest.mark.slow  # together they take seconds


@pytest.fixture
def bank(io_loop, world):
    bank = CDRBank(world)
    io_loop.run_sync(bank.start)
    yield bank
    bank.writer.close()


@pytest.mark.gen_test
async def test_the_effective_time_is_posting_else_execution_else_value(bank):
    """Pending transactions come first."""
    bank.put_transactions(
        {"postingDateTime": ago(days=9), "executionDateTime": ago(days=1), "valueDateTime": ago(days=1)},
        {"postingDateTime": None, "executionDateTime": ago(days=8), "valueDateTime": ago(days=1)},
        {"executionDateTime": None, "valueDateTime": ago(days=7)},
        {"executionDateTime": None, "status": "PENDING"},
    )
    assert await bank.listed(TRANSACTIONS) == ["4", "3", "2", "1"]
    cases = {
        f"oldest-time={ago(days=7, hours=12)}": ["4", "3"],
        f"oldest-time={ago(days=8, hours=12)}&newest-time={ago(days=7, hours=12)}": ["2"],
        f"newest-time={ago(days=8, hours=12)}": ["1"],
        "newest-time=2099-01-01T00:00:00Z&oldest-time=2020-01-01T00:00:00Z": ["4", "3", "2", "1"],
        f"newest-time={ago(minutes=5)}": ["3", "2", "1"],
    }
    for query, ids in cases.items():
        assert await bank.listed(TRANSACTIONS, query.replace("+", "%2B")) == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("oldest-time=2026-06-15T12:00:00Z", "5423"),
        ("oldest-time=2026-06-15T22:00:00%2B10:00", "5423"),
        ("oldest-time=2026-06-15T22:00:00+10:00", "5423"),
        ("oldest-time=2026-06-15t12:00:00z", "5423"),
        ("oldest-time=2026-06-15T12:00:00z&newest-time=2026-06-15t22:00:00%2B10:00", "23"),
        ("oldest-time=2026-06-15T12:00:00.000001Z", "54"),
        ("newest-time=2026-06-15T12:00:00Z", "231"),
        ("newest-time=2026-06-15T22:00:00+10:00", "231"),
        ("newest-time=2026-06-15T02:30:00-09:30", "231"),
        ("newest-time=2026-06-15T12:00:00.0000009Z", "231"),
        ("newest-time=2026-06-15T11:59:59.999999Z", "1"),
        ("oldest-time=2026-06-15T12:00:00Z&newest-time=2026-06-15T12:00:00Z", "23"),
        ("oldest-time=2026-06-15T11:59:60Z&newest-time=2026-06-15T12:00:00.5Z", "4231"),
    ],
)
@pytest.mark.gen_test
async def test_both_bounds_of_a_window_are_inclusive_in_any_offset(io_loop, world, query, ids):
    with time_machine.travel(datetime(2026, 7, 1, tzinfo=UTC)):
        bank = await CDRBank(world).start()
        bank.put_transactions(*[{"postingDateTime": time} for time in FIVE])
        assert await bank.listed(TRANSACTIONS, query) == list(ids)
        bank.put("energy_billing", [{"executionDateTime": time, "gst": f"{n}.00"} for n, time in enumerate(FIVE, 1)])
        assert {gst[0] for gst in await bank.listed(BILLING, query, member="gst")} == set(ids)
        bank.writer.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("now", "query", "inside", "outside"),
    [
        ("2028-02-29T10:00:00Z", "", "2027-02-28T10:00:00Z", "2027-02-28T09:59:59Z"),
        ("2028-02-29T09:59:59Z", "", "2028-02-29T23:59:59.999999Z", "2028-03-01T00:00:00Z"),
        ("2028-02-29T10:00:00Z", "", "2028-03-01T23:59:59Z", "2028-03-02T00:00:00Z"),
        ("2028-02-29T10:00:00Z", "oldest-time=2028-02-29T11:00:00Z", "2028-02-29T14:00:00Z", "2028-02-29T10:59:59Z"),
        ("2027-02-28T10:00:00Z", "", "2026-02-28T10:00:00Z", "2026-02-28T09:59:59Z"),
        ("2029-02-28T10:00:00Z", "", "2028-02-28T10:00:00Z", "2028-02-28T09:59:59Z"),
        ("2029-03-01T00:00:00Z", "", "2028-03-01T00:00:00Z", "2028-02-29T23:59:59Z"),
        ("2026-01-31T00:00:00Z", "", "2025-01-31T00:00:00Z", "2025-01-30T23:59:59Z"),
        ("2026-12-31T23:59:59Z", "", "2025-12-31T23:59:59Z", "2025-12-31T23:59:58Z"),
        ("2028-06-01T00:00:00Z", "newest-time=2024-02-29T12:00:00Z", "2023-02-28T12:00:00Z", "2023-02-28T11:59:59Z"),
        (
            "2028-06-01T00:00:00Z",
            "newest-time=2024-03-01T05:00:00%2B10:00",
            "2023-02-28T19:00:00Z",
            "2024-03-01T00:00:00Z",
        ),
        ("2028-06-01T00:00:00Z", "newest-time=2030-01-01T00:00:00Z", "2029-01-01T00:00:00Z", "2028-12-31T23:59:59Z"),
        ("2028-06-01T00:00:00Z", "oldest-time=1999-01-01T00:00:00Z", "1999-01-01T00:00:00Z", "2028-06-02T00:00:00Z"),
    ],
)
@pytest.mark.gen_test
async def test_a_window_without_bounds_is_twelve_calendar_months(io_loop, world, now, query, inside, outside):
    with time_machine.travel(datetime.fromisoformat(now), tick=False):
        bank = await CDRBank(world).start()
        times = {"1": inside, "2": outside}
        bank.put_transactions(*[{"postingDateTime": time} for time in times.values()])
        bank.put("energy_billing", [{"executionDateTime": time, "gst": f"{n}.00"} for n, time in times.items()])
        assert await bank.listed(TRANSACTIONS, query) == ["1"]
        assert await bank.listed(BILLING, query, member="gst") == ["1.00"]
        bank.writer.close()


@pytest.mark.parametrize(
    ("now", "query", "inside", "outside"),
    [
        ("2028-02-29T09:59:59Z", "", ["2028-02-29", "2026-02-28"], ["2028-03-01", "2026-02-27"]),
        ("2028-02-29T10:00:00Z", "", ["2028-03-01", "2026-03-01"], ["2028-03-02", "2026-02-28"]),
        ("2026-06-15T00:00:00Z", "", ["2026-06-15", "2024-06-15"], ["2026-06-16", "2024-06-14"]),
        ("2026-06-15T00:00:00Z", "newest-date=2024-02-29", ["2024-02-29", "2022-02-28"], ["2024-03-01", "2022-02-27"]),
        ("2026-06-15T00:00:00Z", "oldest-date=2001-01-01", ["2026-06-15", "2001-01-01"], ["2026-06-16", "2000-12-31"]),
        ("2026-06-15T00:00:00Z", "oldest-date=2026-05-05&newest-date=2026-05-05", ["2026-05-05"], ["2026-05-04"]),
        ("2026-06-15T00:00:00Z", "newest-date=0001-06-01", ["0001-06-01", "0001-01-01"], ["0001-06-02"]),
    ],
)
@pytest.mark.gen_test
async def test_invoices_default_to_24_months_until_today(io_loop, world, now, query, inside, outside):
    """Both days are inside."""
    with time_machine.travel(datetime.fromisoformat(now), tick=False):
        bank = await CDRBank(world).start()
        bank.put("energy_invoices", [{"invoiceNumber": day, "issueDate": day} for day in [*outside, *inside]])
        assert await bank.listed(INVOICES, query) == inside
        bank.writer.close()
