"""Check data against the JSON Schemas of the contract, which are generated from openholder's own record types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, relevance
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from openholder.contract.formats import is_real_date
from openholder.contract.operation import JSON
from openholder.contract.operations import OPERATIONS, Operation
from openholder.openapi import build_document
from openholder.query import DATE, DATE_TIME
from openholder.rehearsal.checks.texts import CLEAN, ENCODING, EXACT, find_spoilt_values
from openholder.rehearsal.exchange import Exchange
from openholder.rehearsal.results import Failure, Result, Rule

MAX_FAILURES = 20
"""The number of failures reported for one response."""
_CONTRACT = "Consumer Data Standards 1.36.0, schemas; FDX API v6; Fiskil, API reference"
_MAX_LIMIT = 80
"""The longest value of a schema keyword that a failure quotes, in characters."""

REQUIRED = Rule(
    name="required-members",
    severity="error",
    expected="Every record has the members that the standard requires.",
    why="The recipient's parser rejects the whole response.",
    reference=_CONTRACT,
    how_to_fix="Fill the member from the source, or correct its name.",
    example="GET …/accounts/{accountId}/transactions: $.data.transactions[]: status missing",
)
TYPES = Rule(
    name="member-types",
    severity="error",
    expected="Members have the type of the standard: amounts and rates of the CDR are strings, never numbers.",
    why="Parsers reject the response, or round amounts.",
    reference=_CONTRACT,
    how_to_fix='Write amounts of the CDR as strings such as "1200.50".',
    example="GET …/accounts/{accountId}/transactions: $.data.transactions[].amount: found number, expected string",
)
VALUES = Rule(
    name="allowed-values",
    severity="error",
    expected="Enumerated members have one of their allowed values.",
    why="Parsers reject values that the standard does not define.",
    reference=_CONTRACT,
    how_to_fix="Map the codes of the source to those of the standard.",
    example="GET …/accounts/{accountId}/transactions: $.data.transactions[].type: string does not match enum",
)
FORMATS = Rule(
    name="formats",
    severity="error",
    expected="Dates, times, amounts, currencies and ids have the format of the standard.",
    why="Parsers fail, or read another time or amount than was meant.",
    reference=_CONTRACT,
    how_to_fix="Write times with an offset (2026-01-31T10:00:00Z), dates as 2026-01-31, amounts without separators.",
    example="GET …/accounts/{accountId}/transactions: $.data.transactions[].valueDateTime: string does not match"
    " pattern",
)
NULLS = Rule(
    name="no-nulls",
    severity="error",
    expected="A member without a value is omitted, not null.",
    why="The standard's types do not include null; parsers reject it.",
    reference=_CONTRACT,
    how_to_fix="Omit members that have no value.",
    example="GET …/accounts/{accountId}/transactions: $.data.transactions[].merchantName: null",
)
RULES = (REQUIRED, TYPES, VALUES, FORMATS, NULLS, EXACT, ENCODING, CLEAN)
_RULES_BY_KEYWORD = {"required": REQUIRED, "type": TYPES, "enum": VALUES, "const": VALUES}
"""By keyword of JSON Schema. All other keywords concern the format of a value."""
_JSON_TYPES = {bool: "boolean", str: "string", int: "integer", Decimal: "number", list: "array", dict: "object"}
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(re.fullmatch(DATE_TIME, value, re.ASCII) and is_real_date(value))


@_FORMATS.checks("date")
def _is_date(value: object) -> bool:
    return not isinstance(value, str) or bool(re.fullmatch(DATE, value, re.ASCII) and is_real_date(value))


@_FORMATS.checks("uri", raises=ValueError)
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme and not re.search(r"\s", value))


def check_schema(exchange: Exchange) -> Iterator[Result]:
    """Check a response with data against the schema of its operation; yield a result for each rule."""
    operation = exchange.request.operation
    if operation is None or not exchange.is_ok or operation.reply.media != JSON or exchange.json is None:
        return
    failures: dict[Rule, list[Failure]] = {rule: [] for rule in RULES}
    for rule, observed in islice(_find_failures(operation, exchange.json), MAX_FAILURES):
        failures[rule].append(Failure(observed, exchange.request))
    for rule, of_rule in failures.items():
        yield Result(rule, exchange.request.route, tuple(of_rule))


def _find_failures(operation: Operation, content: Any) -> Iterator[tuple[Rule, str]]:
    for error in _build_validator(operation.method, operation.path).iter_errors(content):
        while error.context:  # of several alternatives, report the closest one
            error = max(error.context, key=relevance)
        yield _describe_error(error)
    yield from find_spoilt_values(content)


@cache
def _build_validator(method: str, path: str) -> Draft202012Validator:
    pointer = path.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
    place = f"paths/{pointer}/{method.lower()}/responses/200/content/application~1json/schema"
    return Draft202012Validator({"$ref": f"urn:contract#/{place}"}, registry=_load_contract(), format_checker=_FORMATS)


@cache
def _load_contract() -> Registry[Any]:
    document = build_document(OPERATIONS)
    _drop_required(document["components"]["schemas"]["Page"], "totalElements")
    for operation in OPERATIONS:
        if operation.reply.paging == "offset":
            responses = document["paths"][operation.path][operation.method.lower()]["responses"]
            _drop_required(responses["200"]["content"][JSON]["schema"], "page")
    contract: Resource[Any] = DRAFT202012.create_resource(document)
    registry: Registry[Any] = Registry().with_resource("urn:contract", contract)
    return registry


def _drop_required(schema: dict[str, Any], name: str) -> None:
    """Let a member be absent that openholder always sends, and that FDX API v6 leaves to the holder."""
    schema["required"] = [each for each in schema.get("required", ()) if each != name]


def _describe_error(error: ValidationError) -> tuple[Rule, str]:
    """Return the broken rule, and its place, type and keyword. The messages of jsonschema quote the value itself."""
    place = re.sub(r"\[\d+\]", "[]", error.json_path)
    if error.instance is None:
        return NULLS, f"{place}: null"
    found = _JSON_TYPES.get(type(error.instance), "null")
    limit: Any = error.validator_value
    if error.validator == "required":
        members: Any = error.instance
        missing = [name for name in limit if name not in members]
        return REQUIRED, f"{place}: {', '.join(missing)} missing"
    if error.validator == "type":
        return TYPES, f"{place}: found {found}, expected {limit}"
    rule = _RULES_BY_KEYWORD.get(str(error.validator), FORMATS)
    quoted = f" {limit}" if len(str(limit)) <= _MAX_LIMIT else ""
    return rule, f"{place}: {found} does not match {error.validator}{quoted}"
