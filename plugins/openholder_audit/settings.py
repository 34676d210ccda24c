"""The settings of an audit trail."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator

from openholder import NewFile, Secret

MIN_KEY = 16
"""Bytes of a key: fewer could be guessed."""


class AuditSettings(BaseModel):
    """``[observers.X]`` with ``kind = "audit"``."""

    folder: NewFile
    """The folder of the files. It is created if its parent exists."""
    ids: Literal["pseudonym", "plain"] = "pseudonym"
    """How ids of customers and accounts are written."""
    key: Secret | None = None
    """The secret of the pseudonyms and of the chain of hashes."""
    sync: Literal["each", "second", "never"] = "second"
    """When a record is forced to the disk: before its answer leaves, within a second, or when the system does it."""
    unadmitted: bool = False
    """Whether requests without a valid token are recorded, too. Anybody can send them, and fill the disk."""
    max_bytes: int = Field(default=67_108_864, ge=4096)
    """Bytes after which a new file begins."""
    max_hours: float = Field(default=24.0, gt=0)
    """Hours after which a new file begins."""

    @model_validator(mode="after")
    def _check_key(self) -> Self:
        if self.key is None:
            if self.ids == "pseudonym":
                raise ValueError('ids = "pseudonym" needs a key: set key, or ids = "plain"')
        elif len(self.key.get_secret_value().encode()) < MIN_KEY:
            raise ValueError(f"key must have at least {MIN_KEY} bytes: `openssl rand -hex 32` makes one")
        return self

    @property
    def secret(self) -> bytes:
        """The key as bytes; empty if there is none."""
        return self.key.get_secret_value().encode() if self.key else b""
