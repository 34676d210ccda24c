"""The configured sources: opened together, asked one at a time, closed in reverse.

Here is the one place where a source is called. Time limits, the number of questions at once and the meaning of what a
source raises are settled here, because pluggy cannot wrap coroutines.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self, cast

import pluggy

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
from openholder.sources.entry import SourceEntry
from openholder.sources.hookspecs import ASYNC_HOOKS, PROJECT, REQUIRED_HOOKS, FinishedRequest, Hookspecs
from openholder.sources.kinds import find_kind

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 120.0
"""Seconds that opening one source may take: a large CSV folder is indexed in that time."""


class UnusableSource(OpenholderError):
    """A configured source that cannot serve: its class is not what it should be, or a collection is not there."""


@dataclass(frozen=True, slots=True)
class Source:
    """One configured source, with a caller for each of its hooks."""

    name: str
    settings: SourceEntry
    hooks: Mapping[str, pluggy.HookCaller]
    places: asyncio.Semaphore

    async def run(self, hook: str, limit: float) -> None:
        """Await a hook without arguments, where the source has it."""
        for awaitable in cast(list[Awaitable[None]], self.hooks[hook]()):
            await asyncio.wait_for(awaitable, limit)

    async def advice(self, query: Query) -> list[str]:
        """What would make a question cheaper, as far as the source knows."""
        advices = cast(list[Awaitable[Sequence[str]]], self.hooks["advice"](query=query))
        return [text for awaitable in advices for text in await asyncio.wait_for(awaitable, self.settings.timeout)]

    def collections(self) -> frozenset[str]:
        """The names that the source says it can serve."""
        return frozenset(name for names in self.hooks["collections"]() for name in names)

    async def fetch(self, query: Query) -> Page:
        """Ask the source. Raises `SourceError` as the source does, `SourceFault` for everything else it may do."""
        try:
            async with asyncio.timeout(self.settings.timeout), self.places:
                (answer,) = cast(list[Awaitable[Any]], self.hooks["fetch"](query=query))
                page = await answer
        except NotFound:
            return Page(records=(), total=0)
        except (SourceError, SourceFault):
            raise
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise SourceFault(f"raised {describe(exc)}, though nobody cancelled it") from exc
        except TimeoutError as exc:
            raise SourceFault(f"no answer within {self.settings.timeout:g} s") from exc
        except Exception as exc:
            raise SourceFault(f"raised {describe(exc)}") from exc
        return _verified(page, query)


def _verified(page: object, query: Query) -> Page:
    """Refuse what a source must never hand over: too many records, or any that was not asked for."""
    if not isinstance(page, Page):
        raise SourceFault(f"returned {type(page).__name__}, not a Page")
    if not isinstance(page.records, Sequence):
        raise SourceFault(f"returned records as {type(page.records).__name__}, not as a sequence")
    if query.limit is not None and len(page.records) > query.limit:
        raise SourceFault("returned more records than asked for")
    if page.records and page.total < query.offset + len(page.records):
        raise SourceFault("returned a total that is less than what it returned")
    for record in page.records:
        if not isinstance(record, Mapping):
            raise SourceFault(f"returned a record of type {type(record).__name__}")
        for condition in query.filters:
            if not condition.admits(record):
                raise ForeignRecord(f"returned a record that was not asked for: {condition.member} differs")
    return page


class SourceRegistry:
    """All configured sources, and which of them serves which collection.

    Use it as ``async with SourceRegistry(entries, serve) as sources``: entering opens every source in the order of the
    configuration and closes those already open when one fails.
    """

    def __init__(
        self, entries: Mapping[str, SourceEntry], serve: Mapping[str, str], observers: tuple[str, ...] = ()
    ) -> None:
        self._serve = serve
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hookspecs)
        for name, entry in entries.items():
            self._register(name, entry.kind, entry)
        for kind in observers:
            self._register(f"plugins.{kind}", kind, None)
        self._sources = {name: self._source(name, entry) for name, entry in entries.items()}
        names = [name for name, _ in self._manager.list_name_plugin() if self._implements(name, "request_finished")]
        self._observers = [self._only(name, "request_finished") for name in names]
        self._exits = AsyncExitStack()
        self._active: list[str] = []
        self._last_active = ""
        self._collections: dict[str, frozenset[str]] = {}
        self._routes: dict[str, Source] = {}

    def _register(self, name: str, kind: str, settings: SourceEntry | None) -> None:
        """Make the plugin and have it checked: unknown hooks and arguments, and which of them are ``async def``."""
        plugin_class = find_kind(kind).load()
        try:
            plugin = plugin_class(name, settings)
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as exc:
            raise UnusableSource(f"source {name!r} of kind {kind!r}: {' '.join(str(exc).split())}") from exc
        except Exception as exc:
            raise UnusableSource(f"source {name!r} of kind {kind!r} cannot be made: {describe(exc)}") from exc
        for caller in self._manager.get_hookcallers(plugin) or []:
            (implementation,) = (found for found in caller.get_hookimpls() if found.plugin is plugin)
            if inspect.iscoroutinefunction(implementation.function) != (caller.name in ASYNC_HOOKS):
                wanted = "'async def'" if caller.name in ASYNC_HOOKS else "a plain 'def'"
                raise UnusableSource(f"source {name!r} of kind {kind!r}: {caller.name} must be {wanted}")

    def _only(self, name: str, hook: str) -> pluggy.HookCaller:
        """A caller of one hook of one plugin."""
        plugin = self._manager.get_plugin(name)
        others = [other for _, other in self._manager.list_name_plugin() if other is not plugin]
        return self._manager.subset_hook_caller(hook, remove_plugins=others)

    def _implements(self, name: str, hook: str) -> bool:
        plugin = self._manager.get_plugin(name)
        return any(found.plugin is plugin for found in getattr(self._manager.hook, hook).get_hookimpls())

    def _source(self, name: str, entry: SourceEntry) -> Source:
        hooks = {hook: self._only(name, hook) for hook in (*ASYNC_HOOKS, "collections")}
        for hook in REQUIRED_HOOKS:
            if not self._implements(name, hook):
                raise UnusableSource(f"source {name!r} of kind {entry.kind!r} does not implement {hook}")
        return Source(name, entry, hooks, asyncio.Semaphore(entry.concurrency))

    async def __aenter__(self) -> Self:
        try:
            for source in self._sources.values():
                await self._open(source)
            self._check_serve()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    async def _open(self, source: Source) -> None:
        self._exits.push_async_callback(source.run, "close", OPEN_TIMEOUT)
        try:
            await source.run("open", OPEN_TIMEOUT)
            self._collections[source.name] = source.collections()
        except TimeoutError:
            raise Unreachable(f"source {source.name!r} did not open within {OPEN_TIMEOUT:g} s") from None
        except (SourceFault, SourceUnavailable) as exc:
            raise Unreachable(f"source {source.name!r} cannot be opened: {exc}") from exc
        except Exception as exc:
            raise Unreachable(f"source {source.name!r} cannot be opened: {describe(exc)}") from exc

    def _check_serve(self) -> None:
        for collection, name in self._serve.items():
            if not any(sign in collection for sign in "*?[") and collection not in self._collections[name]:
                raise UnusableSource(f"source {name!r} has no collection {collection!r}, which [serve] expects of it")

    def source_of(self, collection: str) -> Source | None:
        """The source that serves ``collection``: the longest matching pattern of ``[serve]`` decides."""
        source = self._routes.get(collection)
        if source is None:
            patterns = [pattern for pattern in self._serve if fnmatchcase(collection, pattern)]
            if not patterns:
                return None
            # Only collections of operations are looked up, so there are few of them.
            source = self._routes[collection] = self._sources[self._serve[max(patterns, key=len)]]
        if collection not in self._collections[source.name]:  # it may have come later, as a new file
            self._collections[source.name] = source.collections()
        return source if collection in self._collections[source.name] else None

    async def fetch(self, query: Query) -> Page:
        """Ask whichever source serves the collection of ``query``, which must be one that is served."""
        source = self.source_of(query.collection)
        if source is None:
            raise SourceFault(f"collection {query.collection!r} is served by no source")
        self._active.append(source.name)
        try:
            return await source.fetch(query)
        except SourceFault as exc:
            exc.args = (f"collection {query.collection!r}: {exc}",)  # the log says where to look
            raise
        finally:
            self._last_active = source.name
            self._active.remove(source.name)

    def list_active(self) -> tuple[str, ...]:
        """List the sources that are fetching now, and the one that finished last."""
        return (*self._active, *filter(None, (self._last_active,)))

    async def health(self) -> None:
        """Return when every source can serve, raise when one cannot."""
        for source in self._sources.values():
            await source.run("health", source.settings.timeout)

    def notify(self, event: FinishedRequest) -> None:
        """Tell each observer of an answered request. One that fails is logged, and harms neither answer nor others."""
        for observer in self._observers:
            try:
                observer(event=event)
            except Exception as exc:
                log.error("an observer failed: %s", describe(exc))
