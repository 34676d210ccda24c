"""What may go wrong with an operation, as OpenAPI has it: made of the table of cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.operation import BELOW_ACCOUNTS, JSON
from openholder.contract.operations import Operation
from openholder.contract.parameters import Window
from openholder.openapi.components import COUNT, TEXT, Components, Schema, object_of, reference


class Header(NamedTuple):
    """A header of answers."""

    schema: Schema
    description: str


_HEADERS = {
    "x-fapi-interaction-id": Header(TEXT | {"format": "uuid"}, "The request's, where that is a UUID."),
    "X-Sharing-Refused": Header(TEXT | {"const": "true"}, "There is data, and it must not be shared."),
    "WWW-Authenticate": Header(TEXT, "The challenge of RFC 6750."),
    "Retry-After": Header(COUNT, "Seconds after which another try makes sense."),
}
_CHALLENGED = {ErrorKind.AUTHENTICATION_FAILED, ErrorKind.HEADER_INVALID}
_MEANINGS = {
    400: "A parameter, the body or a header is missing or malformed.",
    401: "No token, or one that does not hold.",
    403: "Not to be had with this token.",
    404: "No such record of this customer, or none that may be shared.",
    406: "The answer has another media type.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The body names an account that is not this customer's or not to be shared, or there is no such page.",
    500: "Something went wrong here.",
    503: "Not now.",
}
_ERROR = object_of(
    {"code": TEXT, "title": TEXT, "detail": TEXT, "meta": object_of({"correlationId": TEXT}, {"urn": TEXT})}
)
_ERRORS = object_of({"errors": {"type": "array", "minItems": 1, "items": reference("schemas", "Error")}})

_Occurs = Callable[[Operation], bool]


def _always(operation: Operation) -> bool:
    return True


def _posted(operation: Operation) -> bool:
    return operation.method == "POST"


def _paged(operation: Operation) -> bool:
    return operation.reply.paging == "page"


def _timed(operation: Operation) -> bool:
    return any(isinstance(parameter, Window) for parameter in operation.parameters)


def _below_accounts(operation: Operation) -> bool:
    return operation.whose in BELOW_ACCOUNTS


def _above_accounts(operation: Operation) -> bool:
    return not _below_accounts(operation)


def _names_accounts(operation: Operation) -> bool:
    return operation.whose in ("account", "specific")


def _names_records(operation: Operation) -> bool:
    return operation.whose != "search"


_OCCUR: Mapping[ErrorKind, _Occurs] = {
    ErrorKind.FIELD_MISSING: _posted,
    ErrorKind.FIELD_INVALID: _always,
    ErrorKind.PAGE_SIZE_INVALID: _paged,
    ErrorKind.DATE_TIME_INVALID: _timed,
    ErrorKind.HEADER_INVALID: _always,
    ErrorKind.AUTHENTICATION_FAILED: _always,
    ErrorKind.HARM: _above_accounts,
    ErrorKind.RECORD_UNKNOWN: _names_records,
    ErrorKind.ACCOUNT_UNKNOWN: _names_accounts,
    ErrorKind.ACCOUNT_REFUSED: _below_accounts,
    ErrorKind.NOT_SERVED: _always,
    ErrorKind.NOT_ACCEPTABLE: _always,
    ErrorKind.BODY_TOO_LARGE: _posted,
    ErrorKind.BODY_NOT_JSON: _posted,
    ErrorKind.PAGE_INVALID: _paged,
    ErrorKind.UNEXPECTED: _always,
    ErrorKind.UNAVAILABLE: _always,
}
"""Which operations a case may befall. Those of paths that have no operation are not here."""


def failures_of(operation: Operation, failure_status: int) -> dict[int, list[ErrorKind]]:
    """The cases that may befall an operation, by their status."""
    found: dict[int, list[ErrorKind]] = {}
    for case, occurs in _OCCUR.items():
        if occurs(operation):
            found.setdefault(_status(case, operation, failure_status), []).append(case)
    return dict(sorted(found.items()))


def _status(case: ErrorKind, operation: Operation, failure_status: int) -> int:
    if case == ErrorKind.AUTHENTICATION_FAILED:
        return failure_status
    # An account that the body names is 422, one in the path 404.
    named = case in (ErrorKind.ACCOUNT_UNKNOWN, ErrorKind.ACCOUNT_REFUSED) and operation.whose == "specific"
    return 422 if named else case.value.status


def codes_of(operation: Operation, cases: list[ErrorKind]) -> list[str]:
    """What the errors of a status may be called."""
    codes = [RequestError(case).make_entry(operation.urns, operation.sector, "")["code"] for case in cases]
    return list(dict.fromkeys(map(str, codes)))


def answer_to(components: Components, status: int, cases: list[ErrorKind]) -> Schema:
    """A reference to the answer of a status."""
    special = {
        "X-Sharing-Refused": any(case.value.refused for case in cases),
        "WWW-Authenticate": not _CHALLENGED.isdisjoint(cases),
        "Retry-After": ErrorKind.UNAVAILABLE in cases,
    }
    headers = [name for name, sent in special.items() if sent]
    components.refer("schemas", "Error", _ERROR)
    content = {
        "description": _MEANINGS[status],
        "headers": headers_of(components, *headers),
        "content": {JSON: {"schema": components.refer("schemas", "Errors", _ERRORS)}},
    }
    return components.refer("responses", ".".join((str(status), *headers)), content)


def headers_of(components: Components, *names: str) -> Schema:
    """References to the headers that every answer has, and to these."""
    return {
        name: components.refer("headers", name, {"description": header.description, "schema": header.schema})
        for name, header in _HEADERS.items()
        if name == "x-fapi-interaction-id" or name in names
    }
