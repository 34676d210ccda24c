"""The OpenAPI document: valid, complete, and what the contract says."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import contract
from helpers.documents import WHOLE, members, operations_in, resolved
from openholder.contract.formats import Record
from openholder.contract.open_members import extend_record
from openholder.contract.operation import BELOW_ACCOUNTS, JSON
from openholder.contract.operations import OPERATIONS, Operation
from openholder.contract.parameters import Window
from openholder.openapi import build_document, encode_document
from openholder.openapi.components import name_record

CONTRACT = contract.build_document()


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(part)


# -- the document itself -----------------------------------------------------------------------------------------------


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


# -- the contract ------------------------------------------------------------------------------------------------------

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
