"""Settings of the PostgreSQL source."""

from __future__ import annotations

import ssl
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from openholder import ExistingFile, Secret
from openholder.sql import SQLSettings
from openholder_postgres.hosts import Connector


class PostgresSettings(SQLSettings):
    """``[sources.X]`` with ``kind = "postgres"``."""

    host: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    """Names or addresses, or a folder (``/run/postgresql``) for the socket in it. The first that can serve is used."""
    port: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(default=(5432,), min_length=1)
    """One for all hosts, or one for each."""
    target_session_attrs: Literal["any", "primary", "standby", "prefer-standby"] = "any"
    """Which of the hosts can serve. ``read-write`` would fit none, because each session is read-only."""
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

    @field_validator("host", "port", mode="before")
    @classmethod
    def _list_one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int) else value

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        if len(self.port) not in (1, len(self.host)):
            raise ValueError(f"port: must be one for all hosts, or {len(self.host)}: one for each")
        return self

    def list_addresses(self) -> list[tuple[str, int]]:
        """Return host and port of each server."""
        ports = self.port if len(self.port) > 1 else self.port * len(self.host)
        return list(zip(self.host, ports, strict=True))

    def build_pool_arguments(self) -> dict[str, Any]:
        """Return the arguments of asyncpg's pool."""
        return {
            "connect": Connector(self.list_addresses(), self.target_session_attrs, self.connect_timeout).connect,
            "database": self.database,
            "user": self.user,
            "password": self.password.get_secret_value() if self.password else None,
            "ssl": self._create_tls(),
            "min_size": 0,  # connections are opened on demand
            "max_size": self.connections,
            "statement_cache_size": self.statement_cache,
            "server_settings": {
                "application_name": "openholder",
                "DateStyle": "ISO",
                "TimeZone": self.time_zone or "UTC",
                "default_transaction_read_only": "on",
                "jit": "off",  # JIT takes longer to compile than these queries run
                # A query that waited for a lock is tried once more, within the time of one query.
                "lock_timeout": str(round(self.statement_timeout * 450)),
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
