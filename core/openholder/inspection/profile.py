"""A profile of the data: how often members are filled, signs, offsets and ages, as counts and never as values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from openholder.contract.formats import Record
from openholder.inspection.paths import list_leaves

MAX_DISTINCT = 1000
"""Different values of a member that are told apart. Of more, the profile says that there are more."""
MAX_GROUPS = 40
"""Groups of a collection, months of a member and offsets of one: far more than real data has."""

GROUPED_BY = {
    "banking.transactions": "type",
    "banking.payees": "type",
    "energy.billing": "transactionUType",
    "energy.concessions": "type",
    "common.customers": "customerUType",
    "fdx.accounts": "accountType",
}
"""The member by which records are grouped. Those of a bank account are grouped by its product category."""


_DAY, _NIGHT = (22, 23, *range(7)), range(8, 20)
"""Hours of UTC: from 08:00 to 17:00 in Sydney (standard time), and from 18:00 to 06:00."""
_LEAST, _BUSY = 200, 10
"""The times that must have been met, and the hours of the night with 3 % of them, to suspect anything."""


class LocalHours(NamedTuple):
    """How many times are in the working hours of Australia, and how many in its evening and night."""

    day: int
    night: int


@dataclass(slots=True)
class MemberProfile:
    """What the values of one member have in common."""

    kind: str
    """What it is: amount, rate, day, time, text or other."""
    records: int = 0
    """The records that have it."""
    values: int = 0
    signs: dict[str, Counter[str]] = field(default_factory=dict)
    """Of an amount: how many are negative, zero and positive, by group."""
    offsets: Counter[str] = field(default_factory=Counter)
    hours: Counter[int] = field(default_factory=Counter)
    """Of a time: the hour of the day, as written."""
    utc_hours: Counter[int] = field(default_factory=Counter)
    months: Counter[str] = field(default_factory=Counter)
    oldest: str = ""
    newest: str = ""
    _hashes: set[int] = field(default_factory=set)

    @property
    def distinct(self) -> int:
        """How many different values there are, at most `MAX_DISTINCT`."""
        return len(self._hashes)

    def add(self, value: Any, group: str) -> None:
        """Count a value."""
        self.values += 1
        if len(self._hashes) < MAX_DISTINCT:
            self._hashes.add(hash(value))
        if self.kind == "amount":
            counts = self.signs.setdefault(group, Counter())
            counts[find_sign(value)] += 1
        elif self.kind in ("day", "time"):
            day = value[:10]
            self.oldest = min(self.oldest or day, day)
            self.newest = max(self.newest, day)
            self.months[day[:7]] += 1
            if self.kind == "time":
                offset = "Z" if value[-1] in "Zz" else value[-6:]
                self.offsets[offset] += 1
                self.hours[int(value[11:13])] += 1
                self.utc_hours[_find_utc_hour(value, "+00:00" if offset == "Z" else offset)] += 1

    def count_local_hours(self) -> LocalHours | None:
        """Count the hours of a time that looks local and is written as one of UTC; None if it does not look so.

        Written so, the day of Australia is in its night: nearly nothing happens in its working hours, and something in
        nearly all hours of its evening and night. Batches run in few hours, and those are none.
        """
        is_utc = self.offsets["Z"] + self.offsets["+00:00"] >= 0.9 * self.values
        day, night = (sum(self.utc_hours[hour] for hour in hours) for hours in (_DAY, _NIGHT))
        busy = sum(self.utc_hours[hour] >= 0.03 * self.values for hour in _NIGHT)
        is_odd = self.values >= _LEAST and is_utc and day <= 0.15 * self.values and busy >= _BUSY
        return LocalHours(day, night) if is_odd else None


@dataclass(slots=True)
class CollectionProfile:
    """The records of one collection."""

    records: int = 0
    groups: Counter[str] = field(default_factory=Counter)
    filled: dict[str, Counter[str]] = field(default_factory=dict)
    """How many records have each member, by group."""
    members: dict[str, MemberProfile] = field(default_factory=dict)

    def add(self, kind: type[Record], values: list[tuple[str, Any]], group: str) -> None:
        """Count a record: its paths and values."""
        if group not in self.groups and len(self.groups) >= MAX_GROUPS:
            group = "others"
        self.records += 1
        self.groups[group] += 1
        leaves = list_leaves(kind)
        if self.records == 1:
            for path, word in leaves.items():
                self.members.setdefault(path, MemberProfile(word))
        filled = self.filled.setdefault(group, Counter())
        met = set()
        for path, value in values:
            member = self.members.get(path)
            if member is None:
                member = self.members[path] = MemberProfile(leaves.get(path, "other"))
            member.add(value, group)
            met.add(path)
        for path in met:
            filled[path] += 1
            self.members[path].records += 1


@dataclass(slots=True)
class Profile:
    """All collections that were looked at."""

    collections: dict[str, CollectionProfile] = field(default_factory=dict)


def _find_utc_hour(time: str, offset: str) -> int:
    """Return the hour of the day in UTC, for a time of RFC 3339 and its offset."""
    ahead = int(offset[1:3]) * 60 + int(offset[4:])
    minutes = int(time[11:13]) * 60 + int(time[14:16])
    return (minutes + (ahead if offset[0] == "-" else -ahead)) // 60 % 24


def find_sign(amount: str) -> str:
    """Tell whether an amount is negative, zero or positive."""
    if not amount.strip("-0."):
        return "zero"
    return "negative" if amount.startswith("-") else "positive"
