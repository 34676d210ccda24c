"""Good requests are answered while Fiskil changes its keys, and while the host of its keys is away or is in trouble."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial

import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from helpers.people import BALANCE
from helpers.support import World, print_nothing, sample_rows, start_with
from openholder.fiskil.signer import Signer
from openholder.gate.jwks import JWKSCache
from openholder.server.connections import bind

pytestmark = pytest.mark.slow

RATE = 200
"""Requests a second, sent on time whether or not the ones before are answered, as long as these are not too many."""
AT_ONCE = 40
PATIENCE = 20.0

OLD, NEW = Signer.generate("old"), Signer.generate("new")


def key_set(*signers: Signer) -> bytes:
    return json.dumps({"keys": [signer.public_jwk() for signer in signers]}).encode()


class KeyHost:
    """A host of keys that can be away (``stop``), answer with anything (``document``), or never (``hang``)."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.asked = 0
        self.hang = False
        self.port = 0
        self.server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/jwks.json"

    def listen(self) -> None:
        sockets = bind("127.0.0.1", self.port)
        self.port = sockets[0].getsockname()[1]
        app = Application([("/jwks.json", _KeysHandler, {"host": self})], log_function=print_nothing)
        self.server = HTTPServer(app)
        self.server.add_sockets(sockets)

    async def stop(self) -> None:
        if self.server:
            self.server.stop()
            await self.server.close_all_connections()
        self.server = None


class _KeysHandler(RequestHandler):
    def initialize(self, host: KeyHost) -> None:
        self.host = host

    async def get(self) -> None:
        self.host.asked += 1
        while self.host.hang and self.host.server:
            await asyncio.sleep(0.02)
        self.finish(self.host.document)


@pytest.fixture
def host(io_loop, monkeypatch):
    """The host that servers of this test ask for keys, in place of the world's own."""

    async def listen():
        made.listen()

    made = KeyHost(key_set(OLD))
    io_loop.run_sync(listen)
    monkeypatch.setenv("OPENHOLDER_FISKIL__JWKS_URL", made.url)
    yield made
    io_loop.run_sync(made.stop)


@pytest.fixture
def world(world):
    world.signer = OLD
    return world


@pytest.fixture
def impatient(monkeypatch):
    """Refreshes five times a second, and fetches that may take a third of one: the settings allow nothing so short."""
    monkeypatch.setattr(
        "openholder.server.app.JWKSCache", lambda fetch, **more: JWKSCache(fetch, **more | {"refresh": 0.2})
    )
    monkeypatch.setattr("openholder.gate.jwks.DEADLINE", 0.3)


async def start(world: World) -> None:
    await start_with(world, "sqlite", sample_rows())


def tokens(world: World, signer: Signer, count: int) -> list[str]:
    """Signed beforehand, so that the load is on time."""
    return [signer.sign_token("examplebank.cdr.fiskil.com", world.url + BALANCE) for _ in range(count)]


async def send(world: World, ready: list[str]) -> Counter[int]:
    """One request for each token at the rate, and how often each status came back.

    A machine that is too slow for the rate gets a lower one: what it would refuse for want of time is another matter.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    running, room = [], asyncio.Semaphore(AT_ONCE)
    for number, token in enumerate(ready):
        await asyncio.sleep(begun + number / RATE - loop.time())
        await room.acquire()
        running.append(asyncio.create_task(world.call(BALANCE, token=token)))
        running[-1].add_done_callback(lambda _: room.release())
    return Counter([answer.status for answer in await asyncio.gather(*running)])


async def until(true, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        await asyncio.sleep(0.01)


def alternately(first: list[str], second: list[str]) -> list[str]:
    return [token for pair in zip(first, second, strict=True) for token in pair]


# -- rotation -----------------------------------------------------------------------------------------------------


@pytest.mark.gen_test(timeout=60)
async def test_no_good_request_is_refused_while_keys_are_rotated(io_loop, world, host):
    await start(world)
    old, new = tokens(world, OLD, 300), tokens(world, NEW, 500)
    statuses = await send(world, old[:150])
    host.document = key_set(OLD, NEW)  # published, and used at once by half of the signers
    statuses += await send(world, alternately(old[150:], new[:150]))
    host.document = key_set(NEW)  # withdrawn, once nothing signed by it is on the way
    sending = asyncio.create_task(send(world, new[150:]))
    unknown = await world.call(BALANCE, token=tokens(world, Signer(OLD._key, "unknown"), 1)[0])
    await until(lambda: world.holder.keys.kids == {"new"}, "the withdrawn key is gone")
    withdrawn = await world.call(BALANCE, token=tokens(world, OLD, 1)[0])
    statuses += await sending
    assert statuses == {200: 800}
    assert (unknown.status, withdrawn.status) == (401, 401)
    assert host.asked == 3  # at the start, for the new key, for the unknown one


@pytest.mark.gen_test(timeout=60)
async def test_rotated_keys_are_refreshed_without_refusing_a_request(io_loop, world, host, impatient):
    await start(world)
    old, new = tokens(world, OLD, 200), tokens(world, NEW, 200)
    statuses = Counter()
    host.document = key_set(OLD, NEW)
    statuses += await send(world, old)
    await until(lambda: world.holder.keys.kids == {"old", "new"}, "the published key is known")
    host.document = key_set(NEW)
    statuses += await send(world, new)
    await until(lambda: world.holder.keys.kids == {"new"}, "the withdrawn key is gone")
    assert statuses == {200: 400}
    assert (await world.call(BALANCE)).status == 401


@pytest.mark.gen_test(timeout=60)
async def test_strangers_take_no_place_of_good_requests(io_loop, world, host, monkeypatch):
    """The host hangs. Requests with an unknown kid wait for it, and others are answered beside them."""
    monkeypatch.setenv("OPENHOLDER_LISTEN__MAX_REQUESTS", "2")
    await start(world)
    host.hang = True
    strange = [asyncio.create_task(world.call(BALANCE, token=token)) for token in tokens(world, NEW, 40)]
    await until(lambda: world.holder.keys.waiting >= 2, "strangers wait")
    good = [(await world.call(BALANCE, token=token)).status for token in tokens(world, OLD, 50)]
    assert good == [200] * 50
    host.hang = False
    assert {answer.status for answer in await asyncio.gather(*strange)} <= {401, 503}


# -- the host of the keys is away ---------------------------------------------------------------------------------


async def close(host: KeyHost) -> None:
    await host.stop()


async def answer_with(document: bytes, host: KeyHost) -> None:
    host.document = document


async def hang(host: KeyHost) -> None:
    host.hang = True


TROUBLES = {
    "closed": close,
    "hanging": hang,
    "no JSON": partial(answer_with, b"<html>Bad gateway</html>"),
    "no keys": partial(answer_with, b'{"keys": []}'),
    "too much": partial(answer_with, b" " * 100_000 + key_set(NEW)),
    "bytes": partial(answer_with, bytes(range(256))),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.gen_test(timeout=60)
async def test_no_request_is_refused_while_the_key_host_fails(io_loop, world, host, impatient, trouble):
    await start(world)
    keys = world.holder.keys
    good, strange = tokens(world, OLD, 300), tokens(world, NEW, 20)
    await trouble(host)
    sending = asyncio.create_task(send(world, good))
    others = asyncio.create_task(send(world, strange))
    await until(lambda: keys._failures >= 2, "two fetches have failed")
    assert (await sending, await others) == ({200: 300}, {503: 20})  # nobody can tell whether the strange are wrong
    assert keys.kids == {"old"}
    await host.stop()
    host.document, host.hang = key_set(OLD, NEW), False
    host.listen()
    await until(lambda: keys.kids == {"old", "new"}, "the keys are fetched again")
    assert (await world.call(BALANCE, token=tokens(world, NEW, 1)[0])).status == 200


# -- restarts -----------------------------------------------------------------------------------------------------


async def run_once(world: World) -> None:
    """Start a server in the folder and stop it: it leaves its known keys there."""
    await start(world)
    assert (await world.call(BALANCE)).status == 200
    await world.stop()
    world.stack = AsyncExitStack()
    (world.folder / "bank.db").unlink()


@pytest.mark.gen_test(timeout=60)
async def test_a_restart_without_the_key_host_serves_at_once(io_loop, world, host):
    await run_once(world)
    await host.stop()
    await start(world)
    assert await send(world, tokens(world, OLD, 100)) == {200: 100}
    stranger = await world.call(BALANCE, token=tokens(world, NEW, 1)[0])
    assert stranger.status == 503
    assert int(stranger.headers["Retry-After"]) >= 1


@pytest.mark.gen_test(timeout=60)
async def test_all_keys_are_withdrawn_by_a_restart_without_the_file(io_loop, world, host):
    """An empty set alone withdraws nothing, not even over a restart: it may be an outage."""
    await run_once(world)
    host.document = b'{"keys": []}'
    await run_once(world)
    (world.folder / "known-keys.json").unlink()
    await start(world)
    kept = tokens(world, OLD, 1)[0]
    assert (await world.call(BALANCE, token=kept)).status == 503
    host.document = key_set(NEW)
    await until(lambda: world.holder.keys.kids == {"new"}, "the new set is fetched")
    assert (await world.call(BALANCE, token=kept)).status == 401


def rewritten(**changes):
    def rewrite(path):
        kept = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({name: value for name, value in kept.items() if value is not ...}))

    return rewrite


NOT_BELIEVED = {
    "of another URL": rewritten(url="http://127.0.0.1:1/other.json"),
    "too old": rewritten(at=time.time() - 172_900),
    "from the future": rewritten(at=time.time() + 3600),
    "writable by its group": lambda path: path.chmod(0o620),
    "writable by everybody": lambda path: path.chmod(0o602),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "no UTF-8": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "a list": lambda path: path.write_text("[]"),
    "null": lambda path: path.write_text("null"),
    "without URL": rewritten(url=...),
    "without time": rewritten(at=...),
    "without document": rewritten(document=...),
    "with a time of text": rewritten(at="yesterday"),
    "with no number as its time": rewritten(at=float("nan")),
    "with a time beyond all times": rewritten(at=10**400),
    "with a document that is not base64": rewritten(document="{}"),
    "with a document without keys": rewritten(document="e30="),
    "with a number as its document": rewritten(document=7),
    "nested without end": lambda path: path.write_text("[" * 100_000),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a symbolic link": lambda path: (path.rename(path.with_suffix(".old")), path.symlink_to("known-keys.old")),
    "a hard link": lambda path: path.with_suffix(".other").hardlink_to(path),
    "a named pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "of another user": pytest.param(
        lambda path: os.chown(path, 65_534, -1),
        marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away"),
    ),
}


@pytest.mark.parametrize("change", NOT_BELIEVED.values(), ids=NOT_BELIEVED)
@pytest.mark.gen_test(timeout=60)
async def test_an_invalid_file_of_known_keys_is_ignored(io_loop, world, host, change):
    """The server starts, and accepts no key of the file."""
    await run_once(world)
    await host.stop()
    change(world.folder / "known-keys.json")
    await start(world)
    answer = await world.call(BALANCE)
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    host.listen()
    await until(lambda: world.holder.keys.age is not None, "the keys are fetched")
    assert (await world.call(BALANCE)).status == 200


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.gen_test(timeout=60)
async def test_a_first_start_without_keys_is_503_until_they_arrive(io_loop, world, host, trouble, monkeypatch):
    monkeypatch.setattr("openholder.gate.jwks.DEADLINE", 0.3)
    await trouble(host)
    await start(world)
    assert world.holder.keys.age is None
    kept = tokens(world, OLD, 1)[0]
    answer = await world.call(BALANCE, token=kept)
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    await host.stop()
    host.document, host.hang = key_set(OLD), False
    host.listen()
    await until(lambda: world.holder.keys.age is not None, "the keys are fetched")  # and no request asks for it
    assert (await world.call(BALANCE, token=kept)).status == 200
