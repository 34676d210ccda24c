"""Each promise of the security page names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from catalogue import read_attacks

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/security.md").read_text(encoding="utf-8")
PROMISES = dict(re.findall(r"^### (.+?)\n(.+?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))


@cache
def defined(file: str) -> set[str]:
    """The functions of a test file."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def named(text: str) -> list[tuple[str, str]]:
    """The tests that a text names, as file and function."""
    return re.findall(r"`([\w/]+\.py)::(\w+)`", text)


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_names_tests_that_exist(promise):
    tests = named(PROMISES[promise])
    assert tests
    assert [test for test in tests if test[1] not in defined(test[0])] == []
    assert len(set(tests)) == len(tests)
    lines = [line for line in PROMISES[promise].splitlines() if re.match("-( |$)", line)]
    assert len(lines) == len(tests) + bool(groups(promise))  # nothing is misspelt so that it is not seen


def groups(promise: str) -> set[str]:
    """The groups of attacks that a promise names."""
    return set(re.findall(r"\b[A-Z]\b", "".join(re.findall(r"^- Attacks: (.+)$", PROMISES[promise], re.MULTILINE))))


def test_the_page_names_groups_of_attacks_that_exist():
    letters = {attack.id[0] for attack in read_attacks()}
    promised = set().union(*map(groups, PROMISES))
    assert {"T", "C", "A", "J", "K", "H", "I", "D", "L"} <= promised <= letters


def test_there_are_promises_and_other_places_that_name_tests():
    assert len(PROMISES) >= 16
    elsewhere = set(named(PAGE)) - {test for text in PROMISES.values() for test in named(text)}
    assert [test for test in elsewhere if test[1] not in defined(test[0])] == []
