"""Words in the configuration that map the columns and values of a source, so that nobody has to write SQL for it.

Public, like `openholder` itself: ``docs/plugins.md`` shows how a source uses it.
"""

from openholder.mapping.rows import MappedRow, RowMapping
from openholder.mapping.settings import MappingSettings, MemberRule, TableSettings, name_table
from openholder.mapping.values import tidy

__all__ = ["MappedRow", "MappingSettings", "MemberRule", "RowMapping", "TableSettings", "name_table", "tidy"]
