"""Who may see what: the one room that decides it.

The collections ``customers``, ``accounts`` and ``logins`` are the authority. Sources return rows and decide nothing. A
request gets its records only through `find_records`, which checks customer, accounts and their state first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import Any, Protocol

import msgspec

from openholder.contract.collections import find_collection, name_record
from openholder.contract.errors import ErrorKind, RequestError, raise_all
from openholder.contract.operation import BELOW_ACCOUNTS, JSON
from openholder.contract.operations import Operation
from openholder.contract.query_string import ParsedQuery
from openholder.contract.records.auth import AccountLink, Login
from openholder.contract.rows import read_record, read_records
from openholder.errors import SourceFault
from openholder.query import Filter, Order, Page, Query, Row, text
from openholder.serving.closing import has_lapsed
from openholder.sources.registry import SourceRegistry

MAX_ROWS = 1000
"""Rows of an answer without pages: far more than one customer has, and a bound on what one request costs."""

AUTHORITY = "accounts"
"""The collection that says which customer may see which account."""

PRODUCTS = "banking.accounts"
"""The collection that knows category, state and ownership of bank accounts."""

Ids = Mapping[str, str]

_read_status: Callable[[Row], Any] = methodcaller("get", "status", "")
"""Returns the status of an account: None where it has no value, and an empty text where there is no column for it."""


@dataclass(frozen=True, slots=True)
class ValidRequest:
    """A request whose form is correct: what it asks for, before anybody knows whether it may."""

    operation: Operation
    ids: Ids
    """The ids in the path."""
    query: ParsedQuery
    named: tuple[str, ...] = ()
    """What the body names: an e-mail address, or ids of accounts."""
    is_id: Callable[[str], object] = bool
    """Tells whether a text can be an id at all."""
    months: int | None = None
    """For how long an account is shared after its closing. None: without end."""


class Found(Protocol):
    """The rows that a request may see. They are fetched a page at a time."""

    @property
    def order(self) -> tuple[Order, ...]:
        """What they are sorted by; empty if they keep the source's order."""

    async def page(self, offset: int, limit: int) -> Page:
        """Return one page of them."""

    async def rows(self) -> Sequence[Row]:
        """Return all of them."""

    def with_filter(self, condition: Filter) -> Found:
        """Return those that pass one more filter."""


@dataclass(frozen=True, slots=True)
class FoundByQuery:
    """Rows that a source has not been asked for yet."""

    sources: SourceRegistry
    query: Query

    @property
    def order(self) -> tuple[Order, ...]:
        """What they are sorted by."""
        return self.query.order

    async def page(self, offset: int, limit: int) -> Page:
        """Fetch one page."""
        return await self.sources.fetch(self.query.cut(offset, limit))

    async def rows(self) -> Sequence[Row]:
        """Fetch all. More than `MAX_ROWS` is a `SourceFault`, never a shortened list."""
        return await fetch_all(self.sources, self.query)

    def with_filter(self, condition: Filter) -> FoundByQuery:
        """Return the rows that pass one more filter."""
        return replace(self, query=replace(self.query, filters=(*self.query.filters, condition)))


@dataclass(frozen=True, slots=True)
class FoundRows:
    """Rows that were fetched while access was decided."""

    found: Sequence[Row]
    order: tuple[Order, ...] = ()

    async def page(self, offset: int, limit: int) -> Page:
        """Return one page."""
        return Page(records=self.found[offset : offset + limit], total=len(self.found))

    async def rows(self) -> Sequence[Row]:
        """Return all."""
        return self.found

    def with_filter(self, condition: Filter) -> FoundRows:
        """Return the rows that pass one more filter."""
        return replace(self, found=[row for row in self.found if condition.admits(row)])


def is_served(sources: SourceRegistry, operation: Operation) -> bool:
    """Tell whether sources have what the operation needs: its collection, and ``accounts`` for anything below one."""
    if operation.whose in BELOW_ACCOUNTS and sources.find_source(AUTHORITY) is None:
        return False
    return sources.find_source(operation.collection) is not None


async def find_records(sources: SourceRegistry, request: ValidRequest) -> Found:
    """Decide what a request may see, and return that.

    Raises:
        RequestError: The customer or an account does not exist, is not the customer's, or must not be shared.
    """
    operation, ids = request.operation, request.ids
    match operation.whose:
        case "search":
            return FoundRows(await _find_customers(sources, request.named[0]))
        case "customer":
            if operation.reply.many and operation.collection != "customers":
                await _check_customer(sources, ids)  # an empty list would say that the customer exists
            return _query_records(sources, request, ids, await _build_sharing_filters(sources, request))
        case "consent":
            return FoundRows([row for _, row in await _shareable_accounts(sources, request)])
        case "account":
            await _check_account(sources, request)
            return _query_records(sources, request, ids)
        case "specific":
            await _check_accounts(sources, request)
            return await _find_below_accounts(sources, request, request.named)
        case "all_accounts":
            links = await _shareable_accounts(sources, request)
            return await _find_below_accounts(sources, request, [link.id for link, _ in links])


async def _find_customers(sources: SourceRegistry, address: str) -> list[Row]:
    """Fetch every customer with that e-mail address, and every one that its owner may log in for."""
    condition = Filter("email", "ieq", address, variable="email")
    variables = {"email": address}
    customers = await fetch_all(sources, Query(collection="customers", filters=(condition,), variables=variables))
    found = {text(customer.get("id")) for customer in customers}
    if sources.find_source("logins"):
        rows = await fetch_all(sources, Query(collection="logins", filters=(condition,), variables=variables))
        for customer_id in dict.fromkeys(login.customer_id for login in read_records("logins", rows, Login)):
            if customer_id not in found:
                customers += await fetch_all(sources, build_owner_query("customers", {"customerId": customer_id}))
    return customers


async def _check_customer(sources: SourceRegistry, ids: Ids) -> None:
    """Raise `RequestError` if there is no such customer. Without ``customers``, only accounts make one known."""
    if sources.find_source("customers"):
        rows: Sequence[Row] = (
            await sources.fetch(build_owner_query("customers", {"customerId": ids["customerId"]}))
        ).records
    else:
        rows = await fetch_account_rows(sources, ids["customerId"])
    if not rows:
        raise RequestError(ErrorKind.RECORD_UNKNOWN, "customer_unknown")


async def _build_sharing_filters(sources: SourceRegistry, request: ValidRequest) -> tuple[Filter, ...]:
    """Build the filter that keeps out a customer's records of accounts which must not be shared.

    Only custom endpoints have records that belong to a customer and name an account. Those that name none are shared.
    """
    column = find_collection(request.operation.collection).owners.get("accountId")
    if column is None:
        return ()
    links = await fetch_account_links(sources, request.ids["customerId"]) if sources.find_source(AUTHORITY) else []
    months = request.months
    shareable = [link.id for link in links if link.may_be_shared and (months is None or not has_lapsed(link, months))]
    return (Filter(column, "in", ("", *shareable), absent=""),)


async def _check_account(sources: SourceRegistry, request: ValidRequest) -> None:
    """Raise `RequestError` unless the account in the path is the customer's and may be shared."""
    ids = request.ids
    links = await fetch_account_links(sources, ids["customerId"], [ids["accountId"]])
    if not links:
        await _check_customer(sources, ids)
        raise RequestError(ErrorKind.ACCOUNT_UNKNOWN, "account_unknown")
    for link in links:
        if not link.may_be_shared:
            raise RequestError(ErrorKind.ACCOUNT_REFUSED, "account_refused")
        if request.months is not None and has_lapsed(link, request.months):
            raise RequestError(ErrorKind.RECORD_UNKNOWN, "account_lapsed")


async def _check_accounts(sources: SourceRegistry, request: ValidRequest) -> None:
    """Raise `RequestError` unless each account that the body names is the customer's and may be shared.

    It is 422 with one entry an id, while an id in a path is 404 (CDS 1.36.0, error codes). An account that was
    closed too long ago counts as an unknown one here: the guidance speaks of 404 alone.
    """
    possible = [account_id for account_id in request.named if request.is_id(account_id)]
    links = await fetch_account_links(sources, request.ids["customerId"], possible) if possible else []
    if not links:
        await _check_customer(sources, request.ids)
    lapsed = {link.id for link in links if has_lapsed(link, request.months)} if request.months is not None else ()
    shareable: dict[str, bool] = {}
    for link in links:
        shareable[link.id] = link.may_be_shared and shareable.get(link.id, True)
    errors = []
    for account_id in request.named:
        detail = account_id if request.is_id(account_id) else "data.accountIds"
        if account_id not in shareable:
            errors.append(RequestError(ErrorKind.ACCOUNT_UNKNOWN, "account_unknown", detail=detail, status=422))
        elif not shareable[account_id]:
            errors.append(RequestError(ErrorKind.ACCOUNT_REFUSED, "account_refused", detail=detail, status=422))
        elif account_id in lapsed:
            errors.append(RequestError(ErrorKind.ACCOUNT_UNKNOWN, "account_lapsed", detail=detail, status=422))
    raise_all(errors)


async def _shareable_accounts(sources: SourceRegistry, request: ValidRequest) -> list[tuple[AccountLink, Row]]:
    """Fetch the customer's accounts that may be shared. Closed ones may, unless that was too long ago."""
    rows = await fetch_account_rows(sources, request.ids["customerId"])
    if not rows:
        await _check_customer(sources, request.ids)
    if len({text(row.get("id")) for row in rows}) != len(rows):
        raise SourceFault("an account appears twice under one customer")
    links = [(read_link(row), row) for row in rows]
    months = request.months
    return [
        (link, row) for link, row in links if link.may_be_shared and (months is None or not has_lapsed(link, months))
    ]


async def fetch_account_links(
    sources: SourceRegistry, customer_id: str, account_ids: Sequence[str] | None = None
) -> list[AccountLink]:
    """Fetch the customer's accounts, optionally only those in `account_ids`.

    Raises:
        SourceFault: The source returned more than `MAX_ROWS` accounts, or one in a state that nobody knows.
    """
    return list(map(read_link, await fetch_account_rows(sources, customer_id, account_ids)))


async def fetch_account_rows(
    sources: SourceRegistry, customer_id: str, account_ids: Sequence[str] | None = None
) -> list[Row]:
    """Fetch the rows of the customer's accounts, as `fetch_account_links` does."""
    query = build_owner_query(AUTHORITY, {"customerId": customer_id}, account_ids=account_ids, limit=MAX_ROWS + 1)
    rows = (await sources.fetch(query)).records
    if len(rows) > MAX_ROWS:
        raise SourceFault(f"more than {MAX_ROWS} accounts of one customer")
    if None in map(_read_status, rows):
        source = sources.find_source(AUTHORITY)
        absent_status = source.settings.absent_status if source else None
        if absent_status:
            return [{**row, "status": absent_status} if _read_status(row) is None else row for row in rows]
    return list(rows)


def read_link(row: Row) -> AccountLink:
    """Convert a row of ``accounts``. Raises `SourceFault` for a state that nobody knows.

    Without a column for it, all accounts are open. But a value that is missing may be that of a blocked account.
    """
    if _read_status(row) is None:
        reason = (
            'has no value: fill it (open, closed, blocked or suspended), or set absent_status = "open" for the source'
        )
        fault = SourceFault(f"collection {AUTHORITY!r}: member 'status' {reason}", row=row)
        name_record(fault, AUTHORITY)
        raise fault
    try:
        return msgspec.convert(row, AccountLink)
    except msgspec.ValidationError:
        return read_record(AUTHORITY, row, AccountLink)  # which converts what is no text, or says what is wrong


async def fetch_all(sources: SourceRegistry, query: Query) -> list[Row]:
    """Fetch every row of an answer without pages. More than `MAX_ROWS` is a `SourceFault`, never a shortened list."""
    page = await sources.fetch(query.cut(0, MAX_ROWS + 1))
    if len(page.records) > MAX_ROWS:
        raise SourceFault(f"more than {MAX_ROWS} records for one request")
    return list(page.records)


def build_owner_query(
    collection: str,
    ids: Ids,
    filters: Iterable[Filter] = (),
    *,
    account_ids: Sequence[str] | None = None,
    limit: int | None = None,
) -> Query:
    """Build the query for the records of the account in the path, of several accounts, or else of the customer.

    Args:
        collection: The collection.
        ids: What the request fixes: ``customerId``, ``accountId``, and the ids of single records.
        filters: Further filters.
        account_ids: Several accounts in place of one in ``ids``; a single one counts as one in ``ids``.
        limit: How many records to return at most; ``None`` is no limit.

    Returns:
        The query. Each id is a filter and a variable of URL templates, in which the last id of a single record is
        called ``id``.
    """
    if account_ids is not None and len(account_ids) == 1:
        ids, account_ids = {**ids, "accountId": account_ids[0]}, None
    described = find_collection(collection)
    owners = described.owners
    by_account = "accountId" in owners and ("accountId" in ids or account_ids is not None)
    fixed: list[Filter] = []
    # An account may have several customers: only a row with both ids says that this one is the customer's.
    if collection == AUTHORITY or not by_account:
        fixed.append(Filter(owners["customerId"], "eq", ids["customerId"], "customerId"))
    if by_account and account_ids is not None:
        fixed.append(Filter(owners["accountId"], "in", tuple(account_ids), "accountId"))
    elif by_account:
        fixed.append(Filter(owners["accountId"], "eq", ids["accountId"], "accountId"))
    variables = ids
    if len(ids) > ("customerId" in ids) + ("accountId" in ids):
        others = [name for name in ids if name not in ("customerId", "accountId")]
        fixed += [Filter(name, "eq", ids[name], "id" if name == others[-1] else name) for name in others]
        variables = {**ids, "id": ids[others[-1]]}
    return Query(
        collection=collection,
        filters=(*fixed, *filters),
        variables=variables,
        order=described.order,
        limit=limit,
    )


def _query_records(
    sources: SourceRegistry, request: ValidRequest, ids: Ids, filters: Iterable[Filter] = ()
) -> FoundByQuery:
    operation = request.operation
    query = build_owner_query(operation.collection, ids, (*filters, *request.query.filters))
    if operation.reply.media != JSON:
        query = replace(query, document=True)
    return FoundByQuery(sources, query)


async def _find_below_accounts(sources: SourceRegistry, request: ValidRequest, account_ids: Sequence[str]) -> Found:
    """Return the records of several accounts, which one query fetches.

    Filters on accounts apply to `PRODUCTS`: for every other collection, they first narrow down the accounts.
    """
    collection, filters = request.operation.collection, tuple(request.query.filters)
    account_filters = tuple(request.query.account_filters)
    if account_filters and collection == PRODUCTS:
        filters += account_filters
    elif account_filters:
        if sources.find_source(PRODUCTS) is None:
            raise RequestError(ErrorKind.NOT_SERVED, "not_served")
        query = build_owner_query(PRODUCTS, request.ids, account_filters, account_ids=account_ids)
        account_ids = [text(row["accountId"]) for row in await fetch_all(sources, query)]
    if not account_ids:
        return FoundRows(())
    return FoundByQuery(sources, build_owner_query(collection, request.ids, filters, account_ids=account_ids))
