"""The operator's listener: whether the process lives, whether it is ready, and its metrics. Never public."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from tornado.web import Application, RequestHandler

Ready = Callable[[], Awaitable[str]]
"""Gives the empty string when the server can serve, else what is missing."""


class _Plain(RequestHandler):
    """Answers in plain text. ``compute_etag`` is off: these answers are never cached."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")

    def compute_etag(self) -> None:
        return None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.finish(f"{status_code}\n")


class Unknown(_Plain):
    """Everything else."""

    def prepare(self) -> None:
        self.send_error(404)


class Live(_Plain):
    """``/live``: 200 as long as the event loop turns."""

    def get(self) -> None:
        self.finish("live\n")


class ReadyHandler(_Plain):
    """``/ready``: 200 when keys and sources are there, 503 with the reason otherwise."""

    def initialize(self, ready: Ready) -> None:
        self._ready = ready

    async def get(self) -> None:
        missing = await self._ready()
        self.set_status(503 if missing else 200)
        self.finish(f"{missing or 'ready'}\n")


class Metrics(_Plain):
    """``/metrics``: Prometheus text format."""

    def initialize(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def get(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest(self._registry))


def admin_application(ready: Ready, registry: CollectorRegistry) -> Application:
    """The application of the admin listener."""
    return Application(
        [
            ("/live", Live),
            ("/ready", ReadyHandler, {"ready": ready}),
            ("/metrics", Metrics, {"registry": registry}),
        ],
        default_handler_class=Unknown,
        log_function=lambda _: None,
    )
