"""The contract of lists: their order, and the pages that they are cut into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from openholder.query import Query
from openholder.testing.base import ContractBase, difference
from openholder.testing.comparing import Identity, identities
from openholder.testing.questions import AMOUNTS, MOMENTS, narrowed, of_several
from openholder.testing.rows import ACCOUNT_IDS
from openholder.testing.running import Asked, about

SIZES = (1, 3, 10, 1000)
FAR = 2**62
"""The farthest beyond the end that the host asks for."""
TIMES = 4
"""How often the same question is put to see whether the answer is the same."""


class PageTests(ContractBase):
    """The order of lists, and the pages that they are cut into."""

    # -- order --------------------------------------------------------------------------------------------------

    def test_the_newest_come_first_and_what_is_equally_new_by_its_id(self, tmp_path: Path) -> None:
        """Moments whatever their offset, texts by code points, and records without a time before all others."""

        async def scenario(source: Asked) -> None:
            for query in self._ordered():
                await self._check(source, query)

        self._play(tmp_path, scenario)

    def _ordered(self) -> list[Query]:
        """The questions that ask for an order, those for the records of several accounts among them."""
        several = [of_several(name, ACCOUNT_IDS) for name in self._served(["banking.transactions", "energy.invoices"])]
        return [query for query in self._questions() if query.order] + several

    def test_records_without_an_order_come_as_they_were_put_in(self, tmp_path: Path) -> None:
        """New ones at the end: what was on the first page stays there. Needs `keeps_order`."""

        async def scenario(source: Asked) -> None:
            for query in self._questions():
                if not query.order:
                    await self._check(source, query)

        self._play(tmp_path, scenario)

    def test_the_order_is_the_same_each_time(self, tmp_path: Path) -> None:
        """Otherwise pages of one list overlap."""

        async def scenario(source: Asked) -> None:
            for query in self._lists():
                answers = [await self._come(source, query) for _ in range(TIMES)]
                with about(query):
                    assert all(answer == answers[0] for answer in answers), "the order changes from answer to answer"

        self._play(tmp_path, scenario)

    async def _come(self, source: Asked, query: Query, offset: int = 0, limit: int | None = None) -> list[Identity]:
        """Which records come, in which order."""
        return identities(query.collection, (await self._part(source, query, offset, limit)).records)

    def test_an_answer_is_to_its_own_question_and_to_none_before(self, tmp_path: Path) -> None:
        """Where answers are kept, order and page are a part of the question."""

        async def scenario(source: Asked) -> None:
            for query in self._lists():
                for again in (
                    query,
                    replace(query, order=()),
                    replace(query, limit=2),
                    replace(query, offset=1),
                    query,
                ):
                    await self._check(source, again)

        self._play(tmp_path, scenario)

    # -- pages --------------------------------------------------------------------------------------------------

    def test_no_page_is_longer_than_its_limit(self, tmp_path: Path) -> None:
        """And none is shorter, where there are more records."""

        async def scenario(source: Asked) -> None:
            for query in self._lists():
                for size in SIZES:
                    found = len((await self._part(source, query, 0, size)).records)
                    with about(query):
                        assert found == min(size, self._expected(query).total), f"{found} records on a page of {size}"

        self._play(tmp_path, scenario)

    def test_the_total_counts_all_pages(self, tmp_path: Path) -> None:
        """On each page the same number: that of the records on all of them."""

        async def scenario(source: Asked) -> None:
            for query in self._lists():
                meant = self._expected(query).total
                for offset in range(0, meant, 2):
                    total = (await self._part(source, query, offset, 2)).total
                    with about(query):
                        assert total == meant, f"the total is {total}, not {meant}, from {offset} on"

        self._play(tmp_path, scenario)

    def test_pages_follow_one_another_without_gap_or_overlap(self, tmp_path: Path) -> None:
        """One after the other they are the whole list, as a set and in order."""

        async def scenario(source: Asked) -> None:
            for query in self._lists():
                whole = await self._come(source, query)
                for size in SIZES:
                    starts = range(0, len(whole), size)
                    joined = [one for at in starts for one in await self._come(source, query, at, size)]
                    with about(query):
                        assert joined == whole, f"pages of {size} are not the list: {difference(joined, whole)}"

        self._play(tmp_path, scenario)

    def test_filters_count_before_a_list_is_cut_into_pages(self, tmp_path: Path) -> None:
        """Otherwise a page has fewer records than there are, or none."""

        async def scenario(source: Asked) -> None:
            for collection in self._served(["banking.transactions", "energy.invoices"]):
                for filters in {**MOMENTS, **AMOUNTS}[collection].values():
                    for query in narrowed(collection, filters):
                        await self._check(source, replace(query, offset=1, limit=3))

        self._play(tmp_path, scenario)

    def test_beyond_the_end_a_page_is_empty_and_its_total_is_right(self, tmp_path: Path) -> None:
        """However far."""

        async def scenario(source: Asked) -> None:
            for query in self._lists():
                meant = self._expected(query).total
                for offset in (meant, meant + 7, FAR):
                    page = await self._part(source, query, offset, 5)
                    with about(query):
                        assert (len(page.records), page.total) == (0, meant), f"from {offset} on: {page.total} in all"

        self._play(tmp_path, scenario)
