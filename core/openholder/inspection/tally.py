"""Count how many records show something, and keep some of their ids."""

from __future__ import annotations

from dataclasses import dataclass, field

from openholder.inspection.findings import MAX_IDS, Finding, Kind, Severity


@dataclass(slots=True)
class Tally:
    """How many of how many records show something."""

    shown: int = 0
    of: int = 0
    ids: dict[str, None] = field(default_factory=dict)
    """The first of them."""

    def add(self, shows: bool, record_id: str) -> None:
        """Count a record."""
        self.of += 1
        if shows:
            self.shown += 1
            if len(self.ids) < MAX_IDS:
                self.ids[record_id] = None

    @property
    def share(self) -> float:
        """The share of records that show it."""
        return self.shown / self.of if self.of else 0.0

    def to_finding(
        self, kind: Kind, fault: str, severity: Severity, collection: str, member: str, wanted: str, reference: str = ""
    ) -> Finding:
        """Return the finding of all records that show it."""
        return Finding(
            kind,
            fault,
            severity,
            collection,
            member,
            wanted,
            reference,
            ids=tuple(self.ids),
            count=self.shown,
            of=self.of,
        )
