"""What the configuration as a whole says to the settings of each plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from openholder.outbound import Outbound


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Top-level settings that concern sources which build URLs or call other servers."""

    id_characters: str = ""
    """Characters that ids may have besides letters, digits and ``._~-``."""
    outbound: Outbound = field(default_factory=Outbound)
    """The proxy for requests to other hosts."""


_current: ContextVar[HostSettings] = ContextVar("openholder_host_settings")


def get_host_settings() -> HostSettings:
    """Return the top-level settings of the configuration that is being read, or else the defaults.

    Call it while ``Settings`` are validated, such as in the ``default_factory`` of a `pydantic.PrivateAttr`. Later, the
    configuration has been read and the result is the defaults.
    """
    return _current.get(HostSettings())


@contextmanager
def provide_host_settings(settings: HostSettings) -> Iterator[None]:
    """Let `get_host_settings` return ``settings`` for the duration of the block."""
    token = _current.set(settings)
    try:
        yield
    finally:
        _current.reset(token)
