"""The kinds of query parameters that an operation may have, and the filters that they select."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from openholder.query import Filter


@dataclass(frozen=True, slots=True)
class Choice:
    """A query parameter with a fixed set of values. Each selects a filter, or none."""

    name: str
    filters: Mapping[str, Filter | None]
    default: str | None = None
    """The value that applies if the query has none."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class ValueParameter:
    """A query parameter whose value becomes the value of a filter."""

    name: str
    reads: Literal["amount", "text"]
    operator: Literal["ge", "le", "contains"]
    member: str
    otherwise: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Window:
    """Two query parameters that limit a time, both inclusive.

    With ``months``, both ends have a default: the end of today where days begin first, and that many months before the
    given end or now.
    """

    oldest: str
    newest: str
    reads: Literal["date-time", "date"]
    member: str
    otherwise: tuple[str, ...] = ()
    months: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return (self.oldest, self.newest)


Parameter = Choice | ValueParameter | Window
