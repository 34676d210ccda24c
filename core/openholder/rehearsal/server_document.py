"""What a server says of itself: which operations of its OpenAPI document are rehearsed, and with which schema."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator

from openholder.contract.formats import OpenRecord
from openholder.contract.operation import JSON, Reply
from openholder.contract.operations import OPERATIONS, Operation
from openholder.contract.records.custom import record_for
from openholder.errors import UntrustedJSON
from openholder.rehearsal.exchange import Exchange, get_member, read_records
from openholder.rehearsal.results import Failure, Result, Rule
from openholder.strict_json import parse_json

IDS = {"customerId", "accountId"}
"""What the path of an endpoint of the holder's own may ask for: other ids are nowhere to be learnt."""
MOST_OWN = 50
"""Endpoints of the holder's own that are rehearsed."""
DECLARED = Rule(
    name="matches-openapi",
    severity="error",
    expected="Endpoints of the holder's own answer with records as the server's OpenAPI document describes them.",
    why="Whoever has read the document cannot read the answer.",
    reference="The server's OpenAPI document, given with --openapi",
    how_to_fix="Correct the answer, or the schema of the response 200 in the document.",
)
_PATH = re.compile(r"(/([A-Za-z0-9._~-]+|\{\w+\}))+")
_DEPTH = 20


def parse_document(content: bytes) -> dict[str, Any]:
    """The paths of an OpenAPI document in JSON. Raises `ValueError` where it is none."""
    try:
        paths = get_member(parse_json(content), "paths")
    except UntrustedJSON as exc:
        raise ValueError(f"no OpenAPI document in JSON: {exc}") from None
    if not isinstance(paths, dict):
        raise ValueError("no OpenAPI document: it has no paths")
    return dict(parse_json(content))


def select_operations(document: Mapping[str, Any]) -> tuple[Operation, ...]:
    """The operations that the document has: those of openholder's table in its order, then the holder's own."""
    there = {(_shape(path), method) for path, item in _items(document) for method in item}
    known = [each for each in OPERATIONS if (_shape(each.path), each.method.lower()) in there]
    table = {_shape(each.path) for each in OPERATIONS}
    own = (made for path, item in _items(document) if _shape(path) not in table for made in _own(document, path, item))
    return (*known, *islice(own, MOST_OWN))


def check_against_document(exchange: Exchange) -> Iterator[Result]:
    """Whether the records of an endpoint of the holder's own are as the document says."""
    operation = exchange.request.operation
    if operation and exchange.is_ok:
        kind = operation.record if issubclass(operation.record, OpenRecord) else OpenRecord
        misfits = filter(None, map(kind.misfit, read_records(exchange)))
        failures = tuple(Failure(f"does not fit at {place}", exchange.request) for place in dict.fromkeys(misfits))
        yield Result(DECLARED, exchange.request.route, failures)


def _items(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    paths: Mapping[str, Any] = document["paths"]
    return ((path, item) for path, item in paths.items() if isinstance(item, dict))


def _shape(path: str) -> str:
    """A path without the names of its ids, which are everybody's own affair."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def _own(document: Mapping[str, Any], path: str, item: Mapping[str, Any]) -> Iterator[Operation]:
    """The operation that an endpoint of the holder's own makes, if it can be asked with nothing but known ids."""
    ids = re.findall(r"\{(\w+)\}", path)
    fits = "/customer/{customerId}" in path and _PATH.fullmatch(path) and {*ids} <= IDS
    if not fits or not isinstance(item.get("get"), dict) or _demanding(document, item):
        return
    envelope, many, record = _reply(document, get_member(item, "get", "responses", "200", "content", JSON, "schema"))
    yield Operation(
        name=f"own {path}", method="GET", path=path, collection=f"own {path}", record=record,
        reply=Reply(envelope, many), whose="account" if ids[-1] == "accountId" else "customer",
        summary=path, evidence="configured", sector="custom",
    )  # fmt: skip


def _demanding(document: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether a parameter is required that is not in the path."""
    listed: Iterable[Any] = [*_list(item.get("parameters")), *_list(get_member(item, "get", "parameters"))]
    parameters = [_followed(document, parameter) for parameter in listed]
    return any(
        get_member(each, "required") and get_member(each, "in") in ("query", "header", "cookie") for each in parameters
    )


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _reply(document: Mapping[str, Any], schema: Any) -> tuple[tuple[str, ...], bool, type[OpenRecord]]:
    """The envelope of an answer, whether it is a list, and the type of its records."""
    envelope: list[str] = []
    schema = _followed(document, schema)
    while (inner := _only(schema)) and len(envelope) < _DEPTH:
        envelope.append(inner)
        schema = _followed(document, schema["properties"][inner])
    many = get_member(schema, "type") == "array"
    return tuple(envelope), many, _record(_followed(document, get_member(schema, "items")) if many else schema)


def _only(schema: Any) -> str:
    """The member that all others are in: ``data``, or the only list beside links and meta."""
    properties = get_member(schema, "properties")
    names = [name for name in properties if name not in ("links", "meta")] if isinstance(properties, dict) else []
    return names[0] if len(names) == 1 and (names == ["data"] or _wraps(properties[names[0]])) else ""


def _wraps(schema: Any) -> bool:
    return bool(get_member(schema, "type") == "array")


def _followed(document: Mapping[str, Any], schema: Any) -> Any:
    """What a reference within the document leads to; nothing is fetched."""
    for _ in range(_DEPTH):
        reference = get_member(schema, "$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        schema = get_member(
            document, *(name.replace("~1", "/").replace("~0", "~") for name in reference[2:].split("/"))
        )
    return schema


def _record(schema: Any) -> type[OpenRecord]:
    """The type of records of a schema that stands for itself; any record, where it refers to others or is none."""
    if not isinstance(schema, dict) or "$ref" in str(schema):
        return OpenRecord
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return OpenRecord
    return record_for(schema)
