"""The command openapi, with and without a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from helpers.documents import WHOLE, misfits, operations_in, resolved
from helpers.processes import openholder
from openholder._version import __version__
from openholder.cli import main
from openholder.contract.operation import JSON
from openholder.fiskil import sample
from openholder.openapi import encode_document
from openholder.openapi.components import relocate

PAYSLIP = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "net"],
    "properties": {"id": {"type": "string"}, "net": {"$ref": "#/$defs/amount"}, "of": {"$ref": "#"}},
    "$defs": {"amount": {"type": "number", "multipleOf": 0.01}},
}
ENDPOINTS = """
[[endpoints]]
path = "/v1/customer/{customerId}/payslips"
collection = "payslips"
envelope = "data.payslips"
paging = "page"
schema_file = "payslip.schema.json"
scopes = ["payroll:payslip:read"]
[[endpoints]]
path = "/v1/customer/{customerId}/payslips/{id}"
collection = "payslips"
summary = "One payslip, «netto»"
schema_file = "payslip.schema.json"
scopes = ["payroll:payslip:read"]
[[endpoints]]
path = "/v1/customer/{customerId}/accounts/{accountId}/notes"
collection = "notes"
[[scopes]]
name = "payroll:payslip:read"
cluster_language = "Your payslips"
permissions_language = ["Pay, tax and super of each period", "Name of the employer"]
"""
OWN_ROWS = {
    "payslips": "id,net,customerId\nps-1,1200.50,cust-1001\n",
    "notes": "accountId,text\nacc-2001,hello\n",
}


@pytest.fixture
def bank(tmp_path, monkeypatch):
    """A folder with the sample data as CSV, an endpoint's JSON Schema and a configuration for both."""
    sample.write_csv(tmp_path / "bank")
    for name, text in OWN_ROWS.items():
        (tmp_path / "bank" / f"{name}.csv").write_text(text, encoding="utf-8")
    (tmp_path / "payslip.schema.json").write_text(json.dumps(PAYSLIP))
    configure(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configure(folder: Path, settings: str = "", *, fiskil: str = "", tables: str = ENDPOINTS) -> None:
    (folder / "openholder.toml").write_text(
        f'public_url = ["https://data.example.com", "https://b.example.com"]\n{settings}\n'
        f'[fiskil]\nissuer = "example"\njwks_url = "https://keys.example.com/jwks.json"\n{fiskil}\n'
        f'[sources.bank]\nkind = "csv"\npath = "bank"\n{tables}',
        encoding="utf-8",
    )


@pytest.fixture
def run(capfdbinary):
    """What a command prints on standard output, read as JSON."""

    def run(*arguments: str) -> Any:
        capfdbinary.readouterr()
        assert main(arguments) == 0
        return json.loads(capfdbinary.readouterr().out.decode("utf-8"))

    return run


def test_all_operations_need_no_configuration(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    assert main(["openapi"]) == 3
    content = run("openapi", "--all")
    assert content == json.loads(encode_document(WHOLE))
    assert content["info"]["version"] == __version__
    assert "servers" not in content
    assert "x-fiskil-scopeset" not in content["info"]


def test_all_operations_and_a_configuration_exclude_each_other(bank):
    assert main(["openapi", "--all", "-c", "openholder.toml"]) == 2


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_document_is_printed_as_reproducible_indented_utf_8(bank):
    runs = [openholder("openapi", cwd=bank, PYTHONHASHSEED=seed, PYTHONIOENCODING="latin-1") for seed in "12"]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.startswith('{\n  "openapi": "3.1.0",\n')
    assert "One payslip, «netto»" in runs[0].stdout


@pytest.mark.slow
def test_only_what_is_served_is_there(bank, run):
    assert run("openapi")["servers"] == [{"url": "https://data.example.com"}, {"url": "https://b.example.com"}]
    for name in ("banking.transactions", "customers", "fdx.accounts"):
        (bank / "bank" / f"{name}.csv").unlink()
    found = run("openapi")
    routes = run("routes", "--json")
    served = {(route["method"], route["path"]) for route in routes if route["source"] != "(not served)"}
    assert set(operations_in(found)) == served
    assert 0 < len(served) < len(routes)
    (bank / "bank" / "accounts.csv").unlink()
    assert {row["operationId"] for row in operations_in(run("openapi")).values()} == {
        "getCommonCustomer",
        "getCommonCustomerDetail",
        "getV1CustomerCustomerIdPayslips",
        "getV1CustomerCustomerIdPayslipsId",
        "listPayees",
        "getPayee",
    }


@pytest.mark.slow
def test_settings_change_the_document(bank, run):
    """Aliases, superseded lists, and the status of failures."""
    before = run("openapi")
    configure(bank, "auth_alias = true\ndeprecated_lists = true", fiskil="authentication_failure_status = 403")
    after = run("openapi")
    OpenAPIV31SpecValidator(after).validate()
    more = {row["operationId"]: place for place, row in operations_in(after).items()}
    assert set(more) - {row["operationId"] for row in operations_in(before).values()} == {
        "searchCustomers2",
        "getCustomerDetails2",
        "listConsentAccounts2",
        "listBankingAccountsDeprecated",
        "listEnergyAccountsDeprecated",
    }
    assert more["searchCustomers2"] == ("POST", "/v1/auth/customer/search")
    answers = after["paths"]["/customer/{customerId}/accounts/{accountId}/balances"]["get"]["responses"]
    assert "401" not in answers
    assert "WWW-Authenticate" in resolved(after, answers["403"])["headers"]


@pytest.mark.slow
def test_endpoints_of_the_holders_own_tell_their_scopes(bank, run):
    content = run("openapi")
    found = {row["operationId"]: row for row in operations_in(content).values()}
    scopes = {name: row["x-fiskil-scopes"] for name, row in found.items() if "x-fiskil-scopes" in row}
    assert scopes == {
        "getV1CustomerCustomerIdPayslips": ["payroll:payslip:read"],
        "getV1CustomerCustomerIdPayslipsId": ["payroll:payslip:read"],
        "getV1CustomerCustomerIdAccountsAccountIdNotes": [],
    }
    assert content["info"]["x-fiskil-scopeset"] == [
        {
            "scope": "payroll:payslip:read",
            "cluster_language": "Your payslips",
            "permissions_language": ["Pay, tax and super of each period", "Name of the employer"],
        }
    ]
    notes = found["getV1CustomerCustomerIdAccountsAccountIdNotes"]["responses"]["200"]["content"][JSON]["schema"]
    assert notes == {"type": "array", "items": {"type": "object", "additionalProperties": True}}


@pytest.mark.slow
def test_the_json_schema_of_an_endpoint_is_part_of_the_document(bank, run):
    content = run("openapi")
    for path, wrap in (
        ("/v1/customer/{customerId}/payslips/{id}", lambda record: record),
        ("/v1/customer/{customerId}/payslips", lambda record: paged({"payslips": [record]})),
    ):
        schema = content["paths"][path]["get"]["responses"]["200"]
        good, bad = {"id": "a", "net": 2, "of": {"id": "b", "net": 1}}, {"id": "a", "net": 2, "of": {"id": "b"}}
        assert misfits(content, schema, wrap(good)) == []
        assert misfits(content, schema, wrap(bad)) != []
    assert b'"multipleOf": 0.01' in encode_document(content)


def paged(data: Any) -> dict[str, Any]:
    return {"data": data, "links": {}, "meta": {"totalRecords": 1, "totalPages": 1}}


@pytest.mark.slow
def test_json_schemas_of_the_same_file_name_stay_apart(bank, run):
    (bank / "other").mkdir()
    slip = {
        "$id": "https://schemas.example.com/slip",
        "type": "object",
        "properties": {"id": {"$ref": "slip#/$defs/a"}, "of": {"$ref": "https://schemas.example.com/slip"}},
        "$defs": {"a": {"type": "string"}},
    }
    (bank / "other" / "payslip.json").write_text(json.dumps(slip))
    configure(bank, tables=ENDPOINTS.replace("payslip.schema.json", "other/payslip.json", 1))
    content = run("openapi")
    response = content["paths"]["/v1/customer/{customerId}/payslips"]["get"]["responses"]["200"]
    assert misfits(content, response, paged({"payslips": [{"id": "a", "of": {"id": "b"}}]})) == []
    assert misfits(content, response, paged({"payslips": [{"id": "a", "of": {"id": 1}}]})) != []
    first, second = (content["components"]["schemas"][name] for name in ("CustomPayslip", "CustomPayslip.2"))
    place = "#/components/schemas/CustomPayslip"
    assert first["properties"] == {"id": {"$ref": f"{place}/$defs/a"}, "of": {"$ref": place}}
    assert second["properties"]["of"] == {"$ref": f"{place}.2"}
    assert {"$id", "$schema"} & {*first, *second} == set()


def test_members_that_are_called_like_keywords_are_left_alone():
    schema = {"properties": {"$id": {"type": "string"}, "$ref": {"$ref": "#/$defs/a"}}, "enum": [{"$ref": 1}]}
    moved = {"properties": {"$id": {"type": "string"}, "$ref": {"$ref": "#/x/$defs/a"}}, "enum": [{"$ref": 1}]}
    assert relocate(schema, "#/x") == moved
