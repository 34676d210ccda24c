"""Skeletons of a mapping, for an operator to fill in: a view, a CSV header, or a configuration table.

A skeleton is valid as it is printed. What is not filled in yet has no value, so `openholder check --data` names it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from openholder.contract.meanings import load_meanings
from openholder.inspection.column_names import Column, list_columns
from openholder.mapping.settings import name_table

WIDTH = 100
UNFILLED = "?"
"""The column that a configuration table names until it is filled in. `openholder check` says that there is none."""


def describe_need(column: Column) -> str:
    """Say when a member is required: always, in some cases, beside others, or never. Empty of an optional member."""
    condition = column.condition
    if condition.startswith(("masked ", "absent ")):
        return f"Must be {condition.replace(' ', ': ', 1)}."
    match column.required:
        case "yes":
            return "Required."
        case "if":
            return f"Required {condition}."
        case "within":
            return f"Required once {column.name.rpartition('.')[0].removesuffix('[]')} is there."
    return ""


def describe_column(column: Column) -> str:
    """Describe a member: what it means, when it is required, its form, and the filters that read it."""
    words = [column.meaning, describe_need(column) or "Optional."]
    if column.type != "object":
        words.append(f"Form: {column.type}.")
    if column.filters:
        words.append(f"Filters: {', '.join(column.filters)}.")
    return " ".join(words)


class Member(NamedTuple):
    """A member that a row has a column for, with what is said about it."""

    name: str
    is_required: bool
    notes: Sequence[str]
    """The objects that it is the first member of, the member itself, and the members of the objects in a list."""


def list_flat_members(collection: str) -> Iterator[Member]:
    """List the members that have a column: an object has one for each of its members, a list one of JSON text."""
    columns = list_columns(collection)
    objects: list[str] = []
    for column in columns:
        if "[]" in column.name:
            continue
        if column.type == "object":
            objects.append(f"{column.name}: {describe_column(column)}")
            continue
        inner = [item for item in columns if item.name.startswith(f"{column.name}[].")]
        items = [f"  {item.name}: {describe_column(item)}" for item in inner]
        yield Member(column.name, column.required == "yes", [*objects, describe_column(column), *items])
        objects = []


def format_view(collection: str, quote: str) -> str:
    """Format a ``CREATE VIEW`` with NULL for every column.

    Args:
        collection: Its name.
        quote: The sign around names: ``"``, or the backtick of MariaDB and MySQL.
    """
    lines = _comment(
        f"{collection}: {load_meanings()['rows'][collection]} Write your column in the place of each NULL and your "
        "table in the place of (SELECT 1). Delete the lines of optional members that you do not have.",
        "-- ",
    )
    lines += [f"CREATE VIEW {quote}{name_table(collection)}{quote} AS", "SELECT"]
    for number, member in enumerate(list_flat_members(collection)):
        for note in member.notes:
            lines += _comment(note, "  -- ")
        lines.append(f"  {', ' if number else '  '}NULL AS {quote}{member.name}{quote}")
    return "\n".join([*lines, f"FROM (SELECT 1) AS {quote}your_table{quote};", ""])


def format_header(collection: str) -> str:
    """Format the first line of a CSV file."""
    return ",".join(member.name for member in list_flat_members(collection)) + "\n"


def format_rules(collection: str, source: str) -> str:
    """Format a table of the configuration, with a line for each member.

    Args:
        collection: Its name.
        source: The name of the source in the configuration.
    """
    lines = _comment(
        f"{collection}: {load_meanings()['rows'][collection]} Write your column in the place of each {UNFILLED}, or "
        '{ column = "…", codes = { … } } and other words. Delete the # in front of optional members that you have.',
        "# ",
    )
    lines.append(f'[sources.{source}.mapping."{collection}"]')
    for member in list_flat_members(collection):
        for note in member.notes:
            lines += _comment(note, "# ")
        key = f'"{member.name}"' if "." in member.name else member.name
        lines.append(f'{"" if member.is_required else "# "}{key} = "{UNFILLED}"')
    return "\n".join([*lines, ""])


def _comment(text: str, prefix: str) -> list[str]:
    indent = prefix + " " * (len(text) - len(text.lstrip()))
    return wrap_words(text.lstrip(), indent, indent)


def wrap_words(text: str, first: str = "", others: str = "") -> list[str]:
    """Wrap a text between words: a name is never broken, however long it is.

    Args:
        text: The text.
        first: What the first line begins with.
        others: What all other lines begin with.
    """
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )


SKELETONS: Mapping[str, Callable[[str, str], str]] = {
    "sqlite": lambda collection, source: format_view(collection, '"'),
    "postgres": lambda collection, source: format_view(collection, '"'),
    "sqlalchemy": lambda collection, source: format_view(collection, '"'),
    "mariadb": lambda collection, source: format_view(collection, "`"),
    "csv": lambda collection, source: format_header(collection),
    "rest": format_rules,
    "mapping": format_rules,
}
"""What prints the skeleton for each kind of source. ``mariadb`` is that of ``sqlalchemy`` for MariaDB and MySQL;
``mapping`` is for a source of any kind whose tables stay as they are."""
