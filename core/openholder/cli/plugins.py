"""``openholder plugins``: what is installed, whether it can be imported, and what a configuration uses of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from openholder.cli.options import json_option, table
from openholder.config import REPLAY_STORES, Configuration
from openholder.errors import ConfigurationError
from openholder.sources.hookspecs import SOURCES
from openholder.sources.kinds import Kind, UnusableKind, list_kinds

COLUMNS = ("for", "kind", "distribution", "version", "status")
CONFIGURED = "configured"
"""The further column where a configuration is given: the keys that name the kind, as ``sources.core``."""
GROUPS = {"source": SOURCES, "replay": REPLAY_STORES}

Row = tuple[str, ...]
Uses = Mapping[tuple[str, str], Sequence[str]]
"""The keys of a configuration that name a kind, by what it is for and its name."""


@click.command()
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), help="Show what this configuration uses, too.")
@json_option
def plugins(path: Path | None, as_json: bool) -> int:
    """List installed sources and replay stores with their distributions. Needs no configuration.

    STATUS is "ok", or says why the kind cannot be used. With -c, CONFIGURED has the keys that name the kind; when the
    configuration has mistakes they are told after the list. --json prints a list of objects with the columns as keys
    (for, kind, distribution, version, status); "configured", with -c, is a list of keys.
    """
    rows = [row for use, group in GROUPS.items() for row in _rows(use, list_kinds(group))]
    try:
        uses = _uses(Configuration.load(path)) if path else None
    except ConfigurationError:
        click.echo(_shown(rows, None, as_json))
        raise
    click.echo(_shown(rows, uses, as_json))
    return 0


def _rows(use: str, kinds: list[Kind]) -> list[Row]:
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


def _uses(configuration: Configuration) -> Uses:
    uses: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, entry in configuration.sources.items():
        uses["source", entry.kind].append(f"sources.{name}")
    for kind in configuration.settings.plugins:
        uses["source", kind].append("plugins")
    uses["replay", configuration.settings.replay.store].append("replay.store")
    return uses


def _shown(rows: list[Row], uses: Uses | None, as_json: bool) -> str:
    if as_json:
        return json.dumps([_object(row, uses) for row in rows], indent=2)
    if uses is None:
        return table([_headings(COLUMNS), *rows])
    # Before the status, which is a sentence where something is wrong.
    columns = (*COLUMNS[:-1], CONFIGURED, COLUMNS[-1])
    return table([_headings(columns), *((*row[:-1], ", ".join(_keys(row, uses)), row[-1]) for row in rows)])


def _headings(columns: Sequence[str]) -> Row:
    return tuple(column.upper() for column in columns)


def _object(row: Row, uses: Uses | None) -> dict[str, object]:
    columns: dict[str, object] = dict(zip(COLUMNS, row, strict=True))
    return columns if uses is None else {**columns, CONFIGURED: _keys(row, uses)}


def _keys(row: Row, uses: Uses) -> list[str]:
    use, kind = row[:2]
    return list(uses.get((use, kind), ()))
