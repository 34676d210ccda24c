"""Every exception that openholder raises on purpose.

::

    OpenholderError
    ├── SourceError                  raised by a data source instead of returning records
    │   ├── NotFound                 the record does not exist
    │   ├── SharingRefused           the data exists but must not be shared
    │   └── SourceUnavailable        the source cannot answer now; has ``retry_after``
    ├── SourceFault                  a source broke its contract: 500, with details in the log
    │   ├── ForeignRecord            it returned a record that the query excludes: an alarm
    │   └── Misfit                   it returned a row that does not fit its record
    ├── ConfigurationError           has every mistake that was found; commands exit with 3
    ├── Unreachable                  something outside does not respond; commands exit with 4
    └── UntrustedJSON                JSON that is malformed, ambiguous or too large
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class OpenholderError(Exception):
    """The base class of all exceptions that openholder raises on purpose."""


class SourceError(OpenholderError):
    """The base class of what a source raises to answer with something other than records."""


class NotFound(SourceError):
    """The requested record does not exist. Equivalent to an empty page: a single record is then answered with 404."""


class SharingRefused(SourceError):
    """The data exists but must not be shared.

    The client gets 403, or 404 or 422 for an account, with ``X-Sharing-Refused: true`` (Fiskil, errors).
    """


class SourceUnavailable(SourceError):
    """The source cannot answer now. The client gets 503 with ``Retry-After``.

    Args:
        message: For the log. Name members and types, never values.
        retry_after: Seconds after which the client should try again: a whole number, 5 by default.
    """

    def __init__(self, message: str = "source unavailable", *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SourceFault(OpenholderError):
    """A source broke its contract: it returned too much, too little, or something unreadable.

    The client gets 500. The message is logged.

    Args:
        message: For the log. Name members and types, never values, nor the text of a library: see `describe`.
        row: The row at fault, if it is one. Only its id is used: the log has a pseudonym of it.
    """

    def __init__(self, message: str = "", *, row: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.row = row
        self.record = ""
        """The id of the row, once its collection is known."""


class ForeignRecord(SourceFault):
    """A record that the query excludes, perhaps another customer's. It is never returned, and always an alarm."""


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake in the configuration."""

    where: str
    """The file, environment variable or option that has the mistake."""
    key: str
    """The configuration key, such as ``sources.bank.path``; empty if the mistake belongs to no key."""
    message: str
    """What is wrong, and what is allowed."""

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.message}" if self.key else f"{self.where}: {self.message}"


class ConfigurationError(OpenholderError):
    """The configuration cannot be used.

    Args:
        mistakes: Everything that is wrong with it, not only the first mistake.
    """

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


class Unreachable(OpenholderError):
    """A source, the key set, the replay store or a port is unavailable."""


class UntrustedJSON(OpenholderError, ValueError):
    """JSON from outside that has no single, safe meaning."""


_TEXTS = (
    (re.compile(r""), "an empty text"),
    (re.compile(r"\s+"), "a text of blanks"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?", re.ASCII), "a time without an offset"),
    (re.compile(r"\d{4}-\d\d-\d\d", re.ASCII), "a day without a time"),
)
_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (NoneType, "no value"),
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a floating-point number"),
    (Decimal, "a decimal number"),
    (datetime, "a date-time"),
    (date, "a date"),
    (time, "a time of day"),
    ((bytes, bytearray, memoryview), "bytes"),
    (Mapping, "an object"),
    ((list, tuple), "a list"),
)
"""What operators call the types of values. The first that fits counts: in Python, True is an int, a datetime a date."""


def name_found(value: object) -> str:
    """Name what was found in place of another value, for a message: what kind of value or text it is.

    Args:
        value: Any value. It is never repeated.

    Returns:
        Words with their article, as in "found a list". A type that only a plugin knows keeps its name.
    """
    if isinstance(value, str):
        return next((name for pattern, name in _TEXTS if pattern.fullmatch(value)), "text")
    return next(
        (name for kind, name in _TYPES if isinstance(value, kind)), f"a value of the type {type(value).__name__}"
    )


def describe(exc: BaseException, safe: Iterable[str] = ()) -> str:
    """Describe an exception of a library for a message: its text may quote a row, and is left out.

    Args:
        exc: The exception.
        safe: Regular expressions. A text that one of them matches as a whole is known to quote nothing of the data.

    Returns:
        The text, if it is safe; otherwise the type and where it was raised.
    """
    text = str(exc)
    if any(re.fullmatch(pattern, text) for pattern in safe):
        return text
    place = ""
    for frame, line in traceback.walk_tb(exc.__traceback__):
        place = f" at {Path(frame.f_code.co_filename).name}:{line}"
    return f"{type(exc).__name__}{place}"
