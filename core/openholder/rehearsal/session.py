"""The state of a rehearsal: who logs in, what was answered, and which requests follow from that."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import quote

from openholder.contract.operation import Sector
from openholder.contract.operations import Operation
from openholder.rehearsal.caller import Caller
from openholder.rehearsal.exchange import CallSequence, Exchange, Request
from openholder.rehearsal.measures import LoadResult
from openholder.rehearsal.raw import IdleConnection
from openholder.rehearsal.side_by_side import Turn, take_turn
from openholder.rehearsal.walking import walk_pages

T = TypeVar("T")
Ids = Mapping[str, str]
PAGE_SIZE = 8
"""Records per page; small, so that most lists have several pages."""
SMALL_PAGE = {None: "", "page": f"page-size={PAGE_SIZE}", "offset": f"limit={PAGE_SIZE}"}
"""The query for the first small page, by the operation's style of paging."""
LARGE_PAGE = {None: "", "page": "page-size=1000", "offset": "limit=1000"}
"""The query for the largest page that the CDS allow, by the operation's style of paging."""
UNKNOWN_ID = "no-such-id-7f3a"
"""An id that no server has."""
MAX_LOAD_SECONDS = 3000
"""The longest load: its tokens, signed in advance, must outlive it, and many servers accept one hour at most."""
MAX_LOAD_REQUESTS = 100_000
"""The largest load: its tokens are kept in memory and take about a minute to sign."""
MAX_RETRIES = 60
"""The number of failed requests that are sent again, to tell a fault that is always there from one that is not."""
MAX_WAIT = 120.0
"""Seconds that all waiting after 429 may take together."""
MAX_IN_FLIGHT = 16
"""Requests at once, except for those that must be sent at the same moment: fewer than any holder must answer."""
NOT_FOUND = 404
_NOT_SERVED_STATUSES = {405, 501}
_NOT_SERVED_CODES = ("NotImplemented", "NotFound", "not_found", "invalid_request")


class ServerGone(Exception):
    """A server that had answered before refuses connections."""


class ServerBusy(Exception):
    """A server asks to wait longer than the rehearsal does."""


class Stopped(Exception):
    """Somebody ends the rehearsal before its end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to rehearse."""

    operations: tuple[Operation, ...]
    """In the order of the requests: the consent flow first."""
    emails: tuple[str, ...] = ()
    """The people who log in, one after the other. The second and later ones also own the foreign data of the first."""
    customers: tuple[str, ...] = ()
    """Ids of customers who log in with the holder's OpenID Connect provider: search and details are skipped."""
    sectors: frozenset[Sector] = frozenset()
    """The sectors named by the user: an operation of these that is not served is a failure."""
    is_part: bool = False
    """Whether operations of the server were left out, so that nothing follows from what was not received."""
    shared: frozenset[str] = frozenset()
    """The accounts to consent to, of those offered; empty for all but the last."""
    accounts: int = 10
    """The largest number of accounts to consent to."""
    attacks: bool = True
    rate: float = 0
    """Requests per second of the load; there is no load without both ``rate`` and ``seconds``."""
    seconds: float = 0
    """Duration of the load."""

    def __post_init__(self) -> None:
        if (
            min(self.rate, self.seconds) < 0
            or self.seconds > MAX_LOAD_SECONDS
            or self.rate * self.seconds > MAX_LOAD_REQUESTS
        ):
            raise ValueError(
                f"a load lasts at most {MAX_LOAD_SECONDS // 60} minutes and has at most {MAX_LOAD_REQUESTS} requests"
            )


@dataclass
class CustomerRun:
    """One person's part of the rehearsal: the customer, the accounts consented to, and all responses."""

    email: str = ""
    customer_id: str = ""
    accounts: tuple[str, ...] = ()
    """The accounts that the person consents to share."""
    offered: tuple[str, ...] = ()
    """All accounts of the consent list."""
    sequences: dict[str, list[CallSequence]] = field(default_factory=lambda: defaultdict(list))
    """By the name of the operation."""

    def find_records(self, collection: str) -> list[tuple[CallSequence, dict[str, Any]]]:
        """Return all records of a collection, each with the sequence that it was received in."""
        return [
            (sequence, record)
            for sequences in self.sequences.values()
            for sequence in sequences
            if sequence.operation.collection == collection
            for record in sequence.records
        ]

    def find_accounts(self, sector: Sector) -> list[str]:
        """Return the shared accounts of a sector; all shared accounts if the sector's list was not answered."""
        lists = [
            sequence
            for sequences in self.sequences.values()
            for sequence in sequences
            if sequence.operation.collection == f"{sector}.accounts"
            and sequence.operation.reply.many
            and sequence.first.is_ok
        ]
        if not lists:
            return list(self.accounts)
        listed = dict.fromkeys(str(record.get("accountId")) for sequence in lists for record in sequence.records)
        return [account for account in listed if account in self.accounts]


@dataclass
class Session:
    """Everything known about the rehearsal so far."""

    caller: Caller
    plan: Plan
    runs: list[CustomerRun] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    """All exchanges except those of the load."""
    timings: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each response with data before the attacks, by route."""
    load: LoadResult | None = None
    waited: float = 0.0
    """Seconds for which the server asked to wait."""
    is_cut: bool = False
    """True if the server asked to wait too long, or the rehearsal was stopped."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to end the rehearsal before its end."""
    closed_until: float = 0.0
    """When the next request may be sent, in seconds of the monotonic clock."""
    hiccups: list[Exchange] = field(default_factory=list)
    """Failed responses to requests that were answered when they were sent again."""
    retries: int = 0
    idle: tuple[IdleConnection, asyncio.Future[None]] | None = None
    """A connection without requests, and the task that waits with it."""
    unread: list[tuple[Turn, str, str]] = field(default_factory=list)
    """The subjects that were not looked at to their end, such as routes of lists, and why."""
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_IN_FLIGHT))
    """One for each request that may wait for its response."""
    on_progress: Callable[[str], None] = lambda _: None
    """Called with the name of each phase and the redacted text of each request."""

    def sort_by_turn(self) -> None:
        """Put what was recorded into an order that does not depend on which response came first."""
        self.exchanges.sort(key=lambda exchange: exchange.turn)
        self.hiccups.sort(key=lambda exchange: exchange.turn)

    @property
    def untried(self) -> tuple[tuple[str, str], ...]:
        """What was not looked at to its end, and the first reason for that."""
        reasons: dict[str, str] = {}
        for _, subject, reason in sorted(self.unread):
            reasons.setdefault(subject, reason)
        return tuple(reasons.items())

    @property
    def served_operations(self) -> list[Operation]:
        """The operations that were answered with data at least once."""
        return [
            operation
            for operation in self.plan.operations
            if any(sequence.first.is_ok for run in self.runs for sequence in run.sequences.get(operation.name, ()))
        ]

    async def send(self, request: Request, is_bound: bool = True) -> Exchange:
        """Send one request and record the exchange.

        Args:
            request: The request.
            is_bound: Whether the request waits while too many others are in flight.

        Raises:
            ServerGone: The server refuses connections.
            ServerBusy: The server asks to wait too long.
            Stopped: The rehearsal is stopped.
        """
        turn = take_turn()
        exchange = replace(await self.until_stopped(self.send_patiently(request, is_bound)), turn=turn)
        if exchange.is_unreachable and any(earlier.status for earlier in self.exchanges):
            raise ServerGone
        self.exchanges.append(exchange)
        if request.is_ordinary and exchange.is_hiccup and self.retries < MAX_RETRIES:
            self.retries += 1
            again = replace(await self.until_stopped(self.send_patiently(request, is_bound)), turn=turn)
            self.exchanges.append(again)
            if not again.is_hiccup:
                self.hiccups.append(exchange)
                return again
        return exchange

    async def until_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something, unless the rehearsal is stopped before it is done.

        Raises:
            Stopped: The rehearsal is stopped.
        """
        tasks = asyncio.create_task(work), asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                return tasks[0].result()
            raise Stopped
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def send_at_once(self, requests: Iterable[Request]) -> list[Exchange]:
        """Send all requests at the same moment, whatever else is in flight."""
        return await asyncio.gather(*(self.send(request, is_bound=False) for request in requests))

    async def send_patiently(self, request: Request, is_bound: bool = True) -> Exchange:
        """Send one request, and again after the time for which the server asks (RFC 6585 section 4)."""
        waited = 0.0
        while True:
            async with self.slots if is_bound else nullcontext():
                if self.waited > MAX_WAIT:
                    raise ServerBusy
                await asyncio.sleep(max(0.0, self.closed_until - time.monotonic()))
                self.on_progress(request.redacted_text)
                exchange = await self.caller.send(request)
            wait = exchange.retry_after
            if wait is None:
                return replace(exchange, waited=waited)
            if "Retry-After" not in exchange.headers:
                self.hiccups.append(exchange)
            waited += wait
            now = time.monotonic()
            if now + wait > self.closed_until:
                self.waited += now + wait - max(now, self.closed_until)
                self.closed_until = now + wait

    async def call(self, operation: Operation, ids: Ids, **more: Any) -> Exchange:
        """Call an operation once; for ``more`` see `build_request`."""
        return await self.send(build_request(operation, ids, **more))

    async def call_all_pages(
        self, operation: Operation, ids: Ids, query: str | None = None, **more: Any
    ) -> CallSequence:
        """Call an operation and follow its pages, all of them if the list is not too long (`walk_pages`)."""
        query = SMALL_PAGE[operation.reply.paging] if query is None else query

        async def send(query: str) -> Exchange:
            return await self.call(operation, ids, query=query, **more)

        sequence = await walk_pages(send, operation, ids, query, more.get("accounts", ()))
        if sequence.unread:
            self.unread.append((take_turn(), sequence.route, sequence.unread))
        return sequence

    async def repeat(self, sequence: CallSequence, query: str, **more: Any) -> CallSequence:
        """Call the operation of a sequence again, with another query, and follow its pages to the last."""
        more.setdefault("accounts", sequence.account_ids)
        return await self.call_all_pages(sequence.operation, sequence.ids, query, **more)

    async def repeat_once(self, sequence: CallSequence, query: str, **more: Any) -> Exchange:
        """Call the operation of a sequence once more, with another query."""
        more.setdefault("accounts", sequence.account_ids)
        return await self.call(sequence.operation, sequence.ids, query=query, **more)


def build_request(
    operation: Operation, ids: Ids, *, accounts: Sequence[str] = (), email: str = "", **more: Any
) -> Request:
    """Build the request of an operation.

    Args:
        operation: The operation to call.
        ids: The path parameters.
        accounts: Account ids for the body of a bulk request.
        email: The address for the body of the customer search.
        more: Further fields of `Request`.
    """
    path = operation.path.format_map({name: quote(value, safe="") for name, value in ids.items()})
    if operation.whose == "search":
        more.setdefault("body", json.dumps({"email": email}).encode())
    elif operation.whose == "specific":
        more.setdefault("body", json.dumps({"data": {"accountIds": list(accounts)}}).encode())
    return Request(method=operation.method, path=path, operation=operation, **more)


def is_not_served(exchange: Exchange) -> bool:
    """Return whether the response means that the operation does not exist, with or without a CDS error code."""
    code = exchange.error_code.rpartition("/")[2]
    return exchange.status in _NOT_SERVED_STATUSES or (
        exchange.status == NOT_FOUND and not exchange.is_withheld and (not code or code in _NOT_SERVED_CODES)
    )


def is_not_offered(sequences: Sequence[CallSequence]) -> bool:
    """Return whether no customer gets an operation. A list may be missing with an error code of the holder's own."""
    return all(
        is_not_served(sequence.first)
        or (
            sequence.operation.reply.many
            and sequence.operation.whose not in ("search", "consent")
            and sequence.first.status == NOT_FOUND
            and not sequence.first.is_withheld
            and "Invalid" not in sequence.first.error_code
        )
        for sequence in sequences
    )


def choose_path_ids(operation: Operation, run: CustomerRun) -> list[Ids]:
    """Return the path parameters of each request to make for a customer."""
    own = {"customerId": run.customer_id}
    if "{customerId}" in operation.path and not run.customer_id:
        return []
    match re.findall(r"{(\w+)}", operation.path):
        case []:
            return [{}]
        case [*_, "accountId"]:
            ids = [{**own, "accountId": account} for account in run.find_accounts(operation.sector)]
            # An account that was answered before comes first: an operation need not be offered for each kind.
            answered = [each.ids for each in run.sequences.get(operation.name, ()) if each.is_complete]
            return sorted(ids, key=lambda each: each not in answered)
        case [*_, "customerId"]:
            return [own]
        case [*_, name]:
            # One record is enough, but it must have details to return.
            for sequence, record in run.find_records(operation.collection):
                if record.get(name) and record.get("isDetailAvailable", True):
                    return [{**sequence.ids, name: str(record[name])}]
    return []


def choose_accounts(operation: Operation, run: CustomerRun) -> Sequence[str]:
    """Return the account ids for the body of a bulk request; empty for all other operations."""
    if operation.whose != "specific":
        return ()
    # The list of accounts is asked for all shared ones: its response shows which of them belong to the sector.
    is_account_list = operation.collection.endswith(".accounts")
    return run.accounts if is_account_list else run.find_accounts(operation.sector)
