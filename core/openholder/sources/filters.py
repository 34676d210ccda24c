"""Conditions on records and orders of records: what they mean, whichever source answers them.

The type of a filter's value says how the values of records are read: text as it is, truth values, moments, numbers. A
value that cannot be read so is a `SourceFault`, since leaving its record out would be an answer that looks complete.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal

from openholder.errors import SourceFault, UntrustedJSON
from openholder.models.formats import DATE, DATE_TIME
from openholder.strict_json import parse_json

Record = Mapping[str, Any]
"""A flat row: a column named by a member's path (``accountId``, ``address.locality``) fills that member."""

Value = str | bool | Decimal | datetime | tuple[str, ...]

Operator = Literal["eq", "ieq", "in", "ge", "le", "contains", "some", "none"]
"""
``eq``        the same value
``ieq``       the same text but for the case of A-Z
``in``        one of several texts
``ge``, ``le``  not smaller, not greater; both for moments and numbers
``contains``  text that holds the value, in this member or in one of ``otherwise``
``some``      an object in the list (or the JSON text of one) whose ``item`` equals the value
``none``      no such object
"""

_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_FORM = re.compile(f"{DATE}|{DATE_TIME}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@lru_cache(maxsize=65_536)
def instant(text: str) -> int:
    """The moment that an RFC 3339 date-time names, or the UTC midnight with which a date begins.

    In microseconds since 1970: further digits are cut off. Raises `SourceFault` where ``text`` names no moment.
    """
    try:
        return _microseconds(text)
    except ValueError:
        raise SourceFault("a value is no date-time with an offset, and no date") from None


def moment(microseconds: int) -> datetime:
    """The moment that is so many microseconds after the beginning of 1970: the inverse of `instant`."""
    return _EPOCH + microseconds * _MICROSECOND


def _microseconds(text: str) -> int:
    if not _FORM.fullmatch(text):
        raise ValueError
    if len(text) == len("2026-01-31"):
        return (datetime.combine(date.fromisoformat(text), time(), UTC) - _EPOCH) // _MICROSECOND
    leap = text[16:19] == ":60"  # RFC 3339 section 5.6 knows leap seconds, the datetime module does not
    return (datetime.fromisoformat(text[:16] + ":59" + text[19:] if leap else text) - _EPOCH) // _MICROSECOND


def number(found: object) -> Decimal:
    """An amount as an exact decimal. Raises `SourceFault` where it is none."""
    try:
        value = Decimal(repr(found) if isinstance(found, float) else str(found))
    except InvalidOperation:
        raise SourceFault("a value is no number") from None
    if not value.is_finite():
        raise SourceFault("a value is no number")
    return value


def truth(found: object) -> bool:
    """A truth value: true or false, 1 or 0, or the text of one. Raises `SourceFault` for anything else."""
    try:
        return _TRUTH[str(found).lower()]
    except KeyError:
        raise SourceFault("a value is neither true nor false") from None


def _moment(found: object) -> int:
    return instant(found.isoformat() if isinstance(found, datetime) else str(found))


_READERS: Mapping[type, Callable[[Any], Any]] = {
    str: str,
    tuple: str,
    bool: truth,
    Decimal: number,
    datetime: _moment,
}
"""How the values of records are read, for each type that a filter's value may have."""

_COMPARISONS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    "eq": lambda found, wanted: found == wanted,
    "ieq": lambda found, wanted: found.translate(_FOLD) == wanted.translate(_FOLD),
    "in": lambda found, wanted: found in wanted,
    "ge": lambda found, wanted: found >= wanted,
    "le": lambda found, wanted: found <= wanted,
    "contains": lambda found, wanted: wanted in found,
    "some": lambda found, wanted: found == wanted,
    "none": lambda found, wanted: found == wanted,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on one member.

    Ids and e-mail addresses are compared as text, character by character: the number 12 is the text ``12`` and
    no other. ``ieq`` folds A-Z only, since wider folding makes two people's addresses one.
    """

    member: str
    operator: Operator
    value: Value
    variable: str = ""
    """The name under which `Query.variables` has the value, where the request fixed it to one."""
    otherwise: tuple[str, ...] = ()
    """Members that are looked at, in this order, where the first has no value."""
    absent: str | bool | datetime | None = None
    """What counts where none of them has a value. ``None``: the record does not fulfil the condition."""
    item: str = ""
    """For ``some`` and ``none``: the member of the list's objects that is compared."""

    @property
    def members(self) -> tuple[str, ...]:
        """All members that are looked at."""
        return (self.member, *self.otherwise)

    def admits(self, record: Record) -> bool:
        """Whether ``record`` fulfils the condition. Raises `SourceFault` for a value that cannot be judged."""
        try:
            return self._admits(record)
        except SourceFault as exc:
            raise SourceFault(f"member {'/'.join(self.members)!r}: {exc}") from None

    def _admits(self, record: Record) -> bool:
        if self.operator in ("some", "none"):
            return any(map(self._fulfilled, self._items(record))) == (self.operator == "some")
        found = [record[member] for member in self.members if record.get(member) is not None]
        if self.operator == "contains":
            return any(map(self._fulfilled, found))
        return self._fulfilled(found[0] if found else self.absent)

    def _fulfilled(self, found: object) -> bool:
        wants_text = isinstance(self.value, str | tuple)
        if found is None or (wants_text and isinstance(found, bool)):
            return False
        compare = _COMPARISONS.get(self.operator)
        if compare is None:
            raise SourceFault(f"no operator {self.operator!r}")
        read = _READERS[type(self.value)]
        wanted = read(self.value) if isinstance(self.value, datetime) else self.value
        return compare(read(found), wanted)

    def _items(self, record: Record) -> Iterator[object]:
        listed = record.get(self.member) or ()
        try:
            listed = parse_json(listed) if isinstance(listed, str | bytes) else listed
            for entry in listed:
                yield self.absent if entry.get(self.item) is None else entry[self.item]
        except (UntrustedJSON, AttributeError, TypeError):
            raise SourceFault("a value is no list of objects") from None


@dataclass(frozen=True, slots=True)
class Order:
    """One member by which records are ordered: its moments, or its text by code points.

    Records without a value come as if theirs were the greatest: a pending transaction that has no time yet is newest.
    """

    member: str
    descending: bool = False
    reads: Literal["text", "instant"] = "text"
    otherwise: tuple[str, ...] = ()
    """Members that are looked at, in this order, where the first has no value."""

    @property
    def members(self) -> tuple[str, ...]:
        """All members that are looked at."""
        return (self.member, *self.otherwise)

    def key(self, record: Record) -> tuple[bool, int | str]:
        """What to sort by. Raises `SourceFault` for a value that names no moment where one is wanted."""
        found = next((record[member] for member in self.members if record.get(member) is not None), None)
        if found is None:
            return True, 0
        try:
            return False, instant(str(found)) if self.reads == "instant" else str(found)
        except SourceFault as exc:
            raise SourceFault(f"member {'/'.join(self.members)!r}: {exc}") from None
