"""The OpenAPI document: it is valid, says what the server does, and agrees with the contract but for what is listed."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

import contract
from helpers.processes import openholder
from helpers.support import World, sample_rows, start_with
from openholder._version import __version__
from openholder.cli import main
from openholder.contract.formats import Record
from openholder.contract.open_members import extend_record
from openholder.contract.operation import BELOW_ACCOUNTS, JSON
from openholder.contract.operations import OPERATIONS, Operation
from openholder.contract.parameters import Window
from openholder.fiskil import sample
from openholder.openapi import build_document, encode_document
from openholder.openapi.components import name_record, relocate

WHOLE = build_document(OPERATIONS)
CONTRACT = contract.build_document()
NAMED = {operation.name: operation for operation in OPERATIONS}


def resolved(content: dict[str, Any], node: Any) -> Any:
    """What a node says itself, or what it refers to."""
    while "$ref" in node:
        target = content
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def operations_in(content: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(method.upper(), path): row for path, item in content["paths"].items() for method, row in item.items()}


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(part)


# -- the document itself ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_document_of_all_operations_is_valid_openapi():
    OpenAPIV31SpecValidator(WHOLE).validate()


def test_a_document_that_is_not_valid_is_found_out():
    broken = json.loads(encode_document(WHOLE))
    del broken["paths"]["/auth/v1/customer/{customerId}"]["get"]["responses"]["200"]["description"]
    assert not OpenAPIV31SpecValidator(broken).is_valid()


def test_every_operation_is_there_with_what_its_row_says():
    found = operations_in(WHOLE)
    assert list(found) == list(dict.fromkeys((row.method, row.path) for row in sorted_by_path()))
    for row in OPERATIONS:
        said = found[row.method, row.path]
        assert (said["operationId"], said["tags"], said["summary"]) == (row.name, [row.sector], row.summary)
        assert (said["x-evidence"], said["x-collection"]) == (row.evidence, row.collection)
        assert said.get("deprecated", False) == row.deprecated
        assert "x-fiskil-scopes" not in said


def sorted_by_path() -> list[Operation]:
    """The rows in their order, those of one path together."""
    places = list(dict.fromkeys(row.path for row in OPERATIONS))
    return sorted(OPERATIONS, key=lambda row: places.index(row.path))


def test_records_of_all_sectors_have_names_of_their_own():
    def below(kind: type) -> Iterator[type]:
        for child in kind.__subclasses__():
            yield from (child, *below(child))

    records = {record for record in below(Record) if record.__module__.startswith("openholder.contract.records.")}
    # A record with open members keeps its name: a document has one of the two.
    records = {record for record in records if record.__name__ not in {base.__name__ for base in record.__bases__}}
    names = [name_record(record) for record in records if record.__name__ not in ("OpenRecord", "CustomRecord")]
    assert len(names) == len(set(names)) > 100
    assert {"BankingBalance", "EnergyBalance", "StarterBalance", "AuthCustomer", "CommonCustomer"} < set(names)


def test_members_without_a_value_are_left_out_and_never_null():
    for schema in nodes(WHOLE["components"]["schemas"]):
        assert schema.get("type") != "null"
        assert schema.get("default", "") is not None
    balance = WHOLE["components"]["schemas"]["BankingBalance"]
    assert balance["required"] == ["accountId", "currentBalance", "availableBalance"]
    assert balance["properties"]["currency"] == {"type": "string", "pattern": "^[A-Z]{3}$"}


def test_patterns_are_those_of_ecma_and_formats_are_named():
    patterns = {schema["pattern"] for schema in nodes(WHOLE["components"]["schemas"]) if "pattern" in schema}
    assert all(re.fullmatch(r"\^[^\\]*(\\[.+d][^\\]*)*\$", pattern) for pattern in patterns), patterns
    formats = {schema["format"] for schema in nodes(WHOLE) if isinstance(schema.get("format"), str)}
    assert formats == {"date", "date-time", "email", "uri", "uuid"}


def test_no_record_of_a_standard_is_open():
    schemas = WHOLE["components"]["schemas"]
    assert [name for name, schema in schemas.items() if "additionalProperties" in schema] == []


def test_open_members_are_described_where_they_are_listed():
    members = frozenset({"branch", "currency.symbol"})
    extended = [replace(row, record=extend_record(row.record, members)) for row in OPERATIONS if row.sector == "fdx"]
    schemas = build_document(extended)["components"]["schemas"]
    for name in ("FdxAccount", "FdxAccountDetail", "FdxStatement"):
        assert schemas[name]["properties"]["branch"] == {}
        assert schemas[name]["required"] == WHOLE["components"]["schemas"][name]["required"]
    assert schemas["FdxCurrency"]["properties"]["symbol"] == {}
    assert "branch" not in WHOLE["components"]["schemas"]["FdxAccount"]["properties"]


def test_descriptions_name_members_as_they_are_on_the_wire():
    schemas = WHOLE["components"]["schemas"]
    assert schemas["CommonPhysicalAddress"]["description"].endswith("`addressUType` names the form.")
    texts = [schema["description"] for schema in schemas.values() if "description" in schema]
    assert [text for text in texts if "``" in text or re.search(r"`\w+_\w+`", text)] == []


def test_everything_among_the_components_is_referred_to():
    text = json.dumps(WHOLE)
    unused = [
        f"{section}/{name}"
        for section, content in WHOLE["components"].items()
        for name in content
        if section != "securitySchemes" and f'"#/components/{section}/{name}"' not in text
    ]
    assert unused == []


# -- the contract -------------------------------------------------------------------------------------------------


def merged(content: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with all that its parts say: members of ``allOf``, and of one or another of ``anyOf``."""
    schema = resolved(content, schema)
    kinds = schema.get("type", [])
    found = {
        "types": {kinds} if isinstance(kinds, str) else set(kinds),
        "enum": set(schema.get("enum", ())),
        "required": set(schema.get("required", ())),
        "members": dict(schema.get("properties", {})),
        "items": schema.get("items"),
        "format": schema.get("format", ""),
        "pattern": schema.get("pattern", ""),
    }
    alternatives = [merged(content, part) for part in schema.get("anyOf", ())]
    for part in (*(merged(content, part) for part in schema.get("allOf", ())), *alternatives):
        found["types"] |= part["types"]
        found["enum"] |= part["enum"]
        found["members"] |= part["members"]
        found["required"] |= set() if part in alternatives else part["required"]
    found["required"] |= set.intersection(*(part["required"] for part in alternatives)) if alternatives else set()
    return found


def members(content: dict[str, Any], schema: dict[str, Any], place: str, required: bool = True) -> Iterator[Any]:
    """What a schema says, by the place of each member in it."""
    said = merged(content, schema)
    yield place, " or ".join(sorted(said["types"])) + (" required" if required else "")
    for name in ("format", "pattern"):
        yield f"{place} {name}", said[name]
    yield f"{place} enum", " ".join(sorted(said["enum"]))
    for name, member in said["members"].items():
        yield from members(content, member, f"{place}.{name}", name in said["required"])
    if said["items"]:
        yield from members(content, said["items"], f"{place}[]")


IGNORED = ("x-cds-type", "description")


def facts(content: dict[str, Any], operation: dict[str, Any]) -> dict[str, str]:
    """All that is compared of an operation, as text by its place. What is not there has no fact."""
    found = {"deprecated": str(operation.get("deprecated", "")), "operationId": operation["operationId"]}
    for parameter in (resolved(content, parameter) for parameter in operation["parameters"]):
        place = f"{parameter['in']} {parameter['name']}"
        found[place] = "required" if parameter["required"] else "optional"
        schema = resolved(content, parameter["schema"])
        found |= {f"{place} {key}": json.dumps(schema[key]) for key in schema.keys() - set(IGNORED)}
    bodies = {"response": operation["responses"]["200"], "request": operation.get("requestBody", {"content": {}})}
    for name, body in bodies.items():
        for media, schema in body["content"].items():
            found |= dict(members(content, schema["schema"], f"{name} {media} "))
    for status, response in operation["responses"].items():
        found[f"status {status}"] = "sent"
        found |= {f"header {status} {name}": "sent" for name in resolved(content, response)["headers"]}
        found |= {f"code {status} {code}": "sent" for code in operation["x-error-codes"].get(status, ())}
    return {place: fact for place, fact in found.items() if fact}


class Difference(NamedTuple):
    """One fact that two documents do not share: where it stands, ours and theirs."""

    place: str
    ours: str
    theirs: str


def differences(ours: dict[str, str], theirs: dict[str, str]) -> Iterator[Difference]:
    for place in sorted(ours.keys() | theirs.keys()):
        kind, status, *_ = [*place.split(" "), ""]
        alone = kind in ("header", "code") and not (f"status {status}" in ours and f"status {status}" in theirs)
        stricter = place.endswith((" pattern", " minLength")) and place not in theirs
        if ours.get(place) != theirs.get(place) and not alone and not stricter:
            yield Difference(place, ours.get(place, ""), theirs.get(place, ""))


Rows = Callable[[Operation], object]


def everywhere(row: Operation) -> bool:
    return True


def scrolled(row: Operation) -> bool:
    return row.reply.paging == "offset"


def days(row: Operation) -> bool:
    return row.sector == "fdx" and any(isinstance(parameter, Window) for parameter in row.parameters)


def named(*names: str) -> Rows:
    return lambda row: row.name in names


URN = "urn:au-cds:error:cds-"
ANSWER = f"response {JSON} "
DELIBERATE: list[tuple[Difference, Rows, str]] = [
    (Difference("status 406", "sent", ""), everywhere, "the server looks at Accept (RFC 9110 section 12.5.1)"),
    (Difference("status 429", "", "sent"), everywhere, "the server does not count requests; too many at once are 503"),
    (
        Difference("status 403", "", "sent"),
        lambda row: row.whose in BELOW_ACCOUNTS,
        "below an account a refusal is 404 or 422; 403 is there where authentication failures are set to it",
    ),
    (
        Difference("header 400 WWW-Authenticate", "sent", ""),
        everywhere,
        "several tokens are 400 with a challenge (RFC 6750)",
    ),
    (Difference(f"code 400 {URN}all:Header/Invalid", "sent", ""), lambda row: row.urns, "the code of those"),
    (
        Difference("header 404 X-Sharing-Refused", "", "sent"),
        lambda row: row.sector != "auth" and (row.whose == "specific" or row.whose not in BELOW_ACCOUNTS),
        "only an account in the path is refused with 404; elsewhere a refusal is 422 or 403",
    ),
    *(
        (
            Difference(f"code 404 {URN}{sector}:Authorisation/Unavailable{sector.title()}Account", "sent", ""),
            lambda row, sector=sector: row.sector == sector and row.whose == "all_accounts",
            "a source may refuse the deprecated list too",
        )
        for sector in ("banking", "energy")
    ),
    (
        Difference(f"code 404 {URN}all:Resource/Unavailable", "", "sent"),
        named("getBankingTransaction", "getPayee"),
        "no row of a source says that a single record is unavailable",
    ),
    (
        Difference(f"{ANSWER}.id", "string required", "string"),
        named("getCustomerDetails"),
        "it is what rows are found by",
    ),
    (
        Difference(f"{ANSWER}.account_id", "string required", "string"),
        named("getStarterBalance"),
        "it is what rows are found by",
    ),
    (Difference(f"{ANSWER}.page", "object required", "object"), scrolled, "always sent"),
    (Difference(f"{ANSWER}.page.totalElements", "integer required", "integer"), scrolled, "always sent"),
    (
        Difference(f"{ANSWER}.meta.isQueryParamUnsupported", "", "boolean"),
        named("listBankingTransactions"),
        "every source searches texts",
    ),
    (Difference("query text maxLength", "1000", ""), named("listBankingTransactions"), "longer ones are 400"),
    (Difference("query startTime maxLength", "", "10"), days, "said by the format"),
    (Difference("query endTime maxLength", "", "10"), days, "said by the format"),
    *(
        (Difference(f"{ANSWER}{place} format", "", "email"), named(*names), "leaves as the source has it, unchecked")
        for place, names in {
            ".email": ["getCustomerDetails"],
            ".accounts[].users[].email": ["listConsentAccounts"],
            ".data[].users[].email": ["listBankingAccountsDeprecated"],
            ".data.accounts[].users[].email": ["listEnergyAccountsDeprecated"],
        }.items()
    ),
    (
        Difference(f"{ANSWER}.statements[].links[].href format", "", "uri-reference"),
        named("fdxListStatements"),
        "leaves as the source has it, unchecked",
    ),
]
"""Where the server or its document differs from the contract: what, in which operations, and why."""


def test_paths_and_methods_are_those_of_the_contract():
    assert set(operations_in(WHOLE)) == set(operations_in(CONTRACT))


def test_the_document_differs_from_the_contract_only_as_listed():
    found, theirs = defaultdict(set), operations_in(CONTRACT)
    for place, operation in operations_in(WHOLE).items():
        for difference in differences(facts(WHOLE, operation), facts(CONTRACT, theirs[place])):
            found[difference].add(operation["operationId"])
    listed = {difference: {row.name for row in OPERATIONS if rows(row)} for difference, rows, _ in DELIBERATE}
    assert {row: names for row, names in found.items() if names != listed.get(row)} == {}
    assert {row: names for row, names in listed.items() if names != found.get(row)} == {}


def test_the_comparison_with_the_contract_sees_each_difference():
    """Members, enumerations, parameters and error codes."""
    place = ("GET", "/v1/banking/customer/{customerId}/accounts/{accountId}/transactions")
    theirs = facts(CONTRACT, operations_in(CONTRACT)[place])
    assert len(theirs) > 80
    assert theirs[f"{ANSWER}.data.transactions[].amount"] == "string required"
    assert theirs[f"{ANSWER}.data.transactions[].status enum"] == "PENDING POSTED"
    assert theirs["query page-size maximum"] == "1000"
    for gone in (f"{ANSWER}.data.transactions[].crn", "query min-amount", f"code 422 {URN}all:Field/InvalidPage"):
        mine = {name: fact for name, fact in theirs.items() if name != gone}
        assert [difference.place for difference in differences(mine, theirs)] == [gone]


# -- the command, with and without a configuration ----------------------------------------------------------------

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


# -- what a running server answers --------------------------------------------------------------------------------

ROWS = sample_rows()
SERVED = [row for row in OPERATIONS if not row.deprecated]


def misfits(content: dict[str, Any], response: Any, answer: Any) -> list[str]:
    """What is wrong with an answer, by the response that describes it."""
    schema = resolved(content, response)["content"][JSON]["schema"] | {"components": content["components"]}
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(answer)]


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


def places(value: Any, place: str = "") -> Iterator[str]:
    """The places of the members of an answer, as `members` calls them."""
    yield place
    for name, member in value.items() if isinstance(value, dict) else ():
        yield from places(member, f"{place}.{name}")
    for item in value if isinstance(value, list) else ():
        yield from places(item, f"{place}[]")


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
