"""Read a request's query string: turn parameters into filters, and report all errors at once.

Parameters that the operation does not have are ignored and not repeated in links. Only an FDX list refuses those that
would choose a page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal
from urllib.parse import parse_qsl

from openholder.contract.errors import ErrorKind, RequestError, raise_all
from openholder.contract.limits import CONTROL, MAX_FIELDS, MAX_TEXT
from openholder.contract.operation import FOREIGN_PAGING, PAGING, Operation
from openholder.contract.parameters import Choice, Parameter, ValueParameter, Window, find_name
from openholder.errors import SourceFault
from openholder.query import DATE_TIME, Filter, Value, parse_moment

DAY_AHEAD = timedelta(hours=14)
"""The earliest time zone (UTC+14): an invoice dated today must not be hidden because it is still yesterday in UTC.

Nor may a transaction for which the holder knows the day of posting only, and writes the end of the day as its time.
"""

_TIMES = ("oldest-time", "newest-time")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AMOUNT = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,16})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATE_TIME = re.compile(DATE_TIME, re.ASCII | re.IGNORECASE)
"""RFC 3339 section 5.6: ``t`` and ``z`` may be in lower case."""

End = Literal["first", "last"]
"""Which moment of a day a date stands for."""


@dataclass(slots=True)
class ParsedQuery:
    """The content of a query string."""

    filters: list[Filter] = field(default_factory=list)
    """Filters of the records."""
    account_filters: list[Filter] = field(default_factory=list)
    """Filters of the accounts that the records belong to."""
    given: dict[str, str] = field(default_factory=dict)
    """The names and values of filters as the caller sent them, for links."""


def read_fields(operation: Operation, query: str) -> tuple[dict[str, str], list[RequestError]]:
    """Read the parameters of a query string that the operation has, and an error for each repeated or foreign one.

    Raises:
        RequestError: The query string is malformed.
    """
    if not query:
        return {}, []
    try:
        if _BROKEN_ESCAPE.search(query):
            raise ValueError
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise RequestError(ErrorKind.FIELD_INVALID, "query_malformed", detail="query") from None
    fields: dict[str, str] = {}
    repeated: set[str] = set()
    foreign: dict[str, RequestError] = {}
    for name, value in pairs:
        if name in fields:
            repeated.add(name)
        if name in operation.query_names:
            # The plus sign of an offset is decoded as a space if the caller did not escape it.
            fields[name] = value.replace(" ", "+") if name in _TIMES else value
        elif operation.reply.paging == "offset" and re.sub(r"[-_ ]", "", name.lower()) in FOREIGN_PAGING:
            foreign[name] = _make_error(name)
    return fields, [*(_make_error(name) for name in fields if name in repeated), *foreign.values()]


def read_parameters(
    operation: Operation, fields: Mapping[str, str], now: datetime
) -> tuple[ParsedQuery, list[RequestError]]:
    """Turn the fields of a query, and the defaults of absent ones, into filters. Return them with all errors."""
    parsed = ParsedQuery()
    errors: list[RequestError] = []
    for parameters, filters in (
        (operation.parameters, parsed.filters),
        (operation.account_parameters, parsed.account_filters),
    ):
        for parameter in parameters:
            try:
                filters += _read_filters(parameter, fields, now)
            except RequestError as error:
                errors += [error, *error.others]
    if fields:
        parsed.given = {name: value for name, value in fields.items() if name not in PAGING[operation.reply.paging]}
    return parsed, errors


def _read_filters(parameter: Parameter, fields: Mapping[str, str], now: datetime) -> list[Filter]:
    match parameter:
        case Choice():
            return _read_choice(parameter, fields.get(parameter.name, parameter.default))
        case ValueParameter():
            return _read_value(parameter, fields.get(parameter.name))
        case Window():
            return _read_window(parameter, fields, now)


def _read_choice(parameter: Choice, value: str | None) -> list[Filter]:
    if value is None:
        return []
    if value not in parameter.filters:
        raise _make_error(parameter.name)
    chosen = parameter.filters[value]
    return [chosen] if chosen else []


def _read_value(parameter: ValueParameter, text: str | None) -> list[Filter]:
    if text is None:
        return []
    value: Value = text
    if parameter.reads == "amount":
        if not _AMOUNT.fullmatch(text):
            raise _make_error(parameter.name)
        value = Decimal(text)
    elif len(text) > MAX_TEXT or CONTROL.search(text):
        raise _make_error(parameter.name)
    return [Filter(parameter.member, parameter.operator, value, otherwise=parameter.otherwise)]


def _read_window(window: Window, fields: Mapping[str, str], now: datetime) -> list[Filter]:
    """Read both ends of a window, and apply their defaults. A record without a time counts as one of now."""
    is_date = window.reads == "date"
    ends: list[datetime | None] = []
    errors: list[RequestError] = []
    places: tuple[End, End] = ("first", "last")
    for names, end in zip(window.ends, places, strict=True):
        try:
            name = find_name(names, fields)
            ends.append(_read_end(fields[name], name, end, is_date) if name else None)
        except ValueError as exc:
            errors.append(_make_error(exc.args[0]))
        except RequestError as error:
            errors.append(error)
    if errors:
        raise_all(errors)
    oldest, newest = ends
    if window.months and oldest is None:
        # The end of today adds to what a window up to now has, and takes nothing away at its beginning.
        latest = newest or (now + DAY_AHEAD if is_date else now)
        oldest = _subtract_months(latest, window.months)
        oldest = _snap_to_day(oldest, "first") if is_date else oldest
    if window.months and newest is None:
        newest = _snap_to_day(now + DAY_AHEAD, "last")
    if oldest and newest and oldest > newest:
        raise RequestError(ErrorKind.DATE_TIME_INVALID, "window_reversed", detail=window.oldest)
    filters = []
    if oldest:
        filters.append(Filter(window.member, "ge", oldest, otherwise=window.otherwise, absent=now))
    if newest:
        filters.append(Filter(window.member, "le", newest, otherwise=window.otherwise, absent=now))
    return filters


def _read_end(text: str, name: str, end: End, is_date: bool) -> datetime:
    pattern = _DATE if is_date else _DATE_TIME
    try:
        if not pattern.fullmatch(text):
            raise ValueError
        if is_date:
            return _snap_to_day(datetime.combine(date.fromisoformat(text), time(), UTC), end)
        return parse_moment(text.upper()).astimezone(UTC)
    except (ValueError, SourceFault, OverflowError):
        reason = "date_invalid" if is_date else "date_time_invalid"
        raise RequestError(ErrorKind.DATE_TIME_INVALID, reason, detail=name) from None


def _snap_to_day(moment: datetime, end: End) -> datetime:
    """Return the first or the last microsecond of the UTC day."""
    return datetime.combine(moment.date(), time.min if end == "first" else time.max, UTC)


def _subtract_months(moment: datetime, months: int) -> datetime:
    """Subtract calendar months; the day is clamped to the last day of a shorter month."""
    count = moment.year * 12 + moment.month - 1 - months
    if count < 12:
        return datetime.min.replace(tzinfo=UTC)
    year, month = divmod(count, 12)
    first_of_next = date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    last = (first_of_next - timedelta(days=1)).day
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _make_error(name: str) -> RequestError:
    return RequestError(ErrorKind.FIELD_INVALID, "parameter_invalid", detail=name)
