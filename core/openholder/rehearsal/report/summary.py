"""What every form of the report says: masked texts, added up and sorted, without any layout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from openholder._version import __version__
from openholder.rehearsal.masking import build_mask
from openholder.rehearsal.measures import LoadResult, Measure
from openholder.rehearsal.results import SERVER, SEVERITIES, Failure, Report, Result, Rule, Severity

EXAMPLES = 3
"""Deviations of a problem that are shown."""
_PLURALS: Mapping[Severity, tuple[str, str]] = {
    "critical": ("critical", "critical"),
    "error": ("error", "errors"),
    "warning": ("warning", "warnings"),
}
Mask = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Example:
    """A request, and the answer that was not as expected."""

    request: str
    response: str


@dataclass(frozen=True, slots=True)
class Row:
    """An outcome whose texts may leave."""

    rule: Rule
    subject: str
    verdict: str
    skipped: str
    examples: tuple[Example, ...]
    """All there were."""


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule that was broken, and everywhere that it was."""

    rule: Rule
    places: tuple[tuple[str, int], ...]
    """Subjects, and how often there."""
    examples: tuple[Example, ...]
    """A few."""

    @property
    def times(self) -> int:
        """How often in all."""
        return sum(times for _, times in self.places)


@dataclass(frozen=True, slots=True)
class Omission:
    """A reason, and the rules that were not looked at because of it."""

    reason: str
    rules: tuple[str, ...]
    times: int


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule was looked at, and what came of it."""

    rule: Rule
    passed: int
    failed: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Summary:
    """All that a report says."""

    good: bool
    target: str
    started: str
    """ISO 8601, UTC."""
    seconds: float
    requests: int
    options: tuple[tuple[str, str], ...]
    served: tuple[str, ...]
    rows: tuple[Row, ...]
    walk: tuple[Measure, ...]
    """How long the answers of the conversation took, the slowest operation first."""
    load: LoadResult | None

    @property
    def broken_rules(self) -> list[BrokenRule]:
        """Rules that were broken: the worst first, and of the equally bad those that were broken most often."""
        broken = [_problem(rule, rows) for rule, rows in self._by_rule() if any(row.examples for row in rows)]
        return sorted(broken, key=lambda broken_rule: (SEVERITIES.index(broken_rule.rule.severity), -broken_rule.times))

    @property
    def omissions(self) -> list[Omission]:
        """What was not looked at, by reason."""
        reasons: dict[str, list[str]] = defaultdict(list)
        for row in self.rows:
            if row.verdict == "skipped":
                reasons[row.skipped].append(row.rule.name)
        return [Omission(reason, tuple(sorted({*names})), len(names)) for reason, names in reasons.items()]

    @property
    def rule_counts(self) -> list[RuleCount]:
        """Every rule: the worst first."""
        rule_counts = [_tally(rule, rows) for rule, rows in self._by_rule()]
        return sorted(
            rule_counts, key=lambda rule_count: (SEVERITIES.index(rule_count.rule.severity), rule_count.rule.name)
        )

    @property
    def verdict(self) -> str:
        """The whole report in one line."""
        counts = {severity: self.count(severity) for severity in SEVERITIES}
        summary = [f"{count} {_PLURALS[name][count != 1]}" for name, count in counts.items() if count]
        return ": ".join(filter(None, ("Ready to go live" if self.good else "Not ready", ", ".join(summary))))

    @property
    def facts(self) -> list[tuple[str, str]]:
        """How the rehearsal was run."""
        return [
            ("Target", self.target),
            ("Started", self.started),
            ("Duration", f"{self.seconds:.1f} s"),
            ("Requests", f"{self.requests}" + (f", and {self.load.sent} of the load" if self.load else "")),
            ("Operations with data", str(len(self.served))),
            ("openholder", __version__),
            *self.options,
        ]

    def count(self, severity: Severity) -> int:
        """How many rules of a severity were broken."""
        return sum(broken_rule.rule.severity == severity for broken_rule in self.broken_rules)

    def _by_rule(self) -> Iterable[tuple[Rule, list[Row]]]:
        rules: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            rules[row.rule.name].append(row)
        return [(rows[0].rule, rows) for rows in rules.values()]


def summarize(report: Report) -> Summary:
    """What the report says, with nobody's data in it."""
    mask = build_mask(report.secrets)
    walk = [Measure.of(mask(timing.subject), timing.seconds) for timing in report.timings if timing.seconds]
    return Summary(
        good=report.is_ready,
        target=mask(address(report.target)),
        started=datetime.fromtimestamp(report.started, UTC).isoformat(timespec="seconds"),
        seconds=report.seconds,
        requests=report.requests,
        options=tuple((name, mask(value)) for name, value in report.options),
        served=tuple(map(mask, report.served)),
        rows=tuple(_rows(report.results, mask)),
        walk=tuple(sorted(walk, key=lambda measure: -measure.p95)),
        load=report.load and _masked(report.load, mask),
    )


def address(url: str) -> str:
    """An address without a user's name and password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def milliseconds(seconds: float) -> str:
    """A time as people read it."""
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def _masked(load: LoadResult, mask: Mask) -> LoadResult:
    measures = tuple(replace(measure, subject=mask(measure.subject)) for measure in load.measures)
    return replace(load, measures=measures)


def _rows(results: Sequence[Result], mask: Mask) -> Iterator[Row]:
    for result in results:
        examples = tuple(_example(failure, mask) for failure in result.failures)
        yield Row(result.rule, mask(result.subject), result.verdict, mask(result.skipped), examples)


def _example(failure: Failure, mask: Mask) -> Example:
    return Example(mask(failure.request.redacted) if failure.request else SERVER, mask(failure.observed))


def _problem(rule: Rule, rows: Sequence[Row]) -> BrokenRule:
    places = sorted(((row.subject, len(row.examples)) for row in rows if row.examples), key=lambda place: -place[1])
    # One of each place before a second of any, and none twice.
    turns = sorted(
        (turn, number) for number, row in enumerate(rows) for turn in range(min(EXAMPLES, len(row.examples)))
    )
    some = dict.fromkeys(rows[number].examples[turn] for turn, number in turns)
    return BrokenRule(rule, tuple(places), tuple(some)[:EXAMPLES])


def _tally(rule: Rule, rows: Sequence[Row]) -> RuleCount:
    verdicts = [row.verdict for row in rows]
    return RuleCount(rule, *(verdicts.count(verdict) for verdict in ("passed", "failed", "skipped")))
