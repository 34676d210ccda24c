"""What the databases are asked that no test starts: the text of the same questions for Oracle and SQL Server."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import types
from sqlalchemy.dialects import mssql, oracle, postgresql
from sqlalchemy.engine import make_url

from openholder import Filter, Order, Query
from openholder.sql import Schema, Table
from openholder_sqlalchemy import AlchemySettings
from openholder_sqlalchemy.catalogue import name_type
from openholder_sqlalchemy.dialect import AlchemyDialect

COLUMNS = {
    "accountId": "text",
    "acct_no": "integer",
    "email": "text",
    "at": "moment",
    "day": "local",
    "amount": "number",
}
NEWEST = (Order("at", descending=True, reads="instant"),)
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)


def compose(url, *filters, order=(), offset=0, limit=None, own_order=("acct_no",), **mapping):
    dialect = AlchemyDialect(make_url(url).get_dialect()())
    schema = Schema(dialect, [Table("things", COLUMNS, own_order)], mapping)
    query = Query(collection="things", filters=filters, order=order, offset=offset, limit=limit)
    statement, parameters = schema.page(query)
    return statement, dialect.pack(parameters)


ORACLE, SERVER = "oracle+oracledb_async://u@h/b", "mssql+aioodbc://u@h/b"
READ = {
    ORACLE: (
        'SELECT "accountId", acct_no, email, TO_CHAR(SYS_EXTRACT_UTC(at), \'YYYY-MM-DD"T"HH24:MI:SS.FF9"Z"\'), '
        "TO_CHAR(CAST(day AS TIMESTAMP), 'YYYY-MM-DD\"T\"HH24:MI:SS.FF9'), amount FROM things"
    ),
    SERVER: (
        "SELECT [accountId], [acct_no], [email], CONVERT(VARCHAR(33), SWITCHOFFSET([at], '+00:00'), 127), "
        "CONVERT(VARCHAR(33), [day], 126), [amount] FROM [things]"
    ),
}


@pytest.mark.parametrize(
    ("url", "filters", "more", "text", "parameters"),
    [
        (
            ORACLE,
            (Filter("accountId", "eq", "a1"),),
            {"limit": 25, "offset": 50},
            ' WHERE ("accountId" IN (:p1) AND "accountId" IN (:p2)) ORDER BY acct_no'
            " OFFSET :p3 ROWS FETCH NEXT :p4 ROWS ONLY",
            {"p1": "a1", "p2": "a1", "p3": 50, "p4": 25},
        ),
        (
            SERVER,
            (Filter("accountId", "in", ("a1", "a2")),),
            {"limit": 25, "offset": 50},
            " WHERE ([accountId] IN (?, ?) AND CAST(CAST([accountId] AS NVARCHAR(4000)) AS VARBINARY(8000)) IN ("
            "CAST(CAST(? AS NVARCHAR(4000)) AS VARBINARY(8000)), CAST(CAST(? AS NVARCHAR(4000)) AS VARBINARY(8000))))"
            " ORDER BY acct_no OFFSET ? ROWS FETCH NEXT ? ROWS ONLY",
            ("a1", "a2", "a1", "a2", 50, 25),
        ),
        (
            ORACLE,
            (Filter("acct_no", "in", ("7", "007", "x")), Filter("at", "ge", NOON), Filter("amount", "ge", Decimal(5))),
            {"limit": 25, "order": NEWEST},
            " WHERE acct_no IN (:p1) ORDER BY acct_no OFFSET :p2 ROWS FETCH NEXT :p3 ROWS ONLY",
            {"p1": 7, "p2": 0, "p3": 100_001},
        ),
        (
            SERVER,
            (Filter("acct_no", "eq", "x"),),
            {"limit": 1},
            " WHERE 1 = 0 ORDER BY acct_no OFFSET ? ROWS FETCH NEXT ? ROWS ONLY",
            (0, 1),
        ),
        (
            ORACLE,
            (Filter("email", "ieq", "Kim@example.com"),),
            {},
            " WHERE LOWER(email) = LOWER(:p1) ORDER BY acct_no OFFSET :p2 ROWS FETCH NEXT :p3 ROWS ONLY",
            {"p1": "Kim@example.com", "p2": 0, "p3": 100_001},
        ),
        (
            SERVER,
            (Filter("email", "ieq", "Kim@example.com"),),
            {},
            " WHERE LOWER([email] COLLATE Latin1_General_CI_AS) = LOWER(? COLLATE Latin1_General_CI_AS)"
            " ORDER BY acct_no OFFSET ? ROWS FETCH NEXT ? ROWS ONLY",
            ("Kim@example.com", 0, 100_001),
        ),
    ],
    ids=["oracle page", "server page", "oracle rest", "server never", "oracle email", "server email"],
)
def test_the_question_is_written_as_the_database_wants_it(url, filters, more, text, parameters):
    assert compose(url, *filters, **more) == (READ[url] + text, parameters)


@pytest.mark.parametrize(
    ("url", "statements"),
    [
        (
            ORACLE,
            ["ALTER SESSION SET TIME_ZONE = '+00:00' NLS_COMP = BINARY", 'ALTER SESSION SET CURRENT_SCHEMA = "Bank"'],
        ),
        (SERVER, ["SET LOCK_TIMEOUT 2250"]),
        (
            "mysql+asyncmy://u@h/b",
            ["SET SESSION sql_mode = '', time_zone = '+00:00', lock_wait_timeout = 2, innodb", "SET"],
        ),
    ],
)
def test_a_connection_is_prepared(url, statements):
    schema = {"schema_name": "Bank"} if "oracle" in url else {}
    found = AlchemySettings(url=url, **schema).list_statements()
    assert [text.startswith(start) for text, start in zip(found, statements, strict=True)] == [True] * len(statements)
    assert not any("{" in text for text in found)


@pytest.mark.parametrize(
    ("database", "found", "kind"),
    [
        ("oracle", oracle.NUMBER(10, 0), "integer"),
        ("oracle", oracle.NUMBER(10, 2), "number"),
        ("oracle", oracle.VARCHAR2(10), "text"),
        ("oracle", oracle.DATE(), "local"),
        ("oracle", oracle.TIMESTAMP(timezone=True), "moment"),
        ("oracle", oracle.CLOB(), "clob"),
        ("oracle", oracle.RAW(16), "bytes"),
        ("oracle", oracle.BINARY_DOUBLE(), "float"),
        ("oracle", oracle.BINARY_FLOAT(), "single"),
        ("oracle", oracle.ROWID(), "other"),
        ("mssql", mssql.NVARCHAR(10), "text"),
        ("mssql", mssql.NTEXT(), "clob"),
        ("mssql", mssql.XML(), "clob"),
        ("mssql", mssql.MONEY(), "number"),
        ("mssql", mssql.BIT(), "truth"),
        ("mssql", mssql.DATETIME2(), "local"),
        ("mssql", mssql.DATETIMEOFFSET(), "moment"),
        ("mssql", mssql.TIMESTAMP(), "bytes"),
        ("mssql", mssql.UNIQUEIDENTIFIER(), "other"),
        ("mssql", mssql.REAL(), "single"),
        ("mssql", mssql.FLOAT(), "float"),
        ("postgresql", postgresql.CHAR(3), "other"),
        ("postgresql", postgresql.REAL(), "single"),
        ("postgresql", postgresql.DOMAIN("d", types.Numeric()), "number"),
        ("postgresql", postgresql.ARRAY(types.Text()), "list"),
        ("postgresql", postgresql.ARRAY(types.Uuid()), "other"),
        ("postgresql", postgresql.TIMESTAMP(timezone=True), "moment"),
        ("postgresql", postgresql.JSONB(), "other"),
        ("postgresql", postgresql.INTERVAL(), "other"),
        ("postgresql", postgresql.MONEY(), "other"),
        ("sqlite", types.NullType(), "any"),
        ("sqlite", types.Numeric(), "text"),
    ],
    ids=str,
)
def test_each_type_has_a_kind(database, found, kind):
    assert name_type(found, database) == kind
