"""``openholder serve``: run the server."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import nullcontext
from pathlib import Path

import click

from openholder.cli.options import configuration_option
from openholder.config import Configuration
from openholder.server.app import run
from openholder.server.connections import bind, choose_loop
from openholder.server.logs import configure_logging
from openholder.server.systemd import take_sockets
from openholder.server.workers import run_worker, supervise

log = logging.getLogger("openholder")


@click.command()
@configuration_option
@click.option(
    "--dev",
    is_flag=True,
    help="Stand in for Fiskil at the host of the JWKS URL: serve development keys, sign and forward (loopback only).",
)
@click.option("--worker", type=int, hidden=True, help="Number of this worker process.")
@click.option(
    "--socket", "descriptors", type=int, multiple=True, hidden=True, help="File descriptor of a shared socket."
)
@click.option(
    "--admin-socket",
    "admin_descriptors",
    type=int,
    multiple=True,
    hidden=True,
    help="The same, for its admin listener.",
)
@click.option("--report", type=int, hidden=True, help="File descriptor to write to when requests are answered.")
def serve(
    path: Path | None,
    dev: bool,
    worker: int | None,
    descriptors: tuple[int, ...],
    admin_descriptors: tuple[int, ...],
    report: int | None,
) -> int:
    """Serve until SIGTERM or Ctrl-C. SIGHUP reloads the configuration."""
    configuration = Configuration.load(path)
    configure_logging(configuration.settings.log, worker=worker)
    with asyncio.Runner(loop_factory=choose_loop(configuration.settings.listen.http)) as runner:
        if worker is not None:
            shared, admin = (
                [socket.socket(fileno=descriptor) for descriptor in given] for given in (descriptors, admin_descriptors)
            )
            runner.run(run_worker(configuration, worker, shared, admin, report))
            return 0
        return runner.run(_serve(configuration, dev, take_sockets()))


async def _serve(configuration: Configuration, dev: bool, sockets: list[socket.socket]) -> int:
    listen = configuration.settings.listen
    signer = None
    if dev:
        # Not above: a server of real data does without the page, the signer and their libraries.
        from openholder.fiskil import development

        signer = development.load_development_signer(configuration)
    if not sockets and (listen.workers > 1 or (signer and not listen.port)):  # the stand-in has to know the port
        sockets = bind(listen.address, listen.port)
    host, port = sockets[0].getsockname()[:2] if sockets else (listen.address, listen.port)
    async with development.development_stand_in(configuration, signer, host, port) if signer else nullcontext() as page:
        # The first candidate is in the working directory: say which file it was.
        log.info("configuration: %s", configuration.path.absolute())
        if page:
            development.warn_of_development_keys(configuration, page)
        if listen.workers > 1:
            return await supervise(configuration, sockets)
        await run(configuration, sockets)
        return 0
