"""``openholder routes``: list the operations and the source of each."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from openholder.cli.options import configuration_option, format_table, json_option
from openholder.config import Configuration
from openholder.contract.operation import JSON
from openholder.contract.operations import OPERATIONS
from openholder.contract.parameters import list_names
from openholder.server.generation import list_operations, make_sources
from openholder.serving.access import is_served

COLUMNS = ("method", "path", "collection", "source", "evidence")
REPLIES = {
    (None, False): "record",
    (None, True): "list",
    ("page", True): "list, paged",
    ("offset", True): "list, by cursor",
}
"""What an operation returns, by its style of paging and whether it returns many records."""


@click.command()
@configuration_option
@json_option
@click.option("--supported", is_flag=True, help="List all supported operations as Markdown. Needs no configuration.")
def routes(path: Path | None, as_json: bool, supported: bool) -> int:
    """List the operations and their sources.

    EVIDENCE is how much of an operation Fiskil documents publicly.
    """
    if supported:
        click.echo(format_supported())
        return 0
    rows = asyncio.run(_list_routes(Configuration.load(path)))
    if as_json:
        click.echo(json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows], indent=2))
    else:
        click.echo(format_table(rows, COLUMNS))
    return 0


async def _list_routes(configuration: Configuration) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    async with make_sources(configuration) as sources:
        for operation in list_operations(configuration.settings):
            source = sources.find_source(operation.collection) if is_served(sources, operation) else None
            name = source.name if source else "(not served)"
            rows.append((operation.method, operation.path, operation.collection, name, operation.evidence))
    return rows


def format_supported() -> str:
    """Format all Fiskil operations as a Markdown table."""
    lines = ["| method | path | collection | answer | query | evidence |", "|---|---|---|---|---|---|"]
    for operation in OPERATIONS:
        reply = operation.reply
        answer = reply.media.partition("/")[2].upper()
        if reply.media == JSON:
            answer = REPLIES[reply.paging, reply.many]
        # Without the parameters of paging, which the answer implies.
        parameters = [
            f"`{name}`"
            for parameter in (*operation.parameters, *operation.account_parameters)
            for name in list_names(parameter)
        ]
        cells = (
            operation.method,
            f"`{operation.path}`",
            f"`{operation.collection}`",
            answer,
            ", ".join(parameters),
            operation.evidence,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
