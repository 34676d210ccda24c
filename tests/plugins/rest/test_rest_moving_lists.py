"""Lists of an upstream that move between two pages, or are not all there."""

from __future__ import annotations

import json

import pytest

from helpers.rest_pages import build_ids, build_rows, fetch_ids, open_source
from openholder import SourceFault
from openholder.mapping import MappingSettings, RowMapping
from openholder_rest.pagination import ListShape, PagingSettings, Walk
from openholder_rest.records import find_repeated
from openholder_rest.responses import Nothing, UpstreamResponse


class Moving:
    """An upstream whose list changes once, behind the first page of the walks that ``changes`` has a change for."""

    def __init__(self, count, *changes, by="page", has_total=False):
        self.rows = build_rows(count)
        self.changes = list(changes)
        self.by = by
        self.has_total = has_total
        self.walks = 0

    def __call__(self, arguments):
        position = int(arguments[self.by])
        start = (position - 1) * 2 if self.by == "page" else position
        answer = {"data": self.rows[start : start + 2]}
        if self.has_total:
            answer["total"] = len(self.rows)
        if start == 0:
            self.walks += 1
            if self.changes:
                self.rows = self.changes.pop(0)(self.rows)
        return answer


def insert(rows):
    return [{"id": f"new{len(rows)}"}, *rows]


def remove(rows):
    return rows[1:]


@pytest.mark.parametrize("by", ["page", "offset"])
@pytest.mark.parametrize(
    ("change", "has_total"), [(insert, False), (insert, True), (remove, True), (lambda rows: rows[:3], True)]
)
@pytest.mark.gen_test
async def test_a_list_that_moved_is_walked_again(by, change, has_total):
    upstream = Moving(5, change, by=by, has_total=has_total)
    async with open_source(upstream, paging={"style": by, "size": 2}) as (_, source):
        assert await fetch_ids(source) == [row["id"] for row in upstream.rows]
    assert upstream.walks == 2


@pytest.mark.parametrize("by", ["page", "offset"])
@pytest.mark.parametrize(
    ("change", "has_total", "told"),
    [(insert, False, "two records with the same id"), (remove, True, "its total changed|'total' says")],
)
@pytest.mark.gen_test
async def test_a_list_that_keeps_moving_is_a_fault(by, change, has_total, told):
    upstream = Moving(9, change, change, by=by, has_total=has_total)
    async with open_source(upstream, paging={"style": by, "size": 2}) as (_, source):
        with pytest.raises(SourceFault, match=f"not even the second time: ({told})"):
            await fetch_ids(source)
    assert upstream.walks == 2


@pytest.mark.gen_test
async def test_a_cursor_that_repeats_a_record_is_walked_again():
    pages = [{"data": build_rows(2), "next": "b"}, {"data": build_rows(3)[1:]}, {"data": build_rows(1)}]
    remaining = list(pages)
    paging = {"style": "next", "pointer": "next", "parameter": "c"}
    async with open_source(lambda _: remaining.pop(0), paging=paging) as (_, source):
        assert await fetch_ids(source) == build_ids(1)


@pytest.mark.gen_test
async def test_records_of_several_owners_may_have_the_same_id():
    """A joint account is a record of each of its customers."""
    rows = [{"id": f"a{number // 2}", "customerId": f"c{number % 2}"} for number in range(6)]

    def answer(arguments):
        start = int(arguments["offset"])
        return {"data": rows[start : start + 2]}

    async with open_source(answer, paging={"style": "offset", "size": 2}) as (upstream, source):
        assert await fetch_ids(source) == ["a0", "a0", "a1", "a1", "a2", "a2"]
        assert len(upstream.requests) == 4


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        ([["a", "a"], ["b"]], ""),  # two equal debits on one day
        ([["a", "b"], ["c"]], ""),
        ([["a", "b"], ["b"]], "two equal records without an id"),
        ([["a"], ["b"], ["a"]], "two equal records without an id"),
    ],
)
def test_records_without_an_id_are_compared_as_a_whole(pages, told):
    rows = [[{"accountId": "a1", "authorisedEntity": {"description": name}} for name in page] for page in pages]
    assert find_repeated(rows, "banking.direct_debits", read_unmapped("banking.direct_debits")) == told
    known = [[row | {"transactionId": number} for number, row in enumerate(page)] for page in rows[:1]]
    mapping = read_unmapped("banking.transactions")
    assert find_repeated(known, "banking.transactions", mapping) == ""
    assert find_repeated([*known, *known], "banking.transactions", mapping) == "two records with the same transactionId"


def read_unmapped(collection):
    return RowMapping(collection, MappingSettings(), is_json=True)


def build_walk(body, pointer="items", paging=None, ignored=(), **headers):
    """A walk that has got one response."""
    settings = PagingSettings(**paging) if paging else None
    shape = ListShape("https://a.example", pointer, settings, Nothing(), frozenset(ignored))
    walk = Walk(shape, "https://a.example/x")
    walk.start()
    return walk, UpstreamResponse(json.dumps(body).encode(), **headers)


FIVE = [{"id": number} for number in range(5)]
PARTS = [
    ({"items": FIVE, "total": 7}, "'total' says that there are 7 records, and 5 came"),
    ({"items": FIVE, "total_count": "7"}, "'total_count' says"),
    ({"items": FIVE, "totalFilteredRecords": 7}, "'totalFilteredRecords' says"),
    ({"items": FIVE, "meta": {"totalRecords": 7}}, "'totalRecords' says"),
    ({"items": FIVE, "page": {"totalElements": 7, "size": 5}}, "'totalElements' says"),
    ({"items": FIVE, "@odata.count": 7}, "'@odata.count' says"),
    ({"items": FIVE, "next": "/x?page=2"}, "'next' says that there is more"),
    ({"items": FIVE, "links": {"next": "/x?page=2"}}, "'next' says"),
    ({"items": FIVE, "_links": {"next": {"href": "/x?page=2"}}}, "'next' says"),
    ({"items": FIVE, "@odata.nextLink": "/x"}, "'@odata.nextLink' says"),
    ({"items": FIVE, "nextPageToken": "abc"}, "'nextPageToken' says"),
    ({"items": FIVE, "nextPage": 2}, "'nextPage' says"),
    ({"items": FIVE, "has_more": True}, "'has_more' says"),
    ({"items": FIVE, "last": False}, "'last' says"),
    ({"items": [], "total": 7}, "'total' says that there are 7 records, and 0 came"),
]
WHOLES = [
    {"items": FIVE, "total": 5},
    {"items": FIVE, "total": 4},
    {"items": FIVE, "total": "1200.50"},
    {"items": FIVE, "total": {"amount": 7}},
    {"items": FIVE, "total": True},
    {"items": FIVE, "total": None, "next": None},
    {"items": FIVE, "next": "", "hasMore": False, "last": True},
    {"items": FIVE, "links": {"next": False, "last": "/x?page=1"}},
    {"items": FIVE, "next": {"href": None}},
    {"items": FIVE, "summary": {"total": 7}},
    {"items": [{"total": 7, "next": "2026-10-01", "hasMore": True}]},
    {"items": {"total": 7, "next": "2026-10-01", "hasMore": True}},
]


@pytest.mark.parametrize(("body", "told"), PARTS, ids=[json.dumps(body)[-40:] for body, _ in PARTS])
def test_a_part_of_a_list_is_a_fault_without_paging(body, told):
    walk, response = build_walk(body)
    with pytest.raises(SourceFault, match=f"a part of a list: {told}"):
        walk.add(response)
    sign = told.split("'")[1]
    walk, response = build_walk(body, ignored=[sign])
    assert walk.add(response) is None


@pytest.mark.parametrize("body", WHOLES, ids=lambda body: json.dumps(body)[-40:])
def test_a_whole_list_is_believed(body):
    walk, response = build_walk(body)
    assert walk.add(response) is None


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"content_range": "0-4/7"}, "'Content-Range' says that there are 7 records, and 5 came"),
        ({"content_range": "items 0-4/7"}, "'Content-Range' says"),
        ({"content_range": "*/7"}, "'Content-Range' says"),
        ({"content_range": "0-4/5"}, ""),
        ({"content_range": "0-4/*"}, ""),
        ({"content_range": "bytes of SECRET"}, ""),
        ({"total": "7"}, "'X-Total-Count' says"),
        ({"total": "5"}, ""),
        ({"total": "SECRET"}, ""),
        ({"link": '</x?page=2>; rel="next"'}, "'Link' says that there is more"),
        ({"link": '</x?page=1>; rel="last"'}, ""),
    ],
)
def test_headers_say_that_there_is_more(headers, told):
    walk, response = build_walk(FIVE, pointer="", **headers)
    if not told:
        assert walk.add(response) is None
        return
    with pytest.raises(SourceFault, match=told):
        walk.add(response)


@pytest.mark.gen_test
async def test_a_header_of_the_upstream_is_read():
    async with open_source(lambda _: (build_rows(5), {"Content-Range": "0-4/7"}), records="") as (_, source):
        with pytest.raises(SourceFault, match="'Content-Range' says that there are 7 records, and 5 came"):
            await fetch_ids(source)


@pytest.mark.parametrize(
    "more",
    [
        lambda start, rows: {"total": len(rows)},
        lambda start, rows: {"hasMore": start + 3 < len(rows)},
        lambda start, rows: {"next": start + 3 if start + 3 < len(rows) else None},
    ],
)
@pytest.mark.parametrize("style", ["page", "offset"])
@pytest.mark.gen_test
async def test_a_short_page_is_not_the_last_if_there_is_more(style, more):
    """The upstream caps the size at three, and ``size`` says ten."""
    rows = build_rows(8)

    def answer(arguments):
        start = int(arguments["offset"]) if style == "offset" else (int(arguments["page"]) - 1) * 3
        return {"data": rows[start : start + 3], **more(start, rows)}

    async with open_source(answer, paging={"style": style, "size": 10}) as (_, source):
        assert await fetch_ids(source) == build_ids(8)


@pytest.mark.gen_test
async def test_the_number_of_records_on_a_page_is_no_total():
    def answer(arguments):
        page = build_rows(5)[int(arguments["offset"]) :][:2]
        return {"data": page, "count": len(page)}

    async with open_source(answer, paging={"style": "offset", "size": 2}) as (upstream, source):
        assert await fetch_ids(source) == build_ids(5)
        assert len(upstream.requests) == 3
