"""The measurements in ``bench/`` that a build depends on."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def serve(monkeypatch):
    """The module ``bench/serve.py``."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    import serve

    return serve


def test_what_is_sixty_percent_dearer_in_its_best_round_fails(serve):
    variant, figures = serve.Variant("memory", "tornado", 1), serve.Figures()
    for multiples in ((17.0, 16.1), (15.9, 16.2), (30.0, 40.0)):
        for operation, multiple in zip(("search", "balance"), multiples, strict=True):
            figures.keep_best(operation, multiple * 100, multiple)
    baseline = {str(variant): {"search": 10.0, "balance": 10.0}}
    (dearer,) = serve.list_dearer({variant: figures}, baseline)
    assert "balance" in dearer
    assert serve.list_dearer({variant: figures}, {}) == []


def test_the_page_has_a_row_for_each_measured_variant(serve):
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    assert serve.TABLE.search(page)
    baseline = json.loads((ROOT / "bench/baseline.json").read_text(encoding="utf-8"))
    for variant, multiples in baseline["multiples"].items():
        assert f"| {variant} " in page
        assert set(multiples) == set(serve.OPERATIONS)


@pytest.mark.slow
def test_the_soak_finds_answers_of_two_databases_and_old_ones(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "bench")
    from soak_bank import Asked, Generation, write_first
    from soak_load import SETTLING, Load

    records = write_first(tmp_path / "first.db")
    old, new = Generation(records, 1), Generation(records, 2)
    load = Load("https://localhost", None, None, [(0.0, old), (100.0, new)])
    account = next(iter(records.bookings))
    asked = Asked("transactions", "GET", "/", "", None, 200, (account, "1"))
    before, after = (generation.expect(asked.operation, asked.key) for generation in (old, new))
    mixed = json.loads(json.dumps(after))
    mixed["data"]["transactions"][3] = before["data"]["transactions"][3]
    lacking = json.loads(json.dumps(after))
    del lacking["data"]["transactions"][3]
    for answer, sent, right in (
        (after, 100.0, True),
        (before, 100.0, True),
        (before, 100.0 + SETTLING, False),
        (mixed, 100.0, False),
        (lacking, 100.0, False),
    ):
        assert load._is_expected(asked, sent, dict(answer)) is right


@pytest.fixture
def mutants(monkeypatch):
    """The module ``bench/mutants.py``."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    import mutants

    return mutants


@pytest.mark.checkout
def test_each_kind_of_mutant_changes_one_place_of_its_code(mutants):
    kinds = {}
    for source, found in mutants.SOURCES.items():
        kinds |= {mutant.change: mutant for mutant in mutants.list_mutants(source, found.files)}
    assert len(kinds) == 9
    for mutant in kinds.values():
        code = mutants.read_code(mutant.file)
        before, after = (ast.unparse(tree).splitlines() for tree in (ast.parse(code), mutant.apply(code)))
        assert before != after, mutant
        compile(mutant.apply(code), mutant.file, "exec")
