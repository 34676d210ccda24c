"""``openholder columns``: list the columns that a collection may have."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from openholder.cli.options import format_table, json_option, parse_collection
from openholder.contract.collections import COLLECTIONS
from openholder.inspection.column_names import Column, list_columns
from openholder.inspection.skeletons import describe_need, wrap_words

HEADINGS = ("column", "required", "type")
GAP = "  "


@click.command()
@click.argument("collection", required=False, type=parse_collection, metavar="[COLLECTION]")
@json_option
def columns(collection: str | None, as_json: bool) -> int:
    """List the collections, or the columns of one.

    REQUIRED is "yes", "within", "if" or empty. "within" is required once its object is present: address.postcode
    beside address.state. "if" is required in the cases that the text below names. A list is one column of JSON text.
    An object is one column of JSON text or one column per member.
    """
    found = list_columns(collection) if collection else ()
    if not collection:
        rows = [{"collection": name} for name in COLLECTIONS]
        table = format_table([(name,) for name in COLLECTIONS], ("collection",))
        click.echo(json.dumps(rows, indent=2) if as_json else table)
    elif as_json:
        click.echo(json.dumps([_to_dict(column) for column in found], indent=2))
    else:
        click.echo("\n".join(_format_columns(found)))
    return 0


def _to_dict(column: Column) -> dict[str, object]:
    return {
        "column": column.name,
        # "owed" is the name that the JSON has had from the beginning.
        "owed": column.required,
        "type": column.type,
        "condition": column.condition,
        "filters": column.filters,
        "meaning": column.meaning,
    }


def _format_columns(columns: Sequence[Column]) -> list[str]:
    """Format a line for each column, and below it what it means, when it is required and what it is selected by."""
    name_width = max(len(column.name) for column in columns)
    lines = [f"{'COLUMN':{name_width}}{GAP}REQUIRED{GAP}TYPE"]
    for column in columns:
        head = f"{column.name:{name_width}}{GAP}{column.required:8}{GAP}"
        lines += wrap_words(column.type, head, " " * len(head))
        words = [column.meaning]
        if column.condition:
            words.append(describe_need(column))
        if column.filters:
            words.append(f"Filters: {', '.join(column.filters)}.")
        lines += wrap_words(" ".join(words), "    ", "    ")
    return lines
