"""The words of a mapping, over PostgreSQL: what `mapping.words` says, and what its types make needless."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal

import pytest

from cluster import Cluster
from mapping.words import SYDNEY, TRANSACTIONS, group_cases
from openholder import Filter, Order, Query, SourceFault
from queries import fetch_once, fetch_records, open_bank

NEWEST = (Order("postingDateTime", descending=True, reads="instant"), Order("transactionId"))


def write_table(name, cases):
    """Write the script of a table with a record for each case."""
    columns = ["account", "no", *cases[0][1].cells]
    rows = [[f"a{number}", f"x{number}", *case.cells.values()] for number, (_, case) in enumerate(cases)]
    quoted = [["NULL" if cell is None else "'" + cell.replace("'", "''") + "'" for cell in row] for row in rows]
    definitions = ", ".join(f'"{column}" text' for column in columns)
    values = ", ".join(f"({', '.join(row)})" for row in quoted)
    return f"CREATE TABLE {name} ({definitions}); INSERT INTO {name} VALUES {values};"


async def read_member(source, query, member):
    try:
        (record,) = await fetch_records(source, query)
    except SourceFault as exc:
        return str(exc)
    found = record.get(member)
    return str(found) if isinstance(found, Decimal) else found


def test_postgresql_reads_what_the_words_say(schema, cluster: Cluster):
    groups = group_cases()
    schema("".join(write_table(f"t{number}", cases) for number, cases in enumerate(groups)))
    wrong = {}

    async def compare():
        for table, cases in enumerate(groups):
            settings = {**cases[0][1].settings, "tables": {TRANSACTIONS: f"t{table}"}}
            async with open_bank(cluster, schema_name="own", **settings) as source:
                for number, (name, case) in enumerate(cases):
                    owner = Filter("accountId", "eq", f"a{number}")
                    for order in ((), NEWEST):
                        query = Query(collection=TRANSACTIONS, filters=(owner,), order=order, limit=25)
                        found = await read_member(source, query, case.member)
                        if not re.search(case.fault, found) if case.fault else found != case.value:
                            wrong[name] = found

    asyncio.run(compare())
    assert wrong == {}


def test_moments_are_written_in_the_zone_of_the_source(schema):
    opened = schema(
        "CREATE TABLE things (id text, at timestamptz);"
        "INSERT INTO things VALUES ('1', '2026-10-01T00:00:00+10:00'), ('2', '2026-04-04T15:30:00.5Z'),"
        "('3', '2026-04-04T16:30:00Z'), ('4', NULL)"
    )
    page = fetch_once(lambda: opened(**SYDNEY), Query(collection="things", order=(Order("id"),)))
    assert [row["at"] for row in page.records] == [
        "2026-10-01T00:00:00+10:00",
        "2026-04-05T02:30:00.5+11:00",
        "2026-04-05T02:30:00+10:00",
        None,
    ]
    page = fetch_once(lambda: opened(time_zone="Asia/Kolkata"), Query(collection="things", limit=1))
    assert page.records[0]["at"] == "2026-09-30T19:30:00+05:30"


def test_a_local_timestamp_is_a_time_in_the_zone(schema):
    opened = schema(
        'CREATE TABLE banking_transactions ("accountId" text, "transactionId" text, "postingDateTime" timestamp);'
        "INSERT INTO banking_transactions VALUES ('a1', '1', '2026-12-01 09:30'), ('a2', '2', '2026-04-05 02:30')"
    )
    query = Query(collection=TRANSACTIONS, filters=(Filter("accountId", "eq", "a1"),), order=NEWEST)
    assert fetch_once(lambda: opened(**SYDNEY), query).records[0]["postingDateTime"] == "2026-12-01T09:30:00+11:00"
    with pytest.raises(SourceFault, match="Australia/Sydney show twice"):
        fetch_once(lambda: opened(**SYDNEY), Query(collection=TRANSACTIONS))


def test_exact_types_are_cents_and_codes_too(schema):
    opened = schema(
        'CREATE TABLE banking_transactions ("accountId" bigint, amt numeric(12,2), ok boolean, k integer);'
        "INSERT INTO banking_transactions VALUES (1, 120050, true, 7)"
    )
    rules = {
        "amount": {"column": "amt", "unit": "cents"},
        "isDetailAvailable": {"column": "ok", "codes": {"true": "false", "false": "true"}},
        "type": {"column": "k", "codes": {"7": "FEE"}},
    }
    query = Query(collection=TRANSACTIONS, filters=(Filter("accountId", "eq", "1"),))
    settings = {"mapping": {TRANSACTIONS: rules}, "decimal": ",", "strip": True, "absent": ["NULL"]}
    (row,) = fetch_once(lambda: opened(**settings), query).records
    assert (row["amount"], row["isDetailAvailable"], row["type"]) == (Decimal("1200.50"), "false", "FEE")


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (Filter("id", "eq", "c1"), ["Kim"]),
        (Filter("id", "in", ("c1", "c2", "-")), ["Kim", "Sam"]),
        (Filter("id", "eq", "-"), []),
        (Filter("email", "ieq", "KIM@example.com"), ["Kim"]),
        (Filter("email", "ieq", "NULL"), ["Nobody"]),
        (Filter("name", "contains", " "), []),
    ],
)
def test_people_are_found_without_the_blanks(schema, condition, found):
    opened = schema(
        "CREATE TABLE customers (id text, email text, name text); INSERT INTO customers VALUES "
        "(' c1', 'kim@example.com  ', 'Kim '), (E'c2\\t', 'sam@example.com', E'Sam\\u00a0'), ('-', 'null', 'Nobody')"
    )
    query = Query(collection="customers", filters=(condition,))
    page = fetch_once(lambda: opened(strip=True, absent=["-", "NULL"]), query)
    assert [row["name"] for row in page.records] == found
