"""The findings that an inspection reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "empty", "advice", "warning", "not served", "failed", "configuration", "unreachable"]
"""``empty``: the query works, but there is no record to check. ``warning``: it works, but look at it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was inspected, with the verdict on it."""

    what: str
    verdict: Verdict
    detail: str
