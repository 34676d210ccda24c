"""Which customer may see which account. Core decides it, from the collection ``accounts``; sources never do."""

from __future__ import annotations

from collections.abc import Sequence

from openholder.contract.records.auth import AccountLink
from openholder.contract.rows import record_from
from openholder.errors import SourceFault
from openholder.query import Filter, Query, Row
from openholder.sources.registry import SourceRegistry

MOST = 1000
"""Records in an answer that has no pages: far more than one customer has, and a bound on what one request costs."""

REFUSED = ("blocked", "suspended")
"""States of an account in which nothing of it may be shared."""


def may_be_shared(row: Row) -> bool:
    """Whether the account of this row of ``accounts`` may be shared. A state we do not know is a fault."""
    return record_from("accounts", row, AccountLink).status not in REFUSED


async def customer_exists(sources: SourceRegistry, customer_id: str) -> bool:
    """Whether there is such a customer. Where no source has customers, only accounts make one known."""
    if sources.source_of("customers") is None:
        return bool(await accounts_of(sources, customer_id))
    condition = Filter("id", "eq", customer_id, variable="customerId")
    variables = {"customerId": customer_id}
    return bool((await sources.fetch(Query(collection="customers", filters=(condition,), variables=variables))).records)


async def accounts_of(sources: SourceRegistry, customer_id: str, account_ids: Sequence[str] | None = None) -> list[Row]:
    """The rows of ``accounts`` for one customer: all of them, or those of the given accounts."""
    filters = [Filter("customerId", "eq", customer_id, variable="customerId")]
    variables = {"customerId": customer_id}
    if account_ids is not None and len(account_ids) == 1:
        filters.append(Filter("id", "eq", account_ids[0], variable="accountId"))
        variables["accountId"] = account_ids[0]
    elif account_ids is not None:
        filters.append(Filter("id", "in", tuple(account_ids), variable="accountId"))
    query = Query(collection="accounts", filters=tuple(filters), variables=variables, limit=MOST + 1)
    rows = (await sources.fetch(query)).records
    if len(rows) > MOST:
        raise SourceFault(f"more than {MOST} accounts of one customer")
    return list(rows)
