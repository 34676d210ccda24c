"""Inspect what a configuration leads to: tables that are no collection, files to be written, filters that cannot be."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from openholder.config import Configuration
from openholder.contract.collections import COLLECTIONS
from openholder.contract.operation import Operation
from openholder.inspection.column_names import SIMILARITY
from openholder.inspection.steps import Step
from openholder.serving.access import PRODUCTS, is_served
from openholder.settings import Settings
from openholder.sources.registry import SourceRegistry

_MOST_NAMED = 10
"""Tables that a message names."""


def inspect_surroundings(
    configuration: Configuration, sources: SourceRegistry, operations: Sequence[Operation]
) -> Iterator[Step]:
    """Inspect everything around the queries of the operations.

    Args:
        configuration: The configuration.
        sources: Its sources, open.
        operations: The operations that could be served.
    """
    served = [operation.collection for operation in operations if is_served(sources, operation)]
    yield from inspect_tables(sources, operations)
    yield from inspect_files(configuration.settings, served)
    yield from inspect_filters(sources, operations)


def inspect_tables(sources: SourceRegistry, operations: Sequence[Operation]) -> Iterator[Step]:
    """Say which tables look like a collection that is not served, and whether anything is served at all."""
    wanted = dict.fromkeys([*(row.collection for row in operations), *COLLECTIONS])
    missing = {_simplify(name): name for name in wanted if sources.find_source(name) is None}
    strangers: dict[str, None] = {}
    for source in sources.list_sources():
        tables = sorted(source.list_collections())
        # A source of tables lists each twice: as it is spelt, and with a dot after the sector.
        spelt = [name for name in tables if name not in wanted and name.replace(".", "_", 1) not in _as_tables(wanted)]
        for name in spelt:
            if "." in name and name.replace(".", "_", 1) in tables:
                continue
            strangers[name] = None
            for match in get_close_matches(_simplify(name), missing, n=1, cutoff=SIMILARITY):
                text = f"is `{missing[match]}` meant? No request reads {name!r}"
                yield Step(f"table {name}", "warning", text, collection=name, fault="misspelt-table")
    if not any(is_served(sources, operation) for operation in operations):
        there = ", ".join(list(strangers)[:_MOST_NAMED]) or "none"
        text = f"nothing is served; tables that are no collection: {there}. `openholder columns` lists the collections"
        yield Step("sources", "failed", text, fault="serves-nothing")


def _as_tables(names: Collection[str]) -> frozenset[str]:
    return frozenset(name.replace(".", "_", 1) for name in names)


def _simplify(name: str) -> str:
    return name.replace("_", "").replace(".", "").casefold()


def inspect_files(settings: Settings, served: Collection[str]) -> Iterator[Step]:
    """Say which files cannot be written: of the keys that outlive a restart, and of the key of FDX cursors."""
    files: Mapping[str, Path] = {"fiskil.known_keys": settings.fiskil.known_keys}
    if any(name.startswith("fdx.") for name in served):
        files = {**files, "cursor_key": settings.cursor_key}
    for key, path in files.items():
        problem = find_write_problem(path)
        if problem:
            text = f"{problem}; set `{key}` to a file in a folder that the server may write to"
            yield Step(f"file {path.name}", "warning", text, fault="unwritable-file")


def find_write_problem(path: Path) -> str:
    """Say why a file cannot be written; return an empty text if it can. Nothing is left behind."""
    try:
        if path.exists():
            with path.open("ab"):
                return ""
        with tempfile.TemporaryFile(dir=path.parent):
            return ""
    except OSError as exc:
        return f"cannot be written: {type(exc).__name__}"


def inspect_filters(sources: SourceRegistry, operations: Sequence[Operation]) -> Iterator[Step]:
    """Say which filters are 404 because the collection with the facts of accounts is not served."""
    if sources.find_source(PRODUCTS):
        return
    served = [row for row in operations if row.account_parameters and is_served(sources, row)]
    for collection in dict.fromkeys(row.collection for row in served):
        found = [parameter for row in served if row.collection == collection for parameter in row.account_parameters]
        names = ", ".join(dict.fromkeys(name for parameter in found for name in parameter.names))
        text = f"{names}: answered with 404 without `{PRODUCTS}`, which has the facts that they compare"
        yield Step(f"filters of {collection}", "warning", text, collection=collection, fault="filters-unavailable")
