"""The report as text for a terminal: the verdict, what is to be mended, the worst first, and how long it all took."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator

from openholder.rehearsal.measures import Measure
from openholder.rehearsal.report.summary import BrokenRule, Omission, Summary, milliseconds, summarize
from openholder.rehearsal.results import Report

PLACES = 8
"""Routes of a problem that are listed."""
NARROWEST = 40
"""Columns below which lines are not broken any further."""
_CODES = {"critical": "1;31", "error": "31", "warning": "33", "good": "1;32", "heading": "1", "aside": "2"}
Paint = Callable[[str, str], str]


def text(report: Report, width: int = 80, colour: bool = False) -> str:
    """The report in lines of at most so many characters, as far as words allow it."""
    summary, page = summarize(report), _Page(max(NARROWEST, width), _painted if colour else _plain)
    page.line(summary.verdict, "good" if summary.good else "critical")
    page.line(f"{summary.target}, {summary.requests} requests in {summary.seconds:.1f} s", "aside")
    for broken_rule in summary.broken_rules:
        _problem(page, broken_rule)
    _omissions(page, summary.omissions)
    _counts(page, summary)
    _timings(page, "How long answers took", summary.walk)
    if summary.load:
        load = summary.load
        sent = f"{load.sent} sent, {load.good} good, {load.deferred + load.refused} refused, {load.failed} failed"
        _timings(page, f"Under load: {load.reached:.1f} requests a second; {sent}", load.measures)
    return "\n".join([*page.lines, ""])


def _plain(words: str, _: str) -> str:
    return words


def _painted(words: str, role: str) -> str:
    return f"\x1b[{_CODES[role]}m{words}\x1b[0m" if role else words


class _Page:
    """Lines of a width."""

    def __init__(self, width: int, paint: Paint) -> None:
        self.width, self.paint = width, paint
        self.lines: list[str] = []

    def line(self, words: str, role: str = "", before: str = "", behind: str = "") -> None:
        """Text, broken where it is too long; ``before`` the first line, and ``behind`` it all others."""
        width = max(self.width, len(before) + 20)
        for number, part in enumerate(textwrap.wrap(words, width - len(before), break_on_hyphens=False) or [""]):
            self.lines.append((behind if number else before) + self.paint(part, role))

    def named(self, name: str, words: str) -> None:
        """Text below its name."""
        before = f"    {name}".ljust(14)
        self.line(words, before=before, behind=" " * len(before))

    def heading(self, words: str, role: str = "heading") -> None:
        """A line behind a gap."""
        self.lines.append("")
        self.line(words, role)


def _problem(page: _Page, broken_rule: BrokenRule) -> None:
    rule = broken_rule.rule
    page.heading(f"{rule.severity.upper()} {rule.name} ({_times(broken_rule.times)})", rule.severity)
    for subject, times in broken_rule.places[:PLACES]:
        page.line(subject + (f" ({_times(times)})" if times > 1 else ""), before="  ", behind="      ")
    if len(broken_rule.places) > PLACES:
        page.line(f"and {len(broken_rule.places) - PLACES} more", before="  ")
    for example in broken_rule.examples:
        page.named("asked", example.request)
        page.named("came", example.response)
    for name, words in (
        ("expected", rule.expected),
        ("why", rule.why),
        ("written", rule.reference),
        ("mend", rule.how_to_fix),
    ):
        page.named(name, words)


def _omissions(page: _Page, omissions: list[Omission]) -> None:
    if omissions:
        page.heading("Not looked at")
    for omission in omissions:
        page.line(f"{omission.reason}: {_names(omission.rules)}", before="  ", behind="      ")


def _names(names: tuple[str, ...]) -> str:
    some = ", ".join(names[:4])
    return f"{some} and {len(names) - 4} more" if len(names) > 4 else some


def _counts(page: _Page, summary: Summary) -> None:
    verdicts = [row.verdict for row in summary.rows]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("passed", "failed", "skipped"))
    page.heading(f"{len(summary.rule_counts)} rules in {len(summary.rows)} places: {counts}", "")


def _timings(page: _Page, heading: str, measures: tuple[Measure, ...]) -> None:
    if not measures:
        return
    page.heading(heading)
    for line in _table(measures, page.width):
        page.lines.append(line)
    for measure in measures:
        if not measure.is_within_limit:
            page.line(f"too slow: {measure.subject}", "error")


def _table(measures: tuple[Measure, ...], width: int) -> Iterator[str]:
    """Median, p95 and the tier's limit of each operation; a route that is too long is cut."""
    room = min(max(len(measure.subject) for measure in measures), width - 32)
    yield f"{'':{room}}{'median':>10}{'p95':>10}{'limit':>10}"
    for measure in measures:
        cells = (milliseconds(seconds).rjust(10) for seconds in (measure.p50, measure.p95, measure.tier.limit))
        yield f"{_cut(measure.subject, room):{room}}{''.join(cells)}"


def _cut(words: str, room: int) -> str:
    if len(words) > room:
        words = re.sub(r"\{\w+\}", "{}", words).replace("/customer/{}", "/…")
    return words if len(words) <= room else f"…{words[1 - room :]}"


def _times(times: int) -> str:
    return "once" if times == 1 else f"{times} times"
