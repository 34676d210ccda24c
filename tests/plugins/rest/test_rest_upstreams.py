"""Two banking systems, after the public shapes of their APIs, served by configuration alone.

What needs constants, codes or a time zone is not in here: no setting of the REST source has them.
"""

from __future__ import annotations

import json

import pytest

from helpers.support import Upstream
from openholder.config import Configuration
from openholder.inspection.configuration import inspect_configuration


def respond(handler, body, status=200):
    handler.set_status(status)
    handler.set_header("Content-Type", "application/json")
    handler.finish(json.dumps(body))


async def start(world, answer, toml, **secrets):
    upstream = await world.stack.enter_async_context(Upstream({}))
    upstream.break_with = answer
    await world.start(toml.replace("BASE", upstream.url))
    return upstream


async def list_failures(world):
    """What `openholder check` finds wrong in the configuration of the running server, with a record of its own."""
    path = world.folder / "check.toml"
    served = (world.folder / "openholder.toml").read_text(encoding="utf-8")
    path.write_text(served.replace('path = "replay.db"', 'store = "memory"'), encoding="utf-8")
    findings = await inspect_configuration(Configuration.load(path))
    return [(finding.what, finding.detail) for finding in findings if finding.verdict in ("failed", "configuration")]


# -- Apache Fineract: bare records, lists in pageItems, dates as arrays, a tenant header, basic authentication ------

FINERACT = """
[sources.fineract]
kind = "rest"
base_url = "BASE/v1"
basic = { user = { env = "FINERACT_USER" }, password = { env = "FINERACT_PASSWORD" } }
headers = { "Fineract-Platform-TenantId" = { env = "FINERACT_TENANT" } }
records = { "*" = "", customers = ["", "pageItems"], accounts = "savingsAccounts" }
nothing = [404, "absent"]
probe_id = "999999999"

[sources.fineract.paging]
style = "offset"
size_parameter = "limit"
size = 2
collections = ["customers"]

[sources.fineract.collections]
customers = ["/clients/{customerId}", "/clients?email={email}"]
accounts = "/clients/{customerId}/accounts"
balances = "/savingsaccounts/{accountId}"
"banking.balances" = "/savingsaccounts/{accountId}"
"fdx.accounts" = "/savingsaccounts/{accountId}"

[sources.fineract.columns.customers]
name = "displayName"
givenName = "firstname"
familyName = "lastname"
email = "emailAddress"
phoneNumber = "mobileNo"

[sources.fineract.columns.accounts]
name = "productName"
displayName = "accountNo"

[sources.fineract.columns.balances]
accountId = "id"
current = "summary.accountBalance"
available = "summary.availableBalance"
currency = "summary.currency.code"

[sources.fineract.columns."banking.balances"]
accountId = "id"
currentBalance = "summary.accountBalance"
availableBalance = "summary.availableBalance"
currency = "summary.currency.code"

[sources.fineract.columns."fdx.accounts"]
accountId = "id"
accountNumberDisplay = "accountNo"
productName = "savingsProductName"
currentBalance = "summary.accountBalance"
"currency.currencyCode" = "currency.code"
accountOpenDate = "timeline.activatedOnDate"
status = "status.value"
"""

AUD = {"code": "AUD", "name": "Australian Dollar", "decimalPlaces": 2, "displaySymbol": "$"}
ACTIVE = {"id": 300, "code": "savingsAccountStatusType.active", "value": "Active", "active": True}


def build_client(number, first, last):
    return {
        "id": number,
        "accountNo": f"{number:09}",
        "status": {"id": 300, "code": "clientStatusType.active", "value": "Active"},
        "active": True,
        "activationDate": [2019, 2, 14],
        "firstname": first,
        "lastname": last,
        "displayName": f"{first} {last}",
        "emailAddress": f"{first.lower()}@example.com",
        "mobileNo": "+61491570110",
        "officeId": 1,
        "timeline": {"submittedOnDate": [2019, 2, 12], "activatedOnDate": [2019, 2, 14]},
    }


CLIENTS = [build_client(*one) for one in ((7, "Petra", "Yton"), (8, "Noor", "Haddad"), (9, "Tom", "Ferris"))]
CLIENTS.append({**build_client(10, "Petra", "Younger"), "emailAddress": "petra@example.com"})
CLIENTS.append({**build_client(11, "Petra", "Youngest"), "emailAddress": "petra@example.com"})
SAVINGS = {
    21: {
        "id": 21,
        "accountNo": "000000021",
        "clientId": 7,
        "clientName": "Petra Yton",
        "savingsProductName": "Passbook Savings",
        "status": ACTIVE,
        "timeline": {"submittedOnDate": [2020, 1, 30], "activatedOnDate": [2020, 1, 31]},
        "currency": AUD,
        "summary": {"currency": AUD, "totalDeposits": 900.0, "accountBalance": 812.07, "availableBalance": 800.0},
    }
}
NOT_FOUND = {
    "developerMessage": "The requested resource is not available.",
    "httpStatusCode": "404",
    "userMessageGlobalisationCode": "error.msg.resource.not.found",
    "errors": [],
}


def answer_as_fineract(handler):
    assert handler.request.headers["Fineract-Platform-TenantId"] == "default"
    assert handler.request.headers["Authorization"].startswith("Basic ")
    name, *rest = handler.request.path.removeprefix("/api/v1/").split("/")
    if name == "clients" and not rest:
        offset, limit = int(handler.get_argument("offset")), int(handler.get_argument("limit"))
        found = [client for client in CLIENTS if client["emailAddress"] == handler.get_argument("email")]
        return respond(handler, {"totalFilteredRecords": len(found), "pageItems": found[offset : offset + limit]})
    if name == "clients":
        found = next((client for client in CLIENTS if str(client["id"]) == rest[0]), None)
        if found and rest[1:] == ["accounts"]:
            mine = [account for account in SAVINGS.values() if account["clientId"] == found["id"]]
            listed = [{"id": a["id"], "accountNo": a["accountNo"], "productName": "Passbook Savings"} for a in mine]
            # What a client has none of is left out.
            return respond(handler, {"savingsAccounts": listed} if listed else {})
        return respond(handler, found or NOT_FOUND, 200 if found else 404)
    found = SAVINGS.get(int(rest[0]))
    return respond(handler, found or NOT_FOUND, 200 if found else 404)


@pytest.fixture
def fineract(monkeypatch):
    for name, value in {"USER": "mifos", "PASSWORD": "password", "TENANT": "default"}.items():
        monkeypatch.setenv(f"FINERACT_{name}", value)
    return FINERACT


@pytest.mark.gen_test
async def test_fineract_is_served_by_configuration_alone(world, fineract):
    upstream = await start(world, answer_as_fineract, fineract)
    assert (await world.call("/auth/v1/customer/7")).json == {
        "id": "7",
        "email": "petra@example.com",
        "familyName": "Yton",
        "givenName": "Petra",
        "name": "Petra Yton",
        "phoneNumber": "+61491570110",
    }
    found = (await world.call("/auth/v1/customer/search", body={"email": "petra@example.com"})).json["data"]
    assert [match["id"] for match in found] == ["7", "10", "11"]
    pages = [request.query for request in upstream.requests if "email" in request.query]
    assert pages == [f"email=petra%40example.com&limit=2&offset={offset}" for offset in (0, 2)]
    (account,) = (await world.call("/auth/v1/customer/7/accounts")).json["accounts"]
    assert (account["id"], account["displayName"]) == ("21", "000000021")
    assert (await world.call("/auth/v1/customer/8/accounts")).json == {"accounts": []}
    assert (await world.call("/customer/7/accounts/21/balances")).text == (
        b'{"account_id":"21","available":800.0,"current":812.07,"currency":"AUD"}'
    )
    balance = (await world.call("/v1/banking/customer/7/accounts/21/balance")).json["data"]
    assert (balance["currentBalance"], balance["availableBalance"]) == ("812.07", "800.00")
    detail = (await world.call("/fdx/v6/customer/7/accounts/21")).json
    assert (detail["accountOpenDate"], detail["currency"]) == ("2020-01-31", {"currencyCode": "AUD"})
    for path in ("/auth/v1/customer/12", "/customer/8/accounts/21/balances", "/customer/7/accounts/22/balances"):
        assert (await world.call(path)).status == 404


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_check_is_green_for_fineract(world, fineract):
    await start(world, answer_as_fineract, fineract)
    assert await list_failures(world) == []


# -- Open Bank Project: lists under their own names, an error with 400, a token of its own kind, nested values ------

NO_CUSTOMER = "OBP-30046: Customer not found. Please specify a valid value for CUSTOMER_ID."
NO_ACCOUNT = "OBP-30018: Bank Account not found. Please specify valid values for BANK_ID and ACCOUNT_ID."

OBP = """
[sources.obp]
kind = "rest"
base_url = "BASE/obp/v4.0.0"
headers = { Authorization = { env = "OBP_LOGIN" } }
records = { "*" = "", customers = ["", "customers"], "fdx.transactions" = "transactions" }
nothing = [404, NO_CUSTOMER, NO_ACCOUNT]
probe_id = "00000000-0000-4000-8000-000000000000"

[sources.obp.paging]
style = "offset"
size_parameter = "limit"
size = 3
collections = ["fdx.transactions"]

[sources.obp.collections]
customers = ["/banks/au.01/customers/{customerId}", "/banks/au.01/customers"]
accounts = "/customers/{customerId}/accounts-minimal"
balances = "/banks/au.01/accounts/{accountId}/owner/account"
"banking.balances" = "/banks/au.01/accounts/{accountId}/owner/account"
"fdx.accounts" = "/banks/au.01/accounts/{accountId}/owner/account"
"fdx.transactions" = [
    "/banks/au.01/accounts/{accountId}/owner/transactions?from_date={from}&to_date={to}",
    "/banks/au.01/accounts/{accountId}/owner/transactions",
]

[sources.obp.columns.customers]
id = "customer_id"
name = "legal_name"
phoneNumber = "mobile_phone_number"

[sources.obp.columns.accounts]
id = "account_id"

[sources.obp.columns.balances]
accountId = "id"
current = "balance.amount"
currency = "balance.currency"

[sources.obp.columns."banking.balances"]
accountId = "id"
currentBalance = "balance.amount"
availableBalance = "balance.amount"
currency = "balance.currency"

[sources.obp.columns."fdx.accounts"]
accountId = "id"
nickname = "label"
productName = "product_code"
currentBalance = "balance.amount"
"currency.currencyCode" = "balance.currency"

[sources.obp.columns."fdx.transactions"]
transactionId = "id"
accountId = "this_account.id"
payee = "other_account.holder.name"
transactionType = "details.type"
description = "details.description"
postedTimestamp = "details.posted"
transactionTimestamp = "details.completed"
amount = "details.value.amount"
"""

KIM, LEE = "5995d6a2-01b3-423c-a173-5481df49bdaf", "6a1b5b0e-6a4e-4f1e-9a51-1f0f2a6f0b11"
CURRENT = "8ca8a7e4-6d02-40e3-a129-0b2bf89de9f0"
CUSTOMERS = [
    {
        "bank_id": "au.01",
        "customer_id": one,
        "customer_number": "5987953",
        "legal_name": name,
        "mobile_phone_number": "+61491570156",
        "email": email,
        "date_of_birth": "1988-07-01T00:00:00Z",
        "face_image": {"url": "https://example.com/face", "date": "2020-01-01T00:00:00Z"},
        "title": "Dr.",
    }
    for one, name, email in ((KIM, "Kim One", "kim@example.com"), (LEE, "Lee Two", "lee@example.com"))
]
ACCOUNT = {
    "id": CURRENT,
    "bank_id": "au.01",
    "label": "Everyday",
    "number": "123456",
    "product_code": "CURRENT_1",
    "balance": {"currency": "AUD", "amount": "1002.50"},
    "account_routings": [{"scheme": "BSB", "address": "062-000"}],
    "views_available": [],
}
TRANSACTIONS = [
    {
        "id": f"tx-{number}",
        "this_account": {"id": CURRENT, "bank_routing": {"scheme": "BANK_ID", "address": "au.01"}},
        "other_account": {"id": "x", "holder": {"name": f"Shop {number}", "is_alias": False}},
        "details": {
            "type": "10219",
            "description": f"COFFEE {number}",
            "posted": f"2026-10-0{number}T09:30:00Z",
            "completed": f"2026-10-0{number}T10:30:00Z",
            "new_balance": {"currency": "AUD", "amount": "10.00"},
            "value": {"currency": "AUD", "amount": f"-{number}.10"},
        },
        "metadata": {"tags": [], "images": []},
    }
    for number in range(7, 0, -1)
]


def answer_as_obp(handler):
    assert handler.request.headers["Authorization"] == 'DirectLogin token="abc"'
    parts = handler.request.path.removeprefix("/api/obp/v4.0.0/").split("/")
    if parts[0] == "customers":
        owned = [{"bank_id": "au.01", "account_id": CURRENT, "views_available": []}] if parts[1] == KIM else []
        known = parts[1] in (KIM, LEE)
        return respond(handler, owned if known else {"code": 400, "message": NO_CUSTOMER}, 200 if known else 400)
    if parts[2:] == ["customers"]:
        return respond(handler, {"customers": CUSTOMERS})
    if parts[2] == "customers":
        found = next((one for one in CUSTOMERS if one["customer_id"] == parts[3]), None)
        return respond(handler, found or {"code": 400, "message": NO_CUSTOMER}, 200 if found else 400)
    if parts[3] != CURRENT:
        return respond(handler, {"code": 400, "message": NO_ACCOUNT}, 400)
    if parts[-1] == "account":
        return respond(handler, ACCOUNT)
    offset, limit = int(handler.get_argument("offset")), int(handler.get_argument("limit"))
    return respond(handler, {"transactions": TRANSACTIONS[offset : offset + limit]})


@pytest.fixture
def obp(monkeypatch):
    monkeypatch.setenv("OBP_LOGIN", 'DirectLogin token="abc"')
    codes = {"NO_CUSTOMER": NO_CUSTOMER, "NO_ACCOUNT": NO_ACCOUNT}
    toml = OBP
    for name, value in codes.items():
        toml = toml.replace(f", {name}", f', {{ status = 400, member = "message", value = "{value}" }}')
    return toml


@pytest.mark.gen_test
async def test_open_bank_project_is_served_by_configuration_alone(world, obp):
    upstream = await start(world, answer_as_obp, obp)
    details = (await world.call(f"/auth/v1/customer/{KIM}")).json
    assert details == {
        "id": KIM,
        "email": "kim@example.com",
        "name": "Kim One",
        "phoneNumber": "+61491570156",
    }
    found = (await world.call("/auth/v1/customer/search", body={"email": "LEE@example.com"})).json["data"]
    assert [match["id"] for match in found] == [LEE]
    assert [account["id"] for account in (await world.call(f"/auth/v1/customer/{KIM}/accounts")).json["accounts"]] == [
        CURRENT
    ]
    assert (await world.call(f"/auth/v1/customer/{LEE}/accounts")).json == {"accounts": []}
    assert (await world.call(f"/customer/{KIM}/accounts/{CURRENT}/balances")).text == (
        f'{{"account_id":"{CURRENT}","current":1002.50,"currency":"AUD"}}'.encode()
    )
    path = f"/fdx/v6/customer/{KIM}/accounts/{CURRENT}"
    assert (await world.call(path)).json["nickname"] == "Everyday"
    listed = (await world.call(f"{path}/transactions?startTime=2026-10-02&endTime=2026-10-06")).json["transactions"]
    assert [transaction["transactionId"] for transaction in listed] == [f"tx-{number}" for number in range(6, 1, -1)]
    assert listed[0] == {
        "transactionId": "tx-6",
        "transactionType": "10219",
        "payee": "Shop 6",
        "postedTimestamp": "2026-10-06T09:30:00Z",
        "transactionTimestamp": "2026-10-06T10:30:00Z",
        "description": "COFFEE 6",
        "amount": -6.10,
    }
    assert any("from_date=2026-10-02T00%3A00%3A00Z" in request.query for request in upstream.requests)
    for unknown in (f"/auth/v1/customer/{CURRENT}", f"/customer/{LEE}/accounts/{CURRENT}/balances"):
        assert (await world.call(unknown)).status == 404


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_check_is_green_for_the_open_bank_project(world, obp):
    await start(world, answer_as_obp, obp)
    assert await list_failures(world) == []


@pytest.mark.parametrize("message", ["OBP-50000: Unknown Error.", "OBP-30001: Bank not found."])
@pytest.mark.gen_test
async def test_another_error_of_the_same_status_is_a_fault(world, obp, message):
    upstream = await start(world, answer_as_obp, obp)
    upstream.break_with = lambda handler: respond(handler, {"code": 400, "message": message}, 400)
    assert (await world.call(f"/auth/v1/customer/{KIM}")).status == 500
