"""What is recorded of a request: one log line, metrics, and an event for the observers.

The line has Fiskil's own field names, so that the logs of both sides can be compared. Ids of customers and accounts are
pseudonyms; tokens, addresses, names and queries never appear.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from openholder.gate import TokenFacts
from openholder.ratelimit import TokenBucket
from openholder.sources.hookspecs import FinishedRequest

log = structlog.get_logger("openholder")

TIERS = (0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 4.0, 6.0)
"""Seconds. The upper ones are the response times of the CDS performance tiers."""

LIVES = (-30.0, 0.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
LOGGED_REFUSALS = (100.0, 1000)
"""Log lines a second for 4xx answers, and the burst: refusals must not fill the disk. All of them are counted."""


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
    admitted: bool = False
    ids: dict[str, str] = field(default_factory=dict)
    token: TokenFacts = field(default_factory=TokenFacts)
    source: str = ""


class Journal:
    """The log, metrics and observers of one server.

    ``key`` makes the pseudonyms; by default each start makes a new one.
    """

    def __init__(self, key: bytes = b"") -> None:
        self.on_finished: Callable[[FinishedRequest], None] = lambda _: None
        """Called with each answered request."""
        self._key = key or secrets.token_bytes(32)
        self._refusals_logged = TokenBucket(*LOGGED_REFUSALS, time.monotonic)
        self._unlogged = 0
        self.registry = CollectorRegistry()
        labels = ("route", "method", "status")
        self._requests = Counter("openholder_http_requests", "Requests answered", labels, registry=self.registry)
        self._seconds = Histogram(
            "openholder_http_request_seconds", "Time to answer", ("route",), buckets=TIERS, registry=self.registry
        )
        self._reasons = Counter(
            "openholder_http_refusals", "Answers other than data, by reason", ("reason",), registry=self.registry
        )
        self._fetches = Counter(
            "openholder_jwks_events", "Key sets fetched or not, and unknown kids", ("event",), registry=self.registry
        )
        self._tokens = Counter("openholder_tokens", "Tokens let in, by key", ("kid", "alg"), registry=self.registry)
        self._life = Histogram(
            "openholder_token_life_seconds",
            "Seconds until a token expires: a drift shows a clock that is off",
            buckets=LIVES,
            registry=self.registry,
        )
        self.loop_lag = Gauge("openholder_loop_lag_seconds", "How long the loop was held", registry=self.registry)
        self.jwks_age = Gauge("openholder_jwks_age_seconds", "Age of the key set in use", registry=self.registry)

    def watch_certificate(self, count_days_left: Callable[[], float]) -> None:
        """Report the days until the TLS certificate expires. Without TLS there is no such metric."""
        name, text = "openholder_tls_certificate_days_left", "Days until the TLS certificate in use expires"
        Gauge(name, text, registry=self.registry).set_function(count_days_left)

    def count_key_event(self, event: str) -> None:
        """Count an event of the key cache."""
        self._fetches.labels(event).inc()

    def record(self, entry: Entry) -> None:
        """Record one answered request."""
        self._requests.labels(entry.route, entry.method, str(entry.status)).inc()
        self._seconds.labels(entry.route).observe(entry.seconds)
        if entry.admitted:
            self._tokens.labels(entry.token.kid, entry.token.alg).inc()
            if entry.token.life is not None:
                self._life.observe(entry.token.life)
        if entry.reason:
            self._reasons.labels(entry.reason.partition(":")[0]).inc()
        self._log(entry)
        self._notify(entry)

    def _log(self, entry: Entry) -> None:
        if 400 <= entry.status < 500 and not self._refusals_logged.take():
            self._unlogged += 1
            return
        fields = {
            "fapi_interaction_id": entry.interaction_id,
            "method": entry.method,
            "route_pattern": entry.route,
            "status_code": entry.status,
            "latency_ms": round(entry.seconds * 1000, 2),
            "response_body_size": entry.size,
            "error_reason": entry.reason,
            "fault": entry.fault,
            "customer_id": self._pseudonym(entry.ids.get("customerId")),
            "account_id": self._pseudonym(entry.ids.get("accountId")),
            "ip": entry.ip,
            "kid": entry.token.kid,
            "alg": entry.token.alg,
            "jti": entry.token.jti,
            "token_life": entry.token.life,
            "source": entry.source,
            "unlogged_before": self._unlogged or "",
        }
        self._unlogged = 0
        level = log.critical if entry.reason == "foreign_record" else log.error if entry.fault else log.info
        level("request", **{name: value for name, value in fields.items() if value not in ("", None)})

    def _notify(self, entry: Entry) -> None:
        event = FinishedRequest(
            interaction_id=entry.interaction_id,
            operation=entry.operation,
            method=entry.method,
            customer_id=entry.ids.get("customerId"),
            account_id=entry.ids.get("accountId"),
            status=entry.status,
            reason=entry.reason,
            seconds=entry.seconds,
        )
        self.on_finished(event)

    def _pseudonym(self, value: str | None) -> str | None:
        return hmac.new(self._key, value.encode(), hashlib.sha256).hexdigest()[:16] if value else None
