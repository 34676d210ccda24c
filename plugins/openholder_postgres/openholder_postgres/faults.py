"""What asyncpg raises, as what the host understands. Texts of the server are never repeated: they quote values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from openholder import SourceFault, SourceUnavailable

GONE = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a question on a connection that the server is about to close
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""The connection is dead, and another one may not be."""

AWAY = (*GONE, OSError, asyncpg.CannotConnectNowError, asyncpg.InsufficientResourcesError)
"""It will not work now, and later it may."""

REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""It will not work before somebody changes something."""


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn errors of the database into `SourceUnavailable` and `SourceFault`, which say of ``what`` they are."""
    try:
        yield
    except TimeoutError as exc:  # an OSError too, but of our own: no connection was free
        raise SourceUnavailable(f"{what}: no connection in time") from exc
    except ConnectionError as exc:
        if "SSL" in str(exc):  # asyncpg has no type for it, and this text is its own
            reason = 'the server does not offer TLS; `tls = "disable"` is for sockets and the same machine'
            raise SourceFault(f"{what}: {reason}") from exc
        raise SourceUnavailable(f"{what}: the database is away ({type(exc).__name__})") from exc
    except AWAY as exc:
        raise SourceUnavailable(f"{what}: the database is away ({type(exc).__name__})") from exc
    except REFUSED as exc:
        raise SourceFault(f"{what}: the database refuses the user or has another name ({_code(exc)})") from exc
    except asyncpg.QueryCanceledError as exc:
        raise SourceFault(f"{what}: ended by the server after statement_timeout") from exc
    except asyncpg.PostgresError as exc:
        raise SourceFault(f"{what}: {_code(exc)}") from exc


def _code(exc: asyncpg.PostgresError) -> str:
    """The type of an error, and its code in the manual of PostgreSQL, appendix A."""
    return f"{type(exc).__name__}, SQLSTATE {exc.sqlstate}"
