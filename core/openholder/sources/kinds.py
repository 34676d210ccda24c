"""Kinds of plugins: which are installed, and the class of each.

openholder reads the entry points itself: if two distributions claim one name, pluggy silently takes the first, and it
stops at the first import that fails.
"""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from openholder.errors import OpenholderError
from openholder.sources.hookspecs import API_VERSION, SOURCES

FIRST_VERSION = 1
"""The version of the plugin interface that a class without ``api_version`` supports."""

Places = tuple[tuple[str, int], ...]
"""The folders on the import path, and the modification time of each in nanoseconds."""


class UnusableKind(OpenholderError):
    """A kind is not installed, installed twice, or cannot be imported. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry point: the kind's name, and the distribution that provides it. Nothing is imported yet."""

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    def load(self) -> type[Any]:
        """Import the plugin's class.

        Raises:
            UnusableKind: The import failed, or the class supports another version of the plugin interface.
        """
        try:
            loaded = self.entry_point.load()
        except Exception as exc:
            extras = "".join(f"; it needs {self.distribution}[{extra}]" for extra in self.entry_point.extras)
            raise UnusableKind(
                f"kind {self.name!r} of {self.distribution} {self.version} ({self.entry_point.value})"
                f" cannot be imported: {type(exc).__name__}: {' '.join(str(exc).split())}{extras}"
            ) from exc
        if not isinstance(loaded, type):
            raise UnusableKind(f"kind {self.name!r} of {self.distribution} ({self.entry_point.value}) is not a class")
        version = getattr(loaded, "api_version", FIRST_VERSION)
        if version != API_VERSION or isinstance(version, bool):  # True equals 1
            raise UnusableKind(
                f"kind {self.name!r} of {self.distribution} {self.version} is written for version {version!r} of the"
                f" plugin interface, but this openholder has version {API_VERSION}: install compatible versions"
            )
        return loaded


def list_kinds(group: str = SOURCES) -> list[Kind]:
    """List the installed kinds of a group, by name and distribution. A kind that is claimed twice appears twice."""
    return list(_read_kinds(group, tuple((place, _read_mtime(place)) for place in sys.path)))


@lru_cache(maxsize=8)
def _read_kinds(group: str, places: Places) -> tuple[Kind, ...]:
    """Read the kinds of a group from the metadata of all distributions.

    Nothing at a start or reload takes longer, so the result is cached until something is installed: that changes the
    modification time of a folder.
    """
    kinds = {
        Kind(entry.name, entry.dist.name if entry.dist else "?", entry.dist.version if entry.dist else "?", entry)
        for entry in entry_points(group=group)
    }
    return tuple(sorted(kinds, key=lambda kind: (kind.name, kind.distribution)))


def _read_mtime(place: str) -> int:
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:  # sys.path may name folders that do not exist
        return 0


def find_kind(name: str, group: str = SOURCES) -> Kind:
    """Find the one installed kind of that name.

    Raises:
        UnusableKind: There is none, or more than one.
    """
    installed = list_kinds(group)
    claims = [kind for kind in installed if kind.name == name]
    if len(claims) == 1:
        return claims[0]
    if claims:
        owners = " and ".join(f"{kind.distribution} {kind.version}" for kind in claims)
        raise UnusableKind(f"kind {name!r} is claimed by {owners}; uninstall one of them")
    names = sorted({kind.name for kind in installed})
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise UnusableKind(f"no installed plugin offers kind {name!r} (installed: {', '.join(names) or 'none'}){hint}")
