"""The four operations, with the same answers from the same data in every kind of source."""

from __future__ import annotations

import pytest

from helpers.support import SOURCES, sample_rows, start_with

JANE = {
    "id": "cust-1001",
    "email": "jane.citizen@example.com",
    "emailVerified": True,
    "familyName": "Citizen",
    "givenName": "Jane",
    "name": "Jane Citizen",
}

pytestmark = pytest.mark.parametrize("kind", SOURCES)


@pytest.mark.gen_test
async def test_search_finds_a_person_and_a_business_of_one_address(world, kind):
    await start_with(world, kind, sample_rows())
    answer = await world.call("/auth/v1/customer/search", body={"email": "jane.citizen@example.com"})
    assert answer.status == 200
    assert [match["id"] for match in answer.json["data"]] == ["cust-1001", "cust-1002"]
    assert answer.json["data"][0] == {"id": "cust-1001", "name": "Jane Citizen", "phoneNumber": "+61491570006"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("JANE.Citizen@EXAMPLE.com", ["cust-1001", "cust-1002"]),
        ("tran.minh@example.com", ["cust-1006", "cust-1027"]),  # his own, and a business that he may log in for
        ("bookkeeper@example.org", ["cust-1012", "cust-1025"]),
        ("half%off@example.net", ["cust-1021"]),
        ("sam_okorowe@example.com", ["cust-1023"]),
        ("niamh.o'brien-d'arcy@example.com", ["cust-1004"]),
        ("lachie+bank@example.com", ["cust-1020"]),
        (" lachie+bank@example.com ", ["cust-1020"]),
        ("nobody@example.com", []),
        ("%", []),
        ("' OR 1=1--", []),
        ("\u212aate@example.com", []),
    ],
)
@pytest.mark.gen_test
async def test_search_compares_addresses_as_text_in_any_ascii_case(world, kind, address, found):
    await start_with(world, kind, sample_rows())
    answer = await world.call("/auth/v1/customer/search", body={"email": address})
    assert (answer.status, [match["id"] for match in answer.json["data"]]) == (200, found)


@pytest.mark.gen_test
async def test_details_are_flat_and_leave_out_what_is_not_known(world, kind):
    await start_with(world, kind, sample_rows())
    jane = (await world.call("/auth/v1/customer/cust-1001")).json
    assert {name: jane[name] for name in JANE} == JANE
    assert set(jane["address"]) == {"streetAddress", "locality", "region", "postalCode", "country"}
    assert "address" not in (await world.call("/auth/v1/customer/cust-1017")).json
    assert set((await world.call("/auth/v1/customer/cust-1016")).json["address"]) == {"locality", "region", "country"}
    assert (await world.call("/auth/v1/customer/cust-1014")).json["address"]["postalCode"] == "0871"
    assert (await world.call("/auth/v1/customer/cust-1019")).json["emailVerified"] is False


@pytest.mark.gen_test
async def test_accounts_for_consent_exclude_those_not_shareable(world, kind):
    await start_with(world, kind, sample_rows())
    answer = await world.call("/auth/v1/customer/cust-1001/accounts")
    assert answer.status == 200
    assert [account["id"] for account in answer.json["accounts"]] == ["acc-2001", "acc-2002", "acc-2003", "acc-2005"]
    assert set(answer.json["accounts"][0]) == {"id", "name", "type", "displayName"}
    assert (await world.call("/auth/v1/customer/cust-1026/accounts")).json == {"accounts": []}


@pytest.mark.parametrize(
    ("customer", "account", "body"),
    [
        ("cust-1001", "acc-2001", b'{"account_id":"acc-2001","available":1200.50,"current":1250.50,"currency":"AUD"}'),
        ("cust-1001", "acc-2005", b'{"account_id":"acc-2005","available":0.00,"current":0.00,"currency":"AUD"}'),
    ],
)
@pytest.mark.gen_test
async def test_balances_are_exact_json_numbers(world, kind, customer, account, body):
    await start_with(world, kind, sample_rows())
    answer = await world.call(f"/customer/{customer}/accounts/{account}/balances")
    assert (answer.status, answer.text) == (200, body)


@pytest.mark.slow
@pytest.mark.gen_test
async def test_every_balance_comes_out_with_the_digits_that_went_in(world, kind):
    rows = sample_rows()
    await start_with(world, kind, rows)
    owners = {row["id"]: row["customerId"] for row in rows["accounts"] if row["status"] not in {"blocked", "suspended"}}
    for row in rows["balances"]:
        if row["accountId"] in owners:
            answer = await world.call(f"/customer/{owners[row['accountId']]}/accounts/{row['accountId']}/balances")
            assert f'"available":{row["available"]},"current":{row["current"]},'.encode() in answer.text


@pytest.mark.gen_test
async def test_both_holders_of_a_joint_account_see_it(world, kind):
    await start_with(world, kind, sample_rows())
    answers = [
        await world.call(f"/customer/{owner}/accounts/acc-2003/balances") for owner in ("cust-1001", "cust-1003")
    ]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].text == answers[1].text


@pytest.mark.gen_test
async def test_a_foreign_account_looks_like_an_unknown_one(world, kind):
    await start_with(world, kind, sample_rows())
    foreign = await world.call("/customer/cust-1001/accounts/acc-2008/balances")
    missing = await world.call("/customer/cust-1001/accounts/acc-9999/balances")
    assert foreign.status == missing.status == 404
    for answer in (foreign, missing):
        assert answer.json["errors"][0]["meta"].pop("correlationId") == answer.headers["x-fapi-interaction-id"]
        assert "X-Sharing-Refused" not in answer.headers
    assert foreign.code == "account_not_found"
    assert {**foreign.json["errors"][0], "meta": ""} == {**missing.json["errors"][0], "meta": ""}
    assert set(foreign.headers) == set(missing.headers)


@pytest.mark.parametrize(("customer", "account"), [("cust-1001", "acc-2004"), (None, "acc-2029")])
@pytest.mark.gen_test
async def test_a_blocked_or_suspended_account_is_refused_and_counted(world, kind, customer, account):
    rows = sample_rows()
    await start_with(world, kind, rows)
    customer = customer or next(row["customerId"] for row in rows["accounts"] if row["id"] == account)
    answer = await world.call(f"/customer/{customer}/accounts/{account}/balances")
    assert (answer.status, answer.code) == (404, "account_unavailable")
    assert answer.headers["X-Sharing-Refused"] == "true"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/auth/v1/customer/cust-9999", "urn:au-cds:error:cds-all:Resource/Invalid"),
        ("/auth/v1/customer/cust-9999/accounts", "urn:au-cds:error:cds-all:Resource/Invalid"),
        ("/customer/cust-9999/accounts/acc-2001/balances", "not_found"),
        ("/auth/v1/customer/CUST-1001", "urn:au-cds:error:cds-all:Resource/Invalid"),
        ("/auth/v1/customer/cust-100_", "urn:au-cds:error:cds-all:Resource/Invalid"),
        ("/auth/v1/customer/cust-1001%20", "urn:au-cds:error:cds-all:Resource/Invalid"),
        ("/auth/v1/customer/%2e%2e", "urn:au-cds:error:cds-all:Resource/Invalid"),
        ("/auth/v1/customer/cust-1001%2faccounts", "urn:au-cds:error:cds-all:Resource/Invalid"),
        ("/auth/v1/customer/cust-1001%00", "urn:au-cds:error:cds-all:Resource/Invalid"),
        ("/auth/v1/customer/%ff", "urn:au-cds:error:cds-all:Resource/Invalid"),
    ],
)
@pytest.mark.gen_test
async def test_a_customer_who_does_not_exist_is_404(world, kind, path, code):
    await start_with(world, kind, sample_rows())
    answer = await world.call(path)
    assert (answer.status, answer.code) == (404, code)
