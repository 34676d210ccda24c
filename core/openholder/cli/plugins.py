"""``openholder plugins``: which kinds of sources are installed, and whether they can be imported."""

from __future__ import annotations

import json

import click

from openholder.cli.options import json_option, table
from openholder.sources.kinds import Kind, UnusableKind, installed_kinds

COLUMNS = ("kind", "distribution", "version", "status")


@click.command()
@json_option
def plugins(as_json: bool) -> int:
    """List the installed kinds of sources with their distributions. Needs no configuration."""
    kinds = installed_kinds()
    claimed = [kind.name for kind in kinds]
    rows = [(kind.name, kind.distribution, kind.version, _status(kind, claimed.count(kind.name))) for kind in kinds]
    if as_json:
        click.echo(json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows], indent=2))
    else:
        click.echo(table([tuple(column.upper() for column in COLUMNS), *rows]))
    return 0


def _status(kind: Kind, claims: int) -> str:
    if claims > 1:
        return "claimed by several distributions: refused where it is configured"
    try:
        kind.load()
    except UnusableKind as exc:
        return str(exc)
    return "ok"
