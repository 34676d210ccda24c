"""The place of an offset in a list of the FDX whose records come and go, and what it costs to find it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import shared
from helpers.fdx_bank import (
    ACCOUNTS,
    DAY,
    TRANSACTIONS,
    offset_of,
    open_bank,
    open_own_bank,
    refused,
    reset_bank,
    transactions,
)
from openholder import Query, select
from openholder.contract.collections import find_collection
from openholder.contract.operations.fdx import FDX
from openholder.serving import answers
from openholder.serving.access import FoundRows
from openholder.serving.answers import Context, Listing, read_style
from openholder.serving.cursors import Cursors

module_loop = pytest.fixture(shared.open_loop, scope="module")
io_loop = pytest.fixture(shared.use_loop)

opened = pytest.fixture(open_bank, scope="module")
bank = pytest.fixture(reset_bank)
own_bank = pytest.fixture(open_own_bank)


# -- what an offset is good for ----------------------------------------------------------------------------------------


@pytest.fixture
def keyed(tmp_path):
    return [Cursors(tmp_path / name) for name in ("one.key", "two.key")]


# -- what comes and goes between two parts -----------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_posting_a_transaction_between_two_parts_loses_no_other(bank):
    bank.add("transactions", *transactions(0, 1, 2, 3, 4), ("a1", "p", None, None))

    def post():
        with bank.writer:
            posted = (DAY + timedelta(minutes=1, seconds=30)).isoformat()
            bank.writer.execute("UPDATE fdx_transactions SET postedTimestamp = ? WHERE transactionId = 'p'", [posted])

    found, _ = await bank.walk(TRANSACTIONS, "limit=1", "transactions", "transactionId", post)
    assert found == ["p", "t4", "t3", "t2", "p", "t1", "t0"]  # once as pending, once as posted


@pytest.mark.parametrize("gone", ["t4", "t3"])
@pytest.mark.gen_test
async def test_deleting_a_record_between_two_parts_loses_no_other(bank, gone):
    bank.add("transactions", *transactions(0, 1, 2, 3, 4))
    offset = await offset_of(bank)
    with bank.writer:
        bank.writer.execute("DELETE FROM fdx_transactions WHERE transactionId = ?", [gone])
    part = (await bank.get(TRANSACTIONS, f"offset={offset}&limit=9")).json["transactions"]
    assert [record["transactionId"] for record in part] == ["t2", "t1", "t0"]


@pytest.mark.gen_test
async def test_any_number_of_newer_records_moves_no_part(bank):
    bank.add("transactions", *transactions(0, 1, 2, 3, 4))
    offset = await offset_of(bank)
    bank.add("transactions", *transactions(*range(100, 1101)))
    part = (await bank.get(TRANSACTIONS, f"offset={offset}")).json["transactions"]
    assert [record["transactionId"] for record in part] == ["t2", "t1", "t0"]


@pytest.mark.slow
@pytest.mark.gen_test
async def test_records_of_one_moment_may_exceed_a_part(bank):
    """Each is returned once."""
    moment = DAY.isoformat()
    bank.add("transactions", *[("a1", f"t{n:02}", moment, None) for n in range(20)])
    for limit in (1, 3, 7):
        found, _ = await bank.walk(TRANSACTIONS, f"limit={limit}", "transactions", "transactionId")
        assert found == [f"t{n:02}" for n in range(20)]


# -- how a part finds its place ----------------------------------------------------------------------------------------

STATEMENT_LIST = next(operation for operation in FDX if operation.name == "fdxListStatements")
ORDER = find_collection("fdx.statements").order


@dataclass(frozen=True)
class CountedRows(FoundRows):
    """Rows in the order of statements, which note what is asked of them."""

    asked: list[int] = field(default_factory=list)

    async def page(self, offset, limit):
        self.asked.append(limit)
        return select(self.found, Query(collection="fdx.statements", order=ORDER, offset=offset, limit=limit))


def statements(numbers, day="2026-06-15"):
    return [{"statementId": f"s{n:06}", "statementDate": day} for n in numbers]


async def fetch_part(keyed, rows, limit, offset=""):
    """One part of a list of statements: its ids, the next offset, and the limits of the queries that it took."""
    found = CountedRows(rows, ORDER)
    listing = Listing(STATEMENT_LIST, "/list", {})
    fields = {"limit": str(limit)} | ({"offset": offset} if offset else {})
    style, errors = read_style(Context(None, keyed[0]), listing, fields)
    assert not errors
    content = msgspec.to_builtins((await style.render(found))[0])
    return [one["statementId"] for one in content["statements"]], content["page"].get("nextOffset"), found.asked


@pytest.mark.parametrize("day", ["2026-06-15", None], ids=["one day", "no day"])
@pytest.mark.gen_test
async def test_a_part_takes_one_query_wherever_it_begins(keyed, day):
    rows = statements(range(50), day)
    found, offset, numbers = [], "", []
    while offset is not None:
        ids, offset, asked = await fetch_part(keyed, rows, 7, offset)
        found += ids
        numbers.append(len(asked))
    assert found == [row["statementId"] for row in rows]
    assert set(numbers) == {1}


@pytest.mark.parametrize(("others", "most"), [(500, 3), (5_000, 6)])
@pytest.mark.gen_test
async def test_a_place_that_moved_takes_few_queries(keyed, others, most):
    """Thousands of records of the same day have come since, and the cursor's own has gone."""
    rows = statements(range(0, 2000, 2))
    _, offset, _ = await fetch_part(keyed, rows, 500, (await fetch_part(keyed, rows, 400))[1])
    changed = [row for row in rows if row["statementId"] != "s001798"] + statements(range(-others, 0))
    ids, _, asked = await fetch_part(keyed, changed, 1, offset)
    assert ids == ["s001800"]
    assert len(asked) <= most
    assert max(asked) <= 1000


@given(
    st.lists(st.tuples(st.integers(1, 2) | st.none(), st.integers(0, 30)), max_size=40, unique_by=lambda row: row[1]),
    st.lists(st.lists(st.tuples(st.integers(1, 2) | st.none(), st.integers(31, 60), st.booleans())), max_size=20),
    st.integers(1, 5),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_records_of_one_day_that_come_and_go_move_no_other(io_loop, keyed, rows, changes, limit):
    """Windows of four records stand for those of a thousand."""

    def row(day, number):
        return {"statementId": f"s{number * 37 % 61:02}", "statementDate": day and f"2026-06-0{day}"}

    kept = [row(*one) for one in rows]
    waiting, passing, found, offset = list(changes), [], [], ""
    with patch.object(answers, "MAX_SIZE", 4):
        while offset is not None:
            ids, offset, _ = io_loop.run_sync(partial(fetch_part, keyed, kept + passing, limit, offset))
            found += ids
            for day, number, comes in waiting.pop() if waiting else ():
                passing = [one for one in passing if one["statementId"] != row(day, number)["statementId"]]
                passing += [row(day, number)] if comes else []
    names = {one["statementId"] for one in kept}
    expected = [one["statementId"] for one in select(kept, Query(collection="fdx.statements", order=ORDER)).records]
    assert [one for one in found if one in names] == expected


@pytest.mark.slow
@pytest.mark.gen_test
async def test_the_smallest_parts_do_not_delay_another_customer(own_bank):
    """A thousand records of one day, and callers who each ask for one of them behind half of the others."""
    own_bank.writer.executescript("""
        CREATE TABLE balances (accountId TEXT, current TEXT, available TEXT);
        INSERT INTO customers VALUES ('c2');
        INSERT INTO accounts VALUES ('c2', 'b1');
        INSERT INTO balances VALUES ('b1', '1.00', '1.00');
    """)
    await own_bank.world.stop()
    await own_bank.start()
    own_bank.add("transactions", *[("a1", f"t{n:04}", DAY.isoformat(), None) for n in range(1000)])
    offset = await offset_of(own_bank, query="limit=500")
    parts = [asyncio.ensure_future(own_bank.get(TRANSACTIONS, f"limit=1&offset={offset}")) for _ in range(8)]
    waited = []
    for _ in range(10):
        started = time.perf_counter()
        assert (await own_bank.get("/customer/c2/accounts/b1/balances")).status == 200
        waited.append(time.perf_counter() - started)
    for answer in await asyncio.gather(*parts):
        assert [one["transactionId"] for one in answer.json["transactions"]] == ["t0500"]
    assert max(waited) < 2


@pytest.mark.gen_test
async def test_an_offset_is_valid_for_its_accounts_only(bank):
    bank.add("accounts", ("a1", "x"), ("a2", "y"), ("a3", "z"))
    body = {"data": {"accountIds": ["a1", "a2", "a3"]}}
    offset = await offset_of(bank, ACCOUNTS, "limit=1", body)
    assert not await refused(bank, offset, ACCOUNTS, body=body)
    assert await refused(bank, offset, ACCOUNTS, body={"data": {"accountIds": ["a2", "a3"]}})
