"""Whether each record belongs to somebody who is there, and each account says whether it may be shared."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from openholder.contract.collections import find_collection, read_key
from openholder.errors import OpenholderError
from openholder.inspection.findings import Finding
from openholder.inspection.judges.base import Judge, SeenRow, Survey
from openholder.query import Filter, Query
from openholder.serving.access import AUTHORITY
from openholder.sources.registry import SourceRegistry

BATCH_SIZE = 1000
"""Records of a collection whose owners are looked up: the first ones, whoever they belong to."""


class OwnerJudge(Judge):
    """Yields records of nobody, and accounts without a state or a day of closing."""

    def see_row(self, seen: SeenRow) -> Iterator[Finding]:
        """Look at the state of an account: where the column is there and empty, it may be that of a blocked one."""
        if seen.collection == AUTHORITY and seen.row.get("status", "") is None:
            wanted = 'open, closed, blocked or suspended; or set absent_status = "open" for the source'
            yield Finding("access", "no-status", "error", AUTHORITY, "status", wanted, ids=(seen.id,))
        if (
            seen.collection == AUTHORITY
            and self.settings.closed_accounts.periods
            and (seen.row.get("status"), seen.row.get("closingDate")) == ("closed", None)
        ):
            wanted = "the day on which the account was closed, such as 2026-10-01, because [closed_accounts] has a rule"
            yield Finding("access", "no-closing-day", "error", AUTHORITY, "closingDate", wanted, ids=(seen.id,))

    async def conclude(self, survey: Survey) -> Iterable[Finding]:
        """Look up the owners of the first records of each collection."""
        return [
            finding for name in survey.looked_at.collections for finding in await _find_orphans(survey.sources, name)
        ]


async def _find_orphans(sources: SourceRegistry, collection: str) -> list[Finding]:
    """Find records whose customer or account does not exist. None if the source cannot list records or owners."""
    spec = find_collection(collection)
    if collection == "customers" or not (spec.customer or spec.account):
        return []
    owners, member = ("customers", spec.customer) if spec.customer else (AUTHORITY, spec.account)
    if not sources.find_source(owners) or member is None:
        return []
    try:
        rows = (await sources.fetch(Query(collection=collection, limit=BATCH_SIZE))).records
        named = {str(row[member]) for row in rows if row.get(member) is not None}
        known = await _select_existing(sources, owners, named)
    except OpenholderError:
        return []
    wanted = f"the id of a record of `{owners}`"
    orphans = [row for row in rows if str(row.get(member)) not in known]
    return [
        Finding(
            "reference",
            "of-nobody",
            # A login for nobody opens nothing, and is left behind where customers are deleted.
            "warning" if collection == "logins" else "error",
            collection,
            member,
            wanted,
            ids=(read_key(collection, row) if spec.key else str(row.get(member)),),
            of=len(rows),
        )
        for row in orphans
    ]


async def _select_existing(sources: SourceRegistry, collection: str, ids: Collection[str]) -> set[str]:
    if not ids:
        return set()
    query = Query(collection=collection, filters=(Filter("id", "in", tuple(sorted(ids))),))
    return {str(row.get("id")) for row in (await sources.fetch(query)).records}
