"""The file and what stands beside it: files that are renamed or overwritten, foreign logs, locks, missing rights."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

from openholder import Query, SourceFault, SourceUnavailable
from openholder_sqlite import SQLiteSettings, SQLiteSource
from openholder_sqlite.file_state import Watch, _descriptors

BALANCES = Query(collection="balances")
ROWS = 400
OLD, NEW = "111.00", "555.00"


def build(path, balance, mode="DELETE", rows=ROWS):
    """Build a file, and close it. Files of equal scripts differ in nothing but the values."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "PRAGMA synchronous = OFF; CREATE TABLE spare (x); CREATE TABLE balances (accountId TEXT, current TEXT)"
        )
        connection.executemany("INSERT INTO balances VALUES (?, ?)", [(f"a{n}", balance) for n in range(rows)])
        connection.commit()
        connection.execute(f"PRAGMA journal_mode = {mode}")


def write(path, balance):
    """Open a file as its core banking system does, and commit a change of every row. Nobody copies the log back."""
    core = sqlite3.connect(path, isolation_level=None)
    core.execute("PRAGMA wal_autocheckpoint = 0")
    core.execute("UPDATE balances SET current = ?", (balance,))
    return core


@asynccontextmanager
async def open_file(path, **settings):
    source = SQLiteSource("bank", SQLiteSettings(path=path, connections=2, reload=0.03, **settings))
    await source.open()
    try:
        yield source
    finally:
        await source.close()


async def fetch(source):
    page = source.fetch_now(BALANCES)
    return page or await source.fetch(BALANCES)


async def read(source):
    """Return the one balance that all accounts have."""
    page = await fetch(source)
    assert page.total == len(page.records)
    (balance,) = {row["current"] for row in page.records}
    return balance


async def read_until(source, expected):
    """Read until the new version is served. Before, only the old one may be, or nothing."""
    for _ in range(500):
        with suppress(SourceUnavailable):
            balance = await read(source)
            if balance == expected:
                return
            assert balance == OLD
        await asyncio.sleep(0.01)
    raise AssertionError("the new version is not served")


async def fault_of(source):
    for _ in range(500):
        try:
            await fetch(source)
        except SourceFault as exc:
            return str(exc)
        except SourceUnavailable:
            pass
        await asyncio.sleep(0.01)
    raise AssertionError("no fault")


def rename(new, path):
    new.rename(path)


def overwrite(new, path):
    shutil.copyfile(new, path)


# -- a new file in the place of the old one -----------------------------------------------------------------------


@pytest.mark.parametrize("on_loop", [True, False])
@pytest.mark.parametrize("new_mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("core_closes", [True, False])
@pytest.mark.gen_test
async def test_a_renamed_file_is_read_without_the_log_of_the_former(io_loop, tmp_path, new_mode, core_closes, on_loop):
    """A log stays beside it: SQLite removes none that a reader has open, and none of a writer that has crashed."""
    path = tmp_path / "bank.db"
    build(path, "100.00", "WAL")
    build(tmp_path / "new.db", NEW, new_mode)
    core = write(path, OLD)
    async with open_file(path, on_loop=on_loop) as source:
        assert await read(source) == OLD
        if core_closes:
            core.close()
        assert (tmp_path / "bank.db-wal").stat().st_size
        rename(tmp_path / "new.db", path)
        await read_until(source, NEW)
        for _ in range(5):
            await asyncio.sleep(0.03)
            assert await read(source) == NEW
        opened = {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
        assert core_closes is (str(tmp_path / "bank.db-wal") not in opened)  # only the core may have it open
    core.close()
    if new_mode == "DELETE":
        async with open_file(path, on_loop=on_loop) as source:  # nothing remembered
            assert await read(source) == NEW


@pytest.mark.gen_test
async def test_once_the_foreign_log_is_gone_the_file_has_its_own(io_loop, tmp_path):
    path = tmp_path / "bank.db"
    build(path, "100.00", "WAL")
    build(tmp_path / "new.db", OLD, "WAL")
    write(path, "1.00").close()
    async with open_file(path) as source:
        rename(tmp_path / "new.db", path)
        for _ in range(500):
            if source._current.ignored:
                break
            await asyncio.sleep(0.01)
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"bank.db{suffix}").unlink(missing_ok=True)
        while source._current.ignored:
            await asyncio.sleep(0.01)
        assert await read(source) == OLD
        core = write(path, NEW)
        assert await read(source) == NEW
        core.close()


@pytest.mark.gen_test
async def test_a_log_beside_a_file_without_wal_mode_is_not_read(io_loop, tmp_path, caplog):
    build(tmp_path / "old.db", "100.00", "WAL")
    core = write(tmp_path / "old.db", OLD)
    build(tmp_path / "bank.db", NEW)
    shutil.copyfile(tmp_path / "old.db-wal", tmp_path / "bank.db-wal")
    core.close()
    async with open_file(tmp_path / "bank.db") as source:
        assert await read(source) == NEW
    assert "bank.db-wal belongs to another file and is not read" in caplog.text


@pytest.mark.gen_test
async def test_a_foreign_log_that_is_written_to_is_a_fault(io_loop, tmp_path):
    """Some writer takes it for the log of the new file, or still writes to the old file: nobody can tell."""
    path = tmp_path / "bank.db"
    build(path, "100.00", "WAL")
    build(tmp_path / "new.db", NEW, "WAL")
    core = write(path, OLD)
    async with open_file(path) as source:
        assert await read(source) == OLD
        rename(tmp_path / "new.db", path)
        await read_until(source, NEW)
        core.execute("UPDATE balances SET current = '3.00'")
        assert "bank.db-wal was there before bank.db, and is written to" in await fault_of(source)
        core.close()
        for suffix in ("-wal", "-shm"):
            (tmp_path / f"bank.db{suffix}").unlink(missing_ok=True)
        while source._refusal:
            await asyncio.sleep(0.01)
        assert await read(source) == NEW


# -- a file that is overwritten -----------------------------------------------------------------------------------


@pytest.mark.parametrize("on_loop", [True, False])
@pytest.mark.parametrize("old_mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("new_mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("rows", [ROWS, ROWS * 3])
@pytest.mark.gen_test
async def test_an_overwritten_file_is_read_anew(io_loop, tmp_path, old_mode, new_mode, rows, on_loop):
    """The counter in its header is the same: SQLite takes the pages that it has in memory for those of the file."""
    path = tmp_path / "bank.db"
    build(path, OLD, old_mode)
    build(tmp_path / "new.db", NEW, new_mode, rows)
    async with open_file(path, on_loop=on_loop) as source:
        assert await read(source) == OLD
        version = source._current
        overwrite(tmp_path / "new.db", path)
        await read_until(source, NEW)
        while source._current is version:
            await asyncio.sleep(0.01)
        for _ in range(5):
            await asyncio.sleep(0.03)
            assert len((await fetch(source)).records) == rows
            assert await read(source) == NEW


@pytest.mark.gen_test
async def test_tables_that_moved_within_the_file_are_found(io_loop, tmp_path):
    """The counters say that SQLite wrote it, but the tables are at other places."""
    build(tmp_path / "bank.db", OLD)
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        connection.executescript(
            "CREATE TABLE balances (accountId TEXT, current TEXT); INSERT INTO balances VALUES ('a', '555.00');"
            "CREATE TABLE spare (x)"
        )
        for number in range(9):
            connection.execute("INSERT INTO spare VALUES (?)", (number,))
            connection.commit()
    async with open_file(tmp_path / "bank.db") as source:
        assert await read(source) == OLD
        overwrite(tmp_path / "new.db", tmp_path / "bank.db")
        while True:
            with suppress(SourceUnavailable, SourceFault):
                if (await fetch(source)).total == 1:
                    break
            await asyncio.sleep(0.01)
        assert await read(source) == NEW


@pytest.mark.gen_test
async def test_a_file_that_is_overwritten_under_its_log_is_a_fault(io_loop, tmp_path):
    path = tmp_path / "bank.db"
    build(path, "100.00", "WAL")
    build(tmp_path / "new.db", NEW, "WAL")
    core = write(path, OLD)
    async with open_file(path) as source:
        assert await read(source) == OLD
        core.close()
        overwrite(tmp_path / "new.db", path)
        assert "bank.db has been overwritten, but bank.db-wal has pages of the former" in await fault_of(source)
        (tmp_path / "bank.db-wal").unlink()
        while source._refusal:
            await asyncio.sleep(0.01)
        await read_until(source, NEW)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
@pytest.mark.gen_test
async def test_what_others_commit_makes_no_new_version(io_loop, tmp_path, mode):
    path = tmp_path / "bank.db"
    build(path, "0.00", mode)
    async with open_file(path) as source:
        version = source._current
        core = sqlite3.connect(path, isolation_level=None)
        for number in range(20):
            core.execute("UPDATE balances SET current = ?", (f"{number}.00",))
            if mode == "WAL":
                core.execute("PRAGMA wal_checkpoint(TRUNCATE)" if number % 2 else "PRAGMA wal_checkpoint")
            assert await read(source) == f"{number}.00"
            await asyncio.sleep(0.01)
        core.close()
        assert source._current is version
        with closing(sqlite3.connect(path)) as job:  # a column more
            job.executescript("ALTER TABLE balances ADD COLUMN available TEXT; UPDATE balances SET available = '1.00'")
        while source._current is version:
            await asyncio.sleep(0.01)
        assert (await fetch(source)).records[0]["available"] == "1.00"


def test_descriptors_are_shared_and_closed_by_the_last(tmp_path):
    build(tmp_path / "bank.db", OLD, rows=1)
    before = len(os.listdir("/proc/self/fd"))
    watches = [Watch(tmp_path / "bank.db") for _ in range(3)]
    assert len({watch.look() for watch in watches}) == 1
    assert len(os.listdir("/proc/self/fd")) == before + 1
    for watch in watches:
        watch.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert _descriptors == {}


@pytest.mark.subprocess
@pytest.mark.gen_test
async def test_looking_at_a_file_ends_no_lock_of_its_readers(io_loop, tmp_path):
    """Closing any descriptor of a file ends all locks that the process has on it."""
    path = tmp_path / "bank.db"
    build(path, OLD)
    async with open_file(path) as source:
        connection = source._current._idle[0]
        await connection.execute("BEGIN")
        await connection.execute_fetchall("SELECT * FROM balances LIMIT 1")
        async with open_file(path):  # as a reload of the configuration does
            await asyncio.sleep(0.1)
        command = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN EXCLUSIVE')"
        ended = await asyncio.create_subprocess_exec("python3", "-c", command, stderr=asyncio.subprocess.PIPE)
        _, errors = await ended.communicate()
        assert b"database is locked" in errors
        await connection.rollback()


# -- states that pass, and states that somebody must end ----------------------------------------------------------


@pytest.mark.gen_test
async def test_a_locked_file_is_unavailable_and_says_so_in_time(io_loop, tmp_path):
    build(tmp_path / "bank.db", OLD)
    async with open_file(tmp_path / "bank.db") as source:
        source._current._patience = 0.1
        for connection in source._current._idle:
            await connection.execute("PRAGMA busy_timeout = 100")
        with closing(sqlite3.connect(tmp_path / "bank.db", isolation_level=None)) as job:
            job.execute("BEGIN EXCLUSIVE")
            # More than there are connections: those who wait for one do not wait for its lock as well.
            ends = await asyncio.gather(*[fetch(source) for _ in range(30)], return_exceptions=True)
            assert {(type(end), str(end).removeprefix("table 'balances': "), end.retry_after) for end in ends} == {
                (SourceUnavailable, "the file is locked by another process", 2)
            }
        assert await read(source) == OLD


def test_the_wait_for_a_lock_is_shorter_than_the_timeout():
    for seconds in (0.2, 5.0, 60.0):
        settings = SQLiteSettings(path=Path(__file__)).model_copy(update={"timeout": seconds})
        assert SQLiteSource("bank", settings)._patience * 1.5 < seconds


@pytest.mark.gen_test
async def test_a_file_that_is_locked_when_it_is_opened_is_read_later(io_loop, tmp_path):
    path = tmp_path / "bank.db"
    build(path, OLD)
    build(tmp_path / "new.db", NEW)
    async with open_file(path) as source:
        source._patience = 0.01
        with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as job:
            job.execute("BEGIN EXCLUSIVE")
            rename(tmp_path / "new.db", path)
            await asyncio.sleep(0.1)
            assert await read(source) == OLD
        await read_until(source, NEW)


def make_hot_journal(folder):
    """Copy what a writer has on disk in the middle of a transaction: what is left if it crashes then."""
    build(folder / "core.db", OLD)
    with closing(sqlite3.connect(folder / "core.db", isolation_level=None)) as core:
        core.executescript("PRAGMA cache_size = 1; BEGIN; UPDATE balances SET current = '3.00'")
        core.executemany("INSERT INTO balances VALUES ('a', ?)", [("x" * 500,)] * 200)
        for suffix in ("", "-journal"):
            shutil.copyfile(folder / f"core.db{suffix}", folder / f"bank.db{suffix}")


@pytest.mark.gen_test
async def test_a_hot_journal_says_what_it_is_and_what_to_do(io_loop, tmp_path):
    make_hot_journal(tmp_path)
    with pytest.raises(SourceFault, match=r"a writer has crashed and its -journal .* open the file once for writing"):
        async with open_file(tmp_path / "bank.db"):
            pass
    with closing(sqlite3.connect(tmp_path / "bank.db")) as connection:
        connection.execute("SELECT * FROM balances")
    async with open_file(tmp_path / "bank.db") as source:
        assert await read(source) == OLD


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become a user without write access")
@pytest.mark.gen_test
async def test_wal_mode_without_write_access_says_what_to_do(io_loop):
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        build(folder / "bank.db", OLD, "WAL")
        os.seteuid(65534)
        try:
            with pytest.raises(
                SourceFault, match=r"the file is in WAL mode .* PRAGMA journal_mode=DELETE before it hands"
            ):
                async with open_file(folder / "bank.db"):
                    pass
        finally:
            os.seteuid(0)
    finally:
        shutil.rmtree(folder)


# -- objects that cannot be read ----------------------------------------------------------------------------------

BROKEN = {
    "CREATE TABLE old (x); CREATE VIEW {0} AS SELECT x FROM old; DROP TABLE old": "no such table: main.old",
    "CREATE TABLE t (x); CREATE VIEW {0} AS SELECT sha3(x) AS x FROM t": "no such function: sha3",
    "CREATE TABLE t (x); PRAGMA writable_schema = ON; INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) "
    "VALUES ('table', '{0}', '{0}', 0, 'CREATE VIRTUAL TABLE {0} USING VirtualSpatialIndex(x)')": (
        "no such module: VirtualSpatialIndex"
    ),
}


@pytest.mark.parametrize("name", ["report_old", "banking_payees"])
@pytest.mark.parametrize(("script", "reason"), BROKEN.items())
@pytest.mark.gen_test
async def test_one_broken_object_fails_its_own_queries_alone(io_loop, tmp_path, caplog, script, reason, name):
    build(tmp_path / "bank.db", OLD)
    with closing(sqlite3.connect(tmp_path / "bank.db")) as connection:
        connection.executescript(script.format(name))
    async with open_file(tmp_path / "bank.db") as source:
        assert await read(source) == OLD
        assert name in source.collections()
        with pytest.raises(SourceFault, match=f"{name!r} cannot be read: {reason}$"):
            await fetch_collection(source, name)
    assert f"{name!r} cannot be read: {reason}; its queries fail" in caplog.text


async def fetch_collection(source, name):
    query = Query(collection=name)
    return source.fetch_now(query) or await source.fetch(query)


@pytest.mark.parametrize(("name", "served"), [("report_old", NEW), ("banking_payees", OLD)])
@pytest.mark.gen_test
async def test_a_version_that_can_answer_less_is_kept_back(io_loop, tmp_path, caplog, name, served):
    path = tmp_path / "bank.db"
    build(path, OLD)
    build(tmp_path / "new.db", NEW)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"CREATE TABLE {name} (id TEXT)")
    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        connection.executescript(f"CREATE TABLE old (x); CREATE VIEW {name} AS SELECT x FROM old; DROP TABLE old")
    async with open_file(path) as source:
        rename(tmp_path / "new.db", path)
        while "cannot be read: no such table" not in caplog.text:
            await asyncio.sleep(0.01)
        await read_until(source, served)


@pytest.mark.parametrize("words", [{"tables": {"balances": "v"}}, {"columns": {"balances": {"current": "x"}}}])
@pytest.mark.gen_test
async def test_words_may_name_an_object_that_cannot_be_read(io_loop, tmp_path, words):
    name = "v" if "tables" in words else "balances"
    with closing(sqlite3.connect(tmp_path / "bank.db")) as connection:
        connection.executescript(f"CREATE TABLE old (x); CREATE VIEW {name} AS SELECT x FROM old; DROP TABLE old")
    async with open_file(tmp_path / "bank.db", **words) as source:
        with pytest.raises(SourceFault, match=f"view '{name}' cannot be read: no such table: main.old"):
            await fetch(source)
