"""Accounts and records that are not the customer's, or not there; and what a body may say."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from helpers.errors import (
    INVALID,
    MISSING,
    NOT_SERVED,
    REFUSED_ACCOUNT,
    UNKNOWN_ACCOUNT,
    UNKNOWN_RECORD,
    URN,
    error_code,
    read_errors,
)
from helpers.expected import CASES, page_body
from helpers.people import BLOCKED, CUSTOMERS, FOREIGN, rows_with_blocked
from helpers.requests import BANKING, BELOW, CHOSEN, DEPRECATED, ENERGY, FDX, NAMED, STATEMENT, ids, path_of
from helpers.support import SOURCES, Upstream, document, rest, restart_with, sample_rows, start_with
from openholder.contract.operations import OPERATIONS


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_a_foreign_or_unshareable_account_in_the_path_is_404(world, subtests):
    await start_with(world, "sqlite", rows_with_blocked())
    for name in BELOW:
        sector = NAMED[name].sector
        for account, words, refused in (
            (FOREIGN[sector], UNKNOWN_ACCOUNT, None),
            ("acc-9999", UNKNOWN_ACCOUNT, None),
            ("acc%00", UNKNOWN_ACCOUNT, None),
            (BLOCKED[sector], REFUSED_ACCOUNT, "true"),
        ):
            with subtests.test(msg=f"{name} {account}"):
                answer = await world.call(path_of(name, account=account))
                assert (answer.status, answer.headers.get("X-Sharing-Refused")) == (404, refused)
                (entry,) = read_errors(name, answer)
                assert (entry["code"], entry["detail"]) == (error_code(name, *words), "accountId")
        with subtests.test(msg=f"{name} of an unknown customer"):
            answer = await world.call(path_of(name, customer="cust-9999"))
            assert answer.status == 404 and "X-Sharing-Refused" not in answer.headers
            (entry,) = read_errors(name, answer)
            assert entry["code"] == error_code(name, *UNKNOWN_RECORD)


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_a_foreign_or_unshareable_account_in_a_body_is_422(world, subtests):
    """The whole request is refused, with an entry for each such account."""
    await start_with(world, "sqlite", rows_with_blocked())
    for name in CHOSEN:
        sector = NAMED[name].sector
        own, foreign, blocked = CUSTOMERS[sector][1], FOREIGN[sector], BLOCKED[sector]
        unknown, unavailable = error_code(name, *UNKNOWN_ACCOUNT), error_code(name, *REFUSED_ACCOUNT)
        for asked, entries in (
            ([own, foreign], [(unknown, foreign)]),
            (["acc-9999", own, foreign], [(unknown, "acc-9999"), (unknown, foreign)]),
            ([blocked], [(unavailable, blocked)]),
            ([own, foreign, blocked, own, foreign], [(unknown, foreign), (unavailable, blocked)]),
            (["<b>"], [(unknown, "data.accountIds")]),
        ):
            with subtests.test(msg=f"{name} {asked}"):
                answer = await world.call(path_of(name), body=ids(*asked))
                assert answer.status == 422
                assert [(entry["code"], entry["detail"]) for entry in read_errors(name, answer)] == entries
                refused = any(found == unavailable for found, _ in entries)
                assert answer.headers.get("X-Sharing-Refused") == ("true" if refused else None)
        with subtests.test(msg=f"{name} of an unknown customer"):
            answer = await world.call(path_of(name, customer="cust-9999"), body=ids(own))
            assert answer.status == 404
            (entry,) = read_errors(name, answer)
            assert entry["code"] == error_code(name, *UNKNOWN_RECORD)


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_a_body_names_accounts_as_a_list_of_texts_or_it_is_400(world, subtests):
    await start_with(world, "sqlite", sample_rows())
    bad = (
        ({}, MISSING, "data.accountIds"),
        ({"data": {}}, MISSING, "data.accountIds"),
        ({"data": None}, MISSING, "data.accountIds"),
        ({"data": {"accountIds": None}}, MISSING, "data.accountIds"),
        ({"accountIds": ["acc-2001"]}, MISSING, "data.accountIds"),
        ({"data": "acc-2001"}, INVALID, "data.accountIds"),
        ({"data": {"accountIds": "acc-2001"}}, INVALID, "data.accountIds"),
        ({"data": {"accountIds": {"acc-2001": True}}}, INVALID, "data.accountIds"),
        (ids(1), INVALID, "data.accountIds"),
        (ids(None), INVALID, "data.accountIds"),
        (ids(True), INVALID, "data.accountIds"),
        (ids(""), INVALID, "data.accountIds"),
        (ids(["acc-2001"]), INVALID, "data.accountIds"),
        (ids(*(f"acc-{number}" for number in range(1001))), INVALID, "data.accountIds"),
        ([], INVALID, "body"),
        (b"{", INVALID, "body"),
        (b'{"data":{"accountIds":[],"accountIds":["acc-2001"]}}', INVALID, "body"),
        (b"", MISSING, "body"),
    )
    for name in CHOSEN:
        for body, words, detail in bad:
            with subtests.test(msg=f"{name} {str(body)[:60]}"):
                answer = await world.call(path_of(name), body=body)
                assert answer.status == 400
                (entry,) = read_errors(name, answer)
                assert (entry["code"], entry["detail"]) == (error_code(name, *words), detail)


@pytest.mark.gen_test(timeout=30)
async def test_an_empty_list_of_accounts_is_an_empty_page(world, subtests):
    """In the FDX it is 400."""
    await start_with(world, "sqlite", sample_rows())
    for name in CHOSEN:
        with subtests.test(msg=name):
            answer = await world.call(path_of(name), body=ids())
            if NAMED[name].sector == "fdx":
                assert answer.status == 400
                (entry,) = read_errors(name, answer)
                assert entry["code"] == "invalid_request"
            else:
                case = next(case for case in CASES if case.operation == name)
                assert (answer.status, answer.json) == (200, page_body(case.name, []))


@pytest.mark.parametrize("kind", ["sqlite", "rest"])
@pytest.mark.gen_test(timeout=30)
async def test_an_account_named_twice_in_a_body_counts_once(world, subtests, kind):
    """The body's ``meta`` is ignored."""
    await start_with(world, kind, sample_rows())
    for name in CHOSEN:
        with subtests.test(msg=name):
            _, first, second = CUSTOMERS[NAMED[name].sector]
            once = await world.call(path_of(name), body=ids(first, second))
            twice = await world.call(path_of(name), body={**ids(first, second, first, second), "meta": [7]})
            assert once.status == 200
            assert once.text == twice.text


@pytest.mark.gen_test(timeout=30)
async def test_a_thousand_accounts_cost_the_questions_that_one_costs(world):
    numbers = [f"acc-{number:04}" for number in range(1000)]
    rows = {
        "customers": [{"id": "c1"}],
        "accounts": [{"customerId": "c1", "id": number} for number in numbers],
        "banking.balances": [
            {"accountId": number, "currentBalance": f"{place}.00", "availableBalance": "0.00"}
            for place, number in enumerate(numbers)
        ],
    }
    upstream = await world.stack.enter_async_context(Upstream(rows))
    template = rest(upstream.url, rows).replace("/accounts/{accountId}/banking.balances", "/all/banking.balances")
    await world.start(template)
    path = "/v1/banking/customer/c1/accounts/balances?page-size=1000"
    costs = []
    for asked in (numbers, numbers[:1]):
        upstream.requests.clear()
        answer = await world.call(path, body=ids(*asked))
        assert answer.status == 200
        assert [balance["accountId"] for balance in answer.json["data"]["balances"]] == asked
        costs.append([request.uri for request in upstream.requests])
    assert costs == [["/api/customers/c1/accounts", "/api/all/banking.balances"]] * 2


@pytest.mark.gen_test
async def test_superseded_lists_are_405_until_they_are_switched_on(world):
    await start_with(world, "sqlite", sample_rows())
    for operation, path in (("listBankingAccountsDeprecated", BANKING), ("listEnergyAccountsDeprecated", ENERGY)):
        answer = await world.call(f"{path}/accounts")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        (entry,) = read_errors(operation, answer)
        assert entry["code"] == f"{URN}cds-all:GeneralError/Expected"
    await restart_with(world, "sqlite", sample_rows(), settings=DEPRECATED)
    for path in (BANKING, ENERGY):
        assert (await world.call(f"{path}/accounts")).status == 200
        put = await world.call(f"{path}/accounts", method="PUT", body={})
        assert (put.status, put.headers["Allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("kind", ["sqlite", "rest"])
@pytest.mark.gen_test(timeout=30)
async def test_both_holders_of_a_joint_account_see_the_same_records(world, subtests, kind):
    await start_with(world, kind, sample_rows())
    for row in OPERATIONS:
        joint = ids("acc-2003") if row.name in CHOSEN else None
        if row.sector != "banking" or row.deprecated or not (joint or row.name in BELOW):
            continue
        with subtests.test(msg=row.name):
            last = {"transactionId": "txn-2003-0081"}
            path = "{}?page-size=1000".format(
                row.path.replace("{accountId}", "acc-2003").format_map({"customerId": "{customerId}", **last})
            )
            answers = [
                await world.call(path.replace("{customerId}", holder), body=joint)
                for holder in ("cust-1001", "cust-1003")
            ]
            assert [answer.status for answer in answers] == [200, 200]
            assert answers[0].text == answers[1].text


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=30)
async def test_records_that_a_path_names_and_nobody_has_are_404(world, subtests, kind):
    await start_with(world, kind, sample_rows())
    for name, path in (
        ("listPayees", "/v1/banking/customer/cust-9999/payees"),
        ("getPayee", "/v1/banking/customer/cust-9999/payees/payee-1001-01"),
        ("getPayee", f"{BANKING}/payees/payee-9999"),
        ("getPayee", f"{BANKING}/payees/payee-1003-01"),
        ("getCommonCustomer", "/v1/common/customer/cust-9999"),
        ("getCommonCustomerDetail", "/v1/common/customer/cust-1004/detail"),
        ("getBankingTransaction", f"{BANKING}/accounts/acc-2002/transactions/txn-9999"),
        ("getBankingTransaction", f"{BANKING}/accounts/acc-2001/transactions/txn-2002-0005"),  # of another account
        ("getBankingTransaction", f"{BANKING}/accounts/acc-2001/transactions/txn-2001-0001"),  # has no detail
        ("getBankingTransaction", f"{BANKING}/accounts/acc-2002/transactions/TXN-2002-0005"),
        ("fdxGetStatement", f"{FDX}/accounts/acc-5001/statements/stmt-9999"),
        ("fdxGetStatement", f"{FDX}/accounts/acc-5001/statements/stmt-5003-1"),  # of another account
        ("fdxListStatements", "/fdx/v6/customer/cust-9999/accounts/acc-5001/statements"),
    ):
        with subtests.test(msg=path):
            answer = await world.call(path)
            assert answer.status == 404 and "X-Sharing-Refused" not in answer.headers
            (entry,) = read_errors(name, answer)
            assert entry["code"] == error_code(name, *UNKNOWN_RECORD)
    none = await world.call("/v1/banking/customer/cust-1004/payees")
    assert (none.status, none.json) == (200, page_body("payees", []))


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test
async def test_a_statement_is_the_pdf_itself(world, kind):
    rows = sample_rows()
    await start_with(world, kind, rows)
    content = document(next(row["document"] for row in rows["fdx.statements"]))
    for accept in (None, "application/pdf", "application/*", "*/*"):
        answer = await world.call(STATEMENT[1], headers={"Accept": accept} if accept else None)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/pdf")
        assert answer.text == content
        assert answer.headers["Content-Length"] == str(len(content))
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["x-fapi-interaction-id"]
    refused = await world.call(STATEMENT[1], headers={"Accept": "application/json"})
    assert (refused.status, refused.code) == (406, "invalid_request")
    assert refused.headers["Content-Type"] == "application/json; charset=UTF-8"


@pytest.mark.gen_test
async def test_a_missing_statement_document_is_404(world):
    """A document that is not a PDF is 500."""
    rows = sample_rows()
    await start_with(world, "sqlite", rows)
    with closing(sqlite3.connect(world.folder / "bank.db")) as bank, bank:
        for statement, content in (("1", None), ("2", b"<html>"), ("3", "%PDF-1.4 as text"), ("4", b"")):
            bank.execute(
                "UPDATE fdx_statements SET document = ? WHERE statementId = ?", (content, f"stmt-5001-{statement}")
            )
    found = [await world.call(f"{FDX}/accounts/acc-5001/statements/stmt-5001-{number}") for number in (1, 2, 3, 4)]
    assert [answer.status for answer in found] == [404, 500, 500, 500]
    assert [answer.code for answer in found] == ["not_found", "server_error", "server_error", "server_error"]


@pytest.mark.gen_test(timeout=30)
async def test_a_collection_without_a_source_is_not_implemented(world, subtests):
    """And the token stays good."""
    kept = ("customers", "accounts")
    rows = sample_rows()
    await start_with(world, "sqlite", {name: rows[name] for name in kept})
    for row in OPERATIONS:
        if row.collection in kept or row.deprecated:
            continue
        with subtests.test(msg=row.name):
            body = ids(CUSTOMERS[row.sector][1]) if row.name in CHOSEN else None
            path = path_of(row.name)
            token = world.token(path)
            for _ in range(2):
                answer = await world.call(path, body=body, token=token)
                assert answer.status == 404
                (entry,) = read_errors(row.name, answer)
                assert entry["code"] == error_code(row.name, *NOT_SERVED)
    assert (await world.call("/auth/v1/customer/cust-1001")).status == 200


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_without_the_accounts_collection_no_account_is_served(world, subtests):
    rows = sample_rows()
    await start_with(world, "sqlite", {name: records for name, records in rows.items() if name != "accounts"})
    for name in BELOW + CHOSEN:
        with subtests.test(msg=name):
            body = ids(CUSTOMERS[NAMED[name].sector][1]) if name in CHOSEN else None
            answer = await world.call(path_of(name), body=body)
            assert answer.status == 404
            (entry,) = read_errors(name, answer)
            assert entry["code"] == error_code(name, *NOT_SERVED)
    assert (await world.call(f"{BANKING}/payees")).status == 200
