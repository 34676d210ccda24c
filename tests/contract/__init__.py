"""The contract: what Fiskil calls, and what an answer may be. README.md says what it is and how to read its tables.

It judges answers by JSON Schema (draft 2020-12), without anything of openholder's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from contract.tables import build_document

_URI = "urn:contract"
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

formats = FormatChecker()


@formats.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(_DATE_TIME.fullmatch(value) and datetime.fromisoformat(value))


@formats.checks("date", raises=ValueError)
def _is_date(value: object) -> bool:
    return not isinstance(value, str) or bool(_DATE.fullmatch(value) and date.fromisoformat(value))


@formats.checks("uri", raises=ValueError)
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme and not re.search(r"\s", value))


class Agreed(NamedTuple):
    """An operation of the contract."""

    method: str
    path: str
    collection: str
    evidence: str


@cache
def _make_registry() -> Registry:
    return Registry().with_resource(_URI, DRAFT202012.create_resource(build_document()))


def read_operations() -> dict[str, Agreed]:
    """Return every operation of the contract, by name."""
    return {
        operation["operationId"]: Agreed(method.upper(), path, operation["x-collection"], operation["x-evidence"])
        for path, methods in build_document()["paths"].items()
        for method, operation in methods.items()
        if method in {"get", "post"}
    }


def find_mistakes(name: str, status: int, media: str, content: Any) -> Iterator[str]:
    """Yield what the contract does not allow in an answer: its status, its media type, or members of its body."""
    agreed = read_operations()[name]
    place: list[str] = ["paths", agreed.path, agreed.method.lower(), "responses", str(status)]
    found = _look_up(place)
    if found is None:
        yield f"{name} has no answer with status {status}"
        return
    if media not in found["content"]:
        yield f"{name} answers {status} with {', '.join(found['content'])}, not with {media}"
        return
    if not media.endswith("json"):
        return
    pointer = "/".join(part.replace("/", "~1") for part in (*place, "content", media, "schema"))
    validator = Draft202012Validator({"$ref": f"{_URI}#/{pointer}"}, registry=_make_registry(), format_checker=formats)
    for error in validator.iter_errors(content):
        yield f"{name}, {status}: {error.json_path}: {error.message[:200]}"


def read_error_codes(name: str, status: int) -> set[str]:
    """Return the error codes that an operation may have with a status."""
    agreed = read_operations()[name]
    return set(_look_up(["paths", agreed.path, agreed.method.lower(), "x-error-codes"]).get(str(status), ()))


def _look_up(place: list[str]) -> Any:
    found: Any = build_document()
    for name in place:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def make_full_record(name: str, *members: str) -> dict[str, Any]:
    """Return a record with every member that the contract has at this place of an operation's answer."""
    agreed = read_operations()[name]
    content = _look_up(["paths", agreed.path, agreed.method.lower(), "responses", "200", "content", "application/json"])
    schema = content["schema"]
    for member in members:
        schema = _read_members(schema)[member]
    made = _make_example(schema.get("items", schema), "")
    assert isinstance(made, dict) and made
    return made


def _merge(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without references and combinations; of alternatives the first."""
    if "$ref" in schema:
        return _merge(_look_up(schema["$ref"].removeprefix("#/").split("/")))
    merged = {key: value for key, value in schema.items() if key not in {"allOf", "anyOf"}}
    for part in [*schema.get("allOf", ()), *schema.get("anyOf", ())[:1]]:
        found = _merge(part)
        merged = {**found, **merged, "properties": {**found.get("properties", {}), **merged.get("properties", {})}}
    return merged


def _read_members(schema: dict[str, Any]) -> dict[str, Any]:
    return _merge(schema)["properties"]


def _make_example(schema: dict[str, Any], name: str) -> Any:
    merged = _merge(schema)
    if merged.get("properties"):
        return {name: _make_example(member, name) for name, member in merged["properties"].items()}
    if "enum" in merged:
        return merged["enum"][-1]
    if merged["type"] == "array":
        return [_make_example(merged["items"], name)] * 2
    return merged.get("x-example", f"some {name}")
