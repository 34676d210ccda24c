"""What all SQL databases share: names, queries as SELECTs, and what openholder does if a database cannot.

Public, like `openholder` itself: ``docs/plugins.md`` shows a source of its own made from it.
"""

from openholder.sql.dialect import Bind, Binder, Dialect
from openholder.sql.schema import Rows, Schema
from openholder.sql.settings import SQLSettings
from openholder.sql.statements import Statement
from openholder.sql.tables import Table

__all__ = ["Bind", "Binder", "Dialect", "Rows", "SQLSettings", "Schema", "Statement", "Table"]
