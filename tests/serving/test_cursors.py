"""Lists of the FDX over a real server: the opaque offset, what it survives and what it is refused for."""

from __future__ import annotations

import asyncio
import base64
import logging
import stat
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.bank import Bank
from helpers.support import World
from openholder import Query, select
from openholder.contract.collections import find_collection
from openholder.contract.errors import RequestError
from openholder.contract.operations.fdx import FDX
from openholder.serving import answers
from openholder.serving.access import FoundRows
from openholder.serving.answers import Context, Listing, read_style
from openholder.serving.cursors import Cursor, Cursors, load_key

CUSTOMER = "/fdx/v6/customer/c1"
TRANSACTIONS = f"{CUSTOMER}/accounts/a1/transactions"
STATEMENTS = f"{CUSTOMER}/accounts/a1/statements"
NETWORKS = f"{CUSTOMER}/accounts/a1/payment-networks"
ACCOUNTS = f"{CUSTOMER}/accounts"

SCHEMA = """
CREATE TABLE customers (id TEXT);
CREATE TABLE accounts (customerId TEXT, id TEXT);
CREATE TABLE fdx_accounts (accountId TEXT, nickname TEXT);
CREATE TABLE fdx_transactions (accountId TEXT, transactionId TEXT, postedTimestamp TEXT, transactionTimestamp TEXT);
CREATE TABLE fdx_statements (accountId TEXT, statementId TEXT, statementDate TEXT);
CREATE TABLE fdx_payment_networks (accountId TEXT, identifier TEXT);
INSERT INTO customers VALUES ('c1');
INSERT INTO accounts VALUES ('c1', 'a1'), ('c1', 'a2'), ('c1', 'a3');
"""
DAY = datetime(2026, 6, 15, tzinfo=UTC)


class FDXBank(Bank):
    """A bank with the tables of the FDX lists."""

    def __init__(self, world):
        super().__init__(world, SCHEMA)

    def add(self, table, *rows):
        with self.writer:
            for row in rows:
                self.writer.execute(f"INSERT INTO fdx_{table} VALUES ({', '.join('?' * len(row))})", row)

    def clear(self, table):
        with self.writer:
            self.writer.execute(f"DELETE FROM fdx_{table}")

    async def walk(self, path, query, name, key, between=lambda: None, body=None):
        """What all parts of a list have, by following the cursor; ``between`` happens after each of them."""
        found, totals, offset = [], [], ""
        while True:
            answer = (await self.get(path, f"{query}{offset}", body)).json
            assert sorted(answer) == sorted(["page", name])
            found += [record[key] for record in answer[name]]
            totals.append(answer["page"].pop("totalElements"))
            following = answer["page"].pop("nextOffset", "")
            assert answer["page"].pop("nextPageKey", "") == following
            assert answer["page"] == {} and following.isascii()
            if not following:
                return found, totals
            offset = f"&offset={following}"
            between()


def transactions(*numbers, account="a1"):
    """One a minute, the greater the newer, each called by its number."""
    return [(account, f"t{n}", (DAY + timedelta(minutes=n)).isoformat(), None) for n in numbers]


@pytest.fixture
def bank(io_loop, world):
    bank = FDXBank(world)
    io_loop.run_sync(bank.start)
    yield bank
    bank.writer.close()


async def offset_of(bank, path=TRANSACTIONS, query="limit=2", body=None):
    return (await bank.get(path, query, body)).json["page"]["nextOffset"]


async def refused(bank, offset, path=TRANSACTIONS, query="", body=None):
    """Whether an offset is refused as the contract wants it."""
    answer = await bank.get(path, f"{query}&offset={offset}".lstrip("&"), body)
    if answer.status == 200:
        return False
    (error,) = answer.json["errors"]
    assert (answer.status, error["code"], error["detail"]) == (400, "invalid_request", "offset")
    assert error["meta"]["urn"] == "urn:au-cds:error:cds-all:Field/Invalid"
    return True


# -- names of FDX 6.3 ---------------------------------------------------------------------------------------------


@pytest.mark.gen_test(timeout=20)
async def test_a_page_key_is_an_offset_of_another_name(bank):
    bank.add("transactions", *transactions(*range(5)))
    first = (await bank.get(TRANSACTIONS, "limit=2")).json
    key = first["page"]["nextPageKey"]
    second = (await bank.get(TRANSACTIONS, f"limit=2&pageKey={key}")).json
    assert [row["transactionId"] for row in second["transactions"]] == ["t2", "t1"]
    both = await bank.get(TRANSACTIONS, f"limit=2&pageKey={key}&offset={key}")
    assert both.json["transactions"] == second["transactions"]
    for query, detail in (("pageKey=x", "pageKey"), (f"offset={key}&pageKey=x", "pageKey")):
        answer = await bank.get(TRANSACTIONS, query)
        assert (answer.status, answer.json["errors"][0]["detail"]) == (400, detail)


@pytest.mark.gen_test(timeout=20)
async def test_dates_have_two_names(bank):
    bank.add("transactions", *transactions(0, 2000, 4000))  # 2000 minutes are more than a day
    days = [(DAY + timedelta(minutes=n)).date().isoformat() for n in (0, 2000, 4000)]

    async def ids(query):
        return [row["transactionId"] for row in (await bank.get(TRANSACTIONS, query)).json["transactions"]]

    assert await ids(f"startDate={days[1]}") == await ids(f"startTime={days[1]}") == ["t4000", "t2000"]
    assert await ids(f"startDate={days[1]}&endTime={days[1]}&endDate={days[1]}") == ["t2000"]
    for query, detail in (("endDate=x", "endDate"), (f"startTime={days[0]}&startDate={days[1]}", "startDate")):
        answer = await bank.get(TRANSACTIONS, query)
        assert (answer.status, answer.json["errors"][0]["detail"]) == (400, detail)


@pytest.mark.parametrize(
    "name", ["page", "page-size", "pageNumber", "page_token", "cursor", "OFFSET", "pagekey", "skip"]
)
@pytest.mark.gen_test(timeout=20)
async def test_a_foreign_parameter_of_paging_is_refused(bank, name):
    """Never page 1: whoever asks for page 2 in words of another API would take it for the whole list."""
    bank.add("transactions", *transactions(*range(3)))
    answer = await bank.get(TRANSACTIONS, f"{name}=2")
    (error,) = answer.json["errors"]
    assert (answer.status, error["code"], error["detail"]) == (400, "invalid_request", name)
    assert (await bank.get(TRANSACTIONS, "x-unheard-of=2&filter=3")).status == 200


# -- limit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "query", "length", "more"),
    [
        (0, "", 0, False),
        (25, "", 25, False),
        (26, "", 25, True),
        (3, "limit=1", 1, True),
        (3, "limit=3", 3, False),
        (3, "limit=4", 3, False),
        (1001, "limit=1000", 1000, True),
        (1001, "limit=1001", 1000, True),
        (1000, "limit=999999999999999999", 1000, False),
        (3, "limit=2&x-page=9&y=1&x=1", 2, True),
    ],
)
@pytest.mark.gen_test
async def test_a_part_has_25_records_or_limit_up_to_1000(bank, rows, query, length, more):
    bank.add("transactions", *transactions(*range(rows)))
    answer = await bank.get(TRANSACTIONS, query)
    assert answer.status == 200
    ids = [record["transactionId"] for record in answer.json["transactions"]]
    assert ids == [f"t{n}" for n in range(rows - 1, rows - 1 - length, -1)]
    assert answer.json["page"]["totalElements"] == rows
    assert ("nextOffset" in answer.json["page"]) is more


@pytest.mark.gen_test
async def test_what_is_no_whole_number_from_one_is_no_limit(bank):
    for text in ["0", "-1", "", "abc", "1.5", "%2B1", "9" * 19, "%D9%A1"]:
        for path in (TRANSACTIONS, STATEMENTS, NETWORKS):
            answer = await bank.get(path, f"limit={text}")
            assert (answer.status, answer.code, answer.json["errors"][0]["detail"]) == (400, "invalid_request", "limit")


@pytest.mark.gen_test
async def test_each_mistake_in_a_query_has_its_own_entry(bank):
    answer = await bank.get(TRANSACTIONS, "limit=0&offset=x&startTime=2026-02-30")
    assert answer.status == 400
    assert sorted(error["detail"] for error in answer.json["errors"]) == ["limit", "offset", "startTime"]
    assert {error["code"] for error in answer.json["errors"]} == {"invalid_request"}
    for query, detail in [("limit=1&limit=2", "limit"), ("offset=%FF", "query")]:
        assert (await bank.get(TRANSACTIONS, query)).json["errors"][0]["detail"] == detail


# -- walking ------------------------------------------------------------------------------------------------------

walking = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
minutes = st.integers(0, 20)


@pytest.mark.slow
@given(st.lists(st.tuples(minutes | st.none(), minutes | st.none()), max_size=14), st.integers(1, 6))
@walking
def test_all_parts_together_are_the_list_newest_first(io_loop, bank, times, limit):
    bank.clear("transactions")
    written = [[None if n is None else (DAY + timedelta(minutes=n)).isoformat() for n in pair] for pair in times]
    bank.add("transactions", *[("a1", f"t{n:02}", *pair) for n, pair in enumerate(written)])
    bank.add("transactions", *transactions(3, 99, account="a2"))
    ends = [99 if posted is None and made is None else made if posted is None else posted for posted, made in times]
    expected = [f"t{n:02}" for n in sorted(range(len(times)), key=lambda n: (-ends[n], n))]
    walk = bank.walk(TRANSACTIONS, f"limit={limit}", "transactions", "transactionId")
    found, totals = io_loop.run_sync(lambda: walk)
    assert found == expected
    assert set(totals) == {len(times)}
    assert len(totals) == max(1, -(-len(times) // limit))


@pytest.mark.slow
@given(st.integers(1, 12), st.integers(1, 4), st.lists(st.lists(st.booleans(), max_size=5), max_size=12))
@walking
def test_records_that_arrive_meanwhile_repeat_or_lose_none(io_loop, bank, rows, limit, arrivals):
    """New ones come in front of all (True) or behind all (False) after each part."""
    bank.clear("transactions")
    old = list(range(1000, 1000 + rows))
    bank.add("transactions", *transactions(*old))
    waiting, front, back = list(arrivals), iter(range(2000, 9000)), iter(range(999, 0, -1))

    def arrive():
        if waiting:
            numbers = [next(front if newer else back) for newer in waiting.pop()]
            bank.add("transactions", *transactions(*numbers))

    walk = bank.walk(TRANSACTIONS, f"limit={limit}", "transactions", "transactionId", arrive)
    found, totals = io_loop.run_sync(lambda: walk)
    assert len(found) == len(set(found))
    assert [one for one in found if 1000 <= int(one[1:]) < 2000] == [f"t{n}" for n in reversed(old)]
    assert totals == sorted(totals)


@pytest.mark.gen_test
async def test_hundreds_of_newer_records_leave_older_parts_unchanged(bank):
    bank.add("transactions", *transactions(*range(10)))
    offset = await offset_of(bank, query="limit=4")
    bank.add("transactions", *transactions(*range(100, 900)))
    answer = (await bank.get(TRANSACTIONS, f"limit=10&offset={offset}")).json
    assert [one["transactionId"] for one in answer["transactions"]] == ["t5", "t4", "t3", "t2", "t1", "t0"]
    assert "nextOffset" not in answer["page"]


@pytest.mark.gen_test
async def test_the_limit_may_change_from_part_to_part(bank):
    bank.add("transactions", *transactions(*range(6)))
    first = await bank.get(TRANSACTIONS, "limit=1")
    second = await bank.get(TRANSACTIONS, f"limit=3&offset={first.json['page']['nextOffset']}")
    third = await bank.get(TRANSACTIONS, f"offset={second.json['page']['nextOffset']}")
    parts = [[one["transactionId"] for one in answer.json["transactions"]] for answer in (first, second, third)]
    assert parts == [["t5"], ["t4", "t3", "t2"], ["t1", "t0"]]


@pytest.mark.gen_test
async def test_an_offset_gives_the_same_part_each_time(bank):
    bank.add("transactions", *transactions(*range(5)))
    offset = await offset_of(bank)
    answers = [(await bank.get(TRANSACTIONS, f"limit=2&offset={offset}")).json["transactions"] for _ in range(3)]
    assert [one["transactionId"] for one in answers[0]] == ["t2", "t1"]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.gen_test
async def test_an_offset_at_the_end_gives_an_empty_last_part(bank):
    bank.add("transactions", *transactions(*range(3)))
    offset = await offset_of(bank)
    bank.clear("transactions")
    # The total is that of the moment in which the walk began.
    assert (await bank.get(TRANSACTIONS, f"offset={offset}")).json == {"page": {"totalElements": 3}, "transactions": []}


@pytest.mark.gen_test
async def test_lists_without_order_or_ids_keep_the_order_of_the_rows(bank):
    bank.add("payment_networks", *[("a1", str(n)) for n in (3, 1, 2, 3)], ("a2", "9"))
    found, totals = await bank.walk(NETWORKS, "limit=1", "paymentNetworks", "identifier")
    assert (found, totals) == (["3", "1", "2", "3"], [4] * 4)
    bank.add("accounts", ("a3", "x"), ("a1", "y"), ("a2", "z"))
    body = {"data": {"accountIds": ["a1", "a2", "a3", "a1"]}}
    found, _ = await bank.walk(ACCOUNTS, "limit=2", "accounts", "accountId", body=body)
    assert found == ["a3", "a1", "a2"]


@pytest.mark.gen_test
async def test_statements_of_the_same_day_are_walked_by_their_ids(bank):
    days = {"s3": "2026-06-15", "s1": "2026-06-15", "s2": "2026-06-15", "s4": "2026-06-16", "s0": "2026-06-14"}
    bank.add("statements", *[("a1", one, day) for one, day in days.items()])
    for limit in (1, 2, 3, 5):
        found, _ = await bank.walk(STATEMENTS, f"limit={limit}", "statements", "statementId")
        assert found == ["s4", "s1", "s2", "s3", "s0"]


# -- what an offset is good for -----------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_an_offset_tells_nothing_of_what_it_holds(bank):
    # Long ids: two letters stand in every other offset by chance.
    ids = [f"transaction-{n}" for n in range(5)]
    bank.add("transactions", *[("a1", one, DAY.isoformat(), None) for one in ids])
    first, second = await offset_of(bank), await offset_of(bank)
    assert first != second
    decoded = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4))
    assert b"transaction" not in decoded and "transaction" not in first
    assert all(sign.isalnum() or sign in "-_" for sign in first)


GARBAGE = [
    "",
    "0",
    "1",
    "2",
    "null",
    "x" * 100,
    "A" * 3000,
    "gAAAAA",
    "%00",
    "%E2%82%AC",
    "..%2F..",
    "=",
    "%20",
    "eyJhIjoxfQ",
]


@pytest.mark.gen_test
async def test_a_garbled_offset_is_refused(bank):
    bank.add("transactions", *transactions(*range(5)))
    offset = await offset_of(bank)
    for text in [
        *GARBAGE,
        offset[:-1],
        offset[1:],
        offset[: len(offset) // 2],
        offset + "AAAA",
        offset + offset,
        offset[::-1],
    ]:
        assert await refused(bank, text), text
    assert not await refused(bank, offset)


@pytest.mark.slow
@pytest.mark.gen_test
async def test_an_offset_of_another_list_or_query_is_refused(bank):
    bank.add("transactions", *transactions(*range(5)), *transactions(*range(5), account="a2"))
    bank.add("statements", *[("a1", f"s{n}", "2026-06-15") for n in range(5)])
    bank.add("payment_networks", *[("a1", str(n)) for n in range(5)])
    bank.add("accounts", ("a1", "x"), ("a2", "y"), ("a3", "z"))
    body = {"data": {"accountIds": ["a1", "a2", "a3"]}}
    days = "startTime=2026-06-15&endTime=2026-06-16"
    lists = [
        (TRANSACTIONS, "", None),
        (TRANSACTIONS, "startTime=2026-06-15", None),
        (TRANSACTIONS, "startTime=2026-06-14", None),
        (TRANSACTIONS, "endTime=2026-06-15", None),
        (TRANSACTIONS, days, None),
        (f"{CUSTOMER}/accounts/a2/transactions", "", None),
        (STATEMENTS, "", None),
        (STATEMENTS, days, None),
        (NETWORKS, "", None),
        (ACCOUNTS, "", body),
    ]
    offsets = [await offset_of(bank, path, f"limit=2&{query}".rstrip("&"), sent) for path, query, sent in lists]
    for origin, offset in zip(lists, offsets, strict=True):
        for path, query, sent in lists:
            assert await refused(bank, offset, path, query, sent) is ((path, query, sent) != origin)
    assert not await refused(bank, offsets[4], TRANSACTIONS, "unknown=1&endTime=2026-06-16&startTime=2026-06-15")


@pytest.fixture
def keyed(tmp_path):
    return [Cursors(tmp_path / name) for name in ("one.key", "two.key")]


here = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
signs = st.sampled_from("ABCXYZabcxyz0189-_=+/!~")


@given(st.integers(0, 10**6), signs, st.booleans())
@here
def test_no_changed_text_opens_as_another_cursor(keyed, place, sign, is_added):
    sealed = keyed[0].seal(Cursor(25, "t25"), ["/list", {"a": "b"}])
    place %= len(sealed)
    changed = sealed[:place] + sign + sealed[place + (not is_added) :]
    try:
        assert keyed[0].open(changed, ["/list", {"a": "b"}]) == Cursor(25, "t25")
    except RequestError:
        assert changed != sealed


@pytest.mark.slow
@given(
    st.integers(0, 10**9), st.text(max_size=64), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
)
@here
def test_a_cursor_opens_as_it_was_sealed_whatever_it_names(keyed, position, last, filters):
    cursors, others = keyed
    sealed = cursors.seal(Cursor(position, last), ["/list", filters])
    assert cursors.open(sealed, ["/list", dict(reversed(filters.items()))]) == Cursor(position, last)
    for stranger, path in [(others, "/list"), (cursors, "/lists")]:
        with pytest.raises(RequestError):
            stranger.open(sealed, [path, filters])


@pytest.mark.gen_test
async def test_the_longest_ids_fit_into_an_offset(bank):
    long = [("a1", f"{n}{'x' * 255}", DAY.isoformat(), None) for n in range(3)]
    bank.add("transactions", *long)
    found, _ = await bank.walk(TRANSACTIONS, "limit=1", "transactions", "transactionId")
    assert found == [row[1] for row in long]


# -- the key ------------------------------------------------------------------------------------------------------


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def another(world, folder):
    folder.mkdir(exist_ok=True)
    return World(folder, world.signer)


@pytest.mark.gen_test
async def test_an_offset_survives_a_restart(io_loop, bank, world, tmp_path):
    """The key file is readable by its owner only."""
    bank.add("transactions", *transactions(*range(5)))
    offset = await offset_of(bank)
    key = tmp_path / "cursor.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    content = key.read_bytes()
    await world.stop()
    restarted = FDXBank(World(tmp_path, world.signer))
    try:
        await restarted.start()
        assert not await refused(restarted, offset)
        assert (key.read_bytes(), sorted(path.name for path in tmp_path.glob("cursor*"))) == (content, ["cursor.key"])
    finally:
        await restarted.world.stop()
        restarted.writer.close()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.gen_test
async def test_servers_accept_offsets_only_with_a_shared_key(io_loop, bank, world, tmp_path, shared):
    other = FDXBank(another(world, tmp_path / "other"))
    try:
        await other.start(settings='cursor_key = "../cursor.key"' if shared else "")
        for one in (bank, other):
            one.add("transactions", *transactions(*range(5)))
        assert await refused(other, await offset_of(bank)) is not shared
        assert await refused(bank, await offset_of(other)) is not shared
    finally:
        await other.world.stop()
        other.writer.close()


@pytest.mark.parametrize("content", [b"", b"short", None], ids=["empty", "short", "folder"])
@pytest.mark.gen_test
async def test_a_broken_key_file_is_kept_and_lists_are_still_served(io_loop, world, tmp_path, caplog, content):
    """The log has a warning."""
    key = tmp_path / "cursor.key"
    key.mkdir() if content is None else key.write_bytes(content)
    bank = FDXBank(world)
    try:
        await bank.start()
        bank.add("transactions", *transactions(*range(5)))
        found, _ = await bank.walk(TRANSACTIONS, "limit=2", "transactions", "transactionId")
        assert found == ["t4", "t3", "t2", "t1", "t0"]
        (warning,) = [text for text in warnings_of(caplog) if "cursor" in text]
        assert "cursors will expire with this process" in warning
        assert key.is_dir() if content is None else key.read_bytes() == content
    finally:
        bank.writer.close()


def test_a_key_that_cannot_be_kept_is_a_new_one_each_time(tmp_path, caplog):
    first, second = load_key(tmp_path / "nowhere" / "key"), load_key(tmp_path / "nowhere" / "key")
    assert first != second and len(first) == len(second) == 44
    assert len(warnings_of(caplog)) == 2
    assert not any(key.decode() in text for key in (first, second) for text in warnings_of(caplog))


def test_a_key_is_made_once_and_kept(tmp_path, caplog):
    assert len({load_key(tmp_path / "key") for _ in range(3)}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert warnings_of(caplog) == []


# -- days ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", "87654321"),
        ("startTime=2026-06-15", "876543"),
        ("endTime=2026-06-15", "54321"),
        ("startTime=2026-06-15&endTime=2026-06-15", "543"),
        ("startTime=2026-06-14&endTime=2026-06-14", "2"),
        ("startTime=2026-06-16&endTime=2026-06-16", "76"),
        ("startTime=2026-06-17", "8"),
        ("endTime=2026-06-13", "1"),
        ("startTime=0001-01-01&endTime=9999-12-31", "87654321"),
    ],
)
@pytest.mark.gen_test
async def test_start_and_end_are_utc_days_and_both_are_inside(bank, query, ids):
    posted = [
        "2020-01-01T00:00:00Z",
        "2026-06-14T23:59:59.999999Z",
        "2026-06-15T10:00:00+10:00",
        "2026-06-15T12:00:00Z",
        "2026-06-15T23:59:59.9999999Z",
        "2026-06-16T00:00:00Z",
        "2026-06-16T09:59:59-14:00",
    ]
    bank.add("transactions", *[("a1", str(n), time, "1999-01-01T00:00:00Z") for n, time in enumerate(posted, 1)])
    bank.add("transactions", ("a1", "8", None, None))
    answer = await bank.get(TRANSACTIONS, query)
    assert [one["transactionId"] for one in answer.json["transactions"]] == list(ids)
    assert answer.json["page"] == {"totalElements": len(ids)}


@pytest.mark.gen_test
async def test_an_unposted_transaction_counts_at_its_transaction_time(bank):
    bank.add("transactions", ("a1", "made", None, "2026-06-15T00:00:00Z"), *transactions(0))
    for query, ids in {
        "startTime=2026-06-15&endTime=2026-06-15": ["made", "t0"],
        "startTime=2026-06-16": [],
        "endTime=2026-06-14": [],
    }.items():
        answer = (await bank.get(TRANSACTIONS, query)).json
        assert [one["transactionId"] for one in answer["transactions"]] == ids


@pytest.mark.gen_test
async def test_statements_are_those_of_the_days(bank):
    bank.add("statements", *[("a1", day, day) for day in ("2026-06-14", "2026-06-15", "2026-06-16")])
    for query, days in {
        "startTime=2026-06-15": ["2026-06-16", "2026-06-15"],
        "endTime=2026-06-15": ["2026-06-15", "2026-06-14"],
        "startTime=2026-06-15&endTime=2026-06-15": ["2026-06-15"],
    }.items():
        answer = (await bank.get(STATEMENTS, query)).json
        assert [one["statementId"] for one in answer["statements"]] == days


@pytest.mark.parametrize("name", ["startTime", "endTime"])
@pytest.mark.gen_test
async def test_what_is_no_day_is_refused(bank, name):
    for text in ["2026-02-30", "2026-6-1", "20260615", "2026-06-15T00:00:00Z", "today", "", "2026-06-15%20"]:
        answer = await bank.get(TRANSACTIONS, f"{name}={text}")
        (error,) = answer.json["errors"]
        assert (answer.status, error["code"], error["detail"]) == (400, "invalid_request", name), text
        assert error["meta"]["urn"].endswith("Field/InvalidDateTime")


@pytest.mark.gen_test
async def test_a_start_after_the_end_is_refused(bank):
    answer = await bank.get(TRANSACTIONS, "startTime=2026-06-16&endTime=2026-06-15")
    assert (answer.status, answer.code, answer.json["errors"][0]["detail"]) == (400, "invalid_request", "startTime")


# -- what comes and goes between two parts ------------------------------------------------------------------------


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


# -- how a part finds its place ------------------------------------------------------------------------------------

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
async def test_the_smallest_parts_do_not_delay_another_customer(bank):
    """A thousand records of one day, and callers who each ask for one of them behind half of the others."""
    bank.writer.executescript("""
        CREATE TABLE balances (accountId TEXT, current TEXT, available TEXT);
        INSERT INTO customers VALUES ('c2');
        INSERT INTO accounts VALUES ('c2', 'b1');
        INSERT INTO balances VALUES ('b1', '1.00', '1.00');
    """)
    await bank.world.stop()
    await bank.start()
    bank.add("transactions", *[("a1", f"t{n:04}", DAY.isoformat(), None) for n in range(1000)])
    offset = await offset_of(bank, query="limit=500")
    parts = [asyncio.ensure_future(bank.get(TRANSACTIONS, f"limit=1&offset={offset}")) for _ in range(8)]
    waited = []
    for _ in range(10):
        started = time.perf_counter()
        assert (await bank.get("/customer/c2/accounts/b1/balances")).status == 200
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
