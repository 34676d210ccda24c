"""Tables and views: which column holds which member."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from openholder.errors import SourceFault
from openholder.mapping import MappingSettings, RowMapping


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view, as the database's own catalogue describes it."""

    name: str
    types: Mapping[str, str]
    """Each column, and its type as the database writes it."""
    own_order: tuple[str, ...] = ()
    """SQL expressions that sort its rows into one total order; empty if there is none.

    Then the pages of a list are sorted by all columns, which costs a sort of all rows of the owner for each page.
    """
    is_view: bool = False
    members: Mapping[str, str] = field(default_factory=dict)
    """Each member, and the column that holds it. `Schema` fills it in."""
    collection: str = ""
    """The name under which it is served. `Schema` fills it in, and the following."""
    mapping: RowMapping | None = None
    """How its rows are read, if members differ from their columns in more than their names."""
    converted: frozenset[str] = frozenset()
    """The members that no column holds, because their values are converted."""
    tidied: frozenset[str] = frozenset()
    """The members whose columns hold them but for ``strip`` and ``absent``."""
    strip: bool = False
    """Whether blanks around the texts of its columns are left out."""
    absent: frozenset[str] = frozenset()
    """The texts in its columns that mean no value."""
    blanks: frozenset[str] = frozenset()
    """Columns in which an empty text counts as NULL."""
    place: str = ""
    """An SQL expression that says where a row stands, as a text such as ``rowid 17``; empty if there is none.

    It is read where records have no ids of their own, so that a fault can name the row.
    """

    def serve(self, collection: str, settings: MappingSettings, is_text: Callable[[Table, str], bool]) -> Table:
        """Return the table as it is served: each member is named like its column, unless the settings map it.

        Args:
            collection: The name under which it is served.
            settings: The words of the source.
            is_text: Tells whether a column may have text: what is written in texts does not concern others.

        Raises:
            SourceFault: The settings name a column that the table does not have.
        """
        mapping = RowMapping(collection.replace("_", ".", 1), settings)
        for column in (column for rule in mapping.rules.values() for column in rule.columns):
            self._require(column)
        columns = {member: mapping.find_column(member) for member in mapping.list_members(self.types)}
        changed = {
            member
            for member, column in columns.items()
            if column is None or mapping.converts(member, is_text=is_text(self, self._require(column)))
        }
        tidied = frozenset(filter(mapping.is_tidied, changed))
        converted = changed - tidied
        return replace(
            self,
            collection=collection,
            members={member: column for member, column in columns.items() if column and member not in converted},
            mapping=mapping if changed else None,
            converted=frozenset(converted),
            tidied=tidied,
            strip=settings.strip,
            absent=frozenset(settings.absent),
        )

    def _require(self, column: str) -> str:
        """Return a column that the settings name, or that a member without one of its own is named like."""
        if column not in self.types:
            close = get_close_matches(column.lower(), {name.lower(): name for name in self.types}, n=1)
            names = [name for name in self.types if name.lower() in close]
            hint = f"; did you mean {names[0]!r}?" if names else ""
            raise SourceFault(f"table {self.name!r} has no column {column!r}, which `columns` or `mapping` names{hint}")
        return column

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
            advice = "name a column like it in a view, or name yours in `columns`"
            raise SourceFault(f"table {self.name!r} has no column {member!r}: {advice}") from None

    def columns(self, members: tuple[str, ...]) -> tuple[str, ...]:
        """Return the columns of those members that the table has.

        Args:
            members: Paths of members.
        """
        return tuple([self.members[member] for member in members if member in self.members])
