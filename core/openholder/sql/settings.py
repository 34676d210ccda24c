"""The words that sources of an SQL database have."""

from __future__ import annotations

from openholder.contract.members import list_typed_members
from openholder.mapping import TableSettings
from openholder.sql.tables import Table


class SQLSettings(TableSettings):
    """The words of sources that have tables in a database. Derive the ``Settings`` of a source from it."""

    empty_is_absent: bool = False
    """Whether an empty text counts as NULL in columns of members that are not plain text, such as amounts and times."""

    def find_blanks(self, table: Table) -> frozenset[str]:
        """Return the columns in which an empty text counts as NULL.

        Args:
            table: A table that is served.
        """
        if not self.empty_is_absent:
            return frozenset()
        converted = {member: table.mapping.find_column(member) for member in table.converted} if table.mapping else {}
        columns = {**converted, **table.members}
        typed = list_typed_members(table.collection.replace("_", ".", 1))
        return frozenset(column for member, column in columns.items() if column and member in typed)
