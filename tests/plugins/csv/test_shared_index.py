"""The index of a CSV folder: one for all processes, complete, private, and gone with its last reader."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from types import SimpleNamespace

import pytest

from openholder import Query, SourceFault
from openholder_csv import CSVSettings, CSVSource, loading
from openholder_csv.files import read_stamp
from openholder_csv.heartbeat import Heartbeat
from openholder_csv.loading import share_index
from openholder_csv.sharing import delete_leftovers, open_private_folder, share_file


@pytest.fixture
def settings(tmp_path):
    """Return the settings of a folder with one customer, whose index is on disk."""
    (tmp_path / "bank").mkdir()
    (tmp_path / "index").mkdir()
    (tmp_path / "bank" / "customers.csv").write_text("id,name\n1,Kim\n", encoding="utf-8")
    return CSVSettings(path=tmp_path / "bank", memory_bytes=0, index_folder=tmp_path / "index", reload=0.02)


def list_files(settings):
    """Return the files in the private folder of the index folder."""
    return sorted(settings.index_folder.glob("*/*"))


def build_nothing(path):
    """Fail if a file is built."""
    raise AssertionError


def write_text(text, finished=None):
    """Return a function that builds a file of this text, and waits for an event before it is finished."""

    def build(path):
        path.write_text(text, encoding="utf-8")
        if finished:
            assert finished.wait(10)

    return build


def keep_waiting():
    """Wait for another process without end."""


# -- one for all --------------------------------------------------------------------------------------------------


@pytest.mark.gen_test(timeout=30)
async def test_sources_of_the_same_files_share_one_index(io_loop, settings, monkeypatch):
    one, other = CSVSource("one", settings), CSVSource("other", settings)
    await one.open()
    monkeypatch.setattr(loading, "build_index", build_nothing)
    await other.open()
    (index,) = list_files(settings)
    await one.close()
    assert list_files(settings) == [index]
    assert (await other.fetch(Query(collection="customers"))).records == [{"id": "1", "name": "Kim"}]
    await other.close()
    assert list_files(settings) == []


@pytest.mark.parametrize("change", [{"columns": {"customers": {"id": "name"}}}, {"max_bytes": 2048}])
def test_an_index_read_in_another_way_is_another_one(settings, change):
    one = share_index(settings, read_stamp(settings), Heartbeat("one"))
    other = share_index(settings.model_copy(update=change), read_stamp(settings), Heartbeat("other"))
    assert one.path != other.path
    one.release()
    other.release()


@pytest.mark.gen_test(timeout=30)
async def test_each_worker_keeps_its_version_until_it_reloads(io_loop, settings):
    slow, quick = CSVSource("slow", settings.model_copy(update={"reload": 3600})), CSVSource("quick", settings)
    await slow.open()
    await quick.open()
    (settings.path / "customers.csv").write_text("id,name\n2,Lee\n", encoding="utf-8")
    async with asyncio.timeout(20):
        while (await quick.fetch(Query(collection="customers"))).records != [{"id": "2", "name": "Lee"}]:
            await asyncio.sleep(0.01)
    assert (await slow.fetch(Query(collection="customers"))).records == [{"id": "1", "name": "Kim"}]
    assert len(list_files(settings)) == 2
    await slow.close()
    async with asyncio.timeout(20):
        while len(list_files(settings)) > 1:  # the other one may still be closing its old version
            await asyncio.sleep(0.01)
    await quick.close()
    assert list_files(settings) == []


def test_those_who_ask_at_the_same_time_build_once(tmp_path):
    finished, built, files = threading.Event(), [], []

    def build(path):
        built.append(path)
        write_text("rows", finished)(path)

    def ask():
        files.append(share_file(tmp_path, "key", build, keep_waiting))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    finished.set()
    for thread in threads:
        thread.join(10)
    assert len(built) == 1
    assert {file.path for file in files} == {tmp_path / "key.index"}
    for file in files:
        assert file.path.read_text() == "rows"
        file.release()
    assert list(tmp_path.iterdir()) == []


# -- complete -----------------------------------------------------------------------------------------------------


def test_a_half_built_index_has_another_name(tmp_path):
    def build(path):
        assert path != tmp_path / "key.index"
        assert not (tmp_path / "key.index").exists()
        path.write_text("rows", encoding="utf-8")

    share_file(tmp_path, "key", build, keep_waiting).release()


def test_a_failed_build_leaves_nothing_and_the_next_one_builds(tmp_path):
    with pytest.raises(AssertionError):
        share_file(tmp_path, "key", build_nothing, keep_waiting)
    assert list(tmp_path.iterdir()) == []
    share_file(tmp_path, "key", write_text("rows"), keep_waiting).release()


def test_files_that_change_while_they_are_read_are_not_shared(settings, monkeypatch):
    def build_while_it_changes(path, *others):
        (settings.path / "customers.csv").write_text("id,name\n1,Kim\n2,Lee\n", encoding="utf-8")

    monkeypatch.setattr(loading, "build_index", build_while_it_changes)
    with pytest.raises(SourceFault, match="changed while it was being read"):
        share_index(settings, read_stamp(settings), Heartbeat("bank"))
    assert list_files(settings) == []


BUILDER = """
import sys
from pathlib import Path
from openholder_csv.sharing import share_file

def build(path):
    path.write_text("half")
    print("building", flush=True)
    sys.stdin.read()

share_file(Path(sys.argv[1]), "key", build if sys.argv[2] == "build" else lambda path: path.write_text("old"), id)
print("reading", flush=True)
sys.stdin.read()
"""


@pytest.mark.subprocess
@pytest.mark.parametrize("state", ["build", "read"])
def test_a_killed_process_blocks_nobody(tmp_path, state):
    command = [sys.executable, "-c", BUILDER, str(tmp_path), state]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == f"{state}ing\n".encode()
        other.send_signal(signal.SIGKILL)
        other.wait(10)
    assert len(list(tmp_path.iterdir())) == {"build": 2, "read": 1}[state]
    delete_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []
    file = share_file(tmp_path, "key", write_text("rows"), keep_waiting)
    assert file.path.read_text() == "rows"
    file.release()


def test_a_half_built_file_of_a_killed_process_is_built_anew(tmp_path):
    (tmp_path / "key.new").write_text("half", encoding="utf-8")
    (tmp_path / "key.lock").touch()
    file = share_file(tmp_path, "key", write_text("rows"), keep_waiting)
    assert file.path.read_text() == "rows"
    file.release()


def test_who_waits_for_another_process_can_be_stopped(tmp_path):
    finished, started = threading.Event(), threading.Event()

    def build(path):
        started.set()
        write_text("rows", finished)(path)

    def stop():
        raise SourceFault("loading was cancelled")

    builder = threading.Thread(target=lambda: share_file(tmp_path, "key", build, keep_waiting).release())
    builder.start()
    assert started.wait(10)
    with pytest.raises(SourceFault, match="cancelled"):
        share_file(tmp_path, "key", build_nothing, stop)
    finished.set()
    builder.join(10)
    assert list(tmp_path.iterdir()) == []


# -- what is indexed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "settings_of_file", "columns"),
    [
        ("transactionId,accountId,postingDateTime", {}, {"transactionId", "accountId,postingDateTime"}),
        ("transactionId,accountId,amount", {}, {"transactionId", "accountId"}),
        (
            "No,Account,Booked",
            {"columns": {"banking.transactions": {"accountId": "Account", "postingDateTime": "Booked"}}},
            {"Account,Booked"},
        ),
        (
            "No,Account,Booked",
            {"mapping": {"banking.transactions": {"accountId": "Account", "transactionId": "No"}}},
            {"Account", "No"},
        ),
    ],
)
def test_ids_are_indexed_and_those_of_owners_with_the_time(settings, headers, settings_of_file, columns):
    (settings.path / "banking.transactions.csv").write_text(f"{headers}\n", encoding="utf-8")
    settings = CSVSettings(path=settings.path, index_folder=settings.index_folder, memory_bytes=0, **settings_of_file)
    file = share_index(settings, read_stamp(settings), Heartbeat("bank"))
    with closing(sqlite3.connect(file.path)) as connection:
        found = connection.execute(
            "SELECT group_concat(parts.name) FROM sqlite_master AS i, pragma_index_info(i.name) AS parts"
            " WHERE i.type = 'index' AND i.tbl_name = 'banking_transactions' GROUP BY i.name"
        ).fetchall()
    file.release()
    assert {names for (names,) in found} == columns


# -- private, and gone --------------------------------------------------------------------------------------------


def test_only_the_user_can_read_an_index(settings):
    before = os.umask(0)
    try:
        file = share_index(settings, read_stamp(settings), Heartbeat("bank"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    file.release()


def test_a_folder_that_others_can_open_is_refused(tmp_path):
    folder = open_private_folder(tmp_path)
    folder.chmod(0o750)
    with pytest.raises(SourceFault, match="only its owner"):
        open_private_folder(tmp_path)


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    open_private_folder(tmp_path).rmdir()
    (tmp_path / f"openholder-csv-{os.geteuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceFault, match="only its owner"):
        open_private_folder(tmp_path)


def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    open_private_folder(tmp_path)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    (tmp_path / f"openholder-csv-{mine}").rename(tmp_path / f"openholder-csv-{mine + 1}")
    with pytest.raises(SourceFault, match="only its owner"):
        open_private_folder(tmp_path)


def test_leftovers_go_and_what_is_in_use_stays(tmp_path):
    used = share_file(tmp_path, "used", write_text("rows"), keep_waiting)
    for name in ("old.index", "old.new", "old.lock"):
        (tmp_path / name).touch()
    delete_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [used.path]
    used.release()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_leaves_the_file_that_took_the_place_of_its_own(tmp_path):
    file = share_file(tmp_path, "key", write_text("rows"), keep_waiting)
    file.path.unlink()  # as a job that cleans a folder for temporary files does
    other = share_file(tmp_path, "key", write_text("rows"), keep_waiting)
    file.release()
    assert list(tmp_path.iterdir()) == [other.path]
    other.release()


# -- where --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("memory_bytes", "place"), [(13, "index"), (14, "memory")])
def test_small_files_have_their_index_in_memory(settings, tmp_path, monkeypatch, memory_bytes, place):
    monkeypatch.setattr(loading, "MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    file = share_index(
        settings.model_copy(update={"memory_bytes": memory_bytes}), read_stamp(settings), Heartbeat("bank")
    )
    assert file.path.parent.parent == tmp_path / place
    file.release()


@pytest.mark.parametrize(("total", "place"), [(55, "index"), (56, "memory")])
def test_memory_must_hold_two_versions_of_the_index(settings, tmp_path, monkeypatch, total, place):
    monkeypatch.setattr(loading, "MEMORY", tmp_path / "memory")
    monkeypatch.setattr(loading.shutil, "disk_usage", lambda _: SimpleNamespace(total=total))
    (tmp_path / "memory").mkdir()
    file = share_index(settings.model_copy(update={"memory_bytes": 10_000}), read_stamp(settings), Heartbeat("bank"))
    assert file.path.parent.parent == tmp_path / place
    file.release()


def test_the_index_is_on_disk_where_no_file_system_is_in_memory(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "MEMORY", tmp_path / "missing")
    file = share_index(settings.model_copy(update={"memory_bytes": 10_000}), read_stamp(settings), Heartbeat("bank"))
    assert file.path.parent.parent == settings.index_folder
    file.release()


def test_leftovers_go_when_the_index_moves_to_another_place(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    folder = open_private_folder(tmp_path / "memory")
    (folder / "old.index").touch()
    share_index(settings, read_stamp(settings), Heartbeat("bank")).release()
    assert list(folder.iterdir()) == []
