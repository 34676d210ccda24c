"""The measurements in ``bench/`` that a build depends on."""

from __future__ import annotations

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
