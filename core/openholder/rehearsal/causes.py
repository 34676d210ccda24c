"""Tell causes from what follows from them: one fault of a server often breaks several rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from openholder.contract.operations import OPERATIONS
from openholder.rehearsal.exchange import format_route
from openholder.rehearsal.results import SERVER, Result

_COLLECTIONS = {format_route(operation): operation.collection for operation in OPERATIONS}
_LISTS = ("page-size", "records-once", "total-records", "page-links", "pages-end", "newest-first")
_FILTERS = ("filters-applied", "default-filters", "links-keep-filters", "repeated-parameter")
_SAME = (
    "pages-match-list",
    "repeatable-response",
    "default-page-size",
    "list-and-detail-agree",
    "bulk-matches-single",
    "bulk-one-account",
    "bulk-repeated-account",
    "bulk-all-accounts",
    "joint-account-agrees",
    "starter-balance-agrees",
    "email-case-insensitive",
)
_RECORDS = ("required-members", "member-types", "allowed-values", "formats", "no-nulls")
_CONDITIONS = ("named-members", "conditional-members")
_REFUSALS = ("unknown-id", "unknown-id-body", "page-limits", "invalid-parameter", "unknown-parameter")
_LOGIN = ("login-answered", "customer-found", "distinct-customers", "unknown-email-empty")
_DATA = ("operation-returns-data", "every-account-answers", *_LOGIN)
_FORM = ("media-type", "strict-json", "error-form", "interaction-id")
_COMPARED = (*_LISTS, *_FILTERS, *_SAME)
_EVERYWHERE = (*_LOGIN, "aud-escaped", "concurrent-requests", "idle-connections", "offered-accounts-listed")
"""Rules whose results are about the server, or the accounts of a customer, whatever their subject is."""
FOLLOWS: Mapping[str, tuple[str, ...]] = {
    # The rehearsal sends several requests at once: their responses may be mixed up everywhere.
    "concurrent-requests": (
        *_FORM,
        *_DATA,
        *_COMPARED,
        *_RECORDS,
        *_CONDITIONS,
        *_REFUSALS,
        *("error-status", "no-server-fault", "answers-each-time", "records-of-the-account", "id-matches-path"),
    ),
    "idle-connections": ("answers-each-time", "answered", *_DATA, *_COMPARED, *_REFUSALS),
    "body-in-packets": ("answers-each-time", "answered", "no-server-fault", "within-tier", "seems-slow"),
    "new-key-accepted": ("answers-each-time", *_DATA, *_COMPARED, *_REFUSALS),
    "aud-escaped": ("answers-each-time", "refusal-status", *_DATA, *_COMPARED, *_REFUSALS),
    "answers-each-time": ("answered", "no-server-fault", *_FORM, *_DATA, *_COMPARED, *_REFUSALS, "seems-slow"),
    "answered": (*_DATA, *_COMPARED, *_REFUSALS, "within-tier", "seems-slow"),
    "no-server-fault": (*_FORM, *_DATA, *_COMPARED, *_REFUSALS, "foreign-same-as-unknown", "refusal-status"),
    "error-form": ("media-type", "strict-json"),
    "error-status": (*_RECORDS, *_CONDITIONS, *_DATA, *_COMPARED, *_REFUSALS),
    "media-type": ("strict-json", *_RECORDS, *_DATA, *_COMPARED),
    "strict-json": (*_RECORDS, *_DATA, *_COMPARED),
    "login-answered": (
        "operation-returns-data",
        "customer-found",
        "distinct-customers",
        "email-case-insensitive",
        "unknown-email-empty",
    ),
    "operation-returns-data": (*_COMPARED, "every-account-answers"),
    "required-members": (*_CONDITIONS, *_LOGIN, *_COMPARED),
    **dict.fromkeys(("member-types", "formats", "allowed-values", "no-nulls"), (*_CONDITIONS, *_FILTERS, *_SAME)),
    "named-members": ("conditional-members", "newest-first", *_FILTERS),
    "repeatable-response": (*_LISTS, *_FILTERS, *(name for name in _SAME if name != "repeatable-response")),
    "records-of-the-account": (*_LISTS, *_FILTERS, *_SAME, "foreign-data-body"),
    "pages-end": (
        "page-size",
        "newest-first",
        "records-once",
        "total-records",
        "page-links",
        "pages-match-list",
        *_FILTERS,
    ),
    "records-once": ("page-size", "total-records", "pages-match-list", *_FILTERS, *_SAME),
    "page-size": ("total-records", "page-links", "default-page-size", "pages-match-list", *_FILTERS, *_SAME),
    "total-records": ("page-links", "pages-end", "pages-match-list", *_FILTERS),
    "newest-first": ("pages-match-list", *_FILTERS, *_SAME),
    "pages-match-list": _FILTERS,
    "page-links": ("links-keep-filters", "pages-end"),
    "default-page-size": ("page-links",),
    "default-filters": ("filters-applied", "invalid-parameter"),
    "filters-applied": ("links-keep-filters", "invalid-parameter", "repeated-parameter"),
    "bulk-one-account": ("bulk-repeated-account", "bulk-matches-single", "list-and-detail-agree"),
    "offered-accounts-listed": ("bulk-all-accounts", "bulk-one-account", "bulk-matches-single"),
    "bulk-all-accounts": ("bulk-matches-single",),
    "list-and-detail-agree": ("bulk-matches-single", "starter-balance-agrees"),
    "id-matches-path": ("list-and-detail-agree", "bulk-matches-single", "joint-account-agrees"),
    "payee-has-one-owner": ("list-and-detail-agree", "joint-account-agrees"),
    "distinct-customers": ("list-and-detail-agree", "payee-has-one-owner", "unknown-email-empty"),
    "sharing-refused-header": ("unknown-id", "unknown-id-body", "refusal-not-counted"),
    "foreign-data": ("unknown-id", "id-exact", "foreign-same-as-unknown", "id-matches-path"),
    "foreign-data-body": ("unknown-id-body", "foreign-same-as-unknown", "records-of-the-account"),
    "unknown-id": ("foreign-same-as-unknown",),
    "unknown-id-body": ("foreign-same-as-unknown",),
    "no-internals": ("foreign-same-as-unknown",),
    **dict.fromkeys(("foreign-same-as-unknown", "token-before-data"), ("refusal-times",)),
    **dict.fromkeys(("token-needed", "signature", "aud", "exp"), ("gate-everywhere",)),
    "replay": ("gate-everywhere", "replay-later", "replay-at-once"),
    "replay-at-once": ("gate-everywhere",),
    # A parser that takes what is no JSON, or a clock in other units, breaks several rules of tokens and bodies.
    "broken-body": ("strict-body",),
    "nbf": ("iat",),
}
"""The rules that a server breaks as well if it breaks another one, for records of the same collection.

The order of the rules decides between two that follow from each other: the earlier one is the cause.
"""


def find_causes(results: Iterable[Result]) -> dict[str, str]:
    """Return the cause of each broken rule that follows from another broken rule, by name.

    A rule follows from another one if it is broken for collections only for which the other one is broken too. What is
    wrong with the login, or with the server as a whole, is wrong for all of them.
    """
    places: dict[str, set[str]] = {}
    for result in results:
        if result.failures:
            collection = _COLLECTIONS.get(result.subject, result.subject)
            places.setdefault(result.rule.name, set()).add(collection)
    ranked = [name for name in FOLLOWS if name in places]
    causes: dict[str, str] = {}
    for cause in ranked:
        is_everywhere = cause in _EVERYWHERE or SERVER in places[cause]
        for name in FOLLOWS[cause]:
            is_within = is_everywhere or places.get(name, set()) <= places[cause]
            if name in places and name not in causes and name != cause and is_within:
                causes[name] = cause
    return {name: _find_root(name, causes) for name in causes if _find_root(name, causes) != name}


def _find_root(name: str, causes: Mapping[str, str]) -> str:
    """Follow the causes to the first; of rules that follow from each other, it is the one that ranks first."""
    seen: list[str] = []
    while name in causes and name not in seen:
        seen.append(name)
        name = causes[name]
    return name if name not in seen else min(seen, key=list(FOLLOWS).index)


def find_first(results: Sequence[Result]) -> str:
    """Return the rule that the earliest request broke; empty if none was broken."""
    first = [(failure.order, result.rule.name) for result in results for failure in result.failures if failure.order]
    return min(first)[1] if first else ""
