"""docs/conditions.md has every condition of the table."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def test_the_page_is_that_of_the_table():
    spec = importlib.util.spec_from_file_location("conditions_page", Path(__file__).with_name("conditions_page.py"))
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    text = page.PAGE.read_text(encoding="utf-8")
    assert text == page.render_page(), "run python tests/docs/conditions_page.py"
