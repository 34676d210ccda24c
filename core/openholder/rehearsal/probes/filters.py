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
from openholder.rehearsal.exchange import Leg, at, route
from openholder.rehearsal.findings import Outcome, Rule, found, passed, skipped
from openholder.rehearsal.judges.lists import account_of, listed
from openholder.rehearsal.probes import compared, fullest
from openholder.rehearsal.scene import FIRST_PAGE, LARGE_PAGE, Scene, next_query

FILTERS = Rule(
    "filters-filter", "error",
    expected="With a filter, exactly those records come that fulfil it, in the order they had without it.",
    why="Recipients get what they did not ask for, or miss what they asked for.",
    written="Consumer Data Standards, the operation's query parameters; both ends of a window are inclusive",
    mend="Apply the filter where the records are selected; compare moments and amounts by value, not as text.",
)  # fmt: skip
KEPT = Rule(
    "links-keep-filters", "error",
    expected="The links of a filtered list keep its filters.",
    why="From the second page on, recipients read another list.",
    written="Consumer Data Standards, pagination: links; Fiskil, examples of lists",
    mend="Make links of the whole query that was asked, with another page.",
)  # fmt: skip
BAD_VALUE = Rule(
    "bad-parameter", "error",
    expected="A value that a parameter cannot have is answered with 400.",
    why="A filter that is dropped in silence gives records that were not asked for.",
    written="Consumer Data Standards, error codes: Field/Invalid, Field/InvalidDateTime",
    mend="Check every parameter before the records are read.",
)  # fmt: skip
DEFAULTS = Rule(
    "default-filters", "error",
    expected="Without parameters the standard's defaults hold: transactions of twelve months, invoices of"
    " twenty-four, plans that are active.",
    why="Who asks for nothing special gets more, or less, than the customer was told.",
    written="Consumer Data Standards, the operation's query parameters: defaults",
    mend="Fill in the defaults before the records are selected: the end of a window is now, its beginning before that.",
)  # fmt: skip
UNHEARD = Rule(
    "unknown-parameter", "warning",
    expected="A parameter that the operation does not have changes nothing.",
    why="Standards grow: what a newer recipient adds must not break it.",
    written="Consumer Data Standards, extensibility",
    mend="Ignore parameters that are not known.",
)  # fmt: skip
_UNREADABLE = {"date-time": "yesterday", "date": "2026-02-30", "amount": "a lot"}
_AHEAD = timezone(timedelta(hours=14))
"""Where the day begins first: the same moment, in a text that is greater than any other of it."""
_ENDS = {
    "date-time": ("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    "date": ("2026-02-01", "2026-01-01"),
}
_LONG_AGO = {"date-time": "1990-01-01T00:00:00Z", "date": "1990-01-01"}


async def filtered(scene: Scene) -> AsyncIterator[Outcome]:
    """Try each parameter of each list that is served, on the fullest answer there was."""
    for operation in scene.served:
        leg = fullest(scene, operation)
        parameters = (*operation.parameters, *operation.account_parameters)
        if leg is None or not operation.reply.many or not parameters:
            continue
        whole = await _asked(scene, leg, _unfiltered(operation))
        queries = [list(_QUERIES[type(one)](one, whole.records)) if whole.whole else [] for one in parameters]
        for parameter, made in zip(parameters, queries, strict=True):
            async for outcome in _tried(scene, leg, whole, made):
                yield outcome
            async for outcome in _misused(scene, leg, parameter):
                yield outcome
        async for outcome in _tried(scene, leg, whole, list(_together(queries))):
            yield outcome
        undone = _unfiltered(operation) | _beginnings(operation)
        if undone:
            yield await _defaulted(scene, leg, undone)
        yield await _unheard(scene, leg)


def _unfiltered(operation: Operation) -> dict[str, str]:
    """What switches off the defaults that leave records out."""
    choices = (parameter for parameter in operation.parameters if isinstance(parameter, Choice))
    return {choice.name: "ALL" for choice in choices if "ALL" in choice.filters}


async def _asked(scene: Scene, leg: Leg, query: Mapping[str, str]) -> Leg:
    asked = "&".join(filter(None, (LARGE_PAGE[leg.operation.reply.paging], urlencode(query))))
    return await scene.leg(leg.operation, leg.ids, asked, accounts=leg.asked)


async def _tried(scene: Scene, leg: Leg, whole: Leg, queries: Sequence[dict[str, str]]) -> AsyncIterator[Outcome]:
    if not queries:
        yield skipped(FILTERS, route(leg.operation), "no record has a value to try a filter on")
    for query in queries:
        query = {**_unfiltered(leg.operation), **query}
        came = await _asked(scene, leg, query)
        yield _compared(scene, whole, came, query)
        for outcome in listed(came):
            yield outcome
        yield await (_kept if leg.operation.reply.paging == "page" else _walked)(scene, came, query)


async def _misused(scene: Scene, leg: Leg, parameter: Parameter) -> AsyncIterator[Outcome]:
    where = route(leg.operation)
    for refused in _refused(parameter):
        exchange = await scene.ask(leg.operation, leg.ids, accounts=leg.asked, query=urlencode(refused))
        good = exchange.status == 400
        yield passed(BAD_VALUE, where) if good else found(BAD_VALUE, where, exchange.came, exchange.request)


def _together(queries: Iterable[Sequence[dict[str, str]]]) -> Iterator[dict[str, str]]:
    """The first query of each parameter in one: all filters must hold, not one of them."""
    firsts = [made[0] for made in queries if made]
    if len(firsts) > 1:
        yield {name: value for query in firsts for name, value in query.items()}


async def _defaulted(scene: Scene, leg: Leg, undone: Mapping[str, str]) -> Outcome:
    """Ask without any parameter, and with those that switch off what holds then."""
    whole = await _asked(scene, leg, undone)
    return _compared(scene, whole, await _asked(scene, leg, {}), {}, DEFAULTS)


def _beginnings(operation: Operation) -> dict[str, str]:
    """Windows that begin before anything did, for those that begin some months ago by default."""
    windows = (parameter for parameter in operation.parameters if isinstance(parameter, Window))
    return {window.oldest: _LONG_AGO[window.reads] for window in windows if window.months}


def _compared(scene: Scene, whole: Leg, came: Leg, query: Mapping[str, str], rule: Rule = FILTERS) -> Outcome:
    if not whole.whole:
        return skipped(rule, route(whole.operation), "the whole list did not come")
    try:
        due = [record for record in whole.records if _fulfils(scene, whole.operation, record, query)]
    except SourceFault:
        return skipped(rule, route(whole.operation), "a record has a value that cannot be compared")
    return compared(rule, came, due, f"{', '.join(query)}: " if query else "")


def _fulfils(scene: Scene, operation: Operation, record: dict[str, Any], query: Mapping[str, str]) -> bool:
    asked, _ = read_parameters(operation, query, datetime.now(UTC))
    account = _account(scene, operation, record) if asked.account_filters else {}
    return _all(asked.filters, record) and _all(asked.account_filters, account)


def _all(filters: list[Filter], record: Mapping[str, Any]) -> bool:
    return all(condition.admits(record) for condition in filters)


def _account(scene: Scene, operation: Operation, record: dict[str, Any]) -> dict[str, Any]:
    """The account that a record belongs to, as the sector's list has shown it."""
    known = (row for visit in scene.visits for _, row in visit.records(f"{operation.sector}.accounts"))
    return next((row for row in known if row.get("accountId") == account_of(record)), {})


async def _walked(scene: Scene, came: Leg, query: Mapping[str, str]) -> Outcome:
    """Whether the cursors of small pages keep the filters."""
    small = "&".join(filter(None, (FIRST_PAGE[came.operation.reply.paging], urlencode(query))))
    parts = await scene.leg(came.operation, came.ids, small, accounts=came.asked)
    return compared(KEPT, parts, came.records, "in small pages: ")


async def _kept(scene: Scene, leg: Leg, query: Mapping[str, str]) -> Outcome:
    """Whether the links of a first small page keep the filters."""
    where = route(leg.operation)
    narrow = urlencode({"page-size": "1", **query})
    exchange = await scene.ask(leg.operation, leg.ids, accounts=leg.asked, query=narrow)
    following = parse_qs(next_query(leg.operation, exchange, narrow))
    lost = [name for name, value in query.items() if following and following.get(name) != [value]]
    if at(exchange.json, "links", "next") is None:
        return skipped(KEPT, where, "one page has it all")
    return found(KEPT, where, f"next is without {', '.join(lost)}", exchange.request) if lost else passed(KEPT, where)


async def _unheard(scene: Scene, leg: Leg) -> Outcome:
    query = f"{leg.first.request.query}&x-unheard-of=1".lstrip("&")
    exchange = await scene.ask(leg.operation, leg.ids, accounts=leg.asked, query=query)
    where = route(leg.operation)
    return passed(UNHEARD, where) if exchange.good else found(UNHEARD, where, exchange.came, exchange.request)


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
