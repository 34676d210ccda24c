"""Describe the requests of operations as OpenAPI: parameters and request bodies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from openholder.contract.limits import DEFAULT_SIZE, MAX_ACCOUNTS, MAX_EMAIL, MAX_ID, MAX_SIZE, MAX_TEXT
from openholder.contract.operation import JSON
from openholder.contract.operations import Operation
from openholder.contract.parameters import Choice, Parameter, ValueParameter, Window
from openholder.openapi.components import TEXT, Components, Schema, build_object

CDR = ("banking", "energy", "common")
"""Sectors whose requests may have the version headers of the CDS."""


class ParameterRow(NamedTuple):
    """A parameter: its location (``in``), name, schema and description."""

    location: str
    name: str
    schema: Schema
    description: str


_AT_LEAST_ONE: Schema = {"type": "integer", "minimum": 1}
_PAGING: Mapping[str | None, tuple[ParameterRow, ...]] = {
    "page": (
        ParameterRow(
            location="query",
            name="page",
            schema=_AT_LEAST_ONE | {"default": 1},
            description="The page number. A page after the last one is answered with 422.",
        ),
        ParameterRow(
            location="query",
            name="page-size",
            schema=_AT_LEAST_ONE | {"maximum": MAX_SIZE, "default": DEFAULT_SIZE},
            description="Records per page.",
        ),
    ),
    "offset": (
        ParameterRow(
            location="query",
            name="offset",
            schema=TEXT,
            description="The cursor of the next page: `page.nextOffset` of the previous response, unchanged.",
        ),
        ParameterRow(
            location="query",
            name="pageKey",
            schema=TEXT,
            description="The same as `offset`, by its name of FDX 6.3: `page.nextPageKey` of the previous response.",
        ),
        ParameterRow(
            location="query",
            name="limit",
            schema=_AT_LEAST_ONE | {"default": DEFAULT_SIZE},
            description=f"Records per page. Values above {MAX_SIZE} count as {MAX_SIZE}.",
        ),
    ),
}
_VERSIONS = tuple(
    ParameterRow("header", name, TEXT, "Accepted and ignored: the server has one version of each operation.")
    for name in ("x-v", "x-min-v")
)
_INTERACTION = ParameterRow(
    location="header",
    name="x-fapi-interaction-id",
    schema=TEXT,
    description="A UUID is returned in the response; any other value is replaced by a new UUID.",
)
_DESCRIPTIONS = {"ge": "The lowest {}.", "le": "The highest {}.", "contains": "Text that the {} contains."}
_VALUE_SCHEMAS: Mapping[str, Schema] = {"amount": TEXT, "text": TEXT | {"maxLength": MAX_TEXT}}

_EMAIL = build_object({"email": TEXT | {"format": "email", "minLength": 1, "maxLength": MAX_EMAIL}})


def refer_to_parameters(operation: Operation, components: Components) -> list[Schema]:
    """Return references to the parameters of an operation, which are added to the components."""
    references = []
    for row in _list_parameters(operation):
        content = {
            "name": row.name,
            "in": row.location,
            "required": row.location == "path",
            "description": row.description,
            "schema": row.schema,
        }
        # FDX limits the length of ids and the CDR does not, so one id in the path can have two components.
        suffix = ".bounded" if row.location == "path" and "maxLength" in row.schema else ""
        references.append(components.refer("parameters", f"{row.location}.{row.name}{suffix}", content))
    return references


def _list_parameters(operation: Operation) -> Iterator[ParameterRow]:
    # Only FDX limits the length of an id. Elsewhere a longer id is valid, and no record has it.
    limit = {"maxLength": MAX_ID} if operation.sector == "fdx" else {}
    for name in re.findall(r"\{(\w+)\}", operation.path):
        yield ParameterRow("path", name, TEXT | limit, "A permanent id.")
    for parameter in (*operation.parameters, *operation.account_parameters):
        yield from _list_query_parameters(parameter)
    yield from _PAGING.get(operation.reply.paging, ())
    if operation.sector in CDR:
        yield from _VERSIONS
    yield _INTERACTION


def _list_query_parameters(parameter: Parameter) -> Iterator[ParameterRow]:
    match parameter:
        case Choice():
            yield ParameterRow("query", parameter.name, _describe_choice(parameter), "Select records by this value.")
        case ValueParameter():
            members = " or ".join((parameter.member, *parameter.otherwise))
            description = _DESCRIPTIONS[parameter.operator].format(members)
            yield ParameterRow("query", parameter.name, _VALUE_SCHEMAS[parameter.reads], description)
        case Window():
            schema = {"type": "string", "format": parameter.reads}
            oldest, newest = "The earliest time, inclusive.", "The latest time, inclusive."
            if parameter.months:
                oldest += f" Default: {parameter.months} months before `{parameter.newest}`, or before now."
                newest += " Default: the end of today, in the time zone that is furthest ahead."
            for names, description in zip(parameter.ends, (oldest, newest), strict=True):
                for name in names:
                    yield ParameterRow("query", name, schema, description)


def _describe_choice(choice: Choice) -> Schema:
    values = list(choice.filters)
    if set(values) == {"true", "false"}:
        return {"type": "boolean"}
    default: dict[str, Any] = {"default": choice.default} if choice.default else {}
    return {"type": "string", "enum": values} | default


def describe_body(operation: Operation, components: Components) -> Schema:
    """Return the ``requestBody`` of an operation, or nothing if it has none."""
    match operation.whose, operation.sector:
        case "search", _:
            schema = components.refer("schemas", "CustomerSearch", _EMAIL)
        case "specific", "fdx":
            schema = components.refer("schemas", "FdxAccountIds", _build_account_ids(min_items=1))
        case "specific", _:
            schema = components.refer("schemas", "AccountIds", _build_account_ids(min_items=0))
        case _:
            return {}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


def _build_account_ids(min_items: int) -> Schema:
    ids: Schema = {
        "type": "array",
        "description": f"At most {MAX_ACCOUNTS} different ids.",
        "items": TEXT | {"minLength": 1},
    }
    if min_items:
        ids["minItems"] = min_items
    return build_object(
        required={"data": build_object({"accountIds": ids})},
        optional={"meta": {"type": "object", "description": "Ignored."}},
    )
