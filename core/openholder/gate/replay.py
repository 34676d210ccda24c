"""The replay store: which tokens have been used, so that each is accepted once (RFC 7519 section 4.1.7, ``jti``).

A store is a class named by an entry point of the group ``openholder.replay_stores``. The entry point's name is what
``[replay] store`` selects. The class's ``Settings``, a pydantic model, defines the other keys of that table.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, ClassVar, Literal, Protocol

Reach = Literal["process", "machine", "network"]
"""Who can share a store: the code of one process, all processes of one machine, or several machines."""
CLOCK_STEP = 300.0
"""Seconds. A clock set back by more than this is believed; by less, the latest time seen stays in force."""
LONGER = 600.0
"""Seconds that a shared store keeps entries after their expiry, which is a time on the clock of one process.

Twice the largest ``clock_tolerance``: two machines may each be off by it, in opposite directions. It is enough, too, if
the tolerance is raised at a restart, or the clock runs ahead for a while by less than `CLOCK_STEP`.
"""


def digest(issuer: str, token_id: str) -> bytes:
    """Return the 16 bytes that identify a token in a store: no personal data, and short however long the jti is."""
    return blake2b(f"{issuer}\0{token_id}".encode(), digest_size=16).digest()


class ReplayStore(Protocol):
    """Remembers used tokens. All processes that serve the same public URL must share one store.

    Implement these methods in a plain class; there is nothing to inherit from. The class may have more attributes:
    ``Settings``, a pydantic model of its configuration; ``api_version``, the supported version of the plugin interface
    (1 by default); and those of `AnswersAtOnce`, `CountsEntries` and `NoticesLosses`.
    """

    reach: ClassVar[Reach]
    """Who can share the store. ``process`` is refused if the server has several workers."""

    def __init__(self, settings: Any) -> None:
        """Keep the settings. Do no I/O.

        Args:
            settings: An instance of the class's ``Settings``.
        """

    async def open(self) -> float:
        """Connect or create the storage. Called once, in the process that uses it.

        Returns:
            The time before which used tokens may be missing from the store, in seconds since 1970; 0.0 if none are
            missing. The gate refuses tokens that were issued before that time, as they may have been used.

        Raises:
            Exception: The storage is unavailable. The command ends with exit code 4.
        """
        ...

    async def close(self) -> None:
        """Release all resources."""

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """Remember a token, and tell whether this is its first use.

        Must be atomic: of any number of concurrent calls with one entry, by everything that shares the store, exactly
        one returns True. The gate waits at most 3 seconds.

        Args:
            entry: The token's digest: 16 bytes.
            expires_at: When the entry may be forgotten, in seconds since 1970. Keep it until then.

        Returns:
            True for the first use of an entry, False for every further one.

        Raises:
            Exception: The store cannot decide. The client gets 503, and the token counts as unused.
        """
        ...


class AnswersAtOnce(Protocol):
    """What a store may have in addition: an answer without waiting, which saves the gate a timeout and a future."""

    def add_now(self, entry: bytes, expires_at: float) -> bool | None:
        """Do what `ReplayStore.add_if_absent` does, or return None without having remembered the token.

        Called first, on the event loop, so it must neither block nor compute for long. If it returns None,
        ``add_if_absent`` is called.
        """
        ...


class CountsEntries(Protocol):
    """What a store may have in addition: the number of its entries, for the operator."""

    async def count_entries(self) -> float:
        """Return how many tokens are remembered, or an estimate. Called every quarter of a minute.

        Raises:
            Exception: It is not known now.
        """
        ...


class NoticesLosses(Protocol):
    """What a store may have in addition: it notices while it is in use that it has lost used tokens."""

    @property
    def lost_before(self) -> float:
        """The latest of the times that `ReplayStore.open` describes. Read for each request, before the token is added.

        While the store has lost entries and this time is not yet known to all who share the store, it must not add
        tokens: it raises.
        """
        ...
