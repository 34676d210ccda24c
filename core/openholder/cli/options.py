"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

configuration_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="The configuration file. Default: $OPENHOLDER_CONFIG, ./openholder.toml, /etc/openholder/openholder.toml.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows as columns of text, as wide as their widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def sample_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which customers a command looks at: named ones, or the first so many."""
    command = click.option(
        "--customer", "customers", multiple=True, metavar="ID", help="A customer to look at, instead of a sample."
    )(command)
    return click.option(
        "--sample", type=click.IntRange(1), default=20, show_default=True, help="How many customers are looked at."
    )(command)
