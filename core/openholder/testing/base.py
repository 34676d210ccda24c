"""What every part of the contract uses: the author's source over the kit's rows, and what it should have answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from openholder.query import Page, Query, Row, select
from openholder.testing.comparing import Identity, Reader, identities
from openholder.testing.questions import Cases, narrowed, owned, owners
from openholder.testing.rows import COLLECTIONS, Rows, pristine, rows_of
from openholder.testing.running import Asked, about, run

Scenario = Callable[[Asked], Awaitable[None]]
LOGINS = "logins"
"""The one collection that is only asked for by e-mail address, never for an owner."""


class ContractBase:
    """What an author says of a source, and how the tests ask it."""

    collections: ClassVar[Sequence[str]] = COLLECTIONS
    """The collections that the source can serve, of those that the kit has rows for. Tests of others are skipped."""
    exact_types: ClassVar[bool] = False
    """Whether values come back letter for letter: ``1.50`` as that and not as ``1.5``."""
    keeps_order: ClassVar[bool] = True
    """Whether records that are equal in order come as their rows were put in, not only always in the same order."""
    documents: ClassVar[bool] = False
    """Whether ``fdx.statements`` has documents: its rows then hold them as bytes, under ``document``."""
    patience: ClassVar[float] = 10.0
    """Seconds after which a hook counts as one that does not end."""

    def make_source(self, tmp_path: Path, rows: Rows) -> object:
        """Make a source that serves exactly these rows, and do not open it."""
        raise NotImplementedError

    def hanging(self, source: object) -> AbstractContextManager[object] | None:
        """While this lasts, what is behind the source does not answer it. Optional: ``None`` skips that test."""
        return None

    def _play(self, tmp_path: Path, scenario: Scenario, *, opened: bool = True) -> None:
        """Play a scenario with a source, which is closed whatever happens."""
        rows = rows_of(self.collections, documents=self.documents)
        run(self._played(Asked(self.make_source(tmp_path, rows), self.patience), scenario, opened))

    async def _played(self, source: Asked, scenario: Scenario, opened: bool) -> None:
        try:
            if opened:
                await source.run("open")
            await scenario(source)
        finally:
            await source.run("close")

    # -- what the answer should be ------------------------------------------------------------------------------

    def _rows(self, collection: str) -> Sequence[Row]:
        """The rows of a collection, as they were given to the source."""
        return pristine(collection, self.documents)

    def _expected(self, query: Query) -> Page:
        """What the question means."""
        return select(self._rows(query.collection), query)

    def _reader(self, collection: str) -> Reader:
        """Reads records of a collection."""
        columns = frozenset(name for row in self._rows(collection) for name in row) - {"document"}
        return Reader(columns, self.exact_types)

    # -- comparing ----------------------------------------------------------------------------------------------

    async def _check(self, source: Asked, query: Query) -> None:
        """Ask, and compare which records come, in which order, and how many there are in all."""
        page, meant = await source.ask(query), self._expected(query)
        with about(query):
            self._check_records(query, page.records, meant.records)
            assert page.total == meant.total, f"the total is {page.total!r}, not {meant.total}"

    def _check_records(self, query: Query, found: Sequence[Row], meant: Sequence[Row]) -> None:
        """Compare which records these are, and their order as far as the question or the source has one."""
        have, want = identities(query.collection, found), identities(query.collection, meant)
        assert sorted(have) == sorted(want), difference(have, want)
        assert not self.keeps_order or have == want, f"another order: {have!r}, not {want!r}"
        keys = {one: [order.key(record) for order in query.order] for one, record in zip(want, meant, strict=True)}
        in_order = [keys[one] for one in have] == [keys[one] for one in want]
        assert in_order, f"not in the order that was asked for: {have!r}"

    async def _check_cases(self, source: Asked, cases: Cases) -> None:
        """Filter by each of the cases."""
        for collection in self._served(cases):
            for filters in cases[collection].values():
                for query in narrowed(collection, filters):
                    await self._check(source, query)

    # -- what can be tested -------------------------------------------------------------------------------------

    def _served(self, wanted: Sequence[str] | Mapping[str, object]) -> list[str]:
        """Those of some collections that the source serves; without any, the test is skipped."""
        found = [name for name in wanted if name in self.collections]
        if not found:
            pytest.skip(f"serves none of {', '.join(wanted)}")
        return found

    def _owned_collections(self) -> list[str]:
        """The collections that are asked for an owner's records."""
        return self._served([name for name in COLLECTIONS if name != LOGINS])

    def _questions(self) -> list[Query]:
        """One question for all records of each owner, in each collection."""
        return [owned(name, owner) for name in self._owned_collections() for owner in owners(name)]

    def _lists(self) -> list[Query]:
        """The questions that a few records answer, and those with the most: pages are cut from them."""
        ranked = sorted(self._questions(), key=lambda query: self._expected(query).total)
        longest = {query.collection: query for query in ranked}
        return list(longest.values())

    async def _part(self, source: Asked, query: Query, offset: int, limit: int | None) -> Page:
        """One page of a question."""
        return await source.ask(replace(query, offset=offset, limit=limit))


def difference(have: Sequence[Identity], want: Sequence[Identity]) -> str:
    """What is too much and what is not there."""
    more = sorted(set(have) - set(want))[:3]
    less = sorted(set(want) - set(have))[:3]
    twice = sorted(one for one, count in Counter(have).items() if count > 1)[:3]
    told = {"records that were not asked for": more, "records that are missing": less, "records that come twice": twice}
    return "; ".join([*(f"{what}: {which!r}" for what, which in told.items() if which), f"{len(have)} came"])
