"""The words of a mapping over MariaDB: what `mapping.words` says, and what its types make of it."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mapping.words import SYDNEY, TRANSACTIONS, group_cases
from maria import quote, write_value
from openholder import Filter, Order, Query, SourceFault, select
from sources import fetch_once, fetch_records

NEWEST = (Order("postingDateTime", descending=True, reads="instant"), Order("transactionId"))


def write_table(name, cases):
    """Write the script of a table with a record for each case."""
    columns = ["account", "no", *cases[0][1].cells]
    rows = [[f"a{number}", f"x{number}", *case.cells.values()] for number, (_, case) in enumerate(cases)]
    definitions = ", ".join(f"{quote(column)} varchar(200)" for column in columns)
    values = ", ".join(f"({', '.join(map(write_value, row))})" for row in rows)
    return f"CREATE TABLE {name} ({definitions}); INSERT INTO {name} VALUES {values};"


async def read_member(source, query, member):
    try:
        (record,) = await fetch_records(source, query)
    except SourceFault as exc:
        return str(exc)
    found = record.get(member)
    return str(found) if isinstance(found, Decimal) else found


def test_mariadb_reads_what_the_words_say(bank):
    groups = group_cases()
    opened = bank("".join(write_table(f"t{number}", cases) for number, cases in enumerate(groups)))
    wrong = {}

    async def compare():
        for table, cases in enumerate(groups):
            settings = {**cases[0][1].settings, "tables": {TRANSACTIONS: f"t{table}"}}
            async with opened(**settings) as source:
                for number, (name, case) in enumerate(cases):
                    owner = Filter("accountId", "eq", f"a{number}")
                    for order in ((), NEWEST):
                        query = Query(collection=TRANSACTIONS, filters=(owner,), order=order, limit=25)
                        found = await read_member(source, query, case.member)
                        if not re.search(case.fault, found) if case.fault else found != case.value:
                            wrong[name] = found

    asyncio.run(compare())
    assert wrong == {}


def test_a_datetime_is_a_time_in_the_zone(bank):
    opened = bank(
        "CREATE TABLE banking_transactions (accountId varchar(9), transactionId int, postingDateTime datetime);"
        "INSERT INTO banking_transactions VALUES ('a1', 1, '2026-12-01 09:30'), ('a2', 2, '2026-04-05 02:30')"
    )
    query = Query(collection=TRANSACTIONS, filters=(Filter("accountId", "eq", "a1"),), order=NEWEST)
    assert fetch_once(lambda: opened(**SYDNEY), query).records[0]["postingDateTime"] == "2026-12-01T09:30:00+11:00"
    with pytest.raises(SourceFault, match="Australia/Sydney show twice"):
        fetch_once(lambda: opened(**SYDNEY), Query(collection=TRANSACTIONS))


LOCAL = """
CREATE TABLE banking_transactions (accountId varchar(9), transactionId int PRIMARY KEY, booked datetime, day date);
INSERT INTO banking_transactions VALUES ('a1', 1, '2026-06-15 21:59:59', NULL), ('a1', 2, '2026-06-15 22:00:00', NULL),
    ('a1', 3, NULL, '2026-06-15'), ('a1', 4, NULL, NULL), ('a1', 5, '2020-01-01 00:00:00', NULL),
    ('a1', 6, '2030-01-01 00:00:00', '2020-01-01'), ('a1', 7, NULL, '2030-01-01');
"""


@pytest.mark.parametrize("operator", ["ge", "le"])
@pytest.mark.parametrize("absent", [None, datetime(2026, 7, 1, tzinfo=UTC), datetime(2019, 7, 1, tzinfo=UTC)])
def test_a_window_of_local_times_reads_a_day_more(bank, operator, absent):
    opened = bank(LOCAL)
    noon = datetime(2026, 6, 15, 12, tzinfo=UTC)
    window = Filter("postingDateTime", operator, noon, otherwise=("valueDateTime",), absent=absent)
    rules = {"postingDateTime": {"column": "booked", "repeated_hour": "first"}, "valueDateTime": "day"}
    owner = Filter("accountId", "eq", "a1")
    query = Query(collection=TRANSACTIONS, filters=(owner, window), order=NEWEST, limit=3)

    async def scenario():
        async with opened(mapping={TRANSACTIONS: rules}, **SYDNEY) as source:
            stored = await fetch_records(source, Query(collection=TRANSACTIONS, filters=(owner,)))
            read = await source._select(*source._schema.page(query))
            return stored, len(read), await source.fetch(query)

    stored, read, page = asyncio.run(scenario())
    assert page == select(stored, query)
    assert page.total <= read < len(stored)


def test_exact_types_are_cents_and_codes_too(bank):
    opened = bank(
        "CREATE TABLE banking_transactions (accountId bigint, amt decimal(12,2), ok boolean, k int, d char(1));"
        "INSERT INTO banking_transactions VALUES (1, 120050, true, 7, 'D')"
    )
    rules = {
        "amount": {"column": "amt", "unit": "cents", "negative": {"column": "d", "is": ["D"], "is_not": ["C"]}},
        "isDetailAvailable": {"column": "ok", "codes": {"1": "false", "0": "true"}},
        "type": {"column": "k", "codes": {"7": "FEE"}},
    }
    query = Query(collection=TRANSACTIONS, filters=(Filter("accountId", "eq", "1"),))
    settings = {"mapping": {TRANSACTIONS: rules}, "decimal": ",", "strip": True, "absent": ["NULL"]}
    (row,) = fetch_once(lambda: opened(**settings), query).records
    assert (row["amount"], row["isDetailAvailable"], row["type"]) == (Decimal("-1200.50"), "false", "FEE")


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (Filter("id", "eq", "c1"), ["Kim"]),
        (Filter("id", "in", ("c1", "c2", "-")), ["Kim", "Sam"]),
        (Filter("id", "eq", "C1"), []),
        (Filter("id", "eq", "-"), []),
        (Filter("email", "ieq", "KIM@example.com"), ["Kim"]),
        (Filter("email", "ieq", "NULL"), ["Nobody"]),
        (Filter("name", "contains", " "), []),
    ],
)
def test_people_are_found_without_the_blanks(bank, condition, found):
    opened = bank(
        "CREATE TABLE customers (id varchar(9), email varchar(40), name varchar(40)); INSERT INTO customers VALUES "
        "(' c1', '\\tkim@example.com  ', 'Kim '), ('c2\\t', 'sam@example.com\\n', 'Sam\u00a0'), ('-', 'null', 'Nobody')"
    )
    query = Query(collection="customers", filters=(condition,))
    page = fetch_once(lambda: opened(strip=True, absent=["-", "NULL"]), query)
    assert [row["name"] for row in page.records] == found


def test_an_empty_text_is_absent_where_it_means_nothing_else(bank):
    opened = bank(
        "CREATE TABLE banking_transactions (accountId varchar(9), transactionId varchar(9), currency char(3),"
        "status varchar(9), description varchar(9), amount decimal(9,2));"
        "INSERT INTO banking_transactions VALUES ('a1', '', '', ' ', '', 2.00)"
    )
    query = Query(collection=TRANSACTIONS, filters=(Filter("accountId", "eq", "a1"),), order=NEWEST)
    (row,) = fetch_once(lambda: opened(empty_is_absent=True), query).records
    assert (row["transactionId"], row["currency"], row["status"], row["description"]) == (None, None, " ", "")
