"""The requests of the page: three files that hold no data, and the stream of snapshots. Nothing can be changed here.

The admin listener has no password, so a browser must not be used against it. A name that somebody else leads to this
address (DNS rebinding) is refused, and so is the stream for pages of other sites.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Collection
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from openholder.server.console.watching import MAX_WATCHERS, PERIOD, Watching
from openholder.server.pages import PAGE_HEADERS, is_of_another_site

ASSETS = {
    "/": ("console.html", "text/html"),
    "/console.css": ("console.css", "text/css"),
    "/console.js": ("console.js", "text/javascript"),
}
"""The files of the page by path."""
EVENTS = "/console/events"
PATIENCE = 10.0
"""Seconds in which a browser must take a snapshot."""


def is_own_name(host: str, names: Collection[str]) -> bool:
    """Return whether a Host is an address, which cannot be led elsewhere, or one of these names. Any port will do."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return name in names


class _ConsoleHandler(RequestHandler):
    SUPPORTED_METHODS = ("GET", "HEAD")

    def initialize(self, watching: Watching, hosts: Collection[str]) -> None:
        self._watching = watching
        self._hosts = hosts

    def set_default_headers(self) -> None:
        for name, value in PAGE_HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        if not is_own_name(self.request.host, self._hosts):
            self.refuse(403, "unknown Host: use an address or localhost, or add the name to listen.console_hosts")

    def refuse(self, status: int, reason: str) -> None:
        """Answer with a reason instead."""
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(f"{reason}\n")

    def write_error(self, status_code: int, **_: Any) -> None:
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.SUPPORTED_METHODS))
        self.refuse(status_code, str(status_code))

    def compute_etag(self) -> None:
        """Return none: nothing is kept."""


class AssetHandler(_ConsoleHandler):
    """A file of the page."""

    def get(self) -> None:
        name, media = ASSETS[self.request.path]
        self.set_header("Content-Type", f"{media}; charset=utf-8")
        self.finish((files(__package__ or "") / name).read_bytes())

    head = get


class EventsHandler(_ConsoleHandler):
    """The snapshots as server-sent events (HTML Living Standard, section 9.2), until the browser goes away."""

    def initialize(self, watching: Watching, hosts: Collection[str]) -> None:
        super().initialize(watching, hosts)
        self._closed = asyncio.Event()

    def prepare(self) -> None:
        super().prepare()
        if not self._finished and is_of_another_site(self.request):
            self.refuse(403, "requests of other sites are refused")

    def on_connection_close(self) -> None:
        self._closed.set()

    def head(self) -> None:
        self.set_header("Content-Type", "text/event-stream")

    async def get(self) -> None:
        with self._watching.watch() as admitted:
            if not admitted:
                self.set_header("Retry-After", "10")
                self.refuse(503, f"{MAX_WATCHERS} pages are open already: close one")
                return
            self.set_header("Content-Type", "text/event-stream")
            with contextlib.suppress(StreamClosedError, TimeoutError):
                while not self._closed.is_set():
                    self.write(b"data: " + await self._watching.get_snapshot() + b"\n\n")
                    await asyncio.wait_for(self.flush(), PATIENCE)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._closed.wait(), PERIOD)
        if not self._closed.is_set():
            self.detach().close()
