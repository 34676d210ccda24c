"""``[sources.X]`` with ``kind = "postgres"``."""

from __future__ import annotations

import ssl
from typing import Any, Literal

from pydantic import BaseModel, Field

from openholder import ExistingFile, Secret


class PostgresSettings(BaseModel):
    """Where the database is, as whom it is read, and for how long."""

    host: str = Field(min_length=1)
    """A name or address; a folder (``/run/postgresql``) for the socket in it."""
    port: int = Field(default=5432, ge=1, le=65535)
    database: str = Field(min_length=1)
    user: str = Field(min_length=1)
    password: Secret | None = None
    schema_name: str = Field(default="public", min_length=1, max_length=63)
    columns: dict[str, dict[str, str]] = {}
    """For a collection, the columns of members that cannot be renamed in a view: ``accountId = "acct_no"``."""
    tls: Literal["verify-full", "verify-ca", "disable"] = "verify-full"
    """``verify-ca`` does not compare the name in the certificate; ``disable`` is for sockets and this machine."""
    tls_ca: ExistingFile | None = None
    """The authorities that the server's certificate is checked against, in place of those of the system."""
    connections: int = Field(default=8, ge=1, le=64)
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    """Seconds to connect, and to wait for one of the ``connections`` where all are busy."""
    statement_timeout: float = Field(default=4.5, gt=0, le=60)
    """Seconds after which the server ends a SELECT, also when nobody waits any more: less than ``timeout``."""
    statement_cache: int = Field(default=256, ge=0, le=10_000)
    """Prepared statements that each connection keeps. 0 behind a pgBouncer that pools transactions."""

    def arguments(self) -> dict[str, Any]:
        """What asyncpg makes a pool from."""
        return {
            "host": self.host,
            "port": self.port,
            "database": self.database,
            "user": self.user,
            "password": self.password.get_secret_value() if self.password else None,
            "ssl": self._tls(),
            "timeout": self.connect_timeout,
            "min_size": 0,  # connections are made when they are needed, and no task looks after them meanwhile
            "max_size": self.connections,
            "statement_cache_size": self.statement_cache,
            "server_settings": self._session(),
        }

    def _tls(self) -> ssl.SSLContext | bool:
        if self.tls == "disable":
            return False
        context = ssl.create_default_context(cafile=self.tls_ca)
        context.check_hostname = self.tls == "verify-full"
        return context

    def _session(self) -> dict[str, str]:
        """Settings of every session. JIT compiles for longer than such questions run."""
        return {
            "application_name": "openholder",
            "DateStyle": "ISO",
            "TimeZone": "UTC",
            "default_transaction_read_only": "on",
            "jit": "off",
            "search_path": '"' + self.schema_name.replace('"', '""') + '"',
            "statement_timeout": str(round(self.statement_timeout * 1000)),
        }
