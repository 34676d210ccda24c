"""The REST source: what it asks of an upstream API, and what it makes of the answers, good and bad."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from urllib.parse import quote

import msgspec
import pytest
from structlog.testing import capture_logs
from tornado.iostream import StreamClosedError

from helpers.people import BALANCE
from helpers.support import UPSTREAM_TOKEN, Upstream, as_json, sample_rows
from openholder import PLACE, Filter, NotFound, Query, SourceFault
from openholder.config import Configuration
from openholder.errors import ConfigurationError
from openholder.server.connections import bind
from openholder.serving.access import build_owner_query
from openholder_rest import RESTSettings, RESTSource

SEARCH = "/auth/v1/customer/search"
DETAILS = "/auth/v1/customer/cust-1001"
ACCOUNTS = "/auth/v1/customer/cust-1001/accounts"

TEMPLATES = {
    "customers": ["/customers/{customerId}", "/customers?email={email}"],
    "accounts": "/customers/{customerId}/accounts",
    "balances": "/accounts/{accountId}/balance",
}


def build_toml(url, settings="", records="data", **templates):
    """TOML for a REST source with further ``settings`` and URL templates in place of the usual ones."""
    lines = "\n".join(f"{name} = {json.dumps(template)}" for name, template in {**TEMPLATES, **templates}.items())
    return (
        f'[sources.api]\nkind = "rest"\nbase_url = "{url}"\ntoken = {{ env = "UPSTREAM_TOKEN" }}\n'
        f'records = "{records}"\n{settings}\n[sources.api.collections]\n{lines}\n'
    )


async def start(world, settings="", records="data", **templates):
    """An upstream with the sample data, and a server in front of it."""
    upstream = await world.stack.enter_async_context(Upstream(sample_rows()))
    await world.start(build_toml(upstream.url, settings, records, **templates))
    return upstream


def build_handler(body, status=200, kind="application/json", **headers):
    """For `Upstream.break_with`: always this answer."""

    def answer(handler):
        handler.set_status(status)
        handler.set_header("Content-Type", kind)
        for name, value in headers.items():
            handler.set_header(name.replace("_", "-"), value)
        handler.finish(body)

    return answer


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


# -- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_the_upstream_gets_only_our_own_credentials(world, monkeypatch):
    monkeypatch.setenv("API_KEY", "key of the api")
    upstream = await start(world, 'headers = { "X-API-Key" = { env = "API_KEY" } }')
    sent = {"x-fapi-interaction-id": "2d3b5d1e-0000-4000-8000-000000000000", "Cookie": "a=b", "User-Agent": "Fiskil"}
    for path in (DETAILS, ACCOUNTS, BALANCE):
        assert (await world.call(path, headers=sent)).status == 200
    for request in upstream.requests:
        assert request.headers["Authorization"] == f"Bearer {UPSTREAM_TOKEN}"
        assert request.headers["X-API-Key"] == "key of the api"
        assert set(request.headers) == {"Host", "Accept", "Accept-Encoding", "Authorization", "User-Agent", "X-Api-Key"}
        assert "Fiskil" not in request.headers["User-Agent"]


@pytest.mark.gen_test
async def test_cookies_of_the_upstream_are_not_kept(world):
    upstream = await start(world)
    upstream.break_with = build_handler('{"data": []}', Set_Cookie="session=1; Path=/")
    for _ in range(2):
        await world.call(DETAILS)
    assert not any("Cookie" in request.headers for request in upstream.requests)


@pytest.mark.parametrize(
    ("templates", "search", "details"),
    [
        (
            ["/customers/{customerId}", "/customers?email={email}"],
            "/api/customers?email=jane.citizen%40example.com",
            "/api/customers/cust-1001",
        ),
        (
            ["/customers?email={email}", "/customers/{customerId}"],
            "/api/customers?email=jane.citizen%40example.com",
            "/api/customers/cust-1001",
        ),
        (["/customers", "/customers/{customerId}"], "/api/customers", "/api/customers"),
        (["/customers/{customerId}", "/customers"], "/api/customers", "/api/customers/cust-1001"),
    ],
)
@pytest.mark.gen_test
async def test_the_first_template_that_a_query_can_fill_is_used(world, templates, search, details):
    upstream = await start(world, customers=templates)
    upstream.break_with = build_handler('{"data": []}')
    await world.call(SEARCH, body={"email": "jane.citizen@example.com"})
    await world.call(DETAILS)
    assert [request.uri for request in upstream.requests] == [search, details]


@pytest.mark.gen_test
async def test_a_query_that_fills_no_template_is_a_fault(world):
    upstream = await start(world, customers="/customers/{customerId}")
    assert (await world.call(SEARCH, body={"email": "jane.citizen@example.com"})).status == 500
    assert upstream.requests == []


QUOTED = [
    ("cust-1001", "cust-1001"),
    (".a.", ".a."),
    ("...", "..."),
    ("a b", "a%20b"),
    ("a?b#c", "a%3Fb%23c"),
    ("a&b=c", "a%26b%3Dc"),
    ("a+b", "a%2Bb"),
    ("a@b.example", "a%40b.example"),
    ("a;b", "a%3Bb"),
    ("100%", "100%25"),
    ("{accountId}", "%7BaccountId%7D"),
    ("a\r\nX-Injected: b", "a%0D%0AX-Injected%3A%20b"),
    ("é", "%C3%A9"),
]
ELSEWHERE = [
    "",
    ".",
    "..",
    "a/b",
    "/",
    "a\\b",
    "../admin",
    "..\\admin",
    "..;",
    "..;x=1",
    ".;",
    ".\t.",
    "%2e%2e",
    "%2E",
    ".%2e",
    "%252e%252e",
    "%25252e%25252e",
    "..%3bx",
    "a%2fb",
    "a%252Fb",
    "a%5cb",
    "a%255Cb",
    "%c0%ae%c0%ae",
    "a%c0%afb",
    "%" + "25" * 9 + "2e",
    "\uff0e\uff0e",
    "\u2025",
    "a\uff0fb",
    "a\uff3cb",
    "\uff05\uff12\uff45.",
]
"""Values of a path that some server between here and there reads as another path."""
IN_PATH, IN_QUERY = "/customers/{customerId}/accounts", "/accounts?of={customerId}"


@pytest.fixture(scope="module")
def unasked():
    """A source whose upstream must not be asked, as its settings are outside a configuration."""
    return RESTSettings(base_url="https://a.example/api", collections={"accounts": [IN_PATH, IN_QUERY]})


@pytest.mark.parametrize(("value", "quoted"), QUOTED)
def test_values_are_quoted_in_the_url(unasked, value, quoted):
    for template in unasked.collections["accounts"]:
        url = template.build_url(unasked.base_url, {"customerId": value})
        assert url == "https://a.example/api" + template.text.format(customerId=quoted)


@pytest.mark.parametrize("value", ELSEWHERE)
def test_a_value_never_leads_to_another_path(unasked, value):
    in_path, in_query = unasked.collections["accounts"]
    with pytest.raises(NotFound, match="another path"):
        in_path.build_url(unasked.base_url, {"customerId": value}, id_characters="%;\t")
    assert in_query.build_url(unasked.base_url, {"customerId": value}).startswith("https://a.example/api/accounts?of=")


@pytest.mark.parametrize("value", [".", "..", "a/b", "%2e%2e"])
@pytest.mark.gen_test
async def test_an_id_that_leads_to_another_path_is_not_requested(world, value):
    upstream = await start(world)
    page = await world.holder.sources.fetch(Query(collection="accounts", variables={"customerId": value}))
    assert (list(page.records), upstream.requests) == ([], [])


@pytest.mark.parametrize("template", ["/x/{customerId}{id}", "/x/.{id}", "/x/{customerId};{id}/y"])
@pytest.mark.parametrize("value", [".", "%2e", "\uff0e"])
def test_values_do_not_add_up_to_a_dot_segment(template, value):
    (parsed,) = RESTSettings(base_url="https://a.example", collections={"a": template}).collections["a"]
    with pytest.raises(NotFound):
        parsed.build_url("https://a.example", {"customerId": "." * (";" not in template) or "..", "id": value})


@pytest.mark.parametrize(
    ("allowed", "value", "asked"),
    [
        ("", "06/2000", False),
        ("/", "06/2000", True),
        ("/", "06\\2000", False),
        ("\\", "06\\2000", True),
        ("%", "06%2F2000", False),
        ("%/", "06%2F2000", True),
        ("/", "06/../2000", False),
        ("/", "../admin", False),
        ("/;", "06/..;/2000", False),
    ],
)
@pytest.mark.gen_test
async def test_id_characters_allow_a_slash_but_no_dot_segment(world, allowed, value, asked):
    upstream = await world.stack.enter_async_context(Upstream(sample_rows()))
    await world.start(build_toml(upstream.url), settings=f"id_characters = {json.dumps(allowed)}")
    upstream.break_with = build_handler('{"data": []}')
    await world.call(f"/auth/v1/customer/{quote(value, safe='')}")
    assert [request.uri for request in upstream.requests] == [f"/api/customers/{quote(value, safe='')}"] * asked


@pytest.mark.parametrize("template", ["/customers/by-email/{email}", "/customers?email={email}"])
@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("jane@example.com", True),
        ("o'jane+1@example.com", True),
        ("../../../admin/users", False),
        ("../admin@example.com", False),
        ("jane", False),
        ("jane@example.com@example.org", False),
        ("jane\\x@example.com", False),
        ("%2e%2e%2fadmin@example.com", False),
    ],
)
@pytest.mark.gen_test
async def test_an_address_has_one_at_sign_and_no_slash(world, template, address, asked):
    if template.endswith("?email={email}") and "%2f" in address:
        asked = True  # it stays one value of a parameter
    upstream = await start(world, customers=template)
    upstream.break_with = build_handler('{"data": []}')
    answer = await world.call(SEARCH, body={"email": address})
    assert (answer.status, answer.json) == (200, {"data": []})
    assert len(upstream.requests) == asked


@pytest.mark.gen_test
async def test_one_impossible_account_does_not_hide_the_others(world):
    upstream = await start(world)
    condition = Filter("accountId", "in", ("acc-2001", "a/b"), variable="accountId")
    with pytest.raises(SourceFault, match="see id_characters"):
        await world.holder.sources.fetch(Query(collection="balances", filters=(condition,)))
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("base_url", "template", "key"),
    [
        ("https://a.example", "/customers/{customer}", "collections.customers"),
        ("https://a.example", "/customers/{}", "collections.customers"),
        ("https://a.example", "/customers/{customerId.name}", "collections.customers"),
        ("https://a.example", "/customers/{customerId!r}", "collections.customers"),
        ("https://a.example", "/customers/{customerId:>9}", "collections.customers"),
        ("https://a.example", "/customers/{customerId", "collections.customers"),
        ("https://a.example", "customers/{customerId}", "collections.customers"),
        ("https://a.example", "https://b.example/{customerId}", "collections.customers"),
        ("https://a.example", "/customers#{customerId}", "collections.customers"),
        ("https://a.example", "/customers/../{customerId}", "collections.customers"),
        ("https://a.example", "/customers/..;/{customerId}", "collections.customers"),
        ("https://a.example", "/customers/%2e%2e/{customerId}", "collections.customers"),
        ("https://a.example/api?key=1", "/customers", "base_url"),
        ("https://a.example/api#top", "/customers", "base_url"),
        ("https://user:SECRET@a.example", "/customers", "base_url"),
        ("https://:SECRET@a.example", "/customers", "base_url"),
        ("ftp://a.example", "/customers", "base_url"),
        ("a.example/api", "/customers", "base_url"),
        ("https://", "/customers", "base_url"),
    ],
)
def test_invalid_settings_are_refused_by_key(tmp_path, monkeypatch, base_url, template, key):
    monkeypatch.setenv("UPSTREAM_TOKEN", UPSTREAM_TOKEN)
    head = 'public_url = "https://a.example"\n[fiskil]\nissuer = "a"\njwks_url = "https://a.example/jwks.json"\n'
    path = tmp_path / "openholder.toml"
    path.write_text(head + build_toml(base_url, customers=template), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refusal:
        Configuration.load(path)
    (mistake,) = refusal.value.mistakes
    assert mistake.key == f"sources.api.{key}"
    assert mistake.message.startswith(("must ", "is not a URL template"))
    assert "SECRET" not in str(refusal.value)


# -- connections --------------------------------------------------------------------------------------------------


def find_ports(upstream):
    """The connections that the upstream has seen, by the port at our end."""
    return {request.connection.context.address[1] for request in upstream.requests}


@pytest.mark.parametrize(("customer", "status"), [("cust-1001", 200), ("cust-9999", 404)])
@pytest.mark.gen_test
async def test_successive_queries_share_a_connection(world, customer, status):
    upstream = await start(world)
    for _ in range(20):
        assert (await world.call(f"/auth/v1/customer/{customer}")).status == status
    assert len(upstream.requests) == 20
    assert len(find_ports(upstream)) == 1


@pytest.mark.gen_test
async def test_no_more_connections_are_opened_than_configured(world):
    upstream = await start(world, "connections = 2")
    answers = await asyncio.gather(*(world.call(DETAILS) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len(find_ports(upstream)) <= 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.gen_test
async def test_redirects_are_not_followed(world, status):
    upstream = await start(world)
    elsewhere = await world.stack.enter_async_context(Upstream(sample_rows()))
    upstream.break_with = build_handler("", status, Location=f"{elsewhere.url}/customers/cust-1001")
    assert (await world.call(DETAILS)).status == 500
    assert (len(upstream.requests), elsewhere.requests) == (1, [])


@pytest.mark.gen_test
async def test_an_upstream_that_is_down_is_500(world):
    (socket,) = bind("127.0.0.1", 0)
    port = socket.getsockname()[1]
    socket.close()
    await world.start(build_toml(f"http://127.0.0.1:{port}"))
    answer = await world.call(DETAILS)
    assert (answer.status, answer.code) == (500, "urn:au-cds:error:cds-all:GeneralError/Unexpected")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["hangs", "drips"])
@pytest.mark.gen_test
async def test_an_endless_response_is_cancelled_with_its_connection(world, way):
    upstream = await start(world, "timeout = 0.3\nconnections = 1")
    gone = asyncio.Event()

    async def never_end(handler):
        handler.request.connection.set_close_callback(gone.set)
        handler.set_header("Content-Type", "application/json")
        with contextlib.suppress(StreamClosedError):
            while not gone.is_set():
                if way == "drips":
                    handler.write(" ")
                    await handler.flush()
                await asyncio.sleep(0.01)

    upstream.break_with = never_end
    started = time.monotonic()
    assert (await world.call(DETAILS)).status == 500
    assert 0.3 <= time.monotonic() - started < 2
    await asyncio.wait_for(gone.wait(), 2)
    upstream.break_with = None
    assert (await world.call(DETAILS)).status == 200


# -- responses ----------------------------------------------------------------------------------------------------


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
