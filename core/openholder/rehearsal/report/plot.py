"""The latency plot: a row for each operation on a logarithmic axis, as SVG that needs no script and fits any width.

Places are percentages of the width, so that a plot stretches with the page while its texts and dots keep their size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from openholder.rehearsal.measures import LoadResult, Measure, Second
from openholder.rehearsal.report.markup import Markup, code, joined, tag
from openholder.rehearsal.report.summary import Summary, milliseconds

SHORTEST = 0.001
"""Seconds at the left end of the axis."""
LEAST_DECADES = 4
"""The axis ends at 10 s, unless something took longer."""
_HEIGHT = 20
Place = Callable[[float], str]


def latencies(summary: Summary) -> Markup:
    """The measures of the conversation and of the load, operation by operation."""
    loads = {measure.subject: measure for measure in summary.load.measures} if summary.load else {}
    walks = {measure.subject: measure for measure in summary.walk}
    measures = [*walks.values(), *loads.values()]
    decades = max(LEAST_DECADES, math.ceil(max((_decade(measure.max) for measure in measures), default=0)))
    place = _places(decades)
    parts = [_axes(decades, place)]
    for subject in dict.fromkeys([*walks, *loads]):
        pair = (walks.get(subject), loads.get(subject))
        parts.append(_row(subject, pair, decades, place))
    return tag("div", *parts, class_="plot card")


def timeline(load: LoadResult) -> Markup:
    """The seconds of a load: how long answers took, and how many came."""
    seconds = load.timeline
    slowest, most = max((each.p95 for each in seconds), default=0), max((each.answered for each in seconds), default=0)
    latency = f"p95 of what was due in each second of the load; at most {milliseconds(slowest)}"
    answers = f"Answers with data in each second; at most {most}"
    return tag(
        "div",
        _curve(latency, seconds, lambda second: second.p95 / (slowest or 1)),
        _curve(answers, seconds, lambda second: second.answered / (most or 1)),
        class_="time card",
    )


def _decade(seconds: float) -> float:
    """Powers of ten from the axis's left end."""
    return math.log10(max(seconds, SHORTEST) / SHORTEST)


def _places(decades: int) -> Place:
    return lambda seconds: f"{_decade(seconds) / decades * 100:.2f}%"


def _axes(decades: int, place: Place) -> Markup:
    anchors = {0: "start", decades: "end"}
    labels = []
    for decade in range(decades + 1):
        seconds = SHORTEST * 10**decade
        words = f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
        anchor = anchors.get(decade, "middle")
        labels.append(tag("text", words, x=place(seconds), y="14", class_="axis", text_anchor=anchor))
    return tag("svg", *labels, height=str(_HEIGHT), class_="axes", aria_hidden="true")


def _row(subject: str, pair: tuple[Measure | None, Measure | None], decades: int, place: Place) -> Markup:
    measures = [measure for measure in pair if measure]
    late = any(not measure.is_within_limit for measure in measures)
    rows = [
        _marks(measure, number, place, "load" if measure is pair[1] else "walk")
        for number, measure in enumerate(measures)
    ]
    height = _HEIGHT * len(measures)
    words = "; ".join(map(_words, measures))
    drawn = tag(
        "svg", tag("title", f"{subject}: {words}"), *_grid(decades, place, height), *rows,
        _line(place(measures[0].tier.limit), height, "limit"), height=str(height), role="img",
    )  # fmt: skip
    label = joined(code(subject), " ", tag("span", "too slow", class_="late")) if late else code(subject)
    return joined(tag("div", label, class_="label"), drawn)


def _marks(measure: Measure, number: int, place: Place, kind: str) -> Markup:
    """A bar from the median to p95, a ring at the median, a dot at the slowest."""
    middle = str(_HEIGHT // 2 + number * _HEIGHT)
    return tag(
        "g",
        tag("line", x1=place(measure.p50), x2=place(measure.p95), y1=middle, y2=middle, class_="bar"),
        tag("circle", cx=place(measure.p50), cy=middle, r="4", class_="dot"),
        tag("circle", cx=place(measure.max), cy=middle, r="2.5", class_="most"),
        class_=kind,
    )


def _grid(decades: int, place: Place, height: int) -> Iterator[Markup]:
    return (_line(place(SHORTEST * 10**decade), height, "grid") for decade in range(decades + 1))


def _line(x: str, height: int, kind: str) -> Markup:
    return tag("line", x1=x, x2=x, y1="0", y2=str(height), class_=kind)


def _words(measure: Measure) -> str:
    figures = ", ".join(
        f"{name} {milliseconds(seconds)}"
        for name, seconds in (("median", measure.p50), ("p95", measure.p95), ("slowest", measure.max))
    )
    return f"{figures} of {measure.count}; limit {milliseconds(measure.tier.limit)}"


def _curve(caption: str, seconds: Sequence[Second], height: Callable[[Second], float]) -> Markup:
    points = " ".join(f"{number},{98 - height(second) * 94:.1f}" for number, second in enumerate(seconds))
    drawn = tag(
        "svg", tag("title", caption), tag("polyline", points=points, class_="curve"),
        viewBox=f"0 0 {max(1, len(seconds) - 1)} 100", preserveAspectRatio="none", role="img",
    )  # fmt: skip
    return tag("figure", tag("figcaption", caption, class_="soft"), drawn)
