"""Whether rows have the form of their records: every fault of every row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from openholder.contract.collections import find_collection
from openholder.contract.operations import Operation
from openholder.inspection.diagnosis import diagnose
from openholder.inspection.findings import Finding
from openholder.inspection.judges.base import Judge, SeenHolding, SeenRecord, SeenRow
from openholder.serving.ids import compile_id_pattern, find_id_mistake
from openholder.settings import Settings


class FormJudge(Judge):
    """Yields each fault that keeps a row from being a record, and what could not be read at all."""

    def __init__(self, settings: Settings, operations: Sequence[Operation], now: datetime) -> None:
        super().__init__(settings, operations, now)
        self._has_faults = False

    def see_record(self, seen: SeenRecord) -> Iterator[Finding]:
        """Diagnose a row that does not fit."""
        if seen.record is not None:
            return
        for member, fault, wanted in diagnose(seen.seen.row, seen.type, seen.seen.collection):
            self._has_faults = True
            yield Finding(
                "form", fault, "error", seen.seen.collection, member, wanted, seen.reference, ids=(seen.seen.id,)
            )

    def see_holding(self, holding: SeenHolding) -> Iterable[Finding]:
        """Report what the source could not return, unless the rows that it returned in another way show why."""
        explained, self._has_faults = self._has_faults, False
        if explained:
            return
        for fault, record in zip(holding.faults, holding.ids, strict=True):
            member = re.search(r"(?:member|column) '([^']+)'", fault)
            name, text = member[1] if member else "", fault.removeprefix(f"collection {holding.collection!r}: ")
            yield Finding("form", "unreadable", "error", holding.collection, name, text, ids=(record,))


class IdentityJudge(Judge):
    """Yields ids that are there twice, ids that no request can have, and several records where one is returned."""

    def __init__(self, settings: Settings, operations: Sequence[Operation], now: datetime) -> None:
        super().__init__(settings, operations, now)
        self._pattern = compile_id_pattern(settings.id_characters)
        self._met: dict[str, int] = {}
        self._named: dict[str, dict[str, None]] = {}

    def see_row(self, seen: SeenRow) -> Iterator[Finding]:
        """Look at the ids of a row."""
        spec = find_collection(seen.collection)
        if spec.key and seen.row.get(spec.key) is not None:
            times = self._met[seen.id] = self._met.get(seen.id, 0) + 1
            if times == 2:
                wanted = f"one record of each `{spec.key}`"
                yield Finding("form", "duplicate-id", "error", seen.collection, spec.key, wanted, ids=(seen.id,))
        for column in self._list_named(seen.collection):
            value = seen.row.get(column)
            mistake = find_id_mistake(str(value), self._pattern) if value is not None else None
            if mistake:
                wanted = f"{mistake}; requests for it get 404"
                yield Finding("form", "unusable-id", "error", seen.collection, column, wanted, ids=(seen.id,))

    def _list_named(self, collection: str) -> Iterable[str]:
        """List the columns with ids that requests name."""
        if collection not in self._named:
            spec = find_collection(collection)
            paths = {name for operation in self.operations for name in re.findall(r"{(\w+)}", operation.path)} | {"id"}
            columns = [*spec.owners.values(), *([spec.key] if spec.key in paths and spec.key else [])]
            self._named[collection] = dict.fromkeys(columns)
        return self._named[collection]

    def see_holding(self, holding: SeenHolding) -> Iterator[Finding]:
        """Look at how many records one owner has, where an operation returns exactly one."""
        self._met.clear()
        owner = list(holding.owner)[-1]
        # The owner's id is the last in the path if the operation returns the one record of that owner.
        is_single = any(
            operation.path.rpartition("{")[2].startswith(f"{owner}}}")
            for operation in self.operations
            if operation.collection == holding.collection and not operation.reply.many
        )
        if is_single and holding.records > 1:
            wanted = f"exactly one record for each {owner}: the operation returns no list"
            yield Finding(
                "form", "several-records", "error", holding.collection, "", wanted, ids=(holding.owner[owner],)
            )
