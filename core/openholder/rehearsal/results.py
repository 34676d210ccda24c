"""Rules, the results of checking them, and the report that collects the results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from openholder.rehearsal.exchange import Request
from openholder.rehearsal.measures import LoadResult, Timing

Severity = Literal["critical", "error", "warning"]
"""
``critical``  customer data is at risk, or nothing works
``error``     the contract is broken: requests of Fiskil or of a recipient will fail
``warning``   allowed or not provable, but worth a look
"""
Verdict = Literal["failed", "skipped", "passed"]
SERVER = "the server"
"""The subject of results that do not belong to one operation."""
SEVERITIES: tuple[Severity, ...] = ("critical", "error", "warning")
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One requirement for a resource server. Its texts are for readers who did not write the server."""

    name: str
    """Short and permanent, such as ``total-records``."""
    severity: Severity
    expected: str
    why: str
    """Who is harmed if the rule is broken, and how."""
    reference: str
    """The standard and section that the rule is from."""
    how_to_fix: str
    example: str
    """What a report can show if the rule is broken: the request, a colon, and the response."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One response that broke a rule."""

    observed: str
    """What was answered instead, without any customer value."""
    request: Request | None = None
    interaction_id: str = ""
    """The x-fapi-interaction-id of the request, to find it in the log of the server."""
    who: str = ""
    """Whose data was requested, such as ``customer 1, account 3 of 5``: no id, no name."""
    order: int = 0
    """The number of the request in the rehearsal, from 1; 0 if the failure is not about one request."""
    is_of_any_request: bool = False
    """True if the rule is about every response with data: what was special about the request is no cause."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one rule for one operation, or for the server as a whole."""

    rule: Rule
    subject: str
    """A route, or a few words."""
    failures: tuple[Failure, ...] = ()
    skipped: str = ""
    """Why the rule could not be checked."""
    notes: tuple[Failure, ...] = ()
    """What would break the rule if it were the server's, but a proxy may answer so to a malformed request."""
    known: tuple[Failure, ...] = ()
    """Failures that a baseline accepts."""

    @property
    def verdict(self) -> Verdict:
        """Whether the rule failed, passed or was skipped."""
        if self.failures:
            return "failed"
        return "skipped" if self.skipped else "passed"


def pass_rule(rule: Rule, subject: str) -> Result:
    """Return a result without failures."""
    return Result(rule, subject)


def fail_rule(rule: Rule, subject: str, observed: str, request: Request | None = None) -> Result:
    """Return a result with one failure."""
    return Result(rule, subject, (Failure(observed, request),))


def skip_rule(rule: Rule, subject: str, reason: str) -> Result:
    """Return the result of a rule that could not be checked."""
    return Result(rule, subject, skipped=reason)


def judge_rule(rule: Rule, subject: str, is_kept: bool, observed: str, request: Request | None = None) -> Result:
    """Return a result that passes if ``is_kept``; otherwise one with a failure of what was observed."""
    return pass_rule(rule, subject) if is_kept else fail_rule(rule, subject, observed, request)


def merge_results(results: Iterable[Result]) -> list[Result]:
    """Return one result for each rule and subject, in the order in which they were first checked."""
    merged: dict[tuple[str, str], Result] = {}
    for result in results:
        key = (result.rule.name, result.subject)
        earlier = merged.get(key)
        if earlier:
            # A rule that was checked at least once does not count as skipped.
            is_skipped = earlier.verdict == result.verdict == "skipped"
            reason = earlier.skipped if is_skipped else ""
            failures, notes = earlier.failures + result.failures, earlier.notes + result.notes
            result = Result(result.rule, result.subject, failures, reason, notes, earlier.known + result.known)
        merged[key] = result
    return list(merged.values())


class KnownFinding(NamedTuple):
    """An entry of a baseline."""

    rule: str
    """The name of the rule."""
    subject: str
    cause: str
    """What `name_cause` says of the failure; empty if every failure is known."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of the entries of a baseline that were not found."""

    stale: tuple[KnownFinding, ...]
    """Those whose rule was checked for the same subject."""
    unchecked: int
    """The number of the others."""


@dataclass(slots=True)
class Report:
    """The outcome of a rehearsal."""

    target: str
    """The URL of the server."""
    started: float
    """Seconds since 1970."""
    seconds: float = 0.0
    results: Sequence[Result] = ()
    """One for each rule and subject."""
    requests: int = 0
    served: tuple[str, ...] = ()
    """The routes that were answered with data."""
    timings: tuple[Timing, ...] = ()
    """The response times before the attacks, one entry for each operation."""
    load: LoadResult | None = None
    untried: tuple[tuple[str, str], ...] = ()
    """What a limit of the rehearsal or of the server kept from being looked at: a subject, and why."""
    is_finished: bool = True
    """False if phases are missing because the server asked to wait too long, or the rehearsal was stopped."""
    options: tuple[tuple[str, str], ...] = ()
    """How the rehearsal was run: names and values for people to read."""
    comparison: Comparison | None = None
    """With a baseline; without one, None."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """Personal values that must be masked in every output."""

    @property
    def failed_results(self) -> list[Result]:
        """The results with failures, the worst first."""
        failed = [result for result in merge_results(self.results) if result.failures]
        return sorted(failed, key=lambda result: SEVERITIES.index(result.rule.severity))

    @property
    def is_ready(self) -> bool:
        """Return whether no rule failed except those of severity ``warning``."""
        return all(result.rule.severity == "warning" for result in self.failed_results)
