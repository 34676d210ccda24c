"""Replay stores: the first use of a token is True, every further one False, and expired entries are deleted."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing

import pytest

from helpers.clocks import Clock
from openholder.gate.replay import LONGER, digest
from openholder.gate.stores import sqlite as sqlite_store
from openholder.gate.stores.memory import SWEEP, MemoryStore
from openholder.gate.stores.replay_file import SLICES, SLICES_A_SECOND
from openholder.gate.stores.sqlite import SQLiteSettings, SQLiteStore

NOW = 1_800_000_000
LATER = NOW + 300
YEAR = 365 * 86_400
DELETED_AFTER = {MemoryStore: 0.0, SQLiteStore: LONGER + SLICES / SLICES_A_SECOND}
"""Seconds from the expiry of an entry until it has been deleted."""


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def frequent_deletion(monkeypatch):
    """Make SQLite stores delete expired entries every 10 ms instead of every 10 s."""
    monkeypatch.setattr(sqlite_store, "INTERVAL", 0.01)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "replay.db"


@pytest.fixture
def memory(clock):
    return MemoryStore(clock=clock)


@pytest.fixture
def sqlite(io_loop, path, clock, frequent_deletion):
    store = make_store(path, clock)
    io_loop.run_sync(store.open)
    yield store
    io_loop.run_sync(store.close)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, io_loop):
    """Return a store of each kind, with a clock that the test sets."""
    return request.getfixturevalue(request.param)


def make_store(path, clock) -> SQLiteStore:
    return SQLiteStore(SQLiteSettings(path=path), clock)


def entry(number: int) -> bytes:
    return digest("issuer", str(number))


async def wait_until_deleted(store, forgotten: bytes) -> None:
    """Wait until an entry is deleted. Each attempt to add it sets an expiry in the past, so it does no harm."""
    while not await store.add_if_absent(forgotten, NOW - 1):
        await asyncio.sleep(0.005)


# -- digests ------------------------------------------------------------------------------------------------------


def test_a_digest_has_sixteen_bytes_however_long_the_id_is():
    assert {len(digest("issuer", "j" * length)) for length in (1, 256, 1_000_000)} == {16}
    assert digest("issuer", "one") == digest("issuer", "one")


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (("issuer", "jti"), ("issue", "rjti")),
        (("a", "bc"), ("ab", "c")),
        (("issuer", "jti"), ("Issuer", "jti")),
        (("issuer", "jti"), ("issuer", "JTI")),
        (("issuer", "jti"), ("issuer", "jti ")),
        (("issuer", "jti"), ("issuer", "jti\0")),
        (("issuer", "jti\0a"), ("issuer", "jti\0b")),
        (("issuer", "a\0b"), ("issuer", "ab")),
        (("issuer", "\0jti"), ("issuer", "jti")),
        (("issuer", "\u00e9"), ("issuer", "e\u0301")),  # looks the same, but ids are not normalised
    ],
)
def test_tokens_that_differ_have_different_digests(one, another):
    assert digest(*one) != digest(*another)


# -- every store --------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_only_the_first_use_is_true(store):
    assert [await store.add_if_absent(entry(1), LATER) for _ in range(3)] == [True, False, False]


@pytest.mark.gen_test
async def test_the_expiry_is_not_part_of_the_entry(store):
    assert [await store.add_if_absent(entry(1), expires) for expires in (LATER, LATER + 60, NOW + 1)] == [
        True,
        False,
        False,
    ]


@pytest.mark.gen_test
async def test_different_tokens_are_independent(store):
    assert [await store.add_if_absent(entry(number), LATER) for number in range(1000)] == [True] * 1000
    assert [await store.add_if_absent(entry(number), LATER) for number in range(1000)] == [False] * 1000


@pytest.mark.gen_test
async def test_one_of_fifty_concurrent_uses_is_the_first(store):
    uses = await asyncio.gather(*(store.add_if_absent(entry(1), LATER) for _ in range(50)))
    assert sorted(uses) == [False] * 49 + [True]


@pytest.mark.gen_test
async def test_an_entry_is_deleted_only_after_it_has_expired(store, clock):
    early, late = entry(1), entry(2)
    await store.add_if_absent(early, NOW + 10.5)
    await store.add_if_absent(late, NOW + 20.5)
    for seconds in (0, 10, 10.5):
        clock.now = NOW + seconds
        assert not await store.add_if_absent(early, NOW + 10.5)
    clock.now = NOW + 12 + DELETED_AFTER[type(store)]
    await wait_until_deleted(store, early)
    if isinstance(store, MemoryStore):
        assert not await store.add_if_absent(late, NOW + 20.5)
    clock.now += 10
    await wait_until_deleted(store, late)


@pytest.mark.gen_test
async def test_a_clock_set_back_deletes_no_entry_early_or_never(store, clock):
    clock.now = NOW + 100
    await store.add_if_absent(entry(1), NOW + 200)
    await store.add_if_absent(entry(2), NOW + 200)  # all seconds up to now have been swept
    clock.now = NOW
    await store.add_if_absent(entry(3), NOW + 10)
    assert not await store.add_if_absent(entry(1), NOW + 200)
    assert not await store.add_if_absent(entry(3), NOW + 10)
    clock.now = NOW + 202 + DELETED_AFTER[type(store)]
    await wait_until_deleted(store, entry(1))
    await wait_until_deleted(store, entry(3))


# -- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_memory_is_released(memory, clock):
    for second in range(100):
        for number in range(10):
            await memory.add_if_absent(entry(second * 10 + number), NOW + second)
    assert (len(memory), len(memory._wheel)) == (1000, 100)
    clock.now = NOW + 50
    await memory.add_if_absent(entry(-1), LATER)
    assert (len(memory), len(memory._wheel)) == (501, 51)
    clock.now = NOW + 102
    await memory.add_if_absent(entry(-2), LATER)
    assert (len(memory), len(memory._wheel)) == (2, 1)


@pytest.mark.slow
@pytest.mark.gen_test(timeout=60)
async def test_a_million_expired_entries_are_deleted_in_small_steps(memory, clock):
    million = 1_000_000
    for number in range(million):
        await memory.add_if_absent(number.to_bytes(16, "big"), NOW + 1)
    clock.now = NOW + 60
    calls, left = 0, len(memory)
    while left > calls:  # each call adds one entry of its own
        await memory.add_if_absent(entry(calls), LATER)
        calls += 1
        assert left - len(memory) + 1 <= SWEEP
        assert len(memory) < left
        left = len(memory)
    assert million / SWEEP <= calls <= 2 * million / SWEEP


@pytest.mark.gen_test(timeout=60)
async def test_a_clock_that_jumps_by_years_blocks_nothing(memory, clock):
    """A machine without a battery starts in 1970, and gets the time from the network while it serves."""
    await memory.add_if_absent(entry(1), LATER)
    clock.now += YEAR
    started = time.perf_counter()
    assert await memory.add_if_absent(entry(2), clock.now + 300)
    assert time.perf_counter() - started < 1
    assert not await memory.add_if_absent(entry(2), clock.now + 300)
    await wait_until_deleted(memory, entry(1))


# -- SQLite -------------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_a_file_remembers_after_a_restart(io_loop, path, clock):
    for first in (True, False, False):
        store = make_store(path, clock)
        await store.open()
        assert await store.add_if_absent(entry(1), LATER) is first
        await store.close()


@pytest.mark.gen_test
async def test_two_stores_on_one_file_share_their_entries(sqlite, path, clock):
    other = make_store(path, clock)
    await other.open()
    stores = [sqlite, other]
    assert [await store.add_if_absent(entry(1), LATER) for store in stores] == [True, False]
    assert [await store.add_if_absent(entry(2), LATER) for store in reversed(stores)] == [True, False]
    await other.close()


@pytest.mark.gen_test
async def test_a_slow_disk_does_not_hold_the_event_loop(sqlite, monkeypatch):
    monkeypatch.setattr(sqlite_store, "SLOW", -1)
    assert sqlite.add_now(entry(1), LATER) is True
    assert sqlite.add_now(entry(2), LATER) is None  # it is for the thread now
    assert [await sqlite.add_if_absent(entry(number), LATER) for number in (1, 2, 2)] == [False, True, False]


@pytest.mark.gen_test
async def test_what_would_have_to_wait_is_not_answered_at_once(sqlite, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert sqlite.add_now(entry(1), LATER) is None
        connection.execute("ROLLBACK")
    assert [sqlite.add_now(entry(1), LATER) for _ in range(2)] == [True, False]


@pytest.mark.gen_test
async def test_many_expired_rows_are_deleted(sqlite, path, clock):
    await sqlite.add_if_absent(entry(1), LATER)
    clock.now = NOW + DELETED_AFTER[SQLiteStore]
    with closing(sqlite3.connect(path)) as connection:
        with connection:
            rows = ((number.to_bytes(16, "big"), NOW - 1) for number in range(2 * SWEEP + 1))
            connection.executemany("INSERT INTO used VALUES (?, ?)", rows)
        while connection.execute("SELECT count(*) FROM used").fetchone() != (1,):
            await asyncio.sleep(0.005)
    assert not await sqlite.add_if_absent(entry(1), LATER)


@pytest.mark.gen_test
async def test_deletion_continues_after_a_failure(sqlite, path, clock):
    await sqlite.add_if_absent(entry(1), NOW - 1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE used RENAME TO away")
        clock.now = NOW + DELETED_AFTER[SQLiteStore]
        looks = clock.reads
        while clock.reads == looks:  # a deletion reads the clock and then finds no table
            await asyncio.sleep(0.005)
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await sqlite.add_if_absent(entry(2), LATER)
        connection.execute("ALTER TABLE away RENAME TO used")
    await wait_until_deleted(sqlite, entry(1))


@pytest.mark.slow
@pytest.mark.gen_test(timeout=20)
async def test_a_locked_file_is_an_error_never_a_first_use(sqlite, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await sqlite.add_if_absent(entry(1), LATER)
        connection.execute("ROLLBACK")
    assert [await sqlite.add_if_absent(entry(1), LATER) for _ in range(2)] == [True, False]


@pytest.mark.gen_test
async def test_a_file_locked_for_a_moment_is_waited_for(sqlite, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        use = asyncio.create_task(sqlite.add_if_absent(entry(1), LATER))
        await asyncio.wait([use], timeout=0.2)
        assert not use.done()
        connection.execute("ROLLBACK")
    assert await use


@pytest.mark.gen_test
async def test_a_file_that_another_process_creates_is_waited_for(io_loop, path, clock):
    """Two workers start together for the first time: one creates the file, the other finds it locked."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        store = make_store(path, clock)
        opening = asyncio.create_task(store.open())
        await asyncio.wait([opening], timeout=0.2)
        connection.execute("COMMIT")
    await opening
    assert await store.add_if_absent(entry(1), LATER)
    await store.close()


@pytest.mark.gen_test
async def test_a_file_that_cannot_be_used_is_not_opened(io_loop, tmp_path, clock):
    a_folder = tmp_path
    store = make_store(a_folder, clock)
    with pytest.raises(sqlite3.Error):
        await store.open()
    assert not [thread for thread in threading.enumerate() if "replay" in thread.name]


def no_database(path):
    path.write_bytes(b"all the tokens, in my own hand\n" * 100)


def half_a_database(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE used (entry BLOB PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID")
        rows = ((number.to_bytes(16, "big"), LATER) for number in range(1000))
        connection.executemany("INSERT INTO used VALUES (?, ?)", rows)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize("make", [no_database, half_a_database])
@pytest.mark.gen_test
async def test_a_corrupt_file_is_renamed_and_counts_as_lost(io_loop, path, clock, make):
    make(path)
    broken = path.read_bytes()
    store = make_store(path, clock)
    assert await store.open() == NOW
    (aside,) = [file for file in path.parent.iterdir() if file.read_bytes() == broken]
    assert aside != path
    assert [await store.add_if_absent(entry(1), LATER) for _ in range(2)] == [True, False]
    await store.close()
    clock.now += 1000
    again = make_store(path, clock)
    assert await again.open() == NOW
    await again.close()


@pytest.mark.gen_test
async def test_a_closed_store_is_an_error_never_a_first_use(io_loop, path, clock):
    store = make_store(path, clock)
    with pytest.raises(RuntimeError):
        await store.add_if_absent(entry(1), LATER)
    await store.open()
    await store.close()
    with pytest.raises(ValueError, match="closed"):
        await store.add_if_absent(entry(1), LATER)


# -- several processes --------------------------------------------------------------------------------------------

RACER = """
import asyncio, json, sys
from pathlib import Path
from openholder.gate.replay import digest
from openholder.gate.stores.sqlite import SQLiteSettings, SQLiteStore

async def race(path):
    store = SQLiteStore(SQLiteSettings(path=Path(path)))
    await store.open()
    print("ready", flush=True)
    sys.stdin.readline()  # both are open; the parent says when to start
    won = [number for number in range(300) if await store.add_if_absent(digest("issuer", str(number)), 4e9)]
    print(json.dumps(won), flush=True)
    await store.close()

asyncio.run(race(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.subprocess
def test_one_of_two_racing_processes_gets_each_of_300_tokens(path):
    with ExitStack() as stack:
        processes = []
        for _ in range(2):
            command = [sys.executable, "-c", RACER, str(path)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes.append(stack.enter_context(process))
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        won = [json.loads(process.stdout.readline()) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(won[0] + won[1]) == list(range(300))


CLOSER = """
import asyncio, sys
from pathlib import Path
from openholder.gate.stores.sqlite import SQLiteSettings, SQLiteStore

async def use(path):
    store = SQLiteStore(SQLiteSettings(path=Path(path)))
    await store.open()
    await store.add_if_absent(b"used", 4e9)
    await store.close()

asyncio.run(use(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_store_that_is_closed_lets_its_process_end(path):
    """SQLite runs in a separate thread, for which a process waits."""
    ended = subprocess.run([sys.executable, "-W", "error", "-c", CLOSER, str(path)], timeout=30, check=False)
    assert ended.returncode == 0
