"""The hooks that a plugin may implement.

A data source is a class named by an entry point of the group ``openholder.plugins``. The entry point's name is the
``kind`` that configurations use. The server makes one instance for each configured source and sends each query to
exactly one of them: hooks never collect results from several plugins.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pluggy

if TYPE_CHECKING:
    from openholder.query import Page, Query

API_VERSION: Final = 1
"""The version of the plugin interface, a whole number. A plugin names the one it supports in ``api_version``."""

PROJECT: Final = "openholder"
SOURCES: Final = "openholder.plugins"
"""The entry-point group of data sources and observers."""

hookspec = pluggy.HookspecMarker(PROJECT)
_hookimpl = pluggy.HookimplMarker(PROJECT)

F = TypeVar("F", bound=Callable[..., Any])


def hookimpl(function: F) -> F:
    """Mark a method of a plugin as the implementation of the hook with the same name.

    Args:
        function: The method. It may leave out arguments of the hook that it does not need.

    Returns:
        The same method, unchanged but for the mark. Methods without it are not called.
    """
    return _hookimpl(function)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRequest:
    """One request and its answer, for audit trails.

    The ids are the real ones, not the pseudonyms of the log: whoever stores them must protect them.
    """

    interaction_id: str
    """The ``x-fapi-interaction-id`` of request and response."""
    operation: str
    """The operation's id; empty if the URL belongs to no operation."""
    method: str
    """The HTTP method, such as ``GET``."""
    customer_id: str | None
    """The customer named in the URL, if any."""
    account_id: str | None
    """The account named in the URL, if any."""
    status: int
    """The HTTP status; 499 if the client disconnected before the response was sent."""
    reason: str
    """Why no data was returned, such as ``expired``; empty for a response with data."""
    seconds: float
    """Seconds from the request's headers to the end of the response."""
    route: str = ""
    """The path template of the operation; ``unknown`` if the URL belongs to no operation."""
    admitted: bool = False
    """Whether the token was accepted, so that Fiskil is known to have sent the request."""
    refused: bool = False
    """Whether the response has ``X-Sharing-Refused``: a refusal to disclose that Fiskil reports (CDR rule 9.4)."""
    customer_ids: tuple[str, ...] = ()
    """The customers whose data was requested: the one in the URL, or those that a search found."""
    account_ids: tuple[str, ...] = ()
    """The accounts whose data was requested: the one in the URL, those in the body, or those of the records sent."""
    records: int = 0
    """The number of records in the response; 0 for a response without data."""
    source: str = ""
    """The name of the source that serves the operation; empty if the request was not admitted."""
    kid: str = ""
    """The id of the key that the token names, as far as it was read."""


class Hookspecs:
    """The specification of all hooks. A data source must implement ``collections`` and ``fetch``."""

    @hookspec
    async def open(self) -> None:
        """Connect, load and verify. Optional.

        Called once, before the server listens, and by every command that looks at data. It must end within 120
        seconds.

        Raises:
            Exception: The source cannot be used. At start the command ends with exit code 4; on a reload the current
                configuration stays in use. The messages of `SourceFault` and `SourceUnavailable` are shown; of other
                exceptions only type and location.
        """

    @hookspec
    async def close(self) -> None:
        """Release everything that `open` acquired. Optional.

        Called once, after the last request has been answered, and also if `open` failed or was cancelled. It may be
        called twice. It must end within 120 seconds, and must not raise.
        """

    @hookspec
    def collections(self) -> Iterable[str]:  # type: ignore[empty-body]
        """Name the collections that the source can serve. Required.

        Called after `open`, and again whenever a request needs a collection that was not named: answer from memory.

        Returns:
            The names, such as ``accounts`` and ``banking.transactions``.
        """

    @hookspec
    def fetch_now(self, query: Query) -> Page | None:
        """Return what `fetch` would, if it takes no time. Optional.

        Called before `fetch`, on the event loop, where nothing can interrupt it: a millisecond here delays every other
        request. A source that reads from memory or from an index may need less time for its answer than a task does
        for waiting.

        Args:
            query: Which records, in which order, and how many.

        Returns:
            The records, or None to have `fetch` called.

        Raises:
            Exception: As for `fetch`.
        """

    @hookspec
    async def fetch(self, query: Query) -> Page:  # type: ignore[empty-body]
        """Return the records that a query selects. Required.

        Up to ``concurrency`` calls (32 by default) run at once, on one thread. It must not block, and must end within
        the source's ``timeout`` (5 seconds by default). The server cancels it after that, or if the client
        disconnects. `openholder.select` defines what a query means; `openholder.testing` tests it.

        Args:
            query: The collection, filters, order and page. Return only records that every filter admits.

        Returns:
            The records of the page, and the number of records on all pages. ``Page(records=(), total=0)`` if there
            are no such records.

        Raises:
            NotFound: There is no such record. Equivalent to an empty page.
            SharingRefused: The data exists but must not be shared: 403, or 404 or 422 for an account, with the header
                ``X-Sharing-Refused`` (Fiskil, errors).
            SourceUnavailable: The source cannot answer now: 503 with ``Retry-After``.
            SourceFault: Anything else, such as an unknown collection, operator or type of value: 500. So is every
                exception that is not listed here.
        """

    @hookspec
    async def health(self) -> None:
        """Return if the source can serve, raise if it cannot. Optional.

        Called at each ``GET /ready`` and before a reload takes effect, also while queries are running. It must end
        within the source's ``timeout`` (5 seconds by default).

        Raises:
            Exception: The source cannot serve. ``/ready`` then returns 503 and names the exception's type.
        """

    @hookspec
    async def advice(self, query: Query) -> Sequence[str]:  # type: ignore[empty-body]
        """Suggest how to make a query faster. Optional.

        Called by ``openholder check`` only, with the query of each operation for a customer who does not exist. It
        must end within the source's ``timeout`` (5 seconds by default). An exception counts as no advice.

        Args:
            query: The query, as `fetch` would get it.

        Returns:
            For each suggestion one sentence, or one statement to paste such as ``CREATE INDEX``.
        """

    @hookspec
    async def record_answer(self, event: FinishedRequest) -> None:
        """Record an answer before it leaves. Optional.

        Called for each request that has been judged, with data or refused. Nothing of the answer is sent before it
        returns. It must end within ``timeout`` (2 seconds by default), and must not block.

        Args:
            event: The request and its answer. ``seconds`` is the time until now.

        Raises:
            Exception: The answer is not recorded. It is replaced by 503, or with ``required = false`` sent all the
                same. The failure is counted and logged with type and location.
        """

    @hookspec
    def request_finished(self, event: FinishedRequest) -> None:
        """Record an answered request. Optional.

        Called on the event loop after each response, with data or without: it must not block. Exceptions are logged
        with type and location only.

        Args:
            event: The request and its result.
        """


ASYNC_HOOKS: Final = tuple(name for name, hook in vars(Hookspecs).items() if inspect.iscoroutinefunction(hook))
"""The hooks that the server awaits: those that are ``async def`` above."""
REQUIRED_HOOKS: Final = ("fetch", "collections")
"""The hooks that every data source must implement."""
