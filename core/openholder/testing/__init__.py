"""The contract kit: tests that compare a source with `openholder.select`.

Subclass `SourceContract` in a test file, under a name that begins with ``Test``, and implement `make_source`. The kit
needs pytest and no pytest plugin. Every inherited test makes its own source.

``COLLECTIONS`` names the collections that the kit has rows for. ``AMOUNTS``, ``MOMENTS``, ``TRUTHS`` and ``LISTS`` are
sets of member names: numbers, times, booleans and lists of objects. Use them to choose column types.
"""

from __future__ import annotations

from openholder.testing.conduct import ConductTests
from openholder.testing.lifecycle import LifecycleTests
from openholder.testing.pages import PageTests
from openholder.testing.query_results import ResultTests
from openholder.testing.sample_rows import AMOUNTS, COLLECTIONS, LISTS, MOMENTS, TRUTHS, Rows
from openholder.testing.special import SpecialRowTests

__all__ = ["AMOUNTS", "COLLECTIONS", "LISTS", "MOMENTS", "TRUTHS", "Rows", "SourceContract"]


class SourceContract(ResultTests, PageTests, LifecycleTests, ConductTests, SpecialRowTests):
    """The contract between openholder and a source: everything that the server relies on.

    Subclass it, implement `make_source`, and override the attributes whose default does not fit your source. Override
    `hanging` to test that hanging queries can be cancelled, `failing` to test that a lost backend is told, and
    `change_rows` to find stale caches.

    Attributes:
        collections: The collections that the source serves, out of the kit's ``COLLECTIONS``; all by default. Tests
            of other collections are skipped.
        exact_types: True if amounts and times are returned exactly as written: ``1.50``, not ``1.5``. Default: False.
        keeps_order: True if records with equal sort keys are returned in the order of their rows. False if their
            order is only stable. Default: True.
        documents: True if ``fdx.statements`` has documents: its rows then hold them as bytes under ``document``.
            Default: False.
        typed: True if `make_source` also takes values of types: ``Decimal``, ``bool``, ``datetime``, ``date``, lists.
            Default: False.
        any_text: True if every member can hold any text. False if the backend has types, and refuses an amount that
            is none. Default: True.
        nul_text: True if text can hold a NUL character. Default: True.
        at_once: How many queries reach the backend at the same time, at least; 1 if the source asks one at a time on
            purpose. Default: 2.
        patience: Seconds that a hook may take before the test fails. Default: 10.

    Example::

        class TestKimSource(SourceContract):
            exact_types = True

            def make_source(self, tmp_path, rows):
                (tmp_path / "kim.json").write_text(json.dumps(rows))
                return KimSource("kim", KimSettings(path=tmp_path / "kim.json"))
    """
