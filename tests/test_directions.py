"""Imports point down: a room knows the rooms below it and none above. ``docs/architecture.md`` quotes the table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "core"

FLOORS = (
    ("cli", "the commands"),
    ("rehearsal", "plays Fiskil against any server"),
    ("inspection", "looks at configuration and data for `check` and `diff`"),
    ("fiskil", "a stand-in for Fiskil: signer, key host, sample data"),
    ("server", "the process: listeners, generations of sources, TLS, logs"),
    ("llhttp", "HTTP on llhttp, the fast transport"),
    ("openapi", "the OpenAPI document"),
    ("serving", "one request, from route to answer"),
    ("edge", "what both HTTP transports accept"),
    ("gate", "whether a token lets a request in"),
    ("config", "the configuration file and environment, read"),
    ("settings", "what can be configured"),
    ("testing", "the contract kit for authors of sources"),
    ("sql", "queries as SELECTs"),
    ("mapping", "words that map columns and values to members"),
    ("sources", "plugins: hooks, kinds, the registry of sources"),
    ("contract", "what Fiskil and the standards say"),
    ("query", "the language of queries"),
    ("host_settings", "what the configuration says to all plugins"),
    ("outbound", "requests that the server makes of others"),
    ("reports", "HTML reports, without scripts and network"),
    ("setting_types", "types that settings of plugins use"),
    ("pseudonyms", "ids that cannot be read back"),
    ("ratelimit", "a token bucket"),
    ("strict_json", "JSON with one meaning"),
    ("errors", "the exceptions"),
    ("_version", "the version"),
)
"""The rooms of ``openholder`` from top to bottom, each with what it knows."""

FORBIDDEN = (("openapi", "serving"), ("rehearsal", "serving"), ("rehearsal", "server"), ("contract", "settings"))
"""Rooms that must not know each other although the order would allow it: a document and a tester share no code with
the server that they describe and test."""

LEVEL = {room: number for number, (room, _) in enumerate(FLOORS)}
ENTRIES = ("__init__", "__main__")
"""Modules at the top of the package: the public API and the command."""


def modules() -> dict[str, Path]:
    """Return each module of ``openholder`` with its file."""
    files = (CORE / "openholder").rglob("*.py")
    names = {".".join(file.relative_to(CORE).with_suffix("").parts): file for file in files}
    return {name.removesuffix(".__init__"): file for name, file in names.items() if ".template" not in name}


MODULES = modules()


def imports(file: Path) -> Iterator[str]:
    """Yield the modules of ``openholder`` that a file imports, also inside functions and for type checking."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name in MODULES:
                yield name
            elif name.rpartition(".")[0] in MODULES:
                yield name.rpartition(".")[0]


ARROWS = {name: {found for found in imports(file) if found != name} for name, file in MODULES.items()}


def room_of(module: str) -> str:
    """Return the room of a module: the part after ``openholder``."""
    return module.split(".")[1] if "." in module else "__init__"


def test_every_room_has_a_floor():
    assert {room_of(module) for module in MODULES} - {*ENTRIES} == set(LEVEL)


@pytest.mark.parametrize("room", LEVEL)
def test_imports_point_down(room):
    upwards = [
        f"{module} -> {imported}"
        for module, found in ARROWS.items()
        for imported in found
        if room_of(module) == room and LEVEL.get(room_of(imported), -1) < LEVEL[room]
    ]
    assert upwards == []


@pytest.mark.parametrize(("room", "other"), FORBIDDEN)
def test_rooms_that_must_not_know_each_other_do_not(room, other):
    arrows = [
        f"{module} -> {imported}"
        for module, found in ARROWS.items()
        for imported in found
        if (room_of(module), room_of(imported)) == (room, other)
    ]
    assert arrows == []


def test_no_files_import_each_other_in_a_circle():
    try:
        TopologicalSorter(ARROWS).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_architecture_page_quotes_the_floors():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    quoted = [f"| `{room}` | {knows} |" for room, knows in FLOORS]
    assert [line for line in text.splitlines() if line in quoted] == quoted
