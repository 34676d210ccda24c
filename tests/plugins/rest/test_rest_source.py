"""The REST source: what it asks of an upstream, and on which connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from urllib.parse import quote

import pytest
from tornado.iostream import StreamClosedError

from helpers.people import BALANCE
from helpers.rest_bank import ACCOUNTS, DETAILS, SEARCH, build_handler, build_toml, start
from helpers.support import UPSTREAM_TOKEN, Upstream, sample_rows
from openholder import Filter, NotFound, Query, SourceFault
from openholder.config import Configuration
from openholder.errors import ConfigurationError
from openholder.server.connections import bind
from openholder_rest import RESTSettings

# -- requests ----------------------------------------------------------------------------------------------------------


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


# -- connections -------------------------------------------------------------------------------------------------------


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
