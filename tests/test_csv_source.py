"""The CSV source: what cannot be read without guessing is refused, and what was read once serves on."""

from __future__ import annotations

import asyncio
import logging
import os
import re

import pytest

from openholder import Filter, Query
from openholder.config import Configuration
from openholder.errors import Unreachable
from openholder.generation import make_sources

HEAD = 'public_url = "https://a.example"\n[fiskil]\nissuer = "a"\njwks_url = "https://a.example/jwks.json"\n'
SOURCE = '[sources.bank]\nkind = "csv"\npath = "bank"\nreload = 0.05\n'
CUSTOMERS = Query(collection="customers")


def put(folder, **files):
    """Write files as one would in production: beside the old ones, then moved into their place."""
    (folder / "bank").mkdir(exist_ok=True)
    for name, content in files.items():
        new = folder / "new"
        new.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.replace(new, folder / "bank" / f"{name}.csv")


def bank(folder, more="", **files):
    """The sources of a configuration with one folder that holds these files."""
    put(folder, **files)
    path = folder / "openholder.toml"
    path.write_text(HEAD + SOURCE + more, encoding="utf-8")
    return make_sources(Configuration.load(path))


async def until(condition):
    """Wait for something that happens in the background."""
    async with asyncio.timeout(4):
        while not await condition():
            await asyncio.sleep(0.01)


def short(value):
    """What a case is called: its values, as far as a line has room for them."""
    return ascii(value)[:40]


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (b"", "line 1", "no headers"),
        (b"\nid,name\nSECRET,b\n", "line 1", "no headers"),
        (b"\xef\xbb\xbfid,name\nSECRET,b\n", "line 1", "byte order mark"),
        (b"id,name,id\nSECRET,b,c\n", "line 1, column 3", "repeated"),
        (b"id,name,ID\nSECRET,b,c\n", "line 1, column 3", "repeated"),
        (b"id,name, id\nSECRET,b,c\n", "line 1, column 3", "repeated"),
        (b"id,,name\nSECRET,b,c\n", "line 1, column 2", "empty"),
        (b"id, \nSECRET,b\n", "line 1, column 2", "empty"),
        (b"id,na\0me\nSECRET,b\n", "line 1, column 2", "broken"),
        (b",".join(b"c%d" % number for number in range(501)), "line 1", "more than 500 columns"),
        (b"id,name\nSECRET,b\0c\n", "line 2, column 2", "NUL"),
        (b"id,name\na,b\nSECRET\n", "line 3", "1 cells where 2 are expected"),
        (b"id,name\na,b\nSECRET,b,c\n", "line 3", "3 cells where 2 are expected"),
        (b"id,name\na,b\n\nSECRET,b\n", "line 3", "0 cells where 2 are expected"),
        (b'id,name\na,"two\nlines"\nSECRET\n', "line 4", "1 cells where 2 are expected"),
        (b'id,name\nSECRET,"open\n', "line 2", "unexpected end of data"),
        (b'id,name\nSECRET,"closed"b\n', "line 2", "expected after"),
        (b"id,name\nSECRET," + b"x" * 200_000 + b"\n", "line 2", "field limit"),
    ],
    ids=short,
)
@pytest.mark.gen_test
async def test_what_cannot_be_read_without_guessing_is_refused_with_its_place(
    io_loop, tmp_path, content, place, reason
):
    with pytest.raises(Unreachable) as refusal:
        async with bank(tmp_path, accounts="id\n1\n", customers=content):
            pass
    assert str(refusal.value).startswith(f"source 'bank' cannot be opened: customers.csv: {place}: ")
    assert reason in str(refusal.value)
    assert "SECRET" not in str(refusal.value)


@pytest.mark.gen_test
async def test_bytes_that_are_not_utf_8_are_refused_with_about_the_line(io_loop, tmp_path):
    """The file is decoded in blocks of 8 KiB, and the line that is named is the last one before the block."""
    content = b"id,name\n" + b"1,aaaaaaaaaaaaa\n" * 2000 + "SECRET,José\n".encode("latin-1")
    with pytest.raises(Unreachable) as refusal:
        async with bank(tmp_path, customers=content):
            pass
    told = re.search(r"customers\.csv: after line (\d+): not UTF-8$", str(refusal.value))
    assert told and 2002 - 8192 // 16 <= int(told[1]) < 2002


@pytest.mark.gen_test
async def test_two_files_for_one_collection_are_refused(io_loop, tmp_path):
    with pytest.raises(Unreachable, match=r"a_b\.csv: .*already exists"):
        async with bank(tmp_path, **{"a.b": "id\n1\n", "a_b": "id\n2\n"}):
            pass


@pytest.mark.gen_test
async def test_a_mapped_header_that_does_not_exist_is_refused_by_name(io_loop, tmp_path):
    with pytest.raises(Unreachable, match="table 'accounts' has no column 'Account No'"):
        async with bank(tmp_path, '[sources.bank.columns.accounts]\nid = "Account No"\n', accounts="id\n1\n"):
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
        (b"x" * 100_000, "x" * 100_000),
    ],
    ids=short,
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("last", [b"", b"end"], ids=["", "no newline at the end"])
@pytest.mark.gen_test
async def test_a_cell_is_text_as_it_stands_and_an_empty_one_is_absent(io_loop, tmp_path, cell, value, end, last):
    content = b"id,name" + end + b"1," + cell + end + b"2,next" + (b"" if last else end)
    async with bank(tmp_path, customers=content) as sources:
        assert (await sources.fetch(CUSTOMERS)).records == [{"id": "1", "name": value}, {"id": "2", "name": "next"}]


@pytest.mark.gen_test
async def test_a_file_of_headers_alone_is_an_empty_collection(io_loop, tmp_path):
    async with bank(tmp_path, customers="id,name\n") as sources:
        assert (await sources.fetch(CUSTOMERS)).records == []


@pytest.mark.gen_test
async def test_ids_with_leading_zeros_are_ids_of_their_own(io_loop, tmp_path):
    async with bank(tmp_path, customers="id\n0012\n12\n12.0\n") as sources:
        for asked in ("0012", "12", "12.0"):
            page = await sources.fetch(Query(collection="customers", filters=(Filter("id", "eq", asked),)))
            assert page.records == [{"id": asked}]


@pytest.mark.parametrize("file", ["banking.transactions", "banking_transactions"])
@pytest.mark.gen_test
async def test_columns_map_headers_that_are_no_members(io_loop, tmp_path, file):
    columns = """
        [sources.bank.columns."banking.transactions"]
        accountId = "Account No"
        amount = 'Amount "$"'
    """
    content = '"Account No","Amount ""$""",description\na1,-5.00,Tea\n'
    async with bank(tmp_path, columns, **{file: content}) as sources:
        condition = Filter("accountId", "eq", "a1")
        page = await sources.fetch(Query(collection="banking.transactions", filters=(condition,)))
        assert page.records == [{"description": "Tea", "accountId": "a1", "amount": "-5.00"}]


# -- changes ------------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_a_changed_file_is_served_soon(io_loop, tmp_path):
    async with bank(tmp_path, customers="id\nold\n") as sources:
        assert (await sources.fetch(CUSTOMERS)).records == [{"id": "old"}]
        put(tmp_path, customers="id\nnew\n")

        async def changed():
            return (await sources.fetch(CUSTOMERS)).records == [{"id": "new"}]

        await until(changed)


@pytest.mark.gen_test
async def test_a_file_added_later_is_served_too(io_loop, tmp_path):
    async with bank(tmp_path, customers="id\n1\n") as sources:
        put(tmp_path, accounts="id\na1\n")

        async def served():
            return sources.source_of("accounts") is not None

        await until(served)
        assert (await sources.fetch(Query(collection="accounts"))).records == [{"id": "a1"}]


@pytest.mark.gen_test
async def test_a_broken_change_leaves_the_last_good_version_serving_and_is_logged(io_loop, tmp_path, caplog):
    async with bank(tmp_path, customers="id,name\nold,a\n", accounts="id\n1\n") as sources:
        put(tmp_path, accounts="id\n2\n", customers="id,name\nSECRET\n")

        async def logged():
            return [record for record in caplog.records if record.levelno == logging.ERROR]

        await until(logged)
        assert "customers.csv: line 2" in caplog.text
        assert "SECRET" not in caplog.text
        # Files are read together: a good one beside a broken one waits for it.
        assert (await sources.fetch(CUSTOMERS)).records == [{"id": "old", "name": "a"}]
        assert (await sources.fetch(Query(collection="accounts"))).records == [{"id": "1"}]
        put(tmp_path, customers="id,name\nnew,b\n")

        async def repaired():
            return (await sources.fetch(CUSTOMERS)).records == [{"id": "new", "name": "b"}]

        await until(repaired)
        assert (await sources.fetch(Query(collection="accounts"))).records == [{"id": "2"}]


@pytest.mark.gen_test
async def test_questions_during_a_reload_get_the_old_rows_or_the_new_ones(io_loop, tmp_path):
    def version(name):
        return "id,version\n" + "".join(f"{number},{name}\n" for number in range(3000))

    async with bank(tmp_path, customers=version("old")) as sources:

        async def ask():
            return {record["version"] for record in (await sources.fetch(CUSTOMERS)).records}

        async def ask_until_new():
            answers = [await ask()]
            while answers[-1] != {"new"}:
                answers.append(await ask())
            return answers

        callers = [asyncio.create_task(ask_until_new()) for _ in range(8)]
        assert await ask() == {"old"}
        put(tmp_path, customers=version("new"))
        async with asyncio.timeout(4):
            for answers in await asyncio.gather(*callers):
                assert answers[0] == {"old"}
                assert all(answer in ({"old"}, {"new"}) for answer in answers)
