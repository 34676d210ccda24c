"""The contract of a source's conduct: it blocks nobody, leaves nothing behind, and ends when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from openholder.errors import NotFound, SharingRefused, SourceFault, SourceUnavailable
from openholder.query import Page, Query
from openholder.testing.base import ContractBase, with_source, with_unopened_source
from openholder.testing.harness import SourceUnderTest, describe_query, failures_naming, wait_within
from openholder.testing.observing import Belongings, LoopWatch, count_waiting_for_a_turn, temporary_files_in

BLOCKED = 0.02
"""Seconds for which a hook may block the event loop: every other request waits for it."""
ATTEMPTS = 6
"""How often something slow is tried again: what a source does itself, it does each time."""
SETTLING = 1.0
"""Seconds after ``close`` until connections and threads have ended."""
CANCELLED_WITHIN = 0.5
"""Seconds in which a cancelled query must have ended."""
HANG_TIME = 0.05
"""Seconds to wait until queries have reached a backend that hangs."""
TURNS = (0, 1, 2, 3, 5, 8, 13, 50)
"""Turns of the event loop before a query is cancelled."""
LOOK = 0.05
"""Seconds between two looks whether the source has noticed that its backend is gone, or back."""
CYCLES = 2
"""How often a source is opened and closed to see whether each time leaves something behind."""


class ConductTests(ContractBase):
    """The event loop, what is left behind, cancellation, and what a closed source does."""

    at_once: ClassVar[int] = 2
    """How many queries reach the backend at the same time, at least; 1 if the source has one connection."""

    # -- the event loop -----------------------------------------------------------------------------------------

    def test_it_never_blocks_the_event_loop(self, tmp_path: Path) -> None:
        """Fail if a hook blocks the event loop for 20 ms, by computing or by waiting: every request waits for it.

        The time for which other processes had the processor does not count, and only what is slow each time
        fails.
        """
        watch = LoopWatch()
        self._run_with_source(tmp_path, partial(self._measure_hooks, watch), opened=False, selector=watch)

    async def _measure_hooks(self, watch: LoopWatch, source: SourceUnderTest) -> None:
        times: dict[str, list[float]] = {}
        for attempt in range(ATTEMPTS):  # each time opened anew: a source may answer from memory later
            for hook, work in self._list_hooks(source).items():
                times.setdefault(hook, []).append(await watch.measure(work))
            await source.call("close")
            # Not the shortest time: the clocks of a busy machine have been wrong once in twenty times.
            blocked = {hook: sorted(took)[min(1, attempt)] for hook, took in times.items()}
            if attempt and max(blocked.values()) < BLOCKED:
                return
        hook = max(blocked, key=blocked.__getitem__)
        took = round(1000 * blocked[hook])
        pytest.fail(f"{hook} blocks the event loop for {took} ms, at most {BLOCKED * 1000:g}: use asyncio.to_thread")

    def _list_hooks(self, source: SourceUnderTest) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """Return what to measure, in the order in which it can be called."""
        queries = self._list_longest_queries()

        async def name_collections() -> None:
            source.get_collections()

        async def fetch_now(query: Query) -> None:
            source.fetch_at_once(query)

        asked = {f"fetch, {describe_query(query)},": partial(source.fetch_unchecked, query) for query in queries}
        at_once = {f"fetch_now, {describe_query(query)},": partial(fetch_now, query) for query in queries}
        opening: dict[str, Callable[[], Awaitable[object]]] = {
            "open": partial(source.call, "open"),
            "collections": name_collections,
        }
        return {**opening, **at_once, **asked, "health": partial(source.call, "health")}

    @with_source
    async def test_questions_do_not_queue_up_behind_one_another(self, source: SourceUnderTest) -> None:
        """Fail if a second query reaches the backend only after the first one has ended: all wait for the slowest.

        See `at_once`. With `hanging` it finds more.
        """
        if self.at_once < 2:
            pytest.skip("`at_once` is 1: unproven that one slow answer does not delay all others")
        for query in self._list_longest_queries():
            for _ in range(ATTEMPTS):
                if not await self._is_queueing(source, query):
                    break
            else:
                with failures_naming(query):
                    pytest.fail("of two queries at the same time, one waits until the other has ended")

    async def _is_queueing(self, source: SourceUnderTest, query: Query) -> bool:
        """Tell whether one of some simultaneous queries waits for its turn for as long as they are observed."""
        with self.hanging(source.plugin) or nullcontext():
            tasks = [asyncio.ensure_future(source.fetch_unchecked(query)) for _ in range(self.at_once)]
            has_waited = False
            try:
                for turn in range(max(TURNS)):
                    await asyncio.sleep(0 if turn < max(TURNS) // 2 else HANG_TIME / max(TURNS))
                    if any(task.done() for task in tasks):
                        break
                    if turn > 1 and not count_waiting_for_a_turn():
                        return False
                    has_waited = count_waiting_for_a_turn() > 0
                return has_waited
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks, timeout=self.patience)

    # -- what is left behind ------------------------------------------------------------------------------------

    def test_nothing_is_left_behind(self, tmp_path: Path) -> None:
        """Fail if a task, thread, open descriptor or file is left after ``close``: each reload would add some."""
        temporary, own = tmp_path / "temporary files", tmp_path / "source"
        temporary.mkdir()
        own.mkdir()
        with temporary_files_in(temporary):
            self._run_with_source(own, partial(self._open_and_close, tmp_path), opened=False)

    async def _open_and_close(self, folder: Path, source: SourceUnderTest) -> None:
        before = Belongings.take_stock(folder)
        await self._use_once(source)  # what is made once in a process, such as by an import, is made now
        once = Belongings.take_stock(folder)
        before = Belongings(before.tasks, before.threads, before.files, max(before.descriptors, once.descriptors))
        for _ in range(CYCLES):
            await self._use_once(source)
        excess = ""
        for _ in range(ATTEMPTS * 10):
            excess = Belongings.take_stock(folder).describe_excess(before)
            if not excess:
                return
            await asyncio.sleep(SETTLING / (ATTEMPTS * 10))
        pytest.fail(f"left behind after close(): {excess}")

    async def _use_once(self, source: SourceUnderTest) -> None:
        await source.call("open")
        await asyncio.gather(*map(source.fetch, self._list_longest_queries()))
        await source.call("health")
        await source.call("close")

    # -- after close --------------------------------------------------------------------------------------------

    @with_source
    async def test_a_closed_source_answers_nothing(self, source: SourceUnderTest) -> None:
        """Fail if ``fetch`` returns a page after ``close``.

        Rows that were kept in memory are those of an earlier time.
        """
        queries = self._list_longest_queries()
        for query in queries:
            await source.fetch(query)
        await source.call("close")
        for query in queries:
            found = await self._describe_answer(source, query)
            with failures_naming(query):
                assert not found, f"{found} after close(), expected SourceFault"

    async def _describe_answer(self, source: SourceUnderTest, query: Query) -> str:
        """Say how a query was answered that should have been refused; empty if it was refused."""
        try:
            await wait_within(self.patience, source.fetch_unchecked(query), "the query")
        except NotFound:
            return "raised NotFound, which is an empty page,"
        except AssertionError:
            raise
        except Exception:  # whichever: the client gets 500
            return ""
        return "returned a page"

    @with_source
    async def test_a_closed_source_answers_nothing_at_once_either(self, source: SourceUnderTest) -> None:
        """Fail if ``fetch_now`` returns a page after ``close``.

        It may raise, or return None to leave the query to ``fetch``.
        """
        queries = self._list_longest_queries()
        for query in queries:
            await source.fetch(query)
        await source.call("close")
        for query in queries:
            page = None
            with suppress(Exception):
                page = source.fetch_at_once(query)
            with failures_naming(query):
                assert page is None, "fetch_now returned a page after close()"

    @with_unopened_source
    async def test_health_fails_if_the_source_is_not_open(self, source: SourceUnderTest) -> None:
        """Fail if ``health()`` returns once the source is closed.

        It looks at nothing, and keeps a broken server in service.
        """
        if not source.has("health"):
            pytest.skip("the source has no hook `health`: unproven that /ready tells when it cannot serve")
        await source.call("open")
        await source.call("close")
        try:
            await source.call("health")
        except AssertionError:
            return
        pytest.fail("health() returned after close(), expected an exception: it does not look at the backend")

    # -- without its backend ------------------------------------------------------------------------------------

    @with_source
    async def test_health_fails_while_the_backend_is_gone(self, source: SourceUnderTest) -> None:
        """Fail if ``health()`` goes on returning while the backend is gone, or goes on raising once it is back.

        ``/ready`` would keep a server in service that can answer nobody, or keep out one that could. Needs `failing`.
        """
        backend_is_gone = self.failing(source.plugin)
        if backend_is_gone is None:
            pytest.skip("`failing` is not implemented: unproven that /ready tells when the backend is gone")
        if not source.has("health"):
            pytest.skip("the source has no hook `health`: unproven that /ready tells when the backend is gone")
        await self._check_longest(source)
        with backend_is_gone:
            await self._wait_for_health(source, is_expected=False)
        await self._wait_for_health(source, is_expected=True)
        await self._check_longest(source)

    async def _wait_for_health(self, source: SourceUnderTest, *, is_expected: bool) -> None:
        """Wait until ``health()`` returns or raises, as is expected, while queries go on."""
        end = asyncio.get_running_loop().time() + self.patience
        while await self._is_healthy(source) != is_expected:
            if asyncio.get_running_loop().time() > end:
                state = "still raises, but the backend is back" if is_expected else "returned, but the backend is gone"
                pytest.fail(f"health() {state} for {self.patience:g} s")
            for query in self._list_longest_queries():  # a source may learn from its queries what has happened
                with suppress(Exception):
                    await wait_within(self.patience, source.fetch_unchecked(query), "the query")
            await asyncio.sleep(LOOK)

    async def _is_healthy(self, source: SourceUnderTest) -> bool:
        try:
            await source.call("health")
        except AssertionError:
            return False
        return True

    @with_source
    async def test_a_backend_that_is_gone_is_no_empty_page(self, source: SourceUnderTest) -> None:
        """Fail if a query to a backend that is gone returns anything but an exception, or the right page from memory.

        An empty page says that a customer has no records. Needs `failing`.
        """
        backend_is_gone = self.failing(source.plugin)
        if backend_is_gone is None:
            pytest.skip("`failing` is not implemented: unproven that a lost backend is not taken for no records")
        queries = self._list_longest_queries()
        with backend_is_gone:
            for query in queries * 2:
                page = None
                with suppress(SourceFault, SourceUnavailable, SharingRefused):
                    page = source.fetch_at_once(query)
                if page is None:
                    page = await self._fetch_or_fail(source, query)
                if page is not None:
                    found, expected = (len(page.records), page.total), self._select_expected(query).total
                    with failures_naming(query):
                        assert found == (expected, expected), f"without its backend it returned {found} records"

    async def _fetch_or_fail(self, source: SourceUnderTest, query: Query) -> Page | None:
        """Return the page of a query; None if it raises as a query without an answer should."""
        try:
            return await wait_within(self.patience, source.fetch_unchecked(query), "the query")
        except NotFound:
            with failures_naming(query):
                pytest.fail("without its backend it raised NotFound, which is an empty page")
        except AssertionError:
            raise
        except Exception:
            return None

    # -- cancelled queries --------------------------------------------------------------------------------------

    @with_source
    async def test_a_question_that_is_given_up_has_no_other_answer(self, source: SourceUnderTest) -> None:
        """Fail if a cancelled query returns another page than the right one.

        A source that swallows the cancellation turns a time-out into "no records", which looks complete.
        """
        for query in self._list_longest_queries():
            for turns in TURNS:
                task = asyncio.ensure_future(source.fetch_unchecked(query))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task}, timeout=self.patience)
                if task.done() and not task.cancelled() and task.exception() is None:
                    with failures_naming(query):
                        self._check_cancelled(query, task.result())

    def _check_cancelled(self, query: Query, page: Page) -> None:
        found, expected = (len(page.records), page.total), self._select_expected(query).total
        assert found == (expected, expected), f"cancelled, it returned {found}, expected {(expected, expected)}"

    @with_source
    async def test_a_hanging_question_ends_as_cancelled_within_half_a_second(self, source: SourceUnderTest) -> None:
        """Fail if a cancelled query to a backend that hangs takes longer than half a second, or ends as anything else.

        A time limit that does not end the query ends nothing: its place and its connection stay taken. Needs
        `hanging`.
        """
        slow = 0
        for _ in range(ATTEMPTS):
            backend_hangs = self.hanging(source.plugin)
            if backend_hangs is None:
                pytest.skip("`hanging` is not implemented: unproven that time limits end queries to a silent backend")
            with backend_hangs:
                slow = await self._cancel_hanging(source)
            if not slow:
                return
        pytest.fail(f"{slow} queries still running {CANCELLED_WITHIN:g} s after they were cancelled")

    async def _cancel_hanging(self, source: SourceUnderTest) -> int:
        """Cancel queries that hang, check that each ends as cancelled, and return how many took too long."""
        queries = self._list_longest_queries()
        tasks = [asyncio.ensure_future(source.fetch_unchecked(query)) for query in queries]
        await asyncio.wait(tasks, timeout=HANG_TIME)
        for task in tasks:
            task.cancel()
        _, running = await asyncio.wait(tasks, timeout=CANCELLED_WITHIN)
        if running:
            await asyncio.wait(running, timeout=self.patience)
        for query, task in zip(queries, tasks, strict=True):
            with failures_naming(query):
                is_cancelled = not task.done() or task.cancelled()
                assert is_cancelled, "cancelled while the backend hangs, it ended otherwise: let CancelledError pass"
        return len(running)
