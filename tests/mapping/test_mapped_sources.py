"""The words of a mapping, in every kind of source: what `mapping.words` says, for queries as requests cause them."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from helpers.support import Upstream
from mapping.words import CASES, SYDNEY, TRANSACTIONS
from openholder import Filter, Query, SourceFault
from openholder.contract.collections import name_record
from openholder.serving.access import build_owner_query
from openholder_csv import CSVSettings, CSVSource
from openholder_rest import RESTSettings, RESTSource
from openholder_sqlite import SQLiteSettings, SQLiteSource


def make_sqlite(folder, rows, settings):
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for collection, records in rows.items():
            columns = list(records[0])
            table = collection.replace(".", "_")
            connection.execute(f'CREATE TABLE "{table}" ({", ".join(f"{name!r} TEXT" for name in columns)})')
            marks = ", ".join("?" * len(columns))
            connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', [list(row.values()) for row in records])
        connection.commit()
    return SQLiteSource("bank", SQLiteSettings(path=folder / "bank.db", connections=1, **settings))


def make_rest(folder, rows, settings):
    """A source over an upstream that returns all records, whoever they belong to."""
    upstream = UPSTREAMS[folder] = Upstream({})
    upstream.break_with = lambda handler: answer(handler, rows[handler.request.path.removeprefix("/api/")])
    collections = {collection: f"/{collection}" for collection in rows}
    return RESTSource("bank", RESTSettings(base_url=upstream.url, collections=collections, **settings))


def answer(handler, records):
    handler.set_header("Content-Type", "application/json")
    handler.finish(json.dumps(records))


UPSTREAMS = {}


def make_csv(folder, rows, settings):
    (folder / "bank").mkdir()
    for collection, records in rows.items():
        with (folder / "bank" / f"{collection}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([list(records[0]), *(list(row.values()) for row in records)])
    return CSVSource("bank", CSVSettings(path=folder / "bank", **settings))


KINDS = {"sqlite": make_sqlite, "csv": make_csv, "rest": make_rest}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def open_source(request, tmp_path):
    """Open a source of each kind over some rows, all with the same columns."""
    return make_opener(request.param, tmp_path)


@pytest.fixture(params=[make_sqlite, make_csv], ids=["sqlite", "csv"])
def open_tables(request, tmp_path):
    """Open a source of each kind that knows its columns."""
    return make_opener(request.param, tmp_path)


def make_opener(make, tmp_path):

    @asynccontextmanager
    async def open_it(rows, **settings):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        source = make(folder, rows, settings)
        try:
            async with UPSTREAMS.pop(folder, nullcontext()):
                await source.open()
                yield source
        finally:
            await source.close()

    return open_it


async def fetch(source, query):
    """Fetch a page as the host does: at once if the source can, otherwise in its own time."""
    page = source.fetch_now(query) if hasattr(source, "fetch_now") else None
    return page or await source.fetch(query)


def group_cases():
    """Group the cases that differ in their values only: they are records of one table, each of its own account."""
    groups = {}
    for name, case in CASES.items():
        groups.setdefault(repr((case.settings, list(case.cells))), []).append((name, case))
    return groups.values()


async def read_member(source, query, member):
    """Read a member of the only record that a query finds: its value, or the fault."""
    try:
        (record,) = (await fetch(source, query)).records
    except SourceFault as exc:
        return str(exc)
    found = record.get(member)
    return str(found) if isinstance(found, Decimal) else found


@pytest.mark.slow
@pytest.mark.gen_test(timeout=60)
async def test_every_source_reads_what_the_words_say(io_loop, open_source):
    wrong = {}
    for cases in group_cases():
        (_, first), *_ = cases
        rows = [{"account": f"a{number}", "no": f"x{number}", **case.cells} for number, (_, case) in enumerate(cases)]
        async with open_source({TRANSACTIONS: rows}, **first.settings) as source:
            for number, (name, case) in enumerate(cases):
                for query in (owned_by(f"a{number}"), build_owner_query(TRANSACTIONS, {"accountId": f"a{number}"})):
                    found = await read_member(source, query, case.member)
                    if not re.search(case.fault, found) if case.fault else found != case.value:
                        wrong[name] = found
    assert wrong == {}


def owned_by(account):
    return Query(collection=TRANSACTIONS, filters=(Filter("accountId", "eq", account),), limit=25)


BOOKED = {"column": "booked", "format": "%d.%m.%Y %H:%M"}
ROWS = [
    {"account": "a1", "no": "t1", "booked": "04.10.2026 03:30", "amt": "10,00", "k": "A", "note": "COFFEE"},
    {"account": "a1", "no": "t2", "booked": "04.10.2026 01:30", "amt": "2,50", "k": "B", "note": "NULL"},
    {"account": "a1", "no": "t3", "booked": None, "amt": "-7", "k": "A", "note": "TEA"},
    {"account": "a2", "no": "t4", "booked": "04.10.2026 02:30", "amt": "1.000,00", "k": "C", "note": "COFFEE"},
    {"account": "NULL", "no": "t5", "booked": None, "amt": "1", "k": "A", "note": "COFFEE"},
]
RULES = {
    "accountId": "account",
    "transactionId": "no",
    "postingDateTime": BOOKED,
    "amount": "amt",
    "type": {"column": "k", "codes": {"A": "PAYMENT", "B": "FEE"}},
    "status": {"constant": "POSTED"},
    "description": "note",
}
WORDS = {"mapping": {TRANSACTIONS: RULES}, "decimal": ",", "absent": ["NULL"], **SYDNEY}
MOMENT = datetime(2026, 10, 3, 16, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
QUERIES = {
    "all of the account": ((), ["t3", "t1", "t2"]),
    "a constant": ((Filter("status", "eq", "POSTED"),), ["t3", "t1", "t2"]),
    "another constant": ((Filter("status", "eq", "PENDING"),), []),
    "a code": ((Filter("type", "in", ("FEE", "OTHER")),), ["t2"]),
    "the smallest amount": ((Filter("amount", "ge", Decimal("2.5")),), ["t1", "t2"]),
    "the greatest amount": ((Filter("amount", "le", Decimal("2.5")),), ["t3", "t2"]),
    "the oldest time": ((Filter("postingDateTime", "ge", MOMENT),), ["t1"]),
    "the newest time": ((Filter("postingDateTime", "le", MOMENT),), ["t2"]),
    "a time of all": ((Filter("postingDateTime", "le", NOW, absent=NOW),), ["t3", "t1", "t2"]),
    "a text": ((Filter("description", "contains", "E"),), ["t3", "t1"]),
    "an absent text": ((Filter("description", "contains", "NULL"),), []),
}


async def list_ids(source, query):
    page = await fetch(source, query)
    assert page.total >= len(page.records)
    return [record["transactionId"] for record in page.records]


@pytest.mark.gen_test
async def test_members_are_filtered_and_sorted_as_they_leave(io_loop, open_source):
    async with open_source({TRANSACTIONS: ROWS}, **WORDS) as source:
        for name, (filters, expected) in QUERIES.items():
            query = build_owner_query(TRANSACTIONS, {"accountId": "a1"}, filters)
            assert await list_ids(source, query) == expected, name
            assert await list_ids(source, replace(query, offset=1, limit=1)) == expected[1:2], name


@pytest.mark.gen_test
async def test_only_the_owner_of_a_bad_record_is_refused(io_loop, open_source):
    async with open_source({TRANSACTIONS: ROWS}, **WORDS) as source:
        for query in (owned_by("a2"), build_owner_query(TRANSACTIONS, {"accountId": "a2"})):
            with pytest.raises(SourceFault, match=r"member '(amount|postingDateTime)' does not fit") as caught:
                await fetch(source, query)
            assert "t4" not in str(caught.value) and "1.000" not in str(caught.value)
            name_record(caught.value, TRANSACTIONS)
            assert caught.value.record == "t4"
        both = build_owner_query(TRANSACTIONS, {}, account_ids=("a1", "a2"))
        with pytest.raises(SourceFault, match="clocks of Australia/Sydney skip"):
            await fetch(source, both)
        first_page = replace(owned_by("a1"), filters=(Filter("accountId", "in", ("a1", "a2")),), limit=3)
        assert sorted(await list_ids(source, first_page)) == ["t1", "t2", "t3"]


@pytest.mark.gen_test
async def test_an_absent_id_is_nobody(io_loop, open_source):
    async with open_source({TRANSACTIONS: ROWS}, **WORDS) as source:
        assert await list_ids(source, owned_by("NULL")) == []
        assert await list_ids(source, build_owner_query(TRANSACTIONS, {}, account_ids=("NULL", "a1"))) == [
            "t3",
            "t1",
            "t2",
        ]
        mine = Filter("accountId", "in", ("", "a1"), absent="")
        assert await list_ids(source, Query(collection=TRANSACTIONS, filters=(mine,))) == ["t1", "t2", "t3", "t5"]


PEOPLE = [
    {"id": " c1 ", "email": "Kim@example.com   ", "name": " Kim"},
    {"id": "c2", "email": "\tsam@example.com", "name": "Sam\u00a0"},
    {"id": "-", "email": "null", "name": "Nobody"},
]
STRIPPED = {
    "by id": (Filter("id", "eq", "c1"), ["Kim"]),
    "by ids": (Filter("id", "in", ("c1", "c2", "-")), ["Kim", "Sam"]),
    "by an id with blanks": (Filter("id", "eq", " c1 "), []),
    "by address": (Filter("email", "ieq", "kim@EXAMPLE.com"), ["Kim"]),
    "by another address": (Filter("email", "ieq", "SAM@example.com"), ["Sam"]),
    "by an address in another letter case": (Filter("email", "ieq", "NULL"), ["Nobody"]),
    "by a part of the name": (Filter("name", "contains", " "), []),
}


@pytest.mark.gen_test
async def test_people_are_found_without_the_blanks(io_loop, open_source):
    async with open_source({"customers": PEOPLE}, strip=True, absent=["-", "NULL"]) as source:
        for name, (condition, expected) in STRIPPED.items():
            page = await fetch(source, Query(collection="customers", filters=(condition,)))
            assert [record["name"] for record in page.records] == expected, name


@pytest.mark.gen_test
async def test_a_rule_names_columns_that_are_there(io_loop, open_tables):
    rules = {"amount": {"column": "amt", "negative": {"column": "DC", "is": ["D"]}}}
    rows = [{"accountId": "a1", "amt": "1", "dc": "D"}]
    with pytest.raises(SourceFault, match=r"no column 'DC', which `columns` or `mapping` names; did you mean 'dc'\?"):
        async with open_tables({TRANSACTIONS: rows}, mapping={TRANSACTIONS: rules}):
            pass
    with pytest.raises(SourceFault, match=r"`mapping` names 'banking\.transfers', but there is no table or view"):
        async with open_tables({TRANSACTIONS: rows}, mapping={"banking.transfers": {"amount": "amt"}}):
            pass


@pytest.mark.gen_test
async def test_a_constant_needs_no_column(io_loop, open_source):
    rules = {"address.country": {"constant": "AUS"}, "emailVerified": {"constant": False}}
    async with open_source({"customers": PEOPLE}, mapping={"customers": rules}) as source:
        page = await fetch(source, Query(collection="customers", limit=1))
        assert page.records[0]["address.country"] == "AUS"
        assert page.records[0]["emailVerified"] is False
        assert page.total == 3


# -- tables of a database -----------------------------------------------------------------------------------------


def write_tables(folder, script, **settings):
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        connection.executescript(script)
    return SQLiteSource("bank", SQLiteSettings(path=folder / "bank.db", connections=1, **settings))


BOOK = """
CREATE TABLE accounts (guid TEXT, name TEXT);
CREATE TABLE people (no TEXT PRIMARY KEY, mail TEXT, bill TEXT, day TEXT);
INSERT INTO people VALUES ('c1', 'kim@example.com', '1.00', '2026-01-02'), ('c2', 'sam@example.com', '2.00', NULL);
CREATE VIEW v_accounts AS SELECT 'c1' AS customerId, 'a1' AS id;
"""


@pytest.mark.gen_test
async def test_a_table_is_chosen_for_a_collection(io_loop, tmp_path):
    source = write_tables(
        tmp_path,
        BOOK,
        tables={
            "accounts": "v_accounts",
            "customers": "people",
            "energy.balances": "people",
            "energy.invoices": "people",
        },
        columns={"customers": {"id": "no", "email": "mail"}, "energy_balances": {"accountId": "no", "balance": "bill"}},
        mapping={"energy.invoices": {"accountId": "no", "issueDate": "day"}},
    )
    await source.open()
    try:
        assert {"accounts", "customers", "energy.balances", "energy.invoices"} <= set(source.collections())
        assert not {"people", "v_accounts", "v.accounts"} & set(source.collections())
        assert (await fetch(source, Query(collection="accounts"))).records == [{"customerId": "c1", "id": "a1"}]
        found = await fetch(source, Query(collection="customers", filters=(Filter("id", "eq", "c1"),)))
        assert found.records == [{"bill": "1.00", "day": "2026-01-02", "id": "c1", "email": "kim@example.com"}]
        balance = await fetch(source, Query(collection="energy.balances", filters=(Filter("accountId", "eq", "c2"),)))
        assert balance.records[0]["balance"] == "2.00"
        invoices = build_owner_query("energy.invoices", {}, account_ids=("c1", "c2"))
        assert [row["accountId"] for row in (await fetch(source, invoices)).records] == ["c2", "c1"]
    finally:
        await source.close()


@pytest.mark.gen_test
async def test_a_chosen_table_must_be_there(io_loop, tmp_path):
    source = write_tables(tmp_path, BOOK, tables={"accounts": "v_acounts"})
    with pytest.raises(SourceFault, match=r"`tables` names 'v_acounts', but .*; did you mean 'v_accounts'\?"):
        await source.open()
    await source.close()


@pytest.mark.parametrize(
    ("words", "member", "operator", "value"),
    [
        ({"strip": True}, "id", "eq", "c1"),
        ({"strip": True}, "email", "ieq", "kim@example.com"),
        ({"absent": ["NULL"]}, "id", "in", ("c1", "c2")),
        ({"absent": ["NULL"]}, "email", "ieq", "kim@example.com"),
    ],
)
@pytest.mark.gen_test
async def test_the_advised_index_is_used(io_loop, tmp_path, words, member, operator, value):
    script = BOOK + "ALTER TABLE people RENAME COLUMN no TO id; ALTER TABLE people RENAME COLUMN mail TO email;"
    query = Query(collection="customers", filters=(Filter(member, operator, value),))
    advised = []
    for _ in range(2):
        source = write_tables(tmp_path, script, tables={"customers": "people"}, **words)
        await source.open()
        advice = await source.advice(query)
        found = (await fetch(source, query)).records
        assert len(found) == (2 if operator == "in" else 1)
        await source.close()
        script = "".join(advice)
        advised += advice
    assert len(advised) <= 1
