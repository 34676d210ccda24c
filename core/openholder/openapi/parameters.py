"""The parameters of operations, as OpenAPI has them: ids in the path, the query, headers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from openholder.contract.limits import DEFAULT_SIZE, MAX_ID, MAX_SIZE, MAX_TEXT
from openholder.contract.operations import Operation
from openholder.contract.parameters import Choice, Parameter, ValueParameter, Window
from openholder.openapi.components import TEXT, Components, Schema

CDR = ("banking", "energy", "common")
"""Sectors whose requests may name versions, as the CDS have them."""

_FROM_ONE: Schema = {"type": "integer", "minimum": 1}


class Row(NamedTuple):
    """A parameter: where it stands, its name, its schema, and what it is for."""

    place: str
    name: str
    schema: Schema
    text: str


_PAGING: Mapping[str | None, tuple[Row, ...]] = {
    "page": (
        Row("query", "page", _FROM_ONE | {"default": 1}, "Which page; one behind the last is 422."),
        Row(
            "query", "page-size", _FROM_ONE | {"maximum": MAX_SIZE, "default": DEFAULT_SIZE}, "Records on a page."
        ),
    ),
    "offset": (
        Row("query", "offset", TEXT, "Where to go on: `page.nextOffset` of the answer before, as it stands there."),
        Row(
            "query", "limit", _FROM_ONE | {"default": DEFAULT_SIZE}, f"Records wanted; above {MAX_SIZE} is {MAX_SIZE}."
        ),
    ),
}  # fmt: skip
_VERSIONS = tuple(
    Row("header", name, TEXT, "Accepted, without effect: there is one version.") for name in ("x-v", "x-min-v")
)
_INTERACTION = Row("header", "x-fapi-interaction-id", TEXT, "A UUID comes back; anything else is replaced by one.")
_OPERATORS = {"ge": "The least {}.", "le": "The greatest {}.", "contains": "A part of the {}."}
_READS: Mapping[str, Schema] = {"amount": TEXT, "text": TEXT | {"maxLength": MAX_TEXT}}


def parameters_of(operation: Operation, components: Components) -> list[Schema]:
    """References to the parameters of an operation."""
    return [_refer(row, components) for row in _rows(operation)]


def _rows(operation: Operation) -> Iterator[Row]:
    # FDX alone says how long an id may be. Elsewhere a longer one is not invalid: it is nobody's.
    bound = {"maxLength": MAX_ID} if operation.sector == "fdx" else {}
    for name in re.findall(r"\{(\w+)\}", operation.path):
        yield Row("path", name, TEXT | bound, "A permanent id.")
    for parameter in (*operation.parameters, *operation.account_parameters):
        yield from _queried(parameter)
    yield from _PAGING.get(operation.reply.paging, ())
    yield from _VERSIONS if operation.sector in CDR else ()
    yield _INTERACTION


def _queried(parameter: Parameter) -> Iterator[Row]:
    match parameter:
        case Choice():
            yield Row("query", parameter.name, _choice(parameter), "Only those that are so.")
        case ValueParameter():
            text = _OPERATORS[parameter.operator].format(" or ".join((parameter.member, *parameter.otherwise)))
            yield Row("query", parameter.name, _READS[parameter.reads], text)
        case Window():
            yield from _window(parameter)


def _choice(choice: Choice) -> Schema:
    values = list(choice.filters)
    default: dict[str, Any] = {"default": choice.default} if choice.default else {}
    return {"type": "boolean"} if set(values) == {"true", "false"} else {"type": "string", "enum": values} | default


def _window(window: Window) -> Iterator[Row]:
    schema = {"type": "string", "format": window.reads}
    earlier = f" Otherwise {window.months} months before `{window.newest}`." if window.months else ""
    yield Row("query", window.oldest, schema, "The earliest, itself included." + earlier)
    yield Row("query", window.newest, schema, "The latest, itself included." + (" Otherwise now." if earlier else ""))


def _refer(row: Row, components: Components) -> Schema:
    content = {
        "name": row.name,
        "in": row.place,
        "required": row.place == "path",
        "description": row.text,
        "schema": row.schema,
    }
    bounded = ".bounded" if row.place == "path" and "maxLength" in row.schema else ""
    return components.refer("parameters", f"{row.place}.{row.name}{bounded}", content)
