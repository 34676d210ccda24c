"""``openholder routes``: what is answered, and from where."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from openholder.cli.options import configuration_option, json_option, table
from openholder.config import Configuration
from openholder.contract.operation import JSON
from openholder.contract.operations import OPERATIONS, Operation
from openholder.server.generation import list_operations, make_sources
from openholder.serving.access import is_served
from openholder.sources.registry import SourceRegistry

COLUMNS = ("method", "path", "collection", "source", "evidence")


@click.command()
@configuration_option
@json_option
@click.option("--supported", is_flag=True, help="List what can be served at all, as Markdown. Needs no configuration.")
def routes(path: Path | None, as_json: bool, supported: bool) -> int:
    """List each operation with its collection, its source and how well it is documented by Fiskil."""
    if supported:
        click.echo(support_table())
        return 0
    rows = asyncio.run(_rows(Configuration.load(path)))
    if as_json:
        click.echo(json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows], indent=2))
    else:
        click.echo(table([tuple(column.upper() for column in COLUMNS), *rows]))
    return 0


async def _rows(configuration: Configuration) -> list[tuple[str, ...]]:
    async with make_sources(configuration) as sources:
        return [_row(sources, operation) for operation in list_operations(configuration.settings)]


def _row(sources: SourceRegistry, operation: Operation) -> tuple[str, ...]:
    source = sources.source_of(operation.collection) if is_served(sources, operation) else None
    name = source.name if source else "(not served)"
    return operation.method, operation.path, operation.collection, name, operation.evidence


def support_table() -> str:
    """All operations of Fiskil's as a Markdown table: what the README shows."""
    head = "| method | path | collection | answer | query | evidence |\n|---|---|---|---|---|---|"
    return "\n".join([head, *map(_support, OPERATIONS)])


def _support(row: Operation) -> str:
    cells = (row.method, f"`{row.path}`", f"`{row.collection}`", _answer(row), _query(row), row.evidence)
    return f"| {' | '.join(cells)} |"


def _answer(row: Operation) -> str:
    reply = row.reply
    return _KINDS[reply.paging, reply.many] if reply.media == JSON else reply.media.partition("/")[2].upper()


_KINDS = {
    (None, False): "record",
    (None, True): "list",
    ("page", True): "list, paged",
    ("offset", True): "list, by cursor",
}


def _query(row: Operation) -> str:
    """The query parameters, without those of paging."""
    names = [name for parameter in (*row.parameters, *row.account_parameters) for name in parameter.names]
    return ", ".join(f"`{name}`" for name in names)
