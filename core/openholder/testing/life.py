"""The contract of a source's life: hooks, opening and closing, many questions at once, and those that are given up."""

from __future__ import annotations

import asyncio
import io
import logging
from contextlib import AbstractContextManager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from openholder.errors import NotFound, SourceFault
from openholder.query import Filter, Operator, Query
from openholder.testing.base import ContractBase
from openholder.testing.rows import TEXTS, rows_of
from openholder.testing.running import Asked, about, logged_to, shown, within

NOWHERE = "kit.no_such_collection"
MARKER = "somebody-s-id"
OFTEN = 20
"""Times after which a pool is empty, if what is taken out of it does not go back."""
MOMENT = 0.2
"""Seconds after which a question to a source that hangs is given up."""
PERSONAL = 9
"""From so many letters on a text of the rows is nothing that stands in a log by chance."""
TURNS = (0, 1, 2, 3, 5, 8, 13, 50)
"""Turns of the event loop after which a question is given up: at its beginning, on its way, at its end."""


class LifeTests(ContractBase):
    """Hooks, opening and closing, many questions at once, and those that are given up."""

    # -- hooks --------------------------------------------------------------------------------------------------

    def test_hooks_are_known_and_async_where_they_must_be(self, tmp_path: Path) -> None:
        """A hook that is misspelt would never be called."""

        async def scenario(source: Asked) -> None:
            source.check_hooks()

        self._play(tmp_path, scenario, opened=False)

    def test_it_names_the_collections_that_it_serves(self, tmp_path: Path) -> None:
        """The host asks for no others."""

        async def scenario(source: Asked) -> None:
            lacking = sorted(set(self.collections) - source.collections())
            assert not lacking, f"collections() does not name {lacking!r}"
            assert NOWHERE not in source.collections(), "collections() names one that is not there"

        self._play(tmp_path, scenario)

    def test_a_collection_that_is_not_served_is_a_fault_and_no_empty_page(self, tmp_path: Path) -> None:
        """Any exception will do but `NotFound`, which the host takes for an empty page."""

        async def scenario(source: Asked) -> None:
            for _ in range(OFTEN):
                await self._check_fault(source, Query(collection=NOWHERE, filters=(Filter("id", "eq", MARKER),)))
            await self._check_some(source)

        self._play(tmp_path, scenario)

    def test_an_operator_that_is_not_known_is_a_fault(self, tmp_path: Path) -> None:
        """Whoever leaves a filter out answers with more than was asked for. Operators may be added to the interface."""
        unheard = cast(Operator, "no such operator")

        async def scenario(source: Asked) -> None:
            for query in self._lists():
                member = query.filters[0].member  # each record has it
                await self._check_fault(
                    source, replace(query, filters=(*query.filters, Filter(member, unheard, MARKER)))
                )

        self._play(tmp_path, scenario)

    async def _check_fault(self, source: Asked, query: Query) -> None:
        """A fault of the source, with a text that may stand in a log."""
        with about(query):
            try:
                page = await within(self.patience, source.fetch(query), "the question")
            except SourceFault as exc:
                assert MARKER not in str(exc), f"the fault quotes what was asked for: {exc}"
            except NotFound:
                pytest.fail("NotFound, which the host takes for an empty page")
            except AssertionError:
                raise
            except Exception as exc:
                pytest.fail(f"{type(exc).__name__} where SourceFault is due")
            else:
                pytest.fail(f"answered with {page.total} records")

    # -- opening and closing ------------------------------------------------------------------------------------

    def test_it_is_healthy_while_it_is_open(self, tmp_path: Path) -> None:
        """A probe that fails takes the host out of service."""

        async def scenario(source: Asked) -> None:
            for _ in range(OFTEN):
                await source.run("health")
            await self._check_some(source)
            await source.run("health")

        self._play(tmp_path, scenario)

    def test_closing_twice_is_fine(self, tmp_path: Path) -> None:
        """The host may be stopped while it stops."""

        async def scenario(source: Asked) -> None:
            await source.run("close")
            await source.run("close")

        self._play(tmp_path, scenario)

    def test_it_can_be_closed_without_having_been_opened(self, tmp_path: Path) -> None:
        """That is how the host ends a source that could not be opened."""

        async def scenario(source: Asked) -> None:
            """Nothing: the source is closed at the end."""

        self._play(tmp_path, scenario, opened=False)

    def test_it_can_be_opened_again(self, tmp_path: Path) -> None:
        """And answers as before."""

        async def scenario(source: Asked) -> None:
            await self._check_some(source)
            await source.run("close")
            await source.run("open")
            await self._check_some(source)

        self._play(tmp_path, scenario)

    async def _check_some(self, source: Asked) -> None:
        """Ask for the longest list of each collection."""
        for query in self._lists():
            await self._check(source, query)

    def test_closing_one_source_leaves_others_of_its_kind_alone(self, tmp_path: Path) -> None:
        """A new configuration is opened beside the old one, which is closed then."""
        rows = rows_of(self.collections, documents=self.documents)
        (tmp_path / "other").mkdir()
        other = Asked(self.make_source(tmp_path / "other", rows), self.patience)

        async def scenario(source: Asked) -> None:
            await other.run("open")
            await self._check_some(other)
            await other.run("close")
            await self._check_some(source)

        self._play(tmp_path, scenario)

    def test_advice_is_given_in_sentences(self, tmp_path: Path) -> None:
        """Of every question, where the source has advice."""

        async def scenario(source: Asked) -> None:
            for query in self._lists():
                said = await source.advice(query)
                with about(query):
                    assert all(len(text) > 1 for text in said), f"advice that is no sequence of texts: {said!r}"

        self._play(tmp_path, scenario)

    def test_nothing_of_anybody_is_printed_or_logged(self, tmp_path: Path) -> None:
        """Logs are kept longer, and by more people, than data may be."""
        printed = io.StringIO()
        written = logging.StreamHandler(printed)

        async def scenario(source: Asked) -> None:
            for query in self._questions():
                await source.ask(query)

        with redirect_stdout(printed), redirect_stderr(printed), logged_to(written):
            self._play(tmp_path, scenario)
        told = [text for text in TEXTS if len(text) >= PERSONAL and text in printed.getvalue()]
        assert not told, f"printed or logged: {told[0]!r}"

    # -- many at once, and given up -----------------------------------------------------------------------------

    def test_questions_at_the_same_time_have_each_their_own_answer(self, tmp_path: Path) -> None:
        """The host asks as many at once as `concurrency` says."""

        async def scenario(source: Asked) -> None:
            questions = self._questions()
            pages = await asyncio.gather(*map(source.ask, questions))
            for query, page in zip(questions, pages, strict=True):
                with about(query):
                    self._check_records(query, page.records, self._expected(query).records)

        self._play(tmp_path, scenario)

    def test_a_question_that_is_given_up_ends(self, tmp_path: Path) -> None:
        """At once, as cancelled, or with its answer where that was there already."""

        async def scenario(source: Asked) -> None:
            for query in self._lists():
                for turns in TURNS:
                    await self._give_up(source, query, turns)

        self._play(tmp_path, scenario)

    async def _give_up(self, source: Asked, query: Query, turns: int) -> None:
        task = asyncio.ensure_future(source.fetch(query))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=self.patience)
        assert done, f"{shown(query)}: goes on though it was cancelled"
        if not task.cancelled() and task.exception() is not None:
            raise AssertionError(f"{shown(query)}: cancelled, it raises {type(task.exception()).__name__}")

    def test_a_question_that_was_given_up_leaves_the_source_usable(self, tmp_path: Path) -> None:
        """Connections go back, locks open again: after many of them too."""

        async def scenario(source: Asked) -> None:
            for query in self._lists():
                await asyncio.gather(*[self._give_up(source, query, turns) for turns in TURNS * 5])
                await self._check(source, query)
            await source.run("health")

        self._play(tmp_path, scenario)

    def test_a_question_that_hangs_can_be_given_up(self, tmp_path: Path) -> None:
        """Needs `hanging`."""

        async def scenario(source: Asked) -> None:
            held = self.hanging(source.plugin)
            if held is None:
                pytest.skip("nothing to make it hang")
            await self._hang(source, held)
            await self._check_some(source)

        self._play(tmp_path, scenario)

    async def _hang(self, source: Asked, held: AbstractContextManager[object]) -> None:
        """Ask a few questions in vain."""
        with held:
            asked = [asyncio.ensure_future(source.fetch(query)) for query in self._lists()]
            answered, waiting = await asyncio.wait(asked, timeout=MOMENT)
            assert not answered, f"{len(answered)} questions were answered while nothing answers"
            for task in waiting:
                task.cancel()
            _, running = await asyncio.wait(waiting, timeout=self.patience)
            assert not running, f"{len(running)} questions go on though they were cancelled"
