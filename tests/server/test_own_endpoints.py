"""Data endpoints of the holder's own, from the configuration."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from referencing.exceptions import Unresolvable
from structlog.testing import capture_logs

from helpers.errors import URN
from helpers.expected import EXACT
from helpers.people import rows_with_blocked
from helpers.support import ISSUER, Upstream, sample_rows, start_with
from openholder.config import Configuration
from openholder.contract.records.custom import make_record_type
from openholder.errors import ConfigurationError
from openholder.settings import load_schema

PAYSLIPS = "/v1/customer/{customerId}/payslips"
CARDS = "/v1/customer/{customerId}/accounts/{accountId}/cards"
ENDPOINTS = f"""
[[endpoints]]
path = "{PAYSLIPS}"
collection = "payslips"
envelope = "data.payslips"
paging = "page"
[[endpoints]]
path = "{PAYSLIPS}/{{id}}"
collection = "payslips"
[[endpoints]]
path = "{CARDS}"
collection = "cards"
envelope = "cards"
paging = "offset"
[[endpoints]]
path = "{CARDS}/{{number}}"
collection = "cards"
envelope = "data"
[[endpoints]]
path = "/v1/customer/{{customerId}}/missing"
collection = "nowhere"
"""


def with_own() -> Any:
    """The sample data, and two collections that only the holder knows."""
    rows = rows_with_blocked()
    rows["payslips"] = [
        {
            "customerId": owner,
            "id": f"pay-{number}",
            "employer.name": "Kelpie Outdoor",
            "gross": gross,
            "lines": '[{"what":"base","hours":7.50}]',
            "note": None,
            "paid": "true",
        }
        for number, (owner, gross) in enumerate(
            [("cust-1001", "5123.40"), ("cust-1001", "5200.00"), ("cust-1003", "1.00"), ("cust-1001", "12.00")], 1
        )
    ]
    rows["cards"] = [
        {"accountId": account, "id": f"card-{number}", "number": f"n-{number}", "scheme": "VISA"}
        for number, account in enumerate(["acc-2001", "acc-2001", "acc-2008", "acc-2001", "acc-2901"], 1)
    ]
    return rows


@pytest.mark.parametrize("kind", ["sqlite", "csv", "rest"])
@pytest.mark.gen_test
async def test_endpoints_of_ones_own_answer_with_records_as_they_are(world, kind):
    rows = with_own()
    rows["cards"] = [
        {"customerId": "cust-1003" if row["accountId"] == "acc-2008" else "cust-1001", **row} for row in rows["cards"]
    ]
    await start_with(world, kind, rows, tables=ENDPOINTS)
    truth = "true" if kind != "rest" else True
    employer = {"name": "Kelpie Outdoor"}
    mine = [
        {"id": row["id"], "employer": employer, "gross": row["gross"], "lines": row["lines"], "paid": truth}
        for row in rows["payslips"]
        if row["customerId"] == "cust-1001"
    ]
    if kind == "rest":
        mine = [{**row, "lines": EXACT(row["lines"])} for row in mine]
    first = await world.call("/v1/customer/cust-1001/payslips?page-size=2")
    assert EXACT(first.text) == {
        "data": {"payslips": mine[:2]},
        "links": {"next": "page=2&page-size=2", "last": "page=2&page-size=2"},
        "meta": {"totalRecords": 3, "totalPages": 2},
    }
    second = await world.call("/v1/customer/cust-1001/payslips?page=2&page-size=2")
    assert EXACT(second.text)["data"] == {"payslips": mine[2:]}
    one = await world.call("/v1/customer/cust-1001/payslips/pay-2")
    assert (one.status, EXACT(one.text)) == (200, mine[1])

    cards, offset = [], ""
    for _ in range(3):
        answer = await world.call(f"/v1/customer/cust-1001/accounts/acc-2001/cards?limit=1{offset}")
        cards += answer.json["cards"]
        assert answer.json["page"]["totalElements"] == 3
        offset = f"&offset={answer.json['page'].get('nextOffset')}"
    assert offset == "&offset=None"
    assert cards == [{"id": f"card-{n}", "number": f"n-{n}", "scheme": "VISA"} for n in (1, 2, 4)]
    card = await world.call("/v1/customer/cust-1001/accounts/acc-2001/cards/n-2")
    assert (card.status, card.json) == (200, {"data": {"id": "card-2", "number": "n-2", "scheme": "VISA"}})


@pytest.mark.gen_test
async def test_custom_endpoints_keep_the_rules_of_ownership_and_errors(world, subtests):
    await start_with(world, "sqlite", with_own(), tables=ENDPOINTS)
    for path, word, refused in (
        ("cust-9999/payslips", "not_found", None),
        ("cust-9999/payslips/pay-1", "not_found", None),
        ("cust-1001/payslips/pay-3", "not_found", None),
        ("cust-1001/payslips/pay%2F1", "not_found", None),
        ("cust-1001/accounts/acc-2008/cards", "account_not_found", None),
        ("cust-1001/accounts/acc-9999/cards/n-1", "account_not_found", None),
        ("cust-1001/accounts/acc-2901/cards", "account_unavailable", "true"),
        ("cust-1001/accounts/acc-2001/cards/n-3", "not_found", None),
        ("cust-9999/accounts/acc-2001/cards", "not_found", None),
        ("cust-1001/missing", "not_found", None),
    ):
        with subtests.test(msg=path):
            answer = await world.call(f"/v1/customer/{path}")
            assert (answer.status, answer.code) == (404, word)
            assert answer.headers.get("X-Sharing-Refused") == refused
            assert answer.json["errors"][0]["meta"]["urn"].startswith(URN)
    assert (await world.call("/v1/customer/cust-1001/payslips", token="")).status == 401
    posted = await world.call("/v1/customer/cust-1001/payslips", body={})
    assert (posted.status, posted.headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("kind", ["sqlite", "csv", "rest"])
@pytest.mark.gen_test
async def test_records_of_accounts_that_must_not_be_shared_stay(world, kind):
    """A list of the customer's may name accounts: a blocked one, another customer's, one that nobody knows, or none."""
    rows = with_own()
    accounts = ["acc-2001", "acc-2901", "acc-2008", "acc-9999", None]
    rows["payslips"] = [
        {"customerId": "cust-1001", "id": f"pay-{number}", "accountId": account}
        for number, account in enumerate(accounts, 1)
    ]
    await start_with(world, kind, rows, tables=ENDPOINTS)
    answer = await world.call("/v1/customer/cust-1001/payslips?page-size=1")
    assert answer.json["data"] == {"payslips": [{"id": "pay-1"}]}
    assert answer.json["meta"] == {"totalRecords": 2, "totalPages": 2}
    answer = await world.call("/v1/customer/cust-1001/payslips")
    assert answer.json["data"] == {"payslips": [{"id": "pay-1"}, {"id": "pay-5"}]}
    statuses = [(await world.call(f"/v1/customer/cust-1001/payslips/pay-{n}")).status for n in (1, 2, 3, 4, 5)]
    assert statuses == [200, 404, 404, 404, 200]


@pytest.mark.gen_test
async def test_without_accounts_no_record_that_names_one_leaves(world):
    rows = {name: found for name, found in with_own().items() if name in ("customers", "payslips")}
    rows["payslips"][0]["accountId"] = "acc-2001"
    await start_with(world, "sqlite", rows, tables=ENDPOINTS)
    answer = await world.call("/v1/customer/cust-1001/payslips")
    assert [record["id"] for record in answer.json["data"]["payslips"]] == ["pay-2", "pay-4"]


SCHEMA = {
    "type": "object",
    "required": ["id", "gross"],
    "properties": {
        "gross": {"type": "number", "minimum": 10},
        "paid": {"type": "boolean"},
        "lines": {"type": "array", "items": {"required": ["hours"]}},
        "weeks": {"type": ["integer", "null"]},
    },
}


@pytest.mark.parametrize("kind", ["sqlite", "csv", "rest"])
@pytest.mark.gen_test
async def test_a_schema_types_columns_and_refuses_rows_that_violate_it(world, kind):
    rows = with_own()
    rows["payslips"] = [{**row, "weeks": "2"} for row in rows["payslips"]]
    (world.folder / "payslip.json").write_text(json.dumps(SCHEMA))
    tables = f'[[endpoints]]\npath = "{PAYSLIPS}/{{id}}"\ncollection = "payslips"\nschema_file = "payslip.json"\n'
    await start_with(world, kind, rows, tables=tables)
    good = await world.call("/v1/customer/cust-1001/payslips/pay-1")
    assert (good.status, EXACT(good.text)) == (
        200,
        {
            "id": "pay-1",
            "employer": {"name": "Kelpie Outdoor"},
            "gross": ("number", "5123.40"),
            "weeks": 2,
            "lines": [{"what": "base", "hours": ("number", "7.50")}],
            "paid": True,
        },
    )
    with capture_logs() as logs:
        bad = await world.call("/v1/customer/cust-1003/payslips/pay-3")
    assert (bad.status, bad.code) == (500, "server_error")
    (line,) = (line for line in logs if line["event"] == "request")
    assert "payslips" in line["fault"] and "gross" in line["fault"]
    assert "1.00" not in line["fault"]


@pytest.mark.gen_test
async def test_a_reference_of_a_schema_is_never_fetched(world):
    """It is a mistake in the configuration; if it were none, the request would fail."""
    upstream = await world.stack.enter_async_context(Upstream(sample_rows()))
    (world.folder / "bank.db").touch()
    schema = {"$ref": f"{upstream.url}/payslip.json"}
    (world.folder / "payslip.json").write_text(json.dumps(schema))
    tables = f'[[endpoints]]\npath = "{PAYSLIPS}/{{id}}"\ncollection = "payslips"\nschema_file = "payslip.json"\n'
    (world.folder / "openholder.toml").write_text(CONFIGURATION + tables)
    with pytest.raises(ConfigurationError, match="other documents are not fetched"):
        Configuration.load(world.folder / "openholder.toml")
    with pytest.raises(Unresolvable):
        make_record_type(schema).find_misfit({})
    assert upstream.requests == []


ELSEWHERE = {"type": "integer", "$id": "https://bank.example/elsewhere"}
REFERENCES = {
    "in $defs": ({"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "string"}}}, ""),
    "to itself": ({"properties": {"a": {"$ref": "#"}}}, ""),
    "to an anchor": ({"properties": {"a": {"$ref": "#b"}}, "$defs": {"b": {"$anchor": "b"}}}, ""),
    "to an id": ({"items": {"$ref": "https://bank.example/elsewhere"}, "$defs": {"b": ELSEWHERE}}, ""),
    "a property of that name": ({"properties": {"$ref": {"type": "string"}}}, ""),
    "a value": ({"const": {"$ref": "nowhere"}}, ""),
    "misspelt": ({"properties": {"a": {"$ref": "#/$defs/c"}}, "$defs": {"b": {}}}, "#/$defs/c"),
    "deep": ({"allOf": [{"items": {"not": {"$ref": "#/$defs/c"}}}]}, "#/$defs/c"),
    "behind another": ({"$ref": "#/x-parts/a", "x-parts": {"a": {"$ref": "#/x-parts/b"}}}, "#/x-parts/b"),
    "a file": ({"$ref": "file:///etc/passwd"}, "file:///etc/passwd"),
    "another anchor": ({"$dynamicRef": "#c"}, "#c"),
}


@pytest.mark.parametrize(("schema", "lost"), REFERENCES.values(), ids=REFERENCES)
def test_each_reference_of_a_schema_is_looked_up_at_start(tmp_path, schema, lost):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(schema))
    if lost:
        with pytest.raises(ValueError, match=f"^{re.escape(lost)} is not in the file"):
            load_schema(path)
    else:
        assert load_schema(path) == schema


CONFIGURATION = f"""
public_url = "https://bank.example"
[fiskil]
issuer = "{ISSUER}"
jwks_url = "https://keys.example/jwks.json"
[sources.bank]
kind = "sqlite"
path = "bank.db"
"""


@pytest.mark.parametrize(
    ("entries", "key", "text"),
    [
        (['path = "/auth/v1/customer/{customerId}"'], "endpoints.0.path", "a Fiskil operation"),
        (['path = "/v1/banking/customer/{customerId}/payees/{id}"'], "endpoints.0.path", "a Fiskil operation"),
        (
            ['path = "/v1/customer/{customerId}/x/{id}"', 'path = "/v1/customer/{customerId}/x/{other}"'],
            "endpoints.1.path",
            "endpoints.0",
        ),
        (['path = "/v1/payslips/{customerId}"'], "endpoints.0.path", "/customer/{customerId}"),
        (['path = "/v1/customer/{customerId}/{id}/{id}"'], "endpoints.0.path", "once"),
        (['path = "/v1/customer/{customerId}/x"\npaging = "page"'], "endpoints.0", "envelope"),
        (['path = "/v1/customer/{customerId}/x"\nschema_file = "none.json"'], "endpoints.0.schema_file", ""),
        (['path = "/v1/customer/{customerId}/x"\nschema_file = "bad.json"'], "endpoints.0.schema_file", "JSON Schema"),
    ],
)
def test_an_endpoint_that_cannot_be_meant_is_a_mistake(tmp_path, entries, key, text):
    (tmp_path / "bank.db").touch()
    (tmp_path / "bad.json").write_text('{"type": "strang"}')
    tables = "".join(f'[[endpoints]]\ncollection = "x"\n{entry}\n' for entry in entries)
    (tmp_path / "openholder.toml").write_text(CONFIGURATION + tables)
    with pytest.raises(ConfigurationError) as raised:
        Configuration.load(tmp_path / "openholder.toml")
    (mistake,) = raised.value.mistakes
    assert (mistake.key, text in mistake.message) == (key, True), mistake
