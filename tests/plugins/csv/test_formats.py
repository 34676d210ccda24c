"""CSV files as banks export them: delimiters, encodings, quotes, names, and what the plugin proposes for each."""

from __future__ import annotations

import csv
import random
from contextlib import asynccontextmanager, nullcontext

import pytest
from pydantic import ValidationError

from openholder import Filter, Query, SourceFault
from openholder.config import Configuration
from openholder.inspection.configuration import inspect_configuration
from openholder.inspection.selection import Selection
from openholder.inspection.survey import inspect_data
from openholder_csv import CSVSettings, CSVSource, loading
from openholder_csv.csv_rows import CSVRows
from openholder_csv.files import open_text

CUSTOMERS = Query(collection="customers")
HEAD = 'public_url = "https://a.example"\n[fiskil]\nissuer = "a"\njwks_url = "http://127.0.0.1:1/jwks.json"\n'
KIM = {"id": "1", "name": "Kim"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Return an empty folder for the files, and put the index beside it."""
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(loading, "MEMORY", tmp_path / "memory")
    (tmp_path / "bank").mkdir()
    return tmp_path / "bank"


@asynccontextmanager
async def open_source(folder, **settings):
    """Open a source of the folder."""
    source = CSVSource("bank", CSVSettings(path=folder, **settings))
    await source.open()
    try:
        yield source
    finally:
        await source.close()


async def read_customers(folder, content, **settings):
    """Read the customers of a file with this content."""
    (folder / "customers.csv").write_bytes(content)
    async with open_source(folder, **settings) as source:
        return list((await source.fetch(CUSTOMERS)).records)


async def assert_refused(folder, content, reason, **settings):
    """Assert that a file is refused for this reason, and that the text contains no value."""
    with pytest.raises(SourceFault) as refusal:
        await read_customers(folder, content, **settings)
    assert str(refusal.value) == f"customers.csv: {reason}"
    assert "SECRET" not in str(refusal.value)


# -- delimiters and quotes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (b"id;name\n1;Kim\n", {"delimiter": ";"}),
        (b'"id";"name"\n"1";"Kim"\n', {"delimiter": ";"}),
        (b"id\tname\n1\tKim\n", {"delimiter": "\t"}),
        (b"id|name\n1|Kim\n", {"delimiter": "|"}),
        (b"id,name\n'1','Kim'\n", {"quote": "'"}),
        (b"id;name\r\n1;Kim\r\n", {"delimiter": ";", "quote": ""}),
    ],
)
@pytest.mark.gen_test
async def test_delimiter_and_quote_are_settings(io_loop, folder, content, settings):
    assert await read_customers(folder, content, **settings) == [KIM]


@pytest.mark.parametrize(
    ("content", "settings", "name"),
    [
        (b'id;name\n1;"Kim; Lee"\n', {"delimiter": ";"}, "Kim; Lee"),
        (b"id;name\n1;Kim, Lee\n", {"delimiter": ";"}, "Kim, Lee"),
        (b'id\tname\n1\tKim "Kit" Lee\n', {"delimiter": "\t", "quote": ""}, 'Kim "Kit" Lee'),
        (b'id\tname\n1\t"Kim\n', {"delimiter": "\t", "quote": ""}, '"Kim'),
        (b"id,name\n1,'Kim, ''Kit'''\n", {"quote": "'"}, "Kim, 'Kit'"),
        (b'id,name\n1,"Kim"\n', {"quote": "'"}, '"Kim"'),
    ],
)
@pytest.mark.gen_test
async def test_only_the_set_characters_mean_anything(io_loop, folder, content, settings, name):
    assert await read_customers(folder, content, **settings) == [{"id": "1", "name": name}]


@pytest.mark.parametrize(
    ("content", "settings", "proposal"),
    [
        (b"id;email;name\nSECRET;a;b\n", {}, 'separated by semicolons; set `delimiter = ";"`'),
        (b'"id";"email";"name"\n"SECRET";"a";"b"\n', {}, 'separated by semicolons; set `delimiter = ";"`'),
        (b"id\temail\tname\nSECRET\ta\tb\n", {}, 'separated by tabs; set `delimiter = "\\t"`'),
        (b"id|email|name\nSECRET|a|b\n", {}, 'separated by vertical bars; set `delimiter = "|"`'),
        (b"id,email,name\nSECRET,a,b\n", {"delimiter": ";"}, 'separated by commas; set `delimiter = ","`'),
    ],
)
@pytest.mark.gen_test
async def test_a_recognised_delimiter_is_proposed(io_loop, folder, content, settings, proposal):
    await assert_refused(folder, content, f"line 1: the headers are {proposal}", **settings)


@pytest.mark.gen_test
async def test_a_file_of_one_column_needs_no_delimiter(io_loop, folder):
    assert await read_customers(folder, b"id\n1\n") == [{"id": "1"}]


@pytest.mark.parametrize(
    "settings",
    [
        {"delimiter": ""},
        {"delimiter": ";;"},
        {"delimiter": "\n"},
        {"delimiter": '"'},
        {"quote": "\r"},
        {"quote": "''"},
        {"encoding": "utf-9"},
        {"encoding": "rot13"},
        {"tables": {"customers": "../customers.csv"}},
    ],
    ids=str,
)
def test_a_format_that_no_file_has_is_refused(folder, settings):
    with pytest.raises(ValidationError):
        CSVSettings(path=folder, **settings)


# -- encodings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "José 🏦"),
        ("utf-8-sig", "José 🏦"),
        ("utf-16", "José 🏦"),
        ("utf-16-le", "José 🏦"),
        ("utf-16-be", "José 🏦"),
        ("windows-1252", "José €"),
        ("iso-8859-1", "José"),
        ("cp850", "José"),
    ],
)
@pytest.mark.parametrize("line", ["1,{}", '1,"{}"', '1,"a\r\n{}"'], ids=["plain", "quoted", "two lines"])
@pytest.mark.gen_test
async def test_the_encoding_is_a_setting(io_loop, folder, encoding, name, line):
    content = f"id,name\r\n{line.format(name)}\r\n".encode(encoding)
    (row,) = await read_customers(folder, content, encoding=encoding)
    assert row["name"] == (f"a\r\n{name}" if "a\r" in line else name)


@pytest.mark.gen_test
async def test_a_byte_order_mark_need_not_be_there(io_loop, folder):
    assert await read_customers(folder, b"id,name\n1,Kim\n", encoding="utf-8-sig") == [KIM]


UTF_16 = "id,name\nSECRET,b\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xef\xbb\xbfid\nSECRET\n", 'line 1, column 1: starts with a byte order mark; set `encoding = "utf-8-sig"`'),
        (UTF_16.encode("utf-16"), 'line 1, column 1: not UTF-8 but UTF-16; set `encoding = "utf-16"`'),
        (b"\xfe\xff" + UTF_16.encode("utf-16-be"), 'line 1, column 1: not UTF-8 but UTF-16; set `encoding = "utf-16"`'),
        (UTF_16.encode("utf-16-le"), 'line 1, column 1: the file looks like UTF-16; set `encoding = "utf-16-le"`'),
        (UTF_16.encode("utf-16-be"), 'line 1, column 1: the file looks like UTF-16; set `encoding = "utf-16-be"`'),
        (
            b"id,name\n1,a\nSECRET,Jos\xe9\n",
            'line 3, column 2: not UTF-8; if the file is Windows-1252, set `encoding = "windows-1252"`',
        ),
        (b"id,name\nSECRET,Jos\x81\n", "line 2, column 2: not UTF-8"),
        (b"id,name\nSECRET,a\0b\n", "line 2, column 2: contains a NUL character"),
    ],
)
@pytest.mark.gen_test
async def test_a_recognised_encoding_is_proposed(io_loop, folder, content, reason):
    await assert_refused(folder, content, reason)


@pytest.mark.parametrize(
    ("content", "encoding", "reason"),
    [
        (b"id,name\nSECRET,Jos\x81\n", "windows-1252", "line 2, column 2: not windows-1252"),
        ("id,name\nSECRET,b\n".encode("utf-16")[:-1], "utf-16", "not utf-16"),
        (b"id,name\nSECRET,b\n", "utf-16", "not utf-16"),
    ],
)
@pytest.mark.gen_test
async def test_text_that_is_not_of_the_set_encoding_is_refused(io_loop, folder, content, encoding, reason):
    await assert_refused(folder, content, reason, encoding=encoding)


# -- lines and cells ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("blank", [1, 3])
@pytest.mark.gen_test
async def test_blank_lines_at_the_end_are_no_rows(io_loop, folder, end, blank):
    assert await read_customers(folder, b"id,name" + end + b"1,Kim" + end * (1 + blank)) == [KIM]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"id,name\n\nSECRET,b\n", "line 2: found 0 cells, expected 2"),
        (b"id,name\nSECRET,b\n\n\n2,c\n", "line 3: found 0 cells, expected 2"),
        (b"id,name\nSECRET,b\n \n", "line 3: found 1 cells, expected 2"),
        (b"id,name\nSECRET,b\n2 rows selected.\n", "line 3: found 1 cells, expected 2"),
        (b"id\nSECRET\n\n", "line 3: found 0 cells, expected 1"),
        (b"id,name\r\r\nSECRET,b\r\r\n", "line 2: found 0 cells, expected 2"),
    ],
)
@pytest.mark.gen_test
async def test_a_line_that_may_hide_a_row_is_refused(io_loop, folder, content, reason):
    await assert_refused(folder, content, f"{reason}; write every cell, or leave the line out")


@pytest.mark.parametrize("quote", ['"', ""])
@pytest.mark.gen_test
async def test_a_cell_may_be_as_long_as_a_row(io_loop, folder, quote):
    cell = "x" * 1_000_000
    (row,) = await read_customers(folder, f"id,name\n1,{quote}{cell}{quote}\n".encode())
    assert row["name"] == cell


def test_lines_without_quotes_are_read_as_the_csv_module_reads(folder):
    """The plugin splits most lines itself. Both must find the same cells in any text."""
    chance, path = random.Random(7), folder / "some.csv"
    for _ in range(500):
        rows = [[chance.choice(["", "a", "b c", "é;", "'\t", '"x"', '"y,\nz"', 'o"']) for _ in "abc"] for _ in range(6)]
        lines = ["h1,h2,h3", *(",".join(row) for row in rows)]
        path.write_text("".join(line + chance.choice(["\n", "\r\n"]) for line in lines), "utf-8", newline="")
        with path.open(newline="", encoding="utf-8") as text:
            expected = [cell or None for row in list(csv.reader(text, strict=True))[1:] for cell in row]
        with open_text(path, "utf-8") as text:
            batches = CSVRows(path, text, CSVSettings(path=folder)).read_batches(2)
            assert [cell for batch in batches for cell in batch] == expected


# -- which file ---------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_a_collection_may_be_in_a_file_of_another_name(io_loop, folder):
    (folder / "trans.asc").write_text("trans_id;account_id\n1;a1\n2;a2\n", encoding="utf-8")
    (folder / "customers.csv").write_text("id;name\n1;Kim\n", encoding="utf-8")
    settings = {
        "delimiter": ";",
        "tables": {"banking.transactions": "trans.asc", "fdx.transactions": "trans.asc"},
        "columns": {
            "banking.transactions": {"transactionId": "trans_id", "accountId": "account_id"},
            "fdx.transactions": {"id": "trans_id"},
        },
    }
    async with open_source(folder, **settings) as source:
        query = Query(collection="banking.transactions", filters=(Filter("accountId", "eq", "a2"),))
        assert (await source.fetch(query)).records == [{"transactionId": "2", "accountId": "a2"}]
        assert await source.advice(query) == []
        fdx = await source.fetch(Query(collection="fdx.transactions"))
        assert fdx.records == [{"id": "1", "account_id": "a1"}, {"id": "2", "account_id": "a2"}]
        assert (await source.fetch(CUSTOMERS)).records == [KIM]


@pytest.mark.gen_test
async def test_a_file_that_is_named_serves_only_what_it_is_named_for(io_loop, folder):
    (folder / "people.csv").write_text("id,name\n1,Kim\n", encoding="utf-8")
    async with open_source(folder, tables={"customers": "people.csv"}) as source:
        assert "people" not in source.collections()
        assert (await source.fetch(CUSTOMERS)).records == [KIM]
    (folder / "customers.csv").write_text("id\n1\n", encoding="utf-8")
    with pytest.raises(SourceFault, match=r"people\.csv and customers\.csv: two files for one collection"):
        async with open_source(folder, tables={"customers": "people.csv"}):
            pass
    with pytest.raises(SourceFault, match=r"missing\.csv: cannot be read \(FileNotFoundError\)"):
        async with open_source(folder, tables={"accounts": "missing.csv"}):
            pass


# -- what check says ----------------------------------------------------------------------------------------------


async def check(folder, content):
    """Return what ``check`` says of a folder with these customers: subject, verdict and text."""
    (folder / "customers.csv").write_text(content, encoding="utf-8")
    path = folder.parent / "openholder.toml"
    path.write_text(HEAD + '[sources.bank]\nkind = "csv"\npath = "bank"\n', encoding="utf-8")
    configuration = Configuration.load(path)
    return await inspect_configuration(configuration), configuration


@pytest.mark.gen_test
async def test_check_proposes_the_delimiter(io_loop, folder):
    findings, _ = await check(folder, "id;email;name\n1;kim@example.com;Kim\n")
    assert any('set `delimiter = ";"`' in finding.detail for finding in findings)


@pytest.mark.gen_test
async def test_check_proposes_the_decimal_comma(io_loop, folder):
    (folder / "accounts.csv").write_text("customerId,id\n1,a1\n", encoding="utf-8")
    (folder / "banking.balances.csv").write_text(
        'accountId,currentBalance,availableBalance\na1,"7,05","7,05"\n', encoding="utf-8"
    )
    findings, _ = await check(folder, "id,email\n1,kim@example.com\n")
    assert any('set `decimal = ","` for the source' in finding.detail for finding in findings)
    assert not any("7,05" in finding.detail for finding in findings)


@pytest.mark.gen_test
async def test_check_proposes_headers_in_another_case(io_loop, folder):
    findings, configuration = await check(folder, "ID,EMAIL,Name\n1,kim@example.com,Kim\n")
    told = [finding.detail for finding in findings if finding.what == "columns of customers"]
    assert [text.partition(" Set ")[2] for text in told] == [
        f'`"{member}" = "{column}"` in the `columns` of the collection'
        for column, member in (("ID", "id"), ("EMAIL", "email"), ("Name", "name"))
    ]
    (finding,) = (await inspect_data(configuration, Selection(), nullcontext)).findings
    assert (finding.fault, finding.severity) == ("unlisted", "error") and "a record has no 'id'" in finding.wanted
