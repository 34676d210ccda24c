"""Draw response times as SVG: one row for each operation on a logarithmic axis, without scripts.

Positions are percentages of the width, so that plots stretch with the page while texts and dots keep their size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from openholder.rehearsal.measures import LoadResult, Measure, Second
from openholder.rehearsal.report.summary import Summary, format_seconds
from openholder.reports.markup import Markup, join, tag, tag_code

SHORTEST = 0.001
"""Seconds at the left end of the axis."""
MIN_DECADES = 4
"""The axis ends at 10 s unless a response took longer."""
_HEIGHT = 20


@dataclass(frozen=True, slots=True)
class _Axis:
    """A logarithmic axis that begins at `SHORTEST` and has a number of decades."""

    decades: int

    @classmethod
    def spanning(cls, measures: Sequence[Measure]) -> _Axis:
        """Return an axis on which all measures have room."""
        longest = max((measure.max for measure in measures), default=SHORTEST)
        return cls(max(MIN_DECADES, math.ceil(_count_decades(longest))))

    @property
    def ticks(self) -> list[float]:
        """The powers of ten on the axis, in seconds."""
        return [SHORTEST * 10**decade for decade in range(self.decades + 1)]

    def locate(self, seconds: float) -> str:
        """Return the position of a time, as a percentage of the width."""
        return f"{_count_decades(seconds) / self.decades * 100:.2f}%"


def draw_latencies(summary: Summary) -> Markup:
    """Draw the response times of each operation, without and under load."""
    loads = {measure.label: measure for measure in summary.load.measures} if summary.load else {}
    calm = {measure.subject: measure for measure in summary.conversation}
    axis = _Axis.spanning([*calm.values(), *loads.values()])
    rows = [
        _draw_row(subject, calm.get(subject), loads.get(subject), axis) for subject in dict.fromkeys([*calm, *loads])
    ]
    return tag("div", _draw_axis(axis), *rows, class_="plot card")


def draw_timeline(load: LoadResult) -> Markup:
    """Draw the response times, and the number of responses, in each second of the load."""
    seconds = load.timeline
    slowest = max((each.p95 for each in seconds), default=0)
    most = max((each.answered for each in seconds), default=0)
    latency = f"p95 of the requests due in each second; at most {format_seconds(slowest)}"
    answers = f"Responses with data in each second; at most {most}"
    return tag(
        "div",
        _draw_curve(latency, seconds, lambda second: second.p95 / (slowest or 1)),
        _draw_curve(answers, seconds, lambda second: second.answered / (most or 1)),
        class_="time card",
    )


def _count_decades(seconds: float) -> float:
    """Return the distance from the left end of the axis, in powers of ten."""
    return math.log10(max(seconds, SHORTEST) / SHORTEST)


def _draw_axis(axis: _Axis) -> Markup:
    anchors = {0: "start", axis.decades: "end"}
    labels = []
    for decade, seconds in enumerate(axis.ticks):
        text = f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
        anchor = anchors.get(decade, "middle")
        labels.append(tag("text", text, x=axis.locate(seconds), y="14", class_="axis", text_anchor=anchor))
    return tag("svg", *labels, height=str(_HEIGHT), class_="axes", aria_hidden="true")


def _draw_row(subject: str, calm: Measure | None, loaded: Measure | None, axis: _Axis) -> Markup:
    measures = [measure for measure in (calm, loaded) if measure]
    height = _HEIGHT * len(measures)
    drawing = tag(
        "svg",
        tag("title", f"{subject}: {'; '.join(map(_describe_measure, measures))}"),
        *(_draw_line(axis.locate(seconds), height, "grid") for seconds in axis.ticks),
        *(
            _draw_measure(measure, number, axis, "load" if measure is loaded else "conversation")
            for number, measure in enumerate(measures)
        ),
        _draw_line(axis.locate(measures[0].tier.limit), height, "limit"),
        height=str(height),
        role="img",
    )
    label = tag_code(subject)
    if any(not measure.is_within_limit for measure in measures):
        label = join(label, " ", tag("span", "too slow", class_="late"))
    return join(tag("div", label, class_="label"), drawing)


def _draw_measure(measure: Measure, number: int, axis: _Axis, class_name: str) -> Markup:
    """Draw a bar from the median to p95, a ring at the median, and a dot at the slowest response."""
    middle = str(_HEIGHT // 2 + number * _HEIGHT)
    median, p95, slowest = map(axis.locate, (measure.p50, measure.p95, measure.max))
    return tag(
        "g",
        tag("line", x1=median, x2=p95, y1=middle, y2=middle, class_="bar"),
        tag("circle", cx=median, cy=middle, r="4", class_="dot"),
        tag("circle", cx=slowest, cy=middle, r="2.5", class_="most"),
        class_=class_name,
    )


def _draw_line(x: str, height: int, class_name: str) -> Markup:
    return tag("line", x1=x, x2=x, y1="0", y2=str(height), class_=class_name)


def _describe_measure(measure: Measure) -> str:
    return (
        f"median {format_seconds(measure.p50)}, p95 {format_seconds(measure.p95)},"
        f" slowest {format_seconds(measure.max)} of {measure.count}; limit {format_seconds(measure.tier.limit)}"
    )


def _draw_curve(caption: str, seconds: Sequence[Second], get_height: Callable[[Second], float]) -> Markup:
    points = " ".join(f"{number},{98 - get_height(second) * 94:.1f}" for number, second in enumerate(seconds))
    drawing = tag(
        "svg",
        tag("title", caption),
        tag("polyline", points=points, class_="curve"),
        viewBox=f"0 0 {max(1, len(seconds) - 1)} 100",
        preserveAspectRatio="none",
        role="img",
    )
    return tag("figure", tag("figcaption", caption, class_="soft"), drawing)
