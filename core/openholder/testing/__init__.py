"""The contract kit: tests that prove a source right against `openholder.select`.

Subclass `SourceContract` in a test file under a name that begins with ``Test``, say how the source is made, and run
pytest, which is all that this package needs beside openholder. Every inherited test asks a source of its own.
"""

from __future__ import annotations

from openholder.testing.answers import AnswerTests
from openholder.testing.life import LifeTests
from openholder.testing.pages import PageTests
from openholder.testing.rows import AMOUNTS, COLLECTIONS, LISTS, MOMENTS, TRUTHS, Rows

__all__ = ["AMOUNTS", "COLLECTIONS", "LISTS", "MOMENTS", "TRUTHS", "Rows", "SourceContract"]


class SourceContract(AnswerTests, PageTests, LifeTests):
    """All that the host relies on. Override `make_source`, and whichever attribute is not so for your source."""
