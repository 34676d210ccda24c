"""How the console writes numbers and times, and how it grades them."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

_UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (0.0, "s"))
_SHORTEST = 0.005
"""Seconds: the lowest bound of the histograms of response times."""


class Level(StrEnum):
    """How good a value is."""

    NONE = ""
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


class Cell(NamedTuple):
    """A value as it is shown."""

    text: str
    level: Level = Level.NONE


def grade(value: float | None, warn: float, bad: float) -> Level:
    """Grade a value of which less is better: `WARN` above one threshold, `BAD` above another."""
    if value is None:
        return Level.NONE
    return Level.BAD if value > bad else Level.WARN if value > warn else Level.GOOD


def format_count(count: float) -> str:
    """Format a count with narrow spaces between thousands (ISO 80000-1)."""
    return f"{count:,.0f}".replace(",", "\u202f")


def format_rate(rate: float) -> str:
    """Format a number per second."""
    return f"{rate:.1f}" if rate < 100 else format_count(rate)


def format_seconds(seconds: float | None) -> str:
    """Format a short time. Whatever a histogram cannot tell apart looks the same."""
    if seconds is None:
        return "-"
    if math.isinf(seconds):
        return "above all limits"
    return (
        f"{seconds:.2f} s"
        if seconds >= 1
        else f"{1000 * seconds:.0f} ms"
        if seconds >= 0.01
        else f"{1000 * seconds:.1f} ms"
    )


def format_age(seconds: float | None) -> str:
    """Format a long time in its largest unit."""
    if seconds is None or math.isinf(seconds):
        return "none"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= size)
    return f"{seconds / (size or 1):.0f} {unit}"
