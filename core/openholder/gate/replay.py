"""Which tokens have been used: what a record of them must do, whoever keeps it.

A store is a class named by an entry point of the group ``openholder.replay_stores``; the entry point's name is what
``[replay] store`` says. Its ``Settings``, a pydantic model, holds the other keys of that table.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, ClassVar, Literal, Protocol

Reach = Literal["process", "machine", "network"]
"""Who shares a store: the code of one process, all processes of one machine, or several machines."""


def digest(issuer: str, token_id: str) -> bytes:
    """The 16 bytes under which a token is remembered: no personal data, nothing to log, whatever the jti's length."""
    return blake2b(f"{issuer}\0{token_id}".encode(), digest_size=16).digest()


class ReplayStore(Protocol):
    """A record of used tokens. Every process that answers for the same public URL must share it."""

    reach: ClassVar[Reach]

    def __init__(self, settings: Any) -> None:
        """Take the settings; no I/O here."""

    async def open(self) -> float:
        """Make ready; called once, in the process that will use it.

        Gives the time (seconds since 1970) before which entries were lost, and 0 where none were. Tokens issued before
        then may have been used; the gate refuses them.
        """
        ...

    async def close(self) -> None:
        """Give everything back."""

    async def add_if_absent(self, entry: bytes, expires_at: float) -> bool:
        """Remember ``entry`` until ``expires_at`` (seconds since 1970). True for its first use, False ever after.

        Atomic over everybody who shares the store. Any exception means that nobody can tell: never an acceptance.
        """
        ...
