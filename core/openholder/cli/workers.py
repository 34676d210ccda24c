"""Several workers behind one listening socket: a parent that binds, starts them afresh, and passes signals on.

Each worker is a new process that inherits nothing but the socket: no event loop, no SQLite handle and no RSA key
crosses a fork. They share the record of used tokens through its store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys

from openholder.cli.development import development_keys
from openholder.config import Configuration

log = logging.getLogger(__name__)

RESTART_DELAY = 1.0
"""Seconds before a worker that died is replaced: one that cannot start must not spin."""


def supervise(configuration: Configuration, sockets: list[socket.socket], *, dev: bool) -> int:
    """Run the configured number of workers until SIGTERM or Ctrl-C. Gives the worst of their exit codes."""
    return asyncio.run(_supervise(configuration, sockets[0], dev))


async def _supervise(configuration: Configuration, shared: socket.socket, dev: bool) -> int:
    stop = asyncio.Event()

    def end() -> None:
        shared.close()  # connections would queue behind the parent's copy and be answered by nobody
        stop.set()

    running: dict[int, asyncio.subprocess.Process] = {}

    def reload() -> None:
        for process in running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGHUP)

    for signum, handle in ((signal.SIGTERM, end), (signal.SIGINT, end), (signal.SIGHUP, reload)):
        asyncio.get_running_loop().add_signal_handler(signum, handle)
    async with development_keys(configuration) if dev else contextlib.nullcontext():
        workers = [
            _keep_running(configuration, number, shared, stop, running)
            for number in range(configuration.settings.listen.workers)
        ]
        return max(await asyncio.gather(*workers))


async def _keep_running(
    configuration: Configuration,
    number: int,
    shared: socket.socket,
    stop: asyncio.Event,
    running: dict[int, asyncio.subprocess.Process],
) -> int:
    """One worker, replaced when it dies, stopped when everything stops. One that cannot even start ends them all."""
    while not stop.is_set():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "openholder", "serve", "-c", str(configuration.path),
            "--worker", str(number), str(shared.fileno()),
            pass_fds=[shared.fileno()], start_new_session=True,
        )  # fmt: skip
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
            stop.set()  # configuration or something unreachable: starting it again would say the same
            return process.returncode
        log.error("worker %d ended with %s; it is started again", number, process.returncode)
        await asyncio.sleep(RESTART_DELAY)
    return 0
