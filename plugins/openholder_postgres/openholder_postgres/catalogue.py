"""The tables and views of a schema, read from PostgreSQL's own catalogue."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

from openholder.sql import Rows, Table
from openholder_postgres.dialect import PostgresDialect
from openholder_postgres.settings import PostgresSettings

# Tables, partitioned tables, views, materialized views and foreign tables, with the columns that the user may read. A
# domain has the type it is based on. A column whose collation treats different texts as equal has a type of its own,
# 'folded', for which the dialect has no comparisons.
CATALOGUE = """
SELECT c.relname::text, c.relkind IN ('v', 'm'), a.attname::text,
       CASE WHEN l.collisdeterministic IS FALSE THEN 'folded' ELSE coalesce(b.typname, t.typname)::text END,
       array_position(i.indkey::int2[], a.attnum),
       c.relkind IN ('r', 'p', 'm') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND has_column_privilege(c.oid, a.attnum, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY c.relname, a.attnum
"""


async def read_tables(select: Rows, settings: PostgresSettings) -> list[Table]:
    """Return every table and view of the schema."""
    found = await select(CATALOGUE, (settings.schema_name,))
    return [_build_table(name, list(rows)) for name, rows in groupby(found, key=itemgetter(0))]


def _build_table(name: str, rows: list[Any]) -> Table:
    _, is_view, _, _, _, has_row_location = rows[0]
    types = {column: type_name for _, _, column, type_name, *_ in rows}
    primary_key = {position: column for _, _, column, _, position, _ in rows if position is not None}
    dialect = PostgresDialect()
    order = [dialect.quoted(primary_key[position]) for position in sorted(primary_key)]
    if not order:
        order = [dialect.tie_break(Table(name, types), column) for column in types if _is_id(column)]
        # ctid alone repeats in the partitions of a table. Views have neither: all their columns sort them then.
        order = [*order, "tableoid", "ctid"] if has_row_location else []
    place = "tableoid::regclass::text || ' ctid ' || ctid::text" if has_row_location else ""
    return Table(name, types, tuple(order), is_view, place=place)


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith(("Id", "_id"))
