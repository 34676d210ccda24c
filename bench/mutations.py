"""The changes that `mutants` makes: where the code is, what can be changed in it, and how changed code is imported."""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from openholder.cli.new_plugin import new_plugin

ROOT = Path(__file__).parents[1]
NOTHING = "nothing"
"""The name of no change: so the source as it is can be judged like its mutants."""
PAGE = "docs/plugins.md#"
"""Begins the name of a file that is a code block of the page for authors. The rest is a word that only this one has."""
SCAFFOLD = "openholder new-plugin"
"""The name of a file that is the source in the package that the command writes."""
SWAPPED: dict[type[ast.AST], Callable[[], Any]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
}


def list_changes(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], ast.AST]]]:
    """Yield what can be changed in a node itself: a name, and a function that returns the changed node."""
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in SWAPPED:
            yield "compare", lambda found: _set(found, ops=[SWAPPED[type(operator)]()])
        case ast.BoolOp(op=operator) | ast.BinOp(op=operator) if type(operator) in SWAPPED:
            yield "operator", lambda found: _set(found, op=SWAPPED[type(operator)]())
        case ast.UnaryOp(op=ast.Not()):
            yield "not", lambda found: found.operand  # type: ignore[attr-defined]
        case ast.Constant(value=bool()):
            yield "constant", lambda found: ast.Constant(not found.value)  # type: ignore[attr-defined]
        case ast.Constant(value=int()):
            yield "constant", lambda found: ast.Constant(found.value + 1)  # type: ignore[attr-defined]
        case ast.If() | ast.IfExp():
            yield "always", lambda found: _set(found, test=ast.Constant(True))
            yield "never", lambda found: _set(found, test=ast.Constant(False))
        case ast.Return(value=ast.expr()):
            yield "return None", lambda found: _set(found, value=ast.Constant(None))
        case ast.comprehension(ifs=[_, *_]):
            yield "no condition", lambda found: _set(found, ifs=[])
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield "left out", lambda _: ast.Pass()


def _set(node: Any, **members: Any) -> Any:
    for name, value in members.items():
        setattr(node, name, value)
    return node


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the source that it is of, the file, the number of the node, and the change's name."""

    source: str
    file: str
    number: int
    change: str
    line: int
    end: int
    """The last line of the statement, or of its head, that has the node. `line` is the first."""

    @property
    def module(self) -> str:
        """The name under which the file is imported."""
        if self.file.startswith((PAGE, SCAFFOLD)):
            return "openholder_kim"
        _, *parts = self.file.removesuffix(".py").removesuffix("/__init__").split("/")
        return ".".join(parts[1:] if parts[:1] == parts[1:2] else parts)

    def apply(self, code: str) -> ast.Module:
        """Return the changed code."""
        tree = ast.parse(code)
        if self.change == NOTHING:
            return tree
        target = list(ast.walk(tree))[self.number]
        function = dict(list_changes(target))[self.change]

        class Replacing(ast.NodeTransformer):
            def visit(self, node: ast.AST) -> Any:
                return function(copy.copy(node)) if node is target else self.generic_visit(node)

        changed: ast.Module = Replacing().visit(tree)
        return ast.fix_missing_locations(changed)


# -- the code -----------------------------------------------------------------------------------------------------


def read_code(file: str) -> str:
    """Return the code of a file, of a block of the page for authors, or of the scaffold."""
    if file == SCAFFOLD:
        return read_scaffold("openholder_kim/__init__.py")
    return read_block(file.removeprefix(PAGE)) if file.startswith(PAGE) else (ROOT / file).read_text(encoding="utf-8")


@cache
def read_block(word: str) -> str:
    """Return the first code block of the page for authors that has a word."""
    blocks = (ROOT / "docs/plugins.md").read_text(encoding="utf-8").split("```python\n")[1:]
    return next(code for code in (block.partition("```")[0] for block in blocks) if word in code)


@cache
def read_scaffold(path: str) -> str:
    """Return a file of the package that ``openholder new-plugin kim`` writes."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        new_plugin.main(["kim", "--folder", folder], standalone_mode=False)
        return (Path(folder) / path).read_text(encoding="utf-8")


def list_mutants(source: str, files: Sequence[str]) -> list[Mutant]:
    """Return all mutants of the files of a source."""
    found = []
    for file in files:
        tree = ast.parse(read_code(file))
        lines = dict(_list_lines(tree, (0, 0)))
        for number, node in enumerate(ast.walk(tree)):
            found += [Mutant(source, file, number, change, *lines[node]) for change, _ in list_changes(node)]
    return found


def _list_lines(node: ast.AST, lines: tuple[int, int]) -> Iterator[tuple[ast.AST, tuple[int, int]]]:
    """Yield each node with the lines of the statement that it is part of; of one with a body, those of its head."""
    if isinstance(node, ast.stmt):
        body = getattr(node, "body", None)
        lines = node.lineno, max(node.lineno, body[0].lineno - 1 if body else node.end_lineno or 0)
    yield node, lines
    for child in ast.iter_child_nodes(node):
        yield from _list_lines(child, lines)


# -- importing changed code ---------------------------------------------------------------------------------------


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from changed code."""

    tree: ast.Module

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.tree, self.path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds the one module whose code is changed, before the others do."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> Any:
        if name != self.mutant.module:
            return None
        file = str(ROOT / self.mutant.file)
        loader = Loader(name, file)
        loader.tree = self.mutant.apply(read_code(self.mutant.file))
        return importlib.util.spec_from_file_location(name, file, loader=loader)
