"""Query parameters: that filters really filter, stay in the links, and refuse what they cannot read.

What a filter must give is worked out from the records that came without it, by the filter that the parameter stands
for in openholder's own table of operations.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlencode

from openholder.contract.operations import Operation
from openholder.contract.parameters import Choice, Parameter, ValueParameter, Window
from openholder.contract.query_string import read_parameters
from openholder.errors import SourceFault
from openholder.query import Filter
from openholder.rehearsal.checks.lists import check_list, get_account_id
from openholder.rehearsal.exchange import CallSequence, format_route, get_member
from openholder.rehearsal.probes import compare_records, find_fullest
from openholder.rehearsal.results import Result, Rule, fail_rule, pass_rule, skip_rule
from openholder.rehearsal.session import LARGE_PAGE, SMALL_PAGE, Session, read_next_query

FILTERS = Rule(
    name="filters-applied",
    severity="error",
    expected="With a filter, exactly those records come that fulfil it, in the order they had without it.",
    why="Recipients get what they did not ask for, or miss what they asked for.",
    reference="Consumer Data Standards, the operation's query parameters; both ends of a window are inclusive",
    how_to_fix="Apply the filter where the records are selected; compare moments and amounts by value, not as text.",
)
KEPT = Rule(
    name="links-keep-filters",
    severity="error",
    expected="The links of a filtered list keep its filters.",
    why="From the second page on, recipients read another list.",
    reference="Consumer Data Standards, pagination: links; Fiskil, examples of lists",
    how_to_fix="Make links of the whole query that was asked, with another page.",
)
BAD_VALUE = Rule(
    name="invalid-parameter",
    severity="error",
    expected="A value that a parameter cannot have is answered with 400.",
    why="A filter that is dropped in silence gives records that were not asked for.",
    reference="Consumer Data Standards, error codes: Field/Invalid, Field/InvalidDateTime",
    how_to_fix="Check every parameter before the records are read.",
)
DEFAULTS = Rule(
    name="default-filters",
    severity="error",
    expected="Without parameters the standard's defaults hold: transactions of twelve months, invoices of"
    " twenty-four, plans that are active.",
    why="Who asks for nothing special gets more, or less, than the customer was told.",
    reference="Consumer Data Standards, the operation's query parameters: defaults",
    how_to_fix="Fill in the defaults before selecting records: a window ends now and begins the default time before.",
)
UNHEARD = Rule(
    name="unknown-parameter",
    severity="warning",
    expected="A parameter that the operation does not have changes nothing.",
    why="Standards grow: what a newer recipient adds must not break it.",
    reference="Consumer Data Standards, extensibility",
    how_to_fix="Ignore parameters that are not known.",
)
_UNREADABLE = {"date-time": "yesterday", "date": "2026-02-30", "amount": "a lot"}
_AHEAD = timezone(timedelta(hours=14))
"""Where the day begins first: the same moment, in a text that is greater than any other of it."""
_ENDS = {
    "date-time": ("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    "date": ("2026-02-01", "2026-01-01"),
}
_LONG_AGO = {"date-time": "1990-01-01T00:00:00Z", "date": "1990-01-01"}


async def probe_filters(session: Session) -> AsyncIterator[Result]:
    """Try each parameter of each list that is served, on the fullest answer there was."""
    for operation in session.served:
        sequence = find_fullest(session, operation)
        parameters = (*operation.parameters, *operation.account_parameters)
        if sequence is None or not operation.reply.many or not parameters:
            continue
        whole = await _asked(session, sequence, _unfiltered(operation))
        queries = [list(_QUERIES[type(one)](one, whole.records)) if whole.is_complete else [] for one in parameters]
        for parameter, made in zip(parameters, queries, strict=True):
            async for result in _tried(session, sequence, whole, made):
                yield result
            async for result in _misused(session, sequence, parameter):
                yield result
        async for result in _tried(session, sequence, whole, list(_together(queries))):
            yield result
        undone = _unfiltered(operation) | _beginnings(operation)
        if undone:
            yield await _defaulted(session, sequence, undone)
        yield await _unheard(session, sequence)


def _unfiltered(operation: Operation) -> dict[str, str]:
    """What switches off the defaults that leave records out."""
    choices = (parameter for parameter in operation.parameters if isinstance(parameter, Choice))
    return {choice.name: "ALL" for choice in choices if "ALL" in choice.filters}


async def _asked(session: Session, sequence: CallSequence, query: Mapping[str, str]) -> CallSequence:
    asked = "&".join(filter(None, (LARGE_PAGE[sequence.operation.reply.paging], urlencode(query))))
    return await session.call_all_pages(sequence.operation, sequence.ids, asked, accounts=sequence.account_ids)


async def _tried(
    session: Session, sequence: CallSequence, whole: CallSequence, queries: Sequence[dict[str, str]]
) -> AsyncIterator[Result]:
    if not queries:
        yield skip_rule(FILTERS, format_route(sequence.operation), "no record has a value to try a filter on")
    for query in queries:
        query = {**_unfiltered(sequence.operation), **query}
        came = await _asked(session, sequence, query)
        yield _compared(session, whole, came, query)
        for result in check_list(came):
            yield result
        yield await (_kept if sequence.operation.reply.paging == "page" else _walked)(session, came, query)


async def _misused(session: Session, sequence: CallSequence, parameter: Parameter) -> AsyncIterator[Result]:
    where = format_route(sequence.operation)
    for refused in _refused(parameter):
        exchange = await session.call(
            sequence.operation, sequence.ids, accounts=sequence.account_ids, query=urlencode(refused)
        )
        good = exchange.status == 400
        yield (
            pass_rule(BAD_VALUE, where) if good else fail_rule(BAD_VALUE, where, exchange.status_text, exchange.request)
        )


def _together(queries: Iterable[Sequence[dict[str, str]]]) -> Iterator[dict[str, str]]:
    """The first query of each parameter in one: all filters must hold, not one of them."""
    firsts = [made[0] for made in queries if made]
    if len(firsts) > 1:
        yield {name: value for query in firsts for name, value in query.items()}


async def _defaulted(session: Session, sequence: CallSequence, undone: Mapping[str, str]) -> Result:
    """Ask without any parameter, and with those that switch off what holds then."""
    whole = await _asked(session, sequence, undone)
    return _compared(session, whole, await _asked(session, sequence, {}), {}, DEFAULTS)


def _beginnings(operation: Operation) -> dict[str, str]:
    """Windows that begin before anything did, for those that begin some months ago by default."""
    windows = (parameter for parameter in operation.parameters if isinstance(parameter, Window))
    return {window.oldest: _LONG_AGO[window.reads] for window in windows if window.months}


def _compared(
    session: Session, whole: CallSequence, came: CallSequence, query: Mapping[str, str], rule: Rule = FILTERS
) -> Result:
    if not whole.is_complete:
        return skip_rule(rule, format_route(whole.operation), "the whole list did not come")
    try:
        due = [record for record in whole.records if _fulfils(session, whole.operation, record, query)]
    except SourceFault:
        return skip_rule(rule, format_route(whole.operation), "a record has a value that cannot be compared")
    return compare_records(rule, came, due, f"{', '.join(query)}: " if query else "")


def _fulfils(session: Session, operation: Operation, record: dict[str, Any], query: Mapping[str, str]) -> bool:
    asked, _ = read_parameters(operation, query, datetime.now(UTC))
    account = _account(session, operation, record) if asked.account_filters else {}
    return _all(asked.filters, record) and _all(asked.account_filters, account)


def _all(filters: list[Filter], record: Mapping[str, Any]) -> bool:
    return all(condition.admits(record) for condition in filters)


def _account(session: Session, operation: Operation, record: dict[str, Any]) -> dict[str, Any]:
    """The account that a record belongs to, as the sector's list has shown it."""
    known = (row for run in session.runs for _, row in run.find_records(f"{operation.sector}.accounts"))
    return next((row for row in known if row.get("accountId") == get_account_id(record)), {})


async def _walked(session: Session, came: CallSequence, query: Mapping[str, str]) -> Result:
    """Whether the cursors of small pages keep the filters."""
    small = "&".join(filter(None, (SMALL_PAGE[came.operation.reply.paging], urlencode(query))))
    parts = await session.call_all_pages(came.operation, came.ids, small, accounts=came.account_ids)
    return compare_records(KEPT, parts, came.records, "in small pages: ")


async def _kept(session: Session, sequence: CallSequence, query: Mapping[str, str]) -> Result:
    """Whether the links of a first small page keep the filters."""
    where = format_route(sequence.operation)
    narrow = urlencode({"page-size": "1", **query})
    exchange = await session.call(sequence.operation, sequence.ids, accounts=sequence.account_ids, query=narrow)
    following = parse_qs(read_next_query(sequence.operation, exchange, narrow))
    lost = [name for name, value in query.items() if following and following.get(name) != [value]]
    if get_member(exchange.json, "links", "next") is None:
        return skip_rule(KEPT, where, "one page has it all")
    return (
        fail_rule(KEPT, where, f"next is without {', '.join(lost)}", exchange.request)
        if lost
        else pass_rule(KEPT, where)
    )


async def _unheard(session: Session, sequence: CallSequence) -> Result:
    query = f"{sequence.first.request.query}&x-unheard-of=1".lstrip("&")
    exchange = await session.call(sequence.operation, sequence.ids, accounts=sequence.account_ids, query=query)
    where = format_route(sequence.operation)
    return (
        pass_rule(UNHEARD, where)
        if exchange.is_ok
        else fail_rule(UNHEARD, where, exchange.status_text, exchange.request)
    )


def _refused(parameter: Parameter) -> Iterator[dict[str, str]]:
    """Values that a parameter cannot have, and a window that ends before it begins."""
    reads = "choice" if isinstance(parameter, Choice) else parameter.reads
    value = _UNREADABLE.get(reads, "NO_SUCH_VALUE" if reads == "choice" else "")
    if value:
        yield from ({name: value} for name in parameter.names)
    if isinstance(parameter, Window):
        later, earlier = _ENDS[parameter.reads]
        yield {parameter.oldest: later, parameter.newest: earlier}


def _of_choice(choice: Choice, records: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    return ({choice.name: value} for value in choice.filters)


def _of_given(given: ValueParameter, records: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """A value that some of the records have: of amounts the one in the middle, of texts a word of each member.

    And what means any text in SQL: here it is a sign like others.
    """
    for name in (given.member, *given.otherwise):
        values = [str(record[name]) for record in records if record.get(name) not in (None, "")]
        if values and given.reads == "amount":
            yield {given.name: sorted(values, key=_amount)[len(values) // 2]}
        elif values:
            yield {given.name: max(values[0].split(), key=len, default=values[0])}
    if records and given.reads == "text":
        yield {given.name: "%"}


def _amount(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _of_window(window: Window, records: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """From the record in the middle on, and up to it: its very moment, since both ends are inclusive."""
    members = (window.member, *window.otherwise)
    firsts = (next((str(record[name]) for name in members if record.get(name)), "") for record in records)
    times = sorted(filter(None, firsts), key=_sortable)
    if times:
        form = _FORMS[window.reads]
        middle, earliest = form(times[len(times) // 2]), form(times[0])
        yield {window.oldest: middle}
        if window.reads == "date-time":
            yield {window.oldest: _sortable(middle).astimezone(_AHEAD).isoformat()}
        yield {window.oldest: earliest, window.newest: middle}


def _sortable(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_FORMS: Mapping[str, Callable[[str], str]] = {
    "date-time": lambda text: text,
    "date": lambda text: _sortable(text).astimezone(UTC).date().isoformat(),
}
_QUERIES: Mapping[type, Callable[[Any, list[dict[str, Any]]], Iterator[dict[str, str]]]] = {
    Choice: _of_choice,
    ValueParameter: _of_given,
    Window: _of_window,
}
