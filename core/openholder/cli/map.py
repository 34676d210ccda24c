"""``openholder map``: print the skeleton of a mapping, for an operator to fill in."""

from __future__ import annotations

import re

import click

from openholder.cli.options import parse_collection
from openholder.inspection.skeletons import SKELETONS, list_flat_members, wrap_words


def _parse_source(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        raise click.BadParameter("expected letters, digits, _ and -, such as bank")
    return value


@click.command()
@click.argument("kind", type=click.Choice(list(SKELETONS)), metavar="KIND")
@click.argument("collection", type=parse_collection, metavar="COLLECTION")
@click.option(
    "--source",
    default="bank",
    show_default=True,
    callback=_parse_source,
    metavar="NAME",
    help="Name of the source in the configuration, for rest and mapping.",
)
def map(kind: str, collection: str, source: str) -> int:  # noqa: A001 - the function has the name of its command
    """Print a skeleton that maps your data to COLLECTION.

    KIND is sqlite, postgres, sqlalchemy or mariadb for a CREATE VIEW, csv for the header of a file, and rest or mapping
    for a table of the configuration. `openholder columns` lists the collections.

    The skeleton has all members: what each means, whether it is required, its form, and the filters that read it. It is
    valid as it is. Fill it in; `openholder check --data` then says what is still missing. For csv, the members are
    described on standard error.
    """
    click.echo(SKELETONS[kind](collection, source), nl=False)
    if kind == "csv":
        for member in list_flat_members(collection):
            for note in (member.name, *member.notes):
                click.echo("\n".join(wrap_words(note, "" if note == member.name else "    ", "    ")), err=True)
    return 0
