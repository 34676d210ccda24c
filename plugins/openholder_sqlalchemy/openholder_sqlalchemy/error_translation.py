"""Translate errors of drivers into those of openholder. Texts of a server are never repeated: they quote values."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from openholder import SourceFault, SourceUnavailable

Meaning = Literal["repeat", "unavailable", "login", "timeout", "changed"]
"""What an error means: the statement may succeed if it is repeated; the server cannot serve now; it refuses the login;
it cancelled the statement; a table or column is not there any more."""

CODES: Mapping[str, Mapping[Meaning, frozenset[str]]] = {
    # Deadlocks, waits for a lock, and a table that was altered in between.
    "mysql": {
        "repeat": frozenset({"1205", "1213", "1020", "1412"}),
        "unavailable": frozenset(
            {"1040", "1041", "1053", "1203", "1226", "1927", "2002", "2003", "2006", "2013", "4031"}
        ),
        "login": frozenset({"1044", "1045", "1049", "1130", "1251", "1698", "1862", "3118", "3159", "4151"}),
        "timeout": frozenset({"1317", "1969", "3024"}),
        "changed": frozenset({"1054", "1142", "1143", "1146", "1356"}),
    },
    "postgresql": {
        "repeat": frozenset({"40001", "40P01", "40002", "40003", "55P03", "55006"}),
        "unavailable": frozenset({"57P01", "57P02", "57P03", "53000", "53100", "53200", "53300", "53400", "08006"}),
        "login": frozenset({"28000", "28P01", "3D000"}),
        "timeout": frozenset({"57014"}),
        "changed": frozenset({"42501", "42703", "42P01", "0A000", "42883", "42804"}),
    },
    "sqlite": {"repeat": frozenset({"5", "6"}), "changed": frozenset({"1"})},
    "oracle": {
        "repeat": frozenset({"ORA-00054", "ORA-00060", "ORA-08176", "ORA-08177", "ORA-30006"}),
        "unavailable": frozenset({"ORA-00018", "ORA-01033", "ORA-01034", "ORA-03113", "ORA-03114", "ORA-12514"}),
        "login": frozenset({"ORA-01017", "ORA-28000", "ORA-28001"}),
        "timeout": frozenset({"ORA-01013"}),
        "changed": frozenset({"ORA-00904", "ORA-00942", "ORA-04063"}),
    },
    "mssql": {
        "repeat": frozenset({"40001"}),
        "unavailable": frozenset({"08001", "08S01"}),
        "login": frozenset({"28000"}),
        "timeout": frozenset({"HYT00", "HY008"}),
        "changed": frozenset({"42S02", "42S22"}),
    },
}
"""The codes of each database, as its manual has them: error numbers, or SQLSTATEs."""
CODES = {**CODES, "mariadb": CODES["mysql"]}

_CODE = re.compile(r"[0-9A-Z]{5}|[0-9]{1,6}|ORA-[0-9]{5}", re.ASCII)


def read_code(exc: DBAPIError, database: str) -> str:
    """Return the code of an error, as `CODES` has it; empty if the driver gives none."""
    error: Any = exc.orig
    first = error.args[0] if error.args else ""
    match database:
        case "postgresql":
            code = getattr(error, "sqlstate", "")
        case "sqlite":
            code = getattr(error, "sqlite_errorcode", "")
        case "oracle":
            code = getattr(first, "full_code", "")
        case _:
            code = first
    return str(code) if _CODE.fullmatch(str(code)) else ""


def get_meaning(exc: DBAPIError, database: str) -> Meaning | None:
    """Return what an error of a database means, if that is known."""
    code = read_code(exc, database)
    if exc.connection_invalidated:
        return "unavailable"
    return next((meaning for meaning, codes in CODES[database].items() if code in codes), None)


def is_worth_repeating(exc: Exception, database: str) -> bool:
    """Tell whether a statement may succeed at once on another connection, or without the other transaction."""
    if not isinstance(exc, DBAPIError):
        return isinstance(exc, ConnectionError)
    return exc.connection_invalidated or get_meaning(exc, database) == "repeat"


@contextmanager
def translate_errors(subject: str, database: str) -> Iterator[None]:
    """Turn errors of the database into `SourceUnavailable` and `SourceFault`, whose text begins with ``subject``."""
    try:
        yield
    except NoFreeConnection as exc:
        raise SourceUnavailable(f"{subject}: no free connection within connect_timeout") from exc
    except DBAPIError as exc:
        raise _translate(subject, exc, database) from exc
    except SQLAlchemyError as exc:
        raise SourceFault(f"{subject}: {type(exc).__name__}") from exc
    except OSError as exc:  # raised by drivers that wrap no errors of the network
        raise SourceUnavailable(f"{subject}: the database is unavailable ({type(exc).__name__})") from exc


def _translate(subject: str, exc: DBAPIError, database: str) -> Exception:
    meaning, code = get_meaning(exc, database), read_code(exc, database)
    name = f"{type(exc.orig).__name__}, code {code}" if code else type(exc.orig).__name__
    if isinstance(exc.orig and exc.orig.__cause__, ssl.SSLError) or (
        database in ("mysql", "mariadb") and code == "2026"
    ):
        return SourceFault(
            f"{subject}: TLS failed ({name}): check tls_ca and the server's certificate, "
            'or set `tls = "disable"` for a socket or the same machine'
        )
    match meaning:
        case "repeat":
            return SourceUnavailable(f"{subject}: locked by another transaction ({name})")
        case "unavailable":
            return SourceUnavailable(f"{subject}: the database is unavailable ({name})")
        case "login":
            return SourceFault(f"{subject}: login refused, check user, password and database ({name})")
        case "timeout":
            return SourceFault(f"{subject}: the server cancelled the query after statement_timeout")
        case _:
            return SourceFault(f"{subject}: {name}")
