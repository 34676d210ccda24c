"""The server's OpenAPI document: which operations it lists, and the schemas of its custom endpoints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator

from openholder.contract.formats import OpenRecord
from openholder.contract.operation import JSON, Reply
from openholder.contract.operations import OPERATIONS, Operation
from openholder.contract.records.custom import make_record_type
from openholder.errors import UntrustedJSON
from openholder.rehearsal.exchange import Exchange, get_member, read_records
from openholder.rehearsal.results import Failure, Result, Rule
from openholder.strict_json import parse_json

IDS = {"customerId", "accountId"}
"""The path parameters that a custom endpoint may have: no response contains the values of others."""
MAX_CUSTOM = 50
"""The number of custom endpoints that are rehearsed."""
MATCHES_OPENAPI = Rule(
    name="matches-openapi",
    severity="error",
    expected="Custom endpoints return records that match the server's OpenAPI document.",
    why="Clients written from the document cannot read the response.",
    reference="The server's OpenAPI document, given with --openapi",
    how_to_fix="Correct the response, or the schema of the response 200 in the document.",
    example="GET /x/customer/{customerId}/rewards: does not match the schema at $.data[].points",
)
_PATH = re.compile(r"(/([A-Za-z0-9._~-]+|\{\w+\}))+")
_MAX_DEPTH = 20
"""The number of nested members or references that are followed."""


def parse_document(content: bytes) -> dict[str, Any]:
    """Parse an OpenAPI document in JSON.

    Raises:
        ValueError: The content is not JSON, or has no paths.
    """
    try:
        document = parse_json(content)
    except UntrustedJSON as exc:
        raise ValueError(f"not an OpenAPI document in JSON: {exc}") from None
    if not isinstance(get_member(document, "paths"), dict):
        raise ValueError("not an OpenAPI document: `paths` is missing")
    return dict(document)


def select_operations(document: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Return the operations of a document: the standard ones in the order of the contract, then the custom ones."""
    items = {path: item for path, item in document["paths"].items() if isinstance(item, dict)}
    documented = {(_strip_names(path), method) for path, item in items.items() for method in item}
    standard = [each for each in OPERATIONS if (_strip_names(each.path), each.method.lower()) in documented]
    standard_paths = {_strip_names(each.path) for each in OPERATIONS}
    custom: list[Operation] = []
    for path, item in items.items():
        if _strip_names(path) not in standard_paths and _is_callable(document, path, item):
            custom.append(_build_operation(document, path, item))
    return (*standard, *custom[:MAX_CUSTOM])


def check_against_document(exchange: Exchange) -> Iterator[Result]:
    """Check the records of a custom endpoint against the schema of the document."""
    operation = exchange.request.operation
    if operation and exchange.is_ok:
        record = operation.record if issubclass(operation.record, OpenRecord) else OpenRecord
        places = dict.fromkeys(filter(None, map(record.find_misfit, read_records(exchange))))
        failures = tuple(Failure(f"does not match the schema at {place}", exchange.request) for place in places)
        yield Result(MATCHES_OPENAPI, exchange.request.route, failures)


def _strip_names(path: str) -> str:
    """Return a path without the names of its parameters, which every server may choose."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def _is_callable(document: Mapping[str, Any], path: str, item: Mapping[str, Any]) -> bool:
    """Return whether a custom endpoint can be called with known ids only."""
    names = re.findall(r"\{(\w+)\}", path)
    if "/customer/{customerId}" not in path or not _PATH.fullmatch(path) or not {*names} <= IDS:
        return False
    if not isinstance(item.get("get"), dict):
        return False
    for parameters in (item.get("parameters"), get_member(item, "get", "parameters")):
        for parameter in parameters if isinstance(parameters, list) else ():
            resolved = _resolve(document, parameter)
            place = get_member(resolved, "in")
            if get_member(resolved, "required") and place in ("query", "header", "cookie"):
                return False
    return True


def _build_operation(document: Mapping[str, Any], path: str, item: Mapping[str, Any]) -> Operation:
    envelope: list[str] = []
    schema = _resolve(document, get_member(item, "get", "responses", "200", "content", JSON, "schema"))
    while (name := _find_wrapper(schema)) and len(envelope) < _MAX_DEPTH:
        envelope.append(name)
        schema = _resolve(document, schema["properties"][name])
    many = get_member(schema, "type") == "array"
    if many:
        schema = _resolve(document, get_member(schema, "items"))
    return Operation(
        name=f"own {path}",
        method="GET",
        path=path,
        collection=f"own {path}",
        record=_build_record(schema),
        reply=Reply(tuple(envelope), many),
        whose="account" if re.findall(r"\{(\w+)\}", path)[-1] == "accountId" else "customer",
        summary=path,
        evidence="configured",
        sector="custom",
    )


def _find_wrapper(schema: Any) -> str:
    """Return the member that wraps the records: ``data``, or the only list beside links and meta; else empty."""
    properties = get_member(schema, "properties")
    names = [name for name in properties if name not in ("links", "meta")] if isinstance(properties, dict) else []
    if len(names) == 1 and (names == ["data"] or get_member(properties[names[0]], "type") == "array"):
        return str(names[0])
    return ""


def _resolve(document: Mapping[str, Any], schema: Any) -> Any:
    """Follow references within the document. Nothing is fetched."""
    for _ in range(_MAX_DEPTH):
        reference = get_member(schema, "$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        names = [name.replace("~1", "/").replace("~0", "~") for name in reference[2:].split("/")]
        schema = get_member(document, *names)
    return schema


def _build_record(schema: Any) -> type[OpenRecord]:
    """Return the record type of a self-contained schema; any record is allowed if it is invalid or has references."""
    if not isinstance(schema, dict) or "$ref" in str(schema):
        return OpenRecord
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return OpenRecord
    return make_record_type(schema)
