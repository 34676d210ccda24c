"""Lists of the FDX over a real server: parts and their limit, the walk through all of them, days."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import shared
from helpers.fdx_bank import (
    ACCOUNTS,
    DAY,
    NETWORKS,
    STATEMENTS,
    TRANSACTIONS,
    offset_of,
    open_bank,
    reset_bank,
    transactions,
)

module_loop = pytest.fixture(shared.open_loop, scope="module")
io_loop = pytest.fixture(shared.use_loop)

opened = pytest.fixture(open_bank, scope="module")
bank = pytest.fixture(reset_bank)


# -- names of FDX 6.3 --------------------------------------------------------------------------------------------------


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


# -- limit -------------------------------------------------------------------------------------------------------------


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


# -- walking -----------------------------------------------------------------------------------------------------------

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


# -- days --------------------------------------------------------------------------------------------------------------


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
