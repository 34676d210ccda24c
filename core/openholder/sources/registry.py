"""The configured sources: opened in order, queried one at a time, closed in reverse order.

This is the only place that calls a source. It applies time limits, the limit of concurrent queries and the meaning of
exceptions itself, because pluggy cannot wrap coroutines.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self, cast

import pluggy

from openholder.contract.collections import name_record
from openholder.errors import (
    ForeignRecord,
    NotFound,
    OpenholderError,
    SourceError,
    SourceFault,
    SourceUnavailable,
    Unreachable,
    describe,
)
from openholder.query import Page, Query
from openholder.sources.entry import ObserverEntry, SourceEntry
from openholder.sources.hookspecs import ASYNC_HOOKS, PROJECT, REQUIRED_HOOKS, Hookspecs
from openholder.sources.kinds import find_kind
from openholder.sources.observers import Observer, Observers, Recorder

OPEN_TIMEOUT = 120.0
"""Seconds that opening one source may take, for example to index a large CSV folder."""


TURN = 16
"""Answers at once after which the event loop gets a turn."""
_turns = itertools.count(1)


class UnusableSource(OpenholderError):
    """A configured source cannot be used: its class breaks the plugin interface, or it lacks a collection."""


class UnhealthySource(OpenholderError):
    """A source says that it cannot serve."""


@dataclass(frozen=True, slots=True)
class Source:
    """One configured source, with a caller for each of its hooks.

    ``slots`` limits how many queries run at the same time.
    """

    name: str
    settings: SourceEntry
    hooks: Mapping[str, pluggy.HookCaller]
    slots: asyncio.Semaphore
    fetch_now: Callable[[Query], Any] | None
    """The hook of that name itself, if there is one: pluggy's caller takes as long as a query."""

    async def check_health(self) -> None:
        """Return if the source can serve, or does not say; raise if it cannot."""
        await run_hook(self.hooks["health"], self.settings.timeout)

    async def fetch_advice(self, query: Query) -> list[str]:
        """Fetch the source's advice on making a query cheaper."""
        advices = cast(list[Awaitable[Sequence[str]]], self.hooks["advice"](query=query))
        return [text for awaitable in advices for text in await asyncio.wait_for(awaitable, self.settings.timeout)]

    def list_collections(self) -> frozenset[str]:
        """List the collections that the source can serve."""
        return frozenset(name for names in self.hooks["collections"]() for name in names)

    async def fetch(self, query: Query) -> Page:
        """Query the source.

        Raises:
            SourceError: The source raised it.
            SourceFault: The source failed in any other way, or returned an invalid page.
        """
        try:
            page = self.fetch_now(query) if self.fetch_now else None
            if page is None:
                page = await self._wait_for_page(query)
            elif next(_turns) % TURN == 0:
                await asyncio.sleep(0)  # whoever asks in a loop would never let anybody else have a turn
        except NotFound:
            return Page(records=(), total=0)
        except (SourceError, SourceFault):
            raise
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise SourceFault(f"raised {describe(exc)} without having been cancelled") from exc
        except TimeoutError as exc:
            raise SourceFault(f"no response within {self.settings.timeout:g} s") from exc
        except Exception as exc:
            raise SourceFault(f"raised {describe(exc)}") from exc
        return _check_page(page, query)

    async def _wait_for_page(self, query: Query) -> Any:
        await asyncio.sleep(0)  # from here on the request is a task
        deadline = asyncio.timeout(self.settings.timeout)
        try:
            async with deadline, self.slots:
                (answer,) = cast(list[Awaitable[Any]], self.hooks["fetch"](query=query))
                page = await answer
        except (SourceError, SourceFault) as exc:
            if deadline.expired():
                raise TimeoutError from exc
            raise
        # A source may swallow its cancellation. What it returns or raises then is what it had by then.
        if deadline.expired():
            raise TimeoutError
        return page


async def run_hook(caller: pluggy.HookCaller, limit: float) -> None:
    """Await a hook without arguments for at most ``limit`` seconds, if the plugin implements it."""
    for awaitable in cast(list[Awaitable[None]], caller()):
        await asyncio.wait_for(awaitable, limit)


def _check_page(page: object, query: Query) -> Page:
    """Return the page if it is valid. A source must never return too many records, or any outside the query."""
    if not isinstance(page, Page):
        raise SourceFault(f"returned {type(page).__name__} instead of a Page")
    records = page.records
    if type(records) is not list and not isinstance(records, Sequence):
        raise SourceFault(f"returned records as {type(page.records).__name__} instead of a sequence")
    if query.limit is not None and len(page.records) > query.limit:
        raise SourceFault("returned more records than the limit of the query")
    if page.records and page.total < query.offset + len(page.records):
        raise SourceFault("returned a total that is less than the number of its records")
    for record in records:
        if type(record) is not dict and not isinstance(record, Mapping):
            raise SourceFault(f"returned a record of type {type(record).__name__} instead of a mapping")
    for condition in query.filters:
        if not condition.admits_all(records):
            raise ForeignRecord(f"returned a record outside the query: {condition.member} differs")
    return page


class SourceRegistry:
    """All configured sources, and the assignment of collections to them.

    ``async with SourceRegistry(entries, serve) as sources`` opens the sources in the order of the configuration. If one
    fails, it closes those already open.
    """

    def __init__(
        self,
        entries: Mapping[str, SourceEntry],
        serve: Mapping[str, str],
        observers: Mapping[str, ObserverEntry] | None = None,
        plugins: Sequence[str] = (),
        *,
        opens_observers: bool = True,
    ) -> None:
        self._serve = serve
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hookspecs)
        for name, entry in entries.items():
            self._register(name, name, entry.kind, entry)
        for name, observer in (observers or {}).items():
            self._register(f"observers.{name}", name, observer.kind, observer)
        for kind in plugins:
            self._register(f"plugins.{kind}", f"plugins.{kind}", kind, None)
        self._sources = {name: self._make_source(name, entry) for name, entry in entries.items()}
        self._opened_observers = [f"observers.{name}" for name in observers or ()] if opens_observers else []
        self.observers = self._make_observers(entries, observers or {})
        """Those who are told of requests."""
        self.on_query: Callable[[str, str, float], None] = lambda source, outcome, seconds: None
        """Called after each query with the source, its outcome, and the seconds that it took."""
        self._exits = AsyncExitStack()
        self._active: list[str] = []
        self._last_active = ""
        self._collections: dict[str, frozenset[str]] = {}
        self._routes: dict[str, Source] = {}

    def _register(self, key: str, name: str, kind: str, settings: SourceEntry | ObserverEntry | None) -> None:
        """Make the plugin, and check its hooks: names, arguments, and ``async def`` or ``def``."""
        plugin_class = find_kind(kind).load()
        what = "source" if isinstance(settings, SourceEntry) else "observer"
        try:
            plugin = plugin_class(name, settings)
            self._manager.register(plugin, name=key)
            self._manager.check_pending()
        except pluggy.PluginValidationError as exc:
            raise UnusableSource(f"{what} {name!r} of kind {kind!r}: {' '.join(str(exc).split())}") from exc
        except Exception as exc:
            raise UnusableSource(f"{what} {name!r} of kind {kind!r} cannot be created: {describe(exc)}") from exc
        for caller in self._manager.get_hookcallers(plugin) or []:
            (implementation,) = (hook for hook in caller.get_hookimpls() if hook.plugin is plugin)
            if inspect.iscoroutinefunction(implementation.function) != (caller.name in ASYNC_HOOKS):
                keyword = "async def" if caller.name in ASYNC_HOOKS else "def"
                raise UnusableSource(f"{what} {name!r} of kind {kind!r}: define {caller.name} with {keyword!r}")

    def _make_caller(self, name: str, hook: str) -> pluggy.HookCaller:
        """Make a caller of one hook of one plugin."""
        plugin = self._manager.get_plugin(name)
        others = [other for _, other in self._manager.list_name_plugin() if other is not plugin]
        return self._manager.subset_hook_caller(hook, remove_plugins=others)

    def _implements(self, name: str, hook: str) -> bool:
        plugin = self._manager.get_plugin(name)
        return any(
            implementation.plugin is plugin for implementation in getattr(self._manager.hook, hook).get_hookimpls()
        )

    def _make_source(self, name: str, entry: SourceEntry) -> Source:
        hooks = {hook: self._make_caller(name, hook) for hook in (*ASYNC_HOOKS, "collections")}
        for hook in REQUIRED_HOOKS:
            if not self._implements(name, hook):
                raise UnusableSource(f"source {name!r} of kind {entry.kind!r} does not implement {hook}")
        plugin: Any = self._manager.get_plugin(name)
        now = plugin.fetch_now if self._implements(name, "fetch_now") else None
        return Source(name, entry, hooks, asyncio.Semaphore(entry.concurrency), now)

    def _make_observers(self, entries: Mapping[str, SourceEntry], observers: Mapping[str, ObserverEntry]) -> Observers:
        """Find who implements the hooks that tell of requests. The rules of a source are those of an observer."""
        rules = {f"observers.{name}": entry for name, entry in observers.items()}
        rules |= {name: ObserverEntry(kind=entry.kind, timeout=entry.timeout) for name, entry in entries.items()}
        recorders, listeners = [], []
        for name, _ in self._manager.list_name_plugin():
            rule = rules.get(name) or ObserverEntry(kind=name)
            if self._implements(name, "record_answer"):
                caller = self._make_caller(name, "record_answer")
                recorders.append(Recorder(name, caller, rule.timeout, rule.required))
            if self._implements(name, "request_finished"):
                listeners.append(Observer(name, self._make_caller(name, "request_finished")))
        return Observers(recorders, listeners)

    async def __aenter__(self) -> Self:
        try:
            # Observers first, and closed last: they record what the sources still answer.
            for name in self._opened_observers:
                await self._open(f"observer {name.partition('.')[2]!r}", name)
            for source in self._sources.values():
                await self._open(f"source {source.name!r}", source.name)
            self._check_serve()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def _open(self, what: str, key: str) -> None:
        self._exits.push_async_callback(run_hook, self._make_caller(key, "close"), OPEN_TIMEOUT)
        try:
            await run_hook(self._make_caller(key, "open"), OPEN_TIMEOUT)
            if source := self._sources.get(key):
                self._collections[key] = source.list_collections()
        except TimeoutError:
            raise Unreachable(f"{what} did not open within {OPEN_TIMEOUT:g} s") from None
        except (SourceFault, SourceUnavailable) as exc:
            raise Unreachable(f"{what} cannot be opened: {exc}") from exc
        except Exception as exc:
            raise Unreachable(f"{what} cannot be opened: {describe(exc)}") from exc

    def _check_serve(self) -> None:
        for collection, name in self._serve.items():
            if not any(sign in collection for sign in "*?[") and collection not in self._collections[name]:
                raise UnusableSource(f"source {name!r} has no collection {collection!r}: add it, or correct [serve]")

    def list_sources(self) -> tuple[Source, ...]:
        """List the sources, in the order of the configuration."""
        return tuple(self._sources.values())

    def find_source(self, collection: str) -> Source | None:
        """Return the source that serves ``collection``, if any. The longest matching pattern of ``[serve]`` decides."""
        source = self._routes.get(collection)
        if source is None:
            patterns = [pattern for pattern in self._serve if fnmatchcase(collection, pattern)]
            if not patterns:
                return None
            # Only collections of operations are looked up, so there are few of them.
            source = self._routes[collection] = self._sources[self._serve[max(patterns, key=len)]]
        if collection not in self._collections[source.name]:  # it may have been added since, for example as a file
            self._collections[source.name] = source.list_collections()
        return source if collection in self._collections[source.name] else None

    async def fetch(self, query: Query) -> Page:
        """Query the source that serves the collection.

        Raises:
            SourceError: The source raised it.
            SourceFault: The source failed in any other way, or no source serves the collection.
        """
        source = self.find_source(query.collection)
        if source is None:
            raise SourceFault(f"no source serves collection {query.collection!r}")
        self._active.append(source.name)
        started, outcome = time.perf_counter(), "cancelled"
        try:
            page = await source.fetch(query)
            outcome = "answered"
            return page
        except SourceError as exc:
            outcome = "unavailable" if isinstance(exc, SourceUnavailable) else "refused"
            raise
        except SourceFault as exc:
            outcome = "fault"
            exc.args = (f"collection {query.collection!r}: {exc}",)  # tell the log where to look
            name_record(exc, query.collection)
            raise
        finally:
            self.on_query(source.name, outcome, time.perf_counter() - started)
            self._last_active = source.name
            self._active.remove(source.name)

    def list_active(self) -> tuple[str, ...]:
        """List the sources that are fetching now, and the one that finished last."""
        return (*self._active, *filter(None, (self._last_active,)))

    async def check_health(self) -> None:
        """Return if every source can serve; raise if one cannot."""
        for source in self._sources.values():
            try:
                await source.check_health()
            except Exception as exc:
                raise UnhealthySource(f"source {source.name!r} not healthy: {type(exc).__name__}") from exc
