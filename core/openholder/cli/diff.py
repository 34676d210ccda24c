"""``openholder diff``: whether another configuration would answer the same, before one switches to it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from openholder.cli.options import json_option, sample_options, table
from openholder.config import Configuration
from openholder.contract.operations import Operation
from openholder.inspection import survey
from openholder.server.generation import list_operations, make_sources
from openholder.server.logs import configure_for_command
from openholder.sources.registry import SourceRegistry


@dataclass(frozen=True, slots=True)
class Difference:
    """One record that another configuration answers otherwise."""

    customer: str
    collection: str
    record: str
    difference: str


@click.command()
@click.argument("old", type=click.Path(path_type=Path, exists=True))
@click.argument("new", type=click.Path(path_type=Path, exists=True))
@json_option
@sample_options
def diff(old: Path, new: Path, as_json: bool, sample: int, customers: tuple[str, ...]) -> int:
    """Compare the answers of two configurations, record by record. Ends with 1 where they differ."""
    configure_for_command(sys.stderr)
    looked_at, found = asyncio.run(_compared(Configuration.load(old), Configuration.load(new), customers, sample))
    if as_json:
        click.echo(json.dumps([asdict(difference) for difference in found], indent=2))
    else:
        heading = ("CUSTOMER", "COLLECTION", "RECORD", "DIFFERENCE")
        rows = [(row.customer, row.collection, row.record, row.difference) for row in found]
        click.echo("\n".join(filter(None, [table([heading, *rows]) if rows else "", f"{len(found)} differences"])))
        click.echo(f"{looked_at} customers looked at", err=True)
    return 1 if found else 0


async def _compared(
    old: Configuration, new: Configuration, customers: Sequence[str], number: int
) -> tuple[int, list[Difference]]:
    async with AsyncExitStack() as stack:
        before = await stack.enter_async_context(make_sources(old))
        after = await stack.enter_async_context(make_sources(new))
        chosen = list(customers) or await survey.customers(before, number)
        sides = (before, list_operations(old.settings)), (after, list_operations(new.settings))
        with click.progressbar(chosen, label="customers", file=sys.stderr, hidden=not sys.stderr.isatty()) as shown:
            return len(chosen), [found for customer in shown async for found in _of_customer(customer, *sides)]


Side = tuple[SourceRegistry, Sequence[Operation]]


async def _of_customer(customer: str, old: Side, new: Side) -> AsyncIterator[Difference]:
    before, after = await _seen(customer, old), await _seen(customer, new)
    for place in dict.fromkeys([*before, *after]):
        for key, difference in survey.differences(before.get(place, ()), after.get(place, ())):
            yield Difference(customer, place[0], key, difference)


async def _seen(customer: str, side: Side) -> dict[tuple[str, str], list[tuple[str, Any]]]:
    """What would leave, for each collection and account; a fault stands for what would not."""
    sources, operations = side
    seen: dict[tuple[str, str], list[tuple[str, Any]]] = {}
    async for holding in survey.holdings(sources, operations, customer):
        made = [
            (key, record or {"fault": str(misfit)}) for key, record, misfit in survey.records_of(holding, operations)
        ]
        fault = [("?", {"fault": holding.fault})] if holding.fault else []
        seen[holding.collection, holding.ids.get("accountId", "")] = made + fault
    return seen
