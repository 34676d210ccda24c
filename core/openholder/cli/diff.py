"""``openholder diff``: find out whether another configuration returns the same data, before switching to it."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, astuple, fields
from pathlib import Path

import click

from openholder.cli.options import format_table, json_option, sample_options, show_progress
from openholder.config import Configuration
from openholder.inspection.differences import Difference, compare_configurations, summarise
from openholder.server.logs import configure_for_command

HEADINGS = ("collection", "member", "difference", "count")


@click.command()
@click.argument("old", type=click.Path(path_type=Path, exists=True))
@click.argument("new", type=click.Path(path_type=Path, exists=True))
@json_option
@sample_options
@click.option("--spelling", is_flag=True, help="Also count what means the same and is only written differently.")
@click.option(
    "--ids",
    "ids_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write each difference to a CSV file, with the ids of customer and record. It is readable for you alone.",
)
def diff(
    old: Path,
    new: Path,
    as_json: bool,
    sample: int,
    customers: tuple[str, ...],
    spelling: bool,
    ids_file: Path | None,
) -> int:
    """Compare the data of two configurations.

    The records that OLD and NEW return are compared one by one, and differences are counted by collection and member.
    Moments and numbers are compared by value: +10:00 and Z, 0.0475 and 0.047500 do not differ, unless you want
    `--spelling`. Accounts that neither shares are left out. Exit code: 0 if the data is equal, 1 if it differs.
    """
    configure_for_command(sys.stderr)
    comparison = asyncio.run(
        compare_configurations(Configuration.load(old), Configuration.load(new), customers, sample, show_progress)
    )
    differences = comparison.select(spelling=spelling)
    rows = summarise(differences)
    if ids_file:
        _write_ids(ids_file, differences)
    if as_json:
        summary = [dict(zip(HEADINGS, row, strict=True)) for row in rows]
        found = {"customers": comparison.customers, "summary": summary, "spelling": comparison.count_spelling()}
        found |= {"accounts_left_out": comparison.left_out}
        click.echo(json.dumps(found | {"differences": [asdict(one) for one in differences]}, indent=2))
    else:
        if rows:
            click.echo(format_table([tuple(map(str, row)) for row in rows], HEADINGS))
        click.echo(f"{len(differences)} differences")
        click.echo(f"{comparison.customers} customers compared", err=True)
        if comparison.left_out:
            text = "accounts left out, which neither shares: blocked, or closed for longer than [closed_accounts] says"
            click.echo(f"{comparison.left_out} {text}", err=True)
        if not spelling and comparison.count_spelling():
            text = f"{comparison.count_spelling()} members mean the same and are spelt differently: see --spelling"
            click.echo(text, err=True)
        if differences and not ids_file:
            click.echo("--ids FILE writes the ids of these records to a file", err=True)
    return 1 if differences else 0


def _write_ids(path: Path, differences: Iterable[Difference]) -> None:
    try:
        # The ids are customer data: nobody else may read them.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([one.name for one in fields(Difference)])
            writer.writerows(astuple(one) for one in differences)
    except OSError as exc:
        raise click.ClickException(f"{path} cannot be written: {exc.strerror}") from None
