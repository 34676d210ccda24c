"""Response times: the performance tier of each operation, percentiles, and the figures of a load."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from openholder.contract.operation import ASSUMED_TIER, Tier
from openholder.contract.operations import OPERATIONS
from openholder.rehearsal.exchange import Exchange, format_route

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

    @classmethod
    def of(cls, subject: str, seconds: Iterable[float]) -> Measure:
        """Summarise response times; there must be at least one."""
        ranked = sorted(seconds)
        p50, p95, p99 = (find_percentile(ranked, percent) for percent in (50, 95, 99))
        return cls(subject, len(ranked), p50, p95, p99, ranked[-1])

    @property
    def tier(self) -> Tier:
        """The performance tier of the operation."""
        operation = _BY_ROUTE.get(self.subject)
        return operation.tier if operation else ASSUMED_TIER

    @property
    def is_within_limit(self) -> bool:
        """Return whether 95 % of the responses came within the limit of the tier."""
        return self.p95 <= self.tier.limit


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
    """The responses with data, by operation."""
    timeline: tuple[Second, ...]


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
