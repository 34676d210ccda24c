"""Inspect rows without a command: a database of them, a configuration, and what the judges find."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from helpers.processes import configuration
from helpers.support import SQLITE
from openholder.config import Configuration
from openholder.inspection.selection import Selection
from openholder.inspection.survey import Inspection, inspect_data

EVERYBODY = Selection(all=True)
NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
"""The day of the sample data and of the generated banks."""


def look(folder: Path, selection: Selection = EVERYBODY, source: str = SQLITE) -> Inspection:
    """Inspect the database in a folder."""
    loaded = Configuration.load(configuration(folder, more=source, jwks_port=1))
    return asyncio.run(inspect_data(loaded, selection, nullcontext, NOW))


def spoil(good: Path, folder: Path, *statements: str) -> None:
    """Copy a good database into a folder, and run statements on it."""
    shutil.copy(good, folder / "bank.db")
    with closing(sqlite3.connect(folder / "bank.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)
