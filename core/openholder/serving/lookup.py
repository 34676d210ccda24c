"""From an operation and what the request names to a question for a source, once it is known to be allowed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from openholder.contract.collections import collection_named
from openholder.contract.errors import ErrorKind, RequestError, raise_all
from openholder.contract.operation import BELOW_ACCOUNTS, JSON
from openholder.contract.operations import Operation
from openholder.contract.query_string import ParsedQuery
from openholder.contract.records.auth import Login
from openholder.contract.rows import record_from
from openholder.errors import SourceFault
from openholder.query import Filter, Query, Row
from openholder.sources.ownership import MOST, accounts_of, customer_exists, may_be_shared
from openholder.sources.registry import SourceRegistry

PRODUCTS = "banking.accounts"
"""The collection that knows category, state and ownership of bank accounts."""

Ids = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """What a request asks, its form being in order."""

    operation: Operation
    ids: Ids
    """The ids in the path."""
    asked: ParsedQuery
    wanted: tuple[str, ...] = ()
    """What the body names: an e-mail address, or ids of accounts."""
    is_id: Callable[[str], object] = bool
    """Whether a text can be an id at all."""


Found = Query | Sequence[Row]
"""A question to put to a source, a page at a time, or all records at once."""


def is_served(sources: SourceRegistry, operation: Operation) -> bool:
    """Whether sources have what the operation needs: its collection, and `accounts` for anything below one."""
    needed = {operation.collection} | ({"accounts"} if operation.whose in BELOW_ACCOUNTS else set())
    return all(sources.source_of(collection) for collection in needed)


async def search(sources: SourceRegistry, question: Question) -> Found:
    """Every customer with that e-mail address, and every one that it may log in for."""
    (address,) = question.wanted
    condition = Filter("email", "ieq", address, variable="email")
    variables = {"email": address}
    customers = await everything(sources, Query(collection="customers", filters=(condition,), variables=variables))
    found = {str(customer.get("id")) for customer in customers}
    if sources.source_of("logins"):
        logins = await everything(sources, Query(collection="logins", filters=(condition,), variables=variables))
        for customer_id in dict.fromkeys(record_from("logins", login, Login).customer_id for login in logins):
            if customer_id not in found:
                customers += await everything(sources, query_of("customers", {"customerId": customer_id}))
    return customers


async def customer(sources: SourceRegistry, question: Question) -> Found:
    """What the collection has of the customer in the path. A list of a customer that does not exist is 404."""
    operation = question.operation
    if operation.reply.many and operation.collection != "customers":
        await _check_customer(sources, question.ids)
    return _query(question)


async def consent(sources: SourceRegistry, question: Question) -> Found:
    """The customer's accounts but for those that may not be shared. Closed ones may: their history is shared too."""
    return await _shareable(sources, question.ids)


async def account(sources: SourceRegistry, question: Question) -> Found:
    """What the collection has of the account in the path, which must be the customer's and may be shared."""
    links = await accounts_of(sources, question.ids["customerId"], [question.ids["accountId"]])
    if not links:
        await _check_customer(sources, question.ids)
        raise RequestError(ErrorKind.ACCOUNT_UNKNOWN, "account_unknown")
    if not all(may_be_shared(link) for link in links):
        raise RequestError(ErrorKind.ACCOUNT_REFUSED, "account_refused")
    return _query(question)


async def chosen(sources: SourceRegistry, question: Question) -> Found:
    """What the collection has of the accounts that the body names: each must be the customer's and may be shared."""
    possible = [account_id for account_id in question.wanted if question.is_id(account_id)]
    links = await accounts_of(sources, question.ids["customerId"], possible) if possible else []
    if not links:
        await _check_customer(sources, question.ids)
    shareable: dict[str, bool] = {}
    for link in links:
        account_id = str(link["id"])
        shareable[account_id] = may_be_shared(link) and shareable.get(account_id, True)
    raise_all([_refusal(wanted, question, shareable) for wanted in question.wanted if not shareable.get(wanted)])
    return await _of_accounts(sources, question, question.wanted)


def _refusal(account_id: str, question: Question, shareable: Mapping[str, bool]) -> RequestError:
    """An id in a body that is not given: 422, where one in a path is 404 (CDS 1.36.0, error codes)."""
    detail = account_id if question.is_id(account_id) else "data.accountIds"
    if account_id in shareable:
        return RequestError(ErrorKind.ACCOUNT_REFUSED, "account_refused", detail=detail, status=422)
    return RequestError(ErrorKind.ACCOUNT_UNKNOWN, "account_unknown", detail=detail, status=422)


async def every(sources: SourceRegistry, question: Question) -> Found:
    """What the collection has of all the customer's accounts that may be shared."""
    links = await _shareable(sources, question.ids)
    return await _of_accounts(sources, question, tuple(str(link["id"]) for link in links))


LOOKUPS: Mapping[str, Callable[[SourceRegistry, Question], Awaitable[Found]]] = {
    "search": search,
    "customer": customer,
    "consent": consent,
    "account": account,
    "specific": chosen,
    "all_accounts": every,
}
"""What `Operation.whose` names."""


async def everything(sources: SourceRegistry, query: Query) -> list[Row]:
    """Every record, where an answer has no pages. More than `MOST` is a fault, never a shortened list."""
    page = await sources.fetch(replace(query, limit=MOST + 1))
    if len(page.records) > MOST:
        raise SourceFault(f"more than {MOST} records for one request")
    return list(page.records)


def query_of(collection: str, ids: Ids, filters: Iterable[Filter] = ()) -> Query:
    """The records that belong to the account in the path, or else to the customer, and that its other ids name.

    The last of those other ids is the variable ``id`` of URL templates.
    """
    owners = collection_named(collection).owners
    owner = next(name for name in ("accountId", "customerId") if name in owners and name in ids)
    others = [name for name in ids if name not in ("customerId", "accountId")]
    fixed = [Filter(owners[owner], "eq", ids[owner], variable=owner)]
    fixed += [Filter(name, "eq", ids[name], variable="id" if name == others[-1] else name) for name in others]
    return Query(
        collection=collection,
        filters=(*fixed, *filters),
        variables={**ids, "id": ids[others[-1]]} if others else ids,
        order=collection_named(collection).order,
    )


def _query(question: Question) -> Query:
    operation = question.operation
    query = query_of(operation.collection, question.ids, question.asked.filters)
    return replace(query, document=operation.reply.media != JSON)


async def _of_accounts(sources: SourceRegistry, question: Question, account_ids: Sequence[str]) -> Found:
    """The records of several accounts, in one question."""
    collection, account_filters = question.operation.collection, tuple(question.asked.account_filters)
    filters = (*question.asked.filters, *(account_filters if collection == PRODUCTS else ()))
    if account_filters and collection != PRODUCTS:
        account_ids = await _narrowed(sources, question, account_ids, account_filters)
    if not account_ids:
        return ()
    if len(account_ids) == 1:
        return query_of(collection, {**question.ids, "accountId": account_ids[0]}, filters)
    owner = Filter(collection_named(collection).owners["accountId"], "in", tuple(account_ids), variable="accountId")
    order = collection_named(collection).order
    return Query(collection=collection, filters=(owner, *filters), variables=question.ids, order=order)


async def _narrowed(
    sources: SourceRegistry, question: Question, account_ids: Sequence[str], filters: tuple[Filter, ...]
) -> list[str]:
    """Those of the accounts that fulfil the filters on accounts."""
    if not sources.source_of(PRODUCTS):
        raise RequestError(ErrorKind.NOT_SERVED, "not_served")
    owner = Filter("accountId", "in", tuple(account_ids), variable="accountId")
    query = Query(collection=PRODUCTS, filters=(owner, *filters), variables=question.ids)
    return [str(row["accountId"]) for row in await everything(sources, query)]


async def _shareable(sources: SourceRegistry, ids: Ids) -> list[Row]:
    """The customer's accounts but for those that may not be shared."""
    rows = await accounts_of(sources, ids["customerId"])
    if not rows:
        await _check_customer(sources, ids)
    if len({str(row.get("id")) for row in rows}) != len(rows):
        raise SourceFault("an account stands twice under one customer")
    return [row for row in rows if may_be_shared(row)]


async def _check_customer(sources: SourceRegistry, ids: Ids) -> None:
    if not await customer_exists(sources, ids["customerId"]):
        raise RequestError(ErrorKind.RECORD_UNKNOWN, "customer_unknown")
