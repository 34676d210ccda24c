"""The operator's listener: liveness, readiness, metrics and the console. Never expose it to the public."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST
from tornado.web import Application, RequestHandler

from openholder.server.console.handlers import ASSETS, EVENTS, AssetHandler, EventsHandler
from openholder.server.console.watching import Watching
from openholder.serving.metrics import Metrics
from openholder.settings import Listen

CheckReadiness = Callable[[], Awaitable[str]]
"""Returns why the server cannot serve requests, or an empty string if it can."""


class _PlainTextHandler(RequestHandler):
    """Responds in plain text, never cached and therefore without an ETag."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")

    def head(self) -> Awaitable[None] | None:
        """Respond as to GET; Tornado leaves the body out."""
        return self.get()

    def compute_etag(self) -> None:
        return None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.finish(f"{status_code}\n")


class NotFoundHandler(_PlainTextHandler):
    """Any other path: 404."""

    def prepare(self) -> None:
        self.send_error(404)


class LiveHandler(_PlainTextHandler):
    """``/live``: 200 as long as the event loop runs."""

    def get(self) -> None:
        self.finish("live\n")


class ReadyHandler(_PlainTextHandler):
    """``/ready``: 200 if keys, sources and replay store are available, otherwise 503 with the reason."""

    def initialize(self, check_readiness: CheckReadiness) -> None:
        self._check_readiness = check_readiness

    async def get(self) -> None:
        missing = await self._check_readiness()
        self.set_status(503 if missing else 200)
        self.finish(f"{missing or 'ready'}\n")


class MetricsHandler(_PlainTextHandler):
    """``/metrics``: metrics of all workers in the Prometheus text format."""

    def initialize(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def get(self) -> None:
        self._metrics.refresh()
        rendered = await asyncio.to_thread(self._metrics.render)  # a few hundred series of each worker
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(rendered)


def make_admin_application(
    check_readiness: CheckReadiness, metrics: Metrics, watching: Watching | None, listen: Listen
) -> Application:
    """Make the Tornado application of the admin listener.

    Args:
        check_readiness: What ``/ready`` asks.
        metrics: What ``/metrics`` shows.
        watching: What the console shows; None if there is to be none.
        listen: The settings, of which the console needs the names that a browser may use for it.
    """
    hosts = frozenset(map(str.lower, ("localhost", listen.admin_address, *listen.console_hosts)))
    given = {"watching": watching, "hosts": hosts}
    console: list[Any] = [(path.replace(".", r"\."), AssetHandler, given) for path in ASSETS]
    return Application(
        [
            ("/live", LiveHandler),
            ("/ready", ReadyHandler, {"check_readiness": check_readiness}),
            ("/metrics", MetricsHandler, {"metrics": metrics}),
            *([*console, (EVENTS, EventsHandler, given)] if watching else ()),
        ],
        default_handler_class=NotFoundHandler,
        log_function=lambda _: None,
    )
