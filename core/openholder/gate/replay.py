"""The replay store: which tokens have been used, so that each is accepted once (RFC 7519 section 4.1.7, ``jti``).

A store is a class named by an entry point of the group ``openholder.replay_stores``. The entry point's name is what
``[replay] store`` selects. The class's ``Settings``, a pydantic model, defines the other keys of that table.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, ClassVar, Literal, Protocol

Reach = Literal["process", "machine", "network"]
"""Who can share a store: the code of one process, all processes of one machine, or several machines."""


def digest(issuer: str, token_id: str) -> bytes:
    """Return the 16 bytes that identify a token in a store: no personal data, and short however long the jti is."""
    return blake2b(f"{issuer}\0{token_id}".encode(), digest_size=16).digest()


class ReplayStore(Protocol):
    """Remembers used tokens. All processes that serve the same public URL must share one store.

    Implement these methods in a plain class; there is nothing to inherit from. The class may have two more attributes:
    ``Settings``, a pydantic model of its configuration, and ``api_version``, the supported version of the plugin
    interface (1 by default).
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
