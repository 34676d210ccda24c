"""Break the sources on purpose, one small change of their code at a time, and see whether the contract kit notices.

    make mutants
    python bench/mutants.py --sample 40 --seed 1 --jobs 2 --source sqlite

Each mutant is one change of one place: a comparison, a constant, a condition, a statement left out. First it answers
seeded random questions over random rows, which the kit does not know. If an answer differs from that of the source as
it is, the mutant *changes an answer*, and the kit is run until its first failure. The result is the share of these
mutants that the kit catches; those that it does not are printed. ``mutants.md`` has a run and the reasons.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import contextlib
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import io
import logging
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from random_questions import QUESTIONS, answer_questions, make_questions, make_random_rows

ROOT = Path(__file__).parents[1]
SQL = ("core/openholder/sql/schema.py", "core/openholder/sql/dialect.py", "core/openholder/sql/statements.py")
SOURCES = {
    "sqlite": (
        "TestSQLite",
        (
            *SQL,
            *(
                f"plugins/openholder_sqlite/{name}.py"
                for name in ("__init__", "dialect", "database", "on_loop", "plain_times", "sql_functions", "watching")
            ),
        ),
    ),
    "csv": (
        "TestCSV",
        tuple(f"plugins/openholder_csv/{name}.py" for name in ("__init__", "csv_rows", "files", "loading")),
    ),
    "rest": (
        "TestREST",
        tuple(
            f"plugins/openholder_rest/{name}.py"
            for name in ("__init__", "paths", "records", "templates", "time_bounds", "responses")
        ),
    ),
    "docs": ("TestTheExampleOfTheDocumentation", ("docs/plugins.md",)),
}
"""For each source its contract in the tests, and the files whose code is changed."""
NOTHING = "nothing"
"""The name of no change: so the source as it is can be judged like its mutants."""
WAIT = 240.0
"""Seconds for one mutant; one that takes longer hangs, which a test suite notices as well."""

# -- changes of code ----------------------------------------------------------------------------------------------

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


def read_code(file: str) -> str:
    """Return the code of a file; of the page for authors its example of an SQL source."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if not file.endswith(".md"):
        return text
    return next(block.partition("```")[0] for block in text.split("```python\n")[1:] if "Kimbase" in block)


def list_mutants(source: str) -> list[Mutant]:
    """Return all mutants of a source."""
    return [
        Mutant(source, file, number, change, getattr(node, "lineno", 0))
        for file in SOURCES[source][1]
        for number, node in enumerate(ast.walk(ast.parse(read_code(file))))
        for change, _ in list_changes(node)
    ]


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from changed code."""

    tree: ast.Module

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.tree, self.path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds the one module whose code is changed, before the others do."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        self.name, self.mutant = name, mutant

    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> Any:
        if name != self.name:
            return None
        file = str(ROOT / self.mutant.file)
        loader = Loader(name, file)
        loader.tree = self.mutant.apply(read_code(self.mutant.file))
        return importlib.util.spec_from_file_location(name, file, loader=loader)


# -- one mutant in a process of its own ---------------------------------------------------------------------------


def judge(mutant: Mutant, seed: int, expected: list[str] | None, pipe: Any) -> None:
    """Send what becomes of a mutant: ``("same", "")``, ``("missed", "")`` or ``("caught", the test)``.

    Without what is *expected*, send the answers.
    """
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/sql")]
    name = mutant.file.removesuffix(".py").removesuffix("/__init__")
    name = name.removeprefix("core/").removeprefix("plugins/").replace("/", ".")
    if expected is not None and not mutant.file.endswith(".md"):
        sys.meta_path.insert(0, Finder(name, mutant))
    logging.disable()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pipe.send(_judge_quietly(mutant, seed, expected))


def _judge_quietly(mutant: Mutant, seed: int, expected: list[str] | None) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        try:
            module: Any = importlib.import_module(
                "test_sql" if mutant.source == "docs" else "testing.test_contract_kit"
            )
        except Exception:
            return "caught", "import"
        contract = getattr(module, SOURCES[mutant.source][0])()
        if mutant.source == "docs" and expected is not None:
            names: dict[str, Any] = {}
            exec(compile(mutant.apply(read_code(mutant.file)), mutant.file, "exec"), names)  # noqa: S102
            module.Kimbase, module.Standing.__bases__ = names["Kimbase"], (names["KimbaseSource"],)
        with module.running_bank() if mutant.source == "rest" else contextlib.nullcontext() as contract.bank:
            answers = _answer_random_questions(contract, seed, Path(folder))
            if expected is None:
                return answers
            if answers == expected:
                return "same", ""
            logging.disable(logging.NOTSET)
            return _run_kit(contract, Path(folder))


def _answer_random_questions(contract: Any, seed: int, folder: Path) -> list[str]:
    source = random.Random(seed)
    rows, questions = make_random_rows(source), make_questions(source)
    if not contract.documents:
        rows["fdx.statements"] = [{k: v for k, v in row.items() if k != "document"} for row in rows["fdx.statements"]]
    (folder / "random").mkdir()
    try:
        return asyncio.run(answer_questions(contract.make_source(folder / "random", rows), questions))
    except Exception as exc:
        return [type(exc).__name__]


def _run_kit(contract: Any, folder: Path) -> tuple[str, str]:
    tests = [name for name in dir(contract) if name.startswith("test_")]
    # What finds most comes first, what waits for something comes last.
    tests.sort(key=lambda name: ("change" in name or "hang" in name, "every_record" not in name, name))
    for test in tests:
        (folder / test).mkdir()
        try:
            getattr(contract, test)(folder / test)
        except pytest.skip.Exception:
            continue
        except (Exception, pytest.fail.Exception):
            return "caught", test
    return "missed", ""


def run_apart(mutant: Mutant, seed: int, expected: list[str] | None) -> Any:
    """Judge a mutant in a process of its own, and return what it sent; ``("caught", "time")`` if it hangs."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=judge, args=(mutant, seed, expected, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(WAIT) else ("caught", "time")
    except EOFError:
        return "caught", "process"
    finally:
        process.kill()
        process.join()


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Judge a sample of the mutants of each source, and print the share that is caught and those that are not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sample", type=int, default=40, help="mutants of each source")
    parser.add_argument("--seed", type=int, default=1, help="of the sample, the rows and the questions")
    parser.add_argument("--jobs", type=int, default=2, help="processes at the same time")
    parser.add_argument("--seconds", type=float, default=1800, help="after which no further mutant is begun")
    parser.add_argument("--source", choices=SOURCES, action="append", help="all by default")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    total: Counter[str] = Counter()
    for source in options.source or SOURCES:
        mutants = list_mutants(source)
        chosen = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
        expected = run_apart(mutants[0], options.seed, None)
        if not isinstance(expected, list) or len(expected) < QUESTIONS:
            sys.exit(f"{source}: the source as it is does not answer: {expected}")

        healthy = run_apart(replace(mutants[0], change=NOTHING), options.seed, [])
        if healthy != ("missed", ""):
            sys.exit(f"{source}: the source as it is does not pass the kit: {healthy}")

        def judge_in_time(mutant: Mutant, expected: list[str] = expected) -> tuple[str, str]:
            return run_apart(mutant, options.seed, expected) if time.monotonic() < end else ("not run", "")

        with ThreadPoolExecutor(options.jobs) as pool:
            counts: Counter[str] = Counter()
            for mutant, (verdict, test) in zip(chosen, pool.map(judge_in_time, chosen), strict=True):
                counts[verdict] += 1
                say(f"{verdict:8} {mutant.file}:{mutant.line} {mutant.change} {test}")
        say(f"{source}: {len(mutants)} mutants, {len(chosen)} chosen: {dict(counts)}")
        total += counts
    changing = total["caught"] + total["missed"]
    say(f"{changing} mutants change an answer; the kit catches {total['caught']} of them")


if __name__ == "__main__":
    main()
