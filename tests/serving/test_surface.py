"""What leaves is what the data say, for everything that Fiskil may ask, whichever kind of source has them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import contract
from helpers.errors import UNKNOWN_RECORD, URN, error_code, read_errors
from helpers.expected import (
    CASES,
    EXACT,
    FILTERED,
    Case,
    bare_list_body,
    cursor_page_body,
    data_body,
    label_of,
    list_body,
    page_body,
    single_body,
)
from helpers.requests import ALL, BANKING, BELOW, CHOSEN, DEPRECATED, ENERGY, EVER, FDX, NAMED, STATEMENT, ids, path_of
from helpers.support import SOURCES, restart_with, sample_rows, start_with
from openholder.contract.operations import OPERATIONS


def test_every_operation_is_asked_for():
    assert {STATEMENT[0], *(case.operation for case in CASES)} == set(NAMED)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=60)
async def test_what_leaves_is_what_the_rows_say_and_nothing_else(world, subtests, kind):
    rows = sample_rows()
    await start_with(world, kind, rows, settings=DEPRECATED)
    for case in (*CASES, *FILTERED):
        with subtests.test(msg=label_of(case)):
            answer = await world.call(case.path, body=case.body)
            assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=UTF-8")
            assert EXACT(answer.text) == case.expected(rows)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "rest"])
@pytest.mark.gen_test(timeout=30)
async def test_the_pages_of_a_list_put_together_are_the_list(world, subtests, kind):
    await start_with(world, kind, sample_rows())
    for path, name in (
        (f"{BANKING}/accounts/acc-2002/transactions", "transactions"),
        (f"{ENERGY}/accounts/acc-3001/billing", "transactions"),
    ):
        with subtests.test(msg=path):
            whole = (await world.call(f"{path}?{ALL}&{EVER}")).json["data"][name]
            query, found = f"page=1&page-size=40&{EVER}", []
            while query:
                page = (await world.call(f"{path}?{query}")).json
                found += page["data"][name]
                assert page["meta"] == {"totalRecords": len(whole), "totalPages": -(-len(whole) // 40)}
                query = page["links"].get("next", "")
                assert not query or query.endswith("&page-size=40&" + EVER)
            assert found == whole and len(whole) > 40
    with subtests.test(msg="fdx"):
        path = f"{FDX}/accounts/acc-5001/transactions?startTime=2026-01-01"
        whole = (await world.call(f"{path}&limit=1000")).json["transactions"]
        more, found = "", []
        while more is not None:
            page = (await world.call(f"{path}&limit=40{more}")).json
            found += page["transactions"]
            offset = page["page"].get("nextOffset")
            more = f"&offset={offset}" if offset else None
        assert found == whole and len(whole) > 40


@pytest.mark.parametrize("kind", ["sqlite", "csv", "rest"])
@pytest.mark.gen_test
async def test_the_default_window_is_twelve_months(world, kind):
    """And of invoices twenty-four."""
    rows, now = sample_rows(), datetime.now(UTC)

    def dated(collection: str, account: str, member: str, days: Iterable[int], length: int, key: str = "") -> None:
        like = next(row for row in rows[collection] if row["accountId"] == account)
        rows[collection] = [
            like
            | {member: (now + timedelta(days=day, minutes=-1)).isoformat(timespec="seconds")[:length]}
            | ({key: f"{key}{day}"} if key else {})
            for day in days
        ]

    dated("banking.transactions", "acc-2002", "postingDateTime", (2, 0, -363, -368), 25, "transactionId")
    dated("energy.billing", "acc-3001", "executionDateTime", (2, 0, -363, -368), 25)
    dated("energy.invoices", "acc-3001", "issueDate", (3, 0, -728, -733), 10, "invoiceNumber")
    await start_with(world, kind, rows)
    transactions = (await world.call(f"{BANKING}/accounts/acc-2002/transactions")).json["data"]["transactions"]
    assert [found["transactionId"] for found in transactions] == ["transactionId0", "transactionId-363"]
    billing = (await world.call(f"{ENERGY}/accounts/acc-3001/billing")).json["data"]["transactions"]
    assert [found["executionDateTime"] for found in billing] == [
        row["executionDateTime"] for row in rows["energy.billing"][1:3]
    ]
    invoices = (await world.call(f"{ENERGY}/accounts/acc-3001/invoices")).json["data"]["invoices"]
    assert [found["invoiceNumber"] for found in invoices] == ["invoiceNumber0", "invoiceNumber-728"]


@pytest.mark.slow
@pytest.mark.gen_test(timeout=60)
async def test_every_answer_is_one_that_the_contract_allows(world, subtests):
    await start_with(world, "sqlite", sample_rows(), settings=DEPRECATED)
    for case in CASES:
        with subtests.test(msg=label_of(case)):
            answer = await world.call(case.path, body=case.body)
            assert list(contract.find_mistakes(case.operation, answer.status, "application/json", answer.json)) == []
    answer = await world.call(STATEMENT[1])
    assert list(contract.find_mistakes(STATEMENT[0], answer.status, answer.headers["Content-Type"], None)) == []


PLACES = {
    single_body: lambda name: (),
    data_body: lambda name: ("data",),
    bare_list_body: lambda name: ("data",),
    list_body: lambda name: ("data", name),
    page_body: lambda name: ("data", name),
    cursor_page_body: lambda name: (name,),
}
"""Where in an answer its records are."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "csv"])
@pytest.mark.gen_test(timeout=30)
async def test_no_member_that_the_contract_knows_is_lost_or_reshaped(world, subtests, kind):
    """Records that have all of them, which no holder's would: each operation once, and its collection's rows anew."""
    asked = {case.operation: case for case in reversed(CASES) if case.shape in PLACES}
    owners = {"accountId", "customerId", "id", "transactionId", "payeeId"}
    rounds: list[dict[str, Case]] = []
    for case in asked.values():
        free = next((found for found in rounds if case.collection not in found), None)
        rounds.append({case.collection: case}) if free is None else free.update({case.collection: case})
    for cases in rounds:
        rows, full = sample_rows(), {}
        for collection, case in cases.items():
            instance = contract.make_full_record(case.operation, *PLACES[case.shape](case.name))
            row = next(row for row in rows[collection] if row[case.column] in case.wanted)
            full[collection] = {**instance, **{name: row[name] for name in owners & set(instance)}}
            kept = {name: row.get(name) for name in owners if name in row}
            others = [row for row in rows[collection] if row[case.column] not in case.wanted]
            rows[collection] = [{name: as_cell(value) for name, value in full[collection].items()} | kept, *others]
        await restart_with(world, kind, rows, settings=DEPRECATED)
        for collection, case in cases.items():
            with subtests.test(msg=label_of(case)):
                answer = await world.call(case.path, body=case.body)
                assert answer.status == 200
                found = answer.json
                for member in PLACES[case.shape](case.name):
                    found = found[member]
                assert (found[0] if isinstance(found, list) else found) == full[collection]


def as_cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=20)
async def test_further_columns_leave_only_where_the_setting_lists_them(world, kind):
    rows = sample_rows()
    own = {"customerId": "SECRET", "note": "SECRET", "branch.name": "Branch 7", "branch.codes": '["1","2"]'}
    rows = {name: [{**own, **row} for row in found] for name, found in rows.items()}
    opened = [f"{name}.branch" for name in rows if name.startswith("fdx.")]
    await start_with(world, kind, rows, settings=f"{DEPRECATED}\nopen_members = {json.dumps(opened)}")
    for case in CASES:
        if case.collection == "logins":
            continue
        answer = await world.call(case.path, body=case.body)
        found = answer.json if case.shape is single_body else answer.json.get(case.name, [{}])
        assert answer.status == 200 and b"SECRET" not in answer.text, label_of(case)
        if NAMED[case.operation].sector == "fdx":
            (one, *_) = found if isinstance(found, list) else [found]
            assert one["branch"]["name"] == "Branch 7", label_of(case)
        else:
            assert b"Branch 7" not in answer.text, label_of(case)


def test_the_operations_are_those_of_the_contract():
    served = {row.name: (row.method, row.path, row.collection, row.evidence) for row in OPERATIONS}
    assert served == {name: tuple(agreed) for name, agreed in contract.read_operations().items()}


def with_nothing() -> Any:
    """The sample data, and accounts of which nothing else is known."""
    rows = sample_rows()
    for customer, account in (("cust-1001", "acc-2900"), ("cust-3001", "acc-3900"), ("cust-5001", "acc-5900")):
        rows["accounts"].append({"customerId": customer, "id": account, "status": "open"})
    return rows


NOTHING = {"custom": "acc-2900", "banking": "acc-2900", "energy": "acc-3900", "fdx": "acc-5900"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=30)
async def test_an_account_without_records_has_empty_lists(world, subtests, kind):
    """A single record of it is 404."""
    await start_with(world, kind, with_nothing())
    names = {case.operation: case.name for case in CASES}
    # An FDX list of accounts holds one at least, so that there is none to come for an account without a record.
    for name in sorted({*BELOW, *CHOSEN} - {"fdxFetchSpecificAccounts"}):
        with subtests.test(msg=name):
            row = NAMED[name]
            body = ids(NOTHING[row.sector]) if name in CHOSEN else None
            answer = await world.call(path_of(name, account=NOTHING[row.sector]), body=body)
            if not row.reply.many:
                assert answer.status == 404
                assert read_errors(name, answer)[0]["code"] == error_code(name, *UNKNOWN_RECORD)
                continue
            shape = {None: list_body, "page": page_body, "offset": cursor_page_body}[row.reply.paging]
            assert (answer.status, answer.json) == (200, shape(names[name], []))
            assert list(contract.find_mistakes(name, 200, "application/json", answer.json)) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "rest"])
@pytest.mark.gen_test(timeout=30)
async def test_a_page_out_of_range_is_422_with_the_number_of_pages(world, subtests, kind):
    await start_with(world, kind, sample_rows(), settings=DEPRECATED)
    for case in CASES:
        if NAMED[case.operation].reply.paging == "page":
            with subtests.test(msg=label_of(case)):
                path, _, query = case.path.partition("?")
                there = await world.call(f"{path}?{query.replace(ALL, '')}&page-size=1", body=case.body)
                pages = there.json["meta"]["totalPages"]
                beyond = await world.call(
                    f"{path}?{query.replace(ALL, '')}&page-size=1&page={pages + 1}", body=case.body
                )
                assert (there.status, beyond.status) == (200, 422)
                (entry,) = read_errors(case.operation, beyond)
                assert (entry["code"], entry["detail"]) == (f"{URN}cds-all:Field/InvalidPage", str(pages))


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_every_answer_lacks_only_the_members_that_rows_lack(world, subtests):
    """Optional columns that are not there at all are no fault: a holder need not have them."""
    rows = sample_rows()
    wanted = {"nickname", "reference", "isOwned", "merchantName", "gstAmount", "planCharge", "description"}
    owed = {
        "banking.transactions": {"description", "reference"},
        "banking.payees": {"nickname"},
        "banking.instalment_plans": {"merchantName"},
    }
    for name, records in rows.items():
        for row in records:
            for column in wanted - owed.get(name, set()):
                row.pop(column, None)
    await start_with(world, "sqlite", rows)
    for case in CASES:
        if not NAMED[case.operation].deprecated:
            with subtests.test(msg=label_of(case)):
                assert EXACT((await world.call(case.path, body=case.body)).text) == case.expected(rows)
