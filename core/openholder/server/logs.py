"""Logging: structlog for our own lines, and the same form for those of libraries."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from typing import Any, TextIO

import structlog

from openholder.errors import describe
from openholder.ratelimit import TokenBucket
from openholder.settings import Log

PROGRESS = "openholder.progress"
"""The logger on which sources tell how far they are with what takes long."""


def configure_logging(settings: Log, stream: TextIO | None = None) -> None:
    """Write one JSON object a line to ``stream`` (standard output), or readable lines where that is a terminal."""
    stream = stream or sys.stdout
    readable = settings.format == "console" or (settings.format == "auto" and stream.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = structlog.processors.JSONRenderer()
    if readable:
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty() and not os.environ.get("NO_COLOR"))
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter(), _without_exception_text],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_ours_or_alarming)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    # Tornado's access log has the whole URI in it, with the ids of customers.
    logging.getLogger("tornado.access").disabled = True
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def configure_for_command(stream: TextIO) -> None:
    """For commands whose result is another: errors alone, and on a terminal how far a source is that takes long."""
    configure_logging(Log(level="error"), stream)
    logging.getLogger(PROGRESS).setLevel(logging.INFO if stream.isatty() else logging.NOTSET)


def log_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Have ``loop`` log what nobody caught by its type, and not thousands of times a second (as accept does when no
    file descriptor is left)."""
    bucket = TokenBucket(1.0, 10, time.monotonic)

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if bucket.take():
            exception = context.get("exception")
            what = describe(exception) if exception else str(context.get("message"))
            logging.getLogger("openholder").error("uncaught in the event loop: %s", what)

    loop.set_exception_handler(handle)


def _ours_or_alarming(record: logging.LogRecord) -> bool:
    """Libraries speak of trouble only: below that aiosqlite writes out parameters, and Tornado what it was sent."""
    return record.levelno >= logging.WARNING or record.name.startswith("openholder")


def _without_exception_text(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Keep an exception's type and drop its text and traceback: they may quote a row or a URL."""
    record = event.get("_record")
    if record is not None and record.exc_info:
        event["error"] = getattr(record.exc_info[0], "__name__", "")
        record.exc_info = record.exc_text = None
    event.pop("exc_info", None)
    return event
