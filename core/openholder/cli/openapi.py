"""``openholder openapi``: print an OpenAPI document of the API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from openholder.cli.options import configuration_option
from openholder.config import Configuration
from openholder.contract.operations import OPERATIONS, Operation
from openholder.openapi import build_document, encode_document
from openholder.server.generation import list_operations, make_sources
from openholder.serving.access import is_served


@click.command()
@configuration_option
@click.option("--all", "all_operations", is_flag=True, help="Include all Fiskil operations. Needs no configuration.")
def openapi(path: Path | None, all_operations: bool) -> int:
    """Print an OpenAPI document of the API.

    The document (OpenAPI 3.1, JSON) describes the operations that the configuration serves.
    """
    if all_operations and path:
        raise click.UsageError("--all and --config exclude each other")
    if all_operations:
        document = build_document(OPERATIONS)
    else:
        configuration = Configuration.load(path)
        document = build_document(asyncio.run(_list_served(configuration)), configuration.settings)
    # Bytes, because JSON is UTF-8 regardless of the terminal's encoding.
    click.echo(encode_document(document))
    return 0


async def _list_served(configuration: Configuration) -> list[Operation]:
    async with make_sources(configuration) as sources:
        return [operation for operation in list_operations(configuration.settings) if is_served(sources, operation)]
