"""The bodies of POST requests: an e-mail address to search for, or the accounts to return records of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.limits import CONTROL, MAX_ACCOUNTS, MAX_EMAIL
from openholder.contract.operations import Operation
from openholder.errors import UntrustedJSON
from openholder.strict_json import parse_json


def read_body(operation: Operation, body: bytes) -> tuple[tuple[str, ...], list[RequestError]]:
    """Return what the body names, and what is wrong with it.

    That is an address or ids of accounts, each once; nothing if the operation takes no body.
    """
    try:
        match operation.whose:
            case "search":
                return (_read_email(_parse_object(body)),), []
            case "specific":
                return _read_account_ids(operation, _parse_object(body)), []
    except RequestError as error:
        return (), [error]
    return (), []


def _parse_object(body: bytes) -> Mapping[str, Any]:
    if not body:
        raise RequestError(ErrorKind.FIELD_MISSING, "body_missing", detail="body")
    try:
        content = parse_json(body)
    except UntrustedJSON:
        raise RequestError(ErrorKind.FIELD_INVALID, "body_not_json", detail="body") from None
    if not isinstance(content, dict):
        raise RequestError(ErrorKind.FIELD_INVALID, "body_no_object", detail="body")
    return content


def _read_email(body: Mapping[str, Any]) -> str:
    address = body.get("email")
    if address is None:
        raise RequestError(ErrorKind.FIELD_MISSING, "email_missing", detail="email")
    if not isinstance(address, str) or not 0 < len(address.strip(" ")) <= MAX_EMAIL or CONTROL.search(address):
        raise RequestError(ErrorKind.FIELD_INVALID, "email_invalid", detail="email")
    return address.strip(" ")


def _read_account_ids(operation: Operation, body: Mapping[str, Any]) -> tuple[str, ...]:
    data = {} if body.get("data") is None else body["data"]
    ids = data.get("accountIds") if isinstance(data, dict) else ""
    if ids is None:
        raise RequestError(ErrorKind.FIELD_MISSING, "account_ids_missing", detail="data.accountIds")
    if not isinstance(ids, list) or not all(isinstance(account, str) and account for account in ids):
        raise RequestError(ErrorKind.FIELD_INVALID, "account_ids_invalid", detail="data.accountIds")
    unique = tuple(dict.fromkeys(ids))
    # An FDX answer contains at least one account, so there is no answer to an empty list.
    if len(unique) > MAX_ACCOUNTS or (not unique and operation.sector == "fdx"):
        raise RequestError(ErrorKind.FIELD_INVALID, "account_ids_number", detail="data.accountIds")
    return unique
