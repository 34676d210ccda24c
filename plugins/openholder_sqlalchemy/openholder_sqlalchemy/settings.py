"""Settings of the SQLAlchemy source."""

from __future__ import annotations

import ssl
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from openholder import ExistingFile, Secret
from openholder.sql import SQLSettings
from openholder_sqlalchemy.backends import BACKENDS

EXAMPLE = "mysql+asyncmy://openholder@db.internal/bank"
DRIVERS = {
    "mysql": "asyncmy",
    "mariadb": "asyncmy",
    "postgresql": "asyncpg",
    "sqlite": "aiosqlite",
    "oracle": "oracledb_async",
    "mssql": "aioodbc",
}
"""The driver for each database. Others take parameters in another form, or print warnings that quote values."""
ENCRYPTED = ("mysql", "mariadb", "postgresql")
"""Databases whose drivers take an `ssl.SSLContext`. The URL says it for others."""


class AlchemySettings(SQLSettings):
    """``[sources.X]`` with ``kind = "sqlalchemy"``."""

    model_config = ConfigDict(hide_input_in_errors=True)

    url: Secret
    """Database, async driver, user, host and name: ``mysql+asyncmy://openholder@db.internal/bank``."""
    password: Secret | None = None
    """The password, if it is not part of ``url``."""
    schema_name: str | None = Field(default=None, min_length=1, max_length=128)
    """The schema of PostgreSQL and Oracle. In all other databases, the URL or the user decides."""
    tls: Literal["verify-full", "verify-ca", "disable"] = "verify-full"
    """``verify-ca`` does not check the name in the certificate; ``disable`` is for a socket or the same machine."""
    tls_ca: ExistingFile | None = None
    """The authorities to check the server's certificate against, instead of those of the system."""
    connections: int = Field(default=8, ge=1, le=64)
    """The most connections at a time, for each worker process."""
    connect_timeout: float = Field(default=3.0, ge=1, le=60)
    """Seconds to connect, and to wait for a connection if all are busy."""
    statement_timeout: float = Field(default=4.5, ge=1, le=60)
    """Seconds after which the server cancels a SELECT. Less than ``timeout``, so that no query outlives its request."""

    @model_validator(mode="after")
    def _check_url(self) -> Self:
        try:
            url = make_url(self.url.get_secret_value())
            dialect = url.get_dialect()
        except (ArgumentError, NoSuchModuleError, ValueError):
            raise ValueError(f"url must name a database and a driver of SQLAlchemy, such as {EXAMPLE}") from None
        if dialect.name not in BACKENDS:
            raise ValueError(f"url: the database must be one of {', '.join(BACKENDS)}")
        driver = DRIVERS[dialect.name]
        if dialect.driver != driver.partition("_")[0] or not dialect.is_async:
            raise ValueError(f"url: the driver must be {dialect.name}+{driver}")
        if self.schema_name and not BACKENDS[dialect.name].schema:
            raise ValueError(f"schema_name: {dialect.name} has none; name the database in the url")
        return self

    def build_url(self) -> URL:
        """Return the URL with the password."""
        url = make_url(self.url.get_secret_value())
        if self.password:
            url = url.set(password=self.password.get_secret_value())
        # Without it, a server whose default is another character set turns letters into question marks.
        return url.update_query_dict({"charset": "utf8mb4"}) if url.get_dialect().name in ("mysql", "mariadb") else url

    def build_connect_arguments(self) -> dict[str, Any]:
        """Return the arguments of the driver."""
        name = self.build_url().get_dialect().name
        arguments: dict[str, Any] = {}
        if name in ENCRYPTED and self.tls != "disable":
            context = ssl.create_default_context(cafile=self.tls_ca)
            context.check_hostname = self.tls == "verify-full"
            arguments["ssl"] = context
        elif name == "postgresql":
            arguments["ssl"] = False
        if name in ("mysql", "mariadb"):
            arguments["connect_timeout"] = self.connect_timeout
        elif name in ("postgresql", "sqlite"):
            arguments["timeout"] = self.connect_timeout
        return arguments

    def list_statements(self) -> list[str]:
        """Return what each new connection executes: it can only read, and no statement takes long."""
        dialect = self.build_url().get_dialect()()
        backend = BACKENDS[dialect.name]
        # A statement that waited for a lock is tried once more, within the time of one statement.
        lock = max(1.0, self.statement_timeout / 2)
        limits = {
            "seconds": self.statement_timeout,
            "milliseconds": round(self.statement_timeout * 1000),
            "lock_seconds": int(lock),
            "lock_milliseconds": round(lock * 1000),
        }
        statements = [statement.format(**limits) for statement in backend.session]
        if self.schema_name:
            statements.append(backend.schema.format(dialect.identifier_preparer.quote(self.schema_name)))
        return statements
