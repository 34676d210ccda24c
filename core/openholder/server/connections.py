"""Incoming connections: listening sockets, and what both transports offer to the process."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import resource
import socket
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from tornado.netutil import bind_sockets

from openholder.edge.server import BACKLOG, Limits, Server
from openholder.errors import Unreachable
from openholder.ratelimit import TokenBucket
from openholder.server.tornado_http import TornadoServer
from openholder.serving.metrics import Metrics, Recorders
from openholder.setting_types import is_loopback
from openholder.settings import Listen

log = logging.getLogger("openholder")

WARNINGS = (1 / 60, 1)
"""Warnings of a lack of connections: a minute apart."""


def bind(address: str, port: int) -> list[socket.socket]:
    """Open listening sockets. Raises `Unreachable` if the port is in use or not permitted."""
    try:
        return bind_sockets(port, address, backlog=BACKLOG)
    except OSError as exc:
        raise Unreachable(f"cannot listen on {address}:{port}: {exc.strerror or type(exc).__name__}") from exc


def find_exposures(listen: Listen, address: str | None = None) -> Iterator[str]:
    """Find listeners that other machines can reach although they speak plain HTTP. Each is described in a sentence.

    Args:
        listen: The settings.
        address: Where the server listens instead of `listen.address`, if it was given its sockets.
    """
    address = listen.address if address is None else address
    if not listen.tls_certificate and not is_loopback(address):
        where = address or "all addresses"
        yield f"plain HTTP on {where}: put a proxy that terminates TLS in front, or set listen.tls_certificate"
    if not _is_internal(listen.admin_address):
        where = listen.admin_address or "all addresses"
        yield f"the admin listener is on {where}, without TLS or a password: keep its port out of public networks"


def _is_internal(address: str) -> bool:
    """Return whether an address is one of a private network. What a name means is not known: it is not looked up."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address == "localhost"
    return found.is_private and not found.is_unspecified


class ConnectionReport:
    """What is counted and logged of connections that are closed or not taken."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._closed = Recorders(lambda reason: metrics.count("openholder_http_connections_closed", reason))
        for reason in ("full", "address_full"):
            self._closed[reason](0)  # an alert sees no rise in what begins with 1
        self._texts = {
            "full": f"all {limits.connections} connections are in use",
            "address_full": f"all {limits.per_address} connections of one address are in use",
        }
        self._warnings = {reason: TokenBucket(*WARNINGS, time.monotonic) for reason in self._texts}

    def __call__(self, reason: str, ip: str) -> None:
        """Count a connection that is closed or not taken. Warn if that is for lack of room."""
        self._closed[reason]()
        if reason in self._texts and self._warnings[reason].take():
            message = (
                "%s: each new one takes the place of the one that has been idle longest, or is closed; last from %s"
            )
            log.warning(message, self._texts[reason], ip)


def choose_transport(setting: str) -> str:
    """Return the transport that a setting of ``listen.http`` stands for: ``llhttp`` or ``tornado``."""
    if setting == "auto":
        return "llhttp" if find_spec("httptools") else "tornado"
    return setting


def choose_server(setting: str) -> type[Server]:
    """Return the kind of server for a setting of ``listen.http``."""
    if choose_transport(setting) == "tornado":
        return TornadoServer
    from openholder.llhttp.server import LLHTTPServer  # needs httptools, which is an extra

    return LLHTTPServer


def choose_loop(setting: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the event loop for a setting of ``listen.http``: uvloop for llhttp, where it is installed."""
    if choose_transport(setting) == "llhttp" and find_spec("uvloop"):
        return cast(Callable[[], asyncio.AbstractEventLoop], import_module("uvloop").new_event_loop)
    return None


def limit_connections(wanted: int) -> int:
    """Return ``wanted``, or half of the available file descriptors if that is less. Raise the soft limit if possible.

    Without a free descriptor, accept() would fail in a busy loop.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * wanted:
        soft = min(hard, 2 * wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if wanted > soft // 2:
        log.warning("accepting only %d connections at a time: the limit of open files is %d", soft // 2, soft)
    return min(wanted, soft // 2)
