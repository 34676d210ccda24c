"""What all parts of the contract share: running a test with the author's source, and the expected results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from selectors import BaseSelector
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

from openholder.query import Page, Query, Row, select
from openholder.testing.comparing import Identity, Reader, identify_all
from openholder.testing.harness import SourceUnderTest, failures_naming, run
from openholder.testing.queries import FilterCases, build_filtered_queries, build_owner_query, list_owner_ids
from openholder.testing.sample_rows import COLLECTIONS, Rows, copy_rows, make_rows

TestBody = Callable[[SourceUnderTest], Awaitable[None]]
LOGINS = "logins"
"""The one collection that is only queried by e-mail address, never by owner."""


class ContractBase:
    """Describes the author's source, and runs tests with it."""

    collections: ClassVar[Sequence[str]] = COLLECTIONS
    """The collections that the source serves, out of the kit's. Tests of other collections are skipped."""
    exact_types: ClassVar[bool] = False
    """True if amounts and times are returned exactly as written: ``1.50``, not ``1.5``."""
    keeps_order: ClassVar[bool] = True
    """True if records with equal sort keys are returned in the order of their rows. False if it is only stable."""
    documents: ClassVar[bool] = False
    """True if ``fdx.statements`` has documents: its rows then hold them as bytes under ``document``."""
    patience: ClassVar[float] = 10.0
    """Seconds that a hook may take before the test fails."""
    _other_rows: Rows = MappingProxyType({})
    """Rows of this test that take the place of the kit's, by collection."""

    def make_source(self, tmp_path: Path, rows: Rows) -> object:
        """Make a source that serves exactly the given rows. Do not open it: the kit calls its hooks.

        Called once or twice a test. The rows are a fresh copy: the source may change them.

        Args:
            tmp_path: An empty folder of this source alone, such as for a database file.
            rows: For each name in ``collections`` its rows: mappings from member to text, or ``None`` if the member
                is absent. Values under ``document`` are bytes. Nested members have dotted names.

        Returns:
            An instance of the plugin's class.

        Raises:
            NotImplementedError: A subclass did not implement this method.
        """
        raise NotImplementedError("implement make_source(tmp_path, rows): return a source that serves these rows")

    def hanging(self, source: object) -> AbstractContextManager[object] | None:
        """Make the backend of the source hang, to test that queries can be cancelled. Optional.

        Args:
            source: The open source, as `make_source` returned it.

        Returns:
            A context manager inside which the backend does not answer. ``None``, the default, skips the test.
        """
        return None

    def failing(self, source: object) -> AbstractContextManager[object] | None:
        """Take the backend of the source away, to test that ``health`` and queries tell so. Optional.

        Args:
            source: The open source, as `make_source` returned it.

        Returns:
            A context manager inside which the backend is gone, such as a server that is stopped or a file that has
            another name. Its end brings the backend back with the same rows. ``None``, the default, skips the tests.
        """
        return None

    def _run_with_source(
        self,
        tmp_path: Path,
        body: TestBody,
        *,
        opened: bool = True,
        rows: Rows | None = None,
        selector: BaseSelector | None = None,
    ) -> None:
        """Run *body* with a new source, of the kit's rows or of others, and close the source in any case."""
        self._other_rows = rows or {}
        given = {**copy_rows(self.collections, documents=self.documents), **self._copy_other_rows()}
        plugin = self.make_source(tmp_path, given)
        source = SourceUnderTest(plugin, self.patience)

        async def run_and_close() -> None:
            try:
                if opened:
                    await source.call("open")
                await body(source)
            finally:
                await source.call("close")

        run(run_and_close(), selector)

    def _copy_other_rows(self) -> Rows:
        """Return a fresh copy of the rows that take the place of the kit's, which the author may change."""
        return {name: [dict(row) for row in rows] for name, rows in self._other_rows.items()}

    # -- expected results ---------------------------------------------------------------------------------------

    def _get_rows(self, collection: str) -> Sequence[Row]:
        """Return the rows of a collection as the source received them."""
        return self._other_rows.get(collection) or make_rows(collection, self.documents)

    def _select_expected(self, query: Query) -> Page:
        """Return the page that the query defines."""
        return select(self._get_rows(query.collection), query)

    def _make_reader(self, collection: str) -> Reader:
        columns = frozenset(name for row in self._get_rows(collection) for name in row) - {"document"}
        return Reader(columns, self.exact_types)

    # -- comparing ----------------------------------------------------------------------------------------------

    async def _check_query(self, source: SourceUnderTest, query: Query) -> None:
        """Fetch, and compare the records, their order and the total with what is expected."""
        page = await source.fetch(query)
        expected = self._select_expected(query)
        with failures_naming(query):
            if self.keeps_order or query.order or query == query.cut(0, None):
                self._check_records(query, page.records, expected.records)
            else:  # which records are on a page depends on an order that only the source knows
                self._check_part(query, page.records, len(expected.records))
            assert page.total == expected.total, f"the total is {page.total!r}, expected {expected.total}"

    def _check_records(self, query: Query, found: Sequence[Row], expected: Sequence[Row]) -> None:
        """Compare which records were returned, and their order as far as the query or the source defines one."""
        have = identify_all(query.collection, found)
        want = identify_all(query.collection, expected)
        assert sorted(have) == sorted(want), describe_difference(have, want)
        assert not self.keeps_order or have == want, f"wrong order: {have!r}, expected {want!r}"
        # A source that does not keep the order of its rows must still follow the order of the query.
        keys = {one: [order.key(record) for order in query.order] for one, record in zip(want, expected, strict=True)}
        is_in_order = [keys[one] for one in have] == [keys[one] for one in want]
        assert is_in_order, f"not in the order of the query: {have!r}"

    def _check_part(self, query: Query, found: Sequence[Row], number: int) -> None:
        """Check that a page has a number of records, all of which are part of its list."""
        have = Counter(identify_all(query.collection, found))
        whole = Counter(identify_all(query.collection, self._select_expected(query.cut(0, None)).records))
        assert have <= whole, f"unexpected records: {list(have - whole)!r}"
        assert len(found) == number, f"{len(found)} records returned, expected {number}"

    async def _check_longest(self, source: SourceUnderTest) -> None:
        """Check the longest list of each collection."""
        for query in self._list_longest_queries():
            await self._check_query(source, query)

    async def _check_filters(self, source: SourceUnderTest, cases: FilterCases) -> None:
        """Check a query with each of the filters, in each collection that is served."""
        for collection in self._require_any(cases):
            for filters in cases[collection].values():
                for query in build_filtered_queries(collection, filters):
                    await self._check_query(source, query)

    # -- what to query ------------------------------------------------------------------------------------------

    def _require_any(self, collections: Sequence[str] | Mapping[str, object]) -> list[str]:
        """Return those of some collections that the source serves; skip the test if there are none."""
        served = [name for name in collections if name in self.collections]
        if not served:
            pytest.skip(f"the source serves none of {', '.join(collections)}: this is unproven for other collections")
        return served

    def _list_owner_collections(self) -> list[str]:
        """Return the collections that are queried by owner."""
        return self._require_any([name for name in COLLECTIONS if name != LOGINS])

    def _list_owner_queries(self) -> list[Query]:
        """Return one query for all records of each owner, in each collection."""
        return [
            build_owner_query(collection, owner)
            for collection in self._list_owner_collections()
            for owner in list_owner_ids(collection)
        ]

    def _list_longest_queries(self) -> list[Query]:
        """Return the query with the most records in each collection, to cut pages from."""
        ranked = sorted(self._list_owner_queries(), key=lambda query: self._select_expected(query).total)
        longest = {query.collection: query for query in ranked}  # later ones replace shorter ones
        return list(longest.values())

    async def _fetch_part(self, source: SourceUnderTest, query: Query, offset: int, limit: int | None) -> Page:
        """Fetch one page of a query."""
        return await source.fetch(replace(query, offset=offset, limit=limit))


def with_source(test: Callable[[Any, SourceUnderTest], Awaitable[None]]) -> Callable[[Any, Path], None]:
    """Make an ordinary test method of an async one: it gets an open source, and needs no pytest plugin."""
    return _make_plain_test(test, opened=True)


def with_unopened_source(test: Callable[[Any, SourceUnderTest], Awaitable[None]]) -> Callable[[Any, Path], None]:
    """Do as `with_source`, but do not open the source."""
    return _make_plain_test(test, opened=False)


def _make_plain_test(
    test: Callable[[Any, SourceUnderTest], Awaitable[None]], *, opened: bool
) -> Callable[[Any, Path], None]:
    def run_test(self: ContractBase, tmp_path: Path) -> None:
        self._run_with_source(tmp_path, partial(test, self), opened=opened)

    # functools.wraps would set __wrapped__, and pytest would then look for a fixture named "source".
    run_test.__name__ = test.__name__
    run_test.__qualname__ = test.__qualname__
    run_test.__module__ = test.__module__
    run_test.__doc__ = test.__doc__
    return run_test


def describe_difference(have: Sequence[Identity], want: Sequence[Identity]) -> str:
    """Describe which records are unexpected, missing or duplicated: up to three of each."""
    kinds = {
        "unexpected records": set(have) - set(want),
        "missing records": set(want) - set(have),
        "duplicate records": {one for one, count in Counter(have).items() if count > 1},
    }
    parts = [f"{kind}: {sorted(records)[:3]!r}" for kind, records in kinds.items() if records]
    return "; ".join([*parts, f"{len(have)} records returned"])
