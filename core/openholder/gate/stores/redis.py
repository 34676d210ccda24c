"""Used tokens in Redis: for several machines. Needs ``openholder[redis]``.

``SET NX PX`` is atomic on one primary. A failover that loses the last writes forgets the tokens in them, and so does a
server that evicts keys: use one node with its append-only file, and ``maxmemory-policy noeviction``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, Field, SecretStr
from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from openholder.gate.replay import Reach
from openholder.setting_types import Secret

log = logging.getLogger(__name__)


def _redis_url(url: SecretStr) -> SecretStr:
    try:
        parse_url(url.get_secret_value())
    except ValueError:
        raise ValueError("must be a redis://, rediss:// or unix:// URL") from None
    return url


class RedisSettings(BaseModel):
    """``[replay]`` with ``store = "redis"``."""

    url: Annotated[Secret, AfterValidator(_redis_url)]
    """``redis://host:6379/0``, ``rediss://`` for TLS, or ``unix://``; it may hold a password."""
    timeout: float = Field(default=0.1, gt=0, le=2)
    """Seconds for one answer. There is no second try: after a lost answer it would say "seen" of a good token."""
    prefix: str = "openholder:"


class RedisStore:
    """One key for each used token, which Redis itself forgets in time."""

    reach: ClassVar[Reach] = "network"
    api_version = 1
    Settings = RedisSettings

    def __init__(self, settings: RedisSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._redis = Redis.from_url(
            settings.url.get_secret_value(),
            socket_timeout=settings.timeout,
            socket_connect_timeout=settings.timeout,
            retry=Retry(NoBackoff(), 0),
        )

    async def open(self) -> float:
        """Reach the server, and complain where it is set up to forget."""
        try:
            await self._redis.ping()
            policy = (await self._redis.config_get("maxmemory-policy")).get("maxmemory-policy")
        except ResponseError:
            policy = None  # CONFIG is often forbidden to applications
        except BaseException:
            await self.close()
            raise
        if policy not in {None, "noeviction"}:
            log.error("redis evicts keys (maxmemory-policy %s): an evicted token can be used again", policy)
        return 0.0

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """See `ReplayStore`. One command, atomic in the server."""
        lifetime = max(1, round((expires_at - self._clock()) * 1000))
        return bool(await self._redis.set(self._settings.prefix.encode() + entry, b"", nx=True, px=lifetime))
