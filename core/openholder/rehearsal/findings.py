"""What a rehearsal finds: rules, outcomes, and the ledger that adds them up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from openholder.rehearsal.exchange import Request

Severity = Literal["critical", "error", "warning"]
"""
``critical``  somebody's data is in danger, or nothing works
``error``     the contract is broken: Fiskil or a recipient will stumble over it
``warning``   allowed or not provable, but worth a look
"""
SERVER = "the server"
"""The subject of what is no operation's own."""
SEVERITIES: tuple[Severity, ...] = ("critical", "error", "warning")
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that every resource server owes. All texts are for somebody who did not write the server."""

    name: str
    """Short and permanent: ``total-true``."""
    severity: Severity
    expected: str
    why: str
    """What goes wrong otherwise, and for whom."""
    written: str
    """Where it is written: a standard and its section."""
    mend: str
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One answer that was not as expected."""

    came: str
    """What came instead, without any value of a customer's."""
    asked: Request | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one rule, looked at for one operation or for the server as a whole."""

    rule: Rule
    subject: str
    """A route, or a few words."""
    deviations: tuple[Deviation, ...] = ()
    skipped: str = ""
    """Why it could not be looked at."""

    @property
    def verdict(self) -> Literal["found", "skipped", "passed"]:
        """Whether anything was found."""
        if self.deviations:
            return "found"
        return "skipped" if self.skipped else "passed"


def passed(rule: Rule, subject: str) -> Outcome:
    """It was looked at, and all is well."""
    return Outcome(rule, subject)


def found(rule: Rule, subject: str, came: str, asked: Request | None = None) -> Outcome:
    """It was looked at, and is not as it should be."""
    return Outcome(rule, subject, (Deviation(came, asked),))


def skipped(rule: Rule, subject: str, reason: str) -> Outcome:
    """It could not be looked at."""
    return Outcome(rule, subject, skipped=reason)


@dataclass
class Ledger:
    """The outcomes so far, one for each rule and subject."""

    _rows: dict[tuple[str, str], Outcome] = field(default_factory=dict)

    def enter(self, outcome: Outcome) -> None:
        """Add an outcome to what is known of its rule and subject. Whatever was looked at once was not skipped."""
        key = (outcome.rule.name, outcome.subject)
        known = self._rows.get(key)
        if known:
            looked = known.verdict != "skipped" or outcome.verdict != "skipped"
            reason = "" if looked else known.skipped
            outcome = Outcome(outcome.rule, outcome.subject, known.deviations + outcome.deviations, reason)
        self._rows[key] = outcome

    def outcomes(self) -> list[Outcome]:
        """All of them, in the order in which they were first looked at."""
        return list(self._rows.values())

    def findings(self) -> Iterator[Outcome]:
        """Those with deviations, the worst first."""
        for severity in SEVERITIES:
            yield from (row for row in self._rows.values() if row.deviations and row.rule.severity == severity)


def merged(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Outcomes added up."""
    ledger = Ledger()
    for outcome in outcomes:
        ledger.enter(outcome)
    return ledger.outcomes()
