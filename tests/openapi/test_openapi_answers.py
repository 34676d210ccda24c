"""A running server answers as its OpenAPI document says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from helpers.documents import WHOLE, members, misfits, operations_in, places, resolved
from helpers.support import World, sample_rows, start_with
from openholder.contract.operation import JSON
from openholder.contract.operations import OPERATIONS, Operation
from openholder.contract.parameters import Window
from openholder.fiskil import sample

NAMED = {operation.name: operation for operation in OPERATIONS}

ROWS = sample_rows()
SERVED = [row for row in OPERATIONS if not row.deprecated]


def ids_for(operation: Operation) -> dict[str, str]:
    """Ids of the sample data for which the operation has something to answer."""
    owners = {row["id"]: row["customerId"] for row in ROWS["accounts"] if row["status"] in (None, "open")}
    for row in ROWS[operation.collection]:
        account = row.get("accountId", row["id"] if operation.collection == "accounts" else None)
        customer = owners.get(account) if account else row.get("customerId", row.get("id"))
        if customer and (not operation.needs or row[operation.needs]):
            return {**row, "accountId": account, "customerId": customer}
    raise AssertionError(f"no sample data for {operation.name}")


def request_for(operation: Operation) -> dict[str, Any]:
    """The path, with all of time where the default is a part of it, and the body."""
    ids = ids_for(operation)
    path = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], operation.path)
    windows = [parameter for parameter in operation.parameters if isinstance(parameter, Window)]
    oldest = {"date": "2020-01-01", "date-time": "2020-01-01T00:00:00Z"}
    query = "&".join(f"{window.oldest}={oldest[window.reads]}" for window in windows)
    bodies = {"search": {"email": sample.EMAIL}, "specific": {"data": {"accountIds": [ids["accountId"]]}}}
    return {"path": f"{path}?{query}".rstrip("?"), "body": bodies.get(operation.whose)}


async def serve(world: World, **more: str) -> None:
    sample.write_sqlite(world.folder / "bank.db")
    await world.start('[sources.bank]\nkind = "sqlite"\npath = "bank.db"\n', **more)


def checked(operation: Operation, answer: Any) -> Any:
    """The body of an answer, which is as the document says: status, headers, media type and content."""
    response = resolved(WHOLE, operations_in(WHOLE)[operation.method, operation.path]["responses"][str(answer.status)])
    said = {name.lower() for name in response["headers"]}
    special = {"x-fapi-interaction-id", "x-sharing-refused", "www-authenticate", "retry-after"}
    assert special & {name.lower() for name in answer.headers} <= said
    (media,) = response["content"]
    assert answer.headers["Content-Type"].partition(";")[0] == media
    if media == JSON:
        assert misfits(WHOLE, response, answer.json) == []
    return answer.json if media == JSON else answer.text


@pytest.mark.slow
@pytest.mark.gen_test(timeout=60)
async def test_every_operation_answers_as_documented(world):
    await serve(world, settings="deprecated_lists = true")
    for operation in OPERATIONS:
        request = request_for(operation)
        answer = await world.call(request["path"], body=request["body"])
        assert answer.status == 200, (operation.name, answer.text)
        content = checked(operation, answer)
        for name in operation.reply.envelope:
            content = content[name]
        assert content, f"{operation.name} has something to answer"


@pytest.mark.gen_test(timeout=60)
async def test_members_that_a_server_sends_are_named_in_the_document(world):
    await serve(world)
    for operation in (row for row in SERVED if row.reply.media == JSON and row.sector != "fdx"):
        request = request_for(operation)
        answer = await world.call(request["path"], body=request["body"])
        response = operations_in(WHOLE)[operation.method, operation.path]["responses"]["200"]
        schema = response["content"][JSON]["schema"]
        said = {place for place, _ in members(WHOLE, schema, "")}
        assert set(places(answer.json)) <= said, operation.name


ERRORS = [
    ("getStarterBalance", {"token": ""}, 401),
    ("getStarterBalance", {"headers": {"Accept": "text/html"}}, 406),
    ("getStarterBalance", {"path": "/customer/cust-1001/accounts/acc-nobody/balances"}, 404),
    ("getCustomerDetails", {"path": "/auth/v1/customer/cust-nobody"}, 404),
    ("getCustomerDetails", {"query": "access_token=x"}, 400),
    ("searchCustomers", {"body": {}}, 400),
    ("searchCustomers", {"body": b"x" * 70_000}, 413),
    ("searchCustomers", {"headers": {"Content-Type": "text/plain"}}, 415),
    ("listBankingTransactions", {"query": "page=0&page-size=2000&oldest-time=x"}, 400),
    ("listBankingTransactions", {"query": "page=99999"}, 422),
    ("listBankingBalancesSpecific", {"body": {"data": {"accountIds": ["acc-nobody"]}}}, 422),
    ("fdxListTransactions", {"query": "limit=0&offset=x"}, 400),
]


@pytest.mark.gen_test(timeout=60)
async def test_errors_are_as_the_document_says(world):
    await serve(world)
    for name, change, status in ERRORS:
        request = request_for(NAMED[name]) | change
        if "query" in request:
            request["path"] = request["path"].partition("?")[0] + "?" + request.pop("query")
        answer = await world.call(request.pop("path"), **request)
        assert answer.status == status, (name, change, answer.text)
        errors = checked(NAMED[name], answer)["errors"]
        codes = operations_in(WHOLE)[NAMED[name].method, NAMED[name].path]["x-error-codes"][str(status)]
        assert {error["code"] for error in errors} <= set(codes)


@pytest.mark.gen_test
async def test_a_refusal_to_share_is_as_the_document_says(world):
    rows = sample_rows()
    await start_with(world, "csv", rows)
    blocked = next(row for row in rows["accounts"] if row["status"] == "blocked")
    path = f"/customer/{blocked['customerId']}/accounts/{blocked['id']}/balances"
    answer = await world.call(path)
    assert (answer.status, answer.headers["X-Sharing-Refused"]) == (404, "true")
    checked(NAMED["getStarterBalance"], answer)


def test_an_answer_that_is_not_as_the_document_says_is_found_out():
    response = operations_in(WHOLE)["GET", NAMED["getBankingBalance"].path]["responses"]["200"]
    balance = {"accountId": "acc-1", "currentBalance": "1.00", "availableBalance": "1.00"}
    assert misfits(WHOLE, response, {"data": balance}) == []
    for wrong in ({"currentBalance": 1}, {"currentBalance": "1"}, {"currency": None}, {"accountId": ""}):
        assert misfits(WHOLE, response, {"data": balance | wrong}) != []
    assert misfits(WHOLE, response, balance) != []
