"""The REST source: what it makes of an upstream's responses."""

from __future__ import annotations

import contextlib
import gzip
import json

import msgspec
import pytest
from structlog.testing import capture_logs

from helpers.people import BALANCE
from helpers.rest_bank import ACCOUNTS, DETAILS, SEARCH, build_handler, build_toml, start
from helpers.support import Upstream, as_json, sample_rows
from openholder import PLACE, Filter, Query, SourceFault
from openholder.serving.access import build_owner_query
from openholder_rest import RESTSettings, RESTSource


def build_raw_handler(raw):
    """For `Upstream.break_with`: these bytes, then the end of the connection."""

    async def answer(handler):
        stream = handler.detach()
        await stream.write(raw)
        stream.close()

    return answer


@contextlib.asynccontextmanager
async def open_source(collections, **settings):
    """An upstream, and a source in front of it without a server."""
    async with Upstream({}) as upstream:
        source = RESTSource("api", RESTSettings(base_url=upstream.url, collections=collections, **settings))
        await source.open()
        try:
            yield upstream, source
        finally:
            await source.close()


@pytest.mark.gen_test
async def test_404_means_that_there_is_no_such_record(world):
    upstream = await start(world)
    upstream.break_with = build_handler("<h1>SECRET</h1>", 404, "text/html")
    answer = await world.call(DETAILS)
    assert (answer.status, answer.code) == (404, "urn:au-cds:error:cds-all:Resource/Invalid")


JANE = '{"data": {"id": "cust-1001", "name": "SECRET"}}'


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(build_handler('{"error": "SECRET"}', 401), id="401"),
        pytest.param(build_handler('{"error": "SECRET"}', 403), id="403"),
        pytest.param(build_handler('{"error": "SECRET"}', 500), id="500"),
        pytest.param(build_handler(JANE, 206), id="206"),
        pytest.param(build_handler("", 204), id="204"),
        pytest.param(build_handler("<h1>SECRET</h1>", kind="text/html"), id="HTML"),
        pytest.param(build_handler("<h1>SECRET</h1>"), id="HTML called JSON"),
        pytest.param(build_handler(""), id="empty"),
        pytest.param(build_handler(JANE[:-5]), id="truncated JSON"),
        pytest.param(build_handler(JANE.encode("utf-16")), id="UTF-16"),
        pytest.param(
            build_handler('{"data": {"id": "cust-1001", "name": "SECRET", "name": "b"}}'), id="repeated member"
        ),
        pytest.param(build_handler('{"data": {"id": "cust-1001", "updatedAt": NaN, "name": "SECRET"}}'), id="NaN"),
        pytest.param(build_handler('{"result": {"id": "cust-1001", "name": "SECRET"}}'), id="nothing at the pointer"),
        pytest.param(build_handler('["SECRET"]'), id="a list where the pointer wants an object"),
        pytest.param(build_handler('{"data": ["SECRET"]}'), id="a list of strings"),
        pytest.param(build_handler('{"data": [{"id": "cust-1001"}, null]}'), id="a list with null in it"),
        pytest.param(build_handler('{"data": "SECRET"}'), id="a string"),
        pytest.param(build_handler('{"data": null}'), id="null"),
        pytest.param(build_handler('{"data": {"id": "cust-1001", "name": "' + "SECRET" * 700 + '"}}'), id="too large"),
        pytest.param(build_handler(gzip.compress(JANE.encode()), Content_Encoding="gzip"), id="compressed unasked"),
        pytest.param(
            build_handler('{"data": {"id": "cust-1001", "name": {"SECRET": 1}}}'), id="a member that does not fit"
        ),
        pytest.param(build_raw_handler(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"), id="half a head"),
        pytest.param(
            build_raw_handler(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n" + JANE.encode()
            ),
            id="shorter than announced",
        ),
        pytest.param(build_raw_handler(b"SECRET\r\n\r\n"), id="no HTTP"),
        pytest.param(build_raw_handler(b""), id="nothing"),
    ],
)
@pytest.mark.gen_test
async def test_a_bad_response_is_500_and_never_quoted(world, broken):
    upstream = await start(world, "max_bytes = 4096")
    upstream.break_with = broken
    with capture_logs() as logs:
        answer = await world.call(DETAILS)
    assert (answer.status, answer.code) == (500, "urn:au-cds:error:cds-all:GeneralError/Unexpected")
    assert "SECRET" not in answer.text.decode() + str(answer.headers) + str(logs)
    assert [bool(line["fault"]) for line in logs if line["event"] == "request"] == [True]
    upstream.break_with = None
    assert (await world.call(DETAILS)).status == 200


@pytest.mark.parametrize("records", ["data.items", "data.id", "items"])
@pytest.mark.gen_test
async def test_a_pointer_that_leads_nowhere_is_500(world, records):
    await start(world, records=records)
    answer = await world.call(DETAILS)
    assert (answer.status, b"cust-1001" in answer.text) == (500, False)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        ({"Retry_After": "7"}, "7"),
        ({"Retry_After": "120"}, "120"),
        ({}, "5"),
        ({"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "5"),
        ({"Retry_After": "-1"}, "5"),
        ({"Retry_After": "1.5"}, "5"),
        ({"Retry_After": "9" * 40}, "5"),
    ],
)
@pytest.mark.gen_test
async def test_a_busy_upstream_is_503_with_its_retry_after(world, status, sent, passed_on):
    upstream = await start(world)
    upstream.break_with = build_handler("SECRET", status, "text/plain", **sent)
    answer = await world.call(DETAILS)
    assert (answer.status, answer.code) == (503, "urn:au-cds:error:cds-all:Service/Unavailable")
    assert answer.headers["Retry-After"] == passed_on
    assert b"SECRET" not in answer.text


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (DETAILS, {"id": "cust-1003", "name": "SECRET"}),
        (DETAILS, [{"id": "cust-1001", "name": "Jane"}, {"id": "cust-1003", "name": "SECRET"}]),
        (DETAILS, {"id": "CUST-1001", "name": "SECRET"}),
        (DETAILS, {"id": None, "name": "SECRET"}),
        (ACCOUNTS, [{"id": "acc-2001", "customerId": "cust-1001"}, {"id": "SECRET", "customerId": "cust-1003"}]),
    ],
)
@pytest.mark.gen_test
async def test_a_record_of_somebody_else_is_500(world, path, data):
    upstream = await start(world)
    upstream.break_with = build_handler(json.dumps({"data": data}))
    answer = await world.call(path)
    assert (answer.status, b"SECRET" in answer.text) == (500, False)


@pytest.mark.parametrize("digits", ["1200.50", "0.10", "-0.01", "12345678901234567890", "12345678901234567890.12"])
@pytest.mark.gen_test
async def test_numbers_pass_with_every_digit(world, digits):
    upstream = await start(world)
    account = '{"data": {"id": "acc-2001", "current": %s, "currency": "AUD"}}'
    upstream.break_with = build_handler(account % digits)
    answer = await world.call(BALANCE)
    assert (answer.status, answer.text) == (
        200,
        b'{"account_id":"acc-2001","current":' + digits.encode() + b',"currency":"AUD"}',
    )


@pytest.mark.gen_test
async def test_records_of_a_template_without_variables_are_filtered(world):
    upstream = await start(world, customers="/customers", accounts="/accounts")
    everything = {
        f"/api/{name}": msgspec.json.encode({"data": [as_json(row) for row in upstream.rows[name]]})
        for name in ("customers", "accounts")
    }
    upstream.break_with = lambda handler: build_handler(everything[handler.request.uri])(handler)
    found = await world.call(SEARCH, body={"email": "JANE.citizen@example.com"})
    assert [match["id"] for match in found.json["data"]] == ["cust-1001", "cust-1002"]
    assert (await world.call(DETAILS)).json["givenName"] == "Jane"
    accounts = (await world.call(ACCOUNTS)).json["accounts"]
    assert [account["id"] for account in accounts] == ["acc-2001", "acc-2002", "acc-2003", "acc-2005"]
    assert (await world.call("/auth/v1/customer/cust-9999")).status == 404


BOTH = "/customers/{customerId}/accounts/{accountId}"
LISTED = "/customers/{customerId}/accounts"
SELECTED = "/accounts?owner={customerId}"
WHOLE = {"id": "acc-2001", "customerId": "cust-1001", "type": "x", "displayName": "x"}
NO_OWNER = {"id": "acc-2001", "type": "x", "displayName": "x"}
NO_ID = {"customerId": "cust-1001", "type": "x", "displayName": "x"}


@pytest.mark.parametrize(
    ("template", "answered", "status"),
    [
        pytest.param(BOTH, {}, 404, id="empty object"),
        pytest.param(BOTH, {"error": "no such account"}, 404, id="error in a 200"),
        pytest.param(BOTH, {"id": None}, 500, id="null id"),
        pytest.param(BOTH, {"id": ""}, 500, id="empty id"),
        pytest.param(BOTH, NO_ID, 404, id="record without its own id"),
        pytest.param(BOTH, [], 404, id="empty list"),
        pytest.param(BOTH, [{}], 500, id="empty object in a list"),
        pytest.param(BOTH, NO_OWNER, 500, id="record without its owner"),
        pytest.param(BOTH, WHOLE | {"customerId": "cust-1002"}, 500, id="record of another customer"),
        pytest.param(BOTH, WHOLE, 200, id="whole record"),
        pytest.param(LISTED, {}, 500, id="list: empty object"),
        pytest.param(LISTED, [{}], 500, id="list: empty object in it"),
        pytest.param(LISTED, [NO_ID], 500, id="list: record without its own id"),
        pytest.param(LISTED, [NO_OWNER], 200, id="list below the customer's path"),
        pytest.param(LISTED, [WHOLE | {"customerId": "cust-1002"}], 500, id="list: record of another customer"),
        pytest.param(SELECTED, [NO_OWNER], 500, id="parameter that need not have selected"),
        pytest.param(SELECTED, [WHOLE], 200, id="parameter that selected"),
    ],
)
@pytest.mark.gen_test
async def test_only_the_upstream_proves_whose_an_account_is(world, template, answered, status):
    """The ids of the request never stand in for those that decide whether a balance may be seen."""
    upstream = await start(world, accounts=template)
    links = build_handler(json.dumps({"data": answered}))
    usual = upstream.find

    def answer(handler):
        if "owner=" in handler.request.uri or "/customers/cust-1001/accounts" in handler.request.uri:
            return links(handler)
        handler.set_header("Content-Type", "application/json")
        return handler.finish(msgspec.json.encode({"data": usual(handler.request.uri.removeprefix("/api"))}))

    upstream.break_with = answer
    assert (await world.call(BALANCE)).status == status


@pytest.mark.parametrize(
    ("collection", "record"),
    [
        ("customers", {"email": "jane@example.com"}),
        ("logins", {"customerId": "cust-1001"}),
        ("logins", {"email": "jane@example.com"}),
    ],
)
@pytest.mark.gen_test
async def test_a_query_parameter_proves_no_identity(world, collection, record):
    """An upstream that ignores ``email`` answers with everybody: without the address in them, these are nobody's."""
    upstream = await start(world, logins="/logins?email={email}")
    upstream.break_with = lambda handler: build_handler(
        json.dumps({"data": [record] if collection in handler.request.uri else []})
    )(handler)
    answer = await world.call(SEARCH, body={"email": "jane@example.com"})
    assert (answer.status, b"cust-1001" in answer.text) == (500, False)


NO_RECORDS = [
    "{}",
    '{"code": "CUST-404", "message": "not found"}',
    '{"status": "ERROR", "type": "about:blank", "title": "Down", "detail": "x"}',
    '{"timestamp": 1, "status": 500, "error": "Internal Server Error", "path": "/"}',
    '{"name": null, "error": "x"}',
]
"""Objects in which nothing is a member of a record: each came with status 200."""


@pytest.mark.parametrize("answered", NO_RECORDS)
@pytest.mark.gen_test
async def test_somebody_without_an_own_id_does_not_exist(world, answered):
    upstream = await start(world)
    upstream.break_with = build_handler(f'{{"data": {answered}}}')
    assert (await world.call(DETAILS)).status == 404
    assert (await world.call(SEARCH, body={"email": "jane@example.com"})).json == {"data": []}


BELOW_ACCOUNT, BELOW_CUSTOMER = "/accounts/{accountId}/x", "/customers/{customerId}/x"
BY_ACCOUNT, BY_CUSTOMER = {"accountId": "acc-2001"}, {"customerId": "cust-1001"}


@pytest.mark.parametrize("answered", NO_RECORDS)
@pytest.mark.parametrize("shape", ["{}", "[{}]", "[{}, {}]"])
@pytest.mark.parametrize(
    ("collection", "template", "ids"),
    [
        ("accounts", BELOW_CUSTOMER, BY_CUSTOMER),
        ("balances", BELOW_ACCOUNT, BY_ACCOUNT),
        ("banking.payees", BELOW_CUSTOMER, BY_CUSTOMER),
        ("banking.scheduled_payments", BELOW_ACCOUNT, BY_ACCOUNT),
        ("banking.transactions", BELOW_ACCOUNT, BY_ACCOUNT),
        ("energy.concessions", BELOW_ACCOUNT, BY_ACCOUNT),
        ("fdx.accounts", BELOW_ACCOUNT, BY_ACCOUNT),
        ("fdx.contacts", BELOW_ACCOUNT, BY_ACCOUNT),
        ("fdx.payment_networks", BELOW_ACCOUNT, BY_ACCOUNT),
        ("payslips", BELOW_CUSTOMER, BY_CUSTOMER),
    ],
)
@pytest.mark.gen_test
async def test_what_has_no_member_is_never_a_record(collection, template, ids, shape, answered):
    if collection == "payslips" and shape != "{}":
        answered = '{"error": {}, "code": "x"}'
    async with open_source({collection: template}) as (upstream, source):
        upstream.break_with = build_handler(shape.replace("{}", answered))
        with pytest.raises(SourceFault, match=f"nothing is a member of '{collection}'"):
            await source.fetch(build_owner_query(collection, ids))


@pytest.mark.parametrize(
    ("collection", "template", "ids", "answered"),
    [
        ("fdx.statements", "/statements/{id}", {**BY_ACCOUNT, "statementId": "s1"}, '{"code": "STMT-404"}'),
        ("payslips", "/payslips/{id}", {**BY_CUSTOMER, "payslipId": "p1"}, "{}"),
    ],
)
@pytest.mark.gen_test
async def test_a_single_record_may_be_unknown(collection, template, ids, answered):
    async with open_source({collection: template}) as (upstream, source):
        upstream.break_with = build_handler(answered)
        assert (await source.fetch(build_owner_query(collection, ids))).records == []


@pytest.mark.parametrize(
    ("collection", "template", "ids", "answered"),
    [
        ("balances", BELOW_ACCOUNT, BY_ACCOUNT, {"current": 5}),
        ("fdx.contacts", BELOW_ACCOUNT, BY_ACCOUNT, {"holders": [], "status": "ok"}),
        ("fdx.accounts", BELOW_ACCOUNT, BY_ACCOUNT, {"nickname": "a", "error": None}),
        ("payslips", BELOW_CUSTOMER, BY_CUSTOMER, [{"code": "A", "message": "b"}]),
        ("payslips", BELOW_CUSTOMER, BY_CUSTOMER, {"gross": 1}),
    ],
)
@pytest.mark.gen_test
async def test_one_member_is_enough_for_a_record(collection, template, ids, answered):
    async with open_source({collection: template}) as (upstream, source):
        upstream.break_with = build_handler(json.dumps(answered))
        (record,) = (await source.fetch(build_owner_query(collection, ids))).records
        expected = ids | (answered[0] if isinstance(answered, list) else answered)
        assert {name: value for name, value in record.items() if name != PLACE} == expected


@pytest.mark.parametrize("answered", ["{}", '{"error": "unknown account"}', '{"current": null}', '{"currency": "AUD"}'])
@pytest.mark.gen_test
async def test_a_balance_without_an_amount_is_500(world, answered):
    """The id alone would look like a balance, of an account that the upstream may not know."""
    upstream = await start(world)
    find = upstream.find

    def answer(handler):
        handler.set_header("Content-Type", "application/json")
        if "balance" in handler.request.uri:
            return handler.finish(f'{{"data": {answered}}}')
        return handler.finish(msgspec.json.encode({"data": find(handler.request.uri.removeprefix("/api"))}))

    upstream.break_with = answer
    assert (await world.call(BALANCE)).status == 500


PAYSLIPS = """
[[endpoints]]
path = "/v1/customer/{customerId}/payslips"
collection = "payslips"
"""
OURS = {"id": "p1", "customerId": "cust-1001"}
THEIRS = {"id": "p2", "customerId": "cust-1003"}
NOBODYS = {"id": "p3"}


@pytest.mark.parametrize(
    ("template", "settings", "answered", "status"),
    [
        pytest.param("/payslips?of={customerId}", "", [OURS], 200, id="owner returned"),
        pytest.param("/payslips?of={customerId}", "", [OURS, NOBODYS], 500, id="owner missing"),
        pytest.param("/payslips?of={customerId}", "", [OURS, THEIRS], 500, id="another owner"),
        pytest.param("/payslips?of={customerId}", 'trusts_query = ["payslips"]', [NOBODYS], 200, id="trusted"),
        pytest.param(
            "/payslips?of={customerId}", 'trusts_query = ["payslips"]', [OURS, THEIRS], 500, id="trusted, another owner"
        ),
        pytest.param("/customers/{customerId}/payslips", "", [NOBODYS], 200, id="owner in the path"),
        pytest.param("/payslips", "", [OURS, THEIRS, NOBODYS], 200, id="all records"),
    ],
)
@pytest.mark.gen_test
async def test_a_query_parameter_does_not_say_whose_a_record_is(world, template, settings, answered, status):
    """An upstream that ignores the parameter returns everybody's records."""
    upstream = await world.stack.enter_async_context(Upstream(sample_rows()))
    await world.start(build_toml(upstream.url, settings, payslips=template) + PAYSLIPS)
    find = upstream.find

    def answer(handler):
        found = answered if "payslips" in handler.request.uri else find(handler.request.uri.removeprefix("/api"))
        handler.set_header("Content-Type", "application/json")
        return handler.finish(msgspec.json.encode({"data": found}))

    upstream.break_with = answer
    response = await world.call("/v1/customer/cust-1001/payslips")
    assert response.status == status
    assert b"p2" not in response.text
    if status == 200:
        assert len(response.json) == 1


@pytest.mark.parametrize(
    ("trusted", "message"),
    [("accounts", "decides who may see what"), ("payslips", "is not one of the source's collections")],
)
def test_what_may_not_be_trusted_is_refused(trusted, message):
    with pytest.raises(ValueError, match=message):
        RESTSettings(base_url="https://a.example", collections={"accounts": "/accounts"}, trusts_query=(trusted,))


@pytest.mark.gen_test
async def test_columns_map_the_upstreams_names(world):
    upstream = await start(world, '[sources.api.columns.customers]\nid = "number"\nname = "label"')
    upstream.break_with = build_handler('{"data": {"number": 12, "label": "Jane", "name": "internal"}}')
    page = await world.holder.sources.fetch(
        Query(
            collection="customers",
            filters=(Filter("id", "eq", "12", variable="customerId"),),
            variables={"customerId": "12"},
        )
    )
    assert page.records == [{"id": 12, "name": "Jane"}]
