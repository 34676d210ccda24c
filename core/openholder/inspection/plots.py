"""Draw the plots of the profile as inline SVG. Widths are percentages, so that they fit a phone and a wide screen."""

from __future__ import annotations

from collections import Counter
from datetime import date

from openholder.reports.markup import Markup, join, tag

MONTHS = 24
"""Months that are drawn, up to now, if all records are of them."""
YEARS = 80
"""Years that are drawn otherwise."""
SIGNS = ("negative", "zero", "positive")
STYLE = """
nav a { color: var(--bar); white-space: nowrap; margin-right: 8px; display: inline-block; }
figure { margin: 0 0 16px; } figcaption { margin-bottom: 8px; font-weight: 600; }
article.note .badge { color: var(--soft); }
.bars { height: 56px; } .bars svg, .share svg, .fill svg { display: block; width: 100%; height: 100%; }
.bars rect { fill: var(--bar); } .bars .rest { fill: var(--line); }
.scale { display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem; margin-bottom: 8px; }
.share { height: 12px; margin: 2px 0 8px; } .signs div.label { font-size: .85rem; line-height: 1.3; }
.negative { fill: var(--error); color: var(--error); } .zero { fill: var(--soft); color: var(--soft); }
.positive { fill: var(--bar); color: var(--bar); }
.fill { display: inline-block; width: 40px; height: 8px; margin-left: 6px; background: var(--line); }
.fill rect { fill: var(--bar); } .none { color: var(--error); }
tbody th[scope=row] { min-width: 9em; max-width: 20em; }
@media (min-width: 760px) {
  .signs .row { display: grid; grid-template-columns: 22em 1fr; gap: 12px; align-items: center; }
  .times { display: grid; grid-template-columns: 1fr 1fr; column-gap: 24px; }
  .times figcaption { grid-column: 1 / 3; }
}
"""


def draw_ages(months: Counter[str], today: date) -> Markup:
    """Draw how many records each month has; each year, if some are more than two years old or far ahead."""
    this = today.year * 12 + today.month - 1
    names = [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(this - MONTHS + 1, this + 1)]
    counts, word = months, "month"
    if not set(names) >= months.keys():
        counts, word = Counter(), "year"
        for month, count in months.items():
            counts[month[:4]] += count
        first = min(counts)
        last = min(max(max(counts), str(today.year)), f"{int(first) + YEARS - 1:04}")
        names = [f"{year:04}" for year in range(int(first), int(last) + 1)]
    outside = sum(counts.values()) - sum(counts[name] for name in names)
    label = f"records by {word}" + (f", and {outside} later" if outside else "")
    return tag("div", _draw_bars([counts[name] for name in names], label), _draw_scale(names[0], label, names[-1]))


def draw_hours(hours: Counter[int]) -> Markup:
    """Draw how many records each hour of the day has, as it is written with its offset."""
    label = "by hour of the day, as written"
    return tag("div", _draw_bars([hours[hour] for hour in range(24)], label), _draw_scale("0 h", label, "23 h"))


def draw_signs(label: str, counts: Counter[str]) -> Markup:
    """Draw the shares of negative, zero and positive amounts as one bar."""
    total, at, bars, words = sum(counts.values()), 0.0, [], []
    for sign in SIGNS:
        share = counts[sign] / total
        bars.append(tag("rect", x=f"{at:.2%}", y="0", width=f"{share:.2%}", height="100%", class_=sign))
        at += share
        if counts[sign]:
            words.append(f"{share:.0%} {sign}")
    bar = tag("svg", *bars, role="img", aria_label=f"{label}: {', '.join(words)}")
    texts = tag("div", f"{label}: {', '.join(words)}", class_="label")
    return tag("div", texts, tag("div", bar, class_="share"), class_="row")


def draw_legend() -> Markup:
    """Name the colours of the signs."""
    return join(*(tag("span", f" ■ {sign}", class_=f"{sign} soft-size") for sign in SIGNS))


def draw_fill(share: float) -> Markup:
    """Draw the share of records that have a member, with its number. Only all of them are 100 %, and only none is 0."""
    percent = round(share * 100)
    percent = min(percent, 99) if share < 1 else percent
    percent = max(percent, 1) if share > 0 else percent
    bar = tag("svg", tag("rect", width=f"{share:.2%}", height="100%", x="0", y="0"), aria_hidden="true")
    text = tag("span", f"{percent} %", class_="none" if not share else "some")
    return join(text, tag("span", bar, class_="fill"))


def _draw_bars(counts: list[int], label: str) -> Markup:
    most, width = max(counts, default=0) or 1, 100 / len(counts)
    bars = [
        tag(
            "rect",
            x=f"{place * width + width * 0.1:.2f}%",
            y=f"{100 - max(count / most * 100, 1):.2f}%",
            width=f"{width * 0.8:.2f}%",
            height=f"{max(count / most * 100, 1):.2f}%",
            class_="some" if count else "rest",
        )
        for place, count in enumerate(counts)
    ]
    return tag("div", tag("svg", *bars, role="img", aria_label=label), class_="bars")


def _draw_scale(left: str, middle: str, right: str) -> Markup:
    return tag("div", *(tag("span", text) for text in (left, middle, right)), class_="scale")
