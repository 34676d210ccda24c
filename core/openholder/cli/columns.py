"""``openholder columns``: list the columns that a collection may have."""

from __future__ import annotations

import json

import click

from openholder.cli.options import format_table, json_option
from openholder.contract.collections import COLLECTIONS
from openholder.inspection.column_names import list_columns


@click.command()
@click.argument(
    "collection",
    required=False,
    type=click.Choice(list(COLLECTIONS), case_sensitive=False),
    metavar="[COLLECTION]",
)
@json_option
def columns(collection: str | None, as_json: bool) -> int:
    """List the collections, or the columns of one.

    REQUIRED is "yes", "within" or empty. "within" is required once its object is present: address.postcode beside
    address.state. A list is one column of JSON text. An object is one column of JSON text or one column per member.
    """
    headings: tuple[str, ...] = ("collection",)
    rows: list[tuple[str, ...]] = [(name,) for name in COLLECTIONS]
    if collection:
        headings = ("column", "required", "type")
        rows = [(column.name, column.required, column.type) for column in list_columns(collection)]
    if as_json:
        # "owed" is the name that the JSON has had from the beginning.
        members = ["owed" if heading == "required" else heading for heading in headings]
        click.echo(json.dumps([dict(zip(members, row, strict=True)) for row in rows], indent=2))
    else:
        click.echo(format_table(rows, headings))
    return 0
