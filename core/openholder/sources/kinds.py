"""Kinds of plugins: which are installed, and the class behind one of them.

openholder reads the entry points itself, because pluggy's own loading takes the first of two distributions that claim
one name in silence, and stops at the first import that fails.
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
"""The version of the plugin interface for which a class is written that does not say."""

Places = tuple[tuple[str, int], ...]
"""The folders from which modules are imported, and when each was changed last."""


class UnusableKind(OpenholderError):
    """A kind that is not installed, installed twice, or cannot be imported. The message is one sentence."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry point: the kind's name and the distribution that brings it. Nothing is imported yet."""

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint

    def load(self) -> type[Any]:
        """Import the plugin's class. Raises `UnusableKind` when that fails, naming distribution and entry point."""
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
        self._check_version(getattr(loaded, "api_version", FIRST_VERSION))
        return loaded

    def _check_version(self, version: object) -> None:
        if version != API_VERSION or isinstance(version, bool):
            raise UnusableKind(
                f"kind {self.name!r} of {self.distribution} {self.version} is written for version {version!r} of the"
                f" plugin interface, and this openholder has version {API_VERSION}:"
                " install versions that fit each other"
            )


def installed_kinds(group: str = SOURCES) -> list[Kind]:
    """All installed kinds of a group, sorted by name and distribution; one that is claimed twice is there twice."""
    return list(_found(group, tuple((place, _changed(place)) for place in sys.path)))


@lru_cache(maxsize=8)
def _found(group: str, places: Places) -> tuple[Kind, ...]:
    """The kinds of a group. Reading the metadata of all distributions costs more than all else at a start or reload, so
    it is done again only when something was installed: that changes one of the folders."""
    kinds = {
        Kind(entry.name, entry.dist.name if entry.dist else "?", entry.dist.version if entry.dist else "?", entry)
        for entry in entry_points(group=group)
    }
    return tuple(sorted(kinds, key=lambda kind: (kind.name, kind.distribution)))


def _changed(place: str) -> int:
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:  # Python keeps places on its path that are not there
        return 0


def find_kind(name: str, group: str = SOURCES) -> Kind:
    """The one installed kind of that name. Raises `UnusableKind` when there is none, or more than one."""
    installed = installed_kinds(group)
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
