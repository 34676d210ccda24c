"""Incoming connections: listening sockets, and what both transports offer to the process."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import resource
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from tornado.netutil import bind_sockets

from openholder.errors import Unreachable
from openholder.setting_types import is_loopback
from openholder.settings import Listen

log = logging.getLogger("openholder")

BACKLOG = 128
"""Connections that may wait in the kernel to be accepted."""


def bind(address: str, port: int) -> list[socket.socket]:
    """Open listening sockets. Raises `Unreachable` if the port is in use or not permitted."""
    try:
        return bind_sockets(port, address)
    except OSError as exc:
        raise Unreachable(f"cannot listen on {address}:{port}: {exc.strerror or type(exc).__name__}") from exc


def find_exposures(listen: Listen) -> Iterator[str]:
    """Find listeners that other machines can reach although they speak plain HTTP. Each is described in a sentence."""
    if not listen.tls_certificate and not is_loopback(listen.address):
        where = listen.address or "all addresses"
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


class PublicServer(Protocol):
    """What both transports offer to the process."""

    quiet: asyncio.Event
    """Set while there are no connections."""

    ssl_options: ssl.SSLContext | None
    """The TLS of connections to come."""

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Listen on the sockets too."""
        ...

    def end_keep_alive(self) -> None:
        """Close each connection after its next answer."""
        ...

    def stop(self) -> None:
        """Stop listening."""
        ...

    async def close_all_connections(self) -> None:
        """Close all connections, and wait until their delegates know."""
        ...


def choose_transport(setting: str) -> str:
    """Return the transport that a setting of ``listen.http`` stands for: ``llhttp`` or ``tornado``."""
    if setting == "auto":
        return "llhttp" if find_spec("httptools") else "tornado"
    return setting


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
