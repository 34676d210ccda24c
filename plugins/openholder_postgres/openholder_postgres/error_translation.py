"""Translate errors of asyncpg into those of openholder. Texts of the server are never repeated: they quote values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from openholder import SourceFault, SourceUnavailable

CONNECTION_LOST = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a query on a connection that the server is about to close
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""The connection is dead; another one may work."""

INTERRUPTED = (asyncpg.TransactionRollbackError, asyncpg.LockNotAvailableError, asyncpg.ObjectInUseError)
"""Another transaction was in the way: SQLSTATE class 40, such as a standby that replays a VACUUM; 55P03; 55006."""

POOLED = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)
"""A prepared statement is on another connection: pgBouncer changes them after each transaction."""

UNAVAILABLE = (*CONNECTION_LOST, OSError, asyncpg.CannotConnectNowError, asyncpg.InsufficientResourcesError)
"""The server cannot serve queries now, but may later."""

LOGIN_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""The server will refuse this login until somebody changes the configuration."""


_PARAMETER = re.compile(r"unsupported startup parameter: (\w+)")


@contextmanager
def translate_errors(subject: str) -> Iterator[None]:
    """Turn errors of the database into `SourceUnavailable` and `SourceFault`, whose text begins with ``subject``."""
    try:
        yield
    except TimeoutError as exc:  # an OSError too, but raised by the pool: no connection was free
        raise SourceUnavailable(f"{subject}: no free connection within connect_timeout") from exc
    except ConnectionError as exc:
        if "SSL" in str(exc):  # asyncpg raises no special type, but this text is its own and not the server's
            raise SourceFault(
                f"{subject}: the server does not offer TLS; enable it there, "
                'or set `tls = "disable"` for a socket or the same machine'
            ) from exc
        raise SourceUnavailable(f"{subject}: the database is unavailable ({type(exc).__name__})") from exc
    except INTERRUPTED as exc:
        raise SourceUnavailable(f"{subject}: interrupted by another transaction ({_describe(exc)})") from exc
    except asyncpg.TargetServerAttributeNotMatched as exc:
        raise SourceUnavailable(f"{subject}: no host is what target_session_attrs wants") from exc
    except asyncpg.ProtocolViolationError as exc:
        refused = _PARAMETER.fullmatch(str(exc))
        if refused is None:
            raise SourceUnavailable(f"{subject}: the database is unavailable ({type(exc).__name__})") from exc
        hint = f"pgBouncer refuses the parameter {refused[1]!r}: list it in `ignore_startup_parameters`"
        raise SourceFault(f"{subject}: {_describe(exc)}; {hint}") from exc
    except UNAVAILABLE as exc:
        raise SourceUnavailable(f"{subject}: the database is unavailable ({type(exc).__name__})") from exc
    except POOLED as exc:
        hint = "behind a pgBouncer that pools transactions, set `statement_cache = 0`"
        raise SourceFault(f"{subject}: {_describe(exc)}; {hint}") from exc
    except LOGIN_REFUSED as exc:
        raise SourceFault(f"{subject}: login refused, check user, password and database ({_describe(exc)})") from exc
    except asyncpg.QueryCanceledError as exc:
        raise SourceFault(f"{subject}: the server cancelled the query after statement_timeout") from exc
    except asyncpg.PostgresError as exc:
        raise SourceFault(f"{subject}: {_describe(exc)}") from exc


def _describe(exc: asyncpg.PostgresError) -> str:
    """Return the type of an error, and its code (PostgreSQL manual, appendix A)."""
    return f"{type(exc).__name__}, SQLSTATE {exc.sqlstate}"
