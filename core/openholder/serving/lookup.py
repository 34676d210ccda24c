"""From an operation and what the request names to the rows that answer it: one way of looking up a row of the table."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from openholder.errors import SourceFault
from openholder.models.auth import Login
from openholder.models.collections import COLLECTIONS
from openholder.models.rows import record_from
from openholder.operations import Operation
from openholder.serving.problems import Case, Problem
from openholder.sources.directory import Directory
from openholder.sources.ownership import MOST, accounts_of, customer_exists, may_be_shared
from openholder.sources.query import Filter, Query, Record

MAX_EMAIL = 320
"""Characters of the longest address: 64 before the @ and 255 behind it (RFC 5321 section 4.5.3.1)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Ids = Mapping[str, str]
Lookup = Callable[[Directory, Operation, Ids, Any], Awaitable[list[Record]]]


def is_served(sources: Directory, operation: Operation) -> bool:
    """Whether sources have what the operation needs: its collection, and `accounts` for anything below one."""
    needed = {operation.collection, "accounts"} if operation.lookup == "account" else {operation.collection}
    return all(sources.source_of(collection) for collection in needed)


async def search(sources: Directory, operation: Operation, ids: Ids, body: Any) -> list[Record]:
    """Every customer with that e-mail address, and every one that it may log in for."""
    address = _email(body)
    condition = Filter("email", "ieq", address, variable="email")
    variables = {"email": address}
    customers = list(await _all(sources, Query(collection="customers", filters=(condition,), variables=variables)))
    found = {str(customer.get("id")) for customer in customers}
    if sources.source_of("logins"):
        logins = await _all(sources, Query(collection="logins", filters=(condition,), variables=variables))
        for customer_id in dict.fromkeys(record_from("logins", login, Login).customer_id for login in logins):
            if customer_id not in found:
                customers += await records_of(sources, "customers", {"customerId": customer_id})
    return customers


async def customer(sources: Directory, operation: Operation, ids: Ids, body: Any) -> list[Record]:
    """What the collection has of the customer in the path."""
    return await records_of(sources, operation.collection, ids)


async def consent(sources: Directory, operation: Operation, ids: Ids, body: Any) -> list[Record]:
    """The customer's accounts but for those that may not be shared. Closed ones may: their history is shared too."""
    rows = await accounts_of(sources, ids["customerId"])
    if not rows and not await customer_exists(sources, ids["customerId"]):
        raise Problem(Case.RECORD_UNKNOWN, "customer_unknown")
    if len({str(row.get("id")) for row in rows}) != len(rows):
        raise SourceFault("an account stands twice under one customer")
    return [row for row in rows if may_be_shared(row)]


async def account(sources: Directory, operation: Operation, ids: Ids, body: Any) -> list[Record]:
    """What the collection has of the account in the path, which must be the customer's and may be shared."""
    links = await accounts_of(sources, ids["customerId"], ids["accountId"])
    if not links and not await customer_exists(sources, ids["customerId"]):
        raise Problem(Case.RECORD_UNKNOWN, "customer_unknown")
    if not links:
        raise Problem(Case.ACCOUNT_UNKNOWN, "account_unknown")
    if not all(may_be_shared(link) for link in links):
        raise Problem(Case.ACCOUNT_REFUSED, "account_refused")
    return await records_of(sources, operation.collection, ids)


LOOKUPS: Mapping[str, Lookup] = {"search": search, "customer": customer, "consent": consent, "account": account}
"""What `Operation.lookup` names."""


def _email(body: Any) -> str:
    if not isinstance(body, dict):
        raise Problem(Case.FIELD_INVALID, "body_no_object", detail="body")
    address = body.get("email")
    if address is None:
        raise Problem(Case.FIELD_MISSING, "email_missing", detail="email")
    if not isinstance(address, str) or not 0 < len(address.strip(" ")) <= MAX_EMAIL or _CONTROL.search(address):
        raise Problem(Case.FIELD_INVALID, "email_invalid", detail="email")
    return address.strip(" ")


async def records_of(sources: Directory, collection: str, ids: Ids) -> list[Record]:
    """The records whose owner columns hold the ids that the path names."""
    owned = COLLECTIONS[collection]
    columns = {"customerId": owned.customer, "accountId": owned.account}
    filters = tuple(
        Filter(column, "eq", ids[name], variable=name) for name, column in columns.items() if column and name in ids
    )
    return await _all(sources, Query(collection=collection, filters=filters, variables=ids))


async def _all(sources: Directory, query: Query) -> list[Record]:
    """Every record, where an answer has no pages. More than `MOST` is a fault, never a shortened list."""
    page = await sources.fetch(replace(query, limit=MOST + 1))
    if len(page.records) > MOST:
        raise SourceFault(f"more than {MOST} records for one request")
    return list(page.records)
