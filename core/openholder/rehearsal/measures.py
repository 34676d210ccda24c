"""Response times: the performance tier of each operation, percentiles, and the figures of a load."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from openholder.contract.operation import ASSUMED_TIER, Tier
from openholder.contract.operations import OPERATIONS
from openholder.rehearsal.exchange import Exchange, format_route

ALLOWED = 0.05
"""The share of responses that may be late (CDS, performance requirements)."""
_BY_ROUTE = {format_route(operation): operation for operation in OPERATIONS}


@dataclass(frozen=True, slots=True)
class Timing:
    """The response times of one operation, in seconds."""

    subject: str
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """The distribution of one operation's response times, in seconds. Percentiles are nearest-rank: observed times."""

    subject: str
    count: int
    p50: float
    p95: float
    p99: float
    max: float
    late: int
    """The number of responses that took longer than the limit of the tier."""
    tier: Tier
    """The performance tier of the operation."""
    period: str = ""
    """How far back the records were asked for, if that is known."""

    @classmethod
    def of(cls, subject: str, seconds: Iterable[float], period: str = "", tier: Tier | None = None) -> Measure:
        """Summarise response times; there must be at least one.

        Args:
            subject: The operation, or what else was measured.
            seconds: The response times.
            period: How far back the records were asked for.
            tier: The performance tier; by default that of the operation.
        """
        ranked = sorted(seconds)
        p50, p95, p99 = (find_percentile(ranked, percent) for percent in (50, 95, 99))
        tier = tier or find_tier(subject)
        late = len(ranked) - bisect_right(ranked, tier.limit)
        return cls(subject, len(ranked), p50, p95, p99, ranked[-1], late, tier, period)

    @property
    def label(self) -> str:
        """The operation and the period."""
        return f"{self.subject}, {self.period}" if self.period else self.subject

    @property
    def is_within_limit(self) -> bool:
        """Return whether 95 % of the responses came within the limit of the tier."""
        return self.p95 <= self.tier.limit

    @property
    def may_be_chance(self) -> bool:
        """Return whether a server that is late in 5 % of all cases may be so late in so few: two standard errors."""
        return self.late / self.count <= ALLOWED + 2 * math.sqrt(ALLOWED * (1 - ALLOWED) / self.count)


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a load."""

    p95: float
    """Of the responses with data to requests due in this second; 0 if there were none."""
    answered: int
    """The number of responses with data received in this second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """The figures of a load."""

    rate: float
    """Requests per second, as planned."""
    reached: float
    """Requests per second, as sent."""
    sent: int
    good: int
    """Answered with data."""
    deferred: int
    """Refused with 429 or 503 and Retry-After."""
    refused: int
    """Refused with 429 or 503 without Retry-After."""
    failed: int
    unsent: int
    """Not sent because too many requests were waiting for a response: the server is too slow."""
    lag: float
    """Seconds between the time a request was due and the time it was sent: the 95th percentile."""
    measures: tuple[Measure, ...]
    """The responses with data, by operation and period; none if the generator was the limit."""
    timeline: tuple[Second, ...]
    broken: int = 0
    """The connection ended before the response did."""
    retries: int = 0
    """Requests that were sent again, with a new token, because they had failed. They are counted in ``sent`` too."""
    recovered: int = 0
    """Requests that failed and were answered with data when they were sent again."""
    lag_max: float = 0.0
    """The longest lag, in seconds."""
    processor: float = 0.0
    """The share of one processor that the generator took."""
    is_limited: bool = False
    """True if the generator was the limit: the figures are not the server's, and nothing is judged."""
    tiers: tuple[Measure, ...] = ()
    """The responses with data, by performance tier."""

    @property
    def description(self) -> str:
        """The figures in a few sentences."""
        sent = (
            f"{self.rate:g} requests per second planned, {self.reached:.1f} reached: {self.sent} sent,"
            f" {self.good} answered with data, {self.deferred} refused with Retry-After and {self.refused} without,"
            f" {self.broken} broken off, {self.failed} failed, {self.unsent} not sent."
        )
        again = f" {self.retries} of them were sent again, and {self.recovered} requests were answered then."
        lag = (
            f" The generator sent 95 % of the requests at most {self.lag * 1000:.1f} ms late, all at most"
            f" {self.lag_max * 1000:.1f} ms, and took {self.processor:.0%} of one processor."
        )
        limit = " It was the limit: the figures are not the server's, and nothing is judged." if self.is_limited else ""
        return sent + (again if self.retries else "") + lag + limit


def find_tier(subject: str) -> Tier:
    """Return the performance tier of an operation, by its route."""
    operation = _BY_ROUTE.get(subject)
    return operation.tier if operation else ASSUMED_TIER


def find_percentile(ranked: list[float], percent: int) -> float:
    """Return the nearest-rank percentile of sorted values."""
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def collect_timings(exchanges: Iterable[Exchange]) -> dict[str, list[float]]:
    """Return the seconds of every response with data, by route. Refusals are fast and would distort the figures."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for exchange in exchanges:
        if exchange.is_ok and exchange.request.operation:
            seconds[exchange.request.route].append(exchange.seconds)
    return dict(seconds)
