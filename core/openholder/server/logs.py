"""Logging: structlog for openholder's own lines, and the same format for those of libraries."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict

from openholder.errors import describe
from openholder.ratelimit import TokenBucket
from openholder.server.log_lines import LineWriter
from openholder.server.recent import SEVERE, recent_faults
from openholder.settings import Log

PROGRESS = "openholder.progress"
"""The logger to which sources report the progress of long operations."""

LIBRARY_LINES = (10.0, 100)
"""Lines a second of libraries, and the burst: callers without a token cause some of Tornado's."""

_encode = msgspec.json.Encoder(enc_hook=repr).encode
_writer = LineWriter(None)
_worker: int | None = None


def configure_logging(settings: Log, stream: TextIO | None = None, worker: int | None = None) -> None:
    """Log to ``stream`` (default: standard output): one JSON object per line, or readable lines on a terminal.

    Each line has the number of the worker, if there is one.
    """
    global _writer, _worker
    _worker = worker
    stream = stream or sys.stdout  # None if the process was started without a standard output
    is_terminal = stream is not None and stream.isatty()
    readable = settings.format == "console" or (settings.format == "auto" and is_terminal)
    _writer = LineWriter(stream, _report_lost_lines)
    render = _make_console_renderer(colors=is_terminal and not os.environ.get("NO_COLOR")) if readable else encode_line
    logging.getLogger().handlers = [_LibraryHandler(_writer, render)]
    # Tornado's access log contains the whole URI, including customer ids.
    logging.getLogger("tornado.access").disabled = True
    structlog.configure(
        processors=[_complete_event, lambda logger, method, event: render(event)],
        logger_factory=functools.cache(functools.partial(_LineLogger, _writer)),
        cache_logger_on_first_use=False,
    )
    set_level(settings.level)


def set_level(level: str) -> None:
    """Log from this level on."""
    logging.getLogger().setLevel(level.upper())
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))


@contextlib.contextmanager
def batch_lines() -> Iterator[None]:
    """Write the lines of the running event loop in batches for the duration of the block, and none later."""
    with _writer.batch():
        yield


def count_lost_lines() -> int:
    """Count the lines that were lost because nobody read them."""
    return _writer.lost


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


class _LineLogger:
    """What structlog hands finished lines to."""

    def __init__(self, writer: LineWriter, name: str = "") -> None:
        self.name = name
        self.debug = self.info = writer.write if _is_own(name) else lambda _: None
        self.warning = self.error = self.critical = writer.write_now


class _LibraryHandler(logging.Handler):
    """Writes what libraries and other modules log through ``logging``, as structlog would."""

    def __init__(self, writer: LineWriter, render: Callable[[EventDict], bytes]) -> None:
        super().__init__()
        self._writer = writer
        self._render = render
        self._limit = TokenBucket(*LIBRARY_LINES, time.monotonic)
        self._unlogged = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Admit libraries from WARNING on only: below that, aiosqlite logs parameters and Tornado logs request data."""
        if _is_own(record.name):
            return True
        if record.levelno < logging.WARNING:
            return False
        if self._limit.take():
            return True
        self._unlogged += 1
        return False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event: EventDict = {"event": record.getMessage(), "exc_info": record.exc_info}
            if self._unlogged:
                event["unlogged_before"], self._unlogged = self._unlogged, 0
            line = self._render(_complete_event(record, record.levelname.lower(), event))
            write = self._writer.write_now if record.levelno >= logging.WARNING else self._writer.write
            write(line)
        except Exception:
            self.handleError(record)


def _is_own(name: str) -> bool:
    return name.startswith("openholder")


def _complete_event(logger: Any, method: str, event: EventDict) -> EventDict:
    """Add level, logger and time. Of an exception keep the type: text and traceback may quote a row or a URL."""
    exception = event.pop("exc_info", None)
    if exception:
        if not isinstance(exception, tuple | BaseException):
            exception = sys.exc_info()
        kind = exception[0] if isinstance(exception, tuple) else type(exception)
        event["error"] = getattr(kind, "__name__", "")
    if _worker is not None:
        event["worker"] = _worker
    event["level"] = method
    event["logger"] = logger.name
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    if method in SEVERE:
        recent_faults.note(event)
    return event


def encode_line(event: EventDict) -> bytes:
    """Encode an event as one line of JSON, with spaces as `json.dumps` writes them, in printable ASCII."""
    try:
        line = msgspec.json.format(_encode(event), indent=0)
        if line.isascii() and b"\x7f" not in line:
            return line + b"\n"
    except UnicodeEncodeError:  # a lone surrogate
        pass
    return json.dumps(event, default=repr).encode() + b"\n"


def _make_console_renderer(*, colors: bool) -> Callable[[EventDict], bytes]:
    renderer = structlog.dev.ConsoleRenderer(colors=colors)
    return lambda event: f"{renderer(None, '', event)}\n".encode(errors="backslashreplace")


def _report_lost_lines(count: int) -> None:
    structlog.get_logger("openholder").warning("log lines lost: nobody read them", lines=count)


os.register_at_fork(after_in_child=lambda: _writer.forget())
