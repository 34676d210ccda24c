"""What a rehearsal knows: who logs in, what the answers said, and what may be asked next."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from openholder.contract.operation import Sector
from openholder.contract.operations import Operation
from openholder.rehearsal.caller import Caller
from openholder.rehearsal.exchange import Exchange, Leg, Request, at, records

if TYPE_CHECKING:
    from openholder.rehearsal.load import Load

Ids = Mapping[str, str]
PAGE_SIZE = 8
"""Records a page while walking: few, so that most lists have several."""
FIRST_PAGE = {None: "", "page": f"page-size={PAGE_SIZE}", "offset": f"limit={PAGE_SIZE}"}
LARGE_PAGE = {None: "", "page": "page-size=1000", "offset": "limit=1000"}
"""As much at once as the CDS let one ask for."""
MOST_PAGES = 500
"""Pages of one list that are followed."""
MADE_UP = "no-such-id-7f3a"
"""An id that no server has."""
LONGEST = 3000
"""Seconds that a load may last: its tokens, signed before, must live longer, and many servers accept an hour."""
MOST_REQUESTS = 100_000
"""Requests of a load: their tokens are kept in memory, and take about a minute to sign."""


_ABSENT = {404, 405, 501}
_MISSING = ("NotImplemented", "NotFound", "not_found", "invalid_request")


class Gone(Exception):
    """The server, which had answered before, is not there any more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be rehearsed."""

    operations: tuple[Operation, ...]
    """In the order in which they are asked: the consent flow first."""
    emails: tuple[str, ...] = ()
    """Who logs in, one after the other; those behind the first are walked too, and are the first one's strangers."""
    customers: tuple[str, ...] = ()
    """Ids of customers who log in elsewhere (an own OpenID Connect provider): no search, no details."""
    sectors: frozenset[Sector] = frozenset()
    """The sectors that were asked for by name: there an operation that is not served is told."""
    accounts: int = 10
    """At most so many accounts are consented to."""
    attacks: bool = True
    rate: float = 0
    """Requests a second of a load; without it, or without ``seconds``, there is none."""
    seconds: float = 0
    """How long the load lasts."""

    def __post_init__(self) -> None:
        if min(self.rate, self.seconds) < 0 or self.seconds > LONGEST or self.rate * self.seconds > MOST_REQUESTS:
            raise ValueError(f"a load lasts at most {LONGEST // 60} minutes and has at most {MOST_REQUESTS} requests")


@dataclass
class Visit:
    """One person's part: the customer that the person chose, the accounts consented to, everything answered."""

    email: str = ""
    customer_id: str = ""
    accounts: tuple[str, ...] = ()
    """The accounts of the consent list that the person agrees to share."""
    offered: tuple[str, ...] = ()
    """All accounts of the consent list."""
    legs: dict[str, list[Leg]] = field(default_factory=lambda: defaultdict(list))
    """By the name of the operation."""

    def records(self, collection: str) -> list[tuple[Leg, dict[str, Any]]]:
        """The records that were seen of a collection, each with the leg it came in."""
        legs = (leg for rows in self.legs.values() for leg in rows if leg.operation.collection == collection)
        return [(leg, record) for leg in legs for record in leg.records]

    def accounts_of(self, sector: Sector) -> list[str]:
        """The accounts of a sector, as its own list has shown them; all that are shared, where it has no list."""
        lists = [leg for rows in self.legs.values() for leg in rows if _lists(leg, f"{sector}.accounts")]
        if not lists:
            return list(self.accounts)
        shown = dict.fromkeys(str(record.get("accountId")) for leg in lists for record in leg.records)
        return [account for account in shown if account in self.accounts]


def _lists(leg: Leg, collection: str) -> bool:
    return leg.operation.collection == collection and leg.operation.reply.many and leg.first.good


@dataclass
class Scene:
    """The whole rehearsal so far."""

    caller: Caller
    plan: Plan
    visits: list[Visit] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    """Every one there was, but for those of the load."""
    timings: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each answer with data before the attacks, by route."""
    load: Load | None = None
    told: Callable[[str], None] = lambda _: None
    """Is told what happens now, for somebody who watches."""

    @property
    def served(self) -> list[Operation]:
        """The operations that answered somebody with data."""
        return [
            operation
            for operation in self.plan.operations
            if any(leg.first.good for visit in self.visits for leg in visit.legs.get(operation.name, ()))
        ]

    async def send(self, request: Request) -> Exchange:
        """Send a request that is a matter of its own."""
        self.told(request.told)
        exchange = await self.caller.send(request)
        if exchange.away and any(known.status for known in self.exchanges):
            raise Gone
        self.exchanges.append(exchange)
        return exchange

    async def ask(self, operation: Operation, ids: Ids, **more: Any) -> Exchange:
        """Ask an operation once. ``more``: ``accounts`` for the body, and what a `Request` has."""
        return await self.send(asking(operation, ids, **more))

    async def leg(self, operation: Operation, ids: Ids, query: str | None = None, **more: Any) -> Leg:
        """Ask an operation, and follow its pages to the end."""
        query = FIRST_PAGE[operation.reply.paging] if query is None else query
        asked, exchanges = [query], [await self.ask(operation, ids, query=query, **more)]
        while (following := next_query(operation, exchanges[-1], query)) not in ("", *asked):
            if len(asked) == MOST_PAGES:
                break
            asked.append(following)
            exchanges.append(await self.ask(operation, ids, query=following, **more))
            if records(exchanges[-1]) == records(exchanges[0]):
                break  # round in a circle, under new names
        return Leg(operation, ids, exchanges, more.get("accounts", ()))


def asking(operation: Operation, ids: Ids, *, accounts: Sequence[str] = (), email: str = "", **more: Any) -> Request:
    """The request that asks an operation about these ids."""
    path = operation.path.format_map({name: quote(value, safe="") for name, value in ids.items()})
    if operation.whose == "search":
        more.setdefault("body", json.dumps({"email": email}).encode())
    elif operation.whose == "specific":
        more.setdefault("body", json.dumps({"data": {"accountIds": list(accounts)}}).encode())
    return Request(method=operation.method, path=path, operation=operation, **more)


def next_query(operation: Operation, exchange: Exchange, first: str) -> str:
    """The query for the page behind this one, as Fiskil makes it of what came; empty behind the last."""
    if operation.reply.paging == "offset":
        cursor = at(exchange.json, "page", "nextOffset")
        return f"{first}&offset={quote(str(cursor), safe='')}" if cursor else ""
    link = at(exchange.json, "links", "next") if operation.reply.paging else None
    return link.rpartition("?")[2] if isinstance(link, str) else ""


def not_served(exchange: Exchange) -> bool:
    """Whether an answer says that there is no such operation, in the words of the CDS or in none of them."""
    code = exchange.code.rpartition("/")[2]
    return exchange.status in _ABSENT and (not code or code in _MISSING)


def targets(operation: Operation, visit: Visit) -> list[Ids]:
    """The ids to fill an operation's path with, one set for each request that is due to a person."""
    own = {"customerId": visit.customer_id}
    if "{customerId}" in operation.path and not visit.customer_id:
        return []
    match re.findall(r"{(\w+)}", operation.path):
        case []:
            return [{}]
        case [*_, "accountId"]:
            return [{**own, "accountId": account} for account in visit.accounts_of(operation.sector)]
        case [*_, "customerId"]:
            return [own]
        case [*_, name]:
            return _seen(operation, visit, name)
    return []


def _seen(operation: Operation, visit: Visit, name: str) -> list[Ids]:
    """The first record that a list has shown with an id of that name, and that has more to show."""
    shown = (
        {**leg.ids, name: str(record[name])}
        for leg, record in visit.records(operation.collection)
        if record.get(name) and record.get("isDetailAvailable", True)
    )
    return list(islice(shown, 1))


def chosen(operation: Operation, visit: Visit) -> Sequence[str]:
    """The accounts that a body names: all that are shared, to learn which are the sector's, and then only those."""
    if operation.whose != "specific":
        return ()
    listing = operation.collection.endswith(".accounts")
    return visit.accounts if listing else visit.accounts_of(operation.sector)
