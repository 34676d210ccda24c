"""Settings of the CSV source."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from openholder import ExistingFolder
from openholder.mapping import MappingSettings

FileName = Annotated[str, Field(pattern=r"^[^/\x00]+$")]
"""The name of a file in the folder."""
Character = Annotated[str, Field(pattern=r"^[^\r\n\x00]$")]


def _check_encoding(name: str) -> str:
    """Check that an encoding of this name exists."""
    try:
        "id".encode(name)
        return name
    except (LookupError, UnicodeError):
        raise ValueError("unknown encoding; allowed are utf-8, utf-8-sig, utf-16, windows-1252, iso-8859-1 …") from None


class CSVSettings(MappingSettings):
    """``[sources.X]`` with ``kind = "csv"``."""

    path: ExistingFolder
    tables: dict[str, FileName] = Field(default={})
    """For a collection, the file in the folder that holds it, if it is not named after the collection."""
    delimiter: Character = ","
    quote: Character | Annotated[str, Field(max_length=0)] = '"'
    """The character around a cell that contains delimiters or line breaks. Empty: quotes are like other characters."""
    encoding: Annotated[str, AfterValidator(_check_encoding)] = "utf-8"
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
    marker: FileName | None = None
    """The name of a file that is written after all others: changed files are not read while one is newer than it."""

    @model_validator(mode="after")
    def _check_characters(self) -> Self:
        if self.delimiter == self.quote:
            raise ValueError("`delimiter` and `quote` must be different characters")
        return self
