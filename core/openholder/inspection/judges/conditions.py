"""Whether records have the members that the CDS require in their case."""

from __future__ import annotations

from collections.abc import Iterator

from openholder.contract.conditions import compile_checker
from openholder.inspection.findings import Finding
from openholder.inspection.judges.base import Judge, SeenRecord


class ConditionJudge(Judge):
    """Yields each condition that a record breaks."""

    def see_record(self, seen: SeenRecord) -> Iterator[Finding]:
        """Ask the conditions of a record."""
        checker = None if seen.record is None else compile_checker(seen.type)
        if checker is None:
            return
        for _, broken in checker.find([seen.record]):
            yield Finding(
                "condition",
                broken.fault,
                broken.severity,
                seen.seen.collection,
                broken.member,
                broken.wanted,
                broken.reference,
                ids=(seen.seen.id,),
            )
