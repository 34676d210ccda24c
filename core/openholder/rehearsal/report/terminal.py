"""Render the report as text for a terminal: verdict, broken rules by severity, skipped rules and response times."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence

from openholder.rehearsal.measures import Measure
from openholder.rehearsal.report.summary import BrokenRule, Summary, format_seconds, format_times, summarize
from openholder.rehearsal.results import Report

MAX_PLACES = 8
"""The number of routes listed for a broken rule."""
MIN_WIDTH = 40
"""Columns; a narrower terminal wraps lines by itself."""
MAX_WIDTH = 110
"""Columns; longer lines are harder to read."""
MAX_RULES = 4
"""The number of rules listed for a reason to skip them."""
_LABEL_WIDTH = 16
_CODES = {"critical": "1;31", "error": "31", "warning": "33", "good": "1;32", "heading": "1", "soft": "2"}


def render_verdict(report: Report, width: int = 80, colour: bool = False) -> str:
    """Render the verdict, the target and the number of checks, in lines of at most ``width`` columns."""
    summary = summarize(report)
    page = _Page(max(MIN_WIDTH, width), colour)
    _add_verdict(page, summary)
    page.add_line(_count_checks(summary))
    return "\n".join([*page.lines, ""])


def render_text(report: Report, width: int = 80, colour: bool = False) -> str:
    """Render the report in lines of at most ``width`` columns, unless a single word is longer."""
    summary = summarize(report)
    page = _Page(max(MIN_WIDTH, width), colour)
    _add_verdict(page, summary)
    if summary.untried_text:
        page.add_line(f"Untried: {summary.untried_text}", "soft")
    if summary.first:
        page.add_line(f"First broken: {summary.first}", "soft")
    for broken in summary.findings:
        _add_broken_rule(page, broken)
    _add_known(page, summary)
    _add_notes(page, summary)
    _add_omissions(page, summary)
    page.add_heading(_count_checks(summary), "")
    _add_measures(page, "Response times", summary.conversation)
    if summary.load:
        page.add_heading("Under load")
        page.add_line(summary.load.description)
        _add_measures(page, "Under load, by tier", summary.load.tiers)
        _add_measures(page, "Under load, by operation", summary.load.measures)
    return "\n".join([*page.lines, ""])


def render_for_stdout(report: Report, render: Callable[[Report, int, bool], str] = render_text) -> str:
    """Render the report, or its verdict alone, as text that fits standard output, coloured if it is a terminal."""
    # https://no-color.org: any value but the empty one disables colour.
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return render(report, min(MAX_WIDTH, shutil.get_terminal_size().columns), colour)


class _Page:
    """Lines of a limited width."""

    def __init__(self, width: int, colour: bool) -> None:
        self.width = width
        self.colour = colour
        self.lines: list[str] = []

    def add_line(self, text: str, role: str = "", first_prefix: str = "", next_prefix: str = "") -> None:
        """Add text and wrap it; the prefixes precede its first and its further lines."""
        width = max(self.width - len(first_prefix), 20)
        for number, part in enumerate(textwrap.wrap(text, width, break_on_hyphens=False) or [""]):
            painted = f"\x1b[{_CODES[role]}m{part}\x1b[0m" if self.colour and role else part
            self.lines.append((next_prefix if number else first_prefix) + painted)

    def add_labelled(self, label: str, text: str) -> None:
        """Add text beside a label."""
        self.add_line(text, first_prefix=f"    {label}".ljust(_LABEL_WIDTH), next_prefix=" " * _LABEL_WIDTH)

    def add_item(self, text: str) -> None:
        """Add an indented item of a list."""
        self.add_line(text, first_prefix="  ", next_prefix="      ")

    def add_heading(self, text: str, role: str = "heading") -> None:
        """Add a line after an empty one."""
        self.lines.append("")
        self.add_line(text, role)


def _add_verdict(page: _Page, summary: Summary) -> None:
    verdict_role = "good" if summary.is_ready and summary.is_finished else "critical"
    page.add_line(summary.verdict, verdict_role)
    page.add_line(f"{summary.target}, {summary.requests} requests in {summary.seconds:.1f} s", "soft")


def _count_checks(summary: Summary) -> str:
    verdicts = [row.verdict for row in summary.rows]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("passed", "failed", "skipped"))
    return f"{len(summary.rule_counts)} rules, {len(summary.rows)} checks: {counts}"


def _add_broken_rule(page: _Page, broken: BrokenRule) -> None:
    rule = broken.rule
    page.add_heading(f"{broken.severity.upper()} {rule.expected}", broken.severity)
    page.add_labelled("Rule", f"{rule.name} ({format_times(broken.times)})")
    for subject, times in broken.places[:MAX_PLACES]:
        page.add_item(f"{subject} ({format_times(times)})" if times > 1 else subject)
    if len(broken.places) > MAX_PLACES:
        page.add_item(f"and {len(broken.places) - MAX_PLACES} more")
    for example in broken.examples:
        page.add_labelled("Request", f"{example.request}, {example.who}" if example.who else example.request)
        page.add_labelled("Response", example.response)
        if example.interaction_id:
            page.add_labelled("In your log", example.interaction_id)
    page.add_labelled("Why", rule.why)
    page.add_labelled("Reference", rule.reference)
    page.add_labelled("How to fix", rule.how_to_fix)
    if broken.consequences:
        follows = ", ".join(f"{each.rule.name} ({format_times(each.times)})" for each in broken.consequences)
        page.add_labelled("Follows", f"from this: {follows}")


def _add_known(page: _Page, summary: Summary) -> None:
    """Add what the baseline accepts, and what it need not accept any more."""
    if summary.known_rules:
        page.add_heading("Known: in the baseline")
    for known in summary.known_rules:
        page.add_item(f"{known.severity.upper()} {known.rule.name} ({format_times(known.times)})")
        for subject, times in known.places[:MAX_PLACES]:
            page.add_labelled("", f"{subject} ({format_times(times)})" if times > 1 else subject)
        if len(known.places) > MAX_PLACES:
            page.add_labelled("", f"and {len(known.places) - MAX_PLACES} more")
    if summary.comparison and summary.comparison.stale:
        page.add_heading("No longer found: take these out of the baseline")
        for entry in summary.comparison.stale:
            page.add_item(f"{entry.rule}: {entry.subject}" + (f": {entry.cause}" if entry.cause else ""))
    if summary.comparison and summary.comparison.unchecked:
        page.add_heading(f"Entries of the baseline that were not checked this time: {summary.comparison.unchecked}", "")


def _add_notes(page: _Page, summary: Summary) -> None:
    """Add the notes: the same response to several requests once."""
    if summary.notes:
        page.add_heading("Notes: a proxy seems to answer these requests, which only attackers send, by itself")
    for rule, example in dict.fromkeys((note.rule, note.example) for note in summary.notes):
        page.add_item(f"{example.request}: {example.response} ({rule})")


def _add_omissions(page: _Page, summary: Summary) -> None:
    if summary.omissions:
        page.add_heading("Skipped")
    for omission in summary.omissions:
        names = ", ".join(omission.rules[:MAX_RULES])
        if len(omission.rules) > MAX_RULES:
            names = f"{names} and {len(omission.rules) - MAX_RULES} more"
        page.add_item(f"{omission.reason}: {names}")


def _add_measures(page: _Page, heading: str, measures: Sequence[Measure]) -> None:
    """Add median, p95 and limit of each operation, if there are any."""
    if not measures:
        return
    page.add_heading(heading)
    room = min(max(len(measure.label) for measure in measures), page.width - 32)
    page.lines.append(f"{'':{room}}{'median':>10}{'p95':>10}{'limit':>10}")
    for measure in measures:
        times = (measure.p50, measure.p95, measure.tier.limit)
        cells = "".join(format_seconds(seconds).rjust(10) for seconds in times)
        page.lines.append(f"{_shorten_route(measure.label, room):{room}}{cells}")
    for measure in measures:
        if not measure.is_within_limit:
            page.add_line(f"too slow: {measure.label}", "error")


def _shorten_route(route: str, room: int) -> str:
    """Drop the names of path parameters, and then the beginning, of a route that is too long."""
    if len(route) > room:
        route = re.sub(r"\{\w+\}", "{}", route).replace("/customer/{}", "/…")
    return route if len(route) <= room else f"…{route[1 - room :]}"
