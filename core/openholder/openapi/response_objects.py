"""Describe the responses of operations as OpenAPI: data in its envelope, and errors from the table of `ErrorKind`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.operation import BELOW_ACCOUNTS, JSON
from openholder.contract.operations import Operation
from openholder.contract.parameters import Window
from openholder.openapi.components import COUNT, TEXT, Components, Schema, build_object, build_reference


class Header(NamedTuple):
    """A response header."""

    schema: Schema
    description: str


_INTERACTION_ID = "x-fapi-interaction-id"
_HEADERS = {
    _INTERACTION_ID: Header(TEXT | {"format": "uuid"}, "The UUID of the request, or a new one."),
    "X-Sharing-Refused": Header(TEXT | {"const": "true"}, "Data exists but must not be shared."),
    "WWW-Authenticate": Header(TEXT, "The challenge of RFC 6750."),
    "Retry-After": Header(COUNT, "Seconds after which to try again."),
}
_MEANINGS = {
    400: "A parameter, the body or a header is missing or malformed.",
    401: "The token is missing or invalid.",
    403: "Access with this token is refused.",
    404: "The customer has no such record, or none that may be shared.",
    406: "The operation cannot return an accepted media type.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The body names an account that is not the customer's or must not be shared, or the page does not exist.",
    500: "An error in the server or a data source.",
    503: "The server or a data source is temporarily unavailable.",
}
_LINK_NAMES = ("first", "prev", "next", "last", "self")
_PAGING: Mapping[str | None, Mapping[str, tuple[str, Schema]]] = {
    "page": {
        "links": ("Links", build_object({}, dict.fromkeys(_LINK_NAMES, TEXT), description="Links to other pages.")),
        "meta": ("Meta", build_object({"totalRecords": COUNT, "totalPages": COUNT})),
    },
    "offset": {
        "page": ("Page", build_object({"totalElements": COUNT}, {"nextOffset": TEXT, "nextPageKey": TEXT})),
    },
}
"""The members beside the list, by style of paging: the name and the content of each schema."""
_ERROR = build_object(
    {"code": TEXT, "title": TEXT, "detail": TEXT, "meta": build_object({"correlationId": TEXT}, {"urn": TEXT})}
)
_ERRORS = build_object({"errors": {"type": "array", "minItems": 1, "items": build_reference("schemas", "Error")}})


def describe_responses(operation: Operation, components: Components, item: Schema, failure_status: int) -> Schema:
    """Return the ``responses`` of an operation, and the possible error codes by status as ``x-error-codes``."""
    media = operation.reply.media
    schema = _wrap(operation, components, item) if media == JSON else TEXT | {"contentMediaType": media}
    success = {
        "description": "The requested data.",
        "headers": _refer_to_headers(components),
        "content": {media: {"schema": schema}},
    }
    errors = _group_errors(operation, failure_status)
    return {
        "x-error-codes": {str(status): _list_codes(operation, kinds) for status, kinds in errors.items()},
        "responses": {
            "200": success,
            **{str(status): _refer_to_response(components, status, kinds) for status, kinds in errors.items()},
        },
    }


def _wrap(operation: Operation, components: Components, item: Schema) -> Schema:
    """Put the record, or list of records, into its envelope, with the members that describe the page beside it."""
    reply = operation.reply
    content = {"type": "array", "items": item} if reply.many else item
    if not reply.envelope:
        return content
    for name in reversed(reply.envelope[1:]):
        content = build_object({name: content})
    page_members = {
        name: components.refer("schemas", title, schema)
        for name, (title, schema) in _PAGING.get(reply.paging, {}).items()
    }
    return build_object({reply.envelope[0]: content, **page_members})


def _list_errors(operation: Operation) -> list[ErrorKind]:
    """List the errors that an operation can return, in the order of their table."""
    is_posted = operation.method == "POST"
    has_pages = operation.reply.paging == "page"
    is_below_accounts = operation.whose in BELOW_ACCOUNTS
    has_window = any(isinstance(parameter, Window) for parameter in operation.parameters)
    possible = {
        ErrorKind.FIELD_MISSING: is_posted,
        ErrorKind.FIELD_INVALID: True,
        ErrorKind.PAGE_SIZE_INVALID: has_pages,
        ErrorKind.DATE_TIME_INVALID: has_window,
        ErrorKind.HEADER_INVALID: True,
        ErrorKind.AUTHENTICATION_FAILED: True,
        ErrorKind.HARM: not is_below_accounts,
        ErrorKind.RECORD_UNKNOWN: operation.whose != "search",
        ErrorKind.ACCOUNT_UNKNOWN: operation.whose in ("account", "specific"),
        ErrorKind.ACCOUNT_REFUSED: is_below_accounts,
        ErrorKind.NOT_SERVED: True,
        ErrorKind.NOT_ACCEPTABLE: True,
        ErrorKind.BODY_TOO_LARGE: is_posted,
        ErrorKind.BODY_NOT_JSON: is_posted,
        ErrorKind.PAGE_INVALID: has_pages,
        ErrorKind.UNEXPECTED: True,
        ErrorKind.UNAVAILABLE: True,
    }
    return [kind for kind, is_possible in possible.items() if is_possible]


def _group_errors(operation: Operation, failure_status: int) -> dict[int, list[ErrorKind]]:
    """Group the errors that an operation can return by status."""
    groups: dict[int, list[ErrorKind]] = {}
    for kind in _list_errors(operation):
        status = kind.value.status
        if kind == ErrorKind.AUTHENTICATION_FAILED:
            status = failure_status
        elif kind in (ErrorKind.ACCOUNT_UNKNOWN, ErrorKind.ACCOUNT_REFUSED) and operation.whose == "specific":
            status = 422  # for an account in the body; one in the path is 404
        groups.setdefault(status, []).append(kind)
    return dict(sorted(groups.items()))


def _list_codes(operation: Operation, kinds: list[ErrorKind]) -> list[str]:
    codes = [RequestError(kind).make_entry(operation.urns, operation.sector, "")["code"] for kind in kinds]
    return list(dict.fromkeys(map(str, codes)))


def _refer_to_response(components: Components, status: int, kinds: list[ErrorKind]) -> Schema:
    headers = []
    if any(kind.value.refused for kind in kinds):
        headers.append("X-Sharing-Refused")
    if ErrorKind.AUTHENTICATION_FAILED in kinds or ErrorKind.HEADER_INVALID in kinds:
        headers.append("WWW-Authenticate")
    if ErrorKind.UNAVAILABLE in kinds:
        headers.append("Retry-After")
    components.refer("schemas", "Error", _ERROR)
    content = {
        "description": _MEANINGS[status],
        "headers": _refer_to_headers(components, *headers),
        "content": {JSON: {"schema": components.refer("schemas", "Errors", _ERRORS)}},
    }
    return components.refer("responses", ".".join((str(status), *headers)), content)


def _refer_to_headers(components: Components, *names: str) -> Schema:
    """Return references to the header that every response has, and to the named ones."""
    return {
        name: components.refer("headers", name, {"description": header.description, "schema": header.schema})
        for name, header in _HEADERS.items()
        if name == _INTERACTION_ID or name in names
    }
