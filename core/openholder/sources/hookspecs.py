"""The hooks: what a plugin may implement, with which arguments, and what it owes.

A data source is a class named by an entry point of the group ``openholder.plugins``; the entry point's name is the
``kind`` that configurations use. The host makes one instance for each configured source and asks each question of
exactly one of them, so these hooks never collect answers from several plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pluggy

if TYPE_CHECKING:
    from openholder.query import Page, Query

API_VERSION: Final = 1
"""The version of the plugin interface. A plugin's class says with ``api_version`` which one it is written for."""

PROJECT: Final = "openholder"
SOURCES: Final = "openholder.plugins"
"""The entry-point group of data sources and observers."""

hookspec = pluggy.HookspecMarker(PROJECT)
_hookimpl = pluggy.HookimplMarker(PROJECT)

F = TypeVar("F", bound=Callable[..., Any])


def hookimpl(function: F) -> F:
    """Mark a method of a plugin as the implementation of the hook that has its name."""
    return _hookimpl(function)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRequest:
    """One answered request, for audit trails. The ids are the real ones: whoever records them must protect them."""

    interaction_id: str
    operation: str
    method: str
    customer_id: str | None
    account_id: str | None
    status: int
    reason: str
    seconds: float


class Hookspecs:
    """All hooks. ``fetch`` is owed by every data source; the others are there for those that need them."""

    @hookspec
    async def open(self) -> None:
        """Connect, load, verify. Called once, before the server listens. Raise when it cannot be used."""

    @hookspec
    async def close(self) -> None:
        """Give back what `open` took. Called once, after the last request has been answered."""

    @hookspec
    def collections(self) -> Iterable[str]:  # type: ignore[empty-body]
        """Name the collections that can be served. Called after `open`."""

    @hookspec
    async def fetch(self, query: Query) -> Page:  # type: ignore[empty-body]
        """Answer one question. May raise `NotFound`, `SharingRefused` or `SourceUnavailable`."""

    @hookspec
    async def health(self) -> None:
        """Return when the source can serve, raise when it cannot."""

    @hookspec
    async def advice(self, query: Query) -> Sequence[str]:  # type: ignore[empty-body]
        """Say what would make a question cheaper: sentences for the operator, which ``openholder check`` prints."""

    @hookspec
    def request_finished(self, event: FinishedRequest) -> None:
        """Take note of an answered request. Must neither raise nor block: it runs on the event loop."""
