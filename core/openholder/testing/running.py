"""A source behind its hooks, called as the host does, on an event loop that a test has to itself.

A source that does not end is what a contract kit has to expect, so nothing here waits for one for ever. But one that
blocks the loop itself blocks its test as well: pytest-timeout ends that.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import pluggy

from openholder.errors import NotFound
from openholder.query import Page, Query
from openholder.sources.hookspecs import PROJECT, Hookspecs
from openholder.sources.registry import ASYNC_HOOKS

T = TypeVar("T")
OWED = ("collections", "fetch")
GRACE = 1.0
"""Seconds that tasks have to end when the loop is closed."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own. Unlike `asyncio.run` it closes the loop over tasks that will not end."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(_end_tasks())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=GRACE)


async def within(seconds: float, awaitable: Awaitable[T], what: str) -> T:
    """Await something, and fail when it takes longer, whether or not it lets itself be cancelled."""
    task = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        raise AssertionError(f"{what} did not end within {seconds:g} s")
    return task.result()


class Asked:
    """One source. ``patience`` is the number of seconds after which a hook counts as one that does not end."""

    def __init__(self, plugin: object, patience: float) -> None:
        self.plugin = plugin
        self._patience = patience
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hookspecs)
        with told("the plugin"):
            self._manager.register(plugin)

    def check_hooks(self) -> None:
        """Fail for a hook that there is not, that is owed and not there, or that has the wrong kind of function."""
        with told("the plugin"):
            self._manager.check_pending()
        functions = self._functions()
        missing = [hook for hook in OWED if hook not in functions]
        assert not missing, f"the hook {missing[0]!r} is owed; is it marked with hookimpl?"
        for hook, function in functions.items():
            wanted = "async def" if hook in ASYNC_HOOKS else "def"
            is_async = inspect.iscoroutinefunction(function)
            assert is_async == (hook in ASYNC_HOOKS), f"the hook {hook!r} must be a plain {wanted!r}"

    def _functions(self) -> Mapping[str, object]:
        callers = self._manager.get_hookcallers(self.plugin) or []
        return {caller.name: found.function for caller in callers for found in caller.get_hookimpls()}

    async def run(self, hook: str) -> None:
        """Await ``open``, ``close`` or ``health``, where the source has it."""
        with told(f"{hook}()"):
            for awaitable in cast(list[Awaitable[None]], getattr(self._manager.hook, hook)()):
                await within(self._patience, awaitable, f"{hook}()")

    async def advice(self, query: Query) -> list[str]:
        """What the source says of a question, where it has the hook."""
        with told(f"advice on {shown(query)}"):
            said = [await one for one in cast(list[Awaitable[Sequence[str]]], self._manager.hook.advice(query=query))]
        return [text for texts in said for text in texts]

    def collections(self) -> frozenset[str]:
        """The names that the source says it can serve."""
        return frozenset(name for names in self._manager.hook.collections() for name in names)

    async def fetch(self, query: Query) -> Page:
        """Ask, as far as the source lets itself be asked."""
        (answer,) = cast(list[Awaitable[Page]], self._manager.hook.fetch(query=query))
        return await answer

    async def ask(self, query: Query) -> Page:
        """Ask, with an answer in time. Like the host it takes `NotFound` for a page without records."""
        try:
            with told(shown(query), NotFound):
                page = await within(self._patience, self.fetch(query), f"the question {shown(query)}")
        except NotFound:
            return Page(records=(), total=0)
        assert isinstance(page, Page), f"{shown(query)}: not a Page but {type(page).__name__}"
        assert isinstance(page.records, Sequence), f"{shown(query)}: records are no sequence"
        return page


@contextmanager
def told(what: str, *allowed: type[Exception]) -> Iterator[None]:
    """Make a failure of the test out of what the source raises."""
    kept: tuple[type[Exception], ...] = (AssertionError, *allowed)
    try:
        yield
    except kept:
        raise
    except Exception as exc:
        raise AssertionError(f"{what}: raised {type(exc).__name__}: {exc}") from exc


@contextmanager
def logged_to(handler: logging.Handler) -> Iterator[None]:
    """Have a handler see what is logged meanwhile, but for what is said to those who look for mistakes only."""
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def shown(query: Query) -> str:
    """A question in few words: what fails is easier to find when it is named."""
    filters = ", ".join(f"{one.member} {one.operator} {_short(one.value)}" for one in query.filters)
    order = ", ".join(f"{'/'.join(one.members)}{' descending' * one.descending}" for one in query.order)
    return f"{query.collection} [{filters}] order [{order}] offset {query.offset} limit {query.limit}"


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) < 80 else f"{text[:60]}... ({len(text)} characters)"


@contextmanager
def about(query: Query) -> Iterator[None]:
    """Say of a failure by which question it was found."""
    try:
        yield
    except AssertionError as exc:
        raise AssertionError(f"{shown(query)}: {exc}") from None
