"""The queries that the server sends: whose records, then the filters of the request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from openholder.contract.collections import COLLECTIONS, find_collection
from openholder.query import Filter, Operator, Query
from openholder.testing.sample_rows import ACCOUNT_IDS, BUSY, IDS

NOON: Final = datetime(2026, 6, 15, 12, tzinfo=UTC)
NOW: Final = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
MORE_THAN_ALLOWED: Final = 1001
"""The limit that the server sets where it allows a thousand records: one more shows that there are too many."""
_EFFECTIVE = ("postingDateTime", ("executionDateTime", "valueDateTime"))

UNKNOWN: Final = ("nobody", "0", "1", "12.00", "%", "_", "*", "' OR ''='", "..", "None", "\U0001f600")
"""Ids that no row has."""

FilterCases = Mapping[str, Mapping[str, tuple[Filter, ...]]]
"""For each collection, named filters to add to that of the owner."""


def find_owner(collection: str) -> tuple[str, str]:
    """Return what selects the records of a collection: the name of a request variable, and a member."""
    found = COLLECTIONS[collection]
    return ("customerId", found.customer) if found.customer else ("accountId", str(found.account))


def list_owner_ids(collection: str) -> Sequence[str]:
    """Return the ids of all owners that the rows of a collection may have."""
    return IDS if COLLECTIONS[collection].customer else ACCOUNT_IDS


def build_owner_query(collection: str, owner: str, *filters: Filter) -> Query:
    """Build the query for one owner's records that pass the filters."""
    variable, member = find_owner(collection)
    variables = {"customerId": owner}
    if variable == "accountId":
        variables = {"customerId": _find_customer(owner), "accountId": owner}
    owner_filter = Filter(member, "eq", owner, variable=variable)
    order = find_collection(collection).order
    return Query(collection=collection, filters=(owner_filter, *filters), variables=variables, order=order)


def build_accounts_query(collection: str, account_ids: Sequence[str], *filters: Filter) -> Query:
    """Build the one query for the records of several accounts."""
    owner_filter = Filter("accountId", "in", tuple(account_ids), variable="accountId")
    order = find_collection(collection).order
    variables = {"customerId": IDS[0]}
    return Query(collection=collection, filters=(owner_filter, *filters), variables=variables, order=order)


def build_filtered_queries(collection: str, filters: Sequence[Filter]) -> list[Query]:
    """Build queries with filters that together reach every record of a collection."""
    _, member = find_owner(collection)
    if member != "accountId":
        return [build_owner_query(collection, owner, *filters) for owner in list_owner_ids(collection)]
    return [build_owner_query(collection, BUSY, *filters), build_accounts_query(collection, ACCOUNT_IDS, *filters)]


def build_links_query(customer_id: str, account_ids: Sequence[str]) -> Query:
    """Build the query for which of several accounts a customer owns."""
    return build_owner_query("accounts", customer_id, Filter("id", "in", tuple(account_ids), variable="accountId"))


def build_link_query(customer_id: str, account_id: str) -> Query:
    """Build the query for whether a customer owns an account."""
    filters = (
        Filter("customerId", "eq", customer_id, variable="customerId"),
        Filter("id", "eq", account_id, variable="accountId"),
    )
    variables = {"customerId": customer_id, "accountId": account_id}
    return Query(collection="accounts", filters=filters, variables=variables, limit=MORE_THAN_ALLOWED)


def build_email_query(collection: str, address: str) -> Query:
    """Build the query for the customers or logins with an e-mail address."""
    filters = (Filter("email", "ieq", address, variable="email"),)
    return Query(collection=collection, filters=filters, variables={"email": address}, limit=MORE_THAN_ALLOWED)


def build_statement_query(account_id: str, statement_id: str, *, document: bool) -> Query:
    """Build the query for one statement of an account, with or without its document."""
    query = build_owner_query("fdx.statements", account_id, Filter("statementId", "eq", statement_id, variable="id"))
    variables = {**query.variables, "statementId": statement_id, "id": statement_id}
    return replace(query, variables=variables, document=document)


def _find_customer(account_id: str) -> str:
    """Return a customer who owns an account; any customer if the account is unknown."""
    if account_id in IDS:
        return IDS[IDS.index(account_id) - 2]  # as the sample rows of "accounts" link them
    return IDS[0]  # an owner of JOINT


def _filter_time(operator: Operator, end: datetime) -> Filter:
    member, otherwise = _EFFECTIVE
    return Filter(member, operator, end, otherwise=otherwise, absent=NOW)


def _build_amount_cases() -> Iterator[tuple[str, tuple[Filter, ...]]]:
    for text in ("-9.50", "-0.01", "0", "9", "9.50", "1234567890123456.89", "1234567890123456.90", "1000"):
        yield f"at least {text}", (Filter("amount", "ge", Decimal(text)),)
        yield f"at most {text}", (Filter("amount", "le", Decimal(text)),)


_WORDS = (
    "coffee",
    "Coffee",
    "100%",
    "%",
    "a_b",
    "_",
    "\u00e9",
    "e\u0301",
    "'",
    '"',
    "\\",
    "\U0001f600",
    "ref",
    "*",
    "z" * 90,
    "coffee and cakeR-1",
    "coffee and cake R-1",
    "e ",
)

MOMENTS: Final[FilterCases] = {
    "banking.transactions": {
        "since noon": (_filter_time("ge", NOON),),
        "until noon": (_filter_time("le", NOON),),
        "at noon": (_filter_time("ge", NOON), _filter_time("le", NOON)),
        "until now, pending included": (_filter_time("ge", NOW - timedelta(days=365)), _filter_time("le", NOW)),
        "before now, pending excluded": (_filter_time("le", NOW - timedelta(microseconds=1)),),
        "noon elsewhere": (_filter_time("ge", datetime.fromisoformat("2026-06-15T22:00:00+10:00")),),
        "a microsecond later": (_filter_time("ge", NOON + timedelta(microseconds=1)),),
        "not newer than a cursor": (Filter(_EFFECTIVE[0], "le", NOON, otherwise=_EFFECTIVE[1]),),
        "since noon, of two members": (Filter("postingDateTime", "ge", NOON, otherwise=("executionDateTime",)),),
        "one year, not the next": (_filter_time("ge", datetime(2026, 1, 1, 4, 15, tzinfo=UTC)),),
    },
    "energy.invoices": {
        "since a day": (Filter("issueDate", "ge", datetime(2026, 3, 1, tzinfo=UTC), absent=NOW),),
        "until a day": (Filter("issueDate", "le", datetime(2026, 2, 28, tzinfo=UTC), absent=NOW),),
        "only if dated": (Filter("issueDate", "le", NOW),),
        "or a day that none has": (
            Filter("issueDate", "ge", datetime(2026, 3, 1, tzinfo=UTC), otherwise=("dueDate",)),
        ),
    },
}
AMOUNTS: Final[FilterCases] = {"banking.transactions": dict(_build_amount_cases())}
TEXTS: Final[FilterCases] = {
    "banking.transactions": {
        f"text {word!r}": (Filter("description", "contains", word, otherwise=("reference",)),) for word in _WORDS
    },
    "banking.payees": {
        kind: (Filter("type", "eq", kind),) for kind in ("BILLER", "biller", "DOMESTIC", "DIGITAL_WALLET")
    },
    "banking.accounts": {
        "one category": (Filter("productCategory", "eq", "CRED_AND_CHRG_CARDS"),),
        "several": (Filter("productCategory", "in", ("CRED_AND_CHRG_CARDS", "TRANS_AND_SAVINGS_ACCOUNTS")),),
    },
}
_OPEN = Filter("openStatus", "eq", "OPEN", absent="OPEN")
ABSENT: Final[FilterCases] = {
    "banking.accounts": {
        "open": (_OPEN,),
        "closed": (Filter("openStatus", "eq", "CLOSED", absent="OPEN"),),
        "owned": (Filter("isOwned", "eq", True, absent=True),),
        "explicitly owned": (Filter("isOwned", "eq", True),),
        "not owned": (Filter("isOwned", "eq", False, absent=True),),
        "open and owned": (
            Filter("openStatus", "eq", "OPEN", absent="OPEN"),
            Filter("isOwned", "eq", True, absent=True),
        ),
        "explicitly open": (Filter("openStatus", "eq", "OPEN"),),
    },
}
LISTS: Final[FilterCases] = {
    "banking.instalment_plans": {
        "active": (Filter("schedule", "some", False, item="isPaid", absent=False),),
        "inactive": (Filter("schedule", "none", False, item="isPaid", absent=False),),
        "something paid": (Filter("schedule", "some", True, item="isPaid"),),
    },
}
