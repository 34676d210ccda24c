"""What is measured of a running server beside its requests: the process, the keys, the record of used tokens."""

from __future__ import annotations

import asyncio
import logging
import platform
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from openholder._version import __version__
from openholder.contract.operations import Operation
from openholder.gate import Gate
from openholder.gate.jwks import JWKSCache
from openholder.gate.replay import ReplayStore
from openholder.server.connections import choose_transport
from openholder.server.logs import count_lost_lines
from openholder.serving.metrics import Metrics
from openholder.settings import Listen

log = logging.getLogger(__name__)

COUNT = 15.0
"""Seconds between two counts of the entries in the record of used tokens."""
_STATM = Path("/proc/self/statm")


def watch_process(metrics: Metrics, listen: Listen) -> None:
    """Measure this process."""
    metrics.set("openholder_workers", 1)
    metrics.set("openholder_workers_configured", listen.workers)
    metrics.count("openholder_worker_starts")()
    metrics.set("openholder_build_info", 1, __version__, platform.python_version(), choose_transport(listen.http))
    metrics.watch("openholder_heartbeat_timestamp_seconds", time.time)
    metrics.watch("openholder_resident_memory_bytes", _read_memory)
    metrics.watch("openholder_log_lines_lost", count_lost_lines)


def watch_admission(metrics: Metrics, keys: JWKSCache, gate: Gate) -> None:
    """Measure what decides on tokens."""
    metrics.watch("openholder_jwks_age_seconds", lambda: float("inf") if keys.age is None else keys.age)
    metrics.watch("openholder_replay_lost_timestamp_seconds", lambda: gate.lost_before)


def set_limits(metrics: Metrics, operations: Iterable[Operation]) -> None:
    """Say how long the answers of each route may take. The strictest operation of a path counts."""
    limits: dict[str, float] = {}
    for operation in operations:
        limits[operation.path] = min(operation.tier.limit, limits.get(operation.path, operation.tier.limit))
    for path, limit in limits.items():
        metrics.set("openholder_route_limit_seconds", limit, path)


async def count_entries(metrics: Metrics, store: ReplayStore) -> None:
    """Count the entries of the store from time to time, if it can."""
    count = getattr(store, "count_entries", None)
    while count:
        try:
            metrics.set("openholder_replay_entries", await count())
        except Exception as exc:  # a store that fails says so with each request
            log.debug("the entries of the replay store cannot be counted: %s", type(exc).__name__)
        await asyncio.sleep(COUNT)


def _read_memory() -> float:
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:  # outside Linux: the most that it ever was, in kilobytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
