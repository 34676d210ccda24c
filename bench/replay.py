"""Measure what it costs to remember a used token: CPU time, for each store and for 1, 2 and 32 requests at once.

Run ``python bench/replay.py``; openholder must be installed. The stores are asked as the gate asks them. Each request
is a task that waits for its turn on the event loop between two tokens, as requests of different connections do. Threads
of the process count, and so do checkpoints; a Redis server is a process of its own, and does not count. The figures as
parts of the piece of work of ``bench/serve.py``, done in between, hold on any machine.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serve import Yardstick

from openholder.gate.replay import digest
from openholder.gate.stores.memory import MemoryStore
from openholder.gate.stores.sqlite import SQLiteSettings, SQLiteStore

AT_ONCE = (1, 2, 32)
LIFETIME = 330


@contextmanager
def run_redis(folder: Path) -> Iterator[str]:
    """Run a Redis server for the duration of the block. Yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - the command is ours
        for line in process.stdout or ():
            if "Ready to accept connections" in line:
                break
        yield f"redis://127.0.0.1:{port}/0"
        process.terminate()


def make_store(kind: str, folder: Path, url: str) -> Any:
    """Make an empty store."""
    if kind == "memory":
        return MemoryStore()
    if kind == "sqlite":
        return SQLiteStore(SQLiteSettings(path=folder / "replay.db"))
    from openholder.gate.stores.redis import RedisSettings, RedisStore  # an extra

    return RedisStore(RedisSettings.model_validate({"url": url, "timeout": 2}))


async def _measure(store: Any, tokens: int, at_once: int) -> float:
    """Return the CPU microseconds of one token."""
    add_now = getattr(store, "add_now", None)
    await store.open()
    started_at = time.time()
    entries = iter([digest("issuer", f"{started_at}-{number}") for number in range(tokens)])

    async def request() -> None:
        for entry in entries:
            answer = add_now(entry, started_at + LIFETIME) if add_now else None
            if answer is None:
                answer = await store.add_if_absent(entry, started_at + LIFETIME)
            if not answer:
                raise RuntimeError("the store refused a new entry as used")
            await asyncio.sleep(0)

    started = time.process_time()
    await asyncio.gather(*(request() for _ in range(at_once)))
    used = time.process_time() - started
    await store.close()
    return used / tokens * 1e6


def measure(kind: str, tokens: int, rounds: int, url: str = "") -> dict[int, float]:
    """Return the CPU microseconds of one token for each number of requests at once, in the best round."""
    best: dict[int, float] = {}
    for _ in range(rounds):
        for at_once in AT_ONCE:
            with tempfile.TemporaryDirectory() as folder:
                us = asyncio.run(_measure(make_store(kind, Path(folder), url), tokens, at_once))
            best[at_once] = min(us, best.get(at_once, us))
    return best


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("stores", nargs="*", default=["memory", "sqlite", "redis"])
    options = parser.parse_args()
    yardstick = Yardstick()
    write = sys.stdout.write
    write(f"{'store':>8}{'at once':>10}{'us':>8}{'pieces of work':>17}\n")
    for kind in options.stores:
        if kind == "redis":
            if shutil.which("redis-server") is None:
                write("   redis  redis-server is not installed\n")
                continue
            with tempfile.TemporaryDirectory() as folder, run_redis(Path(folder)) as url:
                found = measure(kind, options.tokens, options.rounds, url)
        else:
            found = measure(kind, options.tokens, options.rounds)
        piece = yardstick.measure()
        for at_once, us in found.items():
            write(f"{kind:>8}{at_once:>10}{us:>8.1f}{us / piece:>17.3f}\n")
    write(f"The piece of work took {yardstick.us:.0f} us.\n")


if __name__ == "__main__":
    main()
