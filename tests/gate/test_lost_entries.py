"""The SQLite file of used tokens is damaged, moved or deleted, or the clock jumps: no token is accepted twice."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import shutil
import signal
import sqlite3
import stat
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest

from helpers.clocks import Clock
from helpers.people import BALANCE
from helpers.processes import Server, configuration
from helpers.support import ISSUER, SQLITE, sample_rows, write_sqlite
from helpers.tokens import Mint
from openholder.gate import CannotJudge, Gate, Refused, TokenFacts
from openholder.gate.fetching import FetchedDocument
from openholder.gate.jwks import JWKSCache
from openholder.gate.stores import lock_file, replay_file
from openholder.gate.stores import sqlite as sqlite_store
from openholder.gate.stores.replay_file import SLICES, SLICES_A_SECOND
from openholder.gate.stores.sqlite import SQLiteSettings, SQLiteStore
from openholder.settings import Fiskil

NOW = 1_800_000_000
BASE = "https://api.examplebank.example"
PARTS = ("", "-wal", "-shm")


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "replay.db"


@pytest.fixture(autouse=True)
def quick_upkeep(monkeypatch):
    """Look at the file every 10 ms, and delete as often."""
    monkeypatch.setattr(sqlite_store, "TICK", 0.01)
    monkeypatch.setattr(sqlite_store, "INTERVAL", 0.01)
    monkeypatch.setattr(sqlite_store, "REOPEN_PAUSE", 0.05)


class Worker:
    """A gate with its store, as one process has them."""

    def __init__(self, path, clock, signer, **settings) -> None:
        async def fetch() -> FetchedDocument:
            return FetchedDocument(signer.jwks())

        fiskil = Fiskil(issuer=ISSUER, jwks_url="https://fiskil.example/jwks.json", **settings)
        self.store = SQLiteStore(SQLiteSettings(path=path), clock)
        self.clock, self._fiskil, self._keys = clock, fiskil, JWKSCache(fetch, refresh=300, max_stale=86_400)

    async def start(self) -> None:
        lost_before = await self.store.open()
        self.gate = Gate(self._fiskil, [BASE], self._keys, self.store, self.clock, lost_before)

    async def admit(self, token: str) -> bool | None:
        """Return whether the token is accepted; None if the gate cannot decide (503)."""
        try:
            await self.gate.admit([f"Bearer {token}"], BALANCE, TokenFacts())
        except Refused:
            return False
        except CannotJudge:
            return None
        return True


@pytest.fixture
def workers(path, clock, signer):
    """Return a context manager that starts workers on the one file, all at the same time."""

    @asynccontextmanager
    async def start(number=2, **settings):
        async with AsyncExitStack() as stack:
            found = [Worker(path, clock, signer, **settings) for _ in range(number)]
            for worker in found:
                stack.push_async_callback(worker.store.close)
            await asyncio.gather(*(worker.start() for worker in found))
            yield found

    return start


@pytest.fixture
def mint(signer, clock):
    class ClockMint(Mint):
        @property
        def now(self) -> int:
            return int(clock.now)

    return ClockMint(signer, BASE)


async def use_tokens(workers, mint, number=6) -> list[str]:
    """Use tokens, each at one of the workers."""
    tokens = [mint.token(exp=mint.now + 600) for _ in range(number)]
    assert [await worker.admit(token) for token, worker in zip(tokens, itertools.cycle(workers), strict=False)] == [
        True
    ] * number
    return tokens


async def wait_until_all_decide(workers, mint) -> None:
    async with asyncio.timeout(20):
        while None in [await worker.admit(mint.token()) for worker in workers]:
            await asyncio.sleep(0.005)


async def check_used_up(workers, tokens) -> None:
    """Nobody accepts them. 503 is as good as 401."""
    answers = {await worker.admit(token) for worker in workers for token in tokens}
    assert True not in answers


async def check_fresh_tokens_work_once(workers, mint, clock) -> None:
    """Within a minute, and at one worker only."""
    clock.now += 31
    for _ in range(4):
        token = mint.token()
        answers = await asyncio.gather(*(worker.admit(token) for worker in [*workers, *workers]))
        assert sorted(answers) == [False] * (2 * len(workers) - 1) + [True]


# -- what may happen to a file ------------------------------------------------------------------------------------


def parts(path):
    return [file for file in (path.with_name(path.name + suffix) for suffix in PARTS) if file.exists()]


def overwrite(path):
    for file in parts(path)[1:]:
        file.unlink()
    path.write_bytes(os.urandom(100) + path.read_bytes()[100:])


def damage_a_page(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 2048 * 2048)
        file.write(os.urandom(2048))


def move(path):
    for file in parts(path):
        file.rename(file.with_name("away-" + file.name))


def move_with_lock(path):
    for file in [*parts(path), replay_file.name_lock(path)]:
        file.rename(file.with_name("away-" + file.name))


def delete(path):
    for file in parts(path):
        file.unlink()


def delete_only_the_file(path):
    path.unlink()


def delete_with_lock(path):
    delete(path)
    replay_file.name_lock(path).unlink()


def empty(path):
    with path.open("r+b") as file:
        file.truncate(0)


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def exchange(path):
    """Put a good file in its place that knows nothing."""
    delete(path)
    shutil.copy(path.with_name("backup.db"), path)


def fill(path, clock) -> None:
    """Make a file large enough to be halved, and a copy of it as it is now."""
    file = replay_file.open_file(path, clock)
    file.add_all([(os.urandom(16), NOW + 3000) for _ in range(2000)])
    file.close()
    shutil.copy(path, path.with_name("backup.db"))


DAMAGE = (move, move_with_lock, delete, delete_only_the_file, delete_with_lock, empty, truncate, exchange)


@pytest.mark.parametrize("harm", DAMAGE)
@pytest.mark.gen_test(timeout=60)
async def test_a_file_lost_in_use_is_noticed_by_all_workers(workers, path, clock, mint, caplog, harm):
    fill(path, clock)
    async with workers() as running:
        tokens = await use_tokens(running, mint)
        await asyncio.sleep(0.03)  # the workers have looked at it
        harm(path)
        await check_used_up(running, tokens)
        async with asyncio.timeout(10):
            while any(worker.store.lost_before == 0 for worker in running):
                await asyncio.sleep(0.005)
        await wait_until_all_decide(running, mint)
        assert [worker.store.lost_before for worker in running] == [NOW, NOW]
        await check_used_up(running, tokens)
        await check_fresh_tokens_work_once(running, mint, clock)
    critical = [one.message for one in caplog.records if one.levelno == logging.CRITICAL]
    assert any("refusing all requests" in message for message in critical)
    assert any("refusing tokens issued before now" in message for message in critical)


@pytest.mark.parametrize("harm", [*(one for one in DAMAGE if "lock" not in one.__name__), overwrite, damage_a_page])
@pytest.mark.gen_test(timeout=60)
async def test_a_file_lost_between_starts_is_known_ever_after(workers, path, clock, mint, harm):
    fill(path, clock)
    async with workers() as running:
        tokens = await use_tokens(running, mint)
    clock.now += 5
    harm(path)
    for start in range(3):
        async with workers() as running:
            assert [worker.store.lost_before for worker in running] == [NOW + 5] * 2
            await check_used_up(running, tokens)
            if start == 2:
                await check_fresh_tokens_work_once(running, mint, clock)
        clock.now += 1


@pytest.mark.parametrize("harm", [overwrite, damage_a_page])
@pytest.mark.gen_test(timeout=60)
async def test_damage_that_a_new_worker_finds_is_known_to_others(workers, path, clock, mint, harm):
    fill(path, clock)
    async with workers(1) as (old,):
        tokens = await use_tokens([old], mint)
        harm(path)
        async with workers(1) as (new,):
            await wait_until_all_decide([old, new], mint)
            await check_used_up([old, new], tokens)
            await check_fresh_tokens_work_once([old, new], mint, clock)


@pytest.mark.gen_test(timeout=60)
async def test_a_new_file_waits_until_nobody_uses_the_old_one(workers, path, clock, mint, monkeypatch):
    """The old worker is idle and has not looked: a new one must not begin a second record beside it."""
    monkeypatch.setattr(sqlite_store, "TICK", 60)
    monkeypatch.setattr(sqlite_store, "INTERVAL", 60)
    async with workers(1) as (old,):
        (token,) = await use_tokens([old], mint, 1)
        move(path)
        new = Worker(path, clock, mint.signer)
        starting = asyncio.create_task(new.start())
        await asyncio.wait([starting], timeout=0.3)
        assert not starting.done()
        old.store._looked_at = 0  # some time has passed
        assert await old.admit(mint.token()) is None
        await starting
        await wait_until_all_decide([old, new], mint)
        await check_used_up([old, new], [token])
        await check_fresh_tokens_work_once([old, new], mint, clock)
        await new.store.close()


@pytest.mark.gen_test(timeout=60)
async def test_a_start_waits_in_vain_for_a_worker_that_hangs(workers, path, clock, monkeypatch):
    monkeypatch.setattr(sqlite_store, "TICK", 60)
    monkeypatch.setattr(sqlite_store, "INTERVAL", 60)
    async with workers(1):
        move(path)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(replay_file.open_file, path, clock, 0.2)
        assert not path.exists()


@pytest.mark.gen_test(timeout=60)
async def test_only_the_first_start_has_lost_nothing(workers, path, clock, mint):
    async with workers() as running:
        assert [worker.store.lost_before for worker in running] == [0, 0]
        (token,) = await use_tokens(running, mint, 1)
    async with workers() as running:
        assert [worker.store.lost_before for worker in running] == [0, 0]
        await check_used_up(running, [token])
    delete_with_lock(path)
    async with workers() as running:
        assert [worker.store.lost_before for worker in running] == [0, 0]


@pytest.mark.gen_test(timeout=60)
async def test_an_empty_file_at_the_first_start_is_a_loss(workers, path):
    path.touch()
    async with workers() as running:
        assert [worker.store.lost_before for worker in running] == [NOW, NOW]


@pytest.mark.gen_test(timeout=60)
async def test_a_file_of_version_0_1_goes_on(workers, path, mint):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL;"
            "CREATE TABLE used (entry BLOB PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID;"
            "CREATE INDEX used_expires ON used (expires);"
        )
    async with workers() as running:
        assert [worker.store.lost_before for worker in running] == [0, 0]
        await use_tokens(running, mint)


@pytest.mark.gen_test(timeout=60)
async def test_a_renamed_file_never_replaces_another_one(workers, path):
    for content in (b"one", b"two", b"three"):
        path.write_bytes(content * 1000)
        async with workers(1):
            pass
    broken = [file.read_bytes()[:3] for file in path.parent.glob("replay.db.broken-*")]
    assert sorted(broken) == [b"one", b"thr", b"two"]


@pytest.mark.gen_test(timeout=60)
async def test_a_loss_that_cannot_be_told_is_told_later(workers, path, clock, mint, monkeypatch):
    """The lock file cannot be written at first: nobody is let in until it can."""
    fill(path, clock)
    tries = itertools.count(1)

    def declare_lost(lock):
        if next(tries) < 3:
            raise OSError("no space left")
        lock_file.declare_lost(lock)

    monkeypatch.setattr(sqlite_store, "declare_lost", declare_lost)
    async with workers(1) as (worker,):
        tokens = await use_tokens([worker], mint)
        delete(path)
        worker.store._looked_at = 0
        assert await worker.admit(mint.token()) is None
        await wait_until_all_decide([worker], mint)
        assert next(tries) == 4
        await check_used_up([worker], tokens)
        await check_fresh_tokens_work_once([worker], mint, clock)


# -- a power cut --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.gen_test(timeout=60)
async def test_a_start_after_a_power_cut_counts_as_a_loss(workers, path, clock, mint, monkeypatch, closed):
    """The machine has started anew. If the last process closed the file, nothing is missing."""
    monkeypatch.setattr(replay_file, "read_boot_id", lambda: "yesterday")
    async with workers() as running:
        tokens = await use_tokens(running, mint)
        kept = {file: file.read_bytes() for file in [*parts(path), replay_file.name_lock(path)]}
    if not closed:
        for file, content in kept.items():
            file.write_bytes(content)
    monkeypatch.setattr(replay_file, "read_boot_id", lambda: "today")
    clock.now += 60
    async with workers() as running:
        assert [worker.store.lost_before for worker in running] == [0 if closed else NOW + 60] * 2
        await check_used_up(running, tokens)


@pytest.mark.gen_test(timeout=60)
async def test_a_kill_without_a_power_cut_loses_nothing(workers, path, mint):
    async with workers(1) as (worker,):
        tokens = await use_tokens([worker], mint)
        kept = {file: file.read_bytes() for file in [*parts(path), replay_file.name_lock(path)]}
    for file, content in kept.items():
        file.write_bytes(content)
    async with workers() as running:
        assert [worker.store.lost_before for worker in running] == [0, 0]
        await check_used_up(running, tokens)


# -- clocks -------------------------------------------------------------------------------------------------------


async def let_entries_be_deleted(running) -> None:
    """Wait until the worker has deleted what its clock says has expired."""
    clock = running[0].clock
    reads = clock.reads
    async with asyncio.timeout(20):
        while clock.reads < reads + 4 * len(running):
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("restart", ["none", "ahead", "back"])
@pytest.mark.parametrize("traffic", [True, False])
@pytest.mark.parametrize("seconds", [250, 400, 5000])
@pytest.mark.gen_test(timeout=60)
async def test_a_clock_that_runs_ahead_for_a_while(workers, clock, mint, seconds, traffic, restart):
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(workers())
        tokens = [mint.token() for _ in range(4)]
        assert [await running[0].admit(token) for token in tokens] == [True] * 4
        clock.now += seconds
        if restart == "ahead":
            await stack.aclose()
            running = await stack.enter_async_context(workers())
        await let_entries_be_deleted(running)
        if traffic:
            assert await running[0].admit(mint.token())
        if restart == "back":
            await stack.aclose()
        clock.now = NOW + 1
        if restart == "back":
            running = await stack.enter_async_context(workers())
        for _ in range(2):
            await check_used_up(reversed(running), tokens)
        clock.now = NOW + 40  # a large step back has made the workers refuse older tokens; fresh ones work
        await wait_until_all_decide(running, mint)
        answers = [await worker.admit(token) for token in [mint.token()] for worker in running]
        assert answers in ([True, False], [False, False])
        clock.now = NOW + 400
        assert await running[1].admit(mint.token())


@pytest.mark.gen_test(timeout=60)
async def test_a_raised_tolerance_makes_no_used_token_valid(workers, clock, mint):
    async with workers(1, clock_tolerance=30) as running:
        token = mint.token(exp=NOW + 60)
        assert await running[0].admit(token)
        clock.now = NOW + 355
        await let_entries_be_deleted(running)
    async with workers(1, clock_tolerance=300) as running:
        assert await running[0].admit(token) is False


@pytest.mark.gen_test(timeout=60)
async def test_a_token_issued_ahead_of_our_clock_counts_as_lost(workers, path, mint):
    async with workers(1) as (worker,):
        token = mint.token(iat=NOW + 20)
        assert await worker.admit(token)
    overwrite(path)
    async with workers(1) as (worker,):
        assert await worker.admit(token) is False


@pytest.mark.gen_test(timeout=60)
async def test_a_loss_noted_by_a_clock_far_ahead_does_not_last(workers, path, clock, mint):
    clock.now = NOW + 86_400
    path.touch()
    async with workers(1) as (worker,):
        assert worker.store.lost_before == NOW + 86_400
    clock.now = NOW
    async with workers(1) as (worker,):
        assert worker.store.lost_before == NOW
        await check_fresh_tokens_work_once([worker], mint, clock)


@pytest.mark.gen_test(timeout=60)
async def test_each_part_of_the_entries_is_visited(workers, path, clock):
    """Expired entries of all slices are deleted while the clock runs, whoever deletes them."""
    async with workers() as (one, other):
        for number in range(SLICES):
            await one.store.add_if_absent(bytes([number]) * 16, NOW)
        file = one.store._file
        for _ in range(0, 700 + SLICES // SLICES_A_SECOND, 10):
            clock.now += 10
            await one.store._run(file.delete_expired)
            await other.store._run(other.store._file.delete_expired)
        ((left,),) = file._execute("SELECT count(*) FROM used").fetchall()
        assert left == 0


# -- who may open the files ---------------------------------------------------------------------------------------


@pytest.mark.gen_test(timeout=60)
async def test_others_can_open_none_of_the_files(workers, path, mint):
    mask = os.umask(0)
    try:
        async with workers() as running:
            await use_tokens(running, mint)
            files = list(path.parent.glob("replay.db*"))
            assert len(files) == 4
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(mask)


@pytest.mark.gen_test(timeout=60)
async def test_a_file_that_others_can_open_is_warned_of(workers, path, caplog):
    async with workers(1):
        assert "chmod 600" not in caplog.text
    path.chmod(0o644)
    async with workers(1):
        assert "chmod 600" in caplog.text


# -- as processes -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_file_moved_under_two_processes_is_noticed(tmp_path):
    """One of them is killed at once. The one in its place waits until the other has noticed."""
    write_sqlite(tmp_path / "bank.db", sample_rows())
    configuration(tmp_path, listen="workers = 2\n", more=SQLITE + '[replay]\npath = "replay.db"\n')
    with Server(tmp_path) as server, ExitStack() as stack:
        stack.callback(server.stop)  # a parent that is killed would leave its workers behind
        server.event("listening on")
        used = [server.token(BALANCE) for _ in range(10)]
        assert {server.call(BALANCE, token=token)[0] for token in used} == {200}
        for file in tmp_path.glob("replay.db*"):
            file.rename(tmp_path / f"away-{file.name}")
        parent = server.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        os.kill(int(children[0]), signal.SIGKILL)
        server.event("the replay store is open again")
        server.event("listening on")
        for token in [*used, *(server.token(BALANCE) for _ in range(10))]:  # the new ones are too near to the loss
            assert [server.call(BALANCE, token=token)[0] for _ in range(4)] == [401] * 4
    assert len([line for line in server.lines if "refusing tokens issued before now" in line]) == 1
