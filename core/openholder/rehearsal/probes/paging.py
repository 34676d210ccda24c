"""Limits of pages, and that the same question has the same answer: at once, in parts, and again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple

from openholder.contract.operations import Operation
from openholder.rehearsal.exchange import Leg, records, route
from openholder.rehearsal.findings import Outcome, Rule, found, passed
from openholder.rehearsal.judges.lists import listed
from openholder.rehearsal.probes import compared, fullest
from openholder.rehearsal.scene import LARGE_PAGE, Scene, Visit

DEFAULT_SIZE = 25
NOBODY_S = "nobody@no-such-host.invalid"
WHOLE = Rule(
    "pages-make-the-list", "error",
    expected="Small pages one after the other are the same records, in the same order, as one large page.",
    why="What falls between two pages is never seen; what overlaps is seen twice.",
    written="Consumer Data Standards, pagination; Fiskil, integration requirements: paging of lists",
    mend="Order the records totally, ties by id, before a page is cut.",
)  # fmt: skip
STABLE = Rule(
    "same-answer-again", "error",
    expected="The same question, asked again, has the same answer.",
    why="Recipients cannot tell what is new from what was shuffled.",
    written="RFC 9110 section 9.2.2: idempotent methods; Consumer Data Standards, data quality",
    mend="Give records a total order and ids that stay. Rehearse on data that nobody changes meanwhile.",
)  # fmt: skip
DEFAULTS = Rule(
    "default-page-size", "error",
    expected=f"Without page-size a page has at most {DEFAULT_SIZE} records.",
    why="Recipients that leave it out get pages of another size than the standard says.",
    written="Consumer Data Standards, pagination: page-size defaults to 25",
    mend="Default to 25.",
)  # fmt: skip
LIMITS = Rule(
    "page-limits", "error",
    expected="A page or page-size that there cannot be is refused: 400 below 1, no number, or above 1000;"
    " 422 for a page behind the last.",
    why="Recipients take an empty page for the end, or get more than they can hold.",
    written="Consumer Data Standards, error codes: Field/Invalid, Field/InvalidPageSize, Field/InvalidPage",
    mend="Check page and page-size before the records are read, and page against the total after.",
)  # fmt: skip
CASELESS = Rule(
    "email-in-any-case", "error",
    expected="An e-mail address is found whichever case it is typed in.",
    why="People type addresses as they like; who is not found cannot log in.",
    written="Fiskil, end-user authentication; RFC 5321 section 2.4 (domains), common practice for the rest",
    mend="Fold A-Z on both sides of the comparison.",
)  # fmt: skip
NOBODY = Rule(
    "nobody-found", "error",
    expected="An address that nobody has gives an empty list.",
    why="The login page must be able to say that the address is not known.",
    written="Fiskil, customer search: data is required",
    mend="Compare the whole address; answer 200 with an empty `data`.",
)  # fmt: skip


class Refused(NamedTuple):
    """A page that there cannot be."""

    query: str
    statuses: tuple[int, ...]


REFUSED = (
    Refused("page=0", (400,)),
    Refused("page=-1", (400,)),
    Refused("page=two", (400,)),
    Refused("page-size=0", (400,)),
    Refused("page-size=1001", (400,)),
    Refused("page=100000", (422,)),
)


async def repeated(scene: Scene) -> AsyncIterator[Outcome]:
    """Ask all lists again: in one large page, without a size, with pages that there cannot be, and as before."""
    for operation in scene.served:
        leg = fullest(scene, operation)
        if leg and operation.reply.paging:
            async for outcome in _whole(scene, leg):
                yield outcome
        if leg and operation.reply.paging == "page":
            async for outcome in _defaulted(scene, leg):
                yield outcome
            async for outcome in _limited(scene, leg):
                yield outcome
    for operation in scene.served:
        for leg in _legs(scene.visits, operation):
            yield await _again(scene, leg)
    async for outcome in _searched(scene):
        yield outcome


def _legs(visits: Sequence[Visit], operation: Operation) -> list[Leg]:
    """What is asked again: everything for the first person, and for the others as far as only they have it."""
    answered = ([leg for leg in visit.legs.get(operation.name, ()) if leg.whole] for visit in visits)
    return next(filter(None, answered), [])


async def _whole(scene: Scene, leg: Leg) -> AsyncIterator[Outcome]:
    large = await scene.leg(leg.operation, leg.ids, LARGE_PAGE[leg.operation.reply.paging], accounts=leg.asked)
    yield compared(WHOLE, large, leg.records, "in one large page, against small ones: ")
    for outcome in listed(large):
        yield outcome


async def _again(scene: Scene, leg: Leg) -> Outcome:
    again = await scene.leg(
        leg.operation, leg.ids, leg.first.request.query, body=leg.first.request.body, accounts=leg.asked
    )
    return compared(STABLE, again, leg.records)


async def _defaulted(scene: Scene, leg: Leg) -> AsyncIterator[Outcome]:
    default = await scene.leg(leg.operation, leg.ids, "", accounts=leg.asked)
    held, where, first = len(records(default.first)), route(leg.operation), default.first
    due = min(len(leg.records), DEFAULT_SIZE)
    if first.good and held == due:
        yield passed(DEFAULTS, where)
        for outcome in listed(default):
            yield outcome
    else:
        yield found(DEFAULTS, where, f"{held} records" if first.good else first.came, first.request)


async def _limited(scene: Scene, leg: Leg) -> AsyncIterator[Outcome]:
    where = route(leg.operation)
    for query, statuses in REFUSED:
        exchange = await scene.ask(leg.operation, leg.ids, accounts=leg.asked, query=query)
        good = exchange.status in statuses
        yield passed(LIMITS, where) if good else found(LIMITS, where, exchange.came, exchange.request)


async def _searched(scene: Scene) -> AsyncIterator[Outcome]:
    """The search by the same address in other letters, and by one that nobody has."""
    visit = scene.visits[0]
    for leg in visit.legs.get("searchCustomers", ()):
        where = route(leg.operation)
        other = await scene.leg(leg.operation, leg.ids, email=visit.email.swapcase())
        yield compared(CASELESS, other, leg.records)
        for email, note in _nobody_s(visit.email):
            none = await scene.ask(leg.operation, leg.ids, email=email, note=note)
            empty = none.good and not records(none)
            refused = email != NOBODY_S and none.status == 400  # it may not look like an address
            good = empty or refused
            yield passed(NOBODY, where) if good else found(NOBODY, where, f"{none.came}: {note}", none.request)


def _nobody_s(email: str) -> Iterator[tuple[str, str]]:
    """Addresses that nobody has, three of them close to one that somebody has."""
    yield NOBODY_S, "an address nobody has"
    yield email[:-1], "an address without its last letter"
    yield email[1:], "an address without its first letter"
    yield f"_{email[1:]}", "an address with a wildcard of SQL in it"
