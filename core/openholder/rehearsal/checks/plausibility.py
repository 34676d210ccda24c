"""Checks of values that schemas let pass: negative zeros, placeholders for dates, and codes of countries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from openholder.rehearsal.exchange import Exchange
from openholder.rehearsal.results import Failure, Result, Rule

PLAUSIBLE = Rule(
    name="plausible-values",
    severity="warning",
    expected="No amount is a negative zero, and no date is a placeholder such as 0001-01-01 or 9999-12-31. What has"
    " happened has no date to come.",
    why="Recipients show a debit of nothing, or a loan that ends in eight thousand years.",
    reference="Consumer Data Standards, data quality (Privacy Safeguard 11): accurate, up to date and complete",
    how_to_fix="Omit members that have no value, and remove the sign of zero.",
    example="GET …/accounts/{accountId}/transactions: $.data.transactions[].amount: a negative zero",
)
COUNTRIES = Rule(
    name="country-codes",
    severity="error",
    expected="Countries are codes of three capital letters, such as AUS.",
    why="The recipient cannot match AU or Australia with the codes of the standard.",
    reference="Consumer Data Standards 1.36.0, CommonSimpleAddress: ISO 3166-1 alpha-3",
    how_to_fix="Map the countries of the source to three letters. OpenID Connect's address, for login, is another one.",
    example="GET …/accounts/{accountId}: $.data.addresses[].simple.country: not three capital letters",
)
_CDS = ("banking", "energy", "common")
_NEGATIVE_ZERO = re.compile(r"-0+(?:\.0+)?")
_PLACEHOLDER = re.compile(r"(?:0\d\d\d|1[0-7]\d\d|99[0-9]\d)-\d\d-\d\d(?:T.*)?")
_COUNTRY = re.compile(r"[A-Z]{3}")
_PAST_MEMBERS = ("postingDateTime", "creationDate", "lastDebitDateTime", "issueDate", "updatedAt")
"""Members with the time of something that has happened."""
_AHEAD = timedelta(days=3)
"""More than time zones and weekends can explain."""
_COUNTRY_MEMBERS = ("country", "registeredCountry")


def check_plausibility(exchange: Exchange) -> Iterator[Result]:
    """Check the values of a response with data; yield a result for each rule."""
    operation = exchange.request.operation
    if operation is None or not exchange.is_ok or not isinstance(exchange.json, dict):
        return
    odd: dict[str, None] = {}
    countries: dict[str, None] = {}
    for place, name, value in _walk_texts(exchange.json, "$", ""):
        if _NEGATIVE_ZERO.fullmatch(value):
            odd[f"{place}: a negative zero"] = None
        elif _PLACEHOLDER.fullmatch(value):
            odd[f"{place}: a placeholder for a date"] = None
        elif name in _PAST_MEMBERS and _is_ahead(value):
            odd[f"{place}: a date to come of what has happened"] = None
        elif name in _COUNTRY_MEMBERS and not _COUNTRY.fullmatch(value):
            countries[f"{place}: not three capital letters"] = None
    found = [(PLAUSIBLE, odd)] + ([(COUNTRIES, countries)] if operation.sector in _CDS else [])
    for rule, texts in found:
        yield Result(rule, exchange.request.route, tuple(Failure(text, exchange.request) for text in texts))


def _is_ahead(text: str) -> bool:
    try:
        return date.fromisoformat(text[:10]) > datetime.now(UTC).date() + _AHEAD
    except ValueError:
        return False


def _walk_texts(content: Any, place: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield the place, member and value of every text."""
    if isinstance(content, str):
        yield place, name, content
    elif isinstance(content, dict):
        for member, value in content.items():
            yield from _walk_texts(value, f"{place}.{member}", member)
    elif isinstance(content, list):
        for value in content:
            yield from _walk_texts(value, f"{place}[]", name)
