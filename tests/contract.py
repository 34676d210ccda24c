"""The contract that the developers have beside their checkout: what each operation is called, and what may leave it.

Its schemas are JSON Schemas (draft 2020-12), and judge answers without anything of openholder's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

CONTRACT = Path(__file__).parents[2] / "shared/contract/openapi.yaml"

needs_contract = pytest.mark.skipif(not CONTRACT.is_file(), reason="the contract is not beside this checkout")

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


@cache
def _document() -> dict[str, Any]:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        """Dates stay text, as in JSON."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in Loader.yaml_implicit_resolvers.items()
    }
    return yaml.load(CONTRACT.read_text(encoding="utf-8"), Loader)


@cache
def _registry() -> Registry:
    return Registry().with_resource(_URI, DRAFT202012.create_resource(_document()))


def operations() -> dict[str, Agreed]:
    """Every operation of the contract, by its name."""
    return {
        operation["operationId"]: Agreed(method.upper(), path, operation["x-collection"])
        for path, methods in _document()["paths"].items()
        for method, operation in methods.items()
        if method in {"get", "post"}
    }


def mistakes(name: str, status: int, media: str, content: Any) -> Iterator[str]:
    """What the contract does not allow in this answer of an operation: a status, a media type, or members of it."""
    agreed = operations()[name]
    place: list[str] = ["paths", agreed.path, agreed.method.lower(), "responses", str(status)]
    found = _at(place)
    if found is None:
        yield f"{name} has no answer with status {status}"
        return
    if "$ref" in found:
        place = found["$ref"].removeprefix("#/").split("/")
        found = _at(place)
    if media not in found["content"]:
        yield f"{name} answers {status} with {', '.join(found['content'])}, not with {media}"
        return
    if not media.endswith("json"):
        return
    pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in (*place, "content", media, "schema"))
    validator = Draft202012Validator({"$ref": f"{_URI}#/{pointer}"}, registry=_registry(), format_checker=formats)
    for error in validator.iter_errors(content):
        yield f"{name}, {status}: {error.json_path}: {error.message[:200]}"


def codes(name: str, status: int) -> set[str]:
    """The error codes that an operation may have with that status."""
    agreed = operations()[name]
    return set(_at(["paths", agreed.path, agreed.method.lower(), "x-error-codes"]).get(str(status), ()))


def _at(place: list[str]) -> Any:
    found: Any = _document()
    for name in place:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def full_instance(name: str, *members: str) -> dict[str, Any]:
    """A record with every member that the contract knows at that place of an operation's answer."""
    agreed = operations()[name]
    content = _at(["paths", agreed.path, agreed.method.lower(), "responses", "200", "content", "application/json"])
    schema = content["schema"]
    for member in members:
        schema = _properties(schema)[member]
    made = _instance(schema.get("items", schema), "")
    assert isinstance(made, dict) and made
    return made


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without references and combinations; of alternatives the first."""
    if "$ref" in schema:
        return _merged(_at(schema["$ref"].removeprefix("#/").split("/")))
    merged = {key: value for key, value in schema.items() if key not in {"allOf", "anyOf"}}
    for part in [*schema.get("allOf", ()), *schema.get("anyOf", ())[:1]]:
        found = _merged(part)
        merged = {**found, **merged, "properties": {**found.get("properties", {}), **merged.get("properties", {})}}
    return merged


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    return _merged(schema)["properties"]


_TEXTS = {
    "RateString": "0.0475",
    "AmountString": "12.50",
    "CurrencyString": "AUD",
    "DateString": "2026-02-28",
    "DateTimeString": "2026-02-28T10:00:00.5+11:00",
    "date": "2026-02-28",
    "date-time": "2026-02-28T10:00:00Z",
    "uri": "https://bank.example/more",
    "MaskedAccountString": "xxxx xxxx xxxx 1234",
    "MaskedPANString": "xxxx xxxx xxxx 1234",
    r"^\+[1-9][0-9]{1,14}$": "+61491570006",
}


def _instance(schema: dict[str, Any], name: str) -> Any:
    merged = _merged(schema)
    if merged.get("properties"):
        return {name: _instance(member, name) for name, member in merged["properties"].items()}
    if "enum" in merged:
        return merged["enum"][-1]
    kind = merged.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        return [_instance(merged["items"], name)] * max(2, merged.get("minItems", 2))
    if kind != "string":
        return {"boolean": True, "integer": 3, "number": 2.75}[kind]
    words = (merged.get(key) for key in ("x-cds-type", "format", "pattern"))
    return next((_TEXTS[word] for word in words if word in _TEXTS), f"some {name}")
