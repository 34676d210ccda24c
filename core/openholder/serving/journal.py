"""What is recorded of a request: one log line, metrics, and an event for the observers.

The line has Fiskil's own field names, so that the logs of both sides can be compared. Ids of customers and accounts are
pseudonyms; tokens, addresses, names and queries never appear.
"""

from __future__ import annotations

import functools
import hmac
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.typing import FilteringBoundLogger

from openholder.contract.collections import find_collection
from openholder.contract.conditions import Broken
from openholder.contract.operations import Operation
from openholder.gate import TokenFacts
from openholder.query import Row
from openholder.ratelimit import TokenBucket
from openholder.sources.hookspecs import FinishedRequest
from openholder.sources.observers import Observers

log: FilteringBoundLogger = structlog.get_logger("openholder")

TIERS = (0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 4.0, 6.0)
"""Seconds. The upper ones are the response times of the CDS performance tiers."""

LIVES = (-30.0, 0.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
PSEUDONYMS = 8192
"""Pseudonyms that are kept: one costs a third of what the line costs."""
LOGGED_REFUSALS = (100.0, 1000)
"""Log lines a second for 4xx answers and for whatever becomes of requests that were not let in, and the burst: anybody
can cause them, and they must not fill the disk. All of them are counted."""


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
        return tuple(dict.fromkeys(str(row["id"]) for row in rows)), ()
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


class Recorders(dict[Any, Callable[..., None]]):
    """What counts under some labels, made on first use: metrics take longer to find it by the labels than to count."""

    def __init__(self, make: Callable[[Any], Callable[..., None]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, labels: Any) -> Callable[..., None]:
        recorder = self[labels] = self._make(labels)
        return recorder


class Journal:
    """The log, metrics and observers of one server.

    ``key`` makes the pseudonyms; by default each start makes a new one.
    """

    def __init__(self, key: bytes = b"") -> None:
        self.on_finished: Callable[[FinishedRequest], None] | None = None
        """Called with each answered request."""
        self.on_answer: Callable[[FinishedRequest], Awaitable[bool]] | None = None
        """Called with each judged request before its answer leaves. Returns whether it may leave."""
        key = key or secrets.token_bytes(32)
        self._pseudonym = functools.lru_cache(PSEUDONYMS)(
            lambda value: hmac.digest(key, value.encode(), "sha256").hex()[:16]
        )
        # Errors have their own, so that a flood of refusals cannot hide them.
        self._limits = {
            level: TokenBucket(*LOGGED_REFUSALS, time.monotonic)
            for level in (logging.INFO, logging.ERROR, logging.CRITICAL)
        }
        self._unlogged = 0
        self._broken: dict[tuple[str, Broken], _BrokenCount] = {}
        self.registry = CollectorRegistry()
        self._make_metrics(self.registry)

    def _make_metrics(self, registry: CollectorRegistry) -> None:
        requests = Counter(
            "openholder_http_requests", "Requests answered", ("route", "method", "status"), registry=registry
        )
        seconds = Histogram(
            "openholder_http_request_seconds", "Time to answer", ("route",), buckets=TIERS, registry=registry
        )
        reasons = Counter(
            "openholder_http_refusals", "Answers other than data, by reason", ("reason",), registry=registry
        )
        fetches = Counter(
            "openholder_jwks_events", "Key sets fetched or not, and unknown kids", ("event",), registry=registry
        )
        tokens = Counter("openholder_tokens", "Tokens let in, by key", ("kid", "alg"), registry=registry)
        life = Histogram(
            "openholder_token_life_seconds",
            "Seconds until a token expires: a drift shows a clock that is off",
            buckets=LIVES,
            registry=registry,
        )
        conditions = Counter(
            "openholder_conditions_broken",
            "Records served that break a condition of the CDS",
            ("collection", "member", "fault", "severity"),
            registry=registry,
        )
        self._count_broken = Recorders(lambda labels: conditions.labels(*labels).inc)
        self._count_request = Recorders(lambda labels: requests.labels(*labels).inc)
        self._observe_seconds = Recorders(lambda route: seconds.labels(route).observe)
        self._count_reason = Recorders(lambda reason: reasons.labels(reason).inc)
        self._count_event = Recorders(lambda event: fetches.labels(event).inc)
        self._count_token = Recorders(lambda labels: tokens.labels(*labels).inc)
        self._observe_life = life.observe
        self.loop_lag = Gauge("openholder_loop_lag_seconds", "How long the loop was held", registry=registry)
        self.jwks_age = Gauge("openholder_jwks_age_seconds", "Age of the key set in use", registry=registry)
        self.lost_lines = Gauge("openholder_log_lines_lost", "Log lines that nobody read", registry=registry)

    def watch_certificate(self, count_days_left: Callable[[], float]) -> None:
        """Report the days until the TLS certificate expires. Without TLS there is no such metric."""
        name, text = "openholder_tls_certificate_days_left", "Days until the TLS certificate in use expires"
        Gauge(name, text, registry=self.registry).set_function(count_days_left)

    def watch_connections(self, count: Callable[[], float]) -> None:
        """Report the open connections."""
        name, text = "openholder_http_connections", "Open connections"
        Gauge(name, text, registry=self.registry).set_function(count)

    def count_key_event(self, event: str) -> None:
        """Count an event of the key cache."""
        self._count_event[event]()

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
        self._log(entry)
        if self.on_finished:
            self.on_finished(entry.describe())

    async def have_recorded(self, entry: Entry) -> bool:
        """Have the observers record an answer before it leaves. Return whether it may."""
        return self.on_answer is None or await self.on_answer(entry.describe())

    def tell(self, observers: Observers) -> None:
        """Tell these observers of requests from now on, and nobody else."""
        self.on_finished, self.on_answer = observers.notify, observers.record

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
        if self._unlogged:
            fields["unlogged_before"] = self._unlogged
            self._unlogged = 0
        logger.log(level, "request", **fields)
