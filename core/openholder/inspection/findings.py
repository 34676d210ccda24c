"""What an inspection of data finds: one record for each kind of fault, grouped, with counts and a few ids.

`check --data` prints findings as text, and with ``--json`` as JSON; ``findings.schema.json`` describes the latter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Kind = Literal["form", "condition", "profile", "reference", "coverage", "access", "configuration"]
"""
``form``           a record, or a member, does not have the form of the standard
``condition``      a member is missing that the CDS require in this case
``profile``        the values of many records together are not what the standard makes one expect
``reference``      an id leads nowhere, or to somebody else
``coverage``       what was not looked at, or is not there at all
``access``         who may see what: logins, owners, states of accounts
``configuration``  the settings, or what they name
"""
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first."""
MAX_IDS = 100
"""Ids that a finding has; further records are counted only."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault: that of one record, as a judge yields it, or that of all records together.

    It never has a value of a record: ids, names of members, and values of enumerations alone.
    """

    kind: Kind
    fault: str
    """The kind of fault in a word or two: ``missing-for-type``."""
    severity: Severity
    collection: str = ""
    member: str = ""
    """The path of the member: ``fees[].rateBased``."""
    wanted: str = ""
    """What would be right, with an example or the reason."""
    reference: str = ""
    """The standard and its section."""
    ids: tuple[str, ...] = ()
    count: int | None = None
    """How many records have it. None for a finding that is not about single records."""
    of: int | None = None
    """Of how many. None: the collector fills in all records of the collection."""

    @property
    def group(self) -> tuple[str, ...]:
        """What findings of different records must share to be counted as one."""
        return (self.kind, self.collection, self.member, self.fault, self.severity, self.wanted, self.reference)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, without the keys that do not apply."""
        members: dict[str, Any] = {
            "kind": self.kind,
            "collection": self.collection,
            "member": self.member,
            "fault": self.fault,
            "severity": self.severity,
            "count": self.count,
            "of": self.of,
            "ids": list(self.ids),
            "wanted": self.wanted,
            "reference": self.reference,
        }
        return {name: value for name, value in members.items() if value not in ("", None, [])}


@dataclass(slots=True)
class LookedAt:
    """What was looked at."""

    customers: int = 0
    collections: dict[str, int] = field(default_factory=dict)
    """The records of each collection. A record of a joint account counts once."""


@dataclass(slots=True)
class _Group:
    """Findings of one kind."""

    first: Finding
    count: int = 0
    ids: dict[str, None] = field(default_factory=dict)


class Collector:
    """Groups the findings of single records as they come. Its size depends on the kinds of faults alone."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], _Group] = {}

    def add(self, findings: Iterable[Finding]) -> None:
        """Add the findings of one record. Those of one group count once: a record has one fault, however often."""
        for finding in {finding.group: finding for finding in findings}.values():
            group = self._groups.setdefault(finding.group, _Group(finding))
            if finding.count is None and not finding.ids:
                continue
            group.count += finding.count or 1
            group.ids.update(dict.fromkeys(finding.ids[: MAX_IDS - len(group.ids)]))

    def list_findings(self, looked_at: LookedAt) -> list[Finding]:
        """List the groups, the worst first, in the order of the collections."""
        places = {name: place for place, name in enumerate(looked_at.collections)}
        findings = [_conclude(group, looked_at.collections) for group in self._groups.values()]
        return sorted(
            findings,
            key=lambda finding: (
                SEVERITIES.index(finding.severity),
                places.get(finding.collection, len(places)),
                -(finding.count or 0),
            ),
        )


def _conclude(group: _Group, records: Mapping[str, int]) -> Finding:
    if not group.count:
        return group.first
    of = group.first.of if group.first.of is not None else records.get(group.first.collection)
    return replace(
        group.first, count=group.count, of=None if of is None else max(of, group.count), ids=tuple(group.ids)
    )
