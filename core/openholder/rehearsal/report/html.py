"""The report as one HTML file: no script, no network, readable on a phone, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator

from openholder.rehearsal.play import Report
from openholder.rehearsal.report.markup import Markup, code, joined, table, tag
from openholder.rehearsal.report.plot import latencies, timeline
from openholder.rehearsal.report.style import CSS
from openholder.rehearsal.report.summary import Problem, Summary, milliseconds, summary
from openholder.rehearsal.tiers import Measure

PLACES = 5
"""Routes of a problem that are shown; the others unfold."""
# Nothing may be loaded or run, whatever a text should have smuggled in (CSP Level 3).
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer"><title>Rehearsal report</title>
<style>"""
_FOOT = "No record, id, address or token is in this report: findings tell places, types and numbers."


def html(report: Report) -> str:
    """The report as one document."""
    told = summary(report)
    main = tag("main", *_sections(told))
    body = joined(_header(told), main, tag("footer", _FOOT))
    return f"{_HEAD}{CSS}</style></head>\n<body>{body}</body></html>\n"


def _header(told: Summary) -> Markup:
    aside = f"{told.target}, {told.started}, {told.requests} requests in {told.seconds:.1f} s"
    verdict = tag("p", told.verdict, class_=f"verdict {'good' if told.good else 'critical'}")
    return tag("header", tag("h1", "Rehearsal of the go-live"), verdict, tag("p", aside, class_="soft"))


def _sections(told: Summary) -> Iterator[Markup]:
    problems = [_problem(problem) for problem in told.problems]
    yield _section("What to mend", *(problems or [tag("p", "Nothing was found.", class_="card")]))
    if told.walk or told.load:
        yield _section("How long answers took", *_times(told))
    yield _section("What was looked at", _matrix(told), *_passed(told))
    if told.omissions:
        yield _section("What was not looked at", _omissions(told))
    rows = (joined(tag("dt", name), tag("dd", value)) for name, value in told.facts)
    yield _section("How it was run", tag("dl", *rows, class_="card"))


def _section(heading: str, *content: Markup) -> Markup:
    return tag("section", tag("h2", heading), *content)


def _problem(problem: Problem) -> Markup:
    rule = problem.rule
    texts = (("Why", rule.why), ("Written", rule.written), ("How to mend", rule.mend))
    examples = (_example(example.asked, example.came) for example in problem.examples)
    return tag(
        "article",
        tag("p", f"{rule.severity}, {_often(problem.times)}", class_="badge"),
        tag("h3", code(rule.name)),
        tag("p", rule.expected),
        tag("ol", *examples, class_="examples"),
        *_places(problem),
        tag("dl", *(joined(tag("dt", name), tag("dd", words)) for name, words in texts)),
        class_=f"card {rule.severity}",
    )


def _example(asked: str, came: str) -> Markup:
    lines = (tag("div", tag("span", f"{name}: ", class_="soft"), code(words)) for name, words in (
        ("asked", asked), ("came", came),
    ))  # fmt: skip
    return tag("li", *lines)


def _places(problem: Problem) -> Iterator[Markup]:
    items = [tag("li", code(subject), f" ({_often(times)})" if times > 1 else "") for subject, times in problem.places]
    yield tag("ul", *items[:PLACES])
    if items[PLACES:]:
        yield tag("details", tag("summary", f"and {len(items) - PLACES} more"), tag("ul", *items[PLACES:]))


def _times(told: Summary) -> Iterator[Markup]:
    legend = "Each bar reaches from the median (ring) to p95, the dot is the slowest answer, and the dashed line the"
    yield tag("p", f"{legend} limit of the operation's tier. The axis is logarithmic.", class_="soft")
    if told.load:
        load = told.load
        words = f"The second bar is the load: {load.rate:g} requests a second were wished, {load.reached:.1f} reached;"
        counts = f"{load.sent} sent, {load.good} good, {load.later} refused with Retry-After, {load.blunt} without,"
        yield tag("p", f"{words} {counts} {load.failed} failed, {load.unsent} not sent.", class_="soft")
    yield latencies(told)
    if told.load:
        yield timeline(told.load)
    yield tag("details", tag("summary", "The figures"), *_figures(told))


def _figures(told: Summary) -> Iterator[Markup]:
    heads = ("Operation", "Answers", "Median", "p95", "p99", "Slowest", "Limit", "Tier")
    measured = [("In the conversation", told.walk), ("Under load", told.load.measures if told.load else ())]
    for caption, measures in measured:
        if measures:
            yield table(caption, heads, [_figure(measure) for measure in measures])


def _figure(measure: Measure) -> tuple[str, ...]:
    seconds = (measure.p50, measure.p95, measure.p99, measure.max, measure.tier.limit)
    subject = code(measure.subject)
    return (subject, str(measure.count), *map(milliseconds, seconds), measure.tier.name)


def _matrix(told: Summary) -> Markup:
    rows = [
        (code(tally.rule.name), tally.rule.severity, str(tally.passed), _count(tally.found), str(tally.skipped))
        for tally in told.tallies
    ]
    caption = "Rules, and at how many operations they were kept, broken and not looked at"
    return tag("div", table(caption, ("Rule", "Severity", "Passed", "Found", "Skipped"), rows), class_="card")


def _count(found: int) -> str:
    return tag("span", str(found), class_="late") if found else "0"


def _passed(told: Summary) -> Iterator[Markup]:
    kept = [tally for tally in told.tallies if tally.passed and not tally.found]
    items = (tag("li", code(tally.rule.name), f": {tally.rule.expected}") for tally in kept)
    yield tag("details", tag("summary", f"What the {len(kept)} rules say that were kept"), tag("ul", *items))


def _omissions(told: Summary) -> Markup:
    items = (
        tag("li", f"{omission.reason}: ", code(", ".join(omission.rules)), f" ({_often(omission.times)})")
        for omission in told.omissions
    )
    return tag("ul", *items, class_="card")


def _often(times: int) -> str:
    return "once" if times == 1 else f"{times} times"
