"""The types that members of records are made of. Names and formats: CDS 1.36.0, common field types."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from openholder.query import DATE, DATE_TIME

NonEmptyString = Annotated[str, Meta(min_length=1)]
"""An id: permanent, opaque, compared character by character."""

ShortID = Annotated[str, Meta(min_length=1, max_length=256)]
"""An id of the FDX."""

PhoneNumber = Annotated[str, Meta(pattern=r"\A\+[1-9][0-9]{1,14}\Z")]
"""E.164: Fiskil sends one-time codes there."""


def is_real_date(text: str) -> bool:
    """Whether the calendar has the day with which ``text`` begins: there is no 30 February."""
    try:
        return bool(date.fromisoformat(text[:10]))
    except ValueError:
        return False


REAL_DATE = {"check": is_real_date}
"""What a pattern cannot say of a member: `openholder.contract.rows` asks the function under ``check``."""

DateString = Annotated[str, Meta(pattern=rf"\A{DATE}\Z", extra=REAL_DATE, extra_json_schema={"format": "date"})]
"""RFC 3339 full-date."""

DateTimeString = Annotated[
    str,
    Meta(
        pattern=rf"\A{DATE_TIME}\Z",
        extra=REAL_DATE,
        extra_json_schema={"format": "date-time"},
    ),
]
"""RFC 3339 date-time with its offset."""

AmountString = Annotated[str, Meta(pattern=r"\A-?[0-9]{1,16}\.[0-9]{2,}\Z", extra={"places": 2})]
"""An amount of money as text, with two decimal places at least. A number is written out that way."""

RateString = Annotated[str, Meta(pattern=r"\A-?[0-9]{1,16}(\.[0-9]{1,16})?\Z", extra={"places": 0})]
"""A rate as text: 0.05 are five per cent. A number is written out in full."""

CurrencyString = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
"""ISO 4217."""

URIString = Annotated[str, Meta(min_length=1, extra_json_schema={"format": "uri"})]
"""RFC 3986."""

ExternalRef = str
"""Text whose form another standard rules: a duration (ISO 8601), a time of day, a code of some register."""

MaskedString = Annotated[str, Meta(pattern=r"\A(?!.*[0-9]([ -]?[0-9]){5}).+\Z")]
"""A number of an account or a card of which all but the last four digits are masked: six in a row do not pass."""

NaturalNumber = Annotated[int, Meta(ge=0)]
PositiveInteger = Annotated[int, Meta(ge=1)]

AccountStatus = Literal["open", "closed", "blocked", "suspended"]
"""Whether an account may be shared: blocked and suspended ones may not."""


class Record(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A record of some collection: camelCase on the wire, members without a value left out."""

    columns: ClassVar[dict[str, str]] = {}
    """Columns whose name is not that of the member they fill."""


class OpenRecord(Record):
    """A record whose further members, unknown here, leave as they are."""

    left_out: ClassVar[frozenset[str]] = frozenset()
    """Members that belong to another record made of the same rows."""

    @classmethod
    def misfit(cls, members: Mapping[str, Any]) -> str | None:
        """The path of a member that does not fit, for reasons that its type does not say."""
        return None
