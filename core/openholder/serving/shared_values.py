"""How several workers count together: each into its own files of one folder, so that each can answer for all.

prometheus_client does that too, but writes with each count, which takes ten times as long. Here a count goes to memory,
and `SharedValues.flush` writes what has changed, four times a second. A worker that is killed loses no more than that,
and its successor continues its counters. The files are prometheus_client's, and so is who reads them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from openholder.errors import Unreachable

FOLDER = "OPENHOLDER_METRICS_FOLDER"
"""The environment variable by which a worker learns where the workers count together."""

# prometheus_client annotates neither.
_open_file: Any = MmapedDict
_read_files: Any = MultiProcessCollector


class SharedValues:
    """The values of one worker, in its files of a folder."""

    def __init__(self, folder: Path, worker: int) -> None:
        self.folder = folder
        """The folder of all workers."""
        self._worker = worker
        self._files: dict[str, Any] = {}
        self._changed: set[Any] = set()

    def use(self) -> None:
        """Let the metrics that are made from now on have their values here."""
        values.ValueClass = self._make_class()

    def flush(self) -> None:
        """Write what has changed."""
        for value in self._changed:
            value.write()
        self._changed.clear()

    def collect(self) -> CollectorRegistry:
        """Return a registry of what all workers have written."""
        registry = CollectorRegistry()
        _read_files(registry, str(self.folder))
        return registry

    def close(self) -> None:
        """Write the rest, let go of the files, and take this worker's gauges out of the sums."""
        self.flush()
        values.ValueClass = values.MutexValue
        forget_worker(self.folder, self._worker)
        for file in self._files.values():
            file.close()

    def open_file(self, kind: str) -> Any:
        """Return this worker's file of values of one kind."""
        if kind not in self._files:
            self._files[kind] = _open_file(str(self.folder / f"{kind}_{self._worker}.db"))
        return self._files[kind]

    def _make_class(self) -> type[Any]:
        """Make the class that prometheus_client makes an instance of for each time series."""
        open_file, note = self.open_file, self._changed.add

        class SharedValue:
            """A number, used by the thread of the event loop alone."""

            _multiprocess = True

            def __init__(
                self,
                typ: str,
                metric_name: str,
                name: str,
                labelnames: Any,
                labelvalues: Any,
                help_text: str,
                multiprocess_mode: str = "",
                **_: Any,
            ) -> None:
                self._file = open_file(f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ)
                self._key = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
                self._value: float = self._file.read_value(self._key)[0]

            def inc(self, amount: float) -> None:
                self._value += amount
                note(self)

            def set(self, value: float, timestamp: float | None = None) -> None:
                self._value = value
                note(self)

            def get(self) -> float:
                return self._value

            def set_exemplar(self, exemplar: Any) -> None:
                pass

            def get_exemplar(self) -> None:
                return None

            def write(self) -> None:
                self._file.write_value(self._key, self._value, 0.0)

        return SharedValue


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Make the folder in which workers count together, and name it to child processes, for the duration of the block.

    Raises:
        Unreachable: It cannot be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="openholder-metrics-"))
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise Unreachable(f"several workers need a folder for temporary files (TMPDIR): {reason}") from exc
    os.environ[FOLDER] = str(folder)
    try:
        yield folder
    finally:
        del os.environ[FOLDER]
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def shared_values(worker: int) -> Iterator[SharedValues | None]:
    """Let metrics have shared values, for the duration of the block, in a worker. Yield None in a single process."""
    folder = os.environ.get(FOLDER)
    if not folder:
        yield None
        return
    forget_worker(Path(folder), worker)
    shared = SharedValues(Path(folder), worker)
    shared.use()
    try:
        yield shared
    finally:
        shared.close()


def forget_worker(folder: Path, worker: int) -> None:
    """Take the gauges of a dead worker out of the sums. Its counters stay, and its successor continues them."""
    for file in folder.glob(f"gauge_live*_{worker}.db"):
        file.unlink(missing_ok=True)
