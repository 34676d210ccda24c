"""Convert the values of a source: codes, units and signs, and how amounts, days and times are written.

Each function either returns what the value means, or raises `Misfit`, which names member and type, never the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from openholder.contract.fitting import Misfit, fit_decimal
from openholder.mapping.settings import OTHERS, MemberRule
from openholder.query import DATE, DATE_TIME, Row

Conversion = Callable[[Any, Row], Any]
"""Converts a value that is not None. It also gets the row of the source, for values that depend on another column."""

BLANKS = " \t\n\r\v\f\u00a0"
"""What ``strip`` leaves out at both ends."""
EXAMPLE = "2026-10-01T09:30:00+10:00"

_EXACT = Context(prec=100)
_COMMA = re.compile(r"-?[0-9]{1,30}(,[0-9]{1,30})?", re.ASCII)
_LOCAL = re.compile(rf"({DATE})[T ](([01][0-9]|2[0-3]):[0-5][0-9])(:[0-5][0-9](\.[0-9]+)?)?", re.ASCII)
_DATE_TIME = re.compile(DATE_TIME, re.ASCII)
_JOINED = re.compile("%[dmyYHIMS]%[dmyYHIMS]")
"""Two numbers without a sign between them, which may be divided in several ways: 1112 as day 1, month 11."""
_VARIABLE = re.compile("%[fz]")
"""What a text may have in several forms: fractions of a second, and the offset."""


def tidy(value: Any, *, strip: bool, absent: frozenset[str]) -> Any:
    """Remove the blanks around a text, and return None for one that means no value.

    Args:
        value: Any value. What is no text is returned as it is.
        strip: Whether to remove blanks.
        absent: The texts that mean no value.
    """
    if not isinstance(value, str):
        return value
    text = value.strip(BLANKS) if strip else value
    return None if text in absent else text


def write_code(value: Any) -> str | None:
    """Return the text of a code; None for a value that can be none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, str | int) else None


def translate_code(member: str, codes: Mapping[str, str], value: Any) -> str:
    """Return what a code means."""
    code = write_code(value)
    if code is not None and code in codes:
        return codes[code]
    if code is not None and OTHERS in codes:
        return codes[OTHERS]
    raise Misfit(member, value, f'a code that `codes` does not list; add it, or "{OTHERS}" for all others')


@dataclass(frozen=True, slots=True)
class Amounts:
    """How an amount or another number is written."""

    member: str
    decimal: str
    rule: MemberRule
    read_sign: Callable[[Row], Any]
    """Returns the tidy value of the column that `negative` names."""

    def convert(self, value: Any, row: Row) -> Any:
        """Return the exact number."""
        if isinstance(value, str) and self.decimal == ",":
            if not _COMMA.fullmatch(value):
                raise Misfit(self.member, value, "expected a number such as 1234,56, without thousands separators")
            value = value.replace(",", ".")
        exact = fit_decimal(value, self.member)
        if self.rule.unit:
            if exact != exact.to_integral_value():
                raise Misfit(self.member, value, "expected a whole number of cents")
            exact = exact.quantize(Decimal(1), context=_EXACT).scaleb(-2, _EXACT)
        if self.rule.negative:
            is_negative = self._is_negative(row)
            if exact < 0:
                reason = "expected an amount without a sign of its own, because `negative` gives it one"
                raise Misfit(self.member, value, reason)
            exact = _EXACT.minus(exact) if is_negative and exact else _EXACT.abs(exact)
        return exact

    def _is_negative(self, row: Row) -> bool:
        word = self.rule.negative
        assert word is not None
        found = self.read_sign(row)
        code = write_code(found)
        if code is None or (word.others and code not in word.others + word.values):
            allowed = "`is` or `is_not`" if word.others else "`is`, or any other text"
            reason = f"column {word.column!r}, which gives the sign, must have a value of {allowed}"
            raise Misfit(self.member, found, reason)
        return code in word.values


@dataclass(frozen=True, slots=True)
class Times:
    """How a day or a time is written, and in which zone it is."""

    member: str
    is_time: bool
    rule: MemberRule
    zone: ZoneInfo | None

    def convert(self, value: Any) -> Any:
        """Return the day, or the time with its offset, as text. What is neither is returned as it is."""
        form, repeated_hour = self.rule.format, self.rule.repeated_hour
        try:
            if form and isinstance(value, str | int) and not isinstance(value, bool):
                return _parse_format(str(value), form, self.is_time, self.zone, repeated_hour)
            text = value.isoformat() if isinstance(value, date) else value
            is_local = self.is_time and isinstance(text, str)
            return _place_text(text, self.zone, repeated_hour) if is_local else text
        except _Unreadable as exc:
            self._refuse(value, exc)

    def _refuse(self, value: Any, reason: Exception) -> NoReturn:
        raise Misfit(self.member, value, str(reason)) from None


class _Unreadable(Exception):
    """Why a text is no time. The message does not repeat it."""


@lru_cache(maxsize=4_096)
def _parse_format(text: str, form: str, is_time: bool, zone: ZoneInfo | None, repeated_hour: str | None) -> str:
    try:
        found = datetime.strptime(text, form)
        if _JOINED.search(form):
            complete = found.strftime(_VARIABLE.split(form)[0])
            if text[: len(complete)].casefold() != complete.casefold():
                raise ValueError
    except ValueError:
        raise _Unreadable(f"expected the format {form!r}") from None
    if not is_time:
        return found.date().isoformat()
    if found.tzinfo is None:
        found = _place(found, zone, repeated_hour)
    return found.isoformat()


@lru_cache(maxsize=4_096)
def _place_text(text: str, zone: ZoneInfo | None, repeated_hour: str | None) -> str:
    """Return a time with the offset of its zone. A text that has one, or is no time, is returned as it is."""
    match = _LOCAL.fullmatch(text)
    if not match:
        return text
    day, clock, seconds = match[1], match[4], match[6] or ":00"
    try:
        local = datetime.fromisoformat(f"{day}T{clock}{seconds[:3]}")
    except ValueError:
        raise _Unreadable("there is no such day") from None
    offset = _place(local, zone, repeated_hour).isoformat()[len("2026-01-31T23:59:59") :]
    return f"{day}T{clock}{seconds}{offset}"


def _place(local: datetime, zone: ZoneInfo | None, repeated_hour: str | None) -> datetime:
    """Return the moment that a local time names in a zone."""
    if zone is None:
        raise _Unreadable(f"a time without an offset; expected one such as {EXAMPLE}, or the setting time_zone")
    first, second = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first
    # Converting a time that the clocks skip to UTC and back gives another one.
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise _Unreadable(f"a local time that the clocks of {zone.key} skip")
    if repeated_hour is None:
        raise _Unreadable(
            f"a local time that the clocks of {zone.key} show twice; deliver the offset, or set repeated_hour"
        )
    return second if repeated_hour == "second" else first
