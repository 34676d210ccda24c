"""The types of record members. Names and formats: CDS 1.36.0, common field types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from openholder.errors import SourceFault
from openholder.query import DATE, DATE_TIME, instant

NonEmptyString = Annotated[str, Meta(min_length=1)]
"""An id: permanent, opaque, compared character by character."""

ShortID = Annotated[str, Meta(min_length=1, max_length=256)]
"""An FDX id."""

PhoneNumber = Annotated[str, Meta(pattern=r"\A\+[1-9][0-9]{1,14}\Z")]
"""A telephone number (E.164). Fiskil sends one-time codes to it."""


def is_real_date(text: str) -> bool:
    """Tell whether ``text`` begins with an existing day; 30 February, for example, does not exist."""
    try:
        return bool(date.fromisoformat(text[:10]))
    except ValueError:
        return False


def are_date_times(texts: Collection[str]) -> bool:
    """Tell whether all texts are RFC 3339 date-times. It costs little for those that a filter has read already."""
    try:
        # 1970-01-01T00:00:00Z is 0, and false: it is one of those that need a closer look.
        return all(map(instant, texts)) and min(map(len, texts), default=99) > len("2026-01-31")
    except SourceFault:
        return False


# Checks that a pattern cannot express, which `openholder.contract` calls: `check` has to hold, and texts that pass
# `quick` need no other check.
REAL_DATE = {"check": is_real_date}
REAL_DATE_TIME = {"check": is_real_date, "quick": are_date_times}

DateString = Annotated[str, Meta(pattern=rf"\A{DATE}\Z", extra=REAL_DATE, extra_json_schema={"format": "date"})]
"""RFC 3339 full-date."""

DateTimeString = Annotated[
    str,
    Meta(
        pattern=rf"\A{DATE_TIME}\Z",
        extra=REAL_DATE_TIME,
        extra_json_schema={"format": "date-time"},
    ),
]
"""RFC 3339 date-time with its offset."""

AmountString = Annotated[str, Meta(pattern=r"\A-?[0-9]{1,16}\.[0-9]{2,}\Z", extra={"places": 2})]
"""An amount of money as text with at least two decimal places. Numbers, and texts with fewer, are converted to it."""

RateString = Annotated[str, Meta(pattern=r"\A-?[0-9]{1,16}(\.[0-9]{1,16})?\Z", extra={"places": 0})]
"""A rate as text: 0.05 is five per cent. Numbers are converted to this format."""

CurrencyString = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
"""ISO 4217."""

URIString = Annotated[str, Meta(min_length=1, extra_json_schema={"format": "uri"})]
"""RFC 3986."""

# Mandatory members for which the CDS have an empty value where the holder has nothing.
PerhapsEmpty = Annotated[str, Meta(extra={"empty": str})]
"""Text that is empty if the source has none."""
EMPTY_LIST = Meta(extra={"empty": list})
"""Annotates a list that is empty if the source has none."""

ExternalRef = str
"""Text in the format of another standard: a duration (ISO 8601), a time of day, the code of a register."""

MaskedString = Annotated[str, Meta(pattern=r"\A(?!.*[0-9]([ -]?[0-9]){5}).+\Z")]
"""An account or card number with all but the last four digits masked. Six digits in a row are refused."""

NaturalNumber = Annotated[int, Meta(ge=0)]
PositiveInteger = Annotated[int, Meta(ge=1)]

AccountStatus = Literal["open", "closed", "blocked", "suspended"]
"""The status of an account. Blocked and suspended accounts must not be shared."""


class Record(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A record of a collection: camelCase in JSON, without the members that have no value."""

    columns: ClassVar[dict[str, str]] = {}
    """Columns that fill a member of a different name."""
    any_of: ClassVar[tuple[str, ...]] = ()
    """Optional members of which at least one is required: without all of them, the record says nothing."""


class OpenRecord(Record):
    """A record of a custom endpoint. It may have further members, which are passed through unchanged."""

    @classmethod
    def find_misfit(cls, members: Mapping[str, Any]) -> str | None:
        """Return the path of a member that breaks a rule beyond its type, or None."""
        return None
