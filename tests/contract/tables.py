"""Read the tables of this folder, and write them as one OpenAPI document.

A word that the tables do not define is an error here, so that no misspelt line is silently a rule less.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RECORDS = ("auth", "banking", "energy", "common", "fdx", "shared")
JSON = "application/json"

Schema = dict[str, Any]


def read_table(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


@cache
def read_records() -> dict[str, dict[str, Any]]:
    """Read all records and enumerations, by name."""
    found: dict[str, dict[str, Any]] = {}
    for table in map(read_table, RECORDS):
        assert not found.keys() & table.keys(), "each record has one name of its own"
        found |= table
    return found


@cache
def read_types() -> dict[str, Schema]:
    """Read the words for types. The example moves to ``x-example``, which no JSON Schema asserts anything of."""
    types = read_table("types")
    return {
        word: {("x-example" if key == "example" else key): value for key, value in schema.items()}
        for word, schema in types.items()
    }


# -- records ------------------------------------------------------------------------------------------------------


def build_schema(text: str) -> Schema:
    """Return the schema for the type in a line: ``list of id``, ``one of OPEN, CLOSED``, ``Meta`` and the like."""
    if text.startswith("nonempty "):
        return {**build_schema(text.removeprefix("nonempty ")), "minItems": 1}
    if text.startswith("list of "):
        return {"type": "array", "items": build_schema(text.removeprefix("list of "))}
    if text.startswith("one of "):
        return {"type": "string", "enum": text.removeprefix("one of ").split(", ")}
    if " or " in text:
        return {"anyOf": [build_schema(part) for part in text.split(" or ")]}
    if text in read_types():
        return read_types()[text]
    if text in read_records():
        return {"$ref": f"#/components/schemas/{text}"}
    raise ValueError(f"{text!r} is not a type, a record or an enumeration of these tables")


def build_object(lines: dict[str, str]) -> Schema:
    """Return the schema of an object from its lines: ``name = "required text"``."""
    schema: Schema = {"type": "object", "required": [], "properties": {}}
    for name, text in lines.items():
        if text.startswith("required "):
            schema["required"].append(name)
        schema["properties"][name] = build_schema(text.removeprefix("required ").removeprefix("conditional "))
    return schema


def build_record(record: dict[str, Any]) -> Schema:
    """Return the schema of a record with what it extends, or of an enumeration."""
    if "values" in record:
        return {"type": "string", "enum": record["values"]}
    own = build_object({name: text for name, text in record.items() if name != "extends"})
    parts = [build_schema(name) for name in record.get("extends", ())]
    return {"type": "object", "allOf": [*parts, own]} if parts else own


# -- operations ---------------------------------------------------------------------------------------------------


def build_answer(operation: dict[str, Any]) -> Schema:
    """Return the schema of the body of a 200: the record in its place, and what paging puts around it."""
    place, _, kind = operation["answer"].rpartition(": ")
    schema = build_schema(kind)
    for name in reversed(place.split(".") if place else []):
        schema = {"type": "object", "required": [name], "properties": {name: schema}}
    around = {
        None: {},
        "page": {"links": "required Links", "meta": f"required {operation.get('meta', 'Meta')}"},
        "offset": {"page": "FdxPage"},
    }[operation.get("paging")]
    if not around:
        return schema
    more = build_object(around)
    return {
        "type": "object",
        "required": [*schema["required"], *more["required"]],
        "properties": {**schema["properties"], **more["properties"]},
    }


def build_parameters(path: str, query: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the parameters of an operation, as OpenAPI has them."""
    tables = read_table("parameters")
    path_names = re.findall(r"\{(\w+)\}", path)
    headers = tables["header"] | (tables["cdr-header"] if path.startswith("/v1/") else {})
    for place, names, table in (
        ("path", path_names, tables["fdx-path" if path.startswith("/fdx/") else "path"]),
        ("query", query, tables["query"]),
        ("header", headers, headers),
    ):
        for name in names:
            schema = table[name]
            if "enumeration" in schema:
                schema = build_record(read_records()[schema["enumeration"]])
            yield {"name": name, "in": place, "required": place == "path", "schema": schema}


def collect_failures(groups: list[str]) -> dict[str, tuple[list[str], list[str]]]:
    """Return the error codes and the headers of each status that these groups of failures have."""
    tables = read_table("failures")
    found: dict[str, tuple[list[str], list[str]]] = {}
    for group in groups:
        for status, entries in tables[group].items():
            codes, headers = found.setdefault(status, ([], ["x-fapi-interaction-id"]))
            for entry in entries:
                if entry.startswith("header "):
                    headers.append(entry.removeprefix("header "))
                else:
                    codes.append(f"urn:au-cds:error:cds-{entry}" if "/" in entry else entry)
    return found


def build_operation(name: str, operation: dict[str, Any]) -> dict[str, Any]:
    """Return an operation as OpenAPI has it."""
    _, path = operation["call"].split(" ")
    failures = collect_failures(operation["failures"])
    media = operation["answer"] if "/" in operation["answer"] else JSON
    content = {media: {"schema": build_answer(operation) if media == JSON else {"type": "string"}}}
    responses = {"200": {"headers": {"x-fapi-interaction-id": {}}, "content": content}}
    for status, (_, headers) in sorted(failures.items()):
        body = {JSON: {"schema": build_schema("ErrorList")}}
        responses[status] = {"headers": {header: {} for header in headers}, "content": body}
    written = {
        "operationId": name,
        "x-collection": operation["collection"],
        "x-evidence": operation["evidence"],
        "x-error-codes": {status: codes for status, (codes, _) in failures.items() if codes},
        "parameters": list(build_parameters(path, operation.get("query", []))),
        "responses": responses,
    }
    if operation.get("deprecated"):
        written["deprecated"] = True
    if "body" in operation:
        written["requestBody"] = {"required": True, "content": {JSON: {"schema": build_schema(operation["body"])}}}
    return written


@cache
def build_document() -> dict[str, Any]:
    """Write the whole contract as an OpenAPI document. Nobody may change what is returned."""
    paths: dict[str, dict[str, Any]] = {}
    for name, operation in read_table("operations").items():
        method, path = operation["call"].split(" ")
        assert method.lower() not in paths.setdefault(path, {}), f"{operation['call']} is there twice"
        paths[path][method.lower()] = build_operation(name, operation)
    schemas = {name: build_record(record) for name, record in read_records().items()}
    return {"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}}
