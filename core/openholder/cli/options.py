"""Options that several commands have."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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


def parse_url(value: str) -> str:
    """Return the URL of a server, without a trailing slash."""
    try:
        parts = urlsplit(value)
        is_url = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        is_url = False
    if not is_url or re.search(r"[\s?#@]", value):
        raise click.BadParameter("expected http:// or https:// and a host, without user, query and fragment")
    return value.rstrip("/")


def parse_duration(value: str) -> float:
    """Return a duration such as 60s or 2m in seconds."""
    found = re.fullmatch(r"([0-9]{1,6})([sm]?)", value)
    if not found or not int(found[1]):
        raise click.BadParameter("expected a duration such as 60s or 2m")
    return int(found[1]) * (60 if found[2] == "m" else 1)


def parse_address(value: str) -> str:
    """Return a host and a port to listen on."""
    found = re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})", value)
    if not found or not 0 < int(found[2]) < 65_536:
        raise click.BadParameter("expected HOST:PORT, such as 127.0.0.1:8899")
    return value
