"""The types that members of records are made of. Names and formats: CDS 1.36.0, common field types."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

NonEmptyString = Annotated[str, Meta(min_length=1)]
"""An id: permanent, opaque, compared character by character."""

PhoneNumber = Annotated[str, Meta(pattern=r"\A\+[1-9][0-9]{1,14}\Z")]
"""E.164: Fiskil sends one-time codes there."""

_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
_OFFSET = r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"

DateTimeString = Annotated[str, Meta(pattern=rf"\A{_DATE}T{_TIME}{_OFFSET}\Z")]
"""RFC 3339 date-time with its offset."""

AccountStatus = Literal["open", "closed", "blocked", "suspended"]
"""Whether an account may be shared: blocked and suspended ones may not."""


class Record(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A record of some collection: camelCase on the wire, members without a value left out."""

    columns: ClassVar[dict[str, str]] = {}
    """Columns whose name is not that of the member they fill."""
