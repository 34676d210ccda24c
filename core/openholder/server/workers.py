"""Several worker processes behind the same listening sockets, and the parent that starts, restarts and stops them.

Each worker is a new process that inherits only the sockets: no event loop, SQLite handle or RSA key crosses a fork.
The workers share used tokens through the replay store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence

from openholder.config import Configuration
from openholder.server.app import run
from openholder.server.logs import batch_lines

log = logging.getLogger(__name__)

RESTART_DELAY = 1.0
"""Seconds before a dead worker is replaced, so that one that cannot start does not spin."""


async def run_worker(configuration: Configuration, number: int, shared: Sequence[socket.socket]) -> None:
    """Serve from the shared sockets until SIGTERM, or until the parent has died."""
    for listening in shared:
        listening.setblocking(False)
    watch = asyncio.create_task(_stop_without_parent(os.getppid()))
    await run(configuration, shared, number)
    watch.cancel()


async def _stop_without_parent(parent: int) -> None:
    # A parent that was killed can no longer pass signals on, and the kernel does not report its death.
    while os.getppid() == parent:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


async def supervise(configuration: Configuration, shared: Sequence[socket.socket]) -> int:
    """Run the configured number of workers until SIGTERM or Ctrl-C. Return the highest of their exit codes.

    SIGHUP is passed on to the workers, which then reload the configuration.
    """
    stop = asyncio.Event()
    running: dict[int, asyncio.subprocess.Process] = {}

    def end() -> None:
        # The parent never accepts: connections in its copies of the sockets' queues would wait for ever.
        for listening in shared:
            listening.close()
        stop.set()

    def reload() -> None:
        for process in running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGHUP)

    for signum, handle in ((signal.SIGTERM, end), (signal.SIGINT, end), (signal.SIGHUP, reload)):
        asyncio.get_running_loop().add_signal_handler(signum, handle)
    workers = [
        _keep_running(configuration, number, shared, stop, running)
        for number in range(configuration.settings.listen.workers)
    ]
    with batch_lines():
        return max(await asyncio.gather(*workers))


async def _keep_running(
    configuration: Configuration,
    number: int,
    shared: Sequence[socket.socket],
    stop: asyncio.Event,
    running: dict[int, asyncio.subprocess.Process],
) -> int:
    """Run one worker and replace it when it dies. If it cannot start at all, stop every worker."""
    # -P: otherwise -m puts the working directory first on the path, and a file tornado.py in it would be imported.
    command = [sys.executable, "-P", "-m", "openholder", "serve", "-c", str(configuration.path)]
    command += ["--worker", str(number)]
    descriptors = [listening.fileno() for listening in shared]
    for descriptor in descriptors:
        command += ["--socket", str(descriptor)]
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(*command, pass_fds=descriptors, start_new_session=True)
        running[number] = process
        ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stop.is_set():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            code = await ended
            return 0 if code == -signal.SIGTERM else abs(code)
        if process.returncode is not None and process.returncode > 1:
            # Configuration error, or something is unreachable: a restart would end the same way.
            stop.set()
            return process.returncode
        log.error("worker %d exited with code %s; restarting it", number, process.returncode)
        await asyncio.sleep(RESTART_DELAY)
    return 0
