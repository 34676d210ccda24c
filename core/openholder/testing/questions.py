"""Questions in the form in which the host puts them: whose records, then what the request filters by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from openholder.contract.collections import COLLECTIONS, collection_named
from openholder.query import Filter, Operator, Query
from openholder.testing.rows import ACCOUNT_IDS, BUSY, IDS, JOINT

NOON: Final = datetime(2026, 6, 15, 12, tzinfo=UTC)
NOW: Final = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
_EFFECTIVE = ("postingDateTime", ("executionDateTime", "valueDateTime"))

UNKNOWN: Final = ("nobody", "0", "1", "12.00", "%", "_", "*", "' OR ''='", "..", "None", "\U0001f600")
"""Ids that no row has."""

Cases = Mapping[str, Mapping[str, tuple[Filter, ...]]]
"""For each collection, named filters beside that of the owner."""


def owner_of(collection: str) -> tuple[str, str]:
    """By which variable of a request, and which member, the records of a collection are selected."""
    found = COLLECTIONS[collection]
    return ("customerId", found.customer) if found.customer else ("accountId", str(found.account))


def owners(collection: str) -> Sequence[str]:
    """The ids of all owners that rows of a collection may have."""
    return IDS if COLLECTIONS[collection].customer else ACCOUNT_IDS


def owned(collection: str, owner: str, *filters: Filter) -> Query:
    """One owner's records, as far as they fulfil the filters."""
    variable, member = owner_of(collection)
    variables = {variable: owner} if variable == "customerId" else {"customerId": _holder(owner), variable: owner}
    fixed = Filter(member, "eq", owner, variable=variable)
    order = collection_named(collection).order
    return Query(collection=collection, filters=(fixed, *filters), variables=variables, order=order)


def of_several(collection: str, account_ids: Sequence[str], *filters: Filter) -> Query:
    """The records of several accounts, in one question."""
    fixed = Filter("accountId", "in", tuple(account_ids), variable="accountId")
    order = collection_named(collection).order
    variables = {"customerId": IDS[0]}
    return Query(collection=collection, filters=(fixed, *filters), variables=variables, order=order)


def narrowed(collection: str, filters: Sequence[Filter]) -> list[Query]:
    """Questions with filters beside that of the owner, which together reach every record of a collection."""
    _, member = owner_of(collection)
    if member != "accountId":
        return [owned(collection, owner, *filters) for owner in owners(collection)]
    return [owned(collection, BUSY, *filters), of_several(collection, ACCOUNT_IDS, *filters)]


def several_links(customer_id: str, account_ids: Sequence[str]) -> Query:
    """Which of several accounts are a customer's."""
    chosen = Filter("id", "in", tuple(account_ids), variable="accountId")
    return owned("accounts", customer_id, chosen)


def one_link(customer_id: str, account_id: str) -> Query:
    """Whether an account is a customer's."""
    fixed = (
        Filter("customerId", "eq", customer_id, variable="customerId"),
        Filter("id", "eq", account_id, variable="accountId"),
    )
    variables = {"customerId": customer_id, "accountId": account_id}
    return Query(collection="accounts", filters=fixed, variables=variables, limit=1001)


def by_email(collection: str, address: str) -> Query:
    """Whoever has an e-mail address."""
    fixed = Filter("email", "ieq", address, variable="email")
    return Query(collection=collection, filters=(fixed,), variables={"email": address}, limit=1001)


def statement(account_id: str, statement_id: str, *, document: bool) -> Query:
    """One statement of an account, with its document or without."""
    query = owned("fdx.statements", account_id, Filter("statementId", "eq", statement_id, variable="id"))
    variables = {**query.variables, "statementId": statement_id, "id": statement_id}
    return Query(
        collection=query.collection, filters=query.filters, variables=variables, order=query.order, document=document
    )


def _holder(account_id: str) -> str:
    """A customer to whom an account belongs, or anybody where it is nobody's."""
    known = account_id in IDS and account_id != JOINT
    return IDS[IDS.index(account_id) - 2] if known else IDS[0]


def _window(operator: Operator, end: datetime) -> Filter:
    member, otherwise = _EFFECTIVE
    return Filter(member, operator, end, otherwise=otherwise, absent=NOW)


def _text(value: str) -> tuple[Filter, ...]:
    return (Filter("description", "contains", value, otherwise=("reference",)),)


def _amounts() -> Iterator[tuple[str, tuple[Filter, ...]]]:
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

MOMENTS: Final[Cases] = {
    "banking.transactions": {
        "since noon": (_window("ge", NOON),),
        "until noon": (_window("le", NOON),),
        "at noon": (_window("ge", NOON), _window("le", NOON)),
        "until now, pending ones too": (_window("ge", NOW - timedelta(days=365)), _window("le", NOW)),
        "before now, pending ones not": (_window("le", NOW - timedelta(microseconds=1)),),
        "noon elsewhere": (_window("ge", datetime.fromisoformat("2026-06-15T22:00:00+10:00")),),
        "a microsecond later": (_window("ge", NOON + timedelta(microseconds=1)),),
        "not newer, for a cursor": (Filter(_EFFECTIVE[0], "le", NOON, otherwise=_EFFECTIVE[1]),),
        "one year and not the next": (_window("ge", datetime(2026, 1, 1, 4, 15, tzinfo=UTC)),),
    },
    "energy.invoices": {
        "since a day": (Filter("issueDate", "ge", datetime(2026, 3, 1, tzinfo=UTC), absent=NOW),),
        "until a day": (Filter("issueDate", "le", datetime(2026, 2, 28, tzinfo=UTC), absent=NOW),),
        "dated ones only": (Filter("issueDate", "le", NOW),),
    },
}
AMOUNTS: Final[Cases] = {"banking.transactions": dict(_amounts())}
TEXTS: Final[Cases] = {
    "banking.transactions": {f"text {word!r}": _text(word) for word in _WORDS},
    "banking.payees": {
        kind: (Filter("type", "eq", kind),) for kind in ("BILLER", "biller", "DOMESTIC", "DIGITAL_WALLET")
    },
    "banking.accounts": {
        "one category": (Filter("productCategory", "eq", "CRED_AND_CHRG_CARDS"),),
        "several": (Filter("productCategory", "in", ("CRED_AND_CHRG_CARDS", "TRANS_AND_SAVINGS_ACCOUNTS")),),
    },
}
_OPEN = Filter("openStatus", "eq", "OPEN", absent="OPEN")
ABSENT: Final[Cases] = {
    "banking.accounts": {
        "open": (_OPEN,),
        "closed": (Filter("openStatus", "eq", "CLOSED", absent="OPEN"),),
        "owned": (Filter("isOwned", "eq", True, absent=True),),
        "not owned": (Filter("isOwned", "eq", False, absent=True),),
        "open and owned": (
            Filter("openStatus", "eq", "OPEN", absent="OPEN"),
            Filter("isOwned", "eq", True, absent=True),
        ),
        "said to be open": (Filter("openStatus", "eq", "OPEN"),),
    },
}
LISTS: Final[Cases] = {
    "banking.instalment_plans": {
        "active": (Filter("schedule", "some", False, item="isPaid", absent=False),),
        "inactive": (Filter("schedule", "none", False, item="isPaid", absent=False),),
        "something paid": (Filter("schedule", "some", True, item="isPaid"),),
    },
}
