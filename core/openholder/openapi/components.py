"""What an OpenAPI document has once and refers to: above all the JSON Schemas of records."""

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
"""A JSON Schema, or any other object of the document."""

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
"""How JSON Schema calls what the types of members are bound by."""


@dataclass
class Components:
    """The components of one document, by their section and name. Each is there once it has been referred to."""

    sections: dict[str, dict[str, Schema]] = field(default_factory=dict)
    _files: dict[Path, str] = field(default_factory=dict)

    def refer(self, section: str, name: str, content: Schema) -> Schema:
        """A reference to ``content``. One name always has the same content."""
        known = self.sections.setdefault(section, {}).setdefault(name, content)
        assert known == content, f"two contents for {section}/{name}"
        return reference(section, name)

    def of_record(self, record: type[Record]) -> Schema:
        """A reference to the schema of a record."""
        name, schemas = record_name(record), self.sections.setdefault("schemas", {})
        if name not in schemas:
            schemas[name] = {}
            schemas[name] |= self._object(record)
        return reference("schemas", name)

    def of_file(self, path: Path) -> Schema:
        """A reference to the schema in a file."""
        if path not in self._files:
            self._files[path] = self._free_name(path)
            schema = load_schema(path)
            # Tools look up references in the whole document, whatever a part of it is called.
            base = schema.pop("$id", "").partition("#")[0]
            schema.pop("$schema", None)
            schema = relocated(schema, reference("schemas", self._files[path])["$ref"], base)
            self.sections.setdefault("schemas", {})[self._files[path]] = schema
        return reference("schemas", self._files[path])

    def written(self) -> dict[str, dict[str, Schema]]:
        """The sections, everything in them by name."""
        return {section: dict(sorted(self.sections[section].items())) for section in sorted(self.sections)}

    def _free_name(self, path: Path) -> str:
        words = re.findall(r"[A-Za-z0-9]+", path.name.partition(".")[0])
        name = "Custom" + "".join(word[0].upper() + word[1:] for word in words)
        others = sum(taken.partition(".")[0] == name for taken in self._files.values())
        return f"{name}.{others + 1}" if others else name

    def _object(self, record: type[Record]) -> Schema:
        shape = inspect.type_info(record)
        assert isinstance(shape, inspect.StructType)
        required = {member.encode_name: self._member(member.type) for member in shape.fields if member.required}
        optional = {member.encode_name: self._member(member.type) for member in shape.fields if not member.required}
        described = object_of(required, optional, description=_described(record, shape.fields))
        return described | (OPEN_OBJECT if issubclass(record, OpenRecord) else {})

    def _member(self, kind: inspect.Type) -> Schema:
        match kind:
            case inspect.StructType(cls=record) if issubclass(record, Record):
                return self.of_record(record)
            case inspect.Metadata(type=bare, extra_json_schema=extra):
                return self._member(bare) | (extra or {})
            case inspect.ListType(item_type=item):
                return {"type": "array", "items": self._member(item)}
            case inspect.LiteralType(values=values):
                return {"type": "string", "enum": list(values)}
            case inspect.UnionType(types=types):
                return self._union(types)
        return {"type": _TYPES[type(kind)]} | _bounds(kind)

    def _union(self, types: tuple[inspect.Type, ...]) -> Schema:
        """One of several. Null is none of them: a member that has no value is left out."""
        members = [self._member(kind) for kind in types if not isinstance(kind, inspect.NoneType)]
        return members[0] if len(members) == 1 else {"anyOf": members}


def object_of(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, **more: str) -> Schema:
    """An object with these members."""
    properties = {**required, **(optional or {})}
    return {"type": "object", **more, **({"required": list(required)} if required else {}), "properties": properties}


def reference(section: str, name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": f"#/components/{section}/{name}"}


def record_name(record: type[Record]) -> str:
    """The name of a record's schema, which begins with its sector: energy and banking both have a ``Balance``."""
    return record.__module__.split(".")[3].title() + record.__name__


def relocated(schema: Any, place: str, base: str = "") -> Any:
    """A schema, called ``base`` so far, whose references into itself still lead there once it stands at ``place``."""
    if isinstance(schema, list):
        return [relocated(part, place, base) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {key: relocated(value, place, base) for key, value in schema.items()}
    # Text, because a member of a record may be called so as well.
    return kept | ({"$ref": _reference_from(kept["$ref"], place, base)} if isinstance(kept.get("$ref"), str) else {})


def _reference_from(target: str, place: str, base: str) -> str:
    url, fragment = urldefrag(target)
    into_itself = urljoin(base, url) == base and fragment[:1] in ("", "/")
    return place + fragment if into_itself else target


def _bounds(kind: inspect.Type) -> Schema:
    bounds = {keyword: getattr(kind, name, None) for name, keyword in _KEYWORDS.items()}
    return {keyword: _ecma(bound) for keyword, bound in bounds.items() if bound is not None}


def _ecma(bound: str | int) -> str | int:
    """A pattern in the words of ECMA 262, where ``$`` is nothing but the end."""
    return bound.replace(r"\A", "^").replace(r"\Z", "$") if isinstance(bound, str) else bound


def _described(record: type[Record], fields: tuple[inspect.Field, ...]) -> str:
    """The docstring, with the names that its members have on the wire."""
    names = {member.name: member.encode_name for member in fields}
    text = " ".join(python.cleandoc(record.__doc__ or "").split())
    return re.sub(r"``(\w+)``", lambda found: f"`{names.get(found[1], found[1])}`", text)
