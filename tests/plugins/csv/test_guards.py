"""Guards of the CSV source: what is no complete upload, or cannot be meant, never replaces the current version."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager

import pytest
from pydantic import ValidationError

from openholder import Query, SourceFault
from openholder_csv import CSVSettings, CSVSource, loading
from openholder_csv.files import read_stamp
from openholder_csv.guards import is_marked

CUSTOMERS, ACCOUNTS = Query(collection="customers"), Query(collection="accounts")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Return an empty folder for the files, and put the index beside it."""
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(loading, "MEMORY", tmp_path / "memory")
    (tmp_path / "bank").mkdir()
    return tmp_path / "bank"


def write_rows(folder, number, name="customers", at=None):
    """Write a file of this number of rows, last modified at this time."""
    new = folder.parent / "new"
    new.write_text("id\n" + "".join(f"{name}{row}\n" for row in range(number)), encoding="utf-8")
    touch(new, at)
    new.rename(folder / f"{name}.csv")


def touch(path, at):
    """Set the time of the last modification of a file, which is created if necessary."""
    path.touch()
    if at:
        os.utime(path, (at, at))


@asynccontextmanager
async def open_source(folder, **settings):
    """Open a source of the folder that looks for changes all the time."""
    source = CSVSource("bank", CSVSettings(path=folder, reload=0.01, **settings))
    await source.open()
    try:
        yield source
    finally:
        await source.close()


async def count(source, query=CUSTOMERS):
    """Count the records of a collection."""
    return len((await source.fetch(query)).records)


async def wait_until(condition):
    """Wait until a condition is true."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.005)


async def wait_for_log(caplog, text):
    """Wait until a text has been logged."""

    async def is_logged():
        return text in caplog.text

    await wait_until(is_logged)


# -- rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "before", "now", "reason"),
    [
        (0.9, 10, 9, ""),
        (0.9, 10, 8, "table 'customers' has 8 rows in the new files and 10 in the current version"),
        (0.55, 100, 55, ""),  # 100 * 0.55 is more than 55 as binary floats
        (0.55, 100, 54, "`min_rows_ratio` allows a ratio of 0.55"),
        (1, 3, 3, ""),
        (1, 3, 2, "has 2 rows in the new files and 3 in the current version"),
        (0, 10, 1, ""),
        (0, 10, 0, "table 'customers' has no rows in the new files"),
        (0.9, 1, 20, ""),
        (0.9, 0, 0, ""),
    ],
)
@pytest.mark.gen_test(timeout=30)
async def test_a_file_must_keep_its_part_of_the_rows(io_loop, folder, caplog, ratio, before, now, reason):
    write_rows(folder, before)
    async with open_source(folder, min_rows_ratio=ratio) as source:
        caplog.set_level(logging.INFO)
        write_rows(folder, now)
        await wait_for_log(caplog, reason or "reloaded, serving the new version")
        assert await count(source) == (before if reason else now)


@pytest.mark.gen_test(timeout=30)
async def test_one_short_file_keeps_the_whole_folder_back(io_loop, folder, caplog):
    write_rows(folder, 10)
    write_rows(folder, 10, "accounts")
    async with open_source(folder, min_rows_ratio=0.5) as source:
        write_rows(folder, 4)
        await wait_for_log(caplog, "table 'customers' has 4 rows")
        caplog.clear()
        write_rows(folder, 12, "accounts")
        await wait_for_log(caplog, "table 'customers' has 4 rows")
        assert (await count(source), await count(source, ACCOUNTS)) == (10, 10)
        write_rows(folder, 5)

        async def all_served():
            return (await count(source), await count(source, ACCOUNTS)) == (5, 12)

        await wait_until(all_served)


@pytest.mark.gen_test(timeout=30)
async def test_only_customers_are_refused_when_there_are_none(io_loop, folder):
    write_rows(folder, 2, "accounts")
    async with open_source(folder) as source:
        write_rows(folder, 0, "accounts")

        async def none_left():
            return not await count(source, ACCOUNTS)

        await wait_until(none_left)


@pytest.mark.gen_test(timeout=30)
async def test_each_version_is_compared_with_the_one_before(io_loop, folder, caplog):
    caplog.set_level(logging.INFO)
    write_rows(folder, 100)
    async with open_source(folder, min_rows_ratio=0.5) as source:
        for rows in (60, 30):
            write_rows(folder, rows)

            async def served(rows=rows):
                return await count(source) == rows

            await wait_until(served)
        write_rows(folder, 14)
        await wait_for_log(caplog, "has 14 rows in the new files and 30 in the current version")


# -- the marker ---------------------------------------------------------------------------------------------------


@pytest.mark.gen_test(timeout=30)
async def test_files_without_their_marker_are_not_opened(io_loop, folder):
    write_rows(folder, 1, at=1000)
    for prepare in (lambda: None, lambda: touch(folder / "DONE", 999)):
        prepare()
        with pytest.raises(SourceFault, match="the marker 'DONE' is missing or older than a file"):
            async with open_source(folder, marker="DONE"):
                pass
    touch(folder / "DONE", 1001)
    async with open_source(folder, marker="DONE") as source:
        assert await count(source) == 1


@pytest.mark.gen_test(timeout=30)
async def test_a_new_version_waits_for_its_marker(io_loop, folder, caplog):
    caplog.set_level(logging.INFO)
    write_rows(folder, 1, at=1000)
    write_rows(folder, 1, "accounts", at=1000)
    touch(folder / "DONE", 1001)
    async with open_source(folder, marker="DONE") as source:
        write_rows(folder, 2, at=2000)
        await wait_for_log(caplog, "source bank: files have changed, waiting for the marker 'DONE'")
        write_rows(folder, 2, "accounts", at=2001)
        touch(folder / "DONE", 2000)  # older than one of the two
        assert (await count(source), await count(source, ACCOUNTS)) == (1, 1)
        touch(folder / "DONE", 2001)

        async def both_served():
            counts = await count(source), await count(source, ACCOUNTS)
            assert counts != (2, 1)
            return counts == (2, 2)

        await wait_until(both_served)
        assert caplog.text.count("waiting for the marker") == 1


@pytest.mark.parametrize(
    ("marked", "is_complete"), [(None, False), (1999, False), (2000, False), (2001, True), (2002, True)]
)
def test_a_marker_is_no_older_than_any_file(folder, marked, is_complete):
    write_rows(folder, 1, at=2001)
    write_rows(folder, 1, "accounts", at=1999)
    if marked:
        touch(folder / "DONE", marked)
    assert is_marked(folder, "DONE", read_stamp(CSVSettings(path=folder))) is is_complete


@pytest.mark.gen_test(timeout=30)
async def test_a_marker_is_no_collection(io_loop, folder):
    write_rows(folder, 1, at=1000)
    touch(folder / "done.csv", 1001)
    async with open_source(folder, marker="done.csv") as source:
        assert await count(source) == 1
        assert set(source.collections()) == {"customers"}


@pytest.mark.gen_test(timeout=30)
async def test_a_marked_version_that_cannot_be_read_is_not_served(io_loop, folder, caplog):
    write_rows(folder, 1, at=1000)
    touch(folder / "DONE", 1001)
    async with open_source(folder, marker="DONE") as source:
        (folder / "customers.csv").write_text("id\n1,2\n", encoding="utf-8")
        touch(folder / "DONE", None)
        await wait_for_log(caplog, "customers.csv: line 2: found 2 cells, expected 1")
        assert await count(source) == 1


@pytest.mark.parametrize("settings", [{"marker": "../DONE"}, {"marker": ""}, {"min_rows_ratio": 1.1}])
def test_guards_that_mean_nothing_are_refused(folder, settings):
    with pytest.raises(ValidationError):
        CSVSettings(path=folder, **settings)
