"""A bank whose data change while they are served."""

from __future__ import annotations

import sqlite3
from typing import Any

from helpers.support import SQLITE, Answer, World


class Bank:
    """A server over a SQLite file, and a connection that writes to the file."""

    def __init__(self, world: World, schema: str) -> None:
        self.world = world
        path = world.folder / "bank.db"
        is_new = not path.exists()
        self.writer = sqlite3.connect(path)
        self.writer.execute("PRAGMA synchronous = OFF")
        if is_new:
            self.writer.executescript(f"PRAGMA journal_mode = WAL;\n{schema}")

    async def start(self, **more: str) -> Bank:
        await self.world.start(SQLITE, **more)
        return self

    async def get(self, path: str, query: str = "", body: Any = None) -> Answer:
        return await self.world.call(f"{path}?{query}" if query else path, body=body)
