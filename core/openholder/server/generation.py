"""The part of a server that a reload replaces: sources, operations, and the application that uses them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

from tornado.web import Application

from openholder.config import Configuration
from openholder.contract.open_members import extend_record, list_open_members
from openholder.contract.operations import OPERATIONS, Operation
from openholder.edge.proxies import TrustedProxies
from openholder.gate import Gate
from openholder.server.endpoints import make_operation
from openholder.serving.answers import Context
from openholder.serving.conditions import ConditionPolicy
from openholder.serving.cursors import Cursors
from openholder.serving.delegate import RequestDelegate, ServingState
from openholder.serving.journal import Journal
from openholder.serving.routing import add_alias, build_application
from openholder.serving.service import Service
from openholder.settings import Settings
from openholder.sources.registry import SourceRegistry

FIXED = frozenset(
    {"public_url", "fiskil", "outbound", "listen", "replay", "log", "cursor_key", "state_folder", "tracing"}
)
"""Settings that take effect only at a restart: the gate, the ports and the files on disk depend on them."""


def list_operations(settings: Settings) -> list[Operation]:
    """List the operations that a server with these settings answers."""
    custom = [make_operation(endpoint) for endpoint in settings.endpoints]
    standard = [operation for operation in OPERATIONS if settings.deprecated_lists or not operation.deprecated]
    if settings.open_members:
        standard = [_add_open_members(operation, settings.open_members) for operation in standard]
    return [*(add_alias(standard) if settings.auth_alias else standard), *custom]


def _add_open_members(operation: Operation, paths: Sequence[str]) -> Operation:
    members = list_open_members(paths, operation.collection)
    return replace(operation, record=extend_record(operation.record, members))


def make_sources(configuration: Configuration, *, observed: bool = False) -> SourceRegistry:
    """Make the configured sources without opening them.

    Args:
        configuration: What it names.
        observed: Whether observers are opened with them. Only a server does: a command, which others may run, must
            not create their files.
    """
    registry = SourceRegistry
    if observed and configuration.settings.tracing:
        from openholder.server.tracing import TracedSources  # who does not trace need not have its library

        registry = TracedSources
    return registry(
        configuration.sources,
        configuration.serve,
        configuration.observers,
        configuration.settings.plugins,
        opens_observers=observed,
    )


def choose_delegate(settings: Settings) -> type[RequestDelegate]:
    """Choose what answers a request: with spans or without."""
    if not settings.tracing:
        return RequestDelegate
    from openholder.server.tracing import TracedDelegate

    return TracedDelegate


def list_fixed_changes(old: Settings, new: Settings) -> list[str]:
    """List the settings that differ but take effect only at a restart."""
    before, after = (settings.model_dump(include=set(FIXED)) for settings in (old, new))
    return sorted(name for name in FIXED if before[name] != after[name])


@dataclass(frozen=True, slots=True)
class Generation:
    """A configuration, its open sources, and the application that serves from them."""

    configuration: Configuration
    sources: SourceRegistry
    state: ServingState
    application: Application
    exits: AsyncExitStack

    @classmethod
    async def open(cls, configuration: Configuration, gate: Gate, journal: Journal) -> Self:
        """Open the sources. Raises `Unreachable` if one of them cannot be opened."""
        settings = configuration.settings
        async with AsyncExitStack() as exits:
            sources = await exits.enter_async_context(make_sources(configuration, observed=True))
            base_url = settings.public_url[0]
            service = Service(
                gate,
                Context(
                    sources,
                    Cursors(settings.cursor_key),
                    base_url if settings.links == "uri" else "",
                    ConditionPolicy(journal.count_broken, refuse=settings.conditions == "refuse"),
                ),
                realm=urlsplit(base_url).hostname or "",
                failure_status=settings.fiskil.authentication_failure_status,
                id_characters=settings.id_characters,
                closed_accounts=settings.closed_accounts.periods,
            )
            proxies = TrustedProxies(settings.listen.trusted_proxies)
            state = ServingState(service, journal, settings.listen.max_requests, gate.count_waiting, proxies)
            operations = list_operations(settings)
            public = build_application(state, operations, choose_delegate(settings))
            service.prepare(operations)
            return cls(configuration, sources, state, public, exits.pop_all())

    async def wait_until_idle(self, limit: float) -> None:
        """Wait for running requests to end, for at most ``limit`` seconds."""
        if self.state.running:
            await asyncio.wait(set(self.state.running), timeout=limit)

    async def close(self) -> None:
        """Close the sources."""
        await self.exits.aclose()
