"""Every answer that is not the data: one table of cases, and the error body that the CDS prescribe.

Statuses, codes and titles: CDS 1.36.0, error codes. The short words stand in for the URNs outside the CDR.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from openholder.errors import OpenholderError

URN = "urn:au-cds:error:"
GENERAL = "GeneralError"


class Row(NamedTuple):
    """One case: status, URN, word, title, what the caller is told, and whether it counts as a refusal to share."""

    status: int
    urn: str
    word: str
    title: str
    detail: str
    refused: bool = False


_EXPECTED = "Expected Error Encountered"
_BANKING = "cds-banking:Authorisation/"


class Case(Enum):
    """What may go wrong, and how it is answered."""

    AUTHENTICATION_FAILED = Row(
        401, "cds-all:GeneralError/Expected", "invalid_token", _EXPECTED, "authentication failed"
    )
    HEADER_INVALID = Row(400, "cds-all:Header/Invalid", "invalid_request", "Invalid Header", "Authorization")
    HARM = Row(403, "cds-all:GeneralError/Expected", "sharing_refused", _EXPECTED, "sharing refused", refused=True)
    FIELD_MISSING = Row(400, "cds-all:Field/Missing", "invalid_request", "Missing Required Field", "")
    FIELD_INVALID = Row(400, "cds-all:Field/Invalid", "invalid_request", "Invalid Field", "")
    RECORD_UNKNOWN = Row(404, "cds-all:Resource/Invalid", "not_found", "Invalid Resource", "no such record")
    ACCOUNT_UNKNOWN = Row(
        404, f"{_BANKING}InvalidBankingAccount", "account_not_found", "Invalid Banking Account", "accountId"
    )
    ACCOUNT_REFUSED = Row(
        404,
        f"{_BANKING}UnavailableBankingAccount",
        "account_unavailable",
        "Unavailable Banking Account",
        "accountId",
        refused=True,
    )
    NOT_SERVED = Row(
        404, "cds-all:Resource/NotImplemented", "not_found", "Resource Not Implemented", "not offered by this server"
    )
    PATH_UNKNOWN = Row(404, "cds-all:Resource/NotFound", "not_found", "Resource Not Found", "no such path")
    METHOD_NOT_ALLOWED = Row(405, "cds-all:GeneralError/Expected", "invalid_request", _EXPECTED, "method not allowed")
    NOT_ACCEPTABLE = Row(
        406, "cds-all:GeneralError/Expected", "invalid_request", _EXPECTED, "answers are application/json"
    )
    BODY_TOO_LARGE = Row(413, "cds-all:GeneralError/Expected", "invalid_request", _EXPECTED, "body too large")
    BODY_NOT_JSON = Row(
        415, "cds-all:GeneralError/Expected", "invalid_request", _EXPECTED, "bodies are application/json, unencoded"
    )
    UNEXPECTED = Row(
        500, "cds-all:GeneralError/Unexpected", "server_error", "Unexpected Error Encountered", "unexpected error"
    )
    UNAVAILABLE = Row(
        503, "cds-all:Service/Unavailable", "temporarily_unavailable", "Service Unavailable", "try again later"
    )


@dataclass(eq=False)
class Problem(OpenholderError):
    """Ends a request with one of the cases. ``reason`` goes to the log, ``detail`` and ``headers`` to the caller."""

    case: Case
    reason: str = ""
    detail: str = ""
    status: int = 0
    headers: Mapping[str, str] | None = None

    @property
    def row(self) -> Row:
        """The row of the table of cases."""
        return self.case.value

    @property
    def all_headers(self) -> dict[str, str]:
        """The headers that this answer has beyond those of every answer."""
        refused = {"X-Sharing-Refused": "true"} if self.row.refused else {}
        return refused | dict(self.headers or {})

    def body(self, *, urns: bool, interaction_id: str) -> bytes:
        """The CDR error body. A code that is no URN, or a general one, is made precise by ``meta.urn``."""
        urn = URN + self.row.urn
        meta = {"correlationId": interaction_id}
        if not urns or GENERAL in urn:
            meta["urn"] = urn
        error = {
            "code": urn if urns else self.row.word,
            "title": self.row.title,
            "detail": self.detail or self.row.detail,
            "meta": meta,
        }
        return json.dumps({"errors": [error]}).encode()
