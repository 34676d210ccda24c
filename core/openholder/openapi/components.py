"""The components of an OpenAPI document, which it contains once and refers to: above all the schemas of records."""

from __future__ import annotations

import inspect as python
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin

from msgspec import inspect

from openholder.contract.formats import OpenRecord, Record
from openholder.settings import load_schema

Schema = dict[str, Any]
"""A JSON Schema or another object of the document."""

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
OPEN_OBJECT: Schema = {"type": "object", "additionalProperties": True}

_TYPES: Mapping[type[inspect.Type], str] = {
    inspect.StrType: "string",
    inspect.IntType: "integer",
    inspect.DecimalType: "number",
    inspect.BoolType: "boolean",
}
_KEYWORDS = {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern", "ge": "minimum"}
"""The constraints of msgspec, and the keyword of JSON Schema for each."""


@dataclass
class Components:
    """The components of one document by section and name. A component is added when it is first referred to."""

    sections: dict[str, dict[str, Schema]] = field(default_factory=dict)
    _files: dict[Path, str] = field(default_factory=dict)

    def refer(self, section: str, name: str, content: Schema) -> Schema:
        """Add a component, unless it is known, and return a reference to it. A name always has the same content."""
        known = self.sections.setdefault(section, {}).setdefault(name, content)
        assert known == content, f"two contents for {section}/{name}"
        return build_reference(section, name)

    def refer_to_record(self, record: type[Record]) -> Schema:
        """Return a reference to the schema of a type of record."""
        name = name_record(record)
        schemas = self.sections.setdefault("schemas", {})
        if name not in schemas:
            schemas[name] = {}  # known before its members are visited, which may refer to it
            schemas[name] |= self._build_record(record)
        return build_reference("schemas", name)

    def refer_to_file(self, path: Path) -> Schema:
        """Return a reference to the schema in a file."""
        if path not in self._files:
            self._files[path] = self._choose_name(path)
            schema = load_schema(path)
            # Tools resolve references against the whole document and ignore the $id of a part.
            base = schema.pop("$id", "").partition("#")[0]
            schema.pop("$schema", None)
            schema = relocate(schema, build_reference("schemas", self._files[path])["$ref"], base)
            self.sections.setdefault("schemas", {})[self._files[path]] = schema
        return build_reference("schemas", self._files[path])

    def to_dict(self) -> dict[str, dict[str, Schema]]:
        """Return the sections, sorted by name, as is their content."""
        return {section: dict(sorted(self.sections[section].items())) for section in sorted(self.sections)}

    def _choose_name(self, path: Path) -> str:
        words = re.findall(r"[A-Za-z0-9]+", path.name.partition(".")[0])
        name = "Custom" + "".join(word[0].upper() + word[1:] for word in words)
        others = sum(taken.partition(".")[0] == name for taken in self._files.values())
        return f"{name}.{others + 1}" if others else name

    def _build_record(self, record: type[Record]) -> Schema:
        shape = inspect.type_info(record)
        assert isinstance(shape, inspect.StructType)
        required = {member.encode_name: self._build_member(member.type) for member in shape.fields if member.required}
        optional = {
            member.encode_name: self._build_member(member.type) for member in shape.fields if not member.required
        }
        schema = build_object(required, optional, description=_describe_record(record, shape.fields))
        return schema | OPEN_OBJECT if issubclass(record, OpenRecord) else schema

    def _build_member(self, kind: inspect.Type) -> Schema:
        match kind:
            case inspect.StructType(cls=record) if issubclass(record, Record):
                return self.refer_to_record(record)
            case inspect.Metadata(type=bare, extra_json_schema=extra):
                return self._build_member(bare) | (extra or {})
            case inspect.ListType(item_type=item):
                return {"type": "array", "items": self._build_member(item)}
            case inspect.LiteralType(values=values):
                return {"type": "string", "enum": list(values)}
            case inspect.UnionType(types=types):
                # Null is never in a response: a member without a value is left out.
                members = [self._build_member(one) for one in types if not isinstance(one, inspect.NoneType)]
                return members[0] if len(members) == 1 else {"anyOf": members}
            case inspect.AnyType():
                return {}
        return {"type": _TYPES[type(kind)]} | _convert_constraints(kind)


def build_object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, **more: str) -> Schema:
    """Build the schema of an object."""
    properties = {**required, **(optional or {})}
    return {"type": "object", **more, **({"required": list(required)} if required else {}), "properties": properties}


def build_reference(section: str, name: str) -> Schema:
    """Build a reference to a component."""
    return {"$ref": f"#/components/{section}/{name}"}


def name_record(record: type[Record]) -> str:
    """Name the schema of a record, with its sector as prefix: energy and banking both have a ``Balance``."""
    return record.__module__.split(".")[3].title() + record.__name__


def relocate(schema: Any, place: str, base: str = "") -> Any:
    """Rewrite the references of a schema with the URI ``base`` into itself, so that they work at ``place``."""
    if isinstance(schema, list):
        return [relocate(part, place, base) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    copy = {key: relocate(value, place, base) for key, value in schema.items()}
    target = copy.get("$ref")
    if isinstance(target, str):  # otherwise it is a member of the record that is called $ref
        url, fragment = urldefrag(target)
        # Only JSON pointers can be rewritten; a fragment that is an anchor is left as it is.
        if urljoin(base, url) == base and fragment[:1] in ("", "/"):
            copy["$ref"] = place + fragment
    return copy


def _convert_constraints(kind: inspect.Type) -> Schema:
    constraints: Schema = {}
    for name, keyword in _KEYWORDS.items():
        value = getattr(kind, name, None)
        if isinstance(value, str):
            # JSON Schema uses the regular expressions of ECMA 262, in which $ matches only at the end.
            value = value.replace(r"\A", "^").replace(r"\Z", "$")
        if value is not None:
            constraints[keyword] = value
    return constraints


def _describe_record(record: type[Record], fields: tuple[inspect.Field, ...]) -> str:
    """Return the docstring, with the names that the members have in JSON."""
    names = {member.name: member.encode_name for member in fields}
    text = " ".join(python.cleandoc(record.__doc__ or "").split())
    return re.sub(r"``(\w+)``", lambda found: f"`{names.get(found[1], found[1])}`", text)
