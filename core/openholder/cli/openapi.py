"""``openholder openapi``: what is answered, as a document for machines."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from openholder.cli.options import configuration_option
from openholder.config import Configuration
from openholder.contract.operations import OPERATIONS, Operation
from openholder.openapi import as_json, document
from openholder.server.generation import list_operations, make_sources
from openholder.serving.access import is_served


@click.command()
@configuration_option
@click.option("--all", "everything", is_flag=True, help="All operations of Fiskil's. Needs no configuration.")
def openapi(path: Path | None, everything: bool) -> int:
    """Print an OpenAPI 3.1 document (JSON) of the operations that are served."""
    if everything and path:
        raise click.UsageError("--all is about no configuration")
    if everything:
        content = document(OPERATIONS)
    else:
        configuration = Configuration.load(path)
        content = document(asyncio.run(_served(configuration)), configuration.settings)
    # As bytes: JSON is UTF-8 whatever the terminal is set to.
    click.echo(as_json(content))
    return 0


async def _served(configuration: Configuration) -> list[Operation]:
    async with make_sources(configuration) as sources:
        return [row for row in list_operations(configuration.settings) if is_served(sources, row)]
