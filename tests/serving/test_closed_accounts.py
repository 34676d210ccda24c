"""An account that was closed longer ago than the rule of its sector says is not shared, and no refusal to share."""

from __future__ import annotations

from datetime import date, datetime

import pytest
import time_machine

from helpers.requests import BANKING, DEPRECATED, FDX, ids
from helpers.support import SOURCES, sample_rows, start_with
from openholder.serving.closing import add_months

RULE = "[closed_accounts]\nbanking = 6\n"
CLOSED = "acc-2005"
CONSENT = "/auth/v1/customer/cust-1001/accounts"
STARTER = f"/customer/cust-1001/accounts/{CLOSED}/balances"
BELOW = [f"{BANKING}/accounts/{CLOSED}{rest}" for rest in ("", "/balance", "/transactions", "/direct-debits")]
NAMED = [f"{BANKING}{rest}" for rest in ("/accounts", "/accounts/balances", "/payments/scheduled")]
ENDPOINTS = """
[[endpoints]]
path = "/v1/customer/{customerId}/payslips"
collection = "payslips"
"""
LAST_DAY, NEXT_DAY = "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"
"""Of an account that was closed on 31 August 2025, with a rule of six months."""


def closed_on(day, *, others=()):
    """The sample data of a bank, and of the other sectors that are named."""
    rows = {
        name: found
        for name, found in sample_rows().items()
        if not name.startswith(("energy.", "fdx.")) or name.startswith(others)
    }
    for account in rows["accounts"]:
        account["closingDate"] = day if account["id"] == CLOSED else None
    rows["payslips"] = [{"customerId": "cust-1001", "id": f"for {name}", "accountId": name} for name in (CLOSED, None)]
    return rows


def at(moment):
    return time_machine.travel(datetime.fromisoformat(moment), tick=False)


async def listed(world, path):
    answer = await world.call(path)
    assert answer.status == 200, answer.json
    found = answer.json
    while isinstance(found, dict):
        found = found.get("data") or found["accounts"]
    return {record.get("accountId") or record["id"] for record in found}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=30)
async def test_after_the_last_day_an_account_is_gone(world, kind):
    with at(LAST_DAY) as clock:
        await start_with(world, kind, closed_on("2025-08-31"), settings=DEPRECATED, tables=RULE + ENDPOINTS)
        for is_shared in (True, False):
            clock.move_to(datetime.fromisoformat(LAST_DAY if is_shared else NEXT_DAY))
            for path in (CONSENT, f"{BANKING}/accounts"):
                assert (CLOSED in await listed(world, path)) is is_shared
                assert "acc-2001" in await listed(world, path)
            slips = (await world.call("/v1/customer/cust-1001/payslips")).json
            assert [slip["id"] for slip in slips] == [f"for {CLOSED}"] * is_shared + ["for None"]
            for path in (*BELOW, STARTER):
                answer = await world.call(path)
                assert answer.status == (200 if is_shared else 404)
                assert "X-Sharing-Refused" not in answer.headers
                if not is_shared:
                    assert answer.code in ("urn:au-cds:error:cds-all:Resource/Invalid", "not_found")
            for path in NAMED:
                answer = await world.call(path, body=ids("acc-2001", CLOSED))
                assert answer.status == (200 if is_shared else 422)
                assert "X-Sharing-Refused" not in answer.headers
                if not is_shared:
                    assert answer.code == "urn:au-cds:error:cds-banking:Authorisation/InvalidBankingAccount"
                    assert answer.json["errors"][0]["detail"] == CLOSED


@pytest.mark.gen_test
async def test_without_a_rule_closed_accounts_are_shared_for_ever(world):
    await start_with(world, "sqlite", closed_on(None))
    assert CLOSED in await listed(world, CONSENT)
    assert [(await world.call(path)).status for path in (*BELOW, STARTER)] == [200] * 5


@pytest.mark.gen_test
async def test_the_rule_of_one_sector_ends_nothing_in_another(world):
    """Nobody knows whether the account is one of energy, which has no rule: it stays where no sector is said."""
    with at(NEXT_DAY):
        rows = closed_on("2025-08-31", others=("energy.",))
        await start_with(world, "sqlite", rows, settings=DEPRECATED, tables=RULE)
        assert CLOSED in await listed(world, CONSENT)
        assert CLOSED not in await listed(world, f"{BANKING}/accounts")
        assert [(await world.call(path)).status for path in (BELOW[0], STARTER)] == [404, 200]


@pytest.mark.parametrize(("months", "status"), [(6, 404), (7, 200)])
@pytest.mark.gen_test
async def test_the_longest_rule_decides_where_no_sector_is_said(world, months, status):
    with at(NEXT_DAY):
        rows = closed_on("2025-08-31", others=("energy.",))
        await start_with(world, "sqlite", rows, tables=f"{RULE}energy = {months}\n")
        assert (await world.call(STARTER)).status == status
        assert (CLOSED in await listed(world, CONSENT)) is (status == 200)


@pytest.mark.gen_test
async def test_fdx_may_have_a_rule_too(world):
    with at(NEXT_DAY):
        rows = sample_rows()
        for account in rows["accounts"]:
            is_old = account["id"] == "acc-5001"
            account |= {"closingDate": "2025-08-31"} | ({"status": "closed"} if is_old else {})
        await start_with(world, "sqlite", rows, tables="[closed_accounts]\nfdx = 6\n")
        answer = await world.call(f"{FDX}/accounts/acc-5001")
        assert (answer.status, answer.code) == (404, "not_found")
        assert (await world.call(f"{FDX}/accounts/acc-5002")).status == 200


@pytest.mark.parametrize("day", [None, "2025-02-30", "31/08/2025"])
@pytest.mark.gen_test
async def test_a_closed_account_without_its_day_is_a_fault(world, day):
    """To share it might be wrong, and so might be to leave it out. No other account suffers."""
    await start_with(world, "sqlite", closed_on(day), tables=RULE)
    assert [(await world.call(path)).status for path in (CONSENT, *BELOW, STARTER)] == [500] * 6
    assert (await world.call(NAMED[1], body=ids("acc-2001", CLOSED))).status == 500
    assert (await world.call(NAMED[1], body=ids("acc-2001"))).status == 200


@pytest.mark.gen_test
async def test_a_day_of_closing_says_nothing_of_an_open_account(world):
    rows = closed_on("2001-01-01")
    for account in rows["accounts"]:
        account["status"] = "open"
    await start_with(world, "sqlite", rows, tables=RULE)
    assert [(await world.call(path)).status for path in (*BELOW, STARTER)] == [200] * 5


@pytest.mark.gen_test
async def test_a_blocked_account_stays_a_refusal(world):
    rows = closed_on("2001-01-01")
    for account in rows["accounts"]:
        account["status"] = "blocked" if account["id"] == CLOSED else "open"
    await start_with(world, "sqlite", rows, tables=RULE)
    assert [(await world.call(path)).headers.get("X-Sharing-Refused") for path in BELOW] == ["true"] * 4


@pytest.mark.parametrize(
    ("day", "months", "last"),
    [
        ("2025-08-31", 6, "2026-02-28"),
        ("2027-08-31", 6, "2028-02-29"),
        ("2025-08-28", 6, "2026-02-28"),
        ("2025-02-28", 6, "2025-08-28"),
        ("2024-02-29", 24, "2026-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2025-12-31", 0, "2025-12-31"),
        ("2025-12-31", 1, "2026-01-31"),
        ("2025-11-30", 12, "2026-11-30"),
        ("9999-12-31", 1, "9999-12-31"),
    ],
)
def test_months_are_those_of_the_calendar(day, months, last):
    assert add_months(date.fromisoformat(day), months) == date.fromisoformat(last)
