"""The report as text for a terminal: the verdict, what is to be mended, the worst first, and how long it all took."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator

from openholder.rehearsal.play import Report
from openholder.rehearsal.report.summary import Omission, Problem, Summary, milliseconds, summary
from openholder.rehearsal.tiers import Measure

PLACES = 8
"""Routes of a problem that are listed."""
NARROWEST = 40
"""Columns below which lines are not broken any further."""
_CODES = {"critical": "1;31", "error": "31", "warning": "33", "good": "1;32", "heading": "1", "aside": "2"}
Paint = Callable[[str, str], str]


def text(report: Report, width: int = 80, colour: bool = False) -> str:
    """The report in lines of at most so many characters, as far as words allow it."""
    told, page = summary(report), _Page(max(NARROWEST, width), _painted if colour else _plain)
    page.line(told.verdict, "good" if told.good else "critical")
    page.line(f"{told.target}, {told.requests} requests in {told.seconds:.1f} s", "aside")
    for problem in told.problems:
        _problem(page, problem)
    _omissions(page, told.omissions)
    _counts(page, told)
    _timings(page, "How long answers took", told.walk)
    if told.load:
        load = told.load
        sent = f"{load.sent} sent, {load.good} good, {load.later + load.blunt} refused, {load.failed} failed"
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


def _problem(page: _Page, problem: Problem) -> None:
    rule = problem.rule
    page.heading(f"{rule.severity.upper()} {rule.name} ({_times(problem.times)})", rule.severity)
    for subject, times in problem.places[:PLACES]:
        page.line(subject + (f" ({_times(times)})" if times > 1 else ""), before="  ", behind="      ")
    if len(problem.places) > PLACES:
        page.line(f"and {len(problem.places) - PLACES} more", before="  ")
    for example in problem.examples:
        page.named("asked", example.asked)
        page.named("came", example.came)
    for name in ("expected", "why", "written", "mend"):
        page.named(name, getattr(rule, name))


def _omissions(page: _Page, omissions: list[Omission]) -> None:
    if omissions:
        page.heading("Not looked at")
    for omission in omissions:
        page.line(f"{omission.reason}: {_names(omission.rules)}", before="  ", behind="      ")


def _names(names: tuple[str, ...]) -> str:
    some = ", ".join(names[:4])
    return f"{some} and {len(names) - 4} more" if len(names) > 4 else some


def _counts(page: _Page, told: Summary) -> None:
    verdicts = [row.verdict for row in told.rows]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("passed", "found", "skipped"))
    page.heading(f"{len(told.tallies)} rules in {len(told.rows)} places: {counts}", "")


def _timings(page: _Page, heading: str, measures: tuple[Measure, ...]) -> None:
    if not measures:
        return
    page.heading(heading)
    for line in _table(measures, page.width):
        page.lines.append(line)
    for measure in measures:
        if not measure.within:
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
