"""Every replay store prevents replays, in servers as they run in production."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from catalogue.rows import Request, invalid_token, mint, ok, send, status
from helpers.commands import run_command
from helpers.people import BALANCE
from helpers.processes import PATIENCE, Server, configuration, free_port, openholder
from helpers.redis_server import RedisServer, skip_without_redis
from helpers.support import SQLITE, World, sample_rows, start_with, write_sqlite
from openholder.config import Configuration
from openholder.errors import ConfigurationError
from openholder.fiskil.signer import DEVELOPMENT_KEY
from openholder.gate.stores.redis import RedisSettings, RedisStore
from openholder.server import app

PASSWORD = "correct-horse-battery"
BENCH = Path(__file__).parents[2] / "bench" / "replay_memory.py"


# -- a Redis server -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    skip_without_redis()
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_redis(tmp_path):
    """Return a function that starts a Redis server, which the test may stop, with given options."""
    skip_without_redis()
    with contextlib.ExitStack() as stack:
        yield lambda *options, **more: stack.enter_context(RedisServer(tmp_path, options, **more))


@pytest.fixture
def bank(tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    return tmp_path


def replay_table(store: str, redis: RedisServer | None = None) -> str:
    """Return the table of the configuration. Redis gets two seconds, since the machine may be busy."""
    url = f'url = "{redis.url}"\ntimeout = 2\n' if redis else ""
    return f'[replay]\nstore = "{store}"\n{url}'


def table_for(store: str, request: pytest.FixtureRequest) -> str:
    return replay_table(store, request.getfixturevalue("redis") if store == "redis" else None)


# -- sending ------------------------------------------------------------------------------------------------------


def send_all(server: Server, tokens: list[str]) -> list[tuple[int, dict[str, str]]]:
    """Send one request with each token, all at the same time, on open connections."""
    return asyncio.run(_send_all(server.port, tokens))


async def _send_all(port: int, tokens: list[str]) -> list[tuple[int, dict[str, str]]]:
    streams = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in tokens))
    for token, (_, writer) in zip(tokens, streams, strict=True):
        writer.write(Request(token).wire())
    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(*(reader.read() for reader, _ in streams))
    for _, writer in streams:
        writer.close()
        await writer.wait_closed()
    heads = [answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n") for answer in answers]
    return [
        (int(first.split()[1]), {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)})
        for first, *lines in heads
    ]


def count_statuses(server: Server, tokens: list[str]) -> Counter[int]:
    return Counter(found for found, _ in send_all(server, tokens))


def check_unavailable(server: Server, token: str) -> None:
    ((found, headers),) = send_all(server, [token])
    assert found == 503
    assert int(headers["retry-after"]) >= 1


def check_works_once(server: Server, token: str) -> None:
    assert [server.call(BALANCE, token=token)[0] for _ in range(2)] == [200, 401]


# -- many at once -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("store", ["memory", "sqlite", "redis"])
def test_one_process_accepts_one_of_fifty_copies(bank, request, store):
    configuration(bank, more=SQLITE + table_for(store, request))
    with Server(bank) as server:
        for _ in range(5):
            assert count_statuses(server, [server.token(BALANCE)] * 50) == {200: 1, 401: 49}


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_two_processes_accept_one_of_fifty_copies(bank, request, store):
    """Repeat until both processes have accepted a token."""
    configuration(bank, listen="workers = 2", more=SQLITE + table_for(store, request))
    with Server(bank) as server, contextlib.ExitStack() as stack:
        stack.callback(server.stop)  # a parent that is killed would leave its workers behind
        server.event("listening on")  # the second worker
        accepted = Counter()
        while sum(accepted.values()) < 5 or len(accepted) < 2:
            assert count_statuses(server, [server.token(BALANCE)] * 50) == {200: 1, 401: 49}
            accepted[server.event("request", status_code=200)["worker"]] += 1
            assert sum(accepted.values()) < 100, "one process did all the work"


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_token_used_on_one_machine_is_used_on_the_other(bank, redis):
    """Two servers share only the Redis server and the key that signs tokens."""
    other = bank / "other"
    other.mkdir()
    configuration(bank, more=SQLITE + replay_table("redis", redis))
    write_sqlite(other / "bank.db", sample_rows())
    configuration(other, more=SQLITE + replay_table("redis", redis))
    with Server(bank) as here:
        here.token(BALANCE)
        shutil.copy(bank / DEVELOPMENT_KEY, other / DEVELOPMENT_KEY)
        with Server(other) as there:
            for one, another in ((here, there), (there, here)):
                token = one.token(BALANCE)
                assert one.call(BALANCE, token=token)[0] == 200
                assert another.call(BALANCE, token=token)[0] == 401
            for _ in range(5):
                token = here.token(BALANCE)
                with ThreadPoolExecutor(2) as pool:
                    found = pool.map(lambda server, t=token: count_statuses(server, [t] * 25), (here, there))
                    assert sum(found, Counter()) == {200: 1, 401: 49}


# -- a restart ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("store", ["sqlite", "redis"])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_used_token_stays_used_after_a_restart(bank, request, store, signum):
    configuration(bank, more=SQLITE + table_for(store, request))
    with Server(bank) as server:
        used, unused = server.token(BALANCE), server.token(BALANCE)
        assert server.call(BALANCE, token=used)[0] == 200
        server.stop(signum)
    with Server(bank) as server:
        assert server.call(BALANCE, token=used)[0] == 401
        check_works_once(server, unused)


# -- an unavailable store -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def store_locked(folder: Path):
    """Lock the file of the SQLite store against all others for the duration of the block."""
    with closing(sqlite3.connect(folder / "replay.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def redis_down(redis: RedisServer):
    """Stop Redis for the duration of the block, then start an empty one."""
    redis.kill()
    yield
    redis.start()


def ask_readiness(server: Server) -> tuple[int, str]:
    """Ask the admin listener whether the server is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_an_unavailable_store_accepts_and_uses_up_no_token(bank, own_redis, store):
    redis = own_redis() if store == "redis" else None
    configuration(bank, more=SQLITE + replay_table(store, redis))
    with Server(bank) as server:
        token = server.token(BALANCE)
        assert server.call(BALANCE)[0] == 200
        assert ask_readiness(server) == (200, "ready\n")
        with store_locked(bank) if redis is None else redis_down(redis):
            for _ in range(2):
                check_unavailable(server, token)
            status, text = ask_readiness(server)
            assert status == 503 and text.startswith("replay store: ")
            assert server.call(BALANCE, token="forged.to.ken")[0] == 401  # needs no store
        check_works_once(server, token)
        assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_locked_file_uses_up_no_waiting_token(bank):
    """A client that gets 503 retries with the same token, which must still be unused."""
    configuration(bank, more=SQLITE + replay_table("sqlite"))
    with Server(bank) as server:
        tokens = [server.token(BALANCE) for _ in range(5)]
        with store_locked(bank):
            answers = send_all(server, tokens)
            assert {found for found, _ in answers} == {503}
            assert all(int(headers["retry-after"]) >= 1 for _, headers in answers)
        assert server.call(BALANCE)[0] == 200  # after everything that was still waiting
        assert count_statuses(server, tokens) == {200: 5}
        assert count_statuses(server, tokens) == {401: 5}


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_full_redis_accepts_and_uses_up_no_token(bank, own_redis):
    redis = own_redis()
    configuration(bank, more=SQLITE + replay_table("redis", redis))
    with Server(bank) as server, redis.client() as client:
        token = server.token(BALANCE)
        client.config_set("maxmemory", 1)
        check_unavailable(server, token)
        client.config_set("maxmemory", 0)
        check_works_once(server, token)
        assert client.dbsize() == 1


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_redis_that_became_a_replica_is_left_for_the_primary(bank, own_redis):
    """It refuses to write, and keeps its connections: only a new one finds where the address leads by then."""
    redis = own_redis()
    configuration(bank, more=SQLITE + replay_table("redis", redis))
    with Server(bank) as server, redis.client() as client:
        assert server.call(BALANCE)[0] == 200
        (before,) = list_callers(client)
        client.replicaof("127.0.0.1", free_port())
        token = server.token(BALANCE)
        check_unavailable(server, token)
        assert list_callers(client) == []
        client.replicaof("NO", "ONE")
        check_works_once(server, token)
        (after,) = list_callers(client)
        assert after != before


def list_callers(client):
    """Return the ids of the connections that last wrote a token, or tried to."""
    return [one["id"] for one in client.client_list() if one["cmd"] == "set"]


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_restarted_redis_costs_no_request(bank, own_redis):
    """Its end is seen before the next token is sent to it."""
    redis = own_redis()
    configuration(bank, more=SQLITE + replay_table("redis", redis))
    with Server(bank) as server:
        assert count_statuses(server, [server.token(BALANCE) for _ in range(20)]) == {200: 20}
        with redis_down(redis):
            pass
        assert count_statuses(server, [server.token(BALANCE) for _ in range(20)]) == {200: 20}


@pytest.mark.gen_test(timeout=60)
async def test_a_full_or_corrupt_file_accepts_and_uses_up_no_token(world: World):
    stores, make_store, unavailable = [], app.make_store, status(503, code="Service/Unavailable")
    (world.folder / "replay.db").write_bytes(b"all the tokens, in my own hand\n" * 100)
    with patch("openholder.server.app.make_store", lambda settings: stores.append(make_store(settings)) or stores[0]):
        await start_with(world, "sqlite", sample_rows())
    here, soon = mint(world), stores[0].lost_before + 30.001  # with the tolerance, just after the loss
    invalid_token(await send(world, here.token(iat=soon - 0.002)))  # it may have been in the corrupt file
    ok(await send(world, here.token(iat=soon)))

    async def fails_closed(token):
        for _ in range(2):
            reply = await send(world, token)
            unavailable(reply)
            assert int(reply.headers["retry-after"]) >= 1

    def limit_pages(pages):
        for connection in (stores[0]._file._impatient, stores[0]._file._patient):
            connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    token = here.token(iat=soon)
    limit_pages(1)  # no further ones
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for number in range(100_000):
            await stores[0].add_if_absent(number.to_bytes(16, "big"), soon + 300)
    await fails_closed(token)
    limit_pages(1_000_000)
    assert [(await send(world, token)).status for _ in range(2)] == [200, 401]

    token = here.token(iat=soon)
    with closing(sqlite3.connect(world.folder / "replay.db")) as other:
        other.execute("ALTER TABLE used RENAME TO away")
        await fails_closed(token)
        other.execute("ALTER TABLE away RENAME TO used")
    assert [(await send(world, token)).status for _ in range(2)] == [200, 401]


# -- a misconfigured Redis ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize(("policy", "errors"), [("allkeys-lru", 1), ("volatile-ttl", 1), ("noeviction", 0)])
def test_a_redis_that_may_evict_is_logged_as_an_error(bank, own_redis, policy, errors):
    configuration(bank, more=SQLITE + replay_table("redis", own_redis("--maxmemory-policy", policy)))
    with Server(bank) as server:
        check_works_once(server, server.token(BALANCE))
        server.stop()
    said = [json.loads(line) for line in server.lines if "may evict" in line]
    assert [(line["level"], policy in line["event"]) for line in said] == [("error", True)] * errors


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize(("appendonly", "warnings"), [("no", 1), ("yes", 0)])
def test_a_redis_that_forgets_at_its_end_is_logged(bank, own_redis, appendonly, warnings):
    redis = own_redis()
    with redis.client() as client:
        client.config_set("appendonly", appendonly)
    configuration(bank, more=SQLITE + replay_table("redis", redis))
    with Server(bank) as server:
        check_works_once(server, server.token(BALANCE))
        server.stop()
    said = [json.loads(line) for line in server.lines if "appendonly" in line]
    assert [line["level"] for line in said] == ["warning"] * warnings


@pytest.mark.subprocess
@pytest.mark.gen_test(timeout=60)
async def test_machines_whose_clocks_differ_accept_no_token_twice(redis):
    """Used where the clock is 20 s ahead, just before it expires there; offered again where the clock is right."""
    settings, now = RedisSettings.model_validate({"url": redis.url, "timeout": 2}), time.time()
    ahead, right = RedisStore(settings, lambda: now + 20), RedisStore(settings, lambda: now)
    for store in (ahead, right):
        await store.open()
    token, expires_at = os.urandom(16), now + 20.5
    assert await ahead.add_if_absent(token, expires_at)
    with redis.client() as client:
        # Not by a pattern: the token's bytes may be signs that mean something in one.
        (left,) = [client.pttl(key) for key in client.scan_iter(b"openholder:*") if key.endswith(token)]
    assert 600_000 < left <= 600_500  # it must live for 20 s at least
    assert not await right.add_if_absent(token, expires_at)
    for store in (ahead, right):
        await store.close()


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_password_in_the_url_is_never_logged(bank, own_redis):
    redis = own_redis(password=PASSWORD)
    configuration(bank, more=SQLITE + replay_table("redis", redis) + '[log]\nlevel = "debug"\n')
    with Server(bank) as server:
        check_works_once(server, server.token(BALANCE))
        redis.kill()
        check_unavailable(server, server.token(BALANCE))
        server.stop()
    assert PASSWORD not in server.log
    ended = openholder("serve", "--dev", cwd=bank)
    assert (ended.returncode, PASSWORD in ended.stdout + ended.stderr) == (4, False)
    redis.start()
    configuration(bank, more=SQLITE + replay_table("redis", redis).replace(PASSWORD, f"{PASSWORD}-not"))
    ended = openholder("serve", "--dev", cwd=bank)
    assert (ended.returncode, PASSWORD in ended.stdout + ended.stderr) == (4, False)


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("workers", [1, 2])
def test_an_unreachable_redis_at_start_exits_with_4(bank, workers):
    skip_without_redis()
    nobody = RedisServer(bank)
    configuration(bank, listen=f"workers = {workers}", more=SQLITE + replay_table("redis", nobody))
    ended = openholder("serve", "--dev", cwd=bank)
    assert ended.returncode == 4
    assert "the replay store cannot be opened" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_redis_that_refuses_commands_at_start_exits_with_4(bank, own_redis):
    """As one does whose protected mode is on, or whose user may do nothing."""
    redis = own_redis()
    with redis.client() as client:
        client.acl_setuser("default", enabled=True, nopass=True, categories=["-@all"])
    configuration(bank, more=SQLITE + replay_table("redis", redis))
    ended = openholder("serve", "--dev", cwd=bank)
    assert ended.returncode == 4
    assert "the replay store cannot be opened" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.subprocess
@pytest.mark.gen_test(timeout=60)
async def test_a_late_reply_is_never_read_as_that_of_another_token(own_redis):
    """Redis stands still, or callers give up, while commands are on their way; used tokens stay used."""
    redis = own_redis()
    store = RedisStore(RedisSettings.model_validate({"url": redis.url, "timeout": 0.05}))
    await store.open()
    expires_at, used = time.time() + 300, [os.urandom(16) for _ in range(20)]
    for token in used:
        while await asyncio.gather(store.add_if_absent(token, expires_at), return_exceptions=True) != [False]:
            pass  # the machine may be busy
    redis.process.send_signal(signal.SIGSTOP)
    fresh = [store.add_if_absent(os.urandom(16), expires_at) for _ in range(20)]
    assert all(isinstance(answer, Exception) for answer in await asyncio.gather(*fresh, return_exceptions=True))
    redis.process.send_signal(signal.SIGCONT)
    for number in range(20):
        uses = [asyncio.create_task(store.add_if_absent(os.urandom(16), expires_at)) for _ in range(5)]
        await asyncio.sleep(number / 10_000)
        for use in uses:
            use.cancel()
        uses += [asyncio.create_task(store.add_if_absent(token, expires_at)) for token in used[:5]]
        answers = await asyncio.gather(*uses, return_exceptions=True)
        assert not any(answer is True for answer in answers[5:])
    await store.close()


# -- the configuration --------------------------------------------------------------------------------------------


def find_mistakes(folder: Path, replay: str, listen: str = "") -> dict[str, str]:
    path = configuration(folder, listen=listen, more=SQLITE + f"[replay]\n{replay}\n")
    try:
        Configuration.load(path)
    except ConfigurationError as exc:
        return {mistake.key: mistake.message for mistake in exc.mistakes}
    return {}


@pytest.mark.parametrize(
    ("replay", "listen", "key", "words"),
    [
        ('store = "redis"', "", "replay.url", ["is missing"]),
        ('store = "redis"\nurl = ""', "", "replay.url", ["empty"]),
        ('store = "redis"\nurl = "redis://h"\npath = "replay.db"', "", "replay.path", ["unknown key"]),
        ('store = "redis"\nurl = "redis://h"\ntimeout = 0', "", "replay.timeout", ["more than 0"]),
        ('store = "sqlite"\nurl = "redis://h"', "", "replay.url", ["unknown key"]),
        ('store = "rediss"', "", "replay.store", ["memory, redis, sqlite", "did you mean 'redis'"]),
        ("store = 7", "", "replay.store", ["expected text"]),
        ('store = "memory"', "workers = 2", "replay.store", ["one process"]),
        ('store = "memory"\npath = "replay.db"', "", "replay.path", ["unknown key"]),
    ],
)
def test_a_mistake_in_the_table_is_named(bank, replay, listen, key, words):
    found = find_mistakes(bank, replay, listen)
    assert list(found) == [key]
    for word in words:
        assert word in found[key]


@pytest.mark.parametrize(
    ("replay", "listen"),
    [
        ("", "workers = 2"),
        ('store = "memory"', ""),
        ('store = "memory"', "workers = 1"),
        ('store = "sqlite"\npath = "used.db"', "workers = 2"),
        ('store = "redis"\nurl = "rediss://user:word@host:6380/1"\nprefix = "bank:"', "workers = 2"),
    ],
)
def test_a_good_table_loads(bank, replay, listen):
    assert find_mistakes(bank, replay, listen) == {}


@pytest.mark.parametrize("url", [f"http://:{PASSWORD}@127.0.0.1", f"redis://:{PASSWORD}/x@127.0.0.1:6379/0", PASSWORD])
def test_a_wrong_url_is_a_mistake_that_hides_its_password(bank, url):
    configuration(bank, more=SQLITE + f'[replay]\nstore = "redis"\nurl = "{url}"\n')
    ended = run_command("serve", cwd=bank)
    assert PASSWORD not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 3
    assert "replay.url" in ended.stderr


# -- a third-party store ------------------------------------------------------------------------------------------

PAPER = """
from pydantic import BaseModel


class PaperSettings(BaseModel):
    path: str
    ink: str = "blue"


class PaperStore:
    reach = "machine"
    Settings = PaperSettings

    def __init__(self, settings):
        self.settings, self.said = settings, []

    async def open(self):
        self.said.append("open")
        return 0.0

    async def close(self):
        written.append((self.settings.ink, self.said))

    async def add_if_absent(self, entry, expires_at):
        if self.settings.ink == "none":
            raise OSError("dry")
        first = (entry,) not in self.said
        self.said.append((entry,))
        return first


written = []
"""


@pytest.fixture
def paper(tmp_path_factory, monkeypatch):
    """Install a distribution with a store for one test."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "openholder_paper.py").write_text(PAPER, encoding="utf-8")
    metadata = folder / "openholder_paper-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: openholder-paper\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[openholder.replay_stores]\npaper = openholder_paper:PaperStore\n")
    monkeypatch.syspath_prepend(folder)
    yield
    sys.modules.pop("openholder_paper", None)


@pytest.mark.gen_test
async def test_a_third_party_store_gets_its_settings(world: World, paper):
    await start_with(world, "sqlite", sample_rows(), tables='store = "paper"\nink = "black"')
    token = world.token(BALANCE)
    assert [(await world.call(BALANCE, token=token)).status for _ in range(2)] == [200, 401]
    await world.stop()
    ((ink, said),) = sys.modules["openholder_paper"].written
    assert (ink, said[0], len(said), len(said[1][0])) == ("black", "open", 3, 16)


@pytest.mark.gen_test
async def test_a_third_party_store_that_fails_accepts_no_token(world: World, paper):
    await start_with(world, "sqlite", sample_rows(), tables='store = "paper"\nink = "none"')
    answer = await world.call(BALANCE)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


def test_third_party_stores_are_listed_among_the_installed(bank, paper):
    found = find_mistakes(bank, 'store = "stone"')
    assert "memory, paper, redis, sqlite" in found["replay.store"]
    assert find_mistakes(bank, 'store = "paper"') == {"replay.path": "is missing: add it"}


# -- cost ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_million_used_tokens_cost_little():
    """A million tokens that expire at the same time: the harder half of the benchmark."""
    command = [sys.executable, str(BENCH), "--expiring", "in one second", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    (figures,) = json.loads(ended.stdout)
    assert figures["entries"] == 1_000_000
    assert figures["bytes_each"] <= 130, figures
    assert figures["filling"] <= 0.05, figures
    assert figures["expiring_at_once"] <= 0.05, figures
