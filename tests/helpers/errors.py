"""Errors as the contract has them: how they are read, and the codes that are expected."""

from __future__ import annotations

from typing import Any

import contract
from helpers.requests import NAMED

URN = "urn:au-cds:error:"


def read_errors(operation: str, answer: Any) -> list[dict[str, Any]]:
    """Return the entries of an error body, after a check that it is as Fiskil's page and the contract have it."""
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    entries = answer.json["errors"]
    urns = NAMED[operation].sector in {"auth", "banking", "energy", "common"}
    for entry in entries:
        assert set(entry) == {"code", "title", "detail", "meta"}
        assert entry["meta"]["correlationId"] == answer.headers["x-fapi-interaction-id"]
        assert entry["code"].startswith(URN) == urns
        assert ("urn" in entry["meta"]) == (not urns or "GeneralError" in entry["code"])
    if answer.status != 405:
        assert list(contract.find_mistakes(operation, answer.status, "application/json", answer.json)) == []
        assert {entry["code"] for entry in entries} <= contract.read_error_codes(operation, answer.status)
    return entries


def error_code(operation: str, urn: str, word: str) -> str:
    """Return the code of an error in the sector of an operation: a URN of the CDR, or a word."""
    sector = NAMED[operation].sector
    name = "energy" if sector == "energy" else "banking"
    return word if sector in {"fdx", "custom"} else URN + urn.format(sector=name, Sector=name.capitalize())


UNKNOWN_ACCOUNT = ("cds-{sector}:Authorisation/Invalid{Sector}Account", "account_not_found")
REFUSED_ACCOUNT = ("cds-{sector}:Authorisation/Unavailable{Sector}Account", "account_unavailable")
UNKNOWN_RECORD = ("cds-all:Resource/Invalid", "not_found")
NOT_SERVED = ("cds-all:Resource/NotImplemented", "not_found")
MISSING = ("cds-all:Field/Missing", "invalid_request")
INVALID = ("cds-all:Field/Invalid", "invalid_request")
FAULT = ("cds-all:GeneralError/Unexpected", "server_error")
