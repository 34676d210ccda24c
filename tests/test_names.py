"""Functions are verbs: a name that is a bare participle reads as a value (``sorted`` is Python's own exception)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("core", "plugins", "bench")

IRREGULAR = frozenset(
    {
        "begun",
        "bound",
        "broken",
        "brought",
        "built",
        "chosen",
        "done",
        "drawn",
        "found",
        "given",
        "gone",
        "heard",
        "held",
        "hidden",
        "kept",
        "known",
        "laid",
        "led",
        "left",
        "lost",
        "made",
        "meant",
        "met",
        "paid",
        "said",
        "seen",
        "sent",
        "shown",
        "spent",
        "spoken",
        "taken",
        "thrown",
        "told",
        "written",
    }
)
VERBS = (
    frozenset({"bound", "embed", "exceed", "feed", "found", "heed", "need", "proceed", "seed", "succeed"}) - IRREGULAR
)
"""Verbs that end like a participle."""

PUBLIC = frozenset({"quoted", "renamed", "searched", "selected"})
"""Methods of `openholder.sql` that published plugins call or override: their names stay until the interface changes."""

PROPERTIES = ("property", "cached_property", "contextmanager", "asynccontextmanager", "fixture")
"""Decorators of what is read or entered rather than called for its effect."""


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method of a file, apart from properties, context managers and magic methods."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("__"):
            decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
            if not any(name in decorators for name in PROPERTIES):
                yield node


def is_bare_participle(name: str) -> bool:
    """Tell whether a name is one past participle and nothing else."""
    word = name.strip("_")
    if "_" in word or word in VERBS:
        return False
    return word in IRREGULAR or word.endswith("ed")


@pytest.mark.parametrize("name", ["told", "_made", "judged", "_visited", "found"])
def test_participles_are_recognised(name):
    assert is_bare_participle(name)


@pytest.mark.parametrize("name", ["tell", "need", "find_records", "is_served", "feed", "read_ids", "redacted_text"])
def test_verbs_are_not_taken_for_participles(name):
    assert not is_bare_participle(name)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_function_is_named_by_a_bare_participle(folder):
    named = [
        f"{file.relative_to(ROOT)}:{function.lineno} {function.name}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for function in functions(file)
        if is_bare_participle(function.name) and function.name not in PUBLIC
    ]
    assert named == []


def test_the_formatter_lays_out_every_file():
    """Keyword arguments, one a line, read better than a layout that the formatter must leave alone."""
    files = [file for folder in (*FOLDERS, "tests") for file in (ROOT / folder).rglob("*.py") if file != Path(__file__)]
    assert [str(file) for file in files if "# fmt:" in file.read_text(encoding="utf-8")] == []
