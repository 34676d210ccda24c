"""Query parameters: filters must be applied, kept in the links, and refused if their values are invalid.

The expected records are computed from the unfiltered list, with the filter that the contract defines for a parameter.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlencode

from openholder.contract.operations import Operation
from openholder.contract.parameters import Choice, Parameter, ValueParameter, Window
from openholder.contract.query_string import ParsedQuery, read_parameters
from openholder.errors import SourceFault
from openholder.rehearsal.checks.consistency import encode_canonical
from openholder.rehearsal.checks.lists import check_list, get_account_id
from openholder.rehearsal.exchange import CallSequence, Exchange, get_member, read_records
from openholder.rehearsal.probes import compare_records, find_fullest
from openholder.rehearsal.results import Result, Rule, judge_rule, pass_rule, skip_rule
from openholder.rehearsal.session import LARGE_PAGE, SMALL_PAGE, Session
from openholder.rehearsal.side_by_side import do_side_by_side, run_side_by_side
from openholder.rehearsal.walking import read_next_query

Query = Mapping[str, str]
FILTERS_APPLIED = Rule(
    name="filters-applied",
    severity="error",
    expected="A filtered list has exactly the records that match, in the order of the unfiltered list.",
    why="Recipients receive data that they did not request, or miss data that they did.",
    reference="Consumer Data Standards, the operation's query parameters; both ends of a window are inclusive",
    how_to_fix="Apply the filter when selecting the records; compare times and amounts by value, not as text.",
    example="GET …/accounts/{accountId}/transactions: oldest-time: 95 records, expected 48: 47 too many, 0 missing",
)
LINKS_KEEP_FILTERS = Rule(
    name="links-keep-filters",
    severity="error",
    expected="The links of a filtered list keep its filters.",
    why="From the second page on, recipients read another list.",
    reference="Consumer Data Standards, pagination: links; Fiskil, examples of lists",
    how_to_fix="Build links from the whole query of the request, with another page.",
    example="GET …/accounts/{accountId}/transactions: the next link lacks oldest-time",
)
INVALID_PARAMETER = Rule(
    name="invalid-parameter",
    severity="error",
    expected="An invalid value of a parameter is answered with 400.",
    why="If the filter is silently dropped, recipients receive data that they did not request.",
    reference="Consumer Data Standards, error codes: Field/Invalid, Field/InvalidDateTime",
    how_to_fix="Validate every parameter before reading the records.",
    example="GET …/accounts/{accountId}/transactions?oldest-time=…: 200 with data",
)
DEFAULT_FILTERS = Rule(
    name="default-filters",
    severity="error",
    expected="Without parameters, the defaults of the standard apply: transactions of twelve months, invoices of"
    " twenty-four, active plans, accounts open or closed. A window without a beginning has that length too.",
    why="A recipient that requests no period receives more, or less, than the customer was told.",
    reference="Consumer Data Standards, the operation's query parameters: defaults",
    how_to_fix="Fill in the defaults before selecting records: a window ends now, and begins the default time before"
    " its end, also if only the end is given.",
    example="GET …/accounts/{accountId}/transactions: 25 records, expected 95: 0 too many, 70 missing",
)
UNKNOWN_PARAMETER = Rule(
    name="unknown-parameter",
    severity="warning",
    expected="A parameter that the operation does not have is ignored.",
    why="Standards grow: a parameter of a newer version must not break older servers.",
    reference="Consumer Data Standards, extensibility",
    how_to_fix="Ignore unknown parameters.",
    example="GET …/accounts/{accountId}/transactions?x-unheard-of=…: 400",
)
REPEATED_PARAMETER = Rule(
    name="repeated-parameter",
    severity="error",
    expected="A parameter that is given twice is refused with 400, or one of its two values applies.",
    why="A server that reads both values as one, and drops what it cannot read, sends data that was not requested.",
    reference="Consumer Data Standards, error codes: Field/Invalid; OWASP WSTG 4.2, HTTP parameter pollution",
    how_to_fix="Refuse a repeated parameter, or read its first value. Express and others turn two values into a list.",
    example="GET …/accounts/{accountId}/transactions?oldest-time=…&oldest-time=…: oldest-time: neither value applies:"
    " 95 records, expected 48 or 12",
)
_INVALID_VALUES = {
    "date-time": ("yesterday", "2026-02-30T00:00:00Z", "2026-02-01T25:00:00Z", "2026-02-01"),
    "date": ("2026-02-30", "01/02/2026"),
    "amount": ("a lot", "5x", "NaN"),
}
_PATTERNS = ("%", "_", ".*", "[a-z]", "\\")
"""Texts that match much as an SQL wildcard or as a regular expression, and must match themselves only."""
_EASTERNMOST = timezone(timedelta(hours=14))
"""The same time written in this zone is the greatest as text: it shows whether a server compares texts."""
_REVERSED_ENDS = {
    "date-time": ("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    "date": ("2026-02-01", "2026-01-01"),
}
_LONG_AHEAD = {"date-time": "2099-12-31T23:59:59Z", "date": "2099-12-31"}
_AMOUNT = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,16})?", re.ASCII)
FEWEST_VALUES = 4
"""From so many different values on, two of them select different records, and neither selects all."""
MAX_OFFSETS = 2
"""The number of offsets of records for which a window of one moment is requested."""
_DAY = timedelta(days=1)
_LONG_AGO = {"date-time": "1990-01-01T00:00:00Z", "date": "1990-01-01"}


async def probe_filters(session: Session) -> AsyncIterator[Result]:
    """Probe each parameter of each served list, on the account with the most records."""
    async for result in run_side_by_side([_probe_operation(session, each) for each in session.served_operations]):
        yield result


async def _probe_operation(session: Session, operation: Operation) -> AsyncIterator[Result]:
    sequence = find_fullest(session, operation)
    parameters = (*operation.parameters, *operation.account_parameters)
    if sequence is None or not operation.reply.many or not parameters:
        return
    unfiltered = _disable_choices(operation)
    whole = await _request_list(session, sequence, unfiltered)
    narrowed = _narrow_window(operation, whole)
    if narrowed:
        unfiltered |= narrowed
        whole = await _request_list(session, sequence, unfiltered)
    combined: dict[str, str] = {}
    combined_count = 0
    is_applied = True
    probes = []
    for parameter in parameters:
        queries = list(_build_queries(parameter, whole.records)) if whole.is_complete else []
        queries = [{**narrowed, **query} for query in queries]
        probes.append(_probe_queries(session, whole, queries))
        probes.append(_probe_invalid_values(session, sequence, parameter))
        probes.append(_probe_repeated_values(session, whole, {**unfiltered, **narrowed}, parameter))
        if queries:
            combined |= queries[0]
            combined_count += 1
    # All filters together must hold, not one of them.
    further = [combined] if combined_count > 1 else []
    further += [{**narrowed, **query} for query in _build_single_values(parameters, whole.records)]

    async def probe_parameters() -> AsyncIterator[Result]:
        nonlocal is_applied
        async for result in run_side_by_side(probes):
            is_applied &= result.rule is not FILTERS_APPLIED or not result.failures
            yield result

    parts = [probe_parameters(), _probe_queries(session, whole, further), _probe_unknown_parameter(session, sequence)]
    async for result in run_side_by_side(parts):
        yield result
    no_defaults = unfiltered | _widen_windows(operation)
    if narrowed:
        yield skip_rule(DEFAULT_FILTERS, sequence.route, "not looked at further: the list is too long")
    elif no_defaults:
        everything = await _request_list(session, sequence, no_defaults)
        windows = [{}, *(_build_half_windows(everything) if is_applied else ())]
        by_default = await do_side_by_side(_request_list(session, sequence, given) for given in windows)
        for given, default in zip(windows, by_default, strict=True):
            yield _compare_filtered(session, DEFAULT_FILTERS, everything, default, given)


async def _probe_unknown_parameter(session: Session, sequence: CallSequence) -> AsyncIterator[Result]:
    query = f"{sequence.first.request.query}&x-unheard-of=1".lstrip("&")
    exchange = await session.repeat_once(sequence, query)
    yield judge_rule(UNKNOWN_PARAMETER, sequence.route, exchange.is_ok, exchange.status_text, exchange.request)


def _disable_choices(operation: Operation) -> dict[str, str]:
    """Return the query that disables the default choices that would omit records."""
    parameters = (*operation.parameters, *operation.account_parameters)
    choices = [parameter for parameter in parameters if isinstance(parameter, Choice)]
    return {choice.name: "ALL" for choice in choices if "ALL" in choice.filters}


def _widen_windows(operation: Operation) -> dict[str, str]:
    """Return the query that extends default windows of some months to all times."""
    windows = [parameter for parameter in operation.parameters if isinstance(parameter, Window)]
    return {window.oldest: _LONG_AGO[window.reads] for window in windows if window.months}


def _narrow_window(operation: Operation, whole: CallSequence) -> dict[str, str]:
    """Return the query that shortens a long list to about its first page; empty for a list that was read."""
    windows = [parameter for parameter in operation.parameters if isinstance(parameter, Window)]
    if not whole.unread or not whole.is_complete or not windows or windows[0].reads != "date-time":
        return {}
    # The times of a few records are later than those of the records before them: the earliest one counts.
    records = read_records(whole.first)
    return {windows[0].oldest: _find_earliest(windows[0], records)} if _list_times(windows[0], records) else {}


async def _request_list(session: Session, sequence: CallSequence, query: Query) -> CallSequence:
    """Request a list in large pages, with other filters."""
    return await session.repeat(sequence, _join(LARGE_PAGE[sequence.operation.reply.paging], query))


def _join(paging: str, query: Query | Sequence[tuple[str, str]]) -> str:
    return "&".join(filter(None, (paging, urlencode(query))))


async def _probe_queries(session: Session, whole: CallSequence, queries: Sequence[Query]) -> AsyncIterator[Result]:
    """Probe each of these queries, which have values of the records."""
    if not queries:
        yield skip_rule(FILTERS_APPLIED, whole.route, "no record has a value to filter by")
    async for result in run_side_by_side([_probe_query(session, whole, query) for query in queries]):
        yield result


async def _probe_query(session: Session, whole: CallSequence, query: Query) -> AsyncIterator[Result]:
    """Request the list with a query, compare the records with the expected ones, and follow the links."""
    query = {**_disable_choices(whole.operation), **query}
    filtered = await _request_list(session, whole, query)
    yield _compare_filtered(session, FILTERS_APPLIED, whole, filtered, query)
    for result in check_list(filtered):
        yield result
    if whole.operation.reply.paging == "page":
        yield await _probe_next_link(session, filtered, query)
    else:
        # A cursor shows no filters: only its records tell whether it keeps them.
        small = await session.repeat(filtered, _join(SMALL_PAGE[whole.operation.reply.paging], query))
        yield compare_records(LINKS_KEEP_FILTERS, small, filtered.records, "in small pages: ")


def _compare_filtered(
    session: Session, rule: Rule, whole: CallSequence, filtered: CallSequence, query: Query
) -> Result:
    """Compare a filtered list with the records of the whole list that match the query."""
    if not whole.is_whole:
        return skip_rule(rule, whole.route, whole.unread or "the whole list was not returned")
    query = _drop_unsupported(filtered.first, query)
    try:
        expected, unclear = _choose_expected(session, whole, query)
    except SourceFault:
        return skip_rule(rule, whole.route, "a record has a value that cannot be compared")
    return compare_records(rule, filtered, expected, f"{', '.join(query)}: " if query else "", unclear)


def _choose_expected(
    session: Session, whole: CallSequence, query: Query
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the records that match a query, and those that match it on some days of the world only.

    A default window ends now, and begins some months before that: which day it is depends on the holder's time zone.
    """
    now = datetime.now(UTC)
    parsed = [read_parameters(whole.operation, query, now + shift)[0] for shift in (-_DAY, timedelta(), _DAY)]
    matching = [[_admits(session, whole.operation, each, record) for each in parsed] for record in whole.records]
    expected = [record for record, days in zip(whole.records, matching, strict=True) if all(days)]
    unclear = [record for record, days in zip(whole.records, matching, strict=True) if any(days) and not all(days)]
    return expected, unclear


def _drop_unsupported(filtered: Exchange, query: Query) -> Query:
    """Return the filters that the response applies: a holder need not offer `text` if it says so."""
    if get_member(filtered.json, "meta", "isQueryParamUnsupported") is not True:
        return query
    return {name: value for name, value in query.items() if name != "text"}


def _matches(session: Session, operation: Operation, record: dict[str, Any], query: Query) -> bool:
    return _admits(session, operation, read_parameters(operation, query, datetime.now(UTC))[0], record)


def _admits(session: Session, operation: Operation, parsed: ParsedQuery, record: dict[str, Any]) -> bool:
    if not all(condition.admits(record) for condition in parsed.filters):
        return False
    account = _find_account(session, operation, record) if parsed.account_filters else {}
    return all(condition.admits(account) for condition in parsed.account_filters)


def _find_account(session: Session, operation: Operation, record: dict[str, Any]) -> dict[str, Any]:
    """Return the account that a record belongs to, from the list of its sector; empty if the list lacks it."""
    for run in session.runs:
        for _, account in run.find_records(f"{operation.sector}.accounts"):
            if account.get("accountId") == get_account_id(record):
                return account
    return {}


async def _probe_next_link(session: Session, sequence: CallSequence, query: Query) -> Result:
    """Check that the next link of the smallest page keeps the filters."""
    narrow = urlencode({"page-size": "1", **query})
    exchange = await session.repeat_once(sequence, narrow)
    if get_member(exchange.json, "links", "next") is None:
        return skip_rule(LINKS_KEEP_FILTERS, sequence.route, "the list has a single record")
    following = parse_qs(read_next_query(sequence.operation, exchange, narrow))
    kept = _drop_unsupported(exchange, query)
    lost = [name for name, value in kept.items() if following and following.get(name) != [value]]
    observed = f"the next link lacks {', '.join(lost)}"
    return judge_rule(LINKS_KEEP_FILTERS, sequence.route, not lost, observed, exchange.request)


async def _probe_invalid_values(
    session: Session, sequence: CallSequence, parameter: Parameter
) -> AsyncIterator[Result]:
    """Request the list with invalid values of a parameter, and with a window that ends before it begins."""
    invalid = ("NO_SUCH_VALUE",) if isinstance(parameter, Choice) else _INVALID_VALUES.get(parameter.reads, ())
    queries: list[Query] = [{name: value} for name in parameter.names for value in invalid]
    if isinstance(parameter, Window):
        later, earlier = _REVERSED_ENDS[parameter.reads]
        queries.append({parameter.oldest: later, parameter.newest: earlier})
    exchanges = await do_side_by_side(session.repeat_once(sequence, urlencode(query)) for query in queries)
    for exchange in exchanges:
        is_refused = exchange.status == 400
        yield judge_rule(INVALID_PARAMETER, sequence.route, is_refused, exchange.status_text, exchange.request)


async def _probe_repeated_values(
    session: Session, whole: CallSequence, base: Query, parameter: Parameter
) -> AsyncIterator[Result]:
    """Request the list with two values of a parameter: one of them must apply, or the request must be refused."""
    for name, values in _choose_two_values(parameter, whole.records) if whole.is_whole else ():
        others = {key: value for key, value in base.items() if key != name}
        if isinstance(parameter, Window) and name == parameter.newest:
            others.setdefault(parameter.oldest, _format_end(parameter, _find_earliest(parameter, whole.records)))
        paging = LARGE_PAGE[whole.operation.reply.paging]
        both = await session.repeat(whole, _join(paging, [*others.items(), *((name, value) for value in values)]))
        if not both.first.is_ok:
            is_judged_elsewhere = bool(both.first.transport_error) or both.first.status >= 500
            if not is_judged_elsewhere:
                yield pass_rule(REPEATED_PARAMETER, whole.route)
            continue
        try:
            due = [
                [
                    record
                    for record in whole.records
                    if _matches(session, whole.operation, record, {**base, name: value})
                ]
                for value in values
            ]
        except SourceFault:
            continue
        received, *either = (sorted(map(encode_canonical, records)) for records in (both.records, *due))
        counts = " or ".join(str(len(records)) for records in either)
        observed = f"{name}: neither value applies: {len(received)} records, expected {counts}"
        is_kept = received in either
        yield judge_rule(REPEATED_PARAMETER, whole.route, is_kept, observed, both.first.request)


def _choose_two_values(parameter: Parameter, records: list[dict[str, Any]]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each name of a parameter with two values that select different records, and not all of them."""
    match parameter:
        case Window():
            values = sorted({_format_end(parameter, text) for text in _list_times(parameter, records)}, key=_read_time)
        case ValueParameter(reads="amount"):
            values = sorted(set(_list_amounts(parameter, records)), key=_read_amount)
        case _:
            return
    if len(values) >= FEWEST_VALUES:
        yield from ((name, (values[len(values) // 3], values[2 * len(values) // 3])) for name in parameter.names)


def _build_queries(parameter: Parameter, records: list[dict[str, Any]]) -> Iterator[Query]:
    """Yield queries with values of a parameter that occur in the records."""
    match parameter:
        case Choice():
            yield from ({parameter.name: value} for value in parameter.filters)
        case ValueParameter():
            yield from _build_value_queries(parameter, records)
        case Window():
            yield from _build_window_queries(parameter, records)


def _build_value_queries(parameter: ValueParameter, records: list[dict[str, Any]]) -> Iterator[Query]:
    """Yield the median of amounts, a word of texts, and patterns, which must match themselves only."""
    if parameter.reads == "amount":
        amounts = sorted(_list_amounts(parameter, records), key=_read_amount)
        if amounts:
            yield {parameter.name: amounts[len(amounts) // 2]}
            beyond = Decimal(1) if parameter.operator == "ge" else Decimal(-1)
            yield {parameter.name: f"{_read_amount(amounts[-1 if beyond > 0 else 0]) + beyond:f}"}
        return
    for name in (parameter.member, *parameter.otherwise):
        values = [str(record[name]) for record in records if record.get(name) not in (None, "")]
        if values:
            yield {parameter.name: _find_longest_word(values[0])}
    # The CDS name two members: a word of another one must not match.
    words = [_find_longest_word(str(record["merchantName"])) for record in records if record.get("merchantName")]
    read = [str(record.get(name, "")) for record in records for name in (parameter.member, *parameter.otherwise)]
    elsewhere = [word for word in words if not any(word in text for text in read)]
    yield from ({parameter.name: word} for word in elsewhere[:1])
    if records:
        yield from ({parameter.name: text} for text in _PATTERNS)


def _find_longest_word(text: str) -> str:
    return max(text.split(), key=len, default=text)


def _build_single_values(parameters: Sequence[Parameter], records: list[dict[str, Any]]) -> Iterator[Query]:
    """Yield queries whose two bounds are the same amount."""
    lowest = {each.member: each for each in parameters if isinstance(each, ValueParameter) and each.operator == "ge"}
    for parameter in parameters:
        if isinstance(parameter, ValueParameter) and parameter.operator == "le" and parameter.member in lowest:
            amounts = sorted(_list_amounts(parameter, records), key=_read_amount)
            if amounts:
                median = amounts[len(amounts) // 2]
                yield {lowest[parameter.member].name: median, parameter.name: median}


def _list_amounts(parameter: ValueParameter, records: list[dict[str, Any]]) -> list[str]:
    """Return the amounts of the records, without those that are no plain numbers."""
    values = [str(record.get(parameter.member, "")) for record in records]
    return [value for value in values if _AMOUNT.fullmatch(value)]


def _read_amount(text: str) -> Decimal:
    return Decimal(text)


def _build_window_queries(window: Window, records: list[dict[str, Any]]) -> Iterator[Query]:
    """Yield windows that begin or end at the very time of the median record: both ends are inclusive."""
    times = sorted(_list_times(window, records), key=_read_time)
    if not times:
        return
    median, earliest = (_format_end(window, text) for text in (times[len(times) // 2], times[0]))
    yield {window.oldest: median}
    yield {window.oldest: median, window.newest: median}
    yield {window.oldest: earliest, window.newest: _LONG_AHEAD[window.reads]}
    if not window.months:
        yield {window.newest: median}
    if window.reads == "date-time":
        moment = _read_time(median)
        yield {window.oldest: moment.astimezone(_EASTERNMOST).isoformat()}
        # Fractions of seconds are allowed (RFC 3339); a window does not begin with the day, or the minute, of its time.
        yield {window.oldest: (moment + timedelta(milliseconds=1)).isoformat(timespec="milliseconds")}
        # A server that compares without offsets loses records that have another one than the query.
        by_offset = {_read_time(text).utcoffset(): text for text in times}
        yield from ({window.oldest: text, window.newest: text} for text in list(by_offset.values())[:MAX_OFFSETS])
        before = moment - timedelta(seconds=1)
        if before > _read_time(earliest):
            yield {window.oldest: earliest, window.newest: before.isoformat(timespec="seconds")}
    yield {window.oldest: earliest, window.newest: median}


def _build_half_windows(everything: CallSequence) -> Iterator[Query]:
    """Yield windows of which only the end is given, at the median record and at the latest.

    A year may be 365 days or twelve months long, so that none begins within two days of a record.
    """
    for window in everything.operation.parameters:
        if not isinstance(window, Window) or not window.months or not everything.is_whole:
            continue
        times = sorted(_list_times(window, everything.records), key=_read_time)
        for text in dict.fromkeys((times[len(times) // 2], times[-1])) if times else ():
            given = {window.newest: _format_end(window, text)}
            parsed, _ = read_parameters(everything.operation, given, datetime.now(UTC))
            begins = [each.value for each in parsed.filters if isinstance(each.value, datetime)]
            if all(abs(_read_time(time) - begins[0]) > timedelta(days=2) for time in times):
                yield given


def _format_end(window: Window, text: str) -> str:
    """Return the time of a record as an end of a window: as it is, or its day."""
    return _read_time(text).astimezone(UTC).date().isoformat() if window.reads == "date" else text


def _find_earliest(window: Window, records: list[dict[str, Any]]) -> str:
    return min(_list_times(window, records), key=_read_time)


def _list_times(window: Window, records: list[dict[str, Any]]) -> list[str]:
    """Return the time by which a window selects each of the records that have one."""
    values = ([record[name] for name in (window.member, *window.otherwise) if record.get(name)] for record in records)
    return [str(found[0]) for found in values if found]


def _read_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
