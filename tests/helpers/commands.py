"""Commands called in this process: what they say and how they end is theirs, only the start of Python is left out.

``helpers.processes.openholder`` runs a command as an operator does; tests of its start, its environment or its
signals want that.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from openholder.cli import main
from openholder.server.logs import PROGRESS


def run_command(*arguments: str, cwd: Path, **environment: str) -> CompletedProcess[str]:
    """Run a command to its end."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        chdir(cwd),
        patch.dict(os.environ, environment),
        redirect_stdout(out),
        redirect_stderr(err),
        logging_as_it_was(),
        # A thread, because a command runs an event loop of its own and the test may have one.
        ThreadPoolExecutor(1) as thread,
    ):
        code = thread.submit(main, arguments).result()
    return CompletedProcess(arguments, code, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Take back what a command makes of the logging of its process."""
    root, progress, access = (logging.getLogger(name) for name in ("", PROGRESS, "tornado.access"))
    before = root.handlers, root.level, progress.level, access.disabled
    try:
        yield
    finally:
        root.handlers, root.level, progress.level, access.disabled = before
