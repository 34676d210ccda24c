"""Group L: what is written down. A line for each refusal, nothing of anybody in it, and never more than fits."""

from __future__ import annotations

import asyncio
import hashlib
import json

from structlog.testing import capture_logs

from catalogue.http import get, post
from catalogue.rows import Request, Row, mint, send
from helpers.people import BALANCE, SEARCH
from helpers.support import World, sample_rows, start_with
from openholder.serving.journal import LOGGED_REFUSALS

TEMPLATE = "/customer/{customerId}/accounts/{accountId}/balances"


async def a_line_each(world: World) -> None:
    """L02."""
    await start_with(world, "sqlite", sample_rows())
    make = mint(world)
    used, jti = make.token(jti="the-id-of-a-token"), hashlib.sha256(b"the-id-of-a-token").hexdigest()[:12]
    assert (await send(world, used)).status == 200
    forged = make.token(aud="https://elsewhere.example")
    for request, route, reason, more in (
        (Request(), TEMPLATE, "no_token", {}),
        (Request("x" * 300), TEMPLATE, None, {}),
        (Request(make.token(header={"kid": "k" * 200})), TEMPLATE, None, {"kid": "k" * 32}),
        (Request(forged), TEMPLATE, "audience_wrong", {"kid": "k1"}),
        (Request(make.token(exp=make.now - 100)), TEMPLATE, None, {"kid": "k1"}),
        (Request(used), TEMPLATE, None, {"kid": "k1", "jti": jti, "alg": "PS256", "token_life": 300}),
        (Request(path="/cust-1001"), "unknown", "path_unknown", {}),
        (Request(method="PUT"), TEMPLATE, "method_not_allowed", {"method": "PUT"}),
        (Request(headers={"Accept": "text/html"}), TEMPLATE, "not_acceptable", {}),
        (post(make, b"{"), SEARCH, "body_not_json", {"kid": "k1"}),
        (post(make, {"email": 7}), SEARCH, "email_invalid", {}),
        (post(make, b" " * 70_000), SEARCH, "body_too_large", {}),
        (get(make, BALANCE.replace("2001", "2008")), TEMPLATE, "account_unknown", {}),
        (get(make, BALANCE.replace("2001", "2004")), TEMPLATE, "account_refused", {}),
    ):
        with capture_logs() as logs:
            reply = await send(world, request)
        assert 400 <= reply.status < 500
        (line,) = logs
        assert line["event"] == "request"
        assert line["fapi_interaction_id"] == reply.headers["x-fapi-interaction-id"]
        assert (line["route_pattern"], line["status_code"]) == (route, reply.status)
        assert line["error_reason"] == reason if reason else line["error_reason"]
        for name, value in more.items():
            assert line[name] == value or (name == "token_life" and 290 <= line[name] <= 300), (name, line)
        written = json.dumps(line)
        assert not any(secret in written for secret in ("cust-1001", "acc-2", "the-id-of-a-token", "k" * 33))
        assert not any(part in written for part in (request.token or ".").split(".") if len(part) > 20)


async def flood(world: World) -> None:
    """L03. The log takes so many lines and no more; what it leaves out is counted, and told in the next line."""
    await start_with(world, "sqlite", sample_rows())
    rate, burst = LOGGED_REFUSALS
    sent, connections = 300, 8
    loop = asyncio.get_running_loop()
    request = f"GET {BALANCE} HTTP/1.1\r\nHost: x\r\n".encode()
    wave = (request + b"\r\n") * (sent - 1) + request + b"Connection: close\r\n\r\n"

    async def pour() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.holder.port)
        writer.write(wave)
        async with asyncio.timeout(40):
            answers = await reader.read()
        writer.close()
        return answers.count(b"HTTP/1.1 401 ")

    with capture_logs() as logs:
        started = loop.time()
        assert await asyncio.gather(*(pour() for _ in range(connections))) == [sent] * connections
        seconds = loop.time() - started
    total = sent * connections
    assert len(logs) <= burst + rate * seconds + 1
    registry = world.holder.state.journal.registry
    labels = {"route": TEMPLATE, "method": "GET", "status": "401"}
    assert registry.get_sample_value("openholder_http_requests_total", labels) == total
    assert registry.get_sample_value("openholder_http_refusals_total", {"reason": "no_token"}) == total
    with capture_logs() as later:
        assert (await send(world, mint(world).token())).status == 200
    told = sum(line.get("unlogged_before", 0) for line in [*logs, *later])
    assert told == total - len(logs)


ROWS = (
    Row(
        "L01",
        shown_by="test_process.py::test_the_log_has_one_line_a_request_and_nothing_of_anybody",
    ),
    Row("L02", scenario=a_line_each),
    Row("L03", scenario=flood),
)
