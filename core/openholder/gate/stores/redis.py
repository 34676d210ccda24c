"""Used tokens in Redis: for several machines. Needs ``openholder[redis]``.

``SET NX PX`` is atomic on one primary. A failover that loses the last writes loses their tokens, and so does a server
that evicts keys. Use one node with an append-only file and ``maxmemory-policy noeviction``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, Field, SecretStr
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from openholder.gate.replay import LONGER, Reach
from openholder.gate.stores.batches import Batches, Entry, Result
from openholder.setting_types import Secret, is_loopback

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 5.0
"""Seconds to wait for the server's configuration at the start."""
PING = b"*1\r\n$4\r\nPING\r\n"


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
            socket_timeout=None,  # there is one for the whole batch, which costs less
            socket_connect_timeout=settings.timeout,
            retry=Retry(NoBackoff(), 0),
            **encrypted,
        )
        self._connection: AbstractConnection | None = None
        self._batches = Batches(self._write, settings.timeout)
        self._prefix = settings.prefix.encode()

    async def open(self) -> float:
        """Connect, and log if the server may evict keys or forgets them when it ends."""
        options = self._redis.connection_pool.connection_kwargs
        if self._settings.url.get_secret_value().startswith("redis:") and not is_loopback(
            options.get("host", "localhost")
        ):
            log.warning("replay.url is redis:// to another machine: nothing is encrypted; use rediss://")
        try:
            (answer,) = await self._send([PING])
            if isinstance(answer, Exception):
                raise answer
            try:
                async with asyncio.timeout(OPEN_TIMEOUT):
                    # One name a command: Redis takes several only from version 7 on.
                    found = await self._redis.config_get("maxmemory-policy")
                    found |= await self._redis.config_get("appendonly")
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
        await self._batches.drain()
        await self._disconnect()
        await self._redis.aclose()

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """See `ReplayStore`. One command, which Redis executes atomically."""
        return await self._batches.add(entry, expires_at)

    async def count_entries(self) -> float:
        """See `CountsEntries`. Other keys of the database count, too: to tell them apart would read all of them."""
        async with asyncio.timeout(OPEN_TIMEOUT):
            return float(await self._redis.dbsize())

    async def _write(self, entries: Sequence[Entry]) -> list[Result]:
        now = self._clock()
        replies = await self._send(
            [self._format_command(entry, expires_at + LONGER - now) for entry, expires_at in entries]
        )
        if any(isinstance(reply, ReadOnlyError) for reply in replies):
            await self._disconnect()  # a failover made it a replica: the address may lead to another server now
        return [reply if isinstance(reply, Exception) else reply is not None for reply in replies]

    def _format_command(self, entry: bytes, lifetime: float) -> bytes:
        """Format ``SET key "" NX PX lifetime`` as Redis reads it."""
        key = self._prefix + entry
        milliseconds = b"%d" % max(1, round(lifetime * 1000))
        return b"*6\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$0\r\n\r\n$2\r\nNX\r\n$2\r\nPX\r\n$%d\r\n%b\r\n" % (
            len(key),
            key,
            len(milliseconds),
            milliseconds,
        )

    async def _send(self, commands: Sequence[bytes]) -> list[Any]:
        """Send commands in one write, then read their replies in the same order.

        After anything unexpected the connection is closed: a late reply must never be read as that of a later command.
        """
        pool, timeout = self._redis.connection_pool, self._settings.timeout
        try:
            if self._connection and await _is_over(self._connection):
                await self._disconnect()
            if self._connection is None:
                self._connection = pool.connection_class(**pool.connection_kwargs)
                timeout *= 2
            async with asyncio.timeout(timeout):
                await self._connection.send_packed_command(commands, check_health=False)  # connects if necessary
                return [await _read_reply(self._connection) for _ in commands]
        except BaseException:
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.disconnect(nowait=True)


async def _is_over(connection: AbstractConnection) -> bool:
    """Return whether Redis has closed the connection, as at a restart, or has said something unasked.

    Nothing has been sent on it yet, so it is safe to send the commands on another.
    """
    try:
        return await connection.can_read()
    except (OSError, RedisError):
        return True


async def _read_reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as exc:  # a reply, too, to this command only
        return exc
