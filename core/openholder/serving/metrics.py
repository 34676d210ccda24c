"""What is counted and measured, as one table. ``docs/operations.md`` prints it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from openholder.serving.shared_values import SharedValues

TIERS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 0.45, 0.5, 0.75, 1.0, 1.5, 1.8, 3.0, 4.0, 6.0)
"""Seconds. 1, 1.5, 4 and 6 are the performance tiers of the CDS; there are 30 % and 50 % of most of them."""
QUERIES = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds of a query; sources give up after 5 by default."""
LIVES = (-30.0, 0.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Seconds until a token expires."""

_leave_out_creation_times: Any = prometheus_client.disable_created_metrics
_leave_out_creation_times()


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what it means, and what to do about it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    advice: str
    labels: tuple[str, ...] = ()
    merge: Literal["", "livesum", "livemax", "livemin"] = ""
    """How the values of several workers make one, for a gauge. Those of dead workers do not count."""
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its time series."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "count", "sum"))
        return (f"{self.name}_total",) if self.kind == "counter" else (self.name,)


METRICS = (
    # -- requests
    Metric(
        "openholder_http_requests",
        "counter",
        "Requests answered; 499 is a caller who went away first.",
        "Alert on 5xx: 99.5 % of a month must be answered.",
        ("route", "method", "status"),
    ),
    Metric(
        "openholder_http_request_seconds",
        "histogram",
        "Time from the head of a request to its answer.",
        "Compare the 95th percentile of an hour with `openholder_route_limit_seconds`.",
        ("route",),
        buckets=TIERS,
    ),
    Metric(
        "openholder_route_limit_seconds",
        "gauge",
        "The response time that the CDS performance tier of a route allows.",
        "Take action at half of it: Fiskil needs the other half.",
        ("route",),
        "livemin",
    ),
    Metric(
        "openholder_http_refusals",
        "counter",
        "Answers other than data, by reason.",
        "See the reasons below.",
        ("reason",),
    ),
    Metric(
        "openholder_sharing_refusals",
        "counter",
        "Answers with `X-Sharing-Refused`, by status: the refusals of the half-yearly report.",
        "A sudden rise: accounts are blocked, or their `status` is mapped wrongly.",
        ("status",),
    ),
    Metric(
        "openholder_http_running",
        "gauge",
        "Requests that are being answered.",
        "Near `listen.max_requests` times workers: sources are slow, or more workers are needed.",
        merge="livesum",
    ),
    Metric(
        "openholder_http_connections",
        "gauge",
        "Open connections.",
        "Near `listen.max_connections` times workers: raise it, or look who holds them.",
        merge="livesum",
    ),
    Metric(
        "openholder_http_connections_closed",
        "counter",
        "Connections closed by the server, or not taken: `full`, `address_full`, `idle`, `slow`, `tls`.",
        "`full` or `address_full`: raise the limits. `tls`: callers that do not speak TLS, or refuse the certificate.",
        ("reason",),
    ),
    # -- tokens and keys
    Metric(
        "openholder_tokens",
        "counter",
        "Tokens accepted, by key.",
        "A new `kid` is a rotation. None for minutes: Fiskil does not reach the server.",
        ("kid", "alg"),
    ),
    Metric(
        "openholder_token_life_seconds",
        "histogram",
        "Seconds until an accepted token expires.",
        "A drift, or values below 0: a clock is off.",
        buckets=LIVES,
    ),
    Metric(
        "openholder_jwks_events",
        "counter",
        "Key sets `fetched`, fetches that `failed`, and requests with an `unknown_kid`.",
        "`failed`: look at the log, and run `openholder check`.",
        ("event",),
    ),
    Metric(
        "openholder_jwks_age_seconds",
        "gauge",
        "Age of the oldest key set that a worker uses; +Inf if one has none.",
        "Above 900: the key host is not reached. Requests fail after `fiskil.jwks_max_stale`.",
        merge="livemax",
    ),
    # -- the record of used tokens
    Metric(
        "openholder_replay_entries",
        "gauge",
        "Tokens in the record; estimated above some thousands. Redis: all keys of the database.",
        "Requests a second times the life of a token, plus ten minutes. Far more: a clock is off.",
        merge="livemax",
    ),
    Metric(
        "openholder_replay_errors",
        "counter",
        "Requests that the record could not judge: each was answered with 503.",
        "Any: look at the disk or at Redis. Nothing is served without the record.",
    ),
    Metric(
        "openholder_replay_lost_timestamp_seconds",
        "gauge",
        "Until when the record has lost tokens, in seconds since 1970; 0: it never has.",
        "A change: the file was moved, damaged or replaced. Older tokens are refused.",
        merge="livemax",
    ),
    # -- sources and observers
    Metric(
        "openholder_source_query_seconds",
        "histogram",
        "Time of a query of a source; outcome `answered`, `refused`, `unavailable`, `fault` or `cancelled`.",
        "`fault`: look at the log. `unavailable`: the system behind the source. Slow: run `openholder check --data`.",
        ("source", "outcome"),
        buckets=QUERIES,
    ),
    Metric(
        "openholder_conditions_broken",
        "counter",
        "Records served that break a condition of the CDS.",
        "See [the conditions](conditions.md): the mapping leaves out what the standard owes.",
        ("collection", "member", "fault", "severity"),
    ),
    Metric(
        "openholder_observer_failures",
        "counter",
        "Events that an observer failed to record, by hook.",
        "`record_answer` of a required observer: answers are 503. Look at its disk first.",
        ("observer", "hook"),
    ),
    # -- the process
    Metric(
        "openholder_workers",
        "gauge",
        "Workers that serve.",
        "Fewer than `openholder_workers_configured` for more than a minute: look at the log.",
        merge="livesum",
    ),
    Metric("openholder_workers_configured", "gauge", "The setting `listen.workers`.", "None.", merge="livemax"),
    Metric(
        "openholder_worker_starts",
        "counter",
        "Starts of workers, the first ones included.",
        "A rise while nobody restarts the server: workers die. Look at the log, and at the memory.",
    ),
    Metric(
        "openholder_heartbeat_timestamp_seconds",
        "gauge",
        "When the slowest worker last had time for itself, in seconds since 1970.",
        "More than 30 s ago: a worker hangs. Restart the server.",
        merge="livemin",
    ),
    Metric(
        "openholder_loop_lag_seconds",
        "gauge",
        "For how long the event loop was held in the last quarter of a second.",
        "Above 0.1 again and again: a plugin blocks, or the machine is too small.",
        merge="livemax",
    ),
    Metric(
        "openholder_resident_memory_bytes",
        "gauge",
        "Memory of all workers.",
        "A steady rise over days: report it.",
        merge="livesum",
    ),
    Metric(
        "openholder_log_lines_lost",
        "counter",
        "Log lines that were lost because nobody read them.",
        "Any: the reader of the log is slow, or the disk is full.",
    ),
    # -- the configuration
    Metric(
        "openholder_reloads",
        "counter",
        "Reloads of the configuration, `good` or `refused`, once for each worker.",
        "`refused`: the old configuration serves on. The log has the reason.",
        ("result",),
    ),
    Metric(
        "openholder_configuration_info",
        "gauge",
        "Workers that use the configuration file with this digest (the start of its SHA-256).",
        "More than one digest above 0 for a minute: a worker refused the reload. Compare with `sha256sum`.",
        ("digest",),
        "livesum",
    ),
    Metric(
        "openholder_build_info",
        "gauge",
        "Always 1; the labels are the versions, and who parses HTTP.",
        "None.",
        ("version", "python", "http"),
        "livemax",
    ),
    Metric(
        "openholder_tls_certificate_days_left",
        "gauge",
        "Days until the TLS certificate in use expires. Absent without TLS.",
        "Below 14: renew it.",
        merge="livemin",
    ),
)
"""All metrics, in the order of the page."""

_TABLE = {metric.name: metric for metric in METRICS}


class Metrics:
    """The metrics of one server. One that nobody asks for does not appear.

    ``shared`` is where workers count together; None if there is one process only.
    """

    def __init__(self, shared: SharedValues | None = None) -> None:
        self._shared = shared
        self.registry = CollectorRegistry()
        self._made: dict[str, Any] = {}
        self._watched: list[Callable[[], None]] = []

    def _make(self, name: str) -> Any:
        made = self._made.get(name)
        if made is None:
            metric = _TABLE[name]
            kinds: Mapping[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}
            more: dict[str, Any] = {}
            if metric.kind == "gauge":
                more["multiprocess_mode"] = metric.merge
            if metric.buckets:
                more["buckets"] = metric.buckets
            made = kinds[metric.kind](name, metric.meaning, metric.labels, registry=self.registry, **more)
            self._made[name] = made
        return made

    def count(self, name: str, *labels: object) -> Callable[..., None]:
        """Return what adds to a counter, by 1 or a given number."""
        counter: Counter = self._make(name)
        return counter.labels(*labels).inc if labels else counter.inc

    def observe(self, name: str, *labels: object) -> Callable[[float], None]:
        """Return what adds an observation to a histogram."""
        histogram: Histogram = self._make(name)
        return histogram.labels(*labels).observe if labels else histogram.observe

    def set(self, name: str, value: float, *labels: object) -> None:
        """Set a gauge."""
        gauge: Gauge = self._make(name)
        (gauge.labels(*labels) if labels else gauge).set(value)

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Set a gauge to what ``read`` returns, or a counter to no less, at each `refresh`."""
        made = self._make(name)
        if isinstance(made, Gauge):
            self._watched.append(lambda: made.set(read()))
        else:
            self._watched.append(_follow(made.inc, read))
        self._watched[-1]()

    def refresh(self) -> None:
        """Read what is watched, and let the other workers see what has been counted."""
        for look in self._watched:
            look()
        if self._shared:
            self._shared.flush()

    def render(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format. It may run in a thread."""
        return generate_latest(self.collect())

    def collect(self) -> CollectorRegistry:
        """Return the metrics of all workers as they were last written. It may run in a thread."""
        return self._shared.collect() if self._shared else self.registry


class Recorders(dict[Any, Callable[..., None]]):
    """What counts under some labels, made on first use: metrics take longer to find it by the labels than to count."""

    def __init__(self, make: Callable[[Any], Callable[..., None]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, labels: Any) -> Callable[..., None]:
        recorder = self[labels] = self._make(labels)
        return recorder


def _follow(count: Callable[[float], None], read: Callable[[], float]) -> Callable[[], None]:
    last = 0.0

    def look() -> None:
        nonlocal last
        now = read()
        count(max(0.0, now - last))
        last = now

    return look
