"""All error responses: a table of the kinds of errors, and the error body that the CDS prescribe.

Statuses, codes and titles: CDS 1.36.0, error codes. Outside the CDR, short words replace the URNs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from openholder.errors import OpenholderError

URN = "urn:au-cds:error:"
GENERAL = "GeneralError"


class ErrorSpec(NamedTuple):
    """How one kind of error is reported to the caller. ``refused``: it counts as a refusal to share."""

    status: int
    urn: str
    word: str
    title: str
    detail: str
    refused: bool = False


_EXPECTED = "Expected Error Encountered"
_SECTORS = {"energy": "Energy"}
"""The name of a sector in codes and titles of account errors. All other sectors use Banking."""


class ErrorKind(Enum):
    """The kinds of errors, each with its response."""

    AUTHENTICATION_FAILED = ErrorSpec(
        401, "cds-all:GeneralError/Expected", "invalid_token", _EXPECTED, "authentication failed"
    )
    HEADER_INVALID = ErrorSpec(400, "cds-all:Header/Invalid", "invalid_request", "Invalid Header", "Authorization")
    HARM = ErrorSpec(
        403, "cds-all:GeneralError/Expected", "sharing_refused", _EXPECTED, "sharing refused", refused=True
    )
    FIELD_MISSING = ErrorSpec(400, "cds-all:Field/Missing", "invalid_request", "Missing Required Field", "")
    FIELD_INVALID = ErrorSpec(400, "cds-all:Field/Invalid", "invalid_request", "Invalid Field", "")
    RECORD_UNKNOWN = ErrorSpec(404, "cds-all:Resource/Invalid", "not_found", "Invalid Resource", "no such record")
    DATE_TIME_INVALID = ErrorSpec(400, "cds-all:Field/InvalidDateTime", "invalid_request", "Invalid Date", "")
    PAGE_SIZE_INVALID = ErrorSpec(400, "cds-all:Field/InvalidPageSize", "invalid_request", "Invalid Page Size", "")
    PAGE_INVALID = ErrorSpec(422, "cds-all:Field/InvalidPage", "invalid_request", "Invalid Page", "")
    ACCOUNT_UNKNOWN = ErrorSpec(
        404,
        "cds-{sector}:Authorisation/Invalid{Sector}Account",
        "account_not_found",
        "Invalid {Sector} Account",
        "accountId",
    )
    ACCOUNT_REFUSED = ErrorSpec(
        404,
        "cds-{sector}:Authorisation/Unavailable{Sector}Account",
        "account_unavailable",
        "Unavailable {Sector} Account",
        "accountId",
        refused=True,
    )
    NOT_SERVED = ErrorSpec(
        404, "cds-all:Resource/NotImplemented", "not_found", "Resource Not Implemented", "not offered by this server"
    )
    PATH_UNKNOWN = ErrorSpec(404, "cds-all:Resource/NotFound", "not_found", "Resource Not Found", "no such path")
    METHOD_NOT_ALLOWED = ErrorSpec(
        405, "cds-all:GeneralError/Expected", "invalid_request", _EXPECTED, "method not allowed"
    )
    NOT_HTTP = ErrorSpec(400, "cds-all:GeneralError/Expected", "invalid_request", _EXPECTED, "not a valid HTTP request")
    NOT_ACCEPTABLE = ErrorSpec(406, "cds-all:GeneralError/Expected", "invalid_request", _EXPECTED, "not acceptable")
    BODY_TOO_LARGE = ErrorSpec(413, "cds-all:GeneralError/Expected", "invalid_request", _EXPECTED, "body too large")
    BODY_NOT_JSON = ErrorSpec(
        415, "cds-all:GeneralError/Expected", "invalid_request", _EXPECTED, "bodies are application/json, unencoded"
    )
    UNEXPECTED = ErrorSpec(
        500, "cds-all:GeneralError/Unexpected", "server_error", "Unexpected Error Encountered", "unexpected error"
    )
    UNAVAILABLE = ErrorSpec(
        503, "cds-all:Service/Unavailable", "temporarily_unavailable", "Service Unavailable", "try again later"
    )


@dataclass(eq=False)
class RequestError(OpenholderError):
    """Ends a request with an error response. ``reason`` goes to the log, ``detail`` and ``headers`` to the caller.

    ``others`` are further errors of the same request. The response has the status of the first one.
    """

    kind: ErrorKind
    reason: str = ""
    detail: str = ""
    status: int = 0
    headers: Mapping[str, str] | None = None
    others: Sequence[RequestError] = ()

    @property
    def spec(self) -> ErrorSpec:
        """How this kind of error is reported."""
        return self.kind.value

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers that this response has in addition to the usual ones."""
        refused = any(error.spec.refused for error in (self, *self.others))
        return ({"X-Sharing-Refused": "true"} if refused else {}) | dict(self.headers or {})

    def make_body(self, *, urns: bool, sector: str, interaction_id: str) -> bytes:
        """Make the CDR error body. ``meta.urn`` specifies codes that are short words or the general URN."""
        entries = [error.make_entry(urns, sector, interaction_id) for error in (self, *self.others)]
        return json.dumps({"errors": entries}).encode()

    def make_entry(self, urns: bool, sector: str, interaction_id: str) -> dict[str, object]:
        """Make one entry of the error body."""
        names = {"Sector": _SECTORS.get(sector, "Banking")}
        names["sector"] = names["Sector"].lower()
        urn = URN + self.spec.urn.format_map(names)
        meta = {"correlationId": interaction_id}
        if not urns or GENERAL in urn:
            meta["urn"] = urn
        return {
            "code": urn if urns else self.spec.word,
            "title": self.spec.title.format_map(names),
            "detail": self.detail or self.spec.detail,
            "meta": meta,
        }


def raise_all(errors: Sequence[RequestError]) -> None:
    """Raise the first error with all others attached. Do nothing if there are none."""
    if errors:
        raise replace(errors[0], others=tuple(errors[1:]))
