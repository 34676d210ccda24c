"""The steps of `check`: each looks at one thing, such as the keys or an operation, and says how it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from openholder.inspection.findings import Finding, Severity

Verdict = Literal["ok", "empty", "advice", "warning", "not served", "failed", "configuration", "unreachable"]
"""``empty``: the query works, but there is no record to check. ``warning``: it works, but look at it."""

_SEVERITIES: dict[Verdict, Severity] = {
    "failed": "error",
    "configuration": "error",
    "unreachable": "warning",
    "warning": "warning",
    "advice": "note",
}
"""The severity of those that are findings too. What cannot be reached says nothing of the data."""
_BY_FAULT: dict[str, Severity] = {
    "misspelt-column": "warning",  # a member is missing
    "empty-text": "warning",  # a record is refused
    "deletion-mark": "warning",  # a record may be one that is gone
    "sources-unreachable": "error",  # no data can be looked at
}
"""The severity of faults that matter more once data is looked at."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was inspected, with the verdict on it."""

    what: str
    verdict: Verdict
    detail: str
    collection: str = ""
    """The collection, or the table, that it is about."""
    fault: str = ""
    """The word for what is wrong, if there is a better one than the verdict."""
    member: str = ""

    def to_finding(self) -> Finding | None:
        """Return what the step found; None if there is nothing to say."""
        severity = _SEVERITIES.get(self.verdict)
        if severity is None:
            return None
        return Finding(
            "configuration",
            self.fault or self.verdict.replace(" ", "-"),
            _BY_FAULT.get(self.fault, severity),
            self.collection,
            self.member,
            self.detail if self.fault else f"{self.what}: {self.detail}",
        )
