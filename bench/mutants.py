"""Break the sources on purpose, one small change of their code at a time, and see whether the contract kit notices.

    make mutants
    python bench/mutants.py --sample 40 --seed 1 --jobs 2 --source sqlite
    python bench/mutants.py --record mutants.jsonl        # all, and where it was ended, it goes on the next time

Each mutant is one change of one place: a comparison, a constant, a condition, a statement left out. First it answers
seeded random questions over random rows, which the kit does not know. If an answer differs from that of the source as
it is, the mutant *changes an answer*, and the kit is run until its first failure. The result is the share of these
mutants that the kit catches; those that it does not are printed. ``mutants.md`` has a run and the reasons.

The SQL plugins need their packages, ``pip install -e plugins/openholder_postgres[test]`` and the like, and a server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import io
import json
import logging
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import coverage
import pytest
from mutations import NOTHING, PAGE, ROOT, SCAFFOLD, Finder, Mutant, list_mutants, read_block, read_code, read_scaffold
from random_questions import QUESTIONS, answer_questions, cut_dates, make_questions, make_random_rows

WAIT = 120.0
"""Seconds for one mutant, or three times as long as the whole kit takes; one that takes longer hangs, which a test
suite notices as well."""
HEALTHY = 1800.0
"""Seconds for the source as it is."""
UNITS = {"s": 1, "m": 60, "h": 3600}

# -- the sources --------------------------------------------------------------------------------------------------


def list_files(folder: str) -> tuple[str, ...]:
    """Return the modules of a package, by their path in the checkout."""
    return tuple(sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).glob("*.py")))


@contextlib.contextmanager
def run_servers(*names: str) -> Iterator[Mapping[str, Any]]:
    """Run database servers as the tests of the plugins do, and yield each under the name that the contracts use."""
    with contextlib.ExitStack() as stack:
        served: dict[str, Any] = {}
        for name, kind in (("cluster", "Cluster"), ("maria", "Maria")):
            if name in names:
                module: Any = importlib.import_module(name)
                served[name] = stack.enter_context(getattr(module, kind)(module.find_programs()))
        yield served


@dataclass(frozen=True, slots=True)
class Source:
    """A source to break: its contracts in the tests, and the files whose code is changed."""

    files: tuple[str, ...]
    contracts: tuple[str, ...]
    tests: str
    """The module of the contracts; of an example, the code block that has them, or the file of the scaffold."""
    folders: tuple[str, ...] = ("tests", "tests/sql")
    servers: tuple[str, ...] = ()


SQL = list_files("core/openholder/sql")
KIT = "testing.test_contract_kit"
POSTGRES, ALCHEMY = "plugins/openholder_postgres", "plugins/openholder_sqlalchemy"
SOURCES = {
    "sqlite": Source((*SQL, *list_files("plugins/openholder_sqlite")), ("TestSQLite",), KIT),
    "csv": Source(list_files("plugins/openholder_csv"), ("TestCSV", "TestCSVOnDisk"), KIT),
    "rest": Source(list_files("plugins/openholder_rest"), ("TestREST",), KIT),
    "docs-sql": Source((f"{PAGE}Kimbase",), ("TestTheExampleOfTheDocumentation",), "test_sql"),
    "docs": Source((f"{PAGE}ExistingFile",), ("TestKimSource",), f"{PAGE}TestKimSource"),
    "scaffold": Source((SCAFFOLD,), ("TestContract",), "tests/test_kim.py"),
    "postgres": Source(
        list_files(f"{POSTGRES}/openholder_postgres"),
        ("TestTyped", "TestText"),
        "test_contract",
        ("tests", f"{POSTGRES}/tests"),
        ("cluster",),
    ),
    "sqlalchemy": Source(
        list_files(f"{ALCHEMY}/openholder_sqlalchemy"),
        ("TestMariaTyped", "TestMariaText", "TestPostgresTyped", "TestSQLite"),
        "test_contract",
        ("tests", f"{POSTGRES}/tests", f"{ALCHEMY}/tests"),
        ("cluster", "maria"),
    ),
}
ANEW = (str(ROOT / "plugins"), str(ROOT / "tests/sql"), str(ROOT / "tests/testing"), str(ROOT / "core/openholder/sql"))
"""Where the modules are that each mutant imports anew. All others are imported once, before."""


def forget_modules() -> None:
    """Let the modules be imported anew that a mutant may change, or that use them."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(ANEW):
            del sys.modules[name]


def find_contracts(source: str) -> dict[str, Any]:
    """Import the contracts of a source, by their names."""
    target = SOURCES[source]
    if target.tests.startswith(PAGE) or source == "scaffold":
        names: dict[str, Any] = {"__name__": "test_kim"}
        code = read_scaffold(target.tests) if source == "scaffold" else read_block(target.tests.removeprefix(PAGE))
        exec(compile(code, target.tests, "exec"), names)  # noqa: S102
    else:
        names = vars(importlib.import_module(target.tests))
    return {name: names[name] for name in target.contracts}


# -- one mutant in a process of its own ---------------------------------------------------------------------------

Answers = dict[str, list[str]]
"""For each contract of a source the answers of the source as it is."""


@dataclass(frozen=True, slots=True)
class Run:
    """What all mutants of one run have in common: the seed of the questions, and the servers that run."""

    seed: int
    served: Mapping[str, Any]

    def judge(self, mutant: Mutant, expected: Answers | None, pipe: Any) -> None:
        """Send what becomes of a mutant: ``("same", "")``, ``("missed", "")`` or ``("caught", the test)``.

        Without what is *expected*, send the answers, and the lines that they run of each file.
        """
        forget_modules()
        sys.meta_path.insert(0, Finder(mutant))
        logging.disable()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if expected is None:
                traced = coverage.Coverage(data_file=None, include=[f"{ROOT}/*"], config_file=False)
                with traced.collect():
                    answers = self._judge_quietly(mutant, None)
                data = traced.get_data()
                pipe.send((answers, {path: frozenset(data.lines(path) or ()) for path in data.measured_files()}))
            else:
                pipe.send(self._judge_quietly(mutant, expected))
        self._drop_tables()

    def _drop_tables(self) -> None:
        """Drop the tables that this process made on the servers."""
        for name in getattr(sys.modules.get("test_contract"), "MADE", {}).values():
            if "cluster" in self.served:
                self.served["cluster"].execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
            if "maria" in self.served:
                self.served["maria"].execute(f"DROP DATABASE IF EXISTS `{name}`")

    def _judge_quietly(self, mutant: Mutant, expected: Answers | None) -> Any:
        try:
            classes = find_contracts(mutant.source)
        except Exception:
            return "caught", "import"
        if mutant.source == "docs-sql":
            module: Any = sys.modules["test_sql"]
            names: dict[str, Any] = {}
            exec(compile(mutant.apply(read_code(mutant.file)), mutant.file, "exec"), names)  # noqa: S102
            module.Kimbase, module.Standing.__bases__ = names["Kimbase"], (names["KimbaseSource"],)
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            contracts = {}
            for name, contract_class in classes.items():
                contracts[name] = self._make_contract(contract_class)
                if mutant.source == "rest":
                    bank: Any = sys.modules[KIT]
                    contracts[name].bank = stack.enter_context(bank.running_bank())
            if expected is None:
                return {name: self._answer(contract, Path(folder), None) for name, contract in contracts.items()}
            if all(
                self._answer(one, Path(folder), expected[name]) == expected[name] for name, one in contracts.items()
            ):
                return "same", ""
            logging.disable(logging.NOTSET)
            found = (_run_kit(contract, Path(folder)) for contract in contracts.values())
            return next((verdict for verdict in found if verdict[0] == "caught"), ("missed", ""))

    def _make_contract(self, contract_class: Any) -> Any:
        """Make a contract by whose name the tables that it makes on a server are of this process alone.

        It does not take away the server, on which the other mutants are judged.
        """
        members = {**self.served, "failing": lambda self, source: None} if self.served else {}
        return type(f"{contract_class.__name__}{os.getpid()}", (contract_class,), members)()

    def _answer(self, contract: Any, folder: Path, expected: list[str] | None) -> list[str]:
        source = random.Random(self.seed)
        rows = make_random_rows(source)
        questions = make_questions(source, rows)
        if not contract.any_text:
            cut_dates(rows)
        if not contract.documents:
            statements = rows["fdx.statements"]
            rows["fdx.statements"] = [{k: v for k, v in row.items() if k != "document"} for row in statements]
        place = folder / f"random {type(contract).__name__}"
        place.mkdir()
        try:
            return asyncio.run(answer_questions(contract.make_source(place, rows), questions, expected))
        except Exception as exc:
            return [type(exc).__name__]


def _run_kit(contract: Any, folder: Path) -> tuple[str, str]:
    tests = [name for name in dir(contract) if name.startswith("test_")]
    # What finds most comes first, what waits for something comes last.
    tests.sort(key=lambda name: ("change" in name or "hang" in name, "every_record" not in name, name))
    for test in tests:
        place = folder / type(contract).__name__ / test
        place.mkdir(parents=True)
        try:
            getattr(contract, test)(place)
        except pytest.skip.Exception:
            continue
        except (Exception, pytest.fail.Exception):
            return "caught", test
    return "missed", ""


# -- all of them --------------------------------------------------------------------------------------------------


class Record:
    """The verdicts on mutants, kept in a file from run to run as long as the code that was changed is the same."""

    def __init__(self, path: Path | None, seed: int) -> None:
        self._path, self._seed = path, seed
        self._lock = threading.Lock()
        self._known: dict[str, tuple[str, str]] = {}
        if path and path.exists():
            for entry in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
                self._known[entry["key"]] = (entry["verdict"], entry["test"])

    def _name(self, mutant: Mutant) -> str:
        digest = sha256(read_code(mutant.file).encode()).hexdigest()
        return json.dumps([self._seed, digest, *asdict(mutant).values()])

    def find(self, mutant: Mutant) -> tuple[str, str] | None:
        """Return the verdict on a mutant; None also for one that was missed, as the kit may have grown since."""
        found = self._known.get(self._name(mutant))
        return None if found and found[0] == "missed" else found

    def add(self, mutant: Mutant, verdict: tuple[str, str]) -> None:
        """Write a verdict down."""
        if self._path:
            entry = {"key": self._name(mutant), "verdict": verdict[0], "test": verdict[1]}
            with self._lock, self._path.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(entry)}\n")


def run_apart(run: Run, mutant: Mutant, expected: Answers | None, seconds: float) -> Any:
    """Judge a mutant in a process of its own, and return what it sent; ``("caught", "time")`` after some seconds."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=run.judge, args=(mutant, expected, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(seconds) else ("caught", "time")
    except EOFError:
        return "caught", "process"
    finally:
        process.join(5 if run.served else 0)
        process.kill()
        process.join()


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def judge_source(source: str, options: argparse.Namespace, end: float) -> Counter[str]:
    """Judge mutants of a source until a time, and return how many had which verdict."""
    target = SOURCES[source]
    sys.path[:0] = [str(ROOT / folder) for folder in reversed(target.folders)]
    forget_modules()  # tests of two plugins have modules of the same name
    if "#" not in target.tests and source != "scaffold":
        importlib.import_module(target.tests)  # once, with all that the processes of the mutants have in common
    mutants = list_mutants(source, target.files)
    chosen = random.Random(options.seed).sample(mutants, min(options.sample or len(mutants), len(mutants)))
    record = Record(options.record, options.seed)
    counts: Counter[str] = Counter()
    with run_servers(*target.servers) as served:
        run = Run(options.seed, served)
        healthy = replace(mutants[0], change=NOTHING)
        expected, ran = run_apart(run, healthy, None, HEALTHY)
        if not isinstance(expected, dict) or any(len(answers) < QUESTIONS for answers in expected.values()):
            sys.exit(f"{source}: the source as it is does not answer: {expected}")
        began = time.monotonic()
        passed = run_apart(run, healthy, {name: [] for name in target.contracts}, HEALTHY)
        wait = max(WAIT, 3 * (time.monotonic() - began))
        if passed != ("missed", ""):
            sys.exit(f"{source}: the source as it is does not pass the kit: {passed}")

        def judge_in_time(mutant: Mutant) -> tuple[str, str]:
            if known := record.find(mutant):
                return known
            lines = ran.get(str(ROOT / mutant.file))
            if lines and lines.isdisjoint(range(mutant.line, mutant.end + 1)):
                return "same", "no question runs it"
            if time.monotonic() > end:
                return "not run", ""
            verdict: tuple[str, str] = run_apart(run, mutant, expected, wait)
            record.add(mutant, verdict)
            return verdict

        # The servers of the tests take thirty connections, and a test of the kit has eight.
        with ThreadPoolExecutor(min(options.jobs, 2) if served else options.jobs) as pool:
            for mutant, (verdict, test) in zip(chosen, pool.map(judge_in_time, chosen), strict=True):
                counts[verdict] += 1
                say(f"{verdict:8} {mutant.file}:{mutant.line} {mutant.change} {test}")
    say(f"{source}: {len(mutants)} mutants, {len(chosen)} chosen: {dict(counts)}")
    return counts


def read_duration(text: str) -> float:
    """Return the seconds of a duration such as 60s, 30m or 4h."""
    return float(text[:-1]) * UNITS[text[-1]]


def main() -> None:
    """Judge the mutants of each source, and print the share that is caught and those that are not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sample", type=int, help="mutants of each source; all by default")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the mutants, the rows and the questions")
    parser.add_argument("--jobs", type=int, default=2, help="processes at the same time")
    parser.add_argument("--for", dest="seconds", type=read_duration, default=7200.0, help="60s, 30m or 2h")
    parser.add_argument("--source", choices=SOURCES, action="append", help="all by default")
    parser.add_argument("--record", type=Path, help="file of verdicts: a further run goes on where this one ended")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    total: Counter[str] = Counter()
    for source in options.source or SOURCES:
        total += judge_source(source, options, end)
    changing = total["caught"] + total["missed"]
    say(f"{changing} mutants change an answer; the kit catches {total['caught']} of them")


if __name__ == "__main__":
    main()
