"""Settings of the PostgreSQL source."""

from __future__ import annotations

import ssl
from typing import Any, Literal

from pydantic import Field

from openholder import ExistingFile, Secret
from openholder.sql import SQLSettings


class PostgresSettings(SQLSettings):
    """``[sources.X]`` with ``kind = "postgres"``."""

    host: str = Field(min_length=1)
    """A name or address, or a folder (``/run/postgresql``) for the socket in it."""
    port: int = Field(default=5432, ge=1, le=65535)
    database: str = Field(min_length=1)
    user: str = Field(min_length=1)
    password: Secret | None = None
    schema_name: str = Field(default="public", min_length=1, max_length=63)
    tls: Literal["verify-full", "verify-ca", "disable"] = "verify-full"
    """``verify-ca`` does not check the name in the certificate; ``disable`` is for a socket or the same machine."""
    tls_ca: ExistingFile | None = None
    """The authorities to check the server's certificate against, instead of those of the system."""
    connections: int = Field(default=8, ge=1, le=64)
    """The most connections at a time, for each worker process."""
    connect_timeout: float = Field(default=3.0, gt=0, le=60)
    """Seconds to connect, and to wait for a connection if all are busy."""
    statement_timeout: float = Field(default=4.5, gt=0, le=60)
    """Seconds after which the server cancels a SELECT. Less than ``timeout``, so that no query outlives its request."""
    statement_cache: int = Field(default=256, ge=0, le=10_000)
    """Prepared statements kept by each connection. Must be 0 behind a pgBouncer that pools transactions."""

    def build_pool_arguments(self) -> dict[str, Any]:
        """Return the arguments of asyncpg's pool."""
        return {
            "host": self.host,
            "port": self.port,
            "database": self.database,
            "user": self.user,
            "password": self.password.get_secret_value() if self.password else None,
            "ssl": self._create_tls(),
            "timeout": self.connect_timeout,
            "min_size": 0,  # connections are opened on demand
            "max_size": self.connections,
            "statement_cache_size": self.statement_cache,
            "server_settings": {
                "application_name": "openholder",
                "DateStyle": "ISO",
                "TimeZone": self.time_zone or "UTC",
                "default_transaction_read_only": "on",
                "jit": "off",  # JIT takes longer to compile than these queries run
                "search_path": '"' + self.schema_name.replace('"', '""') + '"',
                "statement_timeout": str(round(self.statement_timeout * 1000)),
            },
        }

    def _create_tls(self) -> ssl.SSLContext | bool:
        if self.tls == "disable":
            return False
        context = ssl.create_default_context(cafile=self.tls_ca)
        context.check_hostname = self.tls == "verify-full"
        return context
