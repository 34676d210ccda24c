"""Several worker processes behind the same listening sockets, and the parent that starts, restarts and stops them.

Each worker is a new process that inherits only the sockets: no event loop, SQLite handle or RSA key crosses a fork.
The workers share used tokens through the replay store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from openholder.config import Configuration
from openholder.server.app import run
from openholder.server.connections import bind
from openholder.server.logs import batch_lines
from openholder.server.recent import recent_faults
from openholder.server.systemd import READY, STOPPING, notify
from openholder.serving.shared_values import forget_worker, shared_folder

log = logging.getLogger(__name__)

RESTART_DELAY = 1.0
"""Seconds before a dead worker is replaced, so that one that cannot start does not spin."""


async def run_worker(
    configuration: Configuration,
    number: int,
    shared: Sequence[socket.socket],
    admin: Sequence[socket.socket],
    report: int | None,
) -> None:
    """Serve from the shared sockets until SIGTERM, or until the parent has died.

    Args:
        configuration: What to serve.
        number: The number of this worker.
        shared: The listening sockets.
        admin: The listening sockets of its admin listener.
        report: A descriptor to write to when requests are answered.
    """
    for listening in (*shared, *admin):
        listening.setblocking(False)

    def tell(state: str) -> None:
        if report is not None and state == READY:
            os.write(report, state.encode())
            os.close(report)

    watch = asyncio.create_task(_stop_without_parent(os.getppid()))
    await run(configuration, shared, number, tell, admin)
    watch.cancel()


async def _stop_without_parent(parent: int) -> None:
    # A parent that was killed can no longer pass signals on, and the kernel does not report its death.
    while os.getppid() == parent:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


async def supervise(configuration: Configuration, shared: Sequence[socket.socket]) -> int:
    """Run the configured number of workers until SIGTERM or Ctrl-C. Return the highest of their exit codes.

    SIGHUP is passed on to the workers, which then reload the configuration. systemd is told when all workers answer.

    Raises:
        Unreachable: A port of an admin listener is in use.
    """
    with shared_folder() as folder, batch_lines():
        recent_faults.share(folder, "parent")
        workers = Workers(configuration, shared, folder)
        for signum, handle in (
            (signal.SIGTERM, workers.end),
            (signal.SIGINT, workers.end),
            (signal.SIGHUP, workers.reload),
        ):
            asyncio.get_running_loop().add_signal_handler(signum, handle)
        return max(await asyncio.gather(*map(workers.keep_running, sorted(workers.starting))))


class Workers:
    """The processes, and what is known of them.

    Args:
        configuration: What they serve.
        shared: The sockets on which all of them listen.
        metrics: The folder in which they count together.
    """

    def __init__(self, configuration: Configuration, shared: Sequence[socket.socket], metrics: Path) -> None:
        self._shared = shared
        self._metrics = metrics
        # -P: otherwise -m puts the working directory first on the path, and a file tornado.py in it would be imported.
        self._command = [sys.executable, "-P", "-m", "openholder", "serve", "-c", str(configuration.path)]
        for listening in shared:
            self._command += ["--socket", str(listening.fileno())]
        listen = configuration.settings.listen
        # Bound here and for good: a worker that found its port taken after a restart would stop the whole server.
        self._admin = [
            bind(listen.admin_address, listen.admin_port + number if listen.admin_port else 0)
            for number in range(listen.workers)
        ]
        self._stop = asyncio.Event()
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self.starting = set(range(listen.workers))
        """The numbers of the workers that have not answered requests yet."""

    def end(self) -> None:
        """Let all workers drain and end."""
        # The parent never accepts: connections in its copies of the sockets' queues would wait for ever.
        for listening in chain(self._shared, *self._admin):
            listening.close()
        notify(STOPPING)
        self._stop.set()

    def reload(self) -> None:
        """Let all workers reload the configuration."""
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGHUP)

    async def keep_running(self, number: int) -> int:
        """Run one worker and replace it when it dies. If it cannot start at all, stop every worker."""
        while not self._stop.is_set():
            process = self._running[number] = await self._start(number)
            ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(self._stop.wait())
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if self._stop.is_set():
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                code = await ended
                return 0 if code == -signal.SIGTERM else abs(code)
            if process.returncode is not None and process.returncode > 1:
                # Configuration error, or something is unreachable: a restart would end the same way.
                self._stop.set()
                return process.returncode
            forget_worker(self._metrics, number)
            log.error("worker %d exited with code %s; restarting it", number, process.returncode)
            recent_faults.flush()
            await asyncio.sleep(RESTART_DELAY)
        return 0

    async def _start(self, number: int) -> asyncio.subprocess.Process:
        """Start a worker, with a pipe by which it says that it answers requests."""
        reader, writer = os.pipe()
        admin = [listening.fileno() for listening in self._admin[number]]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *("--worker", str(number), "--report", str(writer)),
                *(f"--admin-socket={descriptor}" for descriptor in admin),
                pass_fds=[*(listening.fileno() for listening in self._shared), *admin, writer],
                start_new_session=True,
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        asyncio.get_running_loop().add_reader(reader, self._note_report, number, reader)
        return process

    def _note_report(self, number: int, reader: int) -> None:
        """Tell systemd when the last worker has said that it answers. One that has died says nothing."""
        said = os.read(reader, select.PIPE_BUF)
        asyncio.get_running_loop().remove_reader(reader)
        os.close(reader)
        if said == READY.encode() and number in self.starting:
            self.starting.discard(number)
            if not self.starting:
                notify(READY)
