"""The process: open everything, listen, serve, drain, close.

Sources and keys are there before the port is, and the port is gone before they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from tornado.httpserver import HTTPServer

from openholder.config import REPLAY_STORES, Configuration
from openholder.contract.limits import MAX_BODY
from openholder.errors import ConfigurationError, Mistake, OpenholderError, Unreachable
from openholder.gate import Gate
from openholder.gate.fetching import KnownKeys, make_fetch
from openholder.gate.jwks import JWKSCache
from openholder.gate.replay import ReplayStore
from openholder.server.admin import admin_application
from openholder.server.connections import CountingServer, bind, connections_allowed
from openholder.server.generation import Generation, changed_for_good
from openholder.server.lag import watch_loop
from openholder.server.logs import log_loop_errors
from openholder.server.tls import keep_current, make_context
from openholder.serving.delegate import ServingState
from openholder.serving.journal import Journal
from openholder.serving.routing import Switch
from openholder.settings import Settings, is_loopback
from openholder.sources.kinds import find_kind
from openholder.sources.registry import SourceRegistry

log = logging.getLogger("openholder")

DRAIN = 25.0
"""Seconds that running requests get to end once the process is told to."""
IDLE_GRACE = 3.0
"""Seconds before an idle connection is closed: its next request may be on the way (RFC 9112 section 9.5)."""
MAX_HEADER = 16_384
IDLE_TIMEOUT = 75.0
BODY_TIMEOUT = 5.0


@dataclass
class RunningServer:
    """A running server: its parts, and where it listens."""

    generation: Generation
    keys: JWKSCache
    gate: Gate
    switch: Switch
    server: CountingServer
    port: int = 0
    admin_port: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    retiring: set[asyncio.Task[None]] = field(default_factory=set)
    reloading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def desk(self) -> ServingState:
        """What all exchanges share, as things are now."""
        return self.generation.desk

    @property
    def sources(self) -> SourceRegistry:
        """The sources, as things are now."""
        return self.generation.sources

    async def missing(self) -> str:
        """What keeps this server from serve, in a word; empty when nothing does."""
        if self.stopping.is_set():
            return "stopping"
        if self.keys.age is None:
            return "no keys"
        try:
            await self.sources.health()
        except Exception as exc:
            return f"source not healthy: {type(exc).__name__}"
        return ""

    async def drain(self, limit: float = DRAIN) -> None:
        """Take no new connections, let running requests end, then close those that are idle."""
        self.stopping.set()
        self.desk.closing = True
        self.server.conn_params.no_keep_alive = True
        self.server.stop()
        await self.generation.finished(limit)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.server.quiet.wait(), IDLE_GRACE)
        await self.server.close_all_connections()

    async def reload(self) -> None:
        """Load the configuration again, and serve from it. Whatever is wrong with it, the old one serves on."""
        async with self.reloading:
            try:
                fresh = await self._next_generation()
            except Exception as exc:
                reason = exc if isinstance(exc, OpenholderError) else type(exc).__name__
                log.error("the configuration was not exchanged; the old one serves on: %s", reason)
                return
            old, self.generation = self.generation, fresh
            self.switch.application = fresh.application
            fresh.desk.journal.observed = fresh.sources.notify
            _begin(partial(_retire, old), self.retiring)
            log.info("a new configuration is served")

    async def _next_generation(self) -> Generation:
        old = self.generation.configuration
        new = await asyncio.to_thread(Configuration.load, old.path)
        later = "changes at the next start only"
        changed = [Mistake(str(new.path), name, later) for name in changed_for_good(old.settings, new.settings)]
        if changed:
            raise ConfigurationError(changed)
        generation = await Generation.open(new, self.gate, self.desk.journal)
        try:
            await generation.sources.health()
        except BaseException:
            await generation.close()
            raise
        return generation

    async def close(self) -> None:
        """Close all sources."""
        for task in self.retiring:
            task.cancel()
        await asyncio.gather(*self.retiring, return_exceptions=True)
        await self.generation.close()


async def _retire(old: Generation) -> None:
    """Close the old sources once nobody is answered from them any more: what is on its way in begins with them."""
    try:
        await asyncio.sleep(BODY_TIMEOUT)
        await old.finished(DRAIN)
    finally:
        await old.close()


def make_keys(settings: Settings, heard: Callable[[str], None] = lambda _: None) -> JWKSCache:
    """The cache of Fiskil's keys; `JWKSCache.start` fetches them. ``heard`` is told of each fetch."""
    fiskil = settings.fiskil
    return JWKSCache(
        make_fetch(fiskil.jwks_url),
        refresh=fiskil.jwks_refresh,
        max_stale=fiskil.jwks_max_stale,
        known=KnownKeys(fiskil.known_keys, fiskil.jwks_url),
        on_event=heard,
    )


def make_store(settings: Settings) -> ReplayStore:
    """The record of used tokens that the settings name."""
    store: ReplayStore = find_kind(settings.replay.store, REPLAY_STORES).load()(settings.replay)
    return store


@asynccontextmanager
async def serve(
    configuration: Configuration, sockets: Sequence[socket.socket] | None = None, worker: int = 0
) -> AsyncIterator[RunningServer]:
    """Everything open and the ports listening, as long as the block runs. Leaving it drains and closes.

    Raises `Unreachable` when a source, the replay record or a port is not to be had.
    """
    settings = configuration.settings
    async with AsyncExitStack() as stack:
        try:
            store = make_store(settings)
            lost_before = await store.open()
        except Exception as exc:
            raise Unreachable(f"the replay record cannot be opened: {type(exc).__name__}") from exc
        stack.push_async_callback(store.close)
        journal = _journal(settings)
        keys = make_keys(settings, journal.heard_of_keys)
        journal.jwks_age.set_function(lambda: -1 if keys.age is None else keys.age)
        stack.push_async_callback(keys.close)
        gate = Gate(settings.fiskil, settings.public_url, keys, store, lost_before=lost_before)
        generation = await Generation.open(configuration, gate, journal)
        journal.observed = generation.sources.notify
        switch = Switch(generation.application)
        holder = RunningServer(generation, keys, gate, switch, _server(settings, switch))
        stack.push_async_callback(holder.close)
        await keys.start()
        watch = watch_loop(journal.loop_lag.set, lambda: holder.sources.asked())
        stack.push_async_callback(_cancel, asyncio.create_task(watch))
        context = _tls(settings)
        if context and settings.listen.tls_certificate and settings.listen.tls_key:
            renewal = keep_current(context, settings.listen.tls_certificate, settings.listen.tls_key)
            stack.push_async_callback(_cancel, asyncio.create_task(renewal))
        _listen_for_admin(holder, settings, worker, stack)
        sockets = sockets or bind(settings.listen.address, settings.listen.port)
        holder.port = sockets[0].getsockname()[1]
        holder.server.ssl_options = context
        holder.server.add_sockets(sockets)
        stack.push_async_callback(holder.drain)
        yield holder


def _journal(settings: Settings) -> Journal:
    secret = settings.log.pseudonym_key
    return Journal(secret.get_secret_value().encode() if secret else b"")


def _server(settings: Settings, switch: Switch) -> CountingServer:
    return CountingServer(
        switch,
        most=connections_allowed(settings.listen.max_connections),
        xheaders=False,
        decompress_request=False,
        max_header_size=MAX_HEADER,
        max_body_size=MAX_BODY,
        max_buffer_size=2 * MAX_BODY,
        idle_connection_timeout=IDLE_TIMEOUT,
        body_timeout=BODY_TIMEOUT,
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    listen = settings.listen
    if listen.tls_certificate is None or listen.tls_key is None:
        if not is_loopback(listen.address):
            log.warning("plain HTTP on %s: only for a proxy in front that speaks TLS", listen.address)
        return None
    try:
        return make_context(listen.tls_certificate, listen.tls_key)
    except OSError as exc:
        mistake = Mistake(
            str(listen.tls_certificate), "listen.tls_certificate", f"cannot be loaded: {type(exc).__name__}"
        )
        raise ConfigurationError([mistake]) from exc


def _listen_for_admin(holder: RunningServer, settings: Settings, worker: int, stack: AsyncExitStack) -> None:
    server = HTTPServer(admin_application(holder.missing, holder.desk.journal.registry))
    port = settings.listen.admin_port
    sockets = bind(settings.listen.admin_address, port + worker if port else 0)
    server.add_sockets(sockets)
    stack.push_async_callback(server.close_all_connections)
    stack.callback(server.stop)
    holder.admin_port = sockets[0].getsockname()[1]


def _begin(work: Callable[[], Coroutine[None, None, None]], running: set[asyncio.Task[None]]) -> None:
    """Run something beside the rest. The loop itself keeps no hold on its tasks."""
    task = asyncio.create_task(work())
    running.add(task)
    task.add_done_callback(running.discard)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def run(configuration: Configuration, sockets: Sequence[socket.socket] | None = None, worker: int = 0) -> None:
    """Serve until SIGTERM or Ctrl-C, then end what is running and return. SIGHUP loads the configuration again.

    Worker n of several has its admin listener n ports above the configured one.
    """
    stop = asyncio.Event()
    running: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    log_loop_errors(loop)
    for signum, handle in ((signal.SIGTERM, stop.set), (signal.SIGINT, stop.set), (signal.SIGHUP, lambda: None)):
        loop.add_signal_handler(signum, handle)
    async with serve(configuration, sockets, worker) as holder:
        loop.add_signal_handler(signal.SIGHUP, _begin, holder.reload, running)
        listen = configuration.settings.listen
        log.info(
            "listening on %s:%d, admin on %s:%d", listen.address, holder.port, listen.admin_address, holder.admin_port
        )
        await stop.wait()
        log.info("stopping")
