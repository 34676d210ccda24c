"""What a configuration makes of the server that can be exchanged while it serves: sources, operations, answers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tornado.web import Application

from openholder.config import Configuration
from openholder.contract.operations import OPERATIONS, Operation
from openholder.gate import Gate
from openholder.server.endpoints import custom_operation
from openholder.serving.answers import Context
from openholder.serving.cursors import Cursors
from openholder.serving.delegate import ServingState
from openholder.serving.journal import Journal
from openholder.serving.routing import application, with_alias
from openholder.serving.service import Service
from openholder.settings import Settings
from openholder.sources.registry import SourceRegistry

FIXED = frozenset({"public_url", "fiskil", "listen", "replay", "log", "cursor_key"})
"""Settings that are read at the start only: the gate, the ports and the records on disk hold to them."""


def operations_of(settings: Settings) -> list[Operation]:
    """The operations that these settings have the server answer."""
    own = [custom_operation(endpoint) for endpoint in settings.endpoints]
    served = [row for row in OPERATIONS if settings.deprecated_lists or not row.deprecated]
    return [*(with_alias(served) if settings.auth_alias else served), *own]


def make_sources(configuration: Configuration) -> SourceRegistry:
    """The configured sources, not open yet."""
    return SourceRegistry(configuration.sources, configuration.serve, configuration.settings.plugins)


def changed_for_good(old: Settings, new: Settings) -> list[str]:
    """Which settings differ that are read at the start only."""
    before, after = (settings.model_dump(include=set(FIXED)) for settings in (old, new))
    return sorted(name for name in FIXED if before[name] != after[name])


@dataclass(frozen=True, slots=True)
class Generation:
    """A configuration, its open sources, and the application that answers from them."""

    configuration: Configuration
    sources: SourceRegistry
    desk: ServingState
    application: Application
    exits: AsyncExitStack

    @classmethod
    async def open(cls, configuration: Configuration, gate: Gate, journal: Journal) -> Self:
        """Open the sources. Raises `Unreachable` when one is not to be had."""
        settings = configuration.settings
        async with AsyncExitStack() as exits:
            sources = await exits.enter_async_context(make_sources(configuration))
            desk = ServingState(_service(settings, sources, gate), journal, most=settings.listen.max_requests)
            made = application(desk, operations_of(settings))
            return cls(configuration, sources, desk, made, exits.pop_all())

    async def finished(self, limit: float) -> None:
        """Wait for the requests that are being answered, but not for ever."""
        if self.desk.running:
            await asyncio.wait(set(self.desk.running), timeout=limit)

    async def close(self) -> None:
        """Close the sources."""
        await self.exits.aclose()


def _service(settings: Settings, sources: SourceRegistry, gate: Gate) -> Service:
    return Service(
        gate,
        Context(sources, Cursors(settings.cursor_key), settings.public_url[0] if settings.links == "uri" else ""),
        realm=urlsplit(settings.public_url[0]).hostname or "",
        failure_status=settings.fiskil.authentication_failure_status,
        id_characters=settings.id_characters,
    )
