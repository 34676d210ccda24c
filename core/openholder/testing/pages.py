"""The contract of lists: their order, and the pages cut from them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from openholder.query import Query
from openholder.testing.base import ContractBase, describe_difference, with_source
from openholder.testing.comparing import Identity, identify_all
from openholder.testing.harness import SourceUnderTest, failures_naming
from openholder.testing.queries import AMOUNTS, MOMENTS, build_accounts_query, build_filtered_queries
from openholder.testing.sample_rows import ACCOUNT_IDS

ORDERED = ("banking.transactions", "energy.invoices")
SIZES = (1, 3, 10, 1000)
"""Page sizes to try."""
FAR = 2**62
"""The largest offset that the server sends."""
REPETITIONS = 4
"""How often a query is repeated to see whether its result is stable."""


class PageTests(ContractBase):
    """The order of lists, and the pages cut from them."""

    # -- order --------------------------------------------------------------------------------------------------

    @with_source
    async def test_the_newest_come_first_and_what_is_equally_new_by_its_id(self, source: SourceUnderTest) -> None:
        """Fail if records do not follow ``Query.order``, which reads times as instants and texts by code points.

        Absent values are the greatest. Clients stop at the first record that they know, and miss what comes after it.
        """
        by_accounts = [build_accounts_query(name, ACCOUNT_IDS) for name in self._require_any(ORDERED)]
        by_owner = [query for query in self._list_owner_queries() if query.order]
        for query in by_owner + by_accounts:
            await self._check_query(source, query)

    @with_source
    async def test_records_without_an_order_come_as_they_were_put_in(self, source: SourceUnderTest) -> None:
        """Fail if records without ``Query.order`` are not in the order of their rows. See `keeps_order`.

        New rows go to the end: otherwise the first pages change while a client reads on.
        """
        for query in self._list_owner_queries():
            if not query.order:
                await self._check_query(source, query)

    @with_source
    async def test_the_order_is_the_same_each_time(self, source: SourceUnderTest) -> None:
        """Fail if the same query returns another order: pages of one list would overlap."""
        for query in self._list_longest_queries():
            results = [await self._fetch_identities(source, query) for _ in range(REPETITIONS)]
            with failures_naming(query):
                assert all(result == results[0] for result in results), "the order changes between identical queries"

    async def _fetch_identities(
        self, source: SourceUnderTest, query: Query, offset: int = 0, limit: int | None = None
    ) -> list[Identity]:
        """Fetch one page, and return which records are on it, in order."""
        return identify_all(query.collection, (await self._fetch_part(source, query, offset, limit)).records)

    @with_source
    async def test_an_answer_is_to_its_own_question_and_to_none_before(self, source: SourceUnderTest) -> None:
        """Fail if queries that differ in order, limit or offset only get each other's page, as from a cache."""
        for query in self._list_longest_queries():
            variants = (
                query,
                replace(query, order=()),
                replace(query, limit=2),
                replace(query, offset=1),
                query,
            )
            for variant in variants:
                await self._check_query(source, variant)

    # -- pages --------------------------------------------------------------------------------------------------

    @with_source
    async def test_no_page_is_longer_than_its_limit(self, source: SourceUnderTest) -> None:
        """Fail if a page has more than ``limit`` records, or fewer while there are more: the server refuses it."""
        for query in self._list_longest_queries():
            for size in SIZES:
                found = len((await self._fetch_part(source, query, 0, size)).records)
                expected = min(size, self._select_expected(query).total)
                with failures_naming(query):
                    assert found == expected, f"limit {size}: {found} records returned, expected {expected}"

    @with_source
    async def test_the_total_counts_all_pages(self, source: SourceUnderTest) -> None:
        """Fail if ``Page.total`` is not the number of records on all pages together: clients stop, or go on, by it."""
        for query in self._list_longest_queries():
            expected = self._select_expected(query).total
            for offset in range(0, expected, 2):
                total = (await self._fetch_part(source, query, offset, 2)).total
                with failures_naming(query):
                    assert total == expected, f"offset {offset}: the total is {total}, expected {expected}"

    @with_source
    async def test_pages_follow_one_another_without_gap_or_overlap(self, source: SourceUnderTest) -> None:
        """Fail if the pages one after the other are not the whole list in its order.

        A record would be lost, or come twice.
        """
        for query in self._list_longest_queries():
            whole = await self._fetch_identities(source, query)
            for size in SIZES:
                joined: list[Identity] = []
                for offset in range(0, len(whole), size):
                    joined.extend(await self._fetch_identities(source, query, offset, size))
                with failures_naming(query):
                    difference = describe_difference(joined, whole)
                    is_whole = joined == whole if self.keeps_order or query.order else Counter(joined) == Counter(whole)
                    assert is_whole, f"pages of {size} do not add up to the list: {difference}"

    @with_source
    async def test_filters_count_before_a_list_is_cut_into_pages(self, source: SourceUnderTest) -> None:
        """Fail if the page is cut before filters apply: it would have too few records, or none."""
        for collection in self._require_any(ORDERED):
            for filters in {**MOMENTS, **AMOUNTS}[collection].values():
                for query in build_filtered_queries(collection, filters):
                    await self._check_query(source, replace(query, offset=1, limit=3))

    @with_source
    async def test_beyond_the_end_a_page_is_empty_and_its_total_is_right(self, source: SourceUnderTest) -> None:
        """Fail if an offset beyond the end, however large, gives records, an error or another total.

        Clients that walk to the end would never find it.
        """
        for query in self._list_longest_queries():
            total = self._select_expected(query).total
            for offset in (total, total + 7, FAR):
                page = await self._fetch_part(source, query, offset, 5)
                with failures_naming(query):
                    found = (len(page.records), page.total)
                    assert found == (0, total), f"offset {offset}: (records, total) is {found}, expected {(0, total)}"
