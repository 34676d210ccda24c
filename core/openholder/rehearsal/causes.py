"""Tell causes from what follows from them: one fault of a server often breaks several rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from openholder.contract.operations import OPERATIONS
from openholder.rehearsal.exchange import format_route
from openholder.rehearsal.results import SERVER, Result

_COLLECTIONS = {format_route(operation): operation.collection for operation in OPERATIONS}
_SAME_RECORDS = {"balances": "banking.balances"}
"""Collections of the same records: the starter shows the balances of the CDR."""
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
_BEFORE = ("refusal-status", "token-before-data", "token-before-body")
_COMPARED = (*_LISTS, *_FILTERS, *_SAME)
_TOKENS = ("token-needed", "signature", "aud", "exp", "replay", "replay-at-once")
_EVERYWHERE = (
    *(*_LOGIN, *_TOKENS, "refusal-status", "aud-escaped"),
    *("concurrent-requests", "idle-connections", "offered-accounts-listed", "sharing-refused-header"),
)
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
    "no-server-fault": (*_FORM, *_DATA, *_COMPARED, *_REFUSALS, "foreign-same-as-unknown", *_BEFORE),
    "error-form": ("media-type", "strict-json"),
    "error-status": (*_RECORDS, *_CONDITIONS, *_DATA, *_COMPARED, *_REFUSALS),
    "media-type": ("strict-json", *_RECORDS, *_DATA, *_COMPARED),
    "strict-json": (*_RECORDS, *_DATA, *_COMPARED),
    "login-answered": (
        *("member-types", "joint-owners", "success-status"),
        "operation-returns-data",
        "customer-found",
        "distinct-customers",
        "email-case-insensitive",
        "unknown-email-empty",
    ),
    "customer-found": ("joint-owners", "distinct-customers"),
    "success-status": (*_DATA, *_COMPARED, *_REFUSALS, "bulk-without-accounts"),
    "repeatable-response": (
        *(*_LISTS, *_FILTERS, *(name for name in _SAME if name != "repeatable-response")),
        "operation-returns-data",
    ),
    "operation-returns-data": (*_COMPARED, "every-account-answers"),
    "required-members": (*_CONDITIONS, *_LOGIN, *_COMPARED, "page-limits"),
    **dict.fromkeys(("member-types", "no-nulls"), (*_CONDITIONS, *_LISTS, *_FILTERS, *_SAME)),
    **dict.fromkeys(("formats", "allowed-values"), (*_CONDITIONS, *_FILTERS, *_SAME)),
    "named-members": ("conditional-members", "newest-first", *_FILTERS),
    "records-of-the-account": (
        *(*_LISTS, *_FILTERS, *_SAME),
        *("foreign-data-body", "unknown-id-body", "bulk-without-accounts"),
    ),
    "pages-end": (
        "page-size",
        "newest-first",
        "records-once",
        "total-records",
        "page-links",
        *("pages-match-list", "page-limits", "operation-returns-data"),
        *(*_FILTERS, *_SAME),
    ),
    "records-once": ("page-size", "total-records", "pages-match-list", *_FILTERS, *_SAME),
    "page-size": ("total-records", "page-links", "default-page-size", "pages-match-list", *_FILTERS, *_SAME),
    "total-records": (
        *("page-links", "pages-end", "pages-match-list", "default-page-size", "page-limits"),
        *_FILTERS,
    ),
    "newest-first": ("pages-match-list", *_FILTERS, *_SAME),
    "pages-match-list": _FILTERS,
    "page-links": ("links-keep-filters", "pages-end"),
    "default-page-size": ("page-links",),
    "default-filters": ("filters-applied", "invalid-parameter"),
    "filters-applied": ("links-keep-filters", "invalid-parameter", "repeated-parameter"),
    "bulk-one-account": ("bulk-repeated-account", "bulk-matches-single", "list-and-detail-agree"),
    "offered-accounts-listed": (*("bulk-all-accounts", "bulk-one-account", "bulk-matches-single", "unknown-id-body"),),
    "bulk-all-accounts": ("bulk-matches-single", "unknown-id-body"),
    "list-and-detail-agree": ("bulk-matches-single", "starter-balance-agrees"),
    "id-matches-path": ("list-and-detail-agree", "bulk-matches-single", "joint-account-agrees"),
    "payee-has-one-owner": ("list-and-detail-agree", "joint-account-agrees", "operation-returns-data"),
    "distinct-customers": ("list-and-detail-agree", "payee-has-one-owner", "unknown-email-empty"),
    "sharing-refused-header": ("unknown-id", "unknown-id-body", "refusal-not-counted"),
    "foreign-data": ("unknown-id", "id-exact", "foreign-same-as-unknown", "id-matches-path"),
    "foreign-data-body": ("unknown-id-body", "foreign-same-as-unknown", "records-of-the-account"),
    "unknown-id": ("foreign-same-as-unknown",),
    "unknown-id-body": ("foreign-same-as-unknown",),
    "no-internals": ("foreign-same-as-unknown",),
    **dict.fromkeys(("foreign-same-as-unknown", "token-before-data"), ("refusal-times",)),
    "token-needed": ("gate-everywhere", "token-before-data", "token-before-body"),
    # A forged token is let in and uses up its jti, and nothing in its header counts.
    "signature": (
        *("gate-everywhere", "jti-kept-for-owner", "kid", "algorithm-list", "crit", "token-json", "duplicate-members"),
        *("alg-none", "hmac-with-public-key", "embedded-key"),
    ),
    **dict.fromkeys(("aud", "exp"), ("gate-everywhere", "jti-kept-for-owner", "aud-exact", "exp-tolerance")),
    "gate-everywhere": ("token-before-body", "token-before-data"),
    "refusal-status": ("token-before-body", "token-before-data"),
    "replay": ("gate-everywhere", "replay-later", "replay-at-once"),
    "replay-at-once": ("gate-everywhere",),
    # A parser that takes what is no JSON, or a clock in other units, breaks several rules of tokens and bodies.
    "broken-body": ("strict-body",),
    "nbf": ("iat", "time-types"),
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
            collection = _SAME_RECORDS.get(collection, collection)
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
    return name if name not in seen else min(seen[seen.index(name) :], key=list(FOLLOWS).index)


def find_first(results: Sequence[Result]) -> str:
    """Return the rule that the earliest request broke; empty if none was broken."""
    first = [(failure.order, result.rule.name) for result in results for failure in result.failures if failure.order]
    return min(first)[1] if first else ""
