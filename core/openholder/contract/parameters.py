"""The kinds of query parameters that an operation may have, and the filters that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from openholder.query import Filter


@dataclass(frozen=True, slots=True)
class Choice:
    """A query parameter that takes one of several values; each stands for a filter, or for none."""

    name: str
    filters: Mapping[str, Filter | None]
    default: str | None = None
    """The value that holds where none is given."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class ValueParameter:
    """A query parameter whose value becomes that of a filter."""

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
    """Two query parameters that bound a time, both inclusive.

    With ``months`` there always is a window: the later end is now by default, the earlier one so many months before.
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
