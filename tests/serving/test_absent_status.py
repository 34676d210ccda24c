"""An account whose status nobody has filled in may be a blocked one: it is not shared, unless the operator says so."""

from __future__ import annotations

import json

import pytest

ACCOUNTS = "/auth/v1/customer/c1/accounts"
BALANCE = "/customer/c1/accounts/a1/balances"
FILES = {
    "customers.csv": "id,email,name\nc1,kim@example.com,Kim\nc2,sam@example.com,Sam\n",
    "balances.csv": "accountId,current\na1,1.00\na2,2.00\n",
}
SOURCE = '[sources.bank]\nkind = "csv"\npath = "bank"\n'


async def start(world, accounts, more=""):
    (world.folder / "bank").mkdir()
    for name, text in {**FILES, "accounts.csv": accounts}.items():
        (world.folder / "bank" / name).write_text(text, encoding="utf-8")
    await world.start(SOURCE + more)


@pytest.mark.gen_test
async def test_an_account_without_its_status_is_a_fault(world):
    await start(world, "customerId,id,status\nc1,a1,\nc2,a2,open\n")
    assert [(await world.call(path)).status for path in (ACCOUNTS, BALANCE)] == [500, 500]
    assert (await world.call("/customer/c2/accounts/a2/balances")).status == 200


@pytest.mark.parametrize(("status", "answers"), [("open", [200, 200]), ("blocked", [200, 404])])
@pytest.mark.gen_test
async def test_the_operator_may_say_what_no_status_means(world, status, answers):
    await start(world, "customerId,id,status\nc1,a1,\nc2,a2,open\n", f'absent_status = "{status}"\n')
    assert [(await world.call(path)).status for path in (ACCOUNTS, BALANCE)] == answers
    listed = json.loads((await world.call(ACCOUNTS)).text)["accounts"]
    assert [account["id"] for account in listed] == (["a1"] if status == "open" else [])


@pytest.mark.gen_test
async def test_without_such_a_column_all_accounts_are_open(world):
    await start(world, "customerId,id\nc1,a1\nc2,a2\n")
    assert [(await world.call(path)).status for path in (ACCOUNTS, BALANCE)] == [200, 200]
