"""What becomes of records that break a condition of the CDS while they are served: counted, logged, or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from openholder.contract.collections import name_record
from openholder.contract.conditions import Broken
from openholder.errors import SourceFault
from openholder.query import Row

Report = Callable[[str, Broken, int], None]
"""Takes the collection, the condition, and how many records of an answer break it."""


def _ignore(collection: str, broken: Broken, records: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class ConditionPolicy:
    """What the setting ``conditions`` says."""

    report: Report = _ignore
    refuse: bool = False
    """Whether a record that breaks a condition of severity ``error`` fails the request."""

    def apply(self, collection: str, rows: Sequence[Row], found: Sequence[tuple[int, Broken]]) -> None:
        """Report what the records of an answer break. Notes are for `check --data` alone.

        Args:
            collection: The collection of the records.
            rows: The rows that they were made from.
            found: Each broken condition, with the place of the row.

        Raises:
            SourceFault: A record breaks a condition of severity ``error``, and those are refused.
        """
        for broken, records in Counter(broken for _, broken in found if broken.severity != "note").items():
            self.report(collection, broken, records)
        if not self.refuse:
            return
        for place, broken in found:
            if broken.severity == "error":
                text = f"collection {collection!r}: member {broken.member!r}: {broken.fault}, expected {broken.wanted}"
                fault = SourceFault(f"{text} ({broken.reference})", row=rows[place])
                name_record(fault, collection)
                raise fault


COUNT_NOTHING = ConditionPolicy()
"""For those who look at answers without serving them."""
