"""What systemd passes to a service, and is told by it: listening sockets (sd_listen_fds) and its state (sd_notify).

Both are interfaces of a few bytes that systemd documents as stable. Other supervisors speak them too.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import ExitStack

from openholder.errors import ConfigurationError, Mistake

log = logging.getLogger(__name__)

READY = "READY=1"
STOPPING = "STOPPING=1"

_FIRST = 3
"""The first descriptor that is passed (sd_listen_fds(3), ``SD_LISTEN_FDS_START``)."""
_WHERE = "sockets passed by systemd"


def take_sockets() -> list[socket.socket]:
    """Take over the listening sockets that were passed to this process, and no other (sd_listen_fds(3)).

    Returns:
        The sockets; none if this process was started without.

    Raises:
        ConfigurationError: One of them does not listen for TCP.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()):
        return []
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(_take_socket(descriptor)) for descriptor in range(_FIRST, _FIRST + _read_count(count))
        ]
        stack.pop_all()
    return sockets


def _read_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 64:
        raise ConfigurationError([Mistake(_WHERE, "LISTEN_FDS", "must be a number of at most 64")])
    return int(text)


def _take_socket(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        taken = socket.socket(fileno=descriptor)
    except OSError as exc:
        message = f"descriptor {descriptor} is no socket: {exc.strerror}"
        raise ConfigurationError([Mistake(_WHERE, "LISTEN_FDS", message)]) from exc
    is_tcp = taken.family in {socket.AF_INET, socket.AF_INET6} and taken.type == socket.SOCK_STREAM
    if not is_tcp or not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        taken.close()
        message = "must be TCP sockets that listen: ListenStream= with a port, and Accept=no"
        raise ConfigurationError([Mistake(_WHERE, "ListenStream", message)])
    return taken


def notify(state: str) -> None:
    """Tell systemd the state of this service (sd_notify(3)). Without systemd, do nothing.

    Args:
        state: One of `READY` and `STOPPING`.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = f"\0{path[1:]}" if path[0] == "@" else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(state.encode(), address)
    except OSError as exc:
        log.warning("systemd was not told %s: %s", state, exc.strerror or type(exc).__name__)
