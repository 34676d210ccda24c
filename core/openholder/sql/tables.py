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
    """SQL expressions that sort its rows into one total order; empty if there is none."""
    is_view: bool = False
    members: Mapping[str, str] = field(default_factory=dict)
    """Each member, and the column that holds it. `Schema` fills it in."""

    def renamed(self, columns: Mapping[str, str]) -> Table:
        """Return the table with its members: each is named like its column, unless ``columns`` maps it.

        Args:
            columns: Members, and the columns of another name that hold them.

        Raises:
            SourceFault: ``columns`` names a column that the table does not have.
        """
        missing = [column for column in columns.values() if column not in self.types]
        if missing:
            raise SourceFault(f"table {self.name!r} has no column {missing[0]!r}, which `columns` names")
        taken = set(columns.values())
        return replace(self, members={name: name for name in self.types if name not in taken} | dict(columns))

    def column(self, member: str) -> str:
        """Return the column of a member.

        Args:
            member: The member's path, such as ``address.locality``.

        Raises:
            SourceFault: The table has none for it.
        """
        try:
            return self.members[member]
        except KeyError:
            raise SourceFault(f"table {self.name!r} has no column {member!r}") from None

    def columns(self, members: tuple[str, ...]) -> tuple[str, ...]:
        """Return the columns of those members that the table has.

        Args:
            members: Paths of members.
        """
        return tuple([self.members[member] for member in members if member in self.members])
