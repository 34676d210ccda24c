"""Used tokens in Redis: for several machines. Needs ``openholder[redis]``.

``SET NX PX`` is atomic on one primary. A failover that loses the last writes loses their tokens, and so does a server
that evicts keys. Use one node with an append-only file and ``maxmemory-policy noeviction``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, Field, SecretStr
from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from openholder.gate.replay import LONGER, Reach
from openholder.setting_types import Secret, is_loopback

log = logging.getLogger(__name__)


def _check_url(url: SecretStr) -> SecretStr:
    try:
        parse_url(url.get_secret_value())
    except ValueError:
        raise ValueError("must be a redis://, rediss:// or unix:// URL") from None
    return url


class RedisSettings(BaseModel):
    """``[replay]`` with ``store = "redis"``."""

    url: Annotated[Secret, AfterValidator(_check_url)]
    """``redis://host:6379/0``, ``rediss://`` for TLS, or ``unix://``; it may contain a password."""
    timeout: float = Field(default=0.1, gt=0, le=2)
    """Seconds to wait for a response. No retry: if only the response was lost, a valid token would look used."""
    prefix: str = "openholder:"
    """The beginning of every key."""


class RedisStore:
    """One key for each used token, with an expiry."""

    reach: ClassVar[Reach] = "network"
    api_version = 1
    Settings = RedisSettings

    def __init__(self, settings: RedisSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        url = settings.url.get_secret_value()
        # Without a password OpenSSL would ask for that of an encrypted ``ssl_keyfile`` on the terminal.
        encrypted: dict[str, Any] = {"ssl_password": ""} if url.startswith("rediss:") else {}
        self._redis = Redis.from_url(
            url,
            socket_timeout=settings.timeout,
            socket_connect_timeout=settings.timeout,
            retry=Retry(NoBackoff(), 0),
            **encrypted,
        )

    async def open(self) -> float:
        """Connect, and log an error if the server may evict keys."""
        options = self._redis.connection_pool.connection_kwargs
        if self._settings.url.get_secret_value().startswith("redis:") and not is_loopback(
            options.get("host", "localhost")
        ):
            log.warning("replay.url is redis:// to another machine: nothing is encrypted; use rediss://")
        try:
            await self._redis.ping()
            # One name a command: Redis takes several only from version 7 on.
            found = await self._redis.config_get("maxmemory-policy") | await self._redis.config_get("appendonly")
        except ResponseError:
            found = {}  # applications often may not use CONFIG
        except BaseException:
            await self.close()
            raise
        if (policy := found.get("maxmemory-policy", "noeviction")) != "noeviction":
            log.error("Redis may evict used tokens (maxmemory-policy is %s): set it to noeviction", policy)
        if found.get("appendonly", "yes") != "yes":
            log.warning("Redis forgets used tokens when it ends: set appendonly to yes")
        return 0.0

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """See `ReplayStore`. One command, which Redis executes atomically."""
        lifetime = max(1, round((expires_at + LONGER - self._clock()) * 1000))
        return bool(await self._redis.set(self._settings.prefix.encode() + entry, b"", nx=True, px=lifetime))
