"""The report as one HTML file: no script, no network, readable on a phone, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator

from openholder.rehearsal.measures import Measure
from openholder.rehearsal.report.markup import Markup, code, joined, table, tag
from openholder.rehearsal.report.plot import latencies, timeline
from openholder.rehearsal.report.style import CSS
from openholder.rehearsal.report.summary import BrokenRule, Summary, milliseconds, summarize
from openholder.rehearsal.results import Report

PLACES = 5
"""Routes of a problem that are shown; the others unfold."""
# Nothing may be run_load or run, whatever a text should have smuggled in (CSP Level 3).
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer"><title>Rehearsal report</title>
<style>"""
_FOOT = "No record, id, address or token is in this report: findings tell places, types and numbers."


def html(report: Report) -> str:
    """The report as one document."""
    summary = summarize(report)
    main = tag("main", *_sections(summary))
    body = joined(_header(summary), main, tag("footer", _FOOT))
    return f"{_HEAD}{CSS}</style></head>\n<body>{body}</body></html>\n"


def _header(summary: Summary) -> Markup:
    aside = f"{summary.target}, {summary.started}, {summary.requests} requests in {summary.seconds:.1f} s"
    verdict = tag("p", summary.verdict, class_=f"verdict {'good' if summary.good else 'critical'}")
    return tag("header", tag("h1", "Rehearsal of the go-live"), verdict, tag("p", aside, class_="soft"))


def _sections(summary: Summary) -> Iterator[Markup]:
    broken_rules = [_problem(broken_rule) for broken_rule in summary.broken_rules]
    yield _section("What to mend", *(broken_rules or [tag("p", "Nothing was found.", class_="card")]))
    if summary.walk or summary.load:
        yield _section("How long answers took", *_times(summary))
    yield _section("What was looked at", _matrix(summary), *_passed(summary))
    if summary.omissions:
        yield _section("What was not looked at", _omissions(summary))
    rows = (joined(tag("dt", name), tag("dd", value)) for name, value in summary.facts)
    yield _section("How it was run", tag("dl", *rows, class_="card"))


def _section(heading: str, *content: Markup) -> Markup:
    return tag("section", tag("h2", heading), *content)


def _problem(broken_rule: BrokenRule) -> Markup:
    rule = broken_rule.rule
    texts = (("Why", rule.why), ("Written", rule.reference), ("How to mend", rule.how_to_fix))
    examples = (_example(example.request, example.response) for example in broken_rule.examples)
    return tag(
        "article",
        tag("p", f"{rule.severity}, {_often(broken_rule.times)}", class_="badge"),
        tag("h3", code(rule.name)),
        tag("p", rule.expected),
        tag("ol", *examples, class_="examples"),
        *_places(broken_rule),
        tag("dl", *(joined(tag("dt", name), tag("dd", words)) for name, words in texts)),
        class_=f"card {rule.severity}",
    )


def _example(asked: str, came: str) -> Markup:
    lines = (tag("div", tag("span", f"{name}: ", class_="soft"), code(words)) for name, words in (
        ("asked", asked), ("came", came),
    ))  # fmt: skip
    return tag("li", *lines)


def _places(broken_rule: BrokenRule) -> Iterator[Markup]:
    items = [
        tag("li", code(subject), f" ({_often(times)})" if times > 1 else "") for subject, times in broken_rule.places
    ]
    yield tag("ul", *items[:PLACES])
    if items[PLACES:]:
        yield tag("details", tag("summary", f"and {len(items) - PLACES} more"), tag("ul", *items[PLACES:]))


def _times(summary: Summary) -> Iterator[Markup]:
    legend = "Each bar reaches from the median (ring) to p95, the dot is the slowest answer, and the dashed line the"
    yield tag("p", f"{legend} limit of the operation's tier. The axis is logarithmic.", class_="soft")
    if summary.load:
        load = summary.load
        words = f"The second bar is the load: {load.rate:g} requests a second were wished, {load.reached:.1f} reached;"
        counts = (
            f"{load.sent} sent, {load.good} good, {load.deferred} refused with Retry-After, {load.refused} without,"
        )
        yield tag("p", f"{words} {counts} {load.failed} failed, {load.unsent} not sent.", class_="soft")
    yield latencies(summary)
    if summary.load:
        yield timeline(summary.load)
    yield tag("details", tag("summary", "The figures"), *_figures(summary))


def _figures(summary: Summary) -> Iterator[Markup]:
    heads = ("Operation", "Answers", "Median", "p95", "p99", "Slowest", "Limit", "Tier")
    measured = [("In the conversation", summary.walk), ("Load", summary.load.measures if summary.load else ())]
    for caption, measures in measured:
        if measures:
            yield table(caption, heads, [_figure(measure) for measure in measures])


def _figure(measure: Measure) -> tuple[str, ...]:
    seconds = (measure.p50, measure.p95, measure.p99, measure.max, measure.tier.limit)
    subject = code(measure.subject)
    return (subject, str(measure.count), *map(milliseconds, seconds), measure.tier.name)


def _matrix(summary: Summary) -> Markup:
    rows = [
        (
            code(rule_count.rule.name),
            rule_count.rule.severity,
            str(rule_count.passed),
            _count(rule_count.failed),
            str(rule_count.skipped),
        )
        for rule_count in summary.rule_counts
    ]
    caption = "Rules, and at how many operations they were kept, broken and not looked at"
    return tag("div", table(caption, ("Rule", "Severity", "Passed", "Found", "Skipped"), rows), class_="card")


def _count(found: int) -> str:
    return tag("span", str(found), class_="late") if found else "0"


def _passed(summary: Summary) -> Iterator[Markup]:
    kept = [rule_count for rule_count in summary.rule_counts if rule_count.passed and not rule_count.failed]
    items = (tag("li", code(rule_count.rule.name), f": {rule_count.rule.expected}") for rule_count in kept)
    yield tag("details", tag("summary", f"What the {len(kept)} rules say that were kept"), tag("ul", *items))


def _omissions(summary: Summary) -> Markup:
    items = (
        tag("li", f"{omission.reason}: ", code(", ".join(omission.rules)), f" ({_often(omission.times)})")
        for omission in summary.omissions
    )
    return tag("ul", *items, class_="card")


def _often(times: int) -> str:
    return "once" if times == 1 else f"{times} times"
