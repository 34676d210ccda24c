"""Whether the values of many records together are those of a holder: the profile, and what is odd about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

from openholder.contract.operations import Operation
from openholder.inspection.findings import Finding
from openholder.inspection.judges.base import Judge, SeenCustomer, SeenHolding, SeenRecord, SeenRow, Survey
from openholder.inspection.oddities import ODDITIES, judge_value
from openholder.inspection.paths import flatten, list_leaves
from openholder.inspection.profile import GROUPED_BY, CollectionProfile, Profile
from openholder.inspection.tally import Tally
from openholder.inspection.traits import CLOCKED, DIFFERING, NEWEST, TRAITS, Case, Trait
from openholder.settings import Settings

_PEOPLE = 5
"""How many customers it takes to say when people sleep: some work in shifts."""


class ProfileJudge(Judge):
    """Counts all records, and yields what those of a good holder do not have in common."""

    def __init__(self, settings: Settings, operations: Sequence[Operation], now: datetime) -> None:
        super().__init__(settings, operations, now)
        self.profile = Profile()
        self._categories: dict[str, str] = {}
        self._widest: SeenRecord | None = None
        self._misfit: SeenRow | None = None
        self._traits: dict[str, list[tuple[Trait, Tally]]] = {}
        for trait in TRAITS:
            self._traits.setdefault(trait.collection, []).append((trait, Tally()))
        self._odd: dict[tuple[str, str, str], Tally] = {}

    def see_customer(self, customer: SeenCustomer) -> Iterable[Finding]:
        """Forget the accounts of the customer before."""
        self._count_widest()
        self._categories.clear()
        return ()

    def see_record(self, seen: SeenRecord) -> Iterable[Finding]:
        """Keep the record of a row that has the most members, until the next row comes."""
        widest = self._widest
        if seen.record is None or self._misfit is seen.seen:
            # What does not fit is reported by others, and what a narrower record lacks says nothing of it.
            self._misfit, self._widest = seen.seen, None
            return ()
        if widest is None or len(list_leaves(widest.type)) < len(list_leaves(seen.type)):
            self._widest = seen
        return ()

    def see_row(self, seen: SeenRow) -> Iterable[Finding]:
        """Count the record of the row before."""
        self._count_widest()
        return ()

    def see_holding(self, holding: SeenHolding) -> Iterable[Finding]:
        """Count the record of the last row."""
        self._count_widest()
        return ()

    def _count_widest(self) -> None:
        seen, self._widest = self._widest, None
        if seen is None:
            return
        collection, content = seen.seen.collection, seen.to_json()
        if not isinstance(content, dict):
            return
        account = seen.seen.owner.get("accountId", "")
        if collection == "banking.accounts":
            self._categories[account] = str(content.get("productCategory", ""))
        category = self._categories.get(account, "")
        group = str(content.get(GROUPED_BY[collection], "")) if collection in GROUPED_BY else category
        case = Case(content, group, category, self.now)
        values = list(flatten(content))
        self.profile.collections.setdefault(collection, CollectionProfile()).add(seen.type, values, case.group)
        for trait, tally in self._traits.get(collection, ()):
            shows = trait.shows(case)
            if shows is not None:
                tally.add(shows, seen.seen.id)
        self._note_oddities(seen, values)

    def _note_oddities(self, seen: SeenRecord, values: list[tuple[str, Any]]) -> None:
        leaves, met = list_leaves(seen.type), set()
        for path, value in values:
            fault = judge_value(leaves.get(path, "other"), path, value, self.now)
            if fault and (path, fault) not in met:
                met.add((path, fault))
                self._odd.setdefault((seen.seen.collection, path, fault), Tally()).add(True, seen.seen.id)

    async def conclude(self, survey: Survey) -> Iterable[Finding]:
        """Say what is odd about all records together."""
        self._count_widest()
        survey.profile.collections.update(self.profile.collections)
        return [
            *self._judge_traits(),
            *self._list_oddities(),
            *self._find_constants(),
            *self._find_local(survey),
            *self._find_old(survey),
        ]

    def _judge_traits(self) -> Iterator[Finding]:
        for trait, tally in (row for rows in self._traits.values() for row in rows):
            is_enough = tally.of >= trait.least and tally.share >= trait.share
            severity = trait.severity if is_enough else trait.below
            if tally.shown and severity:
                yield tally.to_finding("profile", trait.fault, severity, trait.collection, trait.member, trait.wanted)

    def _list_oddities(self) -> Iterator[Finding]:
        for (collection, path, fault), tally in self._odd.items():
            severity, wanted = ODDITIES[fault]
            tally.of = self.profile.collections[collection].members[path].records
            yield tally.to_finding("profile", fault, severity, collection, path, wanted)

    def _find_constants(self) -> Iterator[Finding]:
        for collection, member, least in DIFFERING:
            found = self.profile.collections.get(collection, CollectionProfile()).members.get(member)
            if found is not None and found.values >= least and found.distinct == 1:
                wanted = "different values: every record has the same one"
                yield Finding(
                    "profile", "constant", "warning", collection, member, wanted, count=found.records, of=found.records
                )

    def _find_local(self, survey: Survey) -> Iterator[Finding]:
        """Find times of UTC at which Australia sleeps: local times look so if they are written with Z."""
        for collection, members in CLOCKED.items():
            for member in members:
                found = self.profile.collections.get(collection, CollectionProfile()).members.get(member)
                counts = found.count_local_hours() if found and survey.looked_at.customers >= _PEOPLE else None
                if found and counts:
                    wanted = (
                        f"times of the day in Australia: of {found.values}, {counts.day} are between 08:00 and 17:00"
                        f" in Sydney (standard time), and {counts.night} between 18:00 and 06:00. It looks as if they"
                        " were local times with Z behind them: write their offset, or leave it out and set `time_zone`"
                    )
                    count, of = counts.night, found.values
                    yield Finding("profile", "local-as-utc", "warning", collection, member, wanted, count=count, of=of)

    def _find_old(self, survey: Survey) -> Iterator[Finding]:
        if survey.is_named:
            return
        for collection, (member, days) in NEWEST.items():
            found = self.profile.collections.get(collection, CollectionProfile()).members.get(member)
            if found is None or not found.newest:
                continue
            age = (survey.now.date() - date.fromisoformat(found.newest)).days
            if age > days:
                wanted = f"records of the last {days} days: the newest is {age} days old; look at the load of the data"
                yield Finding("profile", "nothing-new", "warning", collection, "", wanted)
