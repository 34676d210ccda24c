"""Whether records have the members that the CDS require in their case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from openholder.contract.conditions import compile_checker
from openholder.contract.rows import Misfit, fit_row
from openholder.inspection.findings import Finding
from openholder.inspection.judges.base import Judge, SeenRecord


class ConditionJudge(Judge):
    """Yields each condition that a record breaks."""

    def see_record(self, seen: SeenRecord) -> Iterator[Finding]:
        """Ask the conditions of a record, or of what can be read of a row that is none."""
        record, fits = seen.record, seen.record is not None
        if not fits:
            with suppress(Misfit):
                record = fit_row(seen.seen.row, seen.type)
        checker = compile_checker(seen.type, as_json=not fits)
        if checker is None or record is None:
            return
        for _, broken in checker.find([record]):
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
