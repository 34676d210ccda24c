"""The tables and views of a schema, from PostgreSQL's own catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from openholder.sql import Rows, Table
from openholder_postgres.dialect import Postgres

# Tables, partitioned tables, views, materialized and foreign ones, with the columns that the user may read. A domain
# counts as what it is made of; a collation that holds different texts for equal is a type of its own.
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


async def tables(rows: Rows, schema: str, columns: Mapping[str, Mapping[str, str]]) -> list[Table]:
    """Every table and view of a schema."""
    ids = {column for named in columns.values() for member, column in named.items() if _is_id(member)}
    found = await rows(CATALOGUE, (schema,))
    return [_table(name, list(described), ids) for name, described in groupby(found, key=itemgetter(0))]


def _table(name: str, described: list[Any], ids: set[str]) -> Table:
    _, is_view, _, _, _, has_places = described[0]
    types = {column: type_name for _, _, column, type_name, *_ in described}
    keys = {place: column for _, _, column, _, place, _ in described if place is not None}
    order = [Postgres().quoted(keys[place]) for place in sorted(keys)] or _order_of(types, ids, has_places)
    return Table(name, types, tuple(order), is_view)


def _order_of(types: Mapping[str, str], ids: set[str], has_places: bool) -> list[str]:
    """The one order of rows that have no primary key: by all their ids, then by where they lie, if that may be read."""
    named = [column for column in types if _is_id(column) or column in ids]
    order = [f'CAST({Postgres().quoted(column)} AS text) COLLATE "C"' for column in named]
    return order + (["tableoid", "ctid"] if has_places else [])


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith(("Id", "_id"))
