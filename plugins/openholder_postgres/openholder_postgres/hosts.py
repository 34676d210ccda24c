"""Connect to the first of several servers that can serve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

NEXT = (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.InsufficientResourcesError)
"""Errors of a server after which another one may serve: it is away, starts, recovers, or has no free slot."""


@dataclass(frozen=True, slots=True)
class Connector:
    """Connects to one of several servers.

    asyncpg can do it too, but its time limit is for all servers together: a machine that is switched off, and so does
    not even refuse a connection, would use it up alone.
    """

    addresses: Sequence[tuple[str, int]]
    target_session_attrs: str
    seconds: float
    """The time limit for all servers together; each has an equal part of it."""

    async def connect(self, *dsn: Any, **arguments: Any) -> asyncpg.Connection[asyncpg.Record]:
        """Return a connection, for asyncpg's pool. Raises what the last server raised, if none can serve."""
        wanted = ["standby", "any"] if self.target_session_attrs == "prefer-standby" else [self.target_session_attrs]
        attempts = [(*address, attributes) for attributes in wanted for address in self.addresses]
        connect: Callable[..., Awaitable[asyncpg.Connection[asyncpg.Record]]] = asyncpg.connect
        failed: Exception | None = None
        for host, port, attributes in attempts:
            try:
                return await connect(
                    *dsn,
                    host=host,
                    port=port,
                    target_session_attrs=attributes,
                    timeout=self.seconds / len(attempts),
                    **arguments,
                )
            except (*NEXT, asyncpg.TargetServerAttributeNotMatched) as exc:
                failed = exc
        assert failed is not None
        raise failed
