"""The process: open everything, listen, serve, drain, close.

Opens sources and keys before the port, and closes the port before them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tornado.httpserver import HTTPServer

from openholder.config import REPLAY_STORES, Configuration
from openholder.edge.server import Limits, Server
from openholder.errors import ConfigurationError, Mistake, OpenholderError, Unreachable
from openholder.gate import CannotJudge, Gate
from openholder.gate.fetching import KnownKeys, make_fetch
from openholder.gate.jwks import JWKSCache
from openholder.gate.replay import ReplayStore
from openholder.server.admin import make_admin_application
from openholder.server.connections import ConnectionReport, bind, choose_server, find_exposures, limit_connections
from openholder.server.console.panels import Reload
from openholder.server.console.watching import Watching
from openholder.server.generation import Generation, list_fixed_changes, list_operations
from openholder.server.lag import watch_loop
from openholder.server.logs import batch_lines, log_loop_errors
from openholder.server.measuring import count_entries, set_limits, watch_admission, watch_process
from openholder.server.recent import recent_faults
from openholder.server.systemd import READY, STOPPING, notify
from openholder.serving.delegate import ServingState
from openholder.serving.journal import Journal
from openholder.serving.metrics import Metrics
from openholder.serving.refusals import answer_refusal
from openholder.serving.routing import Switch
from openholder.serving.shared_values import shared_values
from openholder.settings import Listen, Settings
from openholder.sources.kinds import find_kind
from openholder.sources.registry import SourceRegistry, UnhealthySource

if TYPE_CHECKING:
    from openholder.server.tls import CertificateFiles

log = logging.getLogger("openholder")

DRAIN = 25.0
"""Seconds for running requests to end after the process has been asked to stop."""
IDLE_GRACE = 3.0
"""Seconds before an idle connection is closed: its next request may be on the way (RFC 9112 section 9.5)."""
IDLE_TIMEOUT = 75.0
"""Seconds that a connection may stay open without a request."""
HEAD_TIMEOUT = 10.0
"""Seconds within which a connection must have sent its first head, after a TLS handshake if there is one."""
PATROL = 0.5
"""Seconds between two looks for requests that take too long."""
BODY_TIMEOUT = 5.0
"""Seconds within which a request's body must arrive."""


@dataclass
class RunningServer:
    """A running server: its parts, and the ports on which it listens."""

    generation: Generation
    keys: JWKSCache
    gate: Gate
    switch: Switch
    server: Server
    address: str = ""
    port: int = 0
    admin_port: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    retiring: set[asyncio.Task[None]] = field(default_factory=set)
    reloading: asyncio.Lock = field(default_factory=asyncio.Lock)
    certificate: CertificateFiles | None = None
    last_reload: Reload | None = None

    @property
    def state(self) -> ServingState:
        """The state that all requests of the current generation share."""
        return self.generation.state

    @property
    def sources(self) -> SourceRegistry:
        """The sources of the current generation."""
        return self.generation.sources

    async def check_readiness(self) -> str:
        """Return why this server cannot serve requests, or an empty string if it can."""
        if self.stopping.is_set():
            return "stopping"
        if self.keys.age is None:
            return "no keys"
        try:
            await self.sources.check_health()
        except UnhealthySource as exc:
            return str(exc)
        try:
            await self.gate.check_store()
        except CannotJudge as exc:
            return str(exc)
        return ""

    def use_tls(self, context: ssl.SSLContext) -> None:
        """Make the TLS handshakes of new connections with ``context``."""
        self.server.ssl_options = context

    async def drain(self, limit: float = DRAIN, delay: float = 0.0) -> None:
        """Accept no new connections, let running requests end within ``limit`` seconds, then close all connections.

        For ``delay`` seconds before, ``/ready`` is 503 while requests are still answered: a balancer that asks it, or
        removes this server from a list meanwhile, sends nothing to a closed port.
        """
        self.stopping.set()
        self.state.closing = True
        self.server.end_keep_alive()
        await asyncio.sleep(delay)
        self.server.stop()
        await self.generation.wait_until_idle(limit)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.server.quiet.wait(), IDLE_GRACE)
        await self.server.close_all_connections()

    async def reload(self) -> None:
        """Reload the configuration. If that fails, keep serving with the current one."""
        async with self.reloading:
            try:
                fresh = await self._open_next_generation()
            except Exception as exc:
                reason = exc if isinstance(exc, OpenholderError) else type(exc).__name__
                log.error("reload failed; keeping the current configuration: %s", reason)
                self._note_reload("refused")
                return
            old = self.generation
            self.generation = fresh
            self.switch.application = fresh.application
            fresh.state.journal.follow(fresh.sources)
            self.note_configuration(old)
            self._note_reload("good")
            _start_task(partial(_retire, old), self.retiring)
            log.info("configuration reloaded")

    def note_configuration(self, old: Generation | None = None) -> None:
        """Report which configuration is in use, in place of an old one."""
        metrics = self.state.journal.metrics
        if old:
            metrics.set("openholder_configuration_info", 0, old.configuration.digest)
        metrics.set("openholder_configuration_info", 1, self.generation.configuration.digest)
        set_limits(metrics, list_operations(self.generation.configuration.settings))

    def _note_reload(self, result: str) -> None:
        self.state.journal.metrics.count("openholder_reloads", result)()
        self.last_reload = Reload(time.time(), result)

    async def _open_next_generation(self) -> Generation:
        current = self.generation.configuration
        new = await asyncio.to_thread(Configuration.load, current.path)
        changes = list_fixed_changes(current.settings, new.settings)
        if changes:
            message = "cannot change while the server runs: restart it, or undo the change"
            raise ConfigurationError([Mistake(str(new.path), name, message) for name in changes])
        generation = await Generation.open(new, self.gate, self.state.journal)
        try:
            await generation.sources.check_health()
        except BaseException:
            await generation.close()
            raise
        return generation

    async def close(self) -> None:
        """Close the sources of all generations."""
        for task in self.retiring:
            task.cancel()
        await asyncio.gather(*self.retiring, return_exceptions=True)
        await self.generation.close()


async def _retire(old: Generation) -> None:
    """Close the old sources when the last request that uses them has ended.

    Requests still being received count: Tornado has routed them to this generation, but they do not run yet. Their
    bodies must arrive within `BODY_TIMEOUT`, so wait that long before looking for running ones.
    """
    try:
        await asyncio.sleep(BODY_TIMEOUT)
        await old.wait_until_idle(DRAIN)
    finally:
        await old.close()


def make_store(settings: Settings) -> ReplayStore:
    """Make the replay store that the settings name, without opening it."""
    store: ReplayStore = find_kind(settings.replay.store, REPLAY_STORES).load()(settings.replay)
    return store


def _make_key_cache(settings: Settings, on_event: Callable[[str], None]) -> JWKSCache:
    fiskil = settings.fiskil
    return JWKSCache(
        make_fetch(fiskil.jwks_url, settings.outbound.build()),
        refresh=fiskil.jwks_refresh,
        max_stale=fiskil.jwks_max_stale,
        known=KnownKeys(fiskil.known_keys, fiskil.jwks_url),
        on_event=on_event,
    )


@asynccontextmanager
async def serve(
    configuration: Configuration,
    sockets: Sequence[socket.socket] | None = None,
    worker: int = 0,
    admin_sockets: Sequence[socket.socket] | None = None,
) -> AsyncIterator[RunningServer]:
    """Open sources and ports for the duration of the block; drain and close on exit.

    Args:
        configuration: What to serve.
        sockets: Listening sockets to use instead of the configured address and port.
        worker: The number of this process among several.
        admin_sockets: Listening sockets of the admin listener to use instead of the configured address and port.

    Raises:
        Unreachable: A source, the replay store or a port is unavailable.
    """
    settings = configuration.settings
    async with AsyncExitStack() as stack:
        try:
            store = make_store(settings)
            lost_before = await store.open()
        except Exception as exc:
            raise Unreachable(f"the replay store cannot be opened: {type(exc).__name__}") from exc
        stack.push_async_callback(store.close)
        secret = settings.log.pseudonym_key
        shared = stack.enter_context(shared_values(worker))
        if shared:
            recent_faults.share(shared.folder, str(worker))
        metrics = Metrics(shared)
        journal_type, gate_type = Journal, Gate
        if settings.tracing:
            from openholder.server.tracing import TracedGate, TracedJournal, start_tracing

            stack.push_async_callback(asyncio.to_thread, start_tracing())
            journal_type, gate_type = TracedJournal, TracedGate
        journal = journal_type(secret.get_secret_value().encode() if secret else b"", metrics)
        keys = _make_key_cache(settings, journal.count_key_event)
        stack.push_async_callback(keys.close)
        gate = gate_type(settings.fiskil, settings.public_url, keys, store, lost_before=lost_before)
        generation = await Generation.open(configuration, gate, journal)
        journal.follow(generation.sources)
        switch = Switch(generation.application)
        running = RunningServer(generation, keys, gate, switch, _make_server(settings, switch, journal))
        stack.push_async_callback(running.close)
        await keys.start()
        running.note_configuration()
        watch_process(metrics, settings.listen)
        watch_admission(metrics, keys, gate)
        metrics.watch("openholder_http_connections", lambda: len(running.server.members))
        metrics.watch("openholder_http_running", lambda: len(running.state.running))
        stack.push_async_callback(_cancel, asyncio.create_task(count_entries(metrics, store)))
        watch = watch_loop(partial(_report_lag, metrics), lambda: running.sources.list_active())
        stack.push_async_callback(_cancel, asyncio.create_task(watch))
        late = _give_up_late_requests(running, settings.listen.request_timeout)
        stack.push_async_callback(_cancel, asyncio.create_task(late))
        certificate = running.certificate = _load_certificate(settings)
        if certificate:
            certificate.log_problems()
            metrics.watch("openholder_tls_certificate_days_left", certificate.count_days_left)
            running.use_tls(certificate.current.context)
            renewal = asyncio.create_task(certificate.follow(running.use_tls))
            stack.push_async_callback(_cancel, renewal)
        _start_admin_listener(running, settings.listen, admin_sockets, stack)
        given = bool(sockets)
        sockets = sockets or bind(settings.listen.address, settings.listen.port)
        running.address, running.port = sockets[0].getsockname()[:2]
        for exposure in find_exposures(settings.listen, running.address if given else None):
            log.warning("%s", exposure)
        running.server.add_sockets(sockets)
        stack.push_async_callback(partial(running.drain, delay=settings.listen.drain_delay))
        yield running


def _make_server(settings: Settings, switch: Switch, journal: Journal) -> Server:
    listen = settings.listen
    most = limit_connections(listen.max_connections)
    # A proxy has one address for all callers.
    share = most // 4 if listen.tls_certificate and not listen.trusted_proxies else most
    limits = Limits(
        connections=most,
        per_address=min(most, listen.max_connections_per_address or max(1, share)),
        first_head=min(HEAD_TIMEOUT, IDLE_TIMEOUT),
        idle=IDLE_TIMEOUT,
        body=BODY_TIMEOUT,
    )
    make = choose_server(listen.http)
    return make(switch, partial(answer_refusal, journal), ConnectionReport(limits, journal.metrics), limits)


def _load_certificate(settings: Settings) -> CertificateFiles | None:
    listen = settings.listen
    if listen.tls_certificate is None or listen.tls_key is None:
        return None
    # Not above: its library for certificates takes 1.5 MiB, and behind a proxy nobody needs it.
    from openholder.server.tls import CertificateFiles, UnusableCertificate, list_hosts

    try:
        return CertificateFiles(listen.tls_certificate, listen.tls_key, list_hosts(settings.public_url))
    except UnusableCertificate as exc:
        mistake = Mistake(str(listen.tls_certificate), "listen.tls_certificate", str(exc))
        raise ConfigurationError([mistake]) from exc


def _start_admin_listener(
    running: RunningServer, listen: Listen, sockets: Sequence[socket.socket] | None, stack: AsyncExitStack
) -> None:
    metrics = running.state.journal.metrics
    watching = Watching(running) if listen.console else None
    if watching:
        stack.push_async_callback(watching.close)
    server = HTTPServer(make_admin_application(running.check_readiness, metrics, watching, listen))
    sockets = sockets or bind(listen.admin_address, listen.admin_port)
    server.add_sockets(sockets)
    stack.push_async_callback(server.close_all_connections)
    stack.callback(server.stop)
    running.admin_port = sockets[0].getsockname()[1]


def _report_lag(metrics: Metrics, seconds: float) -> None:
    metrics.set("openholder_loop_lag_seconds", seconds)
    metrics.refresh()
    recent_faults.flush()


async def _give_up_late_requests(running: RunningServer, limit: float) -> None:
    while True:
        await asyncio.sleep(PATROL)
        running.state.give_up_late(limit)


def _start_task(work: Callable[[], Coroutine[None, None, None]], tasks: set[asyncio.Task[None]]) -> None:
    """Start a background task and keep a reference to it: the event loop holds only weak ones."""
    task = asyncio.create_task(work())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _tune_garbage_collector() -> None:
    """Leave out what the start has made, and look for cycles less often: a request makes few objects and no cycles.

    By default, the collector walks through all modules, records and keys again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def run(
    configuration: Configuration,
    sockets: Sequence[socket.socket] | None = None,
    worker: int = 0,
    tell: Callable[[str], None] = notify,
    admin_sockets: Sequence[socket.socket] | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain and return. SIGHUP reloads the configuration.

    The errors are those of `serve`.

    Args:
        configuration: What to serve.
        sockets: Listening sockets to use instead of the configured address and port.
        worker: The number of this process among several.
        tell: Called with `READY` when requests are answered, and with `STOPPING` after the signal.
        admin_sockets: Listening sockets of the admin listener to use instead of the configured address and port.
    """
    stop = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    log_loop_errors(loop)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # a SIGHUP during the start would end the process
    with batch_lines():
        async with serve(configuration, sockets, worker, admin_sockets) as running:
            loop.add_signal_handler(signal.SIGHUP, _start_task, running.reload, reloads)
            _tune_garbage_collector()
            listen = configuration.settings.listen
            log.info(
                "listening on %s:%d, admin on %s:%d",
                running.address,
                running.port,
                listen.admin_address,
                running.admin_port,
            )
            tell(READY)
            await stop.wait()
            tell(STOPPING)
            log.info("stopping")
