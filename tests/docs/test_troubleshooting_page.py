"""docs/troubleshooting.md has every reason, exit code, exception and fault of the program, and no other."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import openholder
from openholder import errors
from openholder.cli import EXIT_CODES
from openholder.contract.fitting import Misfit
from openholder.gate.reasons import Reason
from openholder.inspection.steps import Verdict

PAGE = (Path(__file__).parents[2] / "docs/troubleshooting.md").read_text(encoding="utf-8")
CORE = Path(openholder.__file__).parent
ROOMS = ("contract", "edge", "gate", "llhttp", "mapping", "server", "serving", "sources", "sql")
TREES = [
    ast.parse(path.read_text(encoding="utf-8"))
    for path in [CORE / "query.py", *(path for room in ROOMS for path in (CORE / room).rglob("*.py"))]
]
FAULTS = {"SourceFault", "ForeignRecord", "Misfit"}
REASONED = {"RequestError": 1, "build_unavailable": 0, "BadRequest": 0}
"""What ends a request, and which of its arguments is the reason."""


def find_calls(names) -> Iterator[ast.Call]:
    for tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in names:
                yield node


def read_text(node: ast.AST) -> str:
    """Return the fixed parts of a text, in the source; a module's constant counts as its value."""
    constants = {
        target.id: node.value.value
        for tree in TREES
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    if isinstance(node, ast.Name):
        return str(constants.get(node.id, ""))
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


def list_reasons() -> set[str]:
    """Return every `error_reason` that a request can have."""
    found = {reason.value for reason in Reason}
    for call in find_calls(REASONED):
        place = REASONED[call.func.id]
        if len(call.args) > place:
            found.add(read_text(call.args[place]).partition(":")[0])
    for tree in TREES:
        for node in ast.walk(tree):
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if getattr(target, "id", getattr(target, "attr", "")) == "reason":
                values = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
                found |= set(map(read_text, values))
    return {reason for reason in found if re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", reason)}


def read_first_cells(heading: str) -> list[str]:
    """Return the words of the first column of every table whose heading is this."""
    tables = re.findall(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    cells = [line.split(" | ")[0].strip("| ") for table in tables for line in table.splitlines()]
    return [word for cell in cells for word in re.findall(r"`(.+?)`", cell) or [cell]]


def list_fault_texts() -> list[str]:
    """Return the fixed text of every fault; those that only pass on another text have none."""
    texts = [read_text(call.args[-1]) for call in find_calls(FAULTS) if call.args]
    return [text for text in texts if len(re.findall(r"[a-z]+", text)) > 1]


def test_every_reason_of_a_refusal_is_there_once():
    told = read_first_cells("`error_reason`")
    assert len(told) == len(set(told))
    assert set(told) == list_reasons()
    assert len(told) > 70


def test_every_exit_code_is_there():
    assert [int(code) for code in read_first_cells("code")] == list(EXIT_CODES)


def test_every_exception_is_there():
    raised = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
    assert set(read_first_cells("exception")) == {*raised, Misfit.__name__}


def test_every_verdict_of_check_is_there():
    assert read_first_cells("verdict") == list(get_args(Verdict))


@pytest.mark.parametrize("text", list_fault_texts())
def test_every_fault_is_explained(text):
    assert [word for word in read_first_cells("`fault` says") if word in text] != []


def test_every_explained_fault_exists():
    texts = list_fault_texts()
    assert len(texts) > 35
    assert [word for word in read_first_cells("`fault` says") if not any(word in text for text in texts)] == []


def test_every_message_at_the_start_exists():
    """Those of the operating system are not in the program."""
    texts = " ".join(
        node.value
        for path in CORE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    section = PAGE.partition("## It does not start\n")[2].partition("\n## ")[0]
    told = [word for line in section.splitlines()[4:] for word in re.findall(r"`(.+?)`", line.split(" | ")[0])]
    assert len(told) > 10
    assert {word for word in told if word not in texts} == {"Address already in use", "Permission denied"}
