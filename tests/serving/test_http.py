"""The HTTP edge: whatever arrives, the answer is JSON, says little, and the connection stays sound."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from helpers import shared
from helpers.people import BALANCE
from helpers.support import sample_rows, start_with
from openholder.contract.limits import MAX_ACCOUNTS, MAX_ACCOUNTS_BODY, MAX_BODY, MAX_ID

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("transport")]  # together they take seconds

URN = "urn:au-cds:error:cds-all:"
SEARCH = "/auth/v1/customer/search"
BALANCES = "/v1/banking/customer/cust-1001/accounts/balances"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


module_loop = pytest.fixture(shared.open_loop, scope="module")
io_loop = pytest.fixture(shared.use_loop)


@pytest.fixture(params=["llhttp", "tornado"], scope="module")
def transport(request):
    """Both transports, one after the other for all tests of the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENHOLDER_LISTEN__HTTP", request.param)
        yield request.param


@pytest.fixture(scope="module")
def served(transport, module_loop, signer, tmp_path_factory):
    yield from shared.serve_sample(module_loop, signer, tmp_path_factory)


async def raw(world, request: bytes, *, end: bool = False) -> bytes:
    """Send bytes as they are, and give everything that comes back until the server closes or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.holder.port)
    writer.write(request)
    if end:
        writer.write_eof()
    received = b""
    try:
        async with asyncio.timeout(1.0):
            while chunk := await reader.read(65_536):
                received += chunk
    except TimeoutError:
        pass  # a kept-alive connection: everything that was to come has come
    writer.close()
    return received


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "Resource/NotFound"),
        ("GET", "/auth/v1/customer/", 404, "Resource/NotFound"),
        ("GET", "/auth/v1/customer//accounts", 404, "Resource/NotFound"),
        ("GET", "/AUTH/v1/customer/cust-1001", 404, "Resource/NotFound"),
        ("GET", "/auth/v1/customer/cust-1001/", 404, "Resource/NotFound"),
        ("GET", "/v1/auth/customer/cust-1001", 404, "Resource/NotFound"),
        ("GET", "/metrics", 404, "Resource/NotFound"),
        ("GET", SEARCH, 405, "GeneralError/Expected"),
        ("PUT", SEARCH, 405, "GeneralError/Expected"),
        ("DELETE", "/auth/v1/customer/cust-1001", 405, "GeneralError/Expected"),
        ("TRACE", "/auth/v1/customer/cust-1001", 405, "GeneralError/Expected"),
        ("OPTIONS", "/auth/v1/customer/cust-1001", 405, "GeneralError/Expected"),
    ],
)
@pytest.mark.gen_test
async def test_unknown_paths_and_methods_are_answered_without_a_token(served, method, path, status, code):
    answer = await served.call(path, method=method, token="")
    assert (answer.status, answer.code) == (status, URN + code)
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    if status == 405:
        assert answer.headers["Allow"] in {"GET", "POST"}


@pytest.mark.gen_test
async def test_head_gets_the_headers_of_405_and_no_body(served):
    answer = await served.call(BALANCE, method="HEAD")
    assert (answer.status, answer.text, answer.headers["Allow"]) == (405, b"", "GET")
    assert (await served.call(BALANCE)).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "Field/Missing"),
        (b"{}", "Field/Missing"),
        (b'{"email": null}', "Field/Missing"),
        (b"null", "Field/Invalid"),
        (b"[]", "Field/Invalid"),
        (b'"jane.citizen@example.com"', "Field/Invalid"),
        (b"{", "Field/Invalid"),
        (b'{"email": "a@example.com"} x', "Field/Invalid"),
        (b'{"email": "a@example.com", "email": "b@example.com"}', "Field/Invalid"),
        (b'{"email": 7}', "Field/Invalid"),
        (b'{"email": ["a@example.com"]}', "Field/Invalid"),
        (b'{"email": ""}', "Field/Invalid"),
        (b'{"email": "a\\u0000@example.com"}', "Field/Invalid"),
        (b'{"email": "\\ud800@example.com"}', "Field/Invalid"),
        (b'{"email": "a@example.com", "n": NaN}', "Field/Invalid"),
        (b'{"email": "a@example.com", "n": 1e999}', "Field/Invalid"),
        (b'{"email": "' + b"a" * 10_000 + b'@example.com"}', "Field/Invalid"),
        (b"[" * 60_000, "Field/Invalid"),
        ('{"email": "a@example.com"}'.encode("utf-16"), "Field/Invalid"),
    ],
)
@pytest.mark.gen_test
async def test_a_body_that_is_no_search_is_400_and_is_not_quoted_back(served, body, code):
    answer = await served.call(SEARCH, body=body)
    assert (answer.status, answer.code) == (400, URN + code)
    assert answer.json["errors"][0]["detail"] in {"body", "email"}


@pytest.mark.gen_test
async def test_further_members_of_a_body_are_ignored(served):
    body = {"email": "jane.citizen@example.com", "otherwise": {"deep": [1, 2.5]}}
    assert len((await served.call(SEARCH, body=body)).json["data"]) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
@pytest.mark.gen_test
async def test_another_media_type_is_415_and_the_token_stays_good(served, headers):
    token = served.token(SEARCH)
    body = {"email": "nobody@example.com"}
    assert (await served.call(SEARCH, body=body, headers=headers, token=token)).status == 415
    assert (await served.call(SEARCH, body=body, token=token)).status == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("application/json, text/plain, */*", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/html;q=0.9, application/*;q=0.1", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("application/json;q=0, */*", 406),
        pytest.param("text/html" + ", a/b" * 198, 406, id="as long as is read"),
        pytest.param("text/html" + ", a/b" * 199, 200, id="too long to be read"),
    ],
)
@pytest.mark.gen_test
async def test_accept_decides_whether_json_may_be_sent(served, accept, status):
    assert (await served.call(BALANCE, headers={"Accept": accept})).status == status


@pytest.mark.parametrize("size", [MAX_BODY + 1, 5 * MAX_BODY])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.gen_test
async def test_a_body_too_large_is_413_and_the_token_stays_good(served, size, chunked):
    token = served.token(SEARCH)
    padding = b" " * size

    async def pieces():
        yield padding

    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = pieces() if chunked else padding
    async with served.session.post(served.url + SEARCH, data=data, headers=headers) as response:
        assert response.status == 413
        assert (await response.json())["errors"][0]["code"] == URN + "GeneralError/Expected"
    assert (await served.call(SEARCH, body={"email": "nobody@example.com"}, token=token)).status == 200


@pytest.mark.gen_test
async def test_a_gigantic_length_is_refused_before_any_of_it_is_sent(served):
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    for length in ("200000000", "9" * 5000):
        answer = await raw(served, f"{head}{length}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"Connection: close" in answer


@pytest.mark.gen_test
async def test_a_body_as_large_as_allowed_is_read(served):
    body = json.dumps({"email": "nobody@example.com"}).encode().ljust(MAX_BODY)
    assert (await served.call(SEARCH, body=body)).json == {"data": []}


@pytest.mark.gen_test
async def test_a_thousand_ids_of_the_greatest_length_fit(world):
    ids = [f"{number:04}".ljust(MAX_ID, "k") for number in range(MAX_ACCOUNTS)]
    rows = sample_rows()
    rows["accounts"] += [{"customerId": "cust-1001", "id": name, "status": "open"} for name in ids[1:]]
    rows["banking.balances"] = [{**rows["banking.balances"][0], "accountId": name} for name in ids]
    rows["accounts"] = [row for row in rows["accounts"] if row["customerId"] != "cust-1001" or row["id"] in ids]
    await start_with(world, "sqlite", rows)
    for indent in (None, 8):
        body = json.dumps({"data": {"accountIds": ids[1:]}}, indent=indent).encode()
        answer = await world.call(BALANCES, body=body)
        assert (answer.status, answer.json["meta"]["totalRecords"]) == (200, MAX_ACCOUNTS - 1)
    body = json.dumps({"data": {"accountIds": ids}}).encode()
    answer = await world.call(BALANCES, body=body.ljust(MAX_ACCOUNTS_BODY))
    assert (answer.status, answer.json["errors"][0]["detail"]) == (422, ids[0])
    assert (await world.call(BALANCES, body=body.ljust(MAX_ACCOUNTS_BODY + 1))).status == 413


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ("7E4F0E0A-98C6-4E5B-9C4B-0B0B0B0B0B0B", True),
        ("7e4f0e0a-98c6-4e5b-9c4b-0b0b0b0b0b0b", True),
        ("not-a-uuid", False),
        ("7e4f0e0a98c64e5b9c4b0b0b0b0b0b0b", False),
        ("x" * 8000, False),
        (None, False),
    ],
)
@pytest.mark.parametrize("path", [BALANCE, "/nowhere", "/auth/v1/customer/cust-9999"])
@pytest.mark.gen_test
async def test_every_answer_carries_an_interaction_id(served, path, sent, echoed):
    answer = await served.call(path, headers={"x-fapi-interaction-id": sent} if sent else {})
    received = answer.headers["x-fapi-interaction-id"]
    assert received == sent if echoed else UUID.fullmatch(received)
    if answer.status != 200:
        assert answer.json["errors"][0]["meta"]["correlationId"] == received


@pytest.mark.parametrize("path", [BALANCE, "/nowhere", "/auth/v1/customer/cust-9999"])
@pytest.mark.gen_test
async def test_no_answer_tells_what_serves_it_or_may_be_stored(served, path):
    headers = (await served.call(path)).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not {"Server", "Etag", "Set-Cookie"} & set(headers)


@pytest.mark.parametrize(
    "request_head",
    [
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +2",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "GET / HTTP/1.1\r\nHost: x\r\nBroken Name: y",
        "GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + "y" * 20_000,
    ],
)
@pytest.mark.gen_test
async def test_broken_framing_is_refused_and_nothing_behind_it_is_run(served, request_head):
    smuggled = "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await raw(served, (request_head + smuggled).encode())
    assert answer.count(b"HTTP/1.1") <= 1
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))


@pytest.mark.gen_test
async def test_pipelined_requests_are_answered_in_order(served):
    """A body on GET is skipped."""
    first = f"GET {BALANCE} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nAuthorization: Bearer {served.token(BALANCE)}"
    second = f"GET {BALANCE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token(BALANCE)}"
    answers = await raw(served, f"{first}\r\n\r\nabc{second}\r\n\r\nGET /last HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"200", b"404"]


@pytest.mark.gen_test
async def test_a_caller_who_goes_away_harms_nobody(served):
    head = f"GET {BALANCE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token(BALANCE)}\r\n\r\n"
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", served.holder.port)
        writer.write(head.encode())
        writer.close()
    assert (await served.call(BALANCE)).status == 200


@dataclass
class Held:
    """Requests that wait in the source until they are let go."""

    asked: int = 0
    cancelled: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def hold(self, world, monkeypatch):
        fetch = world.holder.sources.fetch

        async def held(query):
            self.asked += 1
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return await fetch(query)

        monkeypatch.setattr(world.holder.sources, "fetch", held)

    async def until(self, condition):
        async with asyncio.timeout(4):
            while not condition():
                await asyncio.sleep(0.005)


@pytest.fixture
def held():
    return Held()


@pytest.mark.gen_test
async def test_requests_beyond_the_limit_are_503_and_keep_their_token(world, monkeypatch, held):
    monkeypatch.setenv("OPENHOLDER_LISTEN__MAX_REQUESTS", "2")
    await start_with(world, "sqlite", sample_rows())
    held.hold(world, monkeypatch)
    running = [asyncio.create_task(world.call(BALANCE)) for _ in range(2)]
    await held.until(lambda: held.asked == 2)
    token = world.token(BALANCE)
    answer = await world.call(BALANCE, token=token)
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "temporarily_unavailable", "1")
    held.go.set()
    assert [(await each).status for each in running] == [200, 200]
    assert (await world.call(BALANCE, token=token)).status == 200


@pytest.mark.gen_test
async def test_a_caller_who_goes_away_is_noticed(world, monkeypatch, held):
    """And its work is cancelled, while that of others goes on."""
    await start_with(world, "sqlite", sample_rows())
    held.hold(world, monkeypatch)
    other = asyncio.create_task(world.call(BALANCE))
    await held.until(lambda: held.asked == 1)
    _, writer = await asyncio.open_connection("127.0.0.1", world.holder.port)
    writer.write(f"GET {BALANCE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.token(BALANCE)}\r\n\r\n".encode())
    await held.until(lambda: held.asked == 2)
    with capture_logs() as logs:
        writer.transport.abort()
        await held.until(lambda: held.cancelled == 1 and logs)
    assert (logs[0]["status_code"], logs[0]["error_reason"]) == (499, "caller_went_away")
    held.go.set()
    assert (await other).status == 200
    assert not world.holder.state.running


@pytest.mark.gen_test
async def test_a_request_has_a_deadline_as_a_whole(world, monkeypatch, held):
    await start_with(world, "sqlite", sample_rows())
    held.hold(world, monkeypatch)
    late = asyncio.create_task(world.call(BALANCE))
    await held.until(lambda: held.asked == 1)
    world.holder.state.give_up_late(limit=60)
    assert held.cancelled == 0
    with capture_logs() as logs:
        world.holder.state.give_up_late(limit=0)
        answer = await late
    assert (answer.status, answer.code, held.cancelled) == (500, "server_error", 1)
    assert logs[0]["error_reason"] == "request_timeout"
    held.go.set()
    assert (await world.call(BALANCE)).status == 200


@pytest.mark.slow
@pytest.mark.gen_test
async def test_the_deadline_is_watched(world, monkeypatch, held):
    monkeypatch.setenv("OPENHOLDER_LISTEN__REQUEST_TIMEOUT", "1")
    await start_with(world, "sqlite", sample_rows())
    held.hold(world, monkeypatch)
    assert (await world.call(BALANCE)).status == 500
    assert held.cancelled == 1


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
@pytest.mark.parametrize("length", ["70000", "9" * 400])
@pytest.mark.gen_test
async def test_a_request_gets_one_answer(served, expect, length):
    """RFC 9110 section 10.1.1: no interim answer behind the final one, and 413 closes as it says."""
    head = f"POST {SEARCH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{expect}Content-Length: "
    body = b" " * 70_000 if len(length) == 5 and not expect else b""
    behind = f"GET {BALANCE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.token(BALANCE)}\r\n\r\n".encode()
    answer = await raw(served, f"{head}{length}\r\n\r\n".encode() + body + behind)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answer) == [b"413"]
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "host"),
        (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 400, "http_version"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request_line"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n", 400, "malformed"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"y" * 20_000 + b"\r\n\r\n", 431, "head_too_large"),
    ],
)
@pytest.mark.gen_test
async def test_what_is_no_request_is_answered_logged_and_counted(served, transport, sent, status, reason):
    before = shared.count_refusals(served)
    with capture_logs() as logs:
        answer = await raw(served, sent)
    (line,) = logs
    assert (line["status_code"], line["error_reason"], line["ip"]) == (status, reason, "127.0.0.1")
    assert shared.count_refusals(served) - before == {reason: 1}
    if (status, transport) == (431, "tornado"):
        assert answer == b""  # Tornado has closed already
        return
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert f"x-fapi-interaction-id: {line['fapi_interaction_id']}\r\n".encode() in head
    assert json.loads(body)["errors"][0]["code"] == URN + "GeneralError/Expected"


@pytest.mark.gen_test
async def test_lawful_http_is_answered(served):
    """An absolute target (RFC 9112 section 3.2.2), chunk extensions and trailers (section 7.1)."""
    head = f"GET http://elsewhere.example{BALANCE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    absolute = f"{head}Authorization: Bearer {served.token(BALANCE)}\r\n\r\n"
    assert (await raw(served, absolute.encode())).startswith(b"HTTP/1.1 200 ")
    body = json.dumps({"email": "jane.citizen@example.com"})
    chunked = (
        f"POST {SEARCH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {served.token(SEARCH)}\r\nTransfer-Encoding: chunked\r\n\r\n"
        f'{len(body):x};name="a value"\r\n{body}\r\n0\r\nAuthorization: Bearer x\r\n\r\n'
    )
    assert (await raw(served, chunked.encode())).startswith(b"HTTP/1.1 200 ")


@pytest.mark.gen_test
async def test_a_lack_of_connections_is_counted_and_logged(world, monkeypatch, caplog):
    monkeypatch.setenv("OPENHOLDER_LISTEN__MAX_CONNECTIONS", "2")
    await start_with(world, "sqlite", sample_rows())
    pairs = [await asyncio.open_connection("127.0.0.1", world.holder.port) for _ in range(6)]
    assert (await world.call(BALANCE)).status == 200
    url = f"http://127.0.0.1:{world.holder.admin_port}/metrics"
    async with world.session.get(url) as response:
        metrics = await response.text()
    assert "\nopenholder_http_connections 2.0\n" in metrics
    assert '\nopenholder_http_connections_closed_total{reason="full"} 5.0\n' in metrics
    warnings = [record.getMessage() for record in caplog.records if "connections are in use" in record.getMessage()]
    assert len(warnings) == 1
    assert "all 2 connections" in warnings[0]
    for _, writer in pairs:
        writer.transport.abort()


@pytest.mark.gen_test
async def test_the_alias_prefix_answers_only_where_it_is_switched_on(world):
    await start_with(world, "sqlite", sample_rows(), settings="auth_alias = true")
    assert (await world.call("/v1/auth/customer/cust-1001")).status == 200
    assert (await world.call("/auth/v1/customer/cust-1001")).status == 200
    token = world.token("/auth/v1/customer/cust-1001")
    assert (await world.call("/v1/auth/customer/cust-1001", token=token)).status == 401


@pytest.mark.gen_test
async def test_a_collection_without_a_source_is_not_implemented(world):
    rows = {name: records for name, records in sample_rows().items() if name != "balances"}
    await start_with(world, "sqlite", rows)
    answer = await world.call(BALANCE)
    assert (answer.status, answer.json["errors"][0]["meta"]["urn"]) == (404, URN + "Resource/NotImplemented")


@pytest.mark.gen_test
async def test_a_record_that_does_not_fit_is_500_without_a_word_of_it(world):
    rows = sample_rows()
    rows["balances"][0]["available"] = "a lot"
    await start_with(world, "sqlite", rows)
    answer = await world.call(BALANCE)
    assert (answer.status, answer.code) == (500, "server_error")
    assert b"lot" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize(("path", "status"), [("/live", 200), ("/ready", 200), ("/metrics", 200), ("/other", 404)])
@pytest.mark.gen_test
async def test_the_admin_listener_tells_the_operator_how_things_are(served, path, status):
    await served.call(BALANCE)
    url = f"http://127.0.0.1:{served.holder.admin_port}{path}"
    async with served.session.get(url) as response:
        text = await response.text()
        assert response.status == status
    async with served.session.head(url) as response:
        assert (response.status, await response.read()) == (status, b"")
    assert "cust-1001" not in text
    if path == "/metrics":
        assert 'openholder_http_requests_total{method="GET",route="/customer/{customerId}' in text


@pytest.mark.gen_test
async def test_without_keys_the_server_is_not_ready_and_answers_503(world):
    world.jwks = b'{"keys": []}'
    await start_with(world, "sqlite", sample_rows())
    answer = await world.call(BALANCE)
    assert (answer.status, answer.code) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    async with world.session.get(f"http://127.0.0.1:{world.holder.admin_port}/ready") as response:
        assert (response.status, await response.text()) == (503, "no keys\n")
