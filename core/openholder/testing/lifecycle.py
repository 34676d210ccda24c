"""The contract of a source's lifecycle: hooks, opening and closing, concurrent queries, cancelled queries."""

from __future__ import annotations

import asyncio
import io
import logging
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from openholder.errors import NotFound, SourceFault
from openholder.query import Filter, Operator, Query
from openholder.testing.base import ContractBase, with_source, with_unopened_source
from openholder.testing.harness import SourceUnderTest, failures_naming, logging_to, wait_within
from openholder.testing.sample_rows import TEXTS, copy_rows

NOWHERE = "kit.no_such_collection"
UNKNOWN_OPERATOR = cast(Operator, "no such operator")
MARKER = "somebody-s-id"
"""A value in queries that no message may contain."""
OFTEN = 20
"""Enough repetitions to exhaust a connection pool that leaks."""
HANG_TIME = 0.2
"""Seconds to wait before cancelling a query that hangs."""
LONG_ENOUGH = 9
"""Characters of a text that does not appear in a log by chance."""
TURNS = (0, 1, 2, 3, 5, 8, 13, 50)
"""Turns of the event loop before a query is cancelled: at its start, on the way, near its end."""


class LifecycleTests(ContractBase):
    """Hooks, opening and closing, concurrent queries, cancelled queries."""

    # -- hooks --------------------------------------------------------------------------------------------------

    @with_unopened_source
    async def test_hooks_are_known_and_async_where_they_must_be(self, source: SourceUnderTest) -> None:
        """Fail if a hook does not exist, or is not ``async def`` where it must be: a misspelt hook is never called."""
        source.check_hooks()

    @with_source
    async def test_it_names_the_collections_that_it_serves(self, source: SourceUnderTest) -> None:
        """Fail if ``collections()`` leaves out a collection that is served: the server queries no others."""
        found = source.get_collections()
        missing = sorted(set(self.collections) - found)
        assert not missing, f"collections() does not name {missing!r}"
        assert NOWHERE not in found, "collections() names a collection that does not exist"

    @with_source
    async def test_a_collection_that_is_not_served_is_a_fault_and_no_empty_page(self, source: SourceUnderTest) -> None:
        """Fail if an unknown collection does not raise `SourceFault`.

        An empty page looks like an owner without records.
        """
        for _ in range(OFTEN):
            await self._check_fault(source, Query(collection=NOWHERE, filters=(Filter("id", "eq", MARKER),)))
        await self._check_longest(source)

    @with_source
    async def test_an_operator_that_is_not_known_is_a_fault(self, source: SourceUnderTest) -> None:
        """Fail if an unknown operator does not raise `SourceFault`.

        New ones may be added, and an ignored filter leaks records.
        """
        for query in self._list_longest_queries():
            member = query.filters[0].member  # every record has it
            filters = (*query.filters, Filter(member, UNKNOWN_OPERATOR, MARKER))
            await self._check_fault(source, replace(query, filters=filters))

    async def _check_fault(self, source: SourceUnderTest, query: Query) -> None:
        """Check that a query raises `SourceFault`, with a message that may be logged."""
        with failures_naming(query):
            try:
                page = await wait_within(self.patience, source.fetch_unchecked(query), "the query")
            except SourceFault as exc:
                assert MARKER not in str(exc), f"the message contains a value of the query: {exc}"
            except NotFound:
                pytest.fail("raised NotFound, expected SourceFault: the server treats NotFound as an empty page")
            except AssertionError:
                raise
            except Exception as exc:
                pytest.fail(f"raised {type(exc).__name__}, expected SourceFault")
            else:
                pytest.fail(f"returned a page with a total of {page.total}, expected SourceFault")

    # -- opening and closing ------------------------------------------------------------------------------------

    @with_source
    async def test_it_is_healthy_while_it_is_open(self, source: SourceUnderTest) -> None:
        """Fail if ``health()`` raises while the source is open and its backend there: the server would not be ready."""
        for _ in range(OFTEN):
            await source.call("health")
        await self._check_longest(source)
        await source.call("health")

    @with_source
    async def test_closing_twice_is_fine(self, source: SourceUnderTest) -> None:
        """Fail if a second ``close()`` raises: the server may be stopped while it is stopping."""
        await source.call("close")
        await source.call("close")

    @with_unopened_source
    async def test_it_can_be_closed_without_having_been_opened(self, source: SourceUnderTest) -> None:
        """Fail if ``close()`` raises without ``open()``: the server also closes a source that could not be opened."""
        # Nothing to do: the source is closed after each test.

    @with_source
    async def test_it_can_be_opened_again(self, source: SourceUnderTest) -> None:
        """Fail if a source that is closed and opened again answers differently: `open` may follow `close`."""
        await self._check_longest(source)
        await source.call("close")
        await source.call("open")
        await self._check_longest(source)

    def test_closing_one_source_leaves_others_of_its_kind_alone(self, tmp_path: Path) -> None:
        """Fail if two instances share state.

        On a reload the server opens new sources, and closes the old ones after that.
        """
        folder = tmp_path / "other"
        folder.mkdir()
        plugin = self.make_source(folder, copy_rows(self.collections, documents=self.documents))
        other = SourceUnderTest(plugin, self.patience)
        self._run_with_source(tmp_path, partial(self._open_and_close_other, other))

    async def _open_and_close_other(self, other: SourceUnderTest, source: SourceUnderTest) -> None:
        await other.call("open")
        await self._check_longest(other)
        await other.call("close")
        await self._check_longest(source)

    @with_source
    async def test_advice_is_given_in_sentences(self, source: SourceUnderTest) -> None:
        """Fail if ``advice()`` returns one string, or raises: `openholder check` prints each suggestion on a line."""
        for query in self._list_longest_queries():
            advice = await source.get_advice(query)
            with failures_naming(query):
                # A string is a sequence of strings of length one.
                assert all(len(text) > 1 for text in advice), f"advice must be a sequence of sentences: {advice!r}"

    def test_nothing_of_anybody_is_printed_or_logged(self, tmp_path: Path) -> None:
        """Fail if customer data is printed or logged, from INFO on: logs are read by more people, and for longer."""
        output = io.StringIO()
        handler = logging.StreamHandler(output)
        with redirect_stdout(output), redirect_stderr(output), logging_to(handler):
            self._run_with_source(tmp_path, self._fetch_everything)
        found = [text for text in TEXTS if len(text) >= LONG_ENOUGH and text in output.getvalue()]
        assert not found, f"printed or logged a value of a record: {found[0]!r}"

    async def _fetch_everything(self, source: SourceUnderTest) -> None:
        for query in self._list_owner_queries():
            await source.fetch(query)

    # -- concurrent and cancelled queries -----------------------------------------------------------------------

    @with_source
    async def test_questions_at_the_same_time_have_each_their_own_answer(self, source: SourceUnderTest) -> None:
        """Fail if concurrent queries mix up their results: one customer would get what is another's.

        The server sends up to ``concurrency`` queries at once.
        """
        queries = self._list_owner_queries()
        pages = await asyncio.gather(*map(source.fetch, queries))
        for query, page in zip(queries, pages, strict=True):
            with failures_naming(query):
                self._check_records(query, page.records, self._select_expected(query).records)

    @with_source
    async def test_a_question_that_is_given_up_ends(self, source: SourceUnderTest) -> None:
        """Fail if a cancelled query goes on, or raises anything else; a result that was ready may still come.

        Clients disconnect all the time, and each query that goes on takes one of the ``concurrency`` places.
        """
        for query in self._list_longest_queries():
            for turns in TURNS:
                await self._cancel(source, query, turns)

    async def _cancel(self, source: SourceUnderTest, query: Query, turns: int) -> None:
        """Start a query, cancel it after some turns of the event loop, and check how it ends."""
        task = asyncio.ensure_future(source.fetch_unchecked(query))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=self.patience)
        with failures_naming(query):
            assert done, f"still running {self.patience:g} s after it was cancelled"
            if not task.cancelled() and task.exception() is not None:
                raise AssertionError(f"raised {type(task.exception()).__name__} when cancelled")

    @with_source
    async def test_a_question_that_was_given_up_leaves_the_source_usable(self, source: SourceUnderTest) -> None:
        """Fail if cancelled queries keep connections or locks: after enough of them no query is answered any more."""
        for query in self._list_longest_queries():
            await asyncio.gather(*[self._cancel(source, query, turns) for turns in TURNS * 5])
            await self._check_query(source, query)
        await source.call("health")

    @with_source
    async def test_a_question_that_hangs_can_be_given_up(self, source: SourceUnderTest) -> None:
        """Fail if a query to a backend that hangs cannot be cancelled, or the source does not recover afterwards.

        One slow minute of the backend would otherwise last until a restart. Needs `hanging`.
        """
        backend_hangs = self.hanging(source.plugin)
        if backend_hangs is None:
            pytest.skip("`hanging` is not implemented: unproven that the source recovers from a backend that hangs")
        with backend_hangs:
            queries = self._list_longest_queries()
            tasks = [asyncio.ensure_future(source.fetch_unchecked(query)) for query in queries]
            done, waiting = await asyncio.wait(tasks, timeout=HANG_TIME)
            assert not done, f"{len(done)} queries ended while the backend hangs"
            for task in waiting:
                task.cancel()
            _, running = await asyncio.wait(waiting, timeout=self.patience)
            assert not running, f"{len(running)} queries still running {self.patience:g} s after they were cancelled"
        await self._check_longest(source)
