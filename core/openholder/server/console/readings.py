"""Metrics as numbers: what they were at one moment, the rise between two, and the quantiles of histograms."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry

from openholder.serving.metrics import METRICS

WINDOW = 60.0
"""Seconds of the rise that is shown beside what has been counted since the start."""
SPACING = 5.0
"""Seconds between two moments that are kept."""
GAP = 3.0
"""Seconds without a moment after which the earlier ones are forgotten: nobody was looking."""

Labels = tuple[str, ...]
_LABELS = {
    series: (*metric.labels, "le") if series.endswith("_bucket") else metric.labels
    for metric in METRICS
    for series in metric.series
}


@dataclass(frozen=True, slots=True)
class Readings:
    """The samples of all metrics by series and labels, which are in the order of `METRICS`."""

    samples: Mapping[str, Mapping[Labels, float]]
    at: float = 0.0
    """Monotonic seconds."""

    @classmethod
    def take(cls, registry: CollectorRegistry) -> Self:
        """Read all metrics now."""
        samples: dict[str, dict[Labels, float]] = {}
        for family in registry.collect():
            for sample in family.samples:
                labels = tuple(sample.labels.get(name, "") for name in _LABELS[sample.name])
                samples.setdefault(sample.name, {})[labels] = sample.value
        return cls(samples, time.monotonic())

    def since(self, before: Readings) -> Readings:
        """Return by how much each sample has risen, and when it has not: 0."""
        risen = {
            series: {labels: max(0.0, value - before.find(series, *labels)) for labels, value in samples.items()}
            for series, samples in self.samples.items()
        }
        return Readings(risen, self.at)

    def find(self, series: str, *labels: str) -> float:
        """Return one sample, or 0."""
        return self.samples.get(series, {}).get(labels, 0.0)

    def has(self, series: str) -> bool:
        """Return whether a series has a sample."""
        return series in self.samples

    def sum_by(self, series: str, place: int) -> dict[str, float]:
        """Sum samples that have the same label at a place, in the order of the label."""
        sums: defaultdict[str, float] = defaultdict(float)
        for labels, value in self.samples.get(series, {}).items():
            sums[labels[place]] += value
        return dict(sorted(sums.items()))

    def total(self, series: str) -> float:
        """Sum all samples of a series."""
        return sum(self.samples.get(series, {}).values())

    def list_buckets(self, series: str, label: str = "") -> list[tuple[float, float]]:
        """List the bounds of a histogram with the counts up to each, of all samples with a first label or without."""
        counts: defaultdict[float, float] = defaultdict(float)
        for labels, count in self.samples.get(f"{series}_bucket", {}).items():
            if not label or labels[0] == label:
                counts[float(labels[-1])] += count
        return sorted(counts.items())


def estimate_quantile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """Estimate below which value a share of the observations is, as Prometheus' `histogram_quantile` does.

    Args:
        buckets: Upper bounds, the last one infinite, with the count of observations up to each.
        share: From 0 to 1.

    Returns:
        The value; infinity above the highest finite bound; None without observations.
    """
    known = list(buckets)
    if not known or not known[-1][1]:
        return None
    wanted, lower, below = share * known[-1][1], 0.0, 0.0
    for bound, count in known:
        if count >= wanted and count > below:
            return bound if math.isinf(bound) else lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return math.inf


def count_above(buckets: Iterable[tuple[float, float]], limit: float) -> float:
    """Count the observations above a limit that is one of the bounds."""
    known = dict(buckets)
    return known[math.inf] - known[limit] if limit in known else 0.0


class History:
    """The moments of the last minute while somebody looks."""

    def __init__(self) -> None:
        self._kept: deque[Readings] = deque()
        self._last: Readings | None = None

    def add(self, now: Readings) -> tuple[Readings, Readings]:
        """Keep a moment. Return the oldest one of the last minute and the last one: at first, both are ``now``."""
        if self._last and now.at - self._last.at > GAP:
            self._kept.clear()
            self._last = None
        last, self._last = self._last or now, now
        while self._kept and now.at - self._kept[0].at > WINDOW:
            self._kept.popleft()
        if not self._kept or now.at - self._kept[-1].at >= SPACING:
            self._kept.append(now)
        return self._kept[0], last
