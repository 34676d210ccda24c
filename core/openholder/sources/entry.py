"""The keys that every configured source has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SourceEntry(BaseModel):
    """The keys that every ``[sources.X]`` has; the others belong to its kind."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: str
    timeout: float = Field(default=5.0, gt=0, le=60)
    """Seconds after which a question to this source is given up."""
    concurrency: int = Field(default=32, ge=1, le=1000)
    """Questions that this source is asked at the same time; further ones wait their turn."""
