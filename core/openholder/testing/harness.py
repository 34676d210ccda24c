"""Calls a source as the server does, on a new event loop for each test.

A broken source may never return, so every call has a time limit. A source that blocks the event loop blocks its test
as well; use pytest-timeout against that.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import selectors
from collections.abc import Awaitable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import pluggy

from openholder.errors import NotFound
from openholder.query import Page, Query
from openholder.sources.hookspecs import ASYNC_HOOKS, PROJECT, REQUIRED_HOOKS, Hookspecs

T = TypeVar("T")
GRACE = 1.0
"""Seconds that cancelled tasks have to end before the loop is closed."""
LONGEST_VALUE = 80
"""Characters of a filter's value in a message; longer ones are shortened."""


def run(main: Coroutine[Any, Any, T], selector: selectors.BaseSelector | None = None) -> T:
    """Run a coroutine on a new event loop. Unlike `asyncio.run`, close the loop even if some tasks never end.

    A *selector* of the caller's own sees when the loop waits for events.
    """
    loop = asyncio.SelectorEventLoop(selector) if selector else asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(_cancel_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _cancel_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE)


async def wait_within(seconds: float, awaitable: Awaitable[T], what: str) -> T:
    """Await *awaitable*, and fail if it takes longer than *seconds*, even if it ignores cancellation."""
    # Not asyncio.wait_for: after cancelling, it waits until the task has ended.
    task = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        raise AssertionError(f"{what} did not end within {seconds:g} s")
    return task.result()


class SourceUnderTest:
    """A source, and calls of its hooks. ``patience`` is the number of seconds that one call may take."""

    def __init__(self, plugin: object, patience: float) -> None:
        self.plugin = plugin
        self._patience = patience
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hookspecs)
        with errors_as_failures("the plugin"):
            self._manager.register(plugin)

    def check_hooks(self) -> None:
        """Fail if a hook is unknown or missing, or is ``def`` instead of ``async def`` or the reverse."""
        with errors_as_failures("the plugin"):
            self._manager.check_pending()
        functions = self._find_hooks()
        missing = [hook for hook in REQUIRED_HOOKS if hook not in functions]
        assert not missing, f"the required hook {missing[0]!r} is missing; define it and mark it with @hookimpl"
        for hook, function in functions.items():
            keyword = "async def" if hook in ASYNC_HOOKS else "def"
            is_async = inspect.iscoroutinefunction(function)
            assert is_async == (hook in ASYNC_HOOKS), f"the hook {hook!r} must be defined with {keyword!r}"

    def has(self, hook: str) -> bool:
        """Tell whether the source implements a hook."""
        return hook in self._find_hooks()

    def _find_hooks(self) -> Mapping[str, object]:
        callers = self._manager.get_hookcallers(self.plugin) or []
        return {caller.name: found.function for caller in callers for found in caller.get_hookimpls()}

    async def call(self, hook: str) -> None:
        """Await ``open``, ``close`` or ``health`` if the source implements it."""
        with errors_as_failures(f"{hook}()"):
            for awaitable in cast(list[Awaitable[None]], getattr(self._manager.hook, hook)()):
                await wait_within(self._patience, awaitable, f"{hook}()")

    async def get_advice(self, query: Query) -> list[str]:
        """Return the source's advice on a query; empty if it does not implement the hook."""
        advice: list[str] = []
        with errors_as_failures(f"advice on {describe_query(query)}"):
            for awaitable in cast(list[Awaitable[Sequence[str]]], self._manager.hook.advice(query=query)):
                advice.extend(await awaitable)
        return advice

    def get_collections(self) -> frozenset[str]:
        """Return the names of the collections that the source says it can serve."""
        return frozenset(name for names in self._manager.hook.collections() for name in names)

    async def fetch_unchecked(self, query: Query) -> Page:
        """Await ``fetch`` without a time limit, and return or raise exactly what it does."""
        (answer,) = cast(list[Awaitable[Page]], self._manager.hook.fetch(query=query))
        return await answer

    def fetch_at_once(self, query: Query) -> Page | None:
        """Call ``fetch_now``; None if the source does not implement it, or has no answer at once."""
        pages = cast(list[Page], self._manager.hook.fetch_now(query=query))
        return pages[0] if pages else None

    async def fetch(self, query: Query) -> Page:
        """Fetch a page within the time limit. `NotFound` counts as an empty page, as in the server."""
        try:
            with errors_as_failures(describe_query(query), NotFound):
                fetching = self.fetch_unchecked(query)
                page = await wait_within(self._patience, fetching, f"the query {describe_query(query)}")
        except NotFound:
            return Page(records=(), total=0)
        assert isinstance(page, Page), f"{describe_query(query)}: returned {type(page).__name__}, expected a Page"
        is_sequence = isinstance(page.records, Sequence)
        assert is_sequence, f"{describe_query(query)}: Page.records is {type(page.records).__name__}, not a sequence"
        with errors_as_failures(f"fetch_now, {describe_query(query)}"):
            if (now := self.fetch_at_once(query)) is not None:
                is_same = (list(now.records), now.total) == (list(page.records), page.total)
                assert is_same, f"{describe_query(query)}: fetch_now returned another page than fetch"
        return page


@contextmanager
def errors_as_failures(what: str, *allowed: type[Exception]) -> Iterator[None]:
    """Turn exceptions of the source into test failures that name *what* was called, except for those *allowed*."""
    unchanged: tuple[type[Exception], ...] = (AssertionError, *allowed)
    try:
        yield
    except unchanged:
        raise
    except Exception as exc:
        raise AssertionError(f"{what}: raised {type(exc).__name__}: {exc}") from exc


@contextmanager
def logging_to(handler: logging.Handler) -> Iterator[None]:
    """Send all log records from INFO on to a handler for the duration of the block."""
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def describe_query(query: Query) -> str:
    """Describe a query in one line, for messages."""
    filters = ", ".join(f"{one.member} {one.operator} {_shorten(one.value)}" for one in query.filters)
    order = ", ".join("/".join(one.members) + (" descending" if one.descending else "") for one in query.order)
    return f"{query.collection} [{filters}] order [{order}] offset {query.offset} limit {query.limit}"


def _shorten(value: object) -> str:
    text = ascii(value)
    return text if len(text) < LONGEST_VALUE else f"{text[:60]}... ({len(text)} characters)"


@contextmanager
def failures_naming(query: Query) -> Iterator[None]:
    """Prefix the message of a failed assertion with the query."""
    try:
        yield
    except AssertionError as exc:
        raise AssertionError(f"{describe_query(query)}: {exc}") from None
