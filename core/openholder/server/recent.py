"""The last severe lines of the log, of all workers, for whoever looks at the console."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec

KEPT = 30
"""Different faults that are kept. Lines that differ in time alone are one fault."""
SEVERE = frozenset({"warning", "error", "critical"})
"""Levels of lines that are kept."""
FIELDS = (
    *("level", "event", "error", "error_reason", "fault", "status_code", "route_pattern", "source"),
    *("collection", "member", "wanted"),
)
"""Fields that are kept of a line: none about a customer, an account, a token or a caller."""
MOST = 300
"""Characters that are kept of a field."""


class Fault(msgspec.Struct, frozen=True):
    """Lines of the log that say the same."""

    fields: dict[str, str]
    last: str
    """When the last of them was written."""
    interaction_id: str = ""
    """The interaction id of the last one."""
    times: int = 1

    @property
    def key(self) -> tuple[str, ...]:
        """Return what lines of one fault have in common."""
        return tuple(self.fields.get(name, "") for name in FIELDS)


class RecentFaults:
    """The last faults of this process. Workers share theirs as files of the folder in which they count together.

    `note` is safe in any thread. What nobody has shared yet is lost with its process.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._faults: dict[tuple[str, ...], Fault] = {}
        self._file: Path | None = None
        self._is_changed = False

    def note(self, event: Mapping[str, Any]) -> None:
        """Keep a line of the log. Of libraries keep who said it, and not what: the text may be of a caller's making."""
        fields = {name: str(event[name])[:MOST] for name in FIELDS if name in event}
        origin = str(event.get("logger", ""))
        if not origin.startswith("openholder"):
            fields["event"] = f"a line of {origin.partition('.')[0]}: see the log"
        fault = Fault(fields, str(event["timestamp"]), str(event.get("fapi_interaction_id", ""))[:MOST])
        with self._lock:
            _add(self._faults, fault)
            self._is_changed = True

    def share(self, folder: Path, name: str) -> None:
        """Share the faults under a name from now on, after those of a predecessor of that name."""
        self._file = folder / f"faults_{name}.json"
        with self._lock:
            self._faults = merge_faults([*_read_faults(self._file), *self._faults.values()])
            self._is_changed = bool(self._faults)
        self.flush()

    def flush(self) -> None:
        """Let the other workers see what has been noted since the last time, if anything."""
        if self._file is None or not self._is_changed:
            return
        self._is_changed = False
        fresh = self._file.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):  # a full disk: the log itself has the lines
            fresh.write_bytes(msgspec.json.encode(list(self._faults.values())))
            fresh.replace(self._file)

    def list_faults(self) -> list[Fault]:
        """List the last faults of all workers, the newest first."""
        files = self._file.parent.glob("faults_*.json") if self._file else ()
        others = [fault for path in files if path != self._file for fault in _read_faults(path)]
        return list(merge_faults([*others, *self._faults.values()]).values())[::-1]


def merge_faults(faults: Iterable[Fault]) -> dict[tuple[str, ...], Fault]:
    """Make one of those that say the same, and keep the last ones, in the order of their last line."""
    merged: dict[tuple[str, ...], Fault] = {}
    for fault in sorted(faults, key=lambda fault: fault.last):
        _add(merged, fault)
    return merged


def _add(faults: dict[tuple[str, ...], Fault], fault: Fault) -> None:
    """Put a fault at the end, together with the earlier lines that say the same."""
    before = faults.pop(fault.key, None)
    faults[fault.key] = msgspec.structs.replace(fault, times=fault.times + before.times) if before else fault
    if len(faults) > KEPT:
        del faults[next(iter(faults))]


def _read_faults(path: Path) -> list[Fault]:
    """Read the faults of a process, or none: its file may have been removed since."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Fault])
    except (OSError, msgspec.DecodeError):
        return []


recent_faults = RecentFaults()
"""Those of this process: it has one log."""
