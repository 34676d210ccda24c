"""Whether each record belongs to somebody who is there, and each account says whether it may be shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from openholder.contract.collections import find_collection, read_key
from openholder.errors import OpenholderError
from openholder.inspection.findings import Finding, Severity
from openholder.inspection.judges.base import Judge, SeenRow, Survey
from openholder.inspection.judges.links import look_up
from openholder.inspection.tally import Tally
from openholder.query import Query, text
from openholder.serving.access import AUTHORITY

BATCH_SIZE = 10_000
"""Records whose owners are looked up at once. Of a sample of customers, only the first so many of a collection are."""


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
        """Look up the owners of the records of each collection: of all, or of the first ones of a sample."""
        return [finding for name in survey.looked_at.collections for finding in await _find_orphans(survey, name)]


async def _find_orphans(survey: Survey, collection: str) -> list[Finding]:
    """Find records whose customer or account does not exist. None if the source cannot list records or owners."""
    spec, sources = find_collection(collection), survey.sources
    if collection == "customers" or not (spec.customer or spec.account):
        return []
    owners, member = ("customers", spec.customer) if spec.customer else (AUTHORITY, spec.account)
    if not sources.find_source(owners) or member is None:
        return []
    orphans, total = Tally(), 1
    try:
        while orphans.of < total and (survey.is_complete or not orphans.of):
            page = await sources.fetch(Query(collection=collection, offset=orphans.of, limit=BATCH_SIZE))
            named = {text(row[member]) for row in page.records if row.get(member) is not None}
            found = await look_up(sources, owners, "id", named)
            if found is None or not page.records:
                return []
            known, total = {text(row.get("id")) for row in found}, page.total
            for row in page.records:
                owner = text(row.get(member))
                orphans.add(owner not in known, read_key(collection, row) if spec.key else owner)
    except OpenholderError:
        return []
    findings = []
    if orphans.shown:
        # A login for nobody opens nothing, and is left behind where customers are deleted.
        severity: Severity = "warning" if collection == "logins" else "error"
        wanted = f"the id of a record of `{owners}`"
        findings.append(orphans.to_finding("reference", "of-nobody", severity, collection, member, wanted))
    if orphans.of < total:
        wanted = f"--all, to look up the owners of all {total} records: here it was those of the first {orphans.of}"
        findings.append(Finding("coverage", "owners-not-looked-up", "note", collection, member, wanted))
    return findings
