"""Pages of an upstream: by number, by offset, by what the response names, and their bounds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from yarl import URL

from helpers.rest_pages import build_ids, build_rows, fetch_ids, open_source
from openholder import Filter, Order, Query, SourceFault
from openholder_rest import RESTSettings
from openholder_rest.pagination import is_below
from openholder_rest.signs import find_next_link
from openholder_rest.time_bounds import find_time_bounds


def list_uris(upstream):
    return [request.uri.removeprefix("/api") for request in upstream.requests]


def serve_pages(count, parameter, size_parameter="", full=10, first=None):
    """An upstream with so many records: by page number where ``first`` is given, else by offset."""

    def answer(arguments):
        size = int(arguments.get(size_parameter, full))
        position = int(arguments[parameter])
        start = position if first is None else (position - first) * size
        return {"data": build_rows(count)[start : start + size]}

    return answer


# -- numbers and offsets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 30, 35])
@pytest.mark.parametrize(
    ("paging", "answer", "knows_size"),
    [
        ({"style": "page"}, {"parameter": "page", "first": 1}, False),
        ({"style": "page", "first": 0}, {"parameter": "page", "first": 0}, False),
        ({"style": "page", "parameter": "p", "size": 10}, {"parameter": "p", "first": 1}, True),
        (
            {"style": "page", "size_parameter": "page-size", "size": 10},
            {"parameter": "page", "first": 1, "size_parameter": "page-size", "full": 25},
            True,
        ),
        ({"style": "offset"}, {"parameter": "offset"}, False),
        (
            {"style": "offset", "parameter": "skip", "size_parameter": "take", "size": 10},
            {"parameter": "skip", "size_parameter": "take", "full": 25},
            True,
        ),
    ],
)
@pytest.mark.gen_test
async def test_pages_are_fetched_up_to_a_short_or_empty_one(paging, answer, knows_size, count):
    async with open_source(serve_pages(count, **answer), paging=paging) as (upstream, source):
        assert await fetch_ids(source) == build_ids(count)
        expected = count // 10 + 1 if knows_size else -(-count // 10) + 1
        assert len(upstream.requests) == expected


@pytest.mark.gen_test
async def test_the_parameters_join_those_of_the_template():
    paging = {"style": "offset", "size_parameter": "page[size]", "size": 2}
    async with open_source(serve_pages(3, "offset", "page[size]"), "/accounts?open=true", paging=paging) as (
        upstream,
        source,
    ):
        await fetch_ids(source)
        assert list_uris(upstream) == [
            "/accounts?open=true&page%5Bsize%5D=2&offset=0",
            "/accounts?open=true&page%5Bsize%5D=2&offset=2",
        ]


@pytest.mark.gen_test
async def test_404_for_a_page_number_is_the_end():
    pages = {"1": {"data": build_rows(2)}}
    async with open_source(lambda arguments: pages.get(arguments["page"]), paging={"style": "page"}) as (_, source):
        assert await fetch_ids(source) == build_ids(2)


@pytest.mark.gen_test
async def test_select_is_applied_to_the_whole_list():
    async with open_source(serve_pages(25, "page", first=1), paging={"style": "page"}) as (_, source):
        page = await source.fetch(Query(collection="accounts", order=(Order("id", True),), offset=1, limit=3))
        assert ([record["id"] for record in page.records], page.total) == (["a023", "a022", "a021"], 25)


@pytest.mark.gen_test
async def test_a_single_record_has_no_further_page():
    async with open_source(lambda _: {"data": {"id": "a000"}}, paging={"style": "page"}) as (upstream, source):
        assert await fetch_ids(source) == ["a000"]
        assert list_uris(upstream) == ["/accounts?page=1"]


@pytest.mark.parametrize(("paged", "uri"), [(["accounts"], "/c"), (["customers"], "/c?page=1"), ([], "/c?page=1")])
@pytest.mark.gen_test
async def test_only_the_named_collections_come_in_pages(paged, uri):
    paging = {"style": "page", "collections": paged}
    async with open_source(lambda _: {"data": []}, paging=paging) as (upstream, source):
        await fetch_ids(source, Query(collection="customers"))
        assert list_uris(upstream) == [uri]


@pytest.mark.parametrize(
    ("limits", "count", "refused"),
    [
        ({"max_pages": 3}, 29, ""),  # the third is followed by none that would be full
        ({"max_pages": 2}, 29, "more than 2 pages"),
        ({"max_records": 29}, 29, ""),
        ({"max_records": 28}, 29, "more than 28 records"),
    ],
)
@pytest.mark.gen_test
async def test_a_list_beyond_the_limits_is_a_fault(limits, count, refused):
    async with open_source(serve_pages(count, "page", first=1), paging={"style": "page", "size": 10, **limits}) as (
        _,
        source,
    ):
        if not refused:
            assert await fetch_ids(source) == build_ids(count)
            return
        with pytest.raises(SourceFault, match=refused):
            await fetch_ids(source)


@pytest.mark.parametrize("style", ["page", "offset"])
@pytest.mark.gen_test
async def test_an_upstream_that_ignores_the_parameter_is_a_fault(style):
    async with open_source(lambda _: {"data": build_rows(3)}, paging={"style": style}) as (upstream, source):
        with pytest.raises(SourceFault, match=f"ignores the parameter '{style}'"):
            await fetch_ids(source)
        assert len(upstream.requests) == 4, "a list that moves looks like this too, so it is walked twice"


# -- the next page as the answer names it ------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [None, "", False, "absent"])
@pytest.mark.gen_test
async def test_cursors_are_followed_until_there_is_none(end):
    cursors = {None: "c&1=+", "c&1=+": 17, "17": end}

    def answer(arguments):
        cursor = arguments.get("after")
        page = list(cursors).index(cursor)
        meta = {} if cursors[cursor] == "absent" else {"next": cursors[cursor]}
        return {"data": build_rows(6)[page * 2 : page * 2 + 2], "meta": meta}

    paging = {"style": "next", "pointer": "meta.next", "parameter": "after", "size_parameter": "limit", "size": 2}
    async with open_source(answer, paging=paging) as (upstream, source):
        assert await fetch_ids(source) == build_ids(6)
        assert list_uris(upstream) == [
            "/accounts?limit=2",
            "/accounts?limit=2&after=c%261%3D%2B",
            "/accounts?limit=2&after=17",
        ]


@pytest.mark.gen_test
async def test_an_empty_page_that_names_a_next_one_is_not_the_last():
    pages = {None: ([], "b"), "b": (build_rows(1), None)}

    def answer(arguments):
        data, following = pages[arguments.get("cursor")]
        return {"data": data, "next": following}

    paging = {"style": "next", "pointer": "next", "parameter": "cursor"}
    async with open_source(answer, paging=paging) as (_, source):
        assert await fetch_ids(source) == build_ids(1)


ADDRESSES = [
    "{base}/accounts?page=2",
    "{base}/elsewhere?page=2",
    "{path}/accounts?page=2",
    "?page=2",
    "accounts?page=2",
    "{base}/accounts?page=2#top",
    "{base}/accounts/%2Fx?page=2",
]


@pytest.mark.parametrize("way", ["body", "Link"])
@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.gen_test
async def test_urls_are_followed_below_base_url(way, address):
    def answer(arguments):
        if arguments:
            return {"data": build_rows(2)[1:]}
        named = address.format(base=upstream.url, path="/api")
        if way == "Link":
            return {"data": build_rows(1)}, {"Link": f'<{upstream.url}/>; rel="first", <{named}>; rel="next"'}
        return {"data": build_rows(1), "links": {"next": named}}

    paging = {"style": "next", "pointer": "Link" if way == "Link" else "links.next"}
    async with open_source(answer, paging=paging) as (upstream, source):
        assert await fetch_ids(source) == build_ids(2)
        assert len(upstream.requests) == 2


ELSEWHERE = [
    "http://evil.example/api/accounts",
    "//evil.example/api/accounts",
    "https://127.0.0.1:{port}/api/accounts",
    "http://127.0.0.1:1/api/accounts",
    "http://localhost:{port}/api/accounts",
    "http://127.0.0.1:{port}@evil.example/api/accounts",
    "http://user:SECRET@127.0.0.1:{port}/api/accounts",
    "http://127.0.0.1:{port}/apis/accounts",
    "http://127.0.0.1:{port}/admin",
    "/admin",
    "../admin",
    "/api/../admin",
    "/api/%2e%2e/admin",
    "/api/..%2fadmin",
    "/api/..\\admin",
    "/api/%2e%2e%5cadmin",
    "/api/%252e%252e/admin",
    "/api/%25252e./admin",
    "/api/..;/admin",
    "/api/..;a=b/admin",
    "/api/%2e%2e%3b/admin",
    "/api/..%252fadmin",
    "/api/%c0%ae%c0%ae/admin",
    "/api/%ef%bc%8e%ef%bc%8e/admin",
    "\\\\evil.example/api",
    "/api/accounts\r\nX-Injected: a",
    "/api/acc ounts",
    " /api/accounts?page=2",
    "/api/é",
    "file:///api/accounts",
    "javascript:1",
    "http://[::1/api",
    "//::",
    "http://127.0.0.1:99999/api",
]


@pytest.mark.parametrize("address", ELSEWHERE)
@pytest.mark.gen_test
async def test_urls_outside_base_url_are_a_fault_without_a_request(address):
    def answer(_):
        port = URL(upstream.url).port
        return {"data": build_rows(1), "next": address.format(port=port)}

    async with open_source(answer, paging={"style": "next", "pointer": "next"}) as (upstream, source):
        with pytest.raises(SourceFault, match="not below base_url") as fault:
            await fetch_ids(source)
        assert len(upstream.requests) == 1
        assert "SECRET" not in str(fault.value)
        assert "evil" not in str(fault.value)


@pytest.mark.parametrize(
    ("paging", "body", "message"),
    [
        ({"parameter": "c"}, {"data": [], "next": "same"}, "same next page twice"),
        ({}, {"data": [], "next": "?a=b"}, "same next page twice"),
        ({}, {"data": [], "next": "/api/accounts"}, "same next page twice"),
        ({"parameter": "c"}, {"data": [], "next": {"SECRET": 1}}, "text or a whole number, found an object"),
        ({"parameter": "c"}, {"data": [], "next": True}, "text or a whole number, found true or false"),
        ({"parameter": "c"}, {"data": [], "next": ["SECRET"]}, "text or a whole number, found a list"),
    ],
)
@pytest.mark.gen_test
async def test_a_next_page_that_makes_no_sense_is_a_fault(paging, body, message):
    async with open_source(lambda _: body, paging={"style": "next", "pointer": "next", **paging}) as (_, source):
        with pytest.raises(SourceFault, match=message) as fault:
            await fetch_ids(source)
        assert "SECRET" not in str(fault.value)


@pytest.mark.gen_test
async def test_404_for_a_named_page_is_a_fault():
    paging = {"style": "next", "pointer": "next", "parameter": "c"}
    async with open_source(lambda given: None if given else {"data": [], "next": "x"}, paging=paging) as (_, source):
        with pytest.raises(SourceFault, match="nothing for a next page"):
            await fetch_ids(source)


@pytest.mark.gen_test
async def test_a_list_cannot_name_a_next_page():
    async with open_source(lambda _: build_rows(2), records="", paging={"style": "next", "pointer": "next"}) as (
        _,
        source,
    ):
        with pytest.raises(SourceFault, match="no value at 'next'"):
            await fetch_ids(source)


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ("", None),
        ("</a>; rel=next", "/a"),
        ('</a>; rel="next"', "/a"),
        ('</a>; REL="Next"', "/a"),
        ('</a>; title="a, b"; rel="next"', "/a"),
        ('</a>; rel="last next"', "/a"),
        ('</a>; rel="nextish", </b>; rel=prev', None),
        ('</p>; rel="prev", </b,c>; rel="next"', "/b,c"),
        ('</a>; rel="next", </b>; rel="next"', "/a"),
        ("/a; rel=next", None),
        ("</a>", None),
        ("<" * 50_000, None),
        ('<a>;"' * 10_000, None),
        (";" * 50_000 + "<a>" + "; rel" * 10_000, None),
    ],
)
def test_the_link_header_names_the_relation_next(header, target):
    assert find_next_link(header) == target


@given(st.text(st.sampled_from("ab./\\%25eEfFcC@:?#[]"), max_size=30))
def test_a_url_below_base_url_is_below_it_for_every_parser(text):
    base = URL("https://a.example/api", encoded=True)
    try:
        url = base.join(URL(text, encoded=True))
        below = is_below(base, url)
    except ValueError:  # what the source takes as a fault
        return
    if below:
        assert str(url.origin()) == "https://a.example"
        assert str(URL(str(url))).startswith("https://a.example/api")


@pytest.mark.parametrize(
    "paging",
    [
        {},
        {"style": "cursor"},
        {"style": "page", "pointer": "next"},
        {"style": "offset", "first": 0},
        {"style": "next"},
        {"style": "next", "pointer": "next", "first": 1},
        {"style": "next", "pointer": "Link", "parameter": "cursor"},
        {"style": "page", "size_parameter": "limit"},
        {"style": "page", "size": 0},
        {"style": "page", "first": 2},
        {"style": "page", "max_pages": 0},
        {"style": "page", "max_page": 1},
    ],
)
def test_invalid_paging_is_refused(paging):
    with pytest.raises(ValidationError) as refusal:
        RESTSettings(base_url="https://a.example", collections={"accounts": "/accounts"}, paging=paging)
    assert {error["loc"][0] for error in refusal.value.errors()} == {"paging"}


# -- bounds ------------------------------------------------------------------------------------------------------------

JANUARY, MARCH = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, 12, 30, 15, 500, tzinfo=UTC)
FROM, TO = Filter("at", "ge", JANUARY), Filter("at", "le", MARCH)
TEMPLATES = ["/t?from={from}&to={to}", "/t?since={from}", "/t/until/{to}", "/t"]


@pytest.mark.parametrize(
    ("filters", "uri"),
    [
        ((FROM, TO), "/t?from=2026-01-01T00%3A00%3A00Z&to=2026-03-01T12%3A30%3A16Z"),
        ((FROM,), "/t?since=2026-01-01T00%3A00%3A00Z"),
        ((TO,), "/t/until/2026-03-01T12%3A30%3A16Z"),
        ((), "/t"),
        ((Filter("at", "eq", JANUARY),), "/t"),
        ((Filter("at", "ge", "2026"),), "/t"),
        ((FROM, Filter("changed", "le", MARCH)), "/t"),
    ],
)
@pytest.mark.gen_test
async def test_time_bounds_fill_a_template_that_names_them(filters, uri):
    async with open_source(lambda _: {"data": []}, TEMPLATES) as (upstream, source):
        await fetch_ids(source, Query(collection="accounts", filters=filters))
        assert list_uris(upstream) == [uri]


@pytest.mark.gen_test
async def test_a_query_without_bounds_cannot_fill_their_template():
    async with open_source(lambda _: {"data": []}, "/t?from={from}") as (upstream, source):
        with pytest.raises(SourceFault, match="can be filled"):
            await fetch_ids(source)
        assert upstream.requests == []


@pytest.mark.gen_test
async def test_bounds_in_the_url_are_applied_here_too():
    records = [
        {"id": "early", "at": "2025-12-31T23:59:59Z"},
        {"id": "first", "at": "2026-01-01T00:00:00Z"},
        {"id": "last", "at": "2026-03-01T12:30:15Z"},
        {"id": "late", "at": "2026-03-01T12:30:16Z"},
    ]
    async with open_source(lambda _: {"data": records}, TEMPLATES) as (_, source):
        assert await fetch_ids(source, Query(collection="accounts", filters=(FROM, TO))) == ["first", "last"]


@pytest.mark.gen_test
async def test_bounds_and_accounts_fill_one_template():
    accounts = Filter("accountId", "in", ("a", "b"), variable="accountId")
    async with open_source(lambda _: {"data": []}, "/a/{accountId}?from={from}") as (upstream, source):
        await fetch_ids(source, Query(collection="accounts", filters=(accounts, FROM)))
        assert sorted(list_uris(upstream)) == [f"/a/{name}?from=2026-01-01T00%3A00%3A00Z" for name in "ab"]


SYDNEY = timezone(timedelta(hours=11))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((FROM, Filter("at", "ge", MARCH)), {"from": "2026-03-01T12:30:15Z"}),
        ((TO, Filter("at", "le", JANUARY)), {"to": "2026-01-01T00:00:00Z"}),
        ((Filter("at", "ge", datetime(2026, 1, 1, 11, tzinfo=SYDNEY)),), {"from": "2026-01-01T00:00:00Z"}),
        ((Filter("at", "le", datetime.max.replace(tzinfo=UTC)),), {"to": "9999-12-31T23:59:59Z"}),
        ((FROM, Filter("at", "le", MARCH, otherwise=("day",))), {}),
    ],
)
def test_the_closest_bounds_are_rounded_outwards_to_seconds(filters, expected):
    assert find_time_bounds(Query(collection="accounts", filters=filters)) == expected
