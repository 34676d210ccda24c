"""OpenAPI documents, and what is looked for in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from openholder.contract.operation import JSON
from openholder.contract.operations import OPERATIONS
from openholder.openapi import build_document

WHOLE = build_document(OPERATIONS)


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


def misfits(content: dict[str, Any], response: Any, answer: Any) -> list[str]:
    """What is wrong with an answer, by the response that describes it."""
    schema = resolved(content, response)["content"][JSON]["schema"] | {"components": content["components"]}
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(answer)]


def places(value: Any, place: str = "") -> Iterator[str]:
    """The places of the members of an answer, as `members` calls them."""
    yield place
    for name, member in value.items() if isinstance(value, dict) else ():
        yield from places(member, f"{place}.{name}")
    for item in value if isinstance(value, list) else ():
        yield from places(item, f"{place}[]")
