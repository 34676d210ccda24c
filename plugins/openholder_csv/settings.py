"""Settings of the CSV source."""

from __future__ import annotations

from decimal import Decimal

from pydantic import BaseModel, Field

from openholder import ExistingFolder


class CSVSettings(BaseModel):
    """``[sources.X]`` with ``kind = "csv"``."""

    path: ExistingFolder
    columns: dict[str, dict[str, str]] = {}
    """For a collection, the headers of members that have another name in the file: ``accountId = "Account No"``."""
    reload: float = Field(default=5.0, gt=0, le=3600)
    """Seconds between checks whether a file has changed."""
    memory_bytes: int = Field(default=67_108_864, ge=0)
    """Bytes of text of all files up to which the index is in memory: 64 MiB. Above, it is on disk."""
    index_folder: ExistingFolder | None = None
    """The folder of an index on disk, not on a network; by default the system's folder for temporary files."""
    max_bytes: int = Field(default=17_179_869_184, ge=1024)
    """The largest file, in bytes of uncompressed text: 16 GiB."""
    min_rows_ratio: Decimal = Field(default=Decimal(0), ge=0, le=1)
    """The rows that a file must still have, as a part of those in the version before: 0.9 of 1000 rows are 900."""
    marker: str | None = Field(default=None, pattern=r"^[^/\x00]+$")
    """The name of a file that is written after all others: changed files are not read while one is newer than it."""
