"""``openholder plugins``: list the installed plugins, whether they can be used, and what a configuration uses."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import click

from openholder.cli.options import format_table, json_option
from openholder.config import REPLAY_STORES, Configuration
from openholder.errors import ConfigurationError
from openholder.sources.hookspecs import SOURCES
from openholder.sources.kinds import Kind, UnusableKind, list_kinds

GROUPS = {"source": SOURCES, "replay": REPLAY_STORES}
"""What a kind is for, and the group of its entry point."""

Keys = dict[tuple[str, str], list[str]]
"""The configuration keys that name a kind, by what it is for and its name."""


@dataclass(frozen=True, slots=True)
class InstalledKind:
    """A kind, with what ``openholder plugins`` prints of it."""

    purpose: str
    kind: Kind
    status: str
    observes: bool = False
    """Whether it only observes requests: it is no source."""

    def to_dict(self, keys: Keys | None) -> dict[str, str | list[str]]:
        """Return the columns by name, with the keys that name the kind if a configuration was given."""
        columns: dict[str, str | list[str]] = {
            "for": "observer" if self.observes else self.purpose,
            "kind": self.kind.name,
            "distribution": self.kind.distribution,
            "version": self.kind.version,
        }
        if keys is not None:
            columns["configured"] = keys.get((self.purpose, self.kind.name), [])
        # Last, because it is a sentence if something is wrong.
        return columns | {"status": self.status}


@click.command()
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), help="Show what this configuration uses.")
@json_option
def plugins(path: Path | None, as_json: bool) -> int:
    """List the installed sources, observers and replay stores.

    STATUS is "ok", or the reason why the kind cannot be used. With -c, CONFIGURED lists the keys that name the kind;
    mistakes in the configuration are printed after the list. Without -c, no configuration is needed.

    --json prints a list of objects with the columns as keys (for, kind, distribution, version, status). With -c they
    also have the key "configured", a list of keys.
    """
    installed = [entry for purpose, group in GROUPS.items() for entry in _list_installed(purpose, group)]
    try:
        keys = _collect_keys(Configuration.load(path)) if path else None
    except ConfigurationError:
        click.echo(_format(installed, None, as_json))
        raise
    click.echo(_format(installed, keys, as_json))
    return 0


def _list_installed(purpose: str, group: str) -> list[InstalledKind]:
    kinds = list_kinds(group)
    names = [kind.name for kind in kinds]
    found = [InstalledKind(purpose, kind, _check_status(kind, names.count(kind.name))) for kind in kinds]
    return [replace(each, observes=each.status == "ok" and _observes(group, each.kind)) for each in found]


def _observes(group: str, kind: Kind) -> bool:
    return group == SOURCES and not hasattr(kind.load(), "fetch")


def _check_status(kind: Kind, claims: int) -> str:
    if claims > 1:
        return "claimed by several distributions: refused if it is configured"
    try:
        kind.load()
    except UnusableKind as exc:
        return str(exc)
    return "ok"


def _collect_keys(configuration: Configuration) -> Keys:
    keys: Keys = {("replay", configuration.settings.replay.store): ["replay.store"]}
    for name, entry in configuration.sources.items():
        keys.setdefault(("source", entry.kind), []).append(f"sources.{name}")
    for name, observer in configuration.observers.items():
        keys.setdefault(("source", observer.kind), []).append(f"observers.{name}")
    for kind in configuration.settings.plugins:
        keys.setdefault(("source", kind), []).append("plugins")
    return keys


def _format(installed: list[InstalledKind], keys: Keys | None, as_json: bool) -> str:
    columns = [entry.to_dict(keys) for entry in installed]
    if as_json:
        return json.dumps(columns, indent=2)
    headings = ["for", "kind", "distribution", "version", *(["configured"] if keys is not None else []), "status"]
    rows = [[", ".join(cell) if isinstance(cell, list) else cell for cell in entry.values()] for entry in columns]
    return format_table(rows, headings)
