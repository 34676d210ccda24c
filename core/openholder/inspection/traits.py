"""What the records of good holders do not have in common: a row for each trait, and one for each group of members.

A trait counts the records that show it, of those that could. It becomes a finding from a share on, since single records
of good holders are reversed, corrected, or odd.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from openholder.inspection.findings import Severity
from openholder.inspection.profile import find_sign

CARDS = ("CRED_AND_CHRG_CARDS",)
LOANS = ("BUSINESS_LOANS", "MARGIN_LOANS", "PERS_LOANS", "RESIDENTIAL_MORTGAGES")
DEBTS = (*CARDS, *LOANS, "BUY_NOW_PAY_LATER", "LEASES")
DEPOSITS = ("TERM_DEPOSITS", "TRANS_AND_SAVINGS_ACCOUNTS")


_BALANCES, _ACCOUNTS, _TRANSACTIONS = "banking.balances", "banking.accounts", "banking.transactions"
_SIGNS = "what leaves the account is negative, and what comes in is positive"


class Case(NamedTuple):
    """A record to be looked at."""

    record: Mapping[str, Any]
    group: str
    """The product category of its account, or what the record itself is grouped by."""
    category: str
    """The product category of its account; empty if it has none."""
    now: datetime


Shows = Callable[[Case], bool | None]
"""Tells whether a record shows a trait. None: it cannot have it."""


@dataclass(frozen=True, slots=True)
class Trait:
    """Something that few records of a good holder show."""

    collection: str
    member: str
    fault: str
    shows: Shows
    wanted: str
    severity: Severity = "warning"
    share: float = 0.0
    """The share of records from which on it is a finding."""
    least: int = 1
    """The records that must have been met, until a share says something."""
    below: Severity | None = None
    """The severity of fewer records than the share; None if they are nothing to report."""


def _get(record: Mapping[str, Any], path: str) -> Any:
    found: Any = record
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _among(groups: tuple[str, ...], shows: Callable[[Mapping[str, Any]], bool | None]) -> Shows:
    """Ask only records of some groups."""
    return lambda case: shows(case.record) if not groups or case.group in groups else None


def _lacks(path: str, *groups: str) -> Shows:
    return _among(groups, lambda record: _get(record, path) in (None, "", []))


def _has_sign(path: str, sign: str, *groups: str) -> Shows:
    def shows(record: Mapping[str, Any]) -> bool | None:
        amount = _get(record, path)
        return None if amount is None or (find_sign(amount) == "zero" and sign != "zero") else find_sign(amount) == sign

    return _among(groups, shows)


def _differs(path: str, pattern: str) -> Shows:
    """Tell whether a text that is there has another form."""
    form = re.compile(pattern)

    def shows(case: Case) -> bool | None:
        value = _get(case.record, path)
        return None if value is None else not form.fullmatch(str(value))

    return shows


def _equals(path: str, other: str) -> Shows:
    def shows(case: Case) -> bool | None:
        one, two = _get(case.record, path), _get(case.record, other)
        return None if not one or not two else bool(one == two)

    return shows


def _is_whole(path: str) -> Shows:
    """Tell whether an amount has no cents. Nothing is no amount, and some currencies have no cents."""

    def shows(case: Case) -> bool | None:
        amount = _get(case.record, path)
        if amount is None or find_sign(amount) == "zero" or case.record.get("currency", "AUD") in ("JPY", "KRW"):
            return None
        return Decimal(amount) % 1 == 0

    return shows


def _has_more_than_limit(record: Mapping[str, Any]) -> bool | None:
    """Tell whether more is available than the limit and what the customer has paid in."""
    limit = record.get("creditLimit")
    if limit is None or find_sign(limit) != "positive":
        return None
    balance = Decimal(record["currentBalance"])
    return Decimal(record["availableBalance"]) > Decimal(limit) + max(balance, Decimal(0))


def _is_over_limit(record: Mapping[str, Any]) -> bool | None:
    limit = record.get("creditLimit")
    return None if limit is None else -Decimal(record["currentBalance"]) > Decimal(limit)


def _is_stale(case: Case) -> bool | None:
    """Tell whether a transaction has been pending for two months. Card authorisations last a month at most."""
    if case.record.get("status") != "PENDING":
        return None
    times = [case.record.get(name) for name in ("executionDateTime", "valueDateTime")]
    days = [time[:10] for time in times if time]
    return max(days) < (case.now - timedelta(days=60)).date().isoformat() if days else None


_USUAL = "a value, if the holder has it in any system: completeness is what regulators look at"


def _usual(collection: str, member: str, *groups: str) -> Trait:
    """Make the trait of a member that hardly any record of these groups has, and those of most holders do."""
    return Trait(collection, member, "never-filled", _lacks(member, *groups), _USUAL, "note", 0.95, 5)


def _zero(collection: str, member: str, share: float = 0.8, *groups: str, severity: Severity = "warning") -> Trait:
    wanted = "no value where there is none: 0.00 is a statement, and some conversions make it of NULL"
    shows = _has_sign(member, "zero", *groups)
    return Trait(collection, member, "zero-for-nothing", shows, wanted, severity, share, 5)


def _is_purchase(case: Case) -> bool:
    """Tell whether a payment may be one of the customer to others. Those to a loan are repayments."""
    return case.group == "PAYMENT" and case.category not in (*LOANS, "LEASES", "BUY_NOW_PAY_LATER")


def _sign(kind: str, sign: str) -> Trait:
    right = "negative" if sign == "positive" else "positive"
    return Trait(
        _TRANSACTIONS,
        "amount",
        f"{sign}-{kind.lower().replace('_', '-')}",
        _has_sign("amount", sign, kind),
        f"{right} amounts for {kind}: {_SIGNS}",
        share=0.5,
        least=4,
        below="note",
    )


_DEBT = "a negative balance, where the customer owes it"
_DIGITS = "digits alone, with leading zeros: 062000"

TRAITS = (
    # What the standard expects
    Trait(
        _BALANCES,
        "creditLimit",
        "missing-for-kind",
        _lacks("creditLimit", *CARDS, "OVERDRAFTS"),
        "the limit of the card or overdraft: without it, readers take it for zero",
    ),
    Trait(
        _BALANCES, "creditLimit", "usually-there", _lacks("creditLimit", "BUY_NOW_PAY_LATER"), _USUAL, "note", 0.95, 5
    ),
    Trait(_ACCOUNTS, "loan", "missing-for-kind", _lacks("loan", *LOANS), "an object `loan`, because it is one"),
    Trait(_ACCOUNTS, "loan", "usually-there", _lacks("loan", "LEASES"), _USUAL, "note", 0.95, 5),
    Trait(_ACCOUNTS, "creditCard", "usually-there", _lacks("creditCard", *CARDS), _USUAL, "note"),
    Trait(_ACCOUNTS, "termDeposit", "usually-there", _lacks("termDeposit", "TERM_DEPOSITS"), _USUAL, "note"),
    Trait(
        _TRANSACTIONS,
        "merchantName",
        "never-filled",
        lambda case: (
            _lacks("merchantName", "PAYMENT")(case) if find_sign(case.record["amount"]) == "negative" else None
        ),
        "the merchant of a purchase",
        "note",
        0.95,
        5,
    ),
    Trait(
        _TRANSACTIONS,
        "extendedData",
        "no-detail",
        lambda case: "extendedData" not in case.record if case.record["isDetailAvailable"] else None,
        "extendedData, because isDetailAvailable is true: without it, a request for the detail gets 404",
    ),
    *(_usual(_ACCOUNTS, name) for name in ("creationDate", "openStatus", "isOwned", "features", "fees")),
    *(_usual(_ACCOUNTS, name, "TRANS_AND_SAVINGS_ACCOUNTS") for name in ("bsb", "accountNumber")),
    _usual(_ACCOUNTS, "depositRates", "TERM_DEPOSITS"),
    _usual(_ACCOUNTS, "lendingRates", *LOANS, *CARDS),
    *(
        _usual(_ACCOUNTS, f"loan.{name}", *LOANS)
        for name in ("originalLoanAmount", "loanEndDate", "repaymentFrequency")
    ),
    _usual("customers", "name"),
    # Signs
    Trait(
        _TRANSACTIONS,
        "amount",
        "positive-payment",
        lambda case: _has_sign("amount", "positive")(case) if _is_purchase(case) else None,
        f"negative amounts for PAYMENT, but for those to the account: {_SIGNS}",
        share=0.9,
        least=4,
    ),
    _sign("DIRECT_DEBIT", "positive"),
    _sign("FEE", "positive"),
    _sign("INTEREST_CHARGED", "positive"),
    _sign("TRANSFER_OUTGOING", "positive"),
    _sign("INTEREST_PAID", "negative"),
    _sign("TRANSFER_INCOMING", "negative"),
    Trait(
        _BALANCES,
        "currentBalance",
        "positive-debt",
        _has_sign("currentBalance", "positive", *DEBTS),
        _DEBT,
        "warning",
        0.5,
        3,
    ),
    Trait(
        _BALANCES,
        "currentBalance",
        "negative-deposit",
        _has_sign("currentBalance", "negative", *DEPOSITS),
        "a positive balance, where the customer owns it",
        share=0.5,
        least=5,
    ),
    *(
        Trait(_BALANCES, name, "negative", _has_sign(name, "negative"), "zero or more: the standard assumes it")
        for name in ("availableBalance", "creditLimit", "amortisedLimit")
    ),
    # Limits
    Trait(
        _BALANCES,
        "availableBalance",
        "above-limit",
        _among(DEBTS, _has_more_than_limit),
        "at most creditLimit, with what was paid in: limit and balance may be of different units or accounts",
        share=0.5,
        least=3,
    ),
    Trait(
        _BALANCES,
        "currentBalance",
        "over-limit",
        _among((*DEBTS, "OVERDRAFTS"), _is_over_limit),
        "a debt within creditLimit: limit and balance may be of different units or accounts",
        share=0.5,
        least=3,
    ),
    # Nothing as zero
    _zero(_BALANCES, "creditLimit", 0.2, *CARDS, "OVERDRAFTS"),
    _zero(_BALANCES, "creditLimit", 0.8, *DEPOSITS, severity="note"),
    _zero(_BALANCES, "amortisedLimit", severity="note"),
    _zero(_ACCOUNTS, "loan.maxRedraw"),
    _zero(_ACCOUNTS, "loan.minRedraw"),
    _zero(_ACCOUNTS, "loan.minInstalmentAmount"),
    _zero(_ACCOUNTS, "loan.originalLoanAmount"),
    _zero(_ACCOUNTS, "depositRate"),
    _zero(_ACCOUNTS, "lendingRate"),
    _zero(_TRANSACTIONS, "amount", 0.2),
    # Cents
    *(
        Trait(
            collection,
            member,
            "all-whole",
            _is_whole(member),
            "amounts in dollars, with cents: they may be cents, or rounded",
            share=0.97,
            least=20,
        )
        for collection, member in (
            (_TRANSACTIONS, "amount"),
            (_BALANCES, "currentBalance"),
            ("energy.invoices", "invoiceAmount"),
            ("fdx.transactions", "amount"),
        )
    ),
    # Forms that the schema of the standard does not say
    Trait(_ACCOUNTS, "bsb", "not-digits", _differs("bsb", r"[0-9]{6}"), f"six {_DIGITS}"),
    Trait(_ACCOUNTS, "accountNumber", "not-digits", _differs("accountNumber", r"[0-9]+"), _DIGITS),
    Trait(
        "banking.payees",
        "domestic.account.bsb",
        "not-digits",
        _differs("domestic.account.bsb", r"[0-9]{6}"),
        f"six {_DIGITS}",
    ),
    Trait(
        _TRANSACTIONS,
        "merchantCategoryCode",
        "not-digits",
        _differs("merchantCategoryCode", r"[0-9]{4}"),
        "four digits, with leading zeros: 0742",
    ),
    Trait(
        _TRANSACTIONS, "status", "long-pending", _is_stale, "POSTED, or no record: it has been pending for two months"
    ),
    # Columns that were taken twice
    Trait(
        "customers",
        "givenName",
        "same-as-family-name",
        _equals("givenName", "familyName"),
        "the given name",
        "warning",
        0.5,
        3,
    ),
    Trait(
        "common.customers",
        "person.firstName",
        "same-as-family-name",
        _equals("person.firstName", "person.lastName"),
        "the given name",
        "warning",
        0.5,
        3,
    ),
)


class Differing(NamedTuple):
    """A member that has more than one value in the data of any holder."""

    collection: str
    member: str
    least: int
    """The values that must have been met."""


DIFFERING = (
    Differing("customers", "name", 5),
    Differing("customers", "email", 5),
    Differing("customers", "phoneNumber", 5),
    Differing("accounts", "id", 5),
    Differing(_ACCOUNTS, "maskedNumber", 5),
    Differing(_ACCOUNTS, "accountNumber", 5),
    Differing(_ACCOUNTS, "nickname", 5),
    Differing(_ACCOUNTS, "creationDate", 10),
    Differing(_BALANCES, "currentBalance", 5),
    Differing("balances", "current", 5),
    Differing(_TRANSACTIONS, "description", 20),
    Differing(_TRANSACTIONS, "amount", 20),
    Differing(_TRANSACTIONS, "postingDateTime", 20),
    Differing("banking.payees", "nickname", 10),
    Differing("energy.accounts", "creationDate", 20),
    Differing("energy.accounts", "accountNumber", 5),
    Differing("energy.balances", "balance", 20),
    Differing("energy.invoices", "issueDate", 40),
    Differing("common.customers", "person.lastName", 10),
)
CLOCKED = {"banking.transactions": ("postingDateTime", "executionDateTime")}
"""Members with the time at which people in Australia did something. That of a batch is one of few hours."""
NEWEST = {
    "banking.transactions": ("postingDateTime", 45),
    "energy.invoices": ("issueDate", 200),
    "fdx.transactions": ("postedTimestamp", 45),
}
"""The member with the time of a record, and the days after which the newest one is old for a holder in business."""
