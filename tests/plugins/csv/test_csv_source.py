"""The CSV source: ambiguous files are refused, and a failed reload keeps the current version."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from openholder import Filter, Order, Query, SourceFault
from openholder.config import Configuration
from openholder.errors import Unreachable
from openholder.server.generation import make_sources
from openholder_csv import CSVSettings, CSVSource, heartbeat, loading
from openholder_csv.files import read_stamp
from openholder_csv.heartbeat import Heartbeat
from openholder_csv.loading import load, share_index

HEAD = 'public_url = "https://a.example"\n[fiskil]\nissuer = "a"\njwks_url = "https://a.example/jwks.json"\n'
SOURCE = '[sources.bank]\nkind = "csv"\npath = "bank"\nreload = 0.05\n'
CUSTOMERS = Query(collection="customers")


@pytest.fixture(autouse=True)
def memory(tmp_path_factory, monkeypatch):
    """Put indexes in memory into a folder of their own, and assert that none stays behind."""
    folder = tmp_path_factory.mktemp("memory")
    monkeypatch.setattr(loading, "MEMORY", folder)
    yield
    assert list(folder.glob("*/*")) == []


def write_files(folder, **files):
    """Write files as in production: beside the old ones, then rename them."""
    (folder / "bank").mkdir(exist_ok=True)
    for name, content in files.items():
        replace_file(folder / "bank" / f"{name}.csv", content)


def replace_file(path, content):
    """Write a file beside ``path``, then rename it."""
    new = path.parent.parent / "new"
    new.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(new, path)


def build_sources(folder, more="", **files):
    """Build the sources of a configuration with one folder that contains these files."""
    write_files(folder, **files)
    path = folder / "openholder.toml"
    path.write_text(HEAD + SOURCE + more, encoding="utf-8")
    return make_sources(Configuration.load(path))


async def wait_until(condition):
    """Wait until a condition is true."""
    async with asyncio.timeout(4):
        while not await condition():
            await asyncio.sleep(0.01)


def put_index_on_disk(folder):
    """Return settings that put every index on disk, in its own folder."""
    (folder / "index").mkdir()
    return "memory_bytes = 0\nindex_folder = 'index'\n"


async def assert_refused(folder, reason, more=""):
    """Assert that the folder does not open, for that reason, and that the text contains no value."""
    with pytest.raises(Unreachable) as refusal:
        async with build_sources(folder, more):
            pass
    assert str(refusal.value).startswith(f"source 'bank' cannot be opened: {reason}")
    assert "SECRET" not in str(refusal.value)


def shorten(value):
    """Return the id of a test case: its value, cut to the width of a line."""
    return ascii(value)[:40]


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (b"", "line 1", "no headers"),
        (b"\nid,name\nSECRET,b\n", "line 1", "no headers"),
        (b"\xef\xbb\xbfid,name\nSECRET,b\n", "line 1, column 1", "byte order mark"),
        (b"id,name,id\nSECRET,b,c\n", "line 1, column 3", "repeated"),
        (b"id,name,ID\nSECRET,b,c\n", "line 1, column 3", "repeated"),
        (b"id,name, id\nSECRET,b,c\n", "line 1, column 3", "repeated"),
        (b"id,,name\nSECRET,b,c\n", "line 1, column 2", "empty"),
        (b"id, \nSECRET,b\n", "line 1, column 2", "empty"),
        (b"id,na\0me\nSECRET,b\n", "line 1, column 2", "NUL"),
        (b",".join(b"c%d" % number for number in range(501)), "line 1", "more than 500 columns"),
        (b"id,name\nSECRET,b\0c\n", "line 2, column 2", "NUL"),
        (b"id,name\na,b\nSECRET\n", "line 3", "found 1 cells, expected 2"),
        (b"id,name\na,b\nSECRET,b,c\n", "line 3", "found 3 cells, expected 2"),
        (b"id,name\nSECRET,b,\n", "line 2", "found 3 cells, expected 2"),
        (b"id,name,\nSECRET,b,\n", "line 1, column 3", "empty"),
        (b"Customers of 1 October\nid,name\nSECRET,b\n", "line 2", "found 2 cells, expected 1"),
        (b"sep=;\nid;name\nSECRET;b\n", "line 1", 'set `delimiter = ";"`'),
        (b'id,name\n1,"SECRET \\"b\\" c"\n', "line 2", "expected after"),
        (b"id,name\na,b\n\nSECRET,b\n", "line 3", "found 0 cells, expected 2"),
        (b'id,name\na,"two\nlines"\nSECRET\n', "line 4", "found 1 cells, expected 2"),
        (b'id,name\n"two\nlines",b\0c\n', "line 3, column 2", "NUL"),
        (b'id,name\n"SECRET\n\0","\0"\n', "line 3, column 1", "NUL"),
        (b"id,name\n" + b"1,aaaaaaaaaaaaa\n" * 2000 + b"SECRET,Jos\xe9\n", "line 2002, column 2", "not UTF-8"),
        (b'id,name\n1,"two\r\nSECRET \xff"\r\n', "line 3, column 2", "not UTF-8"),
        (b"id,name\nSECRET,\xed\xb3\xbf\n", "line 2, column 2", "not UTF-8"),
        (b"id,name\nSECRET,b\xc3", "line 2, column 2", "not UTF-8"),
        ("id,name\nSECRET,b\n".encode("utf-16"), "line 1, column 1", "not UTF-8"),
        (b'id,name\nSECRET,"open\n', "line 2, column 2", "never closed"),
        (b'id,name\nSECRET,"open', "line 2, column 2", "never closed"),
        (b'id,name\n"a\r\nb","SECRET\r\nc\r\n', "line 3, column 2", "never closed"),
        (b'id,name\na,b\n"SECRET', "line 3, column 1", "never closed"),
        (b'id,"name\n', "line 1, column 2", "never closed"),
        (b'id,name\n1,"SECRET\n2,"b"\n', "line 3", "the cell starts with a quote on line 2, column 2"),
        (b'id,name\n1,"SECRET\n' + b"2,b\n" * 40_000, "line 2, column 2", "never closed"),
        (b"id,name\nSECRET" + b"," * 4_194_304 + b"\n", "line 2", "more than 4194304 characters"),
        (b'id,name\nSECRET,"a\n"' + b',"\n"' * 1_100_000 + b"\n", "line 2", "more than 4194304 characters"),
        (b'id,name\nSECRET,"closed"b\n', "line 2", "expected after"),
        (b"id,name\nSECRET," + b"x" * 4_194_304 + b"\n", "line 2", "more than 4194304 characters"),
        (b'id,name\nSECRET,"' + b"x" * 4_194_304 + b'"\n', "line 2", "more than 4194304 characters"),
    ],
    ids=shorten,
)
@pytest.mark.gen_test
async def test_an_ambiguous_file_is_refused_with_line_and_column(io_loop, tmp_path, content, place, reason):
    with pytest.raises(Unreachable) as refusal:
        async with build_sources(tmp_path, accounts="id\n1\n", customers=content):
            pass
    assert str(refusal.value).startswith(f"source 'bank' cannot be opened: customers.csv: {place}: ")
    assert reason in str(refusal.value)
    assert "SECRET" not in str(refusal.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a.b.csv", "a_b.csv"), ("a.csv", "a.csv.gz"), ("A.b.csv", "a_b.csv")],
)
@pytest.mark.gen_test
async def test_two_files_for_one_collection_are_refused(io_loop, tmp_path, one, other):
    write_files(tmp_path)
    replace_file(tmp_path / "bank" / one, "id\n1\n")
    replace_file(tmp_path / "bank" / other, gzip.compress(b"id\n2\n"))
    await assert_refused(tmp_path, f"{one} and {other}: two files for one collection")


@pytest.mark.gen_test
async def test_a_named_pipe_is_not_waited_for(io_loop, tmp_path):
    write_files(tmp_path)
    os.mkfifo(tmp_path / "bank" / "customers.csv")
    await assert_refused(tmp_path, "customers.csv: not a regular file")


PACKED = gzip.compress(b"id,name\n" + b"1,SECRET\n" * 1000)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"id,name\n1,SECRET\n", "not a gzip file, or damaged or truncated"),
        (PACKED[:-20], "not a gzip file, or damaged or truncated"),
        (PACKED[:-8] + bytes(8), "not a gzip file, or damaged or truncated"),
        (PACKED[:20] + b"\xff" * 10 + PACKED[30:], "not a gzip file, or damaged or truncated"),
        (PACKED + b"more", "not a gzip file, or damaged or truncated"),
        (b"", "line 1: the file has no headers"),
        (gzip.compress(b"id,name\n1,SECRET\n2\n"), "line 3: found 1 cells, expected 2"),
        (
            gzip.compress(b"id,name\n" + b"1,SECRET\n" * 20_000),
            "larger than `max_bytes` allows (10000 bytes of uncompressed text)",
        ),
    ],
    ids=["not packed", "cut off", "wrong check", "damaged", "more behind", "nothing", "short row", "a bomb"],
)
@pytest.mark.gen_test
async def test_a_gzip_file_that_does_not_decompress_is_refused(io_loop, tmp_path, content, reason):
    write_files(tmp_path)
    replace_file(tmp_path / "bank" / "customers.csv.gz", content)
    await assert_refused(tmp_path, f"customers.csv.gz: {reason}", "max_bytes = 10_000\n")


@pytest.mark.gen_test
async def test_a_file_larger_than_the_limit_is_refused(io_loop, tmp_path):
    write_files(tmp_path, customers="id\n" + "SECRET\n" * 2000)
    await assert_refused(
        tmp_path,
        "customers.csv: larger than `max_bytes` allows (10000 bytes of uncompressed text)",
        "max_bytes = 10_000\n",
    )


@pytest.mark.gen_test
async def test_an_index_on_disk_that_cannot_be_made_is_refused(io_loop, tmp_path):
    sources = build_sources(tmp_path, put_index_on_disk(tmp_path), customers="id\nSECRET\n")
    (tmp_path / "index").rmdir()
    with pytest.raises(Unreachable, match=r"cannot create the index \(FileNotFoundError\)"):
        async with sources:
            pass


@pytest.mark.gen_test
async def test_a_mapped_header_that_does_not_exist_is_refused_by_name(io_loop, tmp_path):
    with pytest.raises(Unreachable, match="table 'accounts' has no column 'Account No'"):
        async with build_sources(tmp_path, '[sources.bank.columns.accounts]\nid = "Account No"\n', accounts="id\n1\n"):
            pass


# -- what is read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (b'"two\nlines"', "two\nlines"),
        (b'"two\r\nlines"', "two\r\nlines"),
        (b'"a,b"', "a,b"),
        (b'"a ""quoted"" word"', 'a "quoted" word'),
        (b"", None),
        (b'""', None),
        (b" ", " "),
        (b"0871", "0871"),
        (b"007.50", "007.50"),
        (b"1e5", "1e5"),
        (b"true", "true"),
        (b"NULL", "NULL"),
        ("José 🏦".encode(), "José 🏦"),
        (b"x" * 200_000, "x" * 200_000),
        (b'"' + b"x," * 200_000 + b'"', "x," * 200_000),
    ],
    ids=shorten,
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("last", [b"", b"end"], ids=["", "no newline at the end"])
@pytest.mark.gen_test
async def test_a_cell_is_unchanged_text_and_an_empty_one_is_absent(io_loop, tmp_path, cell, value, end, last):
    content = b"id,name" + end + b"1," + cell + end + b"2,next" + (b"" if last else end)
    async with build_sources(tmp_path, customers=content) as sources:
        assert (await sources.fetch(CUSTOMERS)).records == [{"id": "1", "name": value}, {"id": "2", "name": "next"}]


@pytest.mark.gen_test
async def test_a_file_of_headers_alone_is_an_empty_collection(io_loop, tmp_path):
    async with build_sources(tmp_path, customers="id,name\n") as sources:
        assert (await sources.fetch(CUSTOMERS)).records == []


@pytest.mark.gen_test
async def test_each_spelling_of_an_id_is_an_id_of_its_own(io_loop, tmp_path):
    ids = [
        "0012",
        "12",
        "12.0",
        "12 ",
        "abc",
        "ABC",
        "06/2000 11",
        "AB+1",
        "a%2F",
        "é1",
        "e\u03011",
        "c\u00a01",
        "x" * 300,
    ]
    async with build_sources(tmp_path, customers="id,name\n" + "".join(f"{one},a\n" for one in ids)) as sources:
        for asked in ids:
            page = await sources.fetch(Query(collection="customers", filters=(Filter("id", "eq", asked),)))
            assert page.records == [{"id": asked, "name": "a"}]


@pytest.mark.gen_test
async def test_a_time_that_is_none_fails_only_its_owner(io_loop, tmp_path):
    rows = "a1,2026-10-01T09:30:00Z\na2,0000-00-00 00:00:00\n"
    since = Filter("postingDateTime", "ge", datetime(2026, 1, 1, tzinfo=UTC))
    order = (Order("postingDateTime", descending=True, reads="instant"),)
    transactions = {"banking.transactions": "accountId,postingDateTime\n" + rows}
    async with build_sources(tmp_path, **transactions) as sources:
        for filters in ((), (since,)):
            query = Query(
                collection="banking.transactions", filters=(Filter("accountId", "eq", "a1"), *filters), order=order
            )
            assert len((await sources.fetch(query)).records) == 1
            with pytest.raises(SourceFault, match="postingDateTime"):
                await sources.fetch(replace(query, filters=(Filter("accountId", "eq", "a2"), since)))


@pytest.mark.parametrize("file", ["banking.transactions", "banking_transactions"])
@pytest.mark.gen_test
async def test_columns_map_headers_that_are_no_members(io_loop, tmp_path, file):
    columns = """
        [sources.bank.columns."banking.transactions"]
        accountId = "Account No"
        amount = 'Amount "$"'
    """
    content = '"Account No","Amount ""$""",description\na1,-5.00,Tea\n'
    async with build_sources(tmp_path, columns, **{file: content}) as sources:
        condition = Filter("accountId", "eq", "a1")
        page = await sources.fetch(Query(collection="banking.transactions", filters=(condition,)))
        assert page.records == [{"description": "Tea", "accountId": "a1", "amount": "-5.00"}]


@pytest.mark.parametrize("file", ["banking.transactions", "banking_transactions"])
@pytest.mark.parametrize("collection", ["banking.transactions", "banking_transactions"])
@pytest.mark.gen_test
async def test_a_mapped_id_has_an_index_under_either_name(io_loop, tmp_path, file, collection):
    write_files(tmp_path, **{file: "Account No,description\na1,Tea\n"})
    columns = {collection: {"accountId": "Account No"}}
    source = CSVSource("bank", CSVSettings(path=tmp_path / "bank", columns=columns))
    await source.open()
    try:
        assert await source.advice(build_query(1)) == []
    finally:
        await source.close()


# -- large files --------------------------------------------------------------------------------------------------


def build_file(rows, version="old"):
    """Build a file with this number of rows, ten for each account."""
    lines = (f"t{number},a{number // 10},{version}\n" for number in range(rows))
    return "transactionId,accountId,version\n" + "".join(lines)


def build_query(number):
    """Build the query for the transactions of an account."""
    return Query(collection="banking.transactions", filters=(Filter("accountId", "eq", f"a{number}"),))


@pytest.mark.gen_test
async def test_a_gzip_file_is_read_as_the_file_in_it(io_loop, tmp_path):
    async with build_sources(tmp_path, customers="id,name\n1,Kim\n") as sources:
        assert (await sources.fetch(CUSTOMERS)).records == [{"id": "1", "name": "Kim"}]
    (tmp_path / "bank" / "customers.csv").unlink()
    replace_file(tmp_path / "bank" / "customers.csv.gz", gzip.compress("id,name\n1,José\n".encode()))
    async with build_sources(tmp_path) as sources:
        assert (await sources.fetch(CUSTOMERS)).records == [{"id": "1", "name": "José"}]
        replace_file(tmp_path / "bank" / "customers.csv.gz", gzip.compress(b"id,name\n") + gzip.compress(b"1,Kim\n"))

        async def changed():
            return (await sources.fetch(CUSTOMERS)).records == [{"id": "1", "name": "Kim"}]

        await wait_until(changed)


@pytest.mark.gen_test
async def test_an_index_on_disk_serves_concurrent_queries(io_loop, tmp_path):
    async with build_sources(
        tmp_path, put_index_on_disk(tmp_path), **{"banking.transactions": build_file(5000)}
    ) as sources:
        pages = await asyncio.gather(*(sources.fetch(build_query(number)) for number in range(0, 500, 10)))
        assert [page.records[0]["transactionId"] for page in pages] == [
            f"t{number * 10}" for number in range(0, 500, 10)
        ]
        assert {len(page.records) for page in pages} == {10}


@pytest.mark.slow
@pytest.mark.gen_test
async def test_the_event_loop_runs_while_a_large_file_is_loaded(io_loop, tmp_path):
    sources = build_sources(tmp_path, put_index_on_disk(tmp_path), **{"banking.transactions": build_file(100_000)})
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with sources:
        ticking.cancel()
        # It takes hundreds of milliseconds, or as many ticks. Work on the loop's own thread would leave two or three.
        assert ticks > 20
        assert len((await sources.fetch(build_query(9999))).records) == 10


@pytest.mark.gen_test
async def test_a_long_load_logs_progress_without_values(io_loop, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(heartbeat, "FIRST", 0.0)
    monkeypatch.setattr(heartbeat, "NEXT", 0.0)
    caplog.set_level(logging.INFO)
    async with build_sources(tmp_path, **{"banking.transactions": build_file(20_000, "SECRET")}):
        texts = [record.getMessage() for record in caplog.records if record.name == "openholder.progress"]
    assert any(re.fullmatch(r"source bank: banking\.transactions\.csv: \d+,\d{3} lines read", text) for text in texts)
    assert "source bank: banking.transactions.csv: all 20,001 lines read, indexing" in texts
    assert re.fullmatch(r"source bank: 0 MiB of text read in \d+\.\d s", texts[-1])
    assert "SECRET" not in caplog.text


@pytest.mark.gen_test
async def test_a_short_load_logs_nothing(io_loop, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    async with build_sources(tmp_path, customers="id\n1\n"):
        assert "openholder.progress" not in {record.name for record in caplog.records}


@pytest.mark.gen_test
async def test_a_cancelled_load_ends_at_once_and_leaves_nothing(io_loop, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(heartbeat, "FIRST", 0.0)
    monkeypatch.setattr(heartbeat, "NEXT", 0.0)
    caplog.set_level(logging.INFO)

    async def reading():
        return "lines read" in caplog.text

    write_files(tmp_path, **{"banking.transactions": build_file(200_000)})
    (tmp_path / "index").mkdir()
    settings = CSVSettings(path=tmp_path / "bank", memory_bytes=0, index_folder=tmp_path / "index")
    loading = asyncio.create_task(load("bank", settings, read_stamp(settings)))
    await wait_until(reading)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert "MiB of text read" not in caplog.text
    given_up = Heartbeat("bank")
    given_up.stop()
    with pytest.raises(SourceFault, match=r"banking\.transactions\.csv: interrupted"):
        await asyncio.to_thread(share_index, settings, read_stamp(settings), given_up)
    assert list((tmp_path / "index").glob("*/*")) == []


# -- changes ------------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_a_changed_file_is_served_soon(io_loop, tmp_path):
    async with build_sources(tmp_path, customers="id\nold\n") as sources:
        assert (await sources.fetch(CUSTOMERS)).records == [{"id": "old"}]
        write_files(tmp_path, customers="id\nnew\n")

        async def changed():
            return (await sources.fetch(CUSTOMERS)).records == [{"id": "new"}]

        await wait_until(changed)


@pytest.mark.gen_test
async def test_a_file_overwritten_in_place_is_served_soon(io_loop, tmp_path):
    async with build_sources(tmp_path, customers="id\nold\n") as sources:
        path = tmp_path / "bank" / "customers.csv"
        before = path.stat()
        with path.open("r+b") as file:  # as rsync --inplace does: the same file, as long as before
            file.write(b"id\nnew\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

        async def changed():
            return (await sources.fetch(CUSTOMERS)).records == [{"id": "new"}]

        await wait_until(changed)


@pytest.mark.gen_test
async def test_a_link_to_another_folder_is_a_new_version(io_loop, tmp_path):
    for name in ("monday", "tuesday"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "customers.csv").write_text(f"id\n{name}\n", encoding="utf-8")
    (tmp_path / "bank").symlink_to("monday")
    async with build_sources(tmp_path) as sources:
        (tmp_path / "new link").symlink_to("tuesday")
        os.replace(tmp_path / "new link", tmp_path / "bank")

        async def changed():
            return (await sources.fetch(CUSTOMERS)).records == [{"id": "tuesday"}]

        await wait_until(changed)


@pytest.mark.gen_test
async def test_a_file_added_later_is_served_too(io_loop, tmp_path):
    async with build_sources(tmp_path, customers="id\n1\n") as sources:
        write_files(tmp_path, accounts="id\na1\n")

        async def served():
            return sources.find_source("accounts") is not None

        await wait_until(served)
        assert (await sources.fetch(Query(collection="accounts"))).records == [{"id": "a1"}]


@pytest.mark.gen_test
async def test_a_missing_file_or_column_keeps_the_current_version(io_loop, tmp_path, caplog):
    def logs_missing(table, column):
        async def logged():
            return f"table {table!r}: column {column!r} is missing from the new files" in caplog.text

        return logged

    async with build_sources(tmp_path, customers="id,name\nold,a\n", accounts="id\n1\n") as sources:
        write_files(tmp_path, customers="id\nnew\n")
        await wait_until(logs_missing("customers", "name"))
        write_files(tmp_path, customers="id,name\nnew,b\n")
        (tmp_path / "bank" / "accounts.csv").unlink()
        await wait_until(logs_missing("accounts", "id"))
        assert (await sources.fetch(Query(collection="accounts"))).records == [{"id": "1"}]


@pytest.mark.gen_test
async def test_a_broken_change_keeps_the_current_version_and_is_logged(io_loop, tmp_path, caplog):
    async with build_sources(tmp_path, customers="id,name\nold,a\n", accounts="id\n1\n") as sources:
        write_files(tmp_path, accounts="id\n2\n", customers="id,name\nSECRET\n")

        async def logged():
            return [record for record in caplog.records if record.levelno == logging.ERROR]

        await wait_until(logged)
        assert "customers.csv: line 2" in caplog.text
        assert "SECRET" not in caplog.text
        # Files are read together: a good one beside a broken one waits for it.
        assert (await sources.fetch(CUSTOMERS)).records == [{"id": "old", "name": "a"}]
        assert (await sources.fetch(Query(collection="accounts"))).records == [{"id": "1"}]
        write_files(tmp_path, customers="id,name\nnew,b\n")

        async def repaired():
            return (await sources.fetch(CUSTOMERS)).records == [{"id": "new", "name": "b"}]

        await wait_until(repaired)
        assert (await sources.fetch(Query(collection="accounts"))).records == [{"id": "2"}]


@pytest.mark.slow
@pytest.mark.gen_test(timeout=60)
async def test_queries_during_a_reload_get_old_rows_or_new_ones(io_loop, tmp_path):
    def build_version(name):
        return "id,version\n" + "".join(f"{number},{name}\n" for number in range(1000))

    async with build_sources(tmp_path, customers=build_version("old")) as sources:

        async def ask():
            return {record["version"] for record in (await sources.fetch(CUSTOMERS)).records}

        async def ask_until_new():
            answers = [await ask()]
            while answers[-1] != {"new"}:  # answers at once still let the reload have its turns
                answers.append(await ask())
            return answers

        callers = [asyncio.create_task(ask_until_new()) for _ in range(4)]
        assert await ask() == {"old"}
        write_files(tmp_path, customers=build_version("new"))
        async with asyncio.timeout(30):  # a guard, not a measure
            for answers in await asyncio.gather(*callers):
                assert answers[0] == {"old"}
                assert all(answer in ({"old"}, {"new"}) for answer in answers)
