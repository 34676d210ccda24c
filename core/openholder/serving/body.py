"""The bodies of POST requests: an e-mail address to search for, or the accounts that are asked about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from openholder.contract.errors import ErrorKind, RequestError
from openholder.contract.limits import CONTROL, MAX_ACCOUNTS, MAX_EMAIL
from openholder.contract.operations import Operation
from openholder.errors import UntrustedJSON
from openholder.strict_json import parse_json


def read_body(operation: Operation, body: bytes) -> tuple[tuple[str, ...], list[RequestError]]:
    """What the body asks for, an address or ids of accounts, each once, and what is wrong with it.

    Nothing, where the operation has no body.
    """
    read = _READERS.get(operation.whose)
    try:
        return read(operation, _parsed(body)) if read else (), []
    except RequestError as problem:
        return (), [problem]


def _parsed(body: bytes) -> Mapping[str, Any]:
    if not body:
        raise RequestError(ErrorKind.FIELD_MISSING, "body_missing", detail="body")
    try:
        content = parse_json(body)
    except UntrustedJSON:
        raise RequestError(ErrorKind.FIELD_INVALID, "body_not_json", detail="body") from None
    if not isinstance(content, dict):
        raise RequestError(ErrorKind.FIELD_INVALID, "body_no_object", detail="body")
    return content


def _email(operation: Operation, body: Mapping[str, Any]) -> tuple[str, ...]:
    address = body.get("email")
    if address is None:
        raise RequestError(ErrorKind.FIELD_MISSING, "email_missing", detail="email")
    if not isinstance(address, str) or not 0 < len(address.strip(" ")) <= MAX_EMAIL or CONTROL.search(address):
        raise RequestError(ErrorKind.FIELD_INVALID, "email_invalid", detail="email")
    return (address.strip(" "),)


def _account_ids(operation: Operation, body: Mapping[str, Any]) -> tuple[str, ...]:
    data = {} if body.get("data") is None else body["data"]
    ids = data.get("accountIds") if isinstance(data, dict) else ""
    if ids is None:
        raise RequestError(ErrorKind.FIELD_MISSING, "account_ids_missing", detail="data.accountIds")
    if not isinstance(ids, list) or not all(isinstance(account, str) and account for account in ids):
        raise RequestError(ErrorKind.FIELD_INVALID, "account_ids_invalid", detail="data.accountIds")
    once = tuple(dict.fromkeys(ids))
    if len(once) > MAX_ACCOUNTS or (not once and operation.sector == "fdx"):
        # An FDX answer holds one account at least, so that there is none for an empty list.
        raise RequestError(ErrorKind.FIELD_INVALID, "account_ids_number", detail="data.accountIds")
    return once


_READERS: Mapping[str, Callable[[Operation, Mapping[str, Any]], tuple[str, ...]]] = {
    "search": _email,
    "specific": _account_ids,
}
