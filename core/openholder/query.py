"""The language of queries: what the host asks of a source, what it gets back, and what both mean.

A source reads ``query.collection``, ``query.filters`` and ``query.order``; nothing else is needed to answer correctly.
`select` is the reference implementation over plain rows.

The type of a filter's value decides how the values of rows are read: as text, truth values, moments or numbers. A value
that cannot be read that way is a `SourceFault`: leaving its row out would make an incomplete answer look complete.
"""

from __future__ import annotations

import operator
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal

from openholder.errors import SourceFault, UntrustedJSON, name_found
from openholder.strict_json import parse_json

DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
"""RFC 3339 full-date, as a pattern."""

DATE_TIME = rf"{DATE}T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?" r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
"""RFC 3339 date-time, as a pattern. The offset is required."""

Row = Mapping[str, Any]
"""A flat row of a source: a column named by a member's path (``accountId``, ``address.locality``) fills that member."""

Record = Row
"""The name that plugins know `Row` by."""

PLACE = "openholder:place"
"""Where a row may say where it stands, for the log: ``line 17``. It is no column, and never leaves the server."""

Value = str | bool | Decimal | datetime | tuple[str, ...]

Operator = Literal["eq", "ieq", "in", "ge", "le", "contains", "some", "none"]
"""
``eq``        the same value
``ieq``       the same text, ignoring the case of A-Z
``in``        one of several texts
``ge``, ``le``  not smaller, not greater; both for moments and numbers
``contains``  text that contains the value, in this member or in one of ``otherwise``
``some``      an object in the list (or in the JSON text of one) whose ``item`` equals the value
``none``      no such object
"""

_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_DATE_OR_DATE_TIME = re.compile(f"{DATE}|{DATE_TIME}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST = 100
"""Digits before or behind the point up to which an exponent is written out."""
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def parse_moment(text: str) -> datetime:
    """Read the moment that an RFC 3339 date-time names, or the UTC midnight at which a date begins.

    Args:
        text: A date-time with its offset, or a date. Digits beyond the microsecond are cut off, and a leap second
            (RFC 3339 section 5.6) counts as the second before it.

    Raises:
        SourceFault: The text is neither. The message does not repeat it.
    """
    try:
        # Nearly every time is written like 2026-01-31T23:59:59Z. Its signs, every third character from the fifth on,
        # tell that form from all others that `fromisoformat` reads, without a regular expression.
        if text[4::3] == "--T::Z" and len(text) == len("2026-01-31T23:59:59Z") and text[17] != "6":
            return datetime.fromisoformat(text)
        if not _DATE_OR_DATE_TIME.fullmatch(text):
            raise ValueError
        if len(text) == len("2026-01-31"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        # The datetime module does not know leap seconds.
        is_leap = text[16:19] == ":60"
        return datetime.fromisoformat(text[:16] + ":59" + text[19:] if is_leap else text)
    except ValueError:
        reason = f"found {name_found(text)}; expected one such as 2026-10-01T09:30:00+10:00"
        raise SourceFault(f"a value is neither a date-time with an offset nor a date ({reason})") from None


@lru_cache(maxsize=4096)  # a page reads each of its times several times, and the next page has others
def instant(text: str) -> int:
    """Read a moment as `parse_moment` does.

    Args:
        text: A date-time with its offset, or a date (RFC 3339).

    Returns:
        Microseconds since 1970-01-01T00:00:00Z.

    Raises:
        SourceFault: The text is neither. The message does not repeat it.
    """
    return microseconds(parse_moment(text))


def microseconds(moment: datetime) -> int:
    """Convert a moment to a number, as `instant` reads it from text.

    Args:
        moment: A `datetime` with a time zone.

    Returns:
        Microseconds since 1970-01-01T00:00:00Z.
    """
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """Convert microseconds since 1970-01-01T00:00:00Z to an aware `datetime`: the inverse of `microseconds`."""
    return _EPOCH + microseconds * _MICROSECOND


def number(found: object) -> Decimal:
    """Read an amount as an exact decimal.

    Args:
        found: A number, or its text. A `float` counts as the digits that ``repr`` shows.

    Raises:
        SourceFault: It is not a finite number.
    """
    try:
        value = Decimal(repr(found) if isinstance(found, float) else str(found))
    except InvalidOperation:
        raise SourceFault(
            f"a value is not a number (found {name_found(found)}; expected one such as 1234.56)"
        ) from None
    if not value.is_finite():
        raise SourceFault("a value is not a finite number")
    return value


def text(found: object) -> str:
    """Read a value as text, as ids are compared: a number without an exponent, whatever a driver makes of it.

    Args:
        found: Any value. 350000 is the same id as ``350000``, also as the decimal ``3.5E+5``.
    """
    is_decimal = isinstance(found, Decimal) and found.is_finite() and abs(found.adjusted()) < _LONGEST
    return format(found, "f") if is_decimal else str(found)


def truth(found: object) -> bool:
    """Read a truth value.

    Args:
        found: true or false, 1 or 0, or the text of one of them in any letter case.

    Raises:
        SourceFault: It is anything else.
    """
    try:
        return _TRUTH[str(found).lower()]
    except KeyError:
        raise SourceFault(f"a value is neither true nor false (found {name_found(found)})") from None


def _read_moment(found: object) -> int:
    if not isinstance(found, datetime):
        return instant(str(found))
    if found.tzinfo is None:
        raise SourceFault("a value is a time without an offset (expected one such as 2026-10-01T09:30:00+10:00)")
    return microseconds(found)


_READERS: Mapping[type, Callable[[Any], Any]] = {
    str: text,
    tuple: text,
    bool: truth,
    Decimal: number,
    datetime: _read_moment,
}
"""How the values of rows are read, for each type that a filter's value may have."""

_COMPARISONS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ieq": lambda found, wanted: found.translate(_FOLD) == wanted.translate(_FOLD),
    "in": lambda found, wanted: found in wanted,
    "ge": operator.ge,
    "le": operator.le,
    "contains": operator.contains,
    "some": operator.eq,
    "none": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on one member.

    Ids and e-mail addresses are compared as text, character by character: the number 12 equals the text ``12`` and no
    other. ``ieq`` folds A-Z only, because wider folding would make two people's addresses one.
    """

    member: str
    operator: Operator
    value: Value
    variable: str = ""
    """The name under which `Query.variables` has the value, if the request fixed it to one."""
    otherwise: tuple[str, ...] = ()
    """Members to look at, in this order, if the first has no value.

    The time of a transaction is that of its posting, or else of its execution, or else its value date: one filter
    reads whichever the row has, as the CDS prescribe for ``oldest-time`` and ``newest-time``.
    """
    absent: str | bool | datetime | None = None
    """The value that counts if no member has one. ``None``: the row does not pass.

    A pending transaction has no time yet and counts as one of now, so a window up to now includes it.
    """
    item: str = ""
    """For ``some`` and ``none``: the member of the list's objects to compare."""

    @property
    def members(self) -> tuple[str, ...]:
        """All members that the filter looks at, in order."""
        return (self.member, *self.otherwise)

    def admits(self, row: Row) -> bool:
        """Tell whether a row passes.

        Args:
            row: A row of the filter's collection.

        Raises:
            SourceFault: The row's value cannot be read as the filter's type. The message names the member only.
        """
        return self.admits_all((row,))

    def admits_all(self, rows: Sequence[Row]) -> bool:
        """Tell whether all rows pass: the same as `admits` for each of them, at less cost.

        Args:
            rows: Rows of the filter's collection.

        Raises:
            SourceFault: A row's value cannot be read as the filter's type. The message names the member only.
        """
        if self.operator not in _COMPARISONS:
            raise SourceFault(f"unknown operator {self.operator!r}")
        member, value = self.member, self.value
        if self.operator == "eq" and isinstance(value, str):
            # Nearly every row has the very text, and only the others need a call.
            for row in rows:  # noqa: SIM110
                if row.get(member) != value and not self._admits(row):
                    return False
            return True
        if self.operator in ("ge", "le") and isinstance(value, datetime):
            try:
                moments = [instant(row[member]) for row in rows]
            except (KeyError, TypeError, SourceFault):
                pass  # a value that is no text, or that cannot be read: `_admits` reads it, or says what is wrong
            else:
                worst = min if self.operator == "ge" else max
                return not moments or _COMPARISONS[self.operator](worst(moments), microseconds(value))
        return all(map(self._admits, rows))

    def _admits(self, row: Row) -> bool:
        try:
            if self.operator in ("some", "none"):
                return any(map(self._admits_value, self._items(row))) == (self.operator == "some")
            if self.operator == "contains":
                return any(self._admits_value(row.get(member)) for member in self.members)
            found = row.get(self.member)
            for member in self.otherwise:
                if found is not None:
                    break
                found = row.get(member)
            return self._admits_value(self.absent if found is None else found)
        except SourceFault as exc:
            raise SourceFault(f"member {'/'.join(self.members)!r}: {exc}", row=row) from None

    def _admits_value(self, found: object) -> bool:
        wants_text = isinstance(self.value, str | tuple)
        if found is None or (wants_text and isinstance(found, bool)):
            return False
        read = _READERS[type(self.value)]
        wanted = read(self.value) if isinstance(self.value, datetime) else self.value
        return _COMPARISONS[self.operator](read(found), wanted)

    def _items(self, row: Row) -> Iterator[object]:
        listed = row.get(self.member) or ()
        try:
            listed = parse_json(listed) if isinstance(listed, str | bytes) else listed
            for entry in listed:
                yield self.absent if entry.get(self.item) is None else entry[self.item]
        except (UntrustedJSON, AttributeError, TypeError):
            raise SourceFault("a value is not a list of objects") from None


@dataclass(frozen=True, slots=True)
class Order:
    """One member to sort by: its moments, or its text by code points.

    Rows without a value sort as if theirs were the greatest: a pending transaction that has no time yet is the newest.
    """

    member: str
    descending: bool = False
    reads: Literal["text", "instant"] = "text"
    otherwise: tuple[str, ...] = ()
    """Members to look at, in this order, if the first has no value."""

    @property
    def members(self) -> tuple[str, ...]:
        """All members that the order looks at."""
        return (self.member, *self.otherwise)

    def key(self, row: Row) -> tuple[bool, int | str]:
        """Return what to sort a row by.

        Args:
            row: A row of the order's collection.

        Raises:
            SourceFault: The value names no moment although ``reads`` is ``instant``.
        """
        found = next((row[member] for member in self.members if row.get(member) is not None), None)
        if found is None:
            return True, 0
        try:
            return False, _read_moment(found) if self.reads == "instant" else text(found)
        except SourceFault as exc:
            raise SourceFault(f"member {'/'.join(self.members)!r}: {exc}", row=row) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query of one collection: the rows that pass all filters, in the given order, cut to one page.

    ``offset`` rows are skipped at the beginning and at most ``limit`` are returned; ``None`` is no limit.
    """

    collection: str
    filters: tuple[Filter, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the request names, for URL templates: ``customerId``, ``accountId``, ``email`` and other ids in its path.

    It repeats values of ``filters``; a source that applies the filters needs none of it.
    """
    order: tuple[Order, ...] = ()
    """What to sort by. Rows that are equal, or all if it is empty, keep the source's own order.

    A source has its rows in one order, and new ones at the end: pages of one list must not overlap.
    """
    offset: int = 0
    limit: int | None = None
    document: bool = False
    """Whether the member ``document`` (bytes) is wanted. Otherwise leave it out: it may be large."""

    def cut(self, offset: int, limit: int | None) -> Query:
        """Return the query for another page of the same records.

        Args:
            offset: How many records to skip.
            limit: How many to return at most; ``None`` is no limit.
        """
        return Query(
            collection=self.collection,
            filters=self.filters,
            variables=self.variables,
            order=self.order,
            offset=offset,
            limit=limit,
            document=self.document,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The rows of one page, and the number of rows on all pages together."""

    records: Sequence[Row]
    total: int


def select(records: Sequence[Row], query: Query) -> Page:
    """Answer a query from plain rows: the meaning of `Query`, and all that a small source needs.

    Args:
        records: All rows of the collection, in the source's own order.
        query: The query. Its collection and variables are not read.

    Returns:
        The page, and the total over all pages.

    Raises:
        SourceFault: A filter or an order cannot read a row's value.
    """
    found = [row for row in records if all(condition.admits(row) for condition in query.filters)]
    for order in reversed(query.order):
        found.sort(key=order.key, reverse=order.descending)
    end = None if query.limit is None else query.offset + query.limit
    return Page(records=found[query.offset : end], total=len(found))
