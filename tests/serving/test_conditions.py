"""Records that break a condition of the CDS: served, counted and logged once; refused if the setting says so."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from helpers.support import SQLITE, sample_rows, write_sqlite

TRANSACTION = (
    "/v1/banking/customer/cust-1001/accounts/acc-2002/transactions?oldest-time=2025-01-01T00:00:00Z&page-size=1000"
)
METRIC = "openholder_conditions_broken"


def count(world, **labels):
    return world.holder.state.journal.registry.get_sample_value(f"{METRIC}_total", labels)


async def start(world, tmp_path, settings=""):
    rows = sample_rows()
    for row in rows["banking.transactions"]:
        if row["transactionId"] in ("txn-2002-0005", "txn-2002-0006"):
            row |= {"status": "POSTED", "postingDateTime": None}
    write_sqlite(tmp_path / "bank.db", rows)
    await world.start(SQLITE, settings=settings)


@pytest.mark.gen_test(timeout=30)
async def test_broken_conditions_are_counted_and_logged_once(world, tmp_path):
    await start(world, tmp_path)
    with capture_logs() as logs:
        answers = [await world.call(TRANSACTION) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    posting = {"collection": "banking.transactions", "member": "postingDateTime"}
    assert count(world, **posting, fault="missing-when-required", severity="error") == 4
    (line,) = [line for line in logs if line["event"] == "condition broken"]
    assert line == {
        "event": "condition broken",
        "log_level": "warning",
        **posting,
        "fault": "missing-when-required",
        "severity": "error",
        "wanted": "`postingDateTime`, because status is POSTED",
        "reference": "CDS 1.36.0, BankingTransactionV2",
        "records": 2,
    }


@pytest.mark.gen_test(timeout=30)
async def test_errors_are_refused_if_the_setting_says_so(world, tmp_path):
    await start(world, tmp_path, 'conditions = "refuse"\n')
    with capture_logs() as logs:
        answer = await world.call(TRANSACTION)
        good = await world.call("/v1/banking/customer/cust-1001/payees")
    assert (answer.status, good.status) == (500, 200)
    line = next(line for line in logs if line["event"] == "request")
    assert line["fault"] == (
        "collection 'banking.transactions': member 'postingDateTime': missing-when-required, expected"
        " `postingDateTime`, because status is POSTED (CDS 1.36.0, BankingTransactionV2)"
    )
    assert "txn-2002" not in str(logs) and len(line["record_id"]) == 16


@pytest.mark.gen_test(timeout=30)
async def test_warnings_are_never_refused(world, tmp_path):
    rows = sample_rows()
    for row in rows["energy.concessions"]:
        row |= {"discountFrequency": None}
    write_sqlite(tmp_path / "bank.db", rows)
    await world.start(SQLITE, settings='conditions = "refuse"\n')
    account = rows["energy.concessions"][0]["accountId"]
    customer = next(row["customerId"] for row in rows["accounts"] if row["id"] == account)
    answer = await world.call(f"/v1/energy/customer/{customer}/accounts/{account}/concessions")
    assert answer.status == 200
    labels = {"collection": "energy.concessions", "member": "discountFrequency", "severity": "warning"}
    assert count(world, fault="missing-when-required", **labels) >= 1
