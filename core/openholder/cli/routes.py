"""``openholder routes``: what is answered, and from where."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from openholder.app import make_sources, operations_of
from openholder.cli.options import configuration_option, json_option, table
from openholder.config import Configuration
from openholder.operations import Operation
from openholder.serving.lookup import is_served
from openholder.sources.directory import Directory

COLUMNS = ("method", "path", "collection", "source", "evidence")


@click.command()
@configuration_option
@json_option
def routes(path: Path | None, as_json: bool) -> int:
    """List each operation with its collection, its source and how well it is documented by Fiskil."""
    rows = asyncio.run(_rows(Configuration.load(path)))
    if as_json:
        click.echo(json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows], indent=2))
    else:
        click.echo(table([tuple(column.upper() for column in COLUMNS), *rows]))
    return 0


async def _rows(configuration: Configuration) -> list[tuple[str, ...]]:
    async with make_sources(configuration) as sources:
        return [_row(sources, operation) for operation in operations_of(configuration.settings)]


def _row(sources: Directory, operation: Operation) -> tuple[str, ...]:
    source = sources.source_of(operation.collection) if is_served(sources, operation) else None
    name = source.name if source else "(not served)"
    return operation.method, operation.path, operation.collection, name, operation.evidence
