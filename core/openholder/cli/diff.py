"""``openholder diff``: find out whether another configuration returns the same data, before switching to it."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, astuple
from pathlib import Path

import click

from openholder.cli.options import format_table, json_option, sample_options, show_progress
from openholder.config import Configuration
from openholder.inspection.differences import compare_configurations
from openholder.server.logs import configure_for_command


@click.command()
@click.argument("old", type=click.Path(path_type=Path, exists=True))
@click.argument("new", type=click.Path(path_type=Path, exists=True))
@json_option
@sample_options
def diff(old: Path, new: Path, as_json: bool, sample: int, customers: tuple[str, ...]) -> int:
    """Compare the data of two configurations.

    The records that OLD and NEW return are compared one by one. Exit code: 0 if they are equal, 1 if they differ.
    """
    configure_for_command(sys.stderr)
    comparison = compare_configurations(
        Configuration.load(old), Configuration.load(new), customers, sample, show_progress
    )
    compared, differences = asyncio.run(comparison)
    if as_json:
        click.echo(json.dumps([asdict(difference) for difference in differences], indent=2))
    else:
        if differences:
            headings = ("customer", "collection", "record", "difference")
            click.echo(format_table([astuple(difference) for difference in differences], headings))
        click.echo(f"{len(differences)} differences")
        click.echo(f"{compared} customers compared", err=True)
    return 1 if differences else 0
