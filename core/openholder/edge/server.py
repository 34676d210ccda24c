"""A listening server, whichever transport it has: connections are taken, counted, given up and drained here."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from tornado.httputil import HTTPServerConnectionDelegate

from openholder.edge.heads import BadRequest

BACKLOG = 128
"""Connections that may wait in the kernel to be accepted."""
RECOVERY = 1.0
"""Seconds for descriptors to become free before connections are accepted again."""
SWEEP = 0.25
"""Seconds between two looks at the deadlines of all connections."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be, and for how long. Times are in seconds."""

    connections: int
    per_address: int
    """Of them, those of one address."""
    first_head: float
    """For the first head of a connection, its TLS handshake included."""
    idle: float
    """For each further head, since the last answer."""
    body: float
    """For a body, since its head."""


class Member(Protocol):
    """A connection, as the server knows it."""

    remote_ip: str
    deadline: float
    """When it is closed, by the loop's clock, unless something happens."""

    def drop(self) -> None:
        """Close it at once."""
        ...


class Server(ABC):
    """What both transports have in common.

    Args:
        application: Makes a delegate for each request.
        refuse: Makes the answer to what is no request, and records it; it gets the reason and the caller's address.
        report: Is told why a connection is closed or not taken, and whose it is. The reasons are ``full``,
            ``address_full``, ``idle``, ``slow`` and ``tls``.
        limits: How many connections there may be, and for how long.
    """

    def __init__(
        self,
        application: HTTPServerConnectionDelegate,
        refuse: Callable[[BadRequest, str], bytes],
        report: Callable[[str, str], None],
        limits: Limits,
    ) -> None:
        self.application = application
        self.refuse = refuse
        self.report = report
        self.limits = limits
        self.ssl_options: ssl.SSLContext | None = None
        """The TLS of connections to come."""
        self.draining = False
        """Whether each answer closes its connection."""
        self.quiet = asyncio.Event()
        """Set while there are no connections."""
        self.quiet.set()
        self.idle: OrderedDict[Member, None] = OrderedDict()
        """The connections without a request, the longest idle first."""
        self.members: dict[Member, str] = {}
        """All connections, and for whose share they count."""
        self._shares: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self.done, self.gone = self._loop.create_future(), self._loop.create_future()
        """What writing returns where nothing is to be waited for, or nobody is there any more."""
        self.done.set_result(None)
        self.gone.set_exception(ConnectionResetError())
        self.gone.exception()
        self._sockets: list[socket.socket] = []
        self._sweeper: asyncio.TimerHandle | None = None

    @abstractmethod
    def take(self, accepted: socket.socket, address: Any) -> Member:
        """Begin a connection."""

    # -- listening ----------------------------------------------------------------------------------------------------

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Listen on the sockets too."""
        self._sockets += sockets
        for listening in self._sockets:
            listening.setblocking(False)
            self._loop.add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Take the connections that wait, and close those for which there is no room."""
        for _ in range(BACKLOG):
            try:
                accepted, address = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is free, which would be told again at once
                self._loop.remove_reader(listening)
                self._loop.call_later(RECOVERY, self.add_sockets, ())
                raise
            ip = str(address[0])
            share = _find_share(ip)
            if not self._make_room(share, ip):
                accepted.close()
                continue
            accepted.setblocking(False)
            try:
                member = self.take(accepted, address)
            except OSError:  # reset already, before TLS or after some bytes of it (ssl.SSLError is an OSError)
                self.report("tls", ip)
                accepted.close()
                continue
            member.deadline = self._loop.time() + self.limits.first_head
            self.members[member] = share
            self.idle[member] = None
            self._shares[share] += 1
            self.quiet.clear()
            self._sweeper = self._sweeper or self._loop.call_later(SWEEP, self._sweep)

    def _make_room(self, share: str, ip: str) -> bool:
        """Return whether one more connection may come. The one that has been idle longest makes room for it."""
        if self.limits.per_address <= self._shares[share] < self.limits.connections:
            self.report("address_full", ip)
            longest = next((member for member in self.idle if self.members[member] == share), None)
        elif len(self.members) >= self.limits.connections:
            self.report("full", ip)
            longest = next(iter(self.idle), None)
        else:
            return True
        if longest is not None:
            longest.drop()
            self.forget(longest)
        return longest is not None

    def stop(self) -> None:
        """Stop listening."""
        while self._sockets:
            # Who waits in the backlog takes himself for connected, and would be reset.
            listening = self._sockets.pop()
            self._loop.remove_reader(listening)
            with contextlib.suppress(OSError):
                self._accept(listening)
            listening.close()

    # -- connections --------------------------------------------------------------------------------------------------

    def rest(self, member: Member) -> None:
        """Note that a connection waits for its next request."""
        if member in self.members:
            self.idle[member] = None
            member.deadline = self._loop.time() + self.limits.idle

    def forget(self, member: Member) -> None:
        """Stop counting a closed connection."""
        share = self.members.pop(member, None)
        if share is None:
            return
        self.idle.pop(member, None)
        self._shares[share] -= 1
        if not self._shares[share]:
            del self._shares[share]
        if not self.members:
            self.quiet.set()

    def _sweep(self) -> None:
        now = self._loop.time()
        for member in [each for each in self.members if each.deadline < now]:
            self.report("idle" if member in self.idle else "slow", member.remote_ip)
            member.drop()
        self._sweeper = self._loop.call_later(SWEEP, self._sweep) if self.members else None

    def end_keep_alive(self) -> None:
        """Close each connection after its next answer."""
        self.draining = True

    async def close_all_connections(self) -> None:
        """Close all connections, and wait until their delegates know."""
        for member in list(self.members):
            member.drop()
        await self.quiet.wait()
        if self._sweeper:
            self._sweeper.cancel()


def _find_share(address: str) -> str:
    """Return for whose share an address counts: a subscriber has 2^64 addresses of IPv6."""
    if ":" not in address:
        return address
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[:8].hex()
