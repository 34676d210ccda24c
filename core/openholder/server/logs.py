"""Logging: structlog for openholder's own lines, and the same format for those of libraries."""

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
"""The logger to which sources report the progress of long operations."""


def configure_logging(settings: Log, stream: TextIO | None = None) -> None:
    """Log to ``stream`` (default: standard output): one JSON object per line, or readable lines on a terminal."""
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
            foreign_pre_chain=[*shared, structlog.stdlib.PositionalArgumentsFormatter(), _drop_exception_text],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_should_log)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    # Tornado's access log contains the whole URI, including customer ids.
    logging.getLogger("tornado.access").disabled = True
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def configure_for_command(stream: TextIO) -> None:
    """Log errors only, plus the progress of long operations on a terminal: for commands that print a result."""
    configure_logging(Log(level="error"), stream)
    logging.getLogger(PROGRESS).setLevel(logging.INFO if stream.isatty() else logging.NOTSET)


def log_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log uncaught exceptions of the loop by type only, and at a limited rate.

    Without a free file descriptor, accept() alone would fail thousands of times per second.
    """
    bucket = TokenBucket(1.0, 10, time.monotonic)

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if bucket.take():
            exception = context.get("exception")
            what = describe(exception) if exception else str(context.get("message"))
            logging.getLogger("openholder").error("uncaught exception in the event loop: %s", what)

    loop.set_exception_handler(handle)


def _should_log(record: logging.LogRecord) -> bool:
    """Admit libraries from WARNING on only: below that, aiosqlite logs parameters and Tornado logs request data."""
    return record.levelno >= logging.WARNING or record.name.startswith("openholder")


def _drop_exception_text(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Keep an exception's type, but drop its text and traceback: they may quote a row or a URL."""
    record = event.get("_record")
    if record is not None and record.exc_info:
        event["error"] = getattr(record.exc_info[0], "__name__", "")
        record.exc_info = record.exc_text = None
    event.pop("exc_info", None)
    return event
