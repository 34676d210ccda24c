r"""What differs between the databases: how each writes what `openholder_sqlalchemy.dialect` compares and reads.

In each text, ``{0}`` is a column or an expression. A database without a text for something leaves it to openholder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ASCENDING, DESCENDING = "{0} ASC NULLS LAST", "{0} DESC NULLS FIRST"
"""Records without a value sort last (first if descending), as `openholder.Order` defines it."""


@dataclass(frozen=True, slots=True)
class Backend:
    """How one database writes its part of a query."""

    session: tuple[str, ...]
    """What each new connection executes. ``{seconds}`` and ``{milliseconds}`` limit a statement, ``{lock_seconds}`` a
    wait for a lock."""
    exact: str
    """A text, compared character by character, letter case and trailing blanks included."""
    exact_mark: str
    """The same for a parameter."""
    stripped: str
    """A text without the blanks of `openholder.mapping.tidy` at both ends."""
    read: Mapping[str, str]
    """For each kind, what a SELECT reads. Other kinds are read as they are."""
    filled: str = "CASE WHEN LENGTH({0}) > 0 THEN {0} END"
    """A text, or NULL if it is empty."""
    schema: str = ""
    """Selects a schema of the database; empty if the URL names it."""
    text_mark: str = "{0}"
    """A parameter that is compared with a column of text as its collation does it, so that an index helps."""
    integer_mark: str = "{0}"
    largest: int = 2**63
    """The first integer that no column can hold."""
    compares_numbers: bool = True
    """Whether the text of an exact number is the one that Python writes."""
    number_mark: str = ""
    truth_mark: str = "{0}"
    folded: str = ""
    """A text with A-Z in lower case, and no other letter changed."""
    similar: str = ""
    """A comparison with a parameter, ``{1}``, that at least the texts pass which differ in the case of A-Z only."""
    contains: str = ""
    """Whether an exact text, ``{0}``, contains another one, ``{1}``."""
    moments: Mapping[str, str] | None = None
    """For each kind that is a moment, or the UTC midnight of a day, how to compare and sort it."""
    moment_mark: str = ""
    has_moment_texts: bool = False
    """Whether the parameter is a text; otherwise it is a `datetime.datetime`. Both are in UTC."""
    invalid: str = ""
    """Whether a day or time is none, and so must pass every filter to be found by openholder."""
    sorted: tuple[str, str] | None = None
    """How to sort, ascending and descending."""
    ties: Mapping[str, str] = field(default_factory=dict)
    """For kinds that cannot be sorted as they are, what sorts rows that are equal in all else."""
    row_location: str = ""
    """A column that all tables have, and that distinguishes their rows."""
    probe: str = "SELECT 1"
    """The smallest SELECT that fails if the data cannot be reached."""
    page: str = "LIMIT {limit} OFFSET {offset}"
    unordered: str = ""


MYSQL = Backend(
    # The empty mode reads backslashes, quotes and || in one way, and invalid dates as they are. Comments of the form
    # /*M! are for MariaDB, and those with 50708 for MySQL: MariaDB skips the numbers from 50700 to 50999.
    session=(
        "SET SESSION sql_mode = '', time_zone = '+00:00', lock_wait_timeout = {lock_seconds}, "
        "innodb_lock_wait_timeout = {lock_seconds} /*M!100100 , max_statement_time = {seconds} */ "
        "/*!50708 , max_execution_time = {milliseconds} */",
        "SET SESSION TRANSACTION READ ONLY",
    ),
    # Every other collation that both MariaDB and MySQL have ignores blanks at the end.
    exact="CAST(CONVERT({0} USING utf8mb4) AS BINARY)",
    exact_mark="CAST({0} AS BINARY)",
    stripped=r"REGEXP_REPLACE(CONVERT({0} USING utf8mb4), '^[ \\t\\n\\r\\f\\x0B\\x{{A0}}]+"
    r"|[ \\t\\n\\r\\f\\x0B\\x{{A0}}]+\\z', '')",
    read={
        "moment": "CONCAT(REPLACE(CAST({0} AS CHAR), ' ', 'T'), 'Z')",
        "local": "REPLACE(CAST({0} AS CHAR), ' ', 'T')",
        "day": "CAST({0} AS CHAR)",
        "bits": "({0} + 0)",
        # Of a FLOAT, six digits are shown. If it has more, it becomes a number that is refused as inexact.
        "single": "CASE WHEN ABS(CAST({0} AS CHAR) - {0}) <= ABS({0}) * 6E-8 THEN CAST({0} AS CHAR) + 0E0 "
        "ELSE 1E300 END",
        "other": "CAST({0} AS CHAR)",
    },
    largest=2**64,
    number_mark="CAST({0} AS DECIMAL(65, 30))",
    similar="CONVERT({0} USING utf8mb4) COLLATE utf8mb4_general_ci = {1}",
    contains="LOCATE({1}, {0}) > 0",
    moments=dict.fromkeys(("moment", "day"), "CAST({0} AS DATETIME(6))"),
    moment_mark="CAST({0} AS DATETIME(6))",
    has_moment_texts=True,
    invalid="MONTH({0}) = 0 OR DAYOFMONTH({0}) = 0",
    sorted=("{0} IS NULL, {0}", "{0} IS NOT NULL, {0} DESC"),
)

POSTGRESQL = Backend(
    session=(
        "SET default_transaction_read_only = on",
        "SET statement_timeout = {milliseconds}",
        "SET lock_timeout = '{lock_seconds}s'",
        "SET TIME ZONE 'UTC'",
        "SET DateStyle = 'ISO'",
        "SET jit = off",
    ),
    schema="SET search_path = {0}",
    exact='CAST({0} AS text) COLLATE "C"',
    exact_mark="CAST({0} AS text)",
    stripped=r"btrim(CAST({0} AS text), E' \t\n\r\f\x0B\u00A0')",
    read={
        "moment": "replace(CAST({0} AT TIME ZONE 'UTC' AS text), ' ', 'T') || 'Z'",
        "local": "replace(CAST({0} AS text), ' ', 'T')",
        "day": "CAST({0} AS text)",
        "single": "CAST(CAST({0} AS text) AS float8)",
        "other": "CAST({0} AS text)",
    },
    text_mark="CAST({0} AS text)",
    integer_mark="CAST({0} AS bigint)",
    number_mark="CAST({0} AS numeric)",
    truth_mark="CAST({0} AS boolean)",
    folded='lower(CAST({0} AS text) COLLATE "C")',
    contains="strpos({0}, {1}) > 0",
    moments={"moment": "{0}", "day": "(CAST({0} AS timestamp) AT TIME ZONE 'UTC')"},
    moment_mark="CAST({0} AS timestamptz)",
    sorted=(ASCENDING, DESCENDING),
)

SQLITE = Backend(
    probe="SELECT count(*) FROM sqlite_master",  # SELECT 1 never looks at the file
    session=("PRAGMA query_only = ON", "PRAGMA busy_timeout = {lock_milliseconds}"),
    exact="CAST({0} AS TEXT) COLLATE BINARY",
    exact_mark="{0}",
    stripped="trim(CAST({0} AS TEXT), ' ' || char(9, 10, 11, 12, 13, 160))",
    read={},
    folded="lower(CAST({0} AS TEXT)) COLLATE BINARY",  # only A-Z
    row_location="rowid",
)

ORACLE = Backend(
    probe="SELECT 1 FROM DUAL",
    session=(
        "ALTER SESSION SET TIME_ZONE = '+00:00' NLS_COMP = BINARY NLS_SORT = BINARY NLS_NUMERIC_CHARACTERS = '.,'",
    ),
    schema="ALTER SESSION SET CURRENT_SCHEMA = {0}",
    exact="{0}",
    exact_mark="{0}",
    stripped="RTRIM(LTRIM({0}, {blanks}), {blanks})".replace(
        "{blanks}", "CHR(32) || CHR(9) || CHR(10) || CHR(11) || CHR(12) || CHR(13) || UNISTR('\\00A0')"
    ),
    read={
        "moment": """TO_CHAR(SYS_EXTRACT_UTC({0}), 'YYYY-MM-DD"T"HH24:MI:SS.FF9"Z"')""",
        "local": """TO_CHAR(CAST({0} AS TIMESTAMP), 'YYYY-MM-DD"T"HH24:MI:SS.FF9')""",
        "single": "TO_BINARY_DOUBLE(TO_CHAR({0}))",
        "other": "TO_CHAR({0})",
    },
    ties={"clob": "DBMS_LOB.SUBSTR({0}, 1000)", "bytes": "RAWTOHEX(DBMS_LOB.SUBSTR({0}, 1000))"},
    largest=10**38,
    compares_numbers=False,  # 0.5 is .5
    truth_mark="",
    similar="LOWER({0}) = LOWER({1})",
    page="OFFSET {offset} ROWS FETCH NEXT {limit} ROWS ONLY",
)

MSSQL = Backend(
    session=("SET LOCK_TIMEOUT {lock_milliseconds}",),
    # Every comparison of texts pads the shorter one with blanks, whatever the collation; one of bytes with zeros.
    exact="CAST(CAST({0} AS NVARCHAR(4000)) AS VARBINARY(8000))",
    exact_mark="CAST(CAST({0} AS NVARCHAR(4000)) AS VARBINARY(8000))",
    stripped="TRIM(CONCAT(CHAR(32), CHAR(9), CHAR(10), CHAR(11), CHAR(12), CHAR(13), NCHAR(160)) FROM {0})",
    read={
        "moment": "CONVERT(VARCHAR(33), SWITCHOFFSET({0}, '+00:00'), 127)",
        "local": "CONVERT(VARCHAR(33), {0}, 126)",
        "day": "CONVERT(VARCHAR(10), {0}, 23)",
        "single": "CASE WHEN ABS(CAST(CONVERT(VARCHAR(24), {0}) AS FLOAT) - {0}) <= ABS({0}) * 6E-8 "
        "THEN CAST(CONVERT(VARCHAR(24), {0}) AS FLOAT) ELSE 1E300 END",
        "other": "CAST({0} AS NVARCHAR(MAX))",
    },
    filled="CASE WHEN DATALENGTH({0}) > 0 THEN {0} END",
    ties={"clob": "CAST({0} AS NVARCHAR(4000))"},
    compares_numbers=False,
    truth_mark="CAST({0} AS BIT)",
    similar="LOWER({0} COLLATE Latin1_General_CI_AS) = LOWER({1} COLLATE Latin1_General_CI_AS)",
    page="OFFSET {offset} ROWS FETCH NEXT {limit} ROWS ONLY",
    unordered="ORDER BY (SELECT NULL)",
)

BACKENDS: Mapping[str, Backend] = {
    "mysql": MYSQL,
    "mariadb": MYSQL,
    "postgresql": POSTGRESQL,
    "sqlite": SQLITE,
    "oracle": ORACLE,
    "mssql": MSSQL,
}
"""By the name that SQLAlchemy gives the database."""
