"""Group J: a token is used a second time, or an attack uses it up."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

from catalogue.rows import Request, Row, exchange, invalid_token, mint, ok, send, status
from helpers.clocks import Clock
from helpers.people import BALANCE, JANE, SEARCH
from helpers.support import ISSUER, World, sample_rows, start_with
from helpers.tokens import STRANGER, Mint
from openholder.gate import Gate
from openholder.gate.stores.memory import MemoryStore

SECOND_BALANCE = BALANCE.replace("acc-2001", "acc-2002")


async def start(world: World, clock: Callable[[], float] = time.time) -> MemoryStore:
    """Start a server whose record of used tokens can be looked into."""
    used = MemoryStore(clock=clock)
    with (
        patch("openholder.server.app.make_store", lambda _: used),
        patch("openholder.server.app.Gate", partial(Gate, clock=clock)),
    ):
        await start_with(world, "sqlite", sample_rows())
    return used


def refusals(world: World, reason: str) -> float:
    registry = world.holder.state.journal.registry
    return registry.get_sample_value("openholder_http_refusals_total", {"reason": reason}) or 0.0


async def twice(world: World) -> None:
    await start_with(world, "sqlite", sample_rows())
    token = mint(world).token()
    ok(await send(world, token))
    for _ in range(3):
        invalid_token(await send(world, token))
    assert refusals(world, "replayed") == 3


async def fifty_at_once(world: World) -> None:
    """On connections that are open already, so that nothing but the requests themselves is waited for."""
    await start_with(world, "sqlite", sample_rows())
    for _ in range(5):
        wire = Request(mint(world).token()).wire()
        streams = [await asyncio.open_connection("127.0.0.1", world.holder.port) for _ in range(50)]
        for _, writer in streams:
            writer.write(wire)
        answers = [await reader.read() for reader, _ in streams]
        for _, writer in streams:
            writer.close()
        assert sorted(int(answer.split(b" ")[1]) for answer in answers) == [200] + 49 * [401]


async def failed_elsewhere(world: World) -> None:
    used = await start(world)
    token = mint(world).token()
    for path in (SECOND_BALANCE, BALANCE.replace("cust-1001", "cust-1002"), "/auth/v1/customer/cust-1001"):
        invalid_token(await send(world, Request(token, path=path)))
    assert len(used) == 0
    ok(await send(world, token))
    assert len(used) == 1


async def forged(world: World) -> None:
    used = await start(world)
    forger = Mint(STRANGER, world.url)
    for number in range(100):
        invalid_token(await send(world, forger.token(jti=f"guess-{number}")))
        real, own_signature = mint(world).token(jti=f"guess-{number}"), forger.token(jti=f"guess-{number}")
        invalid_token(await send(world, f"{real.rpartition('.')[0]}.{own_signature.rpartition('.')[2]}"))
    assert len(used) == 0
    for number in range(100):
        ok(await send(world, mint(world).token(jti=f"guess-{number}")))


async def used_in_vain(world: World) -> None:
    """What comes behind the gate fails: an unknown record, a record that must not be shared, a bad search, a fault."""
    rows = sample_rows()
    rows["balances"][0]["available"] = "a lot"
    await start_with(world, "sqlite", rows)
    search = partial(Request, path=SEARCH, method="POST")
    requests = {
        404: [
            partial(Request, path=BALANCE.replace("acc-2001", "acc-9999")),
            partial(Request, path=BALANCE.replace("cust-1001", "cust-9999")),
            partial(Request, path=BALANCE.replace("cust-1001", "..")),
        ],
        400: [partial(search, body=b"{}"), partial(search, body=b"no JSON")],
        500: [partial(Request, path=BALANCE)],
    }
    for wanted, makers in requests.items():
        for make in makers:
            request = make()
            request.token = mint(world, request.path).token()
            status(wanted)(await send(world, request))
            invalid_token(await send(world, request))


async def refused_before_the_gate(world: World) -> None:
    used = await start(world)
    token = mint(world).token()
    searching = mint(world, SEARCH).token()
    body = b'{"email": "%s"}' % JANE["email"].encode()
    search = partial(Request, searching, SEARCH, "POST")
    early = [(405, Request(token, method=method)) for method in ("HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH")]
    early += [(404, Request(token, path=path)) for path in ("/", "/nowhere", f"{BALANCE}/", f"/{BALANCE}")]
    early += [
        (406, Request(token, headers={"Accept": "text/html"})),
        (405, Request(searching, SEARCH)),
        (415, search(body=body, headers={"Content-Type": "text/plain"})),
        (415, search(body=body, headers={"Content-Encoding": "gzip"})),
        (413, search(body=body.ljust(70_000))),
    ]
    for wanted, request in early:
        status(wanted)(await send(world, request))
    nowhere = mint(world, "/nowhere").token()
    status(404)(await send(world, Request(nowhere, path="/nowhere")))
    assert len(used) == 0
    ok(await send(world, token))
    ok(await send(world, search(body=body)))
    invalid_token(await send(world, token))
    invalid_token(await send(world, search(body=body)))


async def one_id_for_two_tokens(world: World) -> None:
    """The issuer gave an id out again. Another issuer's ids are another matter."""
    other = "otherbank.cdr.fiskil.com"
    with patch.dict(os.environ, {"OPENHOLDER_FISKIL__ISSUER": f"{ISSUER},{other}"}):
        await start(world)
    here, there = mint(world), mint(world, SECOND_BALANCE)
    ok(await send(world, here.token(jti="one")))
    invalid_token(await send(world, here.token(jti="one", exp=here.now + 60)))
    invalid_token(await send(world, Request(there.token(jti="one"), path=SECOND_BALANCE)))
    invalid_token(await send(world, mint(world, algorithm="RS256").token(jti="one", iat=here.now - 5)))
    ok(await send(world, here.token(jti="one", iss=other, sub=other)))
    ok(await send(world, Request(there.token(jti="two"), path=SECOND_BALANCE)))
    ok(await send(world, here.token(jti="One")))


async def within_the_tolerance(world: World) -> None:
    clock = Clock(source=time.time)
    await start(world, clock)
    here = mint(world)
    expiry = here.now + 100
    token, fresh = here.token(exp=expiry), here.token(exp=expiry)
    ok(await send(world, token))
    clock.ahead = expiry + 28.5 - time.time()
    invalid_token(await send(world, token))
    assert refusals(world, "replayed") == 1
    ok(await send(world, fresh))  # it was the record that refused the other, not the clock
    invalid_token(await send(world, fresh))


async def after_the_tolerance(world: World) -> None:
    clock = Clock(source=time.time)
    used = await start(world, clock)
    here = mint(world)
    expiry = here.now + 100
    tokens = [here.token(exp=expiry) for _ in range(20)]
    for token in tokens:
        ok(await send(world, token))
    clock.ahead = expiry + 31 - time.time()
    invalid_token(await send(world, tokens[0]))
    assert refusals(world, "expired") == 1
    clock.ahead = expiry + 33 - time.time()
    ok(await send(world, here.token(exp=int(clock()) + 100, iat=int(clock()))))
    assert len(used) == 1
    clock.ahead = 0  # set back, but not far: what has been forgotten stays expired
    invalid_token(await send(world, tokens[0]))


async def lost_answer(world: World) -> None:
    await start_with(world, "sqlite", sample_rows())
    for _ in range(5):
        token = mint(world).token()
        reader, writer = await asyncio.open_connection("127.0.0.1", world.holder.port)
        writer.write(Request(token).wire())
        await reader.readexactly(1)  # it was let in and answered; the caller never sees the answer
        writer.transport.abort()
        invalid_token(await send(world, token))
        ok(await send(world, mint(world).token()))


async def two_in_one_segment(world: World) -> None:
    await start_with(world, "sqlite", sample_rows())
    for _ in range(5):
        wire = Request(mint(world).token()).wire()
        reply = await exchange(world, wire.replace(b"Connection: close\r\n", b"") + wire)
        assert [reply.status, *map(int, re.findall(rb"HTTP/1\.1 (\d+) ", reply.body))] == [200, 401]


STORES = "test_stores.py::test_"

ROWS = (
    Row("J01", scenario=twice),
    Row("J02", scenario=fifty_at_once),
    Row(
        "J03",
        shown_by=f"{STORES}two_processes_accept_one_of_fifty_copies",
    ),
    Row(
        "J05",
        shown_by=f"{STORES}a_token_used_on_one_machine_is_used_on_the_other",
    ),
    Row("J06", scenario=failed_elsewhere),
    Row("J07", scenario=forged),
    Row("J08", scenario=used_in_vain),
    Row("J10", scenario=refused_before_the_gate),
    Row("J11", scenario=one_id_for_two_tokens),
    Row("J12", scenario=within_the_tolerance),
    Row("J13", scenario=after_the_tolerance),
    Row(
        "J15",
        shown_by=f"{STORES}an_unavailable_store_accepts_and_uses_up_no_token"
        f" {STORES}a_locked_file_uses_up_no_waiting_token"
        f" {STORES}a_full_redis_accepts_and_uses_up_no_token"
        f" {STORES}a_full_or_corrupt_file_accepts_and_uses_up_no_token",
    ),
    Row("J16", shown_by=f"{STORES}a_million_used_tokens_cost_little"),
    Row("J17", scenario=lost_answer),
    Row("J18", scenario=two_in_one_segment),
)
