"""Summarise a report for all formats: texts are masked, results are grouped and sorted, and nothing is laid out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from openholder._version import __version__
from openholder.rehearsal.causes import find_causes, find_first
from openholder.rehearsal.fingerprints import name_cause
from openholder.rehearsal.masking import build_mask
from openholder.rehearsal.measures import LoadResult, Measure
from openholder.rehearsal.results import SEVERITIES, Comparison, Failure, Report, Rule, Severity, Verdict

MAX_EXAMPLES = 3
"""The number of failures shown for one rule."""
MAX_UNTRIED = 4
"""The number of things that the line beside the verdict lists."""
FURTHER = "not looked at further: "
NOT_SERVED = "not served"
NO_REQUEST = "(no single request)"
_PLURALS: Mapping[Severity, str] = {"critical": "critical", "error": "errors", "warning": "warnings"}


@dataclass(frozen=True, slots=True)
class Example:
    """A request, and the response that broke a rule; both are redacted."""

    request: str
    response: str
    who: str = ""
    """Whose data was requested, by number."""
    interaction_id: str = ""
    cause: str = ""
    """What the failure is about: the same in the next run."""


@dataclass(frozen=True, slots=True)
class ResultRow:
    """The result of one rule for one subject, with masked texts."""

    rule: Rule
    subject: str
    verdict: Verdict
    skipped: str
    """Why the rule could not be checked."""
    examples: tuple[Example, ...]
    """All failures that are not known."""
    known: tuple[Example, ...] = ()
    """The failures that a baseline accepts."""


Found = tuple[str, Sequence[Example]]
"""A subject and the failures there."""


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule that was broken, and where."""

    rule: Rule
    places: tuple[tuple[str, int], ...]
    """Each subject with its number of failures, the largest first."""
    examples: tuple[Example, ...]
    """At most `MAX_EXAMPLES` of the failures."""
    cause: str = ""
    """The broken rule that this one follows from; empty if it is a cause itself."""
    consequences: tuple[BrokenRule, ...] = ()
    """The broken rules that follow from this one."""

    @property
    def severity(self) -> Severity:
        """The severity of the rule, or of the worst one that follows from it."""
        severities = [self.rule.severity, *(each.rule.severity for each in self.consequences)]
        return min(severities, key=SEVERITIES.index)

    @property
    def times(self) -> int:
        """The number of failures in all places."""
        return sum(times for _, times in self.places)


@dataclass(frozen=True, slots=True)
class Omission:
    """A reason for which rules were skipped."""

    reason: str
    rules: tuple[str, ...]
    times: int


@dataclass(frozen=True, slots=True)
class Note:
    """A response that would break a rule, but seems to be a proxy's, to a request that only an attacker sends."""

    rule: str
    subject: str
    example: Example


@dataclass(frozen=True, slots=True)
class RuleCount:
    """The number of subjects for which a rule passed, failed or was skipped."""

    rule: Rule
    passed: int
    failed: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that a report shows."""

    is_ready: bool
    target: str
    started: str
    """ISO 8601, UTC."""
    seconds: float
    requests: int
    options: tuple[tuple[str, str], ...]
    served: tuple[str, ...]
    rows: tuple[ResultRow, ...]
    conversation: tuple[Measure, ...]
    """The response times before the attacks and the load, the slowest operation first."""
    load: LoadResult | None
    comparison: Comparison | None = None
    """What became of the entries of a baseline, if there is one."""
    causes: Mapping[str, str] = field(default_factory=dict)
    """The broken rule from which another one follows, by name."""
    first: str = ""
    """The rule that the earliest request broke."""
    notes: tuple[Note, ...] = ()
    untried: tuple[tuple[str, str], ...] = ()
    """What was not looked at to the end: a subject, and why."""
    is_finished: bool = True
    """False if the server asked to wait too long, or the rehearsal was stopped."""

    @property
    def broken_rules(self) -> list[BrokenRule]:
        """The broken rules, by severity and then by number of failures."""
        broken = [
            BrokenRule(rule, _count_places(found), _choose_examples(found), self.causes.get(rule.name, ""))
            for rule, rows in self._group_by_rule()
            if (found := [(row.subject, row.examples) for row in rows if row.examples])
        ]
        return sorted(broken, key=lambda each: (SEVERITIES.index(each.rule.severity), -each.times))

    @property
    def known_rules(self) -> list[BrokenRule]:
        """The rules whose failures a baseline accepts, by severity and then by number of failures."""
        known = [
            BrokenRule(rule, _count_places(found), _choose_examples(found))
            for rule, rows in self._group_by_rule()
            if (found := [(row.subject, row.known) for row in rows if row.known])
        ]
        return sorted(known, key=lambda each: (SEVERITIES.index(each.rule.severity), -each.times))

    @property
    def findings(self) -> list[BrokenRule]:
        """The broken rules that follow from no other one, with those that follow from them; the worst first."""
        broken = self.broken_rules
        found = [
            replace(each, consequences=tuple(other for other in broken if other.cause == each.rule.name))
            for each in broken
            if not each.cause
        ]
        return sorted(found, key=lambda each: (SEVERITIES.index(each.severity), -each.times))

    @property
    def omissions(self) -> list[Omission]:
        """The skipped rules, grouped by reason."""
        reasons: dict[str, list[str]] = defaultdict(list)
        for row in self.rows:
            if row.verdict == "skipped" and not row.known:
                reasons[row.skipped].append(row.rule.name)
        return [Omission(reason, tuple(sorted({*names})), len(names)) for reason, names in reasons.items()]

    @property
    def rule_counts(self) -> list[RuleCount]:
        """All rules, by severity and then by name."""
        counts = []
        for rule, rows in self._group_by_rule():
            verdicts = [row.verdict for row in rows]
            counts.append(
                RuleCount(
                    rule,
                    passed=verdicts.count("passed"),
                    failed=verdicts.count("failed"),
                    skipped=verdicts.count("skipped"),
                )
            )
        return sorted(counts, key=lambda each: (SEVERITIES.index(each.rule.severity), each.rule.name))

    @property
    def verdict(self) -> str:
        """The result of the rehearsal in one line."""
        parts = []
        for severity in SEVERITIES:
            count = sum(found.severity == severity for found in self.findings)
            if count:
                parts.append(f"{count} {severity if count == 1 else _PLURALS[severity]}")
        if self.known_rules:
            parts.append(f"{len(self.known_rules)} known")
        verdict = "Ready to go live" if self.is_ready else "Not ready"
        if self.is_ready and any(known.severity != "warning" for known in self.known_rules):
            verdict = "No new failure"
        if self.is_ready and not self.is_finished:
            verdict = "Not looked at to the end"
        return f"{verdict}: {', '.join(parts)}" if parts else verdict

    @property
    def untried_text(self) -> str:
        """What the verdict does not cover, in one line; empty if it covers everything."""
        reasons = {each.reason: len(each.rules) for each in self.omissions if each.reason != NOT_SERVED}
        parts = [f"{format_rules(count)} ({reason})" for reason, count in reasons.items()]
        parts += [f"{subject} ({reason.removeprefix(FURTHER)})" for subject, reason in self.untried]
        more = len(parts) - MAX_UNTRIED
        return "; ".join(parts[:MAX_UNTRIED] + ([f"and {more} more"] if more > 0 else []))

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Names and values that describe how the rehearsal was run."""
        return [
            ("Target", self.target),
            ("Started", self.started),
            ("Duration", f"{self.seconds:.1f} s"),
            ("Requests", f"{self.requests}" + (f", plus {self.load.sent} of the load" if self.load else "")),
            ("Operations with data", str(len(self.served))),
            ("openholder", __version__),
            *self.options,
        ]

    def count_broken(self, severity: Severity) -> int:
        """Count the broken rules of one severity."""
        return sum(broken.rule.severity == severity for broken in self.broken_rules)

    def _group_by_rule(self) -> Iterable[tuple[Rule, list[ResultRow]]]:
        rules: dict[str, list[ResultRow]] = defaultdict(list)
        for row in self.rows:
            rules[row.rule.name].append(row)
        return [(rows[0].rule, rows) for rows in rules.values()]


def summarize(report: Report) -> Summary:
    """Summarise a report, with all personal values masked."""
    mask = build_mask(report.secrets)
    rows = [
        ResultRow(
            rule=result.rule,
            subject=mask(result.subject),
            verdict=result.verdict,
            skipped=mask(result.skipped),
            examples=tuple(_build_example(failure, mask) for failure in result.failures),
            known=tuple(_build_example(failure, mask) for failure in result.known),
        )
        for result in report.results
    ]
    measures = [Measure.of(mask(timing.subject), timing.seconds) for timing in report.timings if timing.seconds]
    load = report.load
    if load:
        masked = tuple(replace(measure, subject=mask(measure.subject)) for measure in load.measures)
        load = replace(load, measures=masked)
    return Summary(
        is_ready=report.is_ready,
        target=mask(redact_url(report.target)),
        started=datetime.fromtimestamp(report.started, UTC).isoformat(timespec="seconds"),
        seconds=report.seconds,
        requests=report.requests,
        options=tuple((name, mask(value)) for name, value in report.options),
        served=tuple(map(mask, report.served)),
        rows=tuple(rows),
        comparison=report.comparison,
        causes=find_causes(report.results),
        first=find_first(report.results),
        notes=tuple(
            Note(result.rule.name, mask(result.subject), _build_example(note, mask))
            for result in report.results
            for note in result.notes
        ),
        untried=tuple((mask(subject), mask(reason)) for subject, reason in report.untried),
        is_finished=report.is_finished,
        conversation=tuple(sorted(measures, key=lambda measure: -measure.p95)),
        load=load,
    )


def _build_example(failure: Failure, mask: Callable[[str], str]) -> Example:
    request = mask(failure.request.redacted_text) if failure.request else NO_REQUEST
    cause = mask(name_cause(failure))
    return Example(request, mask(failure.observed), failure.who, mask(failure.interaction_id), cause)


def redact_url(url: str) -> str:
    """Remove user name, password, query and fragment from a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def format_seconds(seconds: float) -> str:
    """Format a response time in milliseconds."""
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def format_rules(count: int) -> str:
    """Format a number of rules."""
    return "one rule" if count == 1 else f"{count} rules"


def format_times(times: int) -> str:
    """Format a number of failures."""
    return "once" if times == 1 else f"{times} times"


def _count_places(found: Iterable[Found]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(((subject, len(examples)) for subject, examples in found), key=lambda place: -place[1]))


def _choose_examples(found: Sequence[Found]) -> tuple[Example, ...]:
    """Choose different examples: the first of each subject, then the second of each, and so on."""
    chosen: dict[tuple[str, str], Example] = {}
    for turn in range(MAX_EXAMPLES):
        for _, examples in found:
            if turn < len(examples):
                example = examples[turn]
                chosen.setdefault((example.request, example.response), example)
    return tuple(chosen.values())[:MAX_EXAMPLES]
