"""Lists of the CDR over a real server and a real SQLite file: pages, links and what is refused."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from helpers import shared
from helpers.cdr_bank import (
    BANKING,
    BILLING,
    DATE,
    DEBITS,
    FIELD,
    INVOICES,
    PAYEES,
    PLANS,
    TRANSACTIONS,
    URN,
    CDRBank,
    debits,
    open_bank,
    reset_bank,
)

pytestmark = pytest.mark.slow  # together they take seconds

module_loop = pytest.fixture(shared.open_loop, scope="module")
io_loop = pytest.fixture(shared.use_loop)

opened = pytest.fixture(open_bank, scope="module")
bank = pytest.fixture(reset_bank)


# -- pages and links ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "query", "length", "links", "pages"),
    [
        (0, "", 0, {}, 0),
        (0, "page=1&page-size=1", 0, {}, 0),
        (1, "", 1, {}, 1),
        (25, "", 25, {}, 1),
        (26, "", 25, {"next": 2, "last": 2}, 2),
        (26, "page=2", 1, {"first": 1, "prev": 1}, 2),
        (35, "page-size=10", 10, {"next": 2, "last": 4}, 4),
        (35, "page=2&page-size=10", 10, {"first": 1, "prev": 1, "next": 3, "last": 4}, 4),
        (35, "page=3&page-size=10", 10, {"first": 1, "prev": 2, "next": 4, "last": 4}, 4),
        (35, "page-size=10&page=4", 5, {"first": 1, "prev": 3}, 4),
        (35, "page=007&page-size=005", 5, {"first": 1, "prev": 6}, 7),
        (35, "page-size=1000", 35, {}, 1),
        (1001, "page-size=1000", 1000, {"next": 2, "last": 2}, 2),
    ],
)
@pytest.mark.gen_test
async def test_a_page_has_its_records_links_and_totals(bank, rows, query, length, links, pages):
    bank.put("banking_direct_debits", debits(*map(str, range(rows))))
    size = int(dict(parse_qsl(query)).get("page-size", 25))
    number = int(dict(parse_qsl(query)).get("page", 1))
    answer = (await bank.get(DEBITS, query)).json
    names = [record["authorisedEntity"]["description"] for record in answer["data"]["directDebitAuthorisations"]]
    assert names == [str(n) for n in range((number - 1) * size, (number - 1) * size + length)]
    assert answer["links"] == {name: f"page={page}&page-size={size}" for name, page in links.items()}
    assert answer["meta"] == {"totalRecords": rows, "totalPages": pages}
    assert sorted(answer) == ["data", "links", "meta"]


@pytest.mark.gen_test
async def test_links_can_be_full_uris_and_then_name_the_page_itself(io_loop, world):
    bank = CDRBank(world)
    await bank.start(settings='links = "uri"')
    bank.put("banking_direct_debits", debits(*"12345"))
    uri = f"{world.url}{DEBITS}?page="
    for query, links in [
        ("page-size=2", {"self": 1, "next": 2, "last": 3}),
        ("page=2&page-size=2&x=1", {"self": 2, "first": 1, "prev": 1, "next": 3, "last": 3}),
        ("page=3&page-size=2", {"self": 3, "first": 1, "prev": 2}),
    ]:
        answer = await bank.get(DEBITS, query)
        assert answer.json["links"] == {name: f"{uri}{page}&page-size=2" for name, page in links.items()}
    bank.put("banking_direct_debits", [])
    assert (await bank.get(DEBITS)).json["links"] == {"self": f"{uri}1&page-size=25"}
    path = f"{BANKING}/accounts/direct-debits"
    answer = await bank.get(path, "open-status=ALL", body={"data": {"accountIds": []}})
    assert answer.json["links"] == {"self": f"{world.url}{path}?page=1&page-size=25&open-status=ALL"}
    bank.writer.close()


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("text=r%26b%20%C3%A9%2B%2F", "text=r%26b%20%C3%A9%2B%2F"),
        ("text=r%26b+%C3%A9%2b/", "text=r%26b%20%C3%A9%2B%2F"),
        ("min-amount=-5&utm=1&text=r&Text=x&X-V=3&x-v=1", "min-amount=-5&text=r"),
        ("text=&max-amount=99.50", "text=&max-amount=99.50"),
        ("type=ALL&open-status=OPEN&is-owned=true", ""),
        ("oldest-time=2020-01-01T00%3A00%3A00%2B10%3A00", "oldest-time=2020-01-01T00%3A00%3A00%2B10%3A00"),
        ("newest-time=2099-01-01T00:00:00.5Z&oldest-time=2020-01-01T00:00:00Z", None),
    ],
)
@pytest.mark.gen_test
async def test_links_repeat_exactly_the_filters_of_the_request(bank, asked, kept):
    """They are percent-encoded."""
    if kept is None:
        kept = asked.replace(":", "%3A")
    bank.put_transactions(*[{"reference": "r&b é+/"}] * 3)
    answer = (await bank.get(TRANSACTIONS, f"{asked}&page-size=1&page=2")).json
    tail = f"&page-size=1&{kept}".rstrip("&")
    numbers = {"first": 1, "prev": 1, "next": 3, "last": 3}
    assert answer["links"] == {name: f"page={number}{tail}" for name, number in numbers.items()}
    again = await bank.get(TRANSACTIONS, answer["links"]["next"])
    assert (again.status, len(again.json["data"]["transactions"]), again.json["meta"]) == (200, 1, answer["meta"])


# -- what is refused ---------------------------------------------------------------------------------------------------

NO_NUMBERS = ["0", "-1", "", "abc", "1.0", "%2B1", "%201", "1e3", "0x1", "%EF%BC%91", "9" * 19, "null", "1,2"]


@pytest.mark.parametrize("name", ["page", "page-size"])
@pytest.mark.gen_test
async def test_what_is_no_whole_number_from_one_is_no_page_and_no_size(bank, name):
    for text in NO_NUMBERS:
        answer = await bank.get(DEBITS, f"{name}={text}")
        (error,) = answer.json["errors"]
        assert (answer.status, error["code"], error["detail"]) == (400, f"{URN}Field/Invalid", name), text


@pytest.mark.parametrize("size", ["1001", "999999999999999999"])
@pytest.mark.gen_test
async def test_a_page_size_above_a_thousand_is_an_error_of_its_own(bank, size):
    answer = await bank.get(DEBITS, f"page-size={size}")
    assert (answer.status, answer.code) == (400, f"{URN}Field/InvalidPageSize")
    assert answer.json["errors"][0]["detail"] == "page-size"


@pytest.mark.parametrize(
    ("rows", "query", "pages"), [(0, "page=2", 0), (1, "page=2", 1), (7, "page=5&page-size=2", 4), (7, "page=9999", 1)]
)
@pytest.mark.gen_test
async def test_a_page_out_of_range_is_422_with_the_number_of_pages(bank, rows, query, pages):
    bank.put("banking_direct_debits", debits(*map(str, range(rows))))
    posted = {"body": {"data": {"accountIds": ["a1"] if rows else []}}}
    for path, body in [(DEBITS, {}), (f"{BANKING}/accounts/direct-debits", posted)]:
        answer = await bank.get(path, query, **body)
        (error,) = answer.json["errors"]
        assert (answer.status, error["code"], error["detail"]) == (422, f"{URN}Field/InvalidPage", str(pages))
        assert "X-Sharing-Refused" not in answer.headers


@pytest.mark.parametrize(
    ("path", "query", "mistakes"),
    [
        (TRANSACTIONS, "oldest-time=2026-01-02T00:00:00Z&newest-time=2026-01-01T00:00:00Z", {"oldest-time": DATE}),
        (
            TRANSACTIONS,
            "oldest-time=2026-01-01T10:00:00Z&newest-time=2026-01-01T19:59:59%2B10:00",
            {"oldest-time": DATE},
        ),
        (TRANSACTIONS, "oldest-time=2099-01-01T00:00:00Z", {"oldest-time": DATE}),
        (TRANSACTIONS, "page=0&page-size=1001", {"page": FIELD, "page-size": "Field/InvalidPageSize"}),
        (
            TRANSACTIONS,
            "page=x&page-size=0&oldest-time=never&min-amount=ten&max-amount=1,5&text=%00",
            {
                "page": FIELD,
                "page-size": FIELD,
                "oldest-time": DATE,
                "min-amount": FIELD,
                "max-amount": FIELD,
                "text": FIELD,
            },
        ),
        (INVOICES, "oldest-date=2026-02-02&newest-date=2026-02-01", {"oldest-date": DATE}),
        (INVOICES, "newest-date=2026-02-30&page=0", {"newest-date": DATE, "page": FIELD}),
        (PLANS, "plan-status=active&page=0", {"plan-status": FIELD, "page": FIELD}),
        (PAYEES, "type=PERSON", {"type": FIELD}),
        (PAYEES, "type=", {"type": FIELD}),
        (PAYEES, "page=1&page=1", {"page": FIELD}),
        (PAYEES, "type=ALL&type=BILLER", {"type": FIELD}),
        (PAYEES, "type=%FF", {"query": FIELD}),
        (PAYEES, "%C3%28=1", {"query": FIELD}),
        (PAYEES, "&".join(f"x{n}=1" for n in range(101)), {"query": FIELD}),
    ],
)
@pytest.mark.gen_test
async def test_each_mistake_in_a_query_has_its_own_entry(bank, path, query, mistakes):
    answer = await bank.get(path, query)
    assert answer.status == 400
    errors = answer.json["errors"]
    assert {error["detail"]: error["code"].removeprefix(URN) for error in errors} == mistakes
    assert len(errors) == len(mistakes)
    assert all(error["title"] and error["meta"]["correlationId"] for error in errors)


IMPOSSIBLE_TIMES = [
    "2026-02-30T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01",
    "20260101T000000Z",
    "2026-W01-1T00:00:00Z",
    "2026-01-01T00:00:00%2B24:00",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00Z%20",
    "2026-01-01T00:00:00Z%00",
    "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-14:00",
    "1767225600",
    "now",
    "",
]


@pytest.mark.parametrize("name", ["oldest-time", "newest-time"])
@pytest.mark.gen_test
async def test_impossible_times_are_refused(bank, name):
    for text in IMPOSSIBLE_TIMES:
        for path in (TRANSACTIONS, BILLING):
            answer = await bank.get(path, f"{name}={text}")
            assert (answer.status, answer.code) == (400, f"{URN}{DATE}"), text
            assert answer.json["errors"][0]["detail"] == name


@pytest.mark.parametrize("name", ["oldest-date", "newest-date"])
@pytest.mark.gen_test
async def test_impossible_dates_are_refused(bank, name):
    for text in ["2026-02-30", "2025-02-29", "2026-13-01", "0000-01-01", "2026-1-1", "20260101", "2026-W01-1", "", "x"]:
        answer = await bank.get(INVOICES, f"{name}={text}")
        assert (answer.status, answer.code) == (400, f"{URN}{DATE}"), text
    answer = await bank.get(INVOICES, f"{name}=2026-01-01T00:00:00Z")
    assert (answer.status, answer.code) == (400, f"{URN}{DATE}")


@pytest.mark.gen_test
async def test_amounts_that_are_no_plain_decimals_are_refused(bank):
    for text in ["", "ten", "%2B5", "1e3", ".5", "5.", "1,000", "NaN", "-", "--1", "%205", "1" * 17, "%D9%A1"]:
        for name in ("min-amount", "max-amount"):
            answer = await bank.get(TRANSACTIONS, f"{name}={text}")
            assert (answer.status, answer.code) == (400, f"{URN}{FIELD}"), text
            assert answer.json["errors"][0]["detail"] == name


@pytest.mark.gen_test
async def test_query_then_account_then_page_are_checked(bank):
    unknown = f"{BANKING}/accounts/a9/transactions"
    assert (await bank.get(unknown, "page=0")).status == 400
    answer = await bank.get(unknown, "page=99")
    assert answer.status == 404 and answer.code.endswith("Authorisation/InvalidBankingAccount")
    posted = await bank.get(f"{BANKING}/accounts/balances", "page=99", body={"data": {"accountIds": ["a9"]}})
    assert posted.status == 422 and posted.code.endswith("Authorisation/InvalidBankingAccount")
    assert (await bank.get(f"{BANKING}/accounts/balances", "page=0", body={})).json["errors"][0]["detail"] == "page"


@pytest.mark.gen_test
async def test_each_bad_parameter_has_its_own_error(bank):
    """Each bad bound of a window, and each parameter given twice."""
    for query, details in (
        ("oldest-time=x&newest-time=y", ["oldest-time", "newest-time"]),
        ("page=1&page=2&oldest-time=x", ["page", "oldest-time"]),
        ("text=a&text=a", ["text"]),
    ):
        answer = await bank.get(TRANSACTIONS, query)
        assert answer.status == 400
        assert [error["detail"] for error in answer.json["errors"]] == details, query


@pytest.mark.gen_test
async def test_unknown_parameters_are_ignored(bank):
    """However often they are given."""
    assert (await bank.get(TRANSACTIONS, "x=1&x=2&limit=0&offset=z&startTime=never&startTime=ever")).status == 200


@pytest.mark.gen_test
async def test_a_page_beyond_every_number_is_out_of_range(bank):
    bank.put_transactions({})
    for query in ("page=999999999999999999&page-size=1000", "page=9223372036854775807", "page=4611686018427387904"):
        answer = await bank.get(TRANSACTIONS, query)
        assert answer.status in (400, 422), query
        assert answer.code in (f"{URN}Field/InvalidPage", f"{URN}Field/Invalid")


@pytest.mark.gen_test
async def test_a_broken_escape_is_refused_and_a_raw_plus_sign_is_read(bank):
    """A UTC offset may be sent with an unescaped plus sign; links have it escaped."""
    for query in ("text=%ZZ", "text=%", "text=100%2", "text=%FF"):
        answer = await bank.get(TRANSACTIONS, query)
        assert (answer.status, answer.json["errors"][0]["detail"]) == (400, "query"), query
    bank.put_transactions({}, {})
    answer = await bank.get(TRANSACTIONS, "page-size=1&oldest-time=2020-01-01T00:00:00+10:00&text=a%C2%A0b")
    assert answer.status == 200
    answer = await bank.get(TRANSACTIONS, "page-size=1&oldest-time=2020-01-01T00:00:00+10:00")
    assert answer.json["links"]["next"] == "page=2&page-size=1&oldest-time=2020-01-01T00%3A00%3A00%2B10%3A00"


# -- all pages together ------------------------------------------------------------------------------------------------
