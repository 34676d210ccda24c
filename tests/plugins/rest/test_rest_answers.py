"""What an upstream's answers mean: where their records are, which of them are nothing, and what cannot be read."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
from pydantic import ValidationError

from helpers.support import ISSUER, Upstream
from openholder import Query, SourceFault, SourceUnavailable
from openholder.config import Configuration
from openholder.inspection.configuration import inspect_configuration
from openholder.serving.access import build_owner_query
from openholder_rest import RESTSettings, RESTSource
from openholder_rest.records import read_dates

PAYEES = build_owner_query("banking.payees", {"customerId": "c1"})
CUSTOMER = build_owner_query("customers", {"customerId": "c1"})
TEMPLATES = {"banking.payees": "/c/{customerId}/payees", "customers": ["/c/{customerId}", "/c?email={email}"]}


def build_handler(body="", status=200, kind="application/json", **headers):
    def answer(handler):
        handler.set_status(status)
        handler.set_header("Content-Type", kind)
        for name, value in headers.items():
            handler.set_header(name, value)
        if body:
            handler.write(body if isinstance(body, str | bytes) else json.dumps(body))
        handler.finish()

    return answer


@asynccontextmanager
async def open_source(answer, collections=TEMPLATES, **settings):
    async with Upstream({}) as upstream:
        upstream.break_with = answer
        own = RESTSettings(base_url=upstream.url, collections=collections, retries=0, **settings)
        source = RESTSource("api", own)
        await source.open()
        try:
            yield upstream, source
        finally:
            await source.close()


# -- where the records are ----------------------------------------------------------------------------------------

FOUND = {"data": {"id": "c1", "a": 1}, "pageItems": [{"id": "c1", "a": 2}], "id": "c1", "a": 3}


@pytest.mark.parametrize(
    ("records", "by_id", "by_email"),
    [
        ("data", 1, 1),
        ("", 3, 3),
        ({"*": "data"}, 1, 1),
        ({"*": "data", "customers": ""}, 3, 3),
        ({"customers": ["", "pageItems"]}, 3, 2),
        ({"*": "nowhere", "customers": ["data", "pageItems"]}, 1, 2),
        ({"customers": ["pageItems"]}, 2, 2),
        ({"banking.payees": "data"}, 3, 3),
    ],
)
@pytest.mark.gen_test
async def test_each_template_has_its_own_pointer(records, by_id, by_email):
    async with open_source(build_handler(FOUND), records=records) as (_, source):
        found = (await source.fetch(CUSTOMER)).records
        assert [record["a"] for record in found] == [by_id]
        query = Query(collection="customers", variables={"email": "kim@example.com"})
        assert [record["a"] for record in (await source.fetch(query)).records] == [by_email]


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ({"accounts": "data"}, "accounts is not one of the source's collections, and not \\*"),
        ({"customers": ["a", "b", "c"]}, "customers has 3 pointers: write one for each of its templates, or one"),
        ({"banking.payees": ["a", "b"]}, "banking.payees has 2 pointers"),
        ({"*": ["a", "b"]}, "\\* has 2 pointers"),
        (["data"], "must be a pointer"),
        (7, "must be a pointer"),
    ],
)
def test_pointers_that_fit_no_template_are_refused(records, told):
    with pytest.raises(ValidationError, match=told):
        RESTSettings(base_url="https://a.example", collections=TEMPLATES, records=records)


# -- nothing ------------------------------------------------------------------------------------------------------

NOT_FOUND = {"code": "CUST-404", "message": "SECRET"}
CODE = {"member": "code", "value": "CUST-404"}


@pytest.mark.parametrize(
    ("nothing", "answer"),
    [
        (None, build_handler(status=404)),
        ([204], build_handler(status=204)),
        ([404, 410], build_handler(NOT_FOUND, 410)),
        ([400], build_handler("<h1>", 400, "text/html")),
        ([403], build_handler(status=403)),
        (["null"], build_handler("null")),
        ([{"status": 400, **CODE}], build_handler(NOT_FOUND, 400)),
        ([{"status": 400, **CODE}], build_handler(NOT_FOUND, 400, "application/problem+json")),
        ([{"status": 500, **CODE}], build_handler(NOT_FOUND, 500)),
        ([{"status": 200, **CODE}], build_handler(NOT_FOUND)),
        ([{"status": 400, "member": "errors.code", "value": "7"}], build_handler({"errors": {"code": 7}}, 400)),
        (
            [{"status": 400, "member": "code", "value": "A"}, {"status": 400, **CODE}],
            build_handler(NOT_FOUND, 400),
        ),
    ],
)
@pytest.mark.gen_test
async def test_what_means_nothing_is_no_records(nothing, answer):
    settings = {} if nothing is None else {"nothing": nothing}
    async with open_source(answer, **settings) as (_, source):
        assert (await source.fetch(CUSTOMER)).records == []
        assert (await source.fetch(PAYEES)).records == []


@pytest.mark.parametrize(
    ("nothing", "answer", "told"),
    [
        ([], build_handler(status=404), "status 404"),
        ([404], build_handler(status=204), "status 204"),
        ([404], build_handler(NOT_FOUND, 410), "status 410"),
        ([404], build_handler("null"), "found no value"),
        ([{"status": 400, **CODE}], build_handler({"code": "CUST-500"}, 400), "status 400"),
        ([{"status": 400, **CODE}], build_handler({"code": "CUST-404 x"}, 400), "status 400"),
        ([{"status": 400, **CODE}], build_handler({"code": ["CUST-404"]}, 400), "status 400"),
        ([{"status": 400, **CODE}], build_handler("<h1>SECRET", 400), "status 400"),
        ([{"status": 400, **CODE}], build_handler(NOT_FOUND, 403), "status 403"),
        ([{"status": 400, "member": "a", "value": "1"}], build_handler({"a": True}, 400), "status 400"),
        ([{"status": 200, **CODE}], build_handler({"code": "CUST-500"}), "nothing is a member"),
        ([400], build_handler(status=429), "status 429"),
        ([400], build_handler(status=401), "status 401"),
    ],
)
@pytest.mark.gen_test
async def test_what_is_not_named_does_not_mean_nothing(nothing, answer, told):
    async with open_source(answer, nothing=nothing) as (_, source):
        with pytest.raises((SourceFault, SourceUnavailable), match=told) as fault:
            await source.fetch(PAYEES)
    assert "SECRET" not in str(fault.value)


@pytest.mark.parametrize(
    ("nothing", "body", "is_empty"),
    [
        (["null"], {"items": None}, True),
        (["null"], None, True),
        (["null"], {"total": 0}, True),
        (["null"], {}, False),
        (["null"], {"code": "DB-1"}, False),
        ([], {"total": 0}, False),
        (["absent"], {"total": 0}, True),
        (["absent"], {}, True),
        (["absent"], {"items": None}, False),
        (["absent"], [], False),
        (["absent", "null"], {"items": None}, True),
        ([], {"items": []}, True),
    ],
)
@pytest.mark.gen_test
async def test_null_and_absent_lists_are_nothing_if_so_named(nothing, body, is_empty):
    async with open_source(build_handler(json.dumps(body)), nothing=nothing, records="items") as (_, source):
        if is_empty:
            assert (await source.fetch(PAYEES)).records == []
        else:
            with pytest.raises(SourceFault):
                await source.fetch(PAYEES)


@pytest.mark.gen_test
async def test_a_list_that_says_how_much_it_has_is_never_absent():
    async with open_source(build_handler({"total": 3}), nothing=["absent"], records="items") as (_, source):
        with pytest.raises(SourceFault, match="'total' says that there are 3 records, and 0 came"):
            await source.fetch(PAYEES)


@pytest.mark.parametrize("end", [build_handler(status=204), build_handler("null"), build_handler(NOT_FOUND, 400)])
@pytest.mark.gen_test
async def test_nothing_ends_the_pages_of_a_list(end):
    first = build_handler([{"payeeId": "p1"}])
    nothing = [204, "null", {"status": 400, **CODE}]

    def answer(handler):
        return (first if handler.get_argument("page") == "1" else end)(handler)

    async with open_source(answer, nothing=nothing, paging={"style": "page"}) as (_, source):
        assert [record["payeeId"] for record in (await source.fetch(PAYEES)).records] == ["p1"]


@pytest.mark.parametrize(
    ("nothing", "told"),
    [
        ([200], "200 alone cannot mean nothing"),
        ([401], "401 alone cannot mean nothing"),
        ([408], "408 alone"),
        ([429], "429 alone"),
        ([500], "500 alone"),
        ([302], "302 alone"),
        ([True], "must be a list of statuses"),
        (["none"], "must be a list of statuses"),
        ([404.0], "must be a list of statuses"),
        (404, "must be a list of statuses"),
        ("null", "must be a list of statuses"),
        ([{"status": 400}], "must be a list of statuses"),
        ([{"status": 400, "member": "", "value": "a"}], "must be a list of statuses"),
        ([{"status": 400, "member": "a", "value": 7}], "must be a list of statuses"),
        ([{"status": 400, "member": "a", "value": "b", "more": 1}], "must be a list of statuses"),
        ([{"status": 401, "member": "a", "value": "b"}], "401 with a member cannot mean nothing"),
        ([{"status": 503, "member": "a", "value": "b"}], "503 with a member"),
        ([{"status": 204, "member": "a", "value": "b"}], "204 with a member"),
    ],
)
def test_what_cannot_mean_nothing_is_refused(nothing, told):
    with pytest.raises(ValidationError, match=told):
        RESTSettings(base_url="https://a.example", collections=TEMPLATES, nothing=nothing)


# -- answers that cannot be read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            build_handler(b"\xef\xbb\xbf[]"),
            "begins with the byte order mark of UTF-8; have it sent as UTF-8 without one",
        ),
        (build_handler('[{"name": "é"}]'.encode("utf-16")), "begins with the byte order mark of UTF-16"),
        (build_handler('[{"name": "é"}]'.encode("utf-16-be")), "looks like UTF-16; have it sent as UTF-8"),
        (
            build_handler('[{"name": "é"}]'.encode("latin-1"), kind="application/json; charset=ISO-8859-1"),
            "is not UTF-8, as its charset ISO-8859-1 says; have it sent as UTF-8",
        ),
        (build_handler('[{"name": "é"}]'.encode("latin-1")), "is not UTF-8; is it Latin-1\\?; have it sent as UTF-8"),
        (build_handler("[1"), "not well-formed JSON"),
        (build_handler("[]", kind="text/json"), "is not application/json; its Content-Type is text/json"),
        (build_handler("<h1>", kind="text/html; charset=utf-8"), "its Content-Type is text/html"),
        (build_handler("[]", kind="a" * 90 + "/b"), "its Content-Type is something unreadable"),
        (
            build_handler({"payeeId": "p1"}, kind="application/problem+json"),
            "status 200 with the description of an error \\(application/problem\\+json\\)",
        ),
        (build_handler([], kind="application/vnd.error+json"), "the description of an error"),
    ],
)
@pytest.mark.gen_test
async def test_an_unreadable_answer_is_named(answer, told):
    async with open_source(answer) as (_, source):
        with pytest.raises(SourceFault, match=told):
            await source.fetch(PAYEES)


@pytest.mark.parametrize(
    "kind", ["application/json;charset=ISO-8859-1", "application/vnd.bank+json", "application/json"]
)
@pytest.mark.gen_test
async def test_a_charset_does_not_change_how_json_is_read(kind):
    async with open_source(build_handler('[{"payeeId": "é"}]'.encode(), kind=kind)) as (_, source):
        assert (await source.fetch(PAYEES)).records == [{"payeeId": "é", "customerId": "c1"}]


# -- dates as arrays ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "read"),
    [
        ([2020, 1, 31], "2020-01-31"),
        ([2020, 1, 31, 9, 5], "2020-01-31T09:05:00"),
        ([2020, 1, 31, 9, 5, 7], "2020-01-31T09:05:07"),
        ([2020, 1, 31, 9, 5, 7, 120_000_000], "2020-01-31T09:05:07.120000000"),
        ([2020, 13, 31], None),
        ([2021, 2, 29], None),
        ([2020, 1, 31, 24, 0], None),
        ([2020, 1, 31, 9], None),
        ([20, 1, 31], None),
        ([31, 1, 2020], None),
        ([2020, 1, True], None),
        ([2020, 1, "31"], None),
        ([2020, 1], None),
        ([], None),
        ({"a": [{"b": [2020, 1, 31]}], "c": 7}, {"a": [{"b": "2020-01-31"}], "c": 7}),
        ("text", None),
        (None, None),
    ],
)
def test_arrays_of_numbers_are_dates_or_stay(found, read):
    assert read_dates(found) == (found if read is None else read)


@pytest.mark.gen_test
async def test_only_members_of_the_standards_are_no_numbers():
    """Of a custom endpoint nobody knows: an array may be just that."""
    body = build_handler([{"payeeId": "p1", "creationDate": [2020, 1, 31], "id": "x"}])
    collections = {"banking.payees": "/c/{customerId}/payees", "payslips": "/c/{customerId}/payslips"}
    async with open_source(body, collections) as (_, source):
        (payee,) = (await source.fetch(PAYEES)).records
        (payslip,) = (await source.fetch(build_owner_query("payslips", {"customerId": "c1"}))).records
    assert (payee["creationDate"], payslip["creationDate"]) == ("2020-01-31", [2020, 1, 31])


@pytest.mark.gen_test
async def test_a_path_completes_a_member_that_is_null_or_unmapped():
    answer = build_handler([{"payeeId": "p1", "owner": None, "customerId": None}])
    for columns in ({}, {"banking.payees": {"customerId": "owner"}}):
        async with open_source(answer, columns=columns) as (_, source):
            (record,) = (await source.fetch(PAYEES)).records
        assert record["customerId"] == "c1"


# -- what `check` asks for ----------------------------------------------------------------------------------------


CONFIGURATION = f"""
public_url = "https://a.example"
[fiskil]
issuer = "{ISSUER}"
jwks_url = "http://127.0.0.1:1/keys"
[replay]
store = "memory"
[sources.api]
kind = "rest"
base_url = "BASE"
# MORE
[sources.api.collections]
"""


@pytest.mark.slow
@pytest.mark.parametrize(("probe", "verdict"), [("", "failed"), ('probe_id = "000000"', "ok")])
@pytest.mark.gen_test(timeout=30)
async def test_check_asks_for_an_id_that_the_upstream_can_read(io_loop, tmp_path, probe, verdict):
    """An upstream whose ids are six digits, and that answers 400 to anything else."""

    def answer(handler):
        ids = [part for part in handler.request.path.split("/")[3:] if part.isdigit() or "check" in part]
        status = 404 if all(len(part) == 6 and part.isdigit() for part in ids) else 400
        return build_handler(status=status)(handler)

    async with Upstream({}) as upstream:
        upstream.break_with = answer
        path = tmp_path / "openholder.toml"
        path.write_text(
            CONFIGURATION.replace("BASE", upstream.url).replace("# MORE", probe)
            + 'customers = ["/c/{customerId}", "/c?email={email}"]\n'
            'accounts = "/c/{customerId}/accounts"\nbalances = "/a/{accountId}/balance"\n'
        )
        findings = await inspect_configuration(Configuration.load(path))
        paths = ("GET /auth/v1/customer/{customerId}", "GET /customer/{customerId}/accounts/{accountId}/balances")
        assert [finding.verdict for finding in findings if finding.what in paths] == [verdict, verdict]
        emails = [request.arguments["email"] for request in upstream.requests if "email" in request.arguments]
        assert emails and set(map(tuple, emails)) == {(b"openholder-check@example.com",)}


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_check_finds_a_parameter_that_selects_nothing(io_loop, tmp_path):
    """With `trusts_query` nothing else would tell."""
    async with Upstream({}) as upstream:
        upstream.break_with = build_handler([{"payeeId": "p1"}, {"payeeId": "p2"}])
        path = tmp_path / "openholder.toml"
        trusted = 'trusts_query = ["banking.payees"]'
        path.write_text(
            CONFIGURATION.replace("BASE", upstream.url).replace("# MORE", trusted)
            + '"banking.payees" = "/payees?customre={customerId}"\n'
        )
        findings = await inspect_configuration(Configuration.load(path))
    failed = {finding.what: finding.detail for finding in findings if finding.verdict == "failed"}
    told = "source 'api' has 2 records of an id that nobody has (probe_id)"
    assert failed["GET /v1/banking/customer/{customerId}/payees"] == told
