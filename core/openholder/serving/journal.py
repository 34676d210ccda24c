"""What is recorded of a request: one log line, metrics, and an event for the observers.

The line has Fiskil's own field names, so that the logs of both sides can be compared. Ids of customers and accounts are
pseudonyms; tokens, addresses, names and queries never appear.
"""

from __future__ import annotations

import functools
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from structlog.typing import FilteringBoundLogger

from openholder.contract.collections import find_collection
from openholder.contract.conditions import Broken
from openholder.contract.operations import Operation
from openholder.gate import TokenFacts
from openholder.pseudonyms import make_pseudonym
from openholder.query import Row, text
from openholder.ratelimit import TokenBucket
from openholder.serving.metrics import Metrics, Recorders
from openholder.sources.hookspecs import FinishedRequest
from openholder.sources.registry import SourceRegistry

log: FilteringBoundLogger = structlog.get_logger("openholder")

PSEUDONYMS = 8192
"""Pseudonyms that are kept: one costs a third of what the line costs."""
LOGGED_REFUSALS = (100.0, 1000)
"""Log lines a second for 4xx answers and for whatever becomes of requests that were not let in, and the burst: anybody
can cause them, and they must not fill the disk. All of them are counted."""

ALARMING = ("foreign_record", "source_fault", "fault", "not_recorded", "overloaded")
"""Reasons that alerts look for."""
SHARING_REFUSALS = (403, 404, 422)
"""Statuses of refusals to share, as Fiskil's half-yearly report counts them."""
REPLAY_FAILED = "cannot_judge: replay store"
"""The beginning of the reason for a request that the replay store could not judge."""


CONDITION_PAUSE = 600.0
"""Seconds before the same broken condition is logged again: a mapping that breaks it does so in every record."""


@dataclass(slots=True)
class Entry:
    """What became of one request."""

    method: str
    route: str
    operation: str
    interaction_id: str
    ip: str
    status: int = 0
    size: int = 0
    seconds: float = 0.0
    reason: str = ""
    fault: str = ""
    """What failed in the server or a source: types, places and members, never values."""
    record: str = ""
    """The id of the record at fault. The log has a pseudonym of it."""
    admitted: bool = False
    refused: bool = False
    """Whether the answer has ``X-Sharing-Refused``."""
    ids: dict[str, str] = field(default_factory=dict)
    token: TokenFacts = field(default_factory=TokenFacts)
    source: str = ""
    judged: Operation | None = None
    """The operation, once somebody has looked whether the request may have it."""
    named: Sequence[str] = ()
    """What the body names: an address, or ids of accounts. Never logged."""
    rows: Sequence[Row] = ()
    """The rows in the answer. Never logged."""
    trace: str = ""
    """The id of the trace, if requests are traced."""
    span: Any = None
    """The span of OpenTelemetry then."""

    def describe(self) -> FinishedRequest:
        """Describe the request and its answer for observers."""
        customers = self.ids.get("customerId")
        account = self.ids.get("accountId")
        rows = self.rows if self.status == 200 else ()
        customer_ids, account_ids = _find_owners(self.judged, customers, account, self.named, rows)
        return FinishedRequest(
            interaction_id=self.interaction_id,
            operation=self.operation,
            method=self.method,
            customer_id=customers,
            account_id=account,
            status=self.status,
            reason=self.reason,
            seconds=self.seconds,
            route=self.route,
            admitted=self.admitted,
            refused=self.refused,
            customer_ids=customer_ids,
            account_ids=account_ids,
            records=len(rows),
            source=self.source,
            kid=self.token.kid,
        )


def _find_owners(
    operation: Operation | None, customer: str | None, account: str | None, named: Sequence[str], rows: Sequence[Row]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Find the customers and accounts whose data a request asks for, or else those of the rows that it gets."""
    customers = (customer,) if customer else ()
    if account or operation is None:
        return customers, (account,) if account else ()
    if operation.whose == "search":
        return tuple(dict.fromkeys(text(row["id"]) for row in rows)), ()
    if operation.whose == "specific":
        return customers, tuple(named)
    column = find_collection(operation.collection).owners.get("accountId", "")
    found = (row.get(column) for row in rows)
    return customers, tuple(dict.fromkeys(str(value) for value in found if value is not None))


@dataclass(slots=True)
class _BrokenCount:
    """Records that broke one condition since it was logged, and until when it is not logged again."""

    records: int = 0
    silent_until: float = 0.0


class Journal:
    """The log, metrics and observers of one server.

    ``key`` makes the pseudonyms; by default each start makes a new one.
    """

    def __init__(self, key: bytes = b"", metrics: Metrics | None = None) -> None:
        self.on_finished: Callable[[FinishedRequest], None] | None = None
        """Called with each answered request."""
        self.on_answer: Callable[[FinishedRequest], Awaitable[bool]] | None = None
        """Called with each judged request before its answer leaves. Returns whether it may leave."""
        key = key or secrets.token_bytes(32)
        self._pseudonym = functools.lru_cache(PSEUDONYMS)(functools.partial(make_pseudonym, key))
        # Errors have their own, so that a flood of refusals cannot hide them.
        self._limits = {
            level: TokenBucket(*LOGGED_REFUSALS, time.monotonic)
            for level in (logging.INFO, logging.ERROR, logging.CRITICAL)
        }
        self._unlogged = 0
        self._broken: dict[tuple[str, Broken], _BrokenCount] = {}
        self.metrics = metrics or Metrics()
        self._make_metrics(self.metrics)

    def _make_metrics(self, metrics: Metrics) -> None:
        self._count_request = Recorders(lambda labels: metrics.count("openholder_http_requests", *labels))
        self._observe_seconds = Recorders(lambda route: metrics.observe("openholder_http_request_seconds", route))
        self._count_reason = Recorders(lambda reason: metrics.count("openholder_http_refusals", reason))
        self._count_event = Recorders(lambda event: metrics.count("openholder_jwks_events", event))
        self._count_token = Recorders(lambda labels: metrics.count("openholder_tokens", *labels))
        self._count_sharing_refusal = Recorders(lambda status: metrics.count("openholder_sharing_refusals", status))
        self._observe_query = Recorders(lambda labels: metrics.observe("openholder_source_query_seconds", *labels))
        self._count_failure = Recorders(lambda labels: metrics.count("openholder_observer_failures", *labels))
        self._count_broken = Recorders(lambda labels: metrics.count("openholder_conditions_broken", *labels))
        self._observe_life = metrics.observe("openholder_token_life_seconds")
        self._count_replay_error = metrics.count("openholder_replay_errors")
        # Prometheus sees no rise in what begins with 1: what alerts look for begins with 0.
        for reason in ALARMING:
            self._count_reason[reason](0)
        for result in ("good", "refused"):
            metrics.count("openholder_reloads", result)(0)
        for status in SHARING_REFUSALS:
            self._count_sharing_refusal[status](0)

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics of this process."""
        return self.metrics.registry

    def count_key_event(self, event: str) -> None:
        """Count an event of the key cache."""
        self._count_event[event]()

    def count_query(self, source: str, outcome: str, seconds: float) -> None:
        """Count a query of a source."""
        self._observe_query[source, outcome](seconds)

    def count_failure(self, observer: str, hook: str) -> None:
        """Count an event that an observer failed to record."""
        self._count_failure[observer, hook]()

    def count_broken(self, collection: str, broken: Broken, records: int) -> None:
        """Count records that break a condition, and log the condition, but not in every answer."""
        self._count_broken[collection, broken.member, broken.fault, broken.severity](records)
        count = self._broken.setdefault((collection, broken), _BrokenCount())
        count.records += records
        now = time.monotonic()
        if now < count.silent_until:
            return
        log.warning(
            "condition broken",
            collection=collection,
            member=broken.member,
            fault=broken.fault,
            severity=broken.severity,
            wanted=broken.wanted,
            reference=broken.reference,
            records=count.records,
        )
        count.records, count.silent_until = 0, now + CONDITION_PAUSE

    def record(self, entry: Entry) -> None:
        """Record one answered request."""
        self._count_request[entry.route, entry.method, entry.status]()
        self._observe_seconds[entry.route](entry.seconds)
        if entry.admitted:
            self._count_token[entry.token.kid, entry.token.alg]()
            if entry.token.life is not None:
                self._observe_life(entry.token.life)
        if entry.reason:
            self._count_reason[entry.reason.partition(":")[0]]()
            if entry.reason.startswith(REPLAY_FAILED):
                self._count_replay_error()
        if entry.refused:
            self._count_sharing_refusal[entry.status]()
        self._log(entry)
        if self.on_finished:
            self.on_finished(entry.describe())

    async def have_recorded(self, entry: Entry) -> bool:
        """Have the observers record an answer before it leaves. Return whether it may."""
        return self.on_answer is None or await self.on_answer(entry.describe())

    def follow(self, sources: SourceRegistry) -> None:
        """Count the queries of these sources, and tell their observers of requests from now on, and nobody else."""
        sources.on_query = self.count_query
        sources.observers.on_failure = self.count_failure
        for name in sources.observers.recorders:
            self._count_failure[name, "record_answer"](0)
        self.on_finished, self.on_answer = sources.observers.notify, sources.observers.record

    def _log(self, entry: Entry) -> None:
        severe = entry.reason == "foreign_record"
        level = logging.CRITICAL if severe else logging.ERROR if entry.fault else logging.INFO
        logger = log.bind()
        if not logger.is_enabled_for(level):
            return
        is_limited = not entry.admitted or 400 <= entry.status < 500
        if is_limited and not self._limits[level].take():
            self._unlogged += 1
            return
        # One after the other: to write down all of them and then leave out the empty ones takes twice as long.
        fields: dict[str, Any] = {
            "fapi_interaction_id": entry.interaction_id,
            "method": entry.method,
            "route_pattern": entry.route,
            "status_code": entry.status,
            "latency_ms": round(entry.seconds * 1000, 2),
            "response_body_size": entry.size,
        }
        if entry.reason:
            fields["error_reason"] = entry.reason
        if entry.fault:
            fields["fault"] = entry.fault
            if entry.record:
                fields["record_id"] = self._pseudonym(entry.record)
        if customer_id := entry.ids.get("customerId"):
            fields["customer_id"] = self._pseudonym(customer_id)
        if account_id := entry.ids.get("accountId"):
            fields["account_id"] = self._pseudonym(account_id)
        if entry.ip:
            fields["ip"] = entry.ip
        token = entry.token
        if token.kid:
            fields["kid"] = token.kid
        if token.alg:
            fields["alg"] = token.alg
        if token.jti:
            fields["jti"] = token.jti
        if token.life is not None:
            fields["token_life"] = token.life
        if entry.source:
            fields["source"] = entry.source
        if entry.trace:
            fields["trace_id"] = entry.trace
        if self._unlogged:
            fields["unlogged_before"] = self._unlogged
            self._unlogged = 0
        logger.log(level, "request", **fields)
