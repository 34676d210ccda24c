"""``openholder plugins``: what is installed, and whether it can be imported."""

from __future__ import annotations

import json

import click

from openholder.cli.options import json_option, table
from openholder.config import REPLAY_STORES
from openholder.sources.hookspecs import SOURCES
from openholder.sources.kinds import Kind, UnusableKind, installed_kinds

COLUMNS = ("for", "kind", "distribution", "version", "status")
GROUPS = {"source": SOURCES, "replay": REPLAY_STORES}


@click.command()
@json_option
def plugins(as_json: bool) -> int:
    """List installed sources and replay stores with their distributions. Needs no configuration."""
    rows = [row for use, group in GROUPS.items() for row in _rows(use, installed_kinds(group))]
    if as_json:
        click.echo(json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in rows], indent=2))
    else:
        click.echo(table([tuple(column.upper() for column in COLUMNS), *rows]))
    return 0


def _rows(use: str, kinds: list[Kind]) -> list[tuple[str, ...]]:
    claimed = [kind.name for kind in kinds]
    return [
        (use, kind.name, kind.distribution, kind.version, _status(kind, claimed.count(kind.name))) for kind in kinds
    ]


def _status(kind: Kind, claims: int) -> str:
    if claims > 1:
        return "claimed by several distributions: refused where it is configured"
    try:
        kind.load()
    except UnusableKind as exc:
        return str(exc)
    return "ok"
