"""What goes into operations besides parameters, and what comes out, as OpenAPI has it."""

from __future__ import annotations

from collections.abc import Mapping

from openholder.contract.limits import MAX_ACCOUNTS, MAX_EMAIL
from openholder.contract.operation import JSON
from openholder.contract.operations import Operation
from openholder.openapi.components import COUNT, TEXT, Components, Schema, object_of
from openholder.openapi.failures import answer_to, codes_of, failures_of, headers_of

# -- requests -----------------------------------------------------------------------------------------------------

_EMAIL = object_of({"email": TEXT | {"format": "email", "minLength": 1, "maxLength": MAX_EMAIL}})


def _account_ids(at_least: int) -> Schema:
    ids = {
        "type": "array",
        "description": f"At most {MAX_ACCOUNTS} different ones.",
        "items": TEXT | {"minLength": 1},
        **({"minItems": at_least} if at_least else {}),
    }
    return object_of(
        {"data": object_of({"accountIds": ids})}, {"meta": {"type": "object", "description": "Without effect."}}
    )


def _body_schema(operation: Operation, components: Components) -> Schema | None:
    match operation.whose, operation.sector:
        case "search", _:
            return components.refer("schemas", "CustomerSearch", _EMAIL)
        case "specific", "fdx":
            return components.refer("schemas", "FdxAccountIds", _account_ids(at_least=1))
        case "specific", _:
            return components.refer("schemas", "AccountIds", _account_ids(at_least=0))
    return None


def body_of(operation: Operation, components: Components) -> Schema:
    """The ``requestBody`` of an operation that has one."""
    schema = _body_schema(operation, components)
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}} if schema else {}


# -- answers ------------------------------------------------------------------------------------------------------

_LINK_NAMES = ("first", "prev", "next", "last", "self")
_PAGING: Mapping[str | None, Mapping[str, tuple[str, Schema]]] = {
    "page": {
        "links": ("Links", object_of({}, dict.fromkeys(_LINK_NAMES, TEXT), description="Other pages that there are.")),
        "meta": ("Meta", object_of({"totalRecords": COUNT, "totalPages": COUNT})),
    },
    "offset": {
        "page": ("Page", object_of({"totalElements": COUNT}, {"nextOffset": TEXT})),
    },
}
"""For each style of paging the members that stand beside the list, and how their schemas are called."""


def _content(operation: Operation, components: Components, item: Schema) -> Schema:
    """What a record is wrapped in, with the members that pages have."""
    reply = operation.reply
    content = {"type": "array", "items": item} if reply.many else item
    for name in reversed(reply.envelope[1:]):
        content = object_of({name: content})
    beside = {
        name: components.refer("schemas", title, schema)
        for name, (title, schema) in _PAGING.get(reply.paging, {}).items()
    }
    return object_of({reply.envelope[0]: content, **beside}) if reply.envelope else content


def responses_of(operation: Operation, components: Components, item: Schema, failure_status: int) -> Schema:
    """The ``responses`` of an operation, and under ``x-error-codes`` what each of its errors may be called."""
    media = operation.reply.media
    schema = _content(operation, components, item) if media == JSON else TEXT | {"contentMediaType": media}
    success = {"description": "Found.", "headers": headers_of(components), "content": {media: {"schema": schema}}}
    failures = failures_of(operation, failure_status)
    return {
        "x-error-codes": {str(status): codes_of(operation, cases) for status, cases in failures.items()},
        "responses": {
            "200": success,
            **{str(status): answer_to(components, status, cases) for status, cases in failures.items()},
        },
    }
