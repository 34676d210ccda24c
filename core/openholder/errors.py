"""Every exception that openholder raises on purpose.

::

    OpenholderError
    ├── SourceError                  what a data source may raise while it fetches
    │   ├── NotFound                 there is no such record
    │   ├── SharingRefused           there is one, and it must not be shared
    │   └── SourceUnavailable        not now; carries ``retry_after``
    ├── SourceFault                  a source broke its contract: answered as 500, explained in the log
    │   ├── ForeignRecord            it handed over a record that was not asked for: an alarm
    │   └── Misfit                   it handed over a row that does not fit its record (models/rows.py)
    ├── ConfigurationError           carries every mistake found; commands end with 3
    ├── Unreachable                  something outside does not answer; commands end with 4
    └── UntrustedJSON                JSON that is broken, ambiguous or too large
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class OpenholderError(Exception):
    """The root of the tree above."""


class SourceError(OpenholderError):
    """What a source raises to answer with something other than records."""


class NotFound(SourceError):
    """The record that was asked for does not exist: the caller gets 404."""


class SharingRefused(SourceError):
    """The data exists and must not be shared: the answer carries ``X-Sharing-Refused: true``."""


class SourceUnavailable(SourceError):
    """The source cannot answer now: the caller gets 503 with ``Retry-After``.

    ``retry_after`` is the number of seconds after which another try makes sense.
    """

    def __init__(self, message: str = "source unavailable", *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SourceFault(OpenholderError):
    """A source handed over what it must not: too much, too little, or somebody else's record.

    The message goes to the log. It names members and types, never values.
    """


class ForeignRecord(SourceFault):
    """A record that was not asked for, perhaps somebody else's. Never answered, always an alarm."""


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake in the configuration: where it stands, under which key, and what is wrong."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.message}" if self.key else f"{self.where}: {self.message}"


class ConfigurationError(OpenholderError):
    """The configuration cannot be used. ``mistakes`` has all that is wrong with it."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


class Unreachable(OpenholderError):
    """A source or the key set cannot be reached."""


class UntrustedJSON(OpenholderError, ValueError):
    """JSON from outside that has no single, safe meaning."""


def describe(exc: BaseException) -> str:
    """Return the type of an exception and where it was raised. Its text is left out, because it may quote a row."""
    place = ""
    for frame, line in traceback.walk_tb(exc.__traceback__):
        place = f" at {Path(frame.f_code.co_filename).name}:{line}"
    return f"{type(exc).__name__}{place}"
