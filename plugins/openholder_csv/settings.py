"""What can be set for a folder of CSV files."""

from __future__ import annotations

from pydantic import BaseModel, Field

from openholder import ExistingFolder


class CSVSettings(BaseModel):
    """``[sources.X]`` with ``kind = "csv"``."""

    path: ExistingFolder
    columns: dict[str, dict[str, str]] = {}
    """For a collection, the headers of members that have another name in the file: ``accountId = "Account No"``."""
    reload: float = Field(default=5.0, gt=0, le=3600)
    """Seconds between two looks at whether a file has changed."""
    memory_bytes: int = Field(default=67_108_864, ge=0)
    """Text of all files together, unpacked, up to which their index is in memory: 64 MiB. Beyond, it is on disk."""
    index_folder: ExistingFolder | None = None
    """Where an index on disk is; the system's folder for temporary files unless set."""
    max_bytes: int = Field(default=17_179_869_184, ge=1024)
    """Text of the largest file that is read, unpacked: 16 GiB."""
