"""Options and output that several commands share."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from openholder.contract.collections import COLLECTIONS
from openholder.mapping.settings import name_table

configuration_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help="The configuration file. Default: $OPENHOLDER_CONFIG, ./openholder.toml, /etc/openholder/openholder.toml.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def sample_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select customers: by id, or the first ones."""
    command = click.option(
        "--customer",
        "customers",
        multiple=True,
        metavar="ID",
        help="Inspect this customer instead of a sample. Repeatable.",
    )(command)
    return click.option(
        "--sample",
        type=click.IntRange(1),
        default=20,
        show_default=True,
        help="Number of customers to inspect.",
    )(command)


def parse_collection(value: str) -> str:
    """Return the name of a collection as the standard writes it.

    It may be in any case, and with the underscore of its table instead of the dot. An unknown one is a usage error
    that names the most similar.
    """
    names = {name_table(name): name for name in COLLECTIONS}
    key = name_table(value.casefold())
    if key not in names:
        close = get_close_matches(key, names, n=1, cutoff=0.5)
        hint = f"did you mean {names[close[0]]}? " if close else ""
        raise click.BadParameter(f"there is no such collection; {hint}`openholder columns` lists all")
    return names[key]


def format_table(rows: Sequence[Sequence[str]], headings: Sequence[str] = ()) -> str:
    """Format rows as aligned columns, below the headings in capitals."""
    lines = [[heading.upper() for heading in headings]] if headings else []
    lines += [list(row) for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def show_progress(customers: Sequence[str]) -> AbstractContextManager[Iterable[str]]:
    """Show a progress bar on standard error, if that is a terminal, while the caller iterates."""
    return click.progressbar(customers, label="customers", file=sys.stderr, hidden=not sys.stderr.isatty())


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
