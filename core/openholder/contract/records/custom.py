"""Records of custom endpoints that have a JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import msgspec

from openholder.contract.formats import OpenRecord

_TYPES: Mapping[str, type] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": Decimal,
    "array": list[Any],
    "object": dict[str, Any],
}
"""The type that values are coerced to for a JSON type, so that a schema may use types that CSV and SQL lack."""


def make_record_type(schema: Mapping[str, Any]) -> type[OpenRecord]:
    """Make a record type that coerces members to the types of the schema's properties and validates against it."""
    # Only here: jsonschema takes 3.5 MiB in each worker, and most holders have no schemas.
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import best_match
    from referencing import Registry

    # Without an explicit registry the validator would fetch a $ref from the network.
    validator = Draft202012Validator(schema, format_checker=FormatChecker(), registry=Registry())

    def find_misfit(cls: type[OpenRecord], members: Mapping[str, Any]) -> str | None:
        error = best_match(validator.iter_errors(members))
        if error is None:
            return None
        return ".".join(map(str, error.absolute_path)) or str(error.validator)

    fields = [
        (name, _find_type(property_) | None, None)
        for name, property_ in schema.get("properties", {}).items()
        if name.isidentifier()
    ]
    record_type = msgspec.defstruct(
        "CustomRecord",
        fields,
        bases=(OpenRecord,),
        namespace={"find_misfit": classmethod(find_misfit)},
        rename=None,
        kw_only=True,
    )
    return cast(type[OpenRecord], record_type)


def _find_type(schema: object) -> Any:
    """Return the Python type for a property with a single JSON type besides null, otherwise `Any`."""
    declared = schema.get("type") if isinstance(schema, Mapping) else None
    types = [name for name in (declared if isinstance(declared, list) else [declared]) if name != "null"]
    return _TYPES.get(str(types[0]), Any) if len(types) == 1 else Any
