"""The query of a request: parameters into filters, every mistake reported at once.

What the operation's table does not name is ignored, and not repeated in links.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal
from urllib.parse import parse_qsl

from openholder.contract.errors import ErrorKind, RequestError, raise_all
from openholder.contract.limits import CONTROL, MAX_FIELDS, MAX_TEXT
from openholder.contract.operation import PAGING, Operation
from openholder.contract.parameters import Choice, Parameter, ValueParameter, Window
from openholder.errors import SourceFault
from openholder.query import DATE_TIME, Filter, Value, parse_moment

DAY_AHEAD = timedelta(hours=14)
"""Where the day begins first (UTC+14): an invoice dated today is not hidden because UTC still has yesterday."""

_TIMES = ("oldest-time", "newest-time")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AMOUNT = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,16})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATE_TIME = re.compile(DATE_TIME, re.ASCII)


End = Literal["first", "last"]
"""Of a day: which of its moments a date stands for."""


@dataclass(slots=True)
class ParsedQuery:
    """What a query says."""

    filters: list[Filter] = field(default_factory=list)
    """On the records."""
    account_filters: list[Filter] = field(default_factory=list)
    """On the accounts that the records belong to."""
    given: dict[str, str] = field(default_factory=dict)
    """The filters as they were given, for links: names and values."""


def read_fields(operation: Operation, query: str) -> tuple[dict[str, str], list[RequestError]]:
    """Those parameters of a query string that the operation has, and those that were given twice.

    Raises `RequestError` where the query cannot be read.
    """
    try:
        if _BROKEN_ESCAPE.search(query):
            raise ValueError
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise RequestError(ErrorKind.FIELD_INVALID, "query_malformed", detail="query") from None
    fields: dict[str, str] = {}
    repeated: set[str] = set()
    for name, value in pairs:
        if name in fields:
            repeated.add(name)
        if name in operation.query_names:
            # The plus sign of an offset means a space in a query string unless it is encoded.
            fields[name] = value.replace(" ", "+") if name in _TIMES else value
    return fields, [_invalid(name) for name in fields if name in repeated]


def read_parameters(
    operation: Operation, fields: Mapping[str, str], now: datetime
) -> tuple[ParsedQuery, list[RequestError]]:
    """The filters that the query and the defaults of its parameters stand for, and all that is wrong with them."""
    asked = ParsedQuery()
    problems: list[RequestError] = []
    for parameters, filters in (
        (operation.parameters, asked.filters),
        (operation.account_parameters, asked.account_filters),
    ):
        for parameter in parameters:
            try:
                filters += _filters(parameter, fields, now)
            except RequestError as problem:
                problems += [problem, *problem.others]
    asked.given = {name: value for name, value in fields.items() if name not in PAGING[operation.reply.paging]}
    return asked, problems


def _filters(parameter: Parameter, fields: Mapping[str, str], now: datetime) -> Sequence[Filter]:
    match parameter:
        case Choice():
            return list(_choice(parameter, fields.get(parameter.name, parameter.default)))
        case ValueParameter():
            return list(_given(parameter, fields.get(parameter.name)))
        case Window():
            return list(_window(parameter, fields, now))


def _choice(parameter: Choice, value: str | None) -> Iterator[Filter]:
    if value is None:
        return
    if value not in parameter.filters:
        raise _invalid(parameter.name)
    chosen = parameter.filters[value]
    if chosen:
        yield chosen


def _given(parameter: ValueParameter, text: str | None) -> Iterator[Filter]:
    if text is None:
        return
    value: Value = text
    if parameter.reads == "amount":
        if not _AMOUNT.fullmatch(text):
            raise _invalid(parameter.name)
        value = Decimal(text)
    elif len(text) > MAX_TEXT or CONTROL.search(text):
        raise _invalid(parameter.name)
    yield Filter(parameter.member, parameter.operator, value, otherwise=parameter.otherwise)


def _window(window: Window, fields: Mapping[str, str], now: datetime) -> Iterator[Filter]:
    """Both ends, as far as they are given or have a default. A record without a time counts as one of now."""
    oldest, newest = _ends(window, fields)
    if window.months:
        newest = newest or (now if window.reads == "date-time" else _day(now + DAY_AHEAD, "last"))
        oldest = oldest or _earlier(newest, window.months, window.reads)
    if oldest and newest and oldest > newest:
        raise RequestError(ErrorKind.DATE_TIME_INVALID, "window_reversed", detail=window.oldest)
    if oldest:
        yield Filter(window.member, "ge", oldest, otherwise=window.otherwise, absent=now)
    if newest:
        yield Filter(window.member, "le", newest, otherwise=window.otherwise, absent=now)


def _ends(window: Window, fields: Mapping[str, str]) -> list[datetime | None]:
    """The ends of the window that are given. Raises `RequestError` with all that is wrong with them."""
    ends: list[datetime | None] = []
    problems = []
    for name, end in _named_ends(window):
        try:
            ends.append(_BOUNDS[window.reads](fields[name], name, end) if name in fields else None)
        except RequestError as problem:
            problems.append(problem)
    if problems:
        raise_all(problems)
    return ends


def _named_ends(window: Window) -> tuple[tuple[str, End], tuple[str, End]]:
    return (window.oldest, "first"), (window.newest, "last")


def _read_date_time(text: str, name: str, end: End) -> datetime:
    try:
        if not _DATE_TIME.fullmatch(text):
            raise ValueError
        return parse_moment(text).astimezone(UTC)
    except (ValueError, SourceFault, OverflowError):
        raise RequestError(ErrorKind.DATE_TIME_INVALID, "date_time_invalid", detail=name) from None


def _read_date(text: str, name: str, end: End) -> datetime:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return _day(datetime.combine(date.fromisoformat(text), time(), UTC), end)
    except ValueError:
        raise RequestError(ErrorKind.DATE_TIME_INVALID, "date_invalid", detail=name) from None


_BOUNDS: Mapping[str, Callable[[str, str, End], datetime]] = {
    "date-time": _read_date_time,
    "date": _read_date,
}


def _day(moment: datetime, end: End) -> datetime:
    """The first or the last microsecond of that UTC day."""
    return datetime.combine(moment.date(), time.min if end == "first" else time.max, UTC)


def _earlier(moment: datetime, months: int, reads: str) -> datetime:
    """So many calendar months before, on the last day of a month that is too short."""
    count = moment.year * 12 + moment.month - 1 - months
    if count < 12:
        return datetime.min.replace(tzinfo=UTC)
    year, month = divmod(count, 12)
    first_of_next = date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    last = (first_of_next - timedelta(days=1)).day
    earlier = moment.replace(year=year, month=month + 1, day=min(moment.day, last))
    return _day(earlier, "first") if reads == "date" else earlier


def _invalid(name: str) -> RequestError:
    return RequestError(ErrorKind.FIELD_INVALID, "parameter_invalid", detail=name)
