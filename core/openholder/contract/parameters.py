"""The kinds of query parameters that an operation may have, and the filters that they select."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    later_names: tuple[str, str] | None = None
    """The names that a later version of the standard gives both. The earlier ones stay."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return (self.oldest, self.newest)

    @property
    def ends(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All names of the oldest time, and all names of the newest."""
        later = self.later_names
        return ((self.oldest, later[0]), (self.newest, later[1])) if later else ((self.oldest,), (self.newest,))


Parameter = Choice | ValueParameter | Window


def list_names(parameter: Parameter) -> tuple[str, ...]:
    """List all names under which a parameter is read, those of a later version of the standard last."""
    return (*parameter.names, *((parameter.later_names or ()) if isinstance(parameter, Window) else ()))


def find_name(names: Sequence[str], fields: Mapping[str, str]) -> str | None:
    """Return the name under which a query has a parameter of several names; None if it has none of them.

    Raises:
        ValueError: It has several that do not agree. The argument is the last of them.
    """
    found = [name for name in names if name in fields]
    if len({fields[name] for name in found}) > 1:
        raise ValueError(found[-1])
    return found[0] if found else None
