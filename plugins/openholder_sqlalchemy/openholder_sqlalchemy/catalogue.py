"""The tables and views of a database, with the kind of each column."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Inspector, inspect, types
from sqlalchemy.dialects import mssql, oracle, postgresql
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.engine.reflection import ObjectKind
from sqlalchemy.exc import DBAPIError, NoSuchTableError
from sqlalchemy.types import TypeEngine

from openholder.sql import Rows, Table
from openholder_sqlalchemy.dialect import FOLDS, LONG, NARROW, AlchemyDialect

log = logging.getLogger(__name__)

# Only what the user may read. SHOW CREATE TABLE, which SQLAlchemy uses, needs a further privilege for views, and fails
# for a view whose tables are gone.
MYSQL_CATALOGUE = """
SELECT c.TABLE_NAME, t.TABLE_TYPE LIKE '%%VIEW', c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, c.COLLATION_NAME,
       c.CHARACTER_OCTET_LENGTH
FROM information_schema.COLUMNS c JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)
WHERE c.TABLE_SCHEMA = DATABASE() AND c.PRIVILEGES LIKE '%%select%%' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION
"""
# All of its columns, or none: COLUMNS has only those that the user may read, and a part of a key orders nothing.
MYSQL_KEYS = """
SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = 'PRIMARY' ORDER BY TABLE_NAME, SEQ_IN_INDEX
"""
MYSQL_KINDS = {
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), "text"),
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "year"), "integer"),
    "float": "single",
    "double": "float",
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "bytes"),
    **dict.fromkeys(("enum", "set", "json", "time", "uuid", "inet4", "inet6"), "other"),
    "decimal": "number",
    "timestamp": "moment",
    "datetime": "local",
    "date": "day",
    "bit": "bits",
}
"""The kind of each type. Columns of other types, such as points on a map, are left out."""
SORTED_BYTES = 1024
"""The default of max_sort_length: how many bytes of a text or BLOB MariaDB looks at to sort."""

KINDS: Sequence[tuple[type | tuple[type, ...], str]] = (
    ((types.Enum, types.Uuid, types.JSON, types.Interval), "other"),
    (types.String, "text"),
    (types.Boolean, "truth"),
    ((types.REAL, oracle.BINARY_FLOAT), "single"),
    (types.Float, "float"),
    (types.Integer, "integer"),
    ((types.Numeric, mssql.MONEY, mssql.SMALLMONEY), "number"),
    (mssql.DATETIMEOFFSET, "moment"),
    ((types.DateTime, oracle.TIMESTAMP), "local"),
    (types.Date, "day"),
    ((types.LargeBinary, types.BINARY, types.VARBINARY, oracle.RAW, mssql.TIMESTAMP), "bytes"),
)
"""The kind of each type of SQLAlchemy; the first that fits. All others are read as text, kind ``other``."""


async def read_mysql_tables(select: Rows, dialect: AlchemyDialect, *, is_utc: bool) -> list[Table]:
    """Return every table and view of the database. With ``is_utc``, a DATETIME is a time of UTC."""
    kinds = MYSQL_KINDS | ({"datetime": "moment"} if is_utc else {})
    keys = {name: [column for _, column in rows] for name, rows in _group(await select(MYSQL_KEYS, ()))}
    found = await select(MYSQL_CATALOGUE, ())
    return [_build_mysql_table(name, list(rows), kinds, keys.get(name, ()), dialect) for name, rows in _group(found)]


def _group(rows: Iterable[Any]) -> Iterator[tuple[str, Iterator[Any]]]:
    return groupby(rows, key=itemgetter(0))


def _build_mysql_table(
    name: str, rows: list[Any], kinds: Mapping[str, str], primary_key: Sequence[str], dialect: AlchemyDialect
) -> Table:
    types = {column: _name_mysql_type(kinds[kind], *more) for _, _, column, kind, *more in rows if kind in kinds}
    is_known = types.keys() >= set(primary_key)
    return _order_rows(Table(name, types, is_view=bool(rows[0][1])), primary_key if is_known else (), dialect)


def _name_mysql_type(kind: str, column_type: str, collation: str | None, length: int | None) -> str:
    """Return the kind of a column, and what else `openholder_sqlalchemy.dialect` has to know."""
    if "zerofill" in column_type:  # the server writes 0000000012, and the driver reads 12
        return "other"
    marks = {
        FOLDS: collation and collation.endswith("_ci") and not re.search("turkish|_tr_", collation),
        NARROW: collation and not collation.startswith(("utf8mb4", "uca1400")),
        LONG: length and length > SORTED_BYTES,
    }
    return " ".join([kind, *[mark for mark, is_so in marks.items() if is_so]])


def read_tables(connection: Connection, schema_name: str | None) -> list[Table]:
    """Return every table and view that SQLAlchemy can describe; the log names the others."""
    inspector, name = inspect(connection), connection.dialect.name
    dialect = AlchemyDialect(connection.dialect)
    views = {*inspector.get_view_names(schema_name)}
    if name in ("postgresql", "oracle"):
        views |= {*inspector.get_materialized_view_names(schema_name)}
    if name == "sqlite":  # where a view may be there although its tables are gone
        described = dict(_describe_one_by_one(inspector, views))
    else:
        described = {
            table: columns
            for (_, table), columns in inspector.get_multi_columns(schema=schema_name, kind=ObjectKind.ANY).items()
        }
    keys = {
        table: key["constrained_columns"]
        for (_, table), key in inspector.get_multi_pk_constraint(schema=schema_name).items()
        if key
    }
    return [
        _order_rows(
            Table(table, {column["name"]: name_type(column["type"], name) for column in columns}, (), table in views),
            keys.get(table, []),
            dialect,
        )
        for table, columns in described.items()
    ]


def _describe_one_by_one(inspector: Inspector, views: Iterable[str]) -> Iterator[tuple[str, list[ReflectedColumn]]]:
    for name in (*inspector.get_table_names(), *views):
        try:
            yield name, inspector.get_columns(name)
        except (DBAPIError, NoSuchTableError):
            log.warning("table or view %r is not served: the database cannot describe it", name)


def name_type(found: TypeEngine[Any], database: str) -> str:
    """Return the kind of a column."""
    if isinstance(found, postgresql.DOMAIN):
        found = found.data_type
    if database == "sqlite":  # where a column without a type, or a BLOB, compares no number with a text
        return "any" if isinstance(found, types.NullType | types.LargeBinary) else "text"
    if isinstance(found, types.ARRAY):
        is_plain = name_type(found.item_type, database) in ("text", "integer", "number", "truth")
        return "list" if is_plain else "other"
    if isinstance(found, oracle.NUMBER):
        return "integer" if found.scale == 0 else "number"
    if isinstance(found, types.Text) and database in ("oracle", "mssql"):  # which cannot compare them
        return "clob"
    if isinstance(found, types.CHAR) and database == "postgresql":  # whose driver reads the padding, too
        return "other"
    if isinstance(found, types.DateTime) and found.timezone:
        return "moment"
    return next((kind for kinds, kind in KINDS if isinstance(found, kinds)), "other")


def _order_rows(table: Table, primary_key: Sequence[str], dialect: AlchemyDialect) -> Table:
    """Return the table with the order of its rows: by the primary key, or by where they are stored."""
    location = dialect.backend.row_location
    order = (location,) if location and not table.is_view else tuple(map(dialect.quoted, primary_key))
    return replace(table, own_order=order)
