"""The keys that every configured source and every configured observer has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from openholder.contract.formats import AccountStatus


class SourceEntry(BaseModel):
    """The keys that every ``[sources.X]`` has; its kind defines the others."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: str
    timeout: float = Field(default=5.0, gt=0, le=60)
    """Seconds after which a query is cancelled: 5 by default, at most 60."""
    concurrency: int = Field(default=32, ge=1, le=1000)
    """Queries that may run at the same time; further ones wait. 32 by default, at most 1,000."""
    probe_id: str = Field(default="openholder-check", min_length=1, max_length=256)
    """An id that nobody has: `openholder check` asks for it."""
    absent_status: AccountStatus | None = None
    """The status of accounts whose ``status`` is there and has no value. Without it, they are faults of the source."""


class ObserverEntry(BaseModel):
    """The keys that every ``[observers.X]`` has; its kind defines the others."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: str
    timeout: float = Field(default=2.0, gt=0, le=60)
    """Seconds that recording an answer may take: 2 by default, at most 60."""
    required: bool = True
    """Whether an answer that cannot be recorded is replaced by 503. Otherwise it is sent, and the failure counted."""
