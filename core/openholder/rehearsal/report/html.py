"""Render the report as one HTML file: no scripts, no network, readable on a phone, in light and dark mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from openholder.rehearsal.measures import Measure
from openholder.rehearsal.report.plot import draw_latencies, draw_timeline
from openholder.rehearsal.report.summary import BrokenRule, Summary, format_seconds, format_times, summarize
from openholder.rehearsal.results import Report
from openholder.reports.document import write_document
from openholder.reports.markup import Markup, join, tag, tag_code, tag_definitions, tag_table

MAX_PLACES = 5
"""The number of routes shown for a broken rule; further ones unfold."""
_FOOTER = "This report contains no record, id, address or token: failures name places, types and numbers only."


def render_html(report: Report) -> str:
    """Render the report as one HTML document."""
    summary = summarize(report)
    details = f"{summary.target}, {summary.started}, {summary.requests} requests in {summary.seconds:.1f} s"
    header = tag(
        "header",
        tag("h1", "Go-live rehearsal"),
        tag("p", summary.verdict, class_=f"verdict {'good' if summary.is_ready else 'critical'}"),
        tag("p", details, class_="soft"),
        tag("p", f"Untried: {summary.untried_text}", class_="soft") if summary.untried_text else "",
        tag("p", "First broken: ", tag_code(summary.first), class_="soft") if summary.first else "",
    )
    body = join(header, tag("main", *_build_sections(summary)), tag("footer", _FOOTER))
    return write_document("Rehearsal report", body)


def _build_sections(summary: Summary) -> Iterator[Markup]:
    broken = [_build_broken_rule(broken) for broken in summary.findings]
    yield _build_section("Failures", *(broken or [tag("p", "No rule was broken.", class_="card")]))
    if summary.known_rules:
        known = tag("ul", *map(_build_known_rule, summary.known_rules), class_="card")
        yield _build_section("Known: in the baseline", known)
    if summary.comparison and summary.comparison.stale:
        items = [
            tag("li", tag_code(entry.rule), f": {entry.subject}" + (f": {entry.cause}" if entry.cause else ""))
            for entry in summary.comparison.stale
        ]
        yield _build_section("No longer found: take these out of the baseline", tag("ul", *items, class_="card"))
    if summary.comparison and summary.comparison.unchecked:
        unchecked = f"Entries of the baseline that were not checked this time: {summary.comparison.unchecked}"
        yield tag("p", unchecked, class_="soft")
    if summary.notes:
        lines = dict.fromkeys(
            f"{each.example.request}: {each.example.response} ({each.rule})" for each in summary.notes
        )
        intro = "A proxy seems to answer these requests, which only attackers send, by itself."
        yield _build_section("Notes", tag("p", intro), tag("ul", *(tag("li", line) for line in lines), class_="card"))
    if summary.conversation or summary.load:
        yield _build_section("Response times", *_build_response_times(summary))
    yield _build_section("Rules", *_build_rules(summary))
    if summary.omissions:
        items = [
            tag("li", f"{each.reason}: ", tag_code(", ".join(each.rules)), f" ({format_times(each.times)})")
            for each in summary.omissions
        ]
        yield _build_section("Skipped rules", tag("ul", *items, class_="card"))
    yield _build_section("This rehearsal", tag_definitions(summary.facts, class_="card"))


def _build_section(heading: str, *content: Markup) -> Markup:
    return tag("section", tag("h2", heading), *content)


def _build_broken_rule(broken: BrokenRule) -> Markup:
    rule = broken.rule
    examples = [
        tag(
            "li",
            _build_line("Request", join(tag_code(each.request), f", {each.who}" if each.who else "")),
            _build_line("Response", tag_code(each.response)),
            _build_line("In your log", tag_code(each.interaction_id)) if each.interaction_id else "",
        )
        for each in broken.examples
    ]
    places = [
        tag("li", tag_code(subject), f" ({format_times(times)})" if times > 1 else "")
        for subject, times in broken.places
    ]
    further = places[MAX_PLACES:]
    return tag(
        "article",
        tag("p", f"{broken.severity}, {format_times(broken.times)}", class_="badge"),
        tag("h3", rule.expected),
        _build_line("Rule", tag_code(rule.name)),
        tag("ol", *examples, class_="examples"),
        tag("ul", *places[:MAX_PLACES]),
        tag("details", tag("summary", f"{len(further)} more"), tag("ul", *further)) if further else "",
        tag_definitions([("Why", rule.why), ("Reference", rule.reference), ("How to fix", rule.how_to_fix)]),
        _build_line("Follows from this", tag_code(", ".join(each.rule.name for each in broken.consequences)))
        if broken.consequences
        else "",
        class_=f"card {broken.severity}",
    )


def _build_known_rule(known: BrokenRule) -> Markup:
    places = [
        tag("li", tag_code(subject), f" ({format_times(times)})" if times > 1 else "")
        for subject, times in known.places
    ]
    head = join(known.severity, ": ", tag_code(known.rule.name), f" ({format_times(known.times)})")
    return tag("li", head, tag("ul", *places))


def _build_line(label: str, content: str) -> Markup:
    return tag("div", tag("span", f"{label}: ", class_="soft"), content)


def _build_response_times(summary: Summary) -> Iterator[Markup]:
    legend = (
        "Each bar spans from the median (ring) to p95. The dot marks the slowest response, and the dashed line the"
        " limit of the operation's tier. The axis is logarithmic."
    )
    yield tag("p", legend, class_="soft")
    if summary.load:
        yield tag("p", f"The second bar is the load: {summary.load.description}", class_="soft")
    yield draw_latencies(summary)
    if summary.load:
        yield draw_timeline(summary.load)
    tables = []
    if summary.conversation:
        tables.append(_build_measures("Without load", summary.conversation))
    if summary.load and summary.load.measures:
        tables.append(_build_measures("Under load", summary.load.measures))
        tables.append(_build_measures("Under load, by tier", summary.load.tiers))
    yield tag("details", tag("summary", "All figures"), *tables)


def _build_measures(caption: str, measures: Sequence[Measure]) -> Markup:
    rows = [
        (
            tag_code(measure.label),
            str(measure.count),
            format_seconds(measure.p50),
            format_seconds(measure.p95),
            format_seconds(measure.p99),
            format_seconds(measure.max),
            format_seconds(measure.tier.limit),
            measure.tier.name,
        )
        for measure in measures
    ]
    return tag_table(caption, ("Operation", "Responses", "Median", "p95", "p99", "Slowest", "Limit", "Tier"), rows)


def _build_rules(summary: Summary) -> Iterator[Markup]:
    counts = summary.rule_counts
    rows = [
        (
            tag_code(count.rule.name),
            count.rule.severity,
            str(count.passed),
            tag("span", str(count.failed), class_="late") if count.failed else "0",
            str(count.skipped),
        )
        for count in counts
    ]
    caption = "For how many operations each rule passed, failed or was skipped"
    yield tag("div", tag_table(caption, ("Rule", "Severity", "Passed", "Failed", "Skipped"), rows), class_="card")
    passed = [count.rule for count in counts if count.passed and not count.failed]
    items = [tag("li", tag_code(rule.name), f": {rule.expected}") for rule in passed]
    yield tag("details", tag("summary", f"The {len(passed)} rules that passed"), tag("ul", *items))
