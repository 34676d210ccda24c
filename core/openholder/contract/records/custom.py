"""Records of the holder's own endpoints: open, or held to a JSON Schema that the configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import msgspec
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from referencing import Registry

from openholder.contract.formats import OpenRecord

_TYPES: Mapping[str, type] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": Decimal,
    "array": list[Any],
    "object": dict[str, Any],
}
"""What rows hold for a JSON type is coerced to, so that a schema may ask for what CSV and SQL cannot express."""


def record_for(schema: Mapping[str, Any]) -> type[OpenRecord]:
    """A type of record whose members are coerced as the schema's properties say, and that must fulfil the schema."""
    # Without a registry of its own the validator would fetch a $ref from the network.
    validator = Draft202012Validator(schema, format_checker=FormatChecker(), registry=Registry())

    def misfit(cls: type[OpenRecord], members: Mapping[str, Any]) -> str | None:
        error = best_match(validator.iter_errors(members))
        return None if error is None else ".".join(map(str, error.absolute_path)) or str(error.validator)

    fields = [
        (name, _type(property_) | None, None)
        for name, property_ in schema.get("properties", {}).items()
        if name.isidentifier()
    ]
    made = msgspec.defstruct(
        "CustomRecord",
        fields,
        bases=(OpenRecord,),
        namespace={"misfit": classmethod(misfit)},
        rename=None,
        kw_only=True,
    )
    return cast(type[OpenRecord], made)


def _type(schema: object) -> Any:
    """The Python type of a property that has one JSON type, besides null."""
    named = schema.get("type") if isinstance(schema, Mapping) else None
    types = [name for name in (named if isinstance(named, list) else [named]) if name != "null"]
    return _TYPES.get(str(types[0]), Any) if len(types) == 1 else Any
