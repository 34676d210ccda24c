"""Tables and views: which column holds which member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from openholder.errors import SourceFault


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view, as the database's own catalogue describes it."""

    name: str
    types: Mapping[str, str]
    """Each column, and its type as the database writes it."""
    own_order: tuple[str, ...] = ()
    """Expressions of SQL that put its rows into their one order; empty where there is nothing of the kind."""
    is_view: bool = False
    members: Mapping[str, str] = field(default_factory=dict)
    """Each member, and the column that holds it. `Schema` fills it in."""

    def renamed(self, columns: Mapping[str, str]) -> Table:
        """The table with its members: each column is called as it is, but for those that ``columns`` maps."""
        missing = [column for column in columns.values() if column not in self.types]
        if missing:
            raise SourceFault(f"table {self.name!r} has no column {missing[0]!r}, which `columns` names")
        taken = set(columns.values())
        return replace(self, members={name: name for name in self.types if name not in taken} | dict(columns))

    def column(self, member: str) -> str:
        """The column of a member that there must be. Raises `SourceFault` where there is none."""
        try:
            return self.members[member]
        except KeyError:
            raise SourceFault(f"table {self.name!r} has no column {member!r}") from None

    def columns(self, members: tuple[str, ...]) -> tuple[str, ...]:
        """The columns of those members that there are."""
        return tuple(self.members[member] for member in members if member in self.members)
