"""Read everything that the sources hold about a customer, with the queries that requests would cause.

Messages name collections, ids, members and types of values, never values.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from openholder.contract.collections import find_collection, read_key
from openholder.contract.formats import Record
from openholder.contract.operations import Operation
from openholder.contract.records.auth import AccountLink
from openholder.contract.rows import Misfit, to_record
from openholder.errors import OpenholderError, SourceFault
from openholder.query import Query, Row, text
from openholder.serving.access import AUTHORITY, build_owner_query, fetch_account_rows, is_served, read_link
from openholder.serving.answers import has_needed
from openholder.serving.closing import Periods, find_months, has_lapsed
from openholder.sources.registry import SourceRegistry

BATCH_SIZE = 1000
"""Records that are fetched with one query."""

Progress = Callable[[Sequence[str]], AbstractContextManager[Iterable[str]]]
"""Shows progress while the caller iterates over the ids of customers."""


@dataclass(slots=True)
class Holding:
    """The rows of one collection that belong to one customer or account."""

    collection: str
    ids: Mapping[str, str]
    """The ids of the owner: ``customerId``, then ``accountId`` if the rows belong to an account."""
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    fault: str = ""
    """Why rows are missing, if the source failed."""
    is_shared: bool = True
    """Whether the account is shared: not if it is blocked, or was closed too long ago. If not, nothing is read."""


async def list_customers(sources: SourceRegistry, number: int) -> list[str]:
    """List the ids of the first customers. Raises `SourceFault` if the source cannot list them."""
    rows = (await sources.fetch(Query(collection="customers", limit=number))).records
    if any(row.get("id") is None for row in rows):
        raise SourceFault("collection 'customers': a record has no 'id'")
    return [text(row["id"]) for row in rows]


async def read_holdings(
    sources: SourceRegistry, operations: Sequence[Operation], customer_id: str, periods: Periods
) -> AsyncIterator[Holding]:
    """Read each served collection for a customer and for each of the customer's accounts that it shares.

    ``periods`` are the months for which the sectors share closed accounts.
    """
    served = {row.collection: find_months(sources, periods, row) for row in operations if is_served(sources, row)}
    links, faults = await _list_accounts(sources, customer_id, is_day_needed=set(served.values()) != {None})
    for fault in faults:
        yield Holding(AUTHORITY, {"customerId": customer_id}, fault=fault)
    for collection, months in served.items():
        spec = find_collection(collection)
        shared = {link.id: _is_shared(link, months) for link in links}
        if spec.customer:
            holding = await _read_holding(sources, collection, {"customerId": customer_id})
            if collection == AUTHORITY:
                holding.rows = [row for row in holding.rows if shared.get(text(row.get("id")), True)]
            yield holding
        elif spec.account:
            for account_id, is_shared in shared.items():
                ids = {"customerId": customer_id, "accountId": account_id}
                yield (
                    await _read_holding(sources, collection, ids)
                    if is_shared
                    else Holding(collection, ids, is_shared=False)
                )


async def _list_accounts(
    sources: SourceRegistry, customer_id: str, *, is_day_needed: bool
) -> tuple[list[AccountLink], list[str]]:
    """List the accounts of which it is known whether they are shared, and the faults of the others."""
    accounts, faults = [], []
    try:
        rows = await fetch_account_rows(sources, customer_id) if sources.find_source(AUTHORITY) else []
    except OpenholderError as exc:
        return [], [describe_fault(exc, AUTHORITY)]
    for row in rows:
        try:
            link = read_link(row)
            if is_day_needed and link.may_be_shared:
                has_lapsed(link, 0)
            accounts.append(link)
        except OpenholderError as exc:
            faults.append(describe_fault(exc, AUTHORITY))
    return accounts, faults


def _is_shared(link: AccountLink, months: int | None) -> bool:
    return link.may_be_shared and (months is None or not has_lapsed(link, months))


async def _read_holding(sources: SourceRegistry, collection: str, ids: Mapping[str, str]) -> Holding:
    holding = Holding(collection, ids)
    query = build_owner_query(collection, ids)
    started = time.perf_counter()
    try:
        while True:
            page = await sources.fetch(replace(query, offset=len(holding.rows), limit=BATCH_SIZE))
            holding.rows += page.records
            if not page.records or len(holding.rows) >= page.total:
                break
    except OpenholderError as exc:
        holding.fault = describe_fault(exc, holding.collection)
    holding.seconds = time.perf_counter() - started
    return holding


def describe_fault(fault: OpenholderError, collection: str = "") -> str:
    """Return the message of a fault, with the id of the record at fault if it is known.

    The message leaves out the collection that is given: its reader knows it already.
    """
    record = fault.record if isinstance(fault, SourceFault) else ""
    text = str(fault).removeprefix(f"collection {collection!r}: ")
    return f"record {record!r}: {text}" if record else text


def convert_records(holding: Holding, operations: Sequence[Operation]) -> Iterator[tuple[str, Any, Misfit | None]]:
    """Convert each row into the record of each operation: yield its id, the JSON object or None, and any misfit."""
    # Operations that return the same type of record need only one conversion.
    by_record: dict[type[Record], Operation] = {
        operation.record: operation for operation in operations if operation.collection == holding.collection
    }
    hidden = find_collection(holding.collection).hidden
    for row in holding.rows:
        for record, operation in by_record.items():
            if not has_needed(operation, row):
                continue
            content, misfit = None, None
            try:
                converted = to_record(row, record, hidden)
                content = msgspec.to_builtins(converted, builtin_types=(bytes,), str_keys=True)
            except Misfit as exc:
                misfit = exc
            yield read_key(holding.collection, row), content, misfit
