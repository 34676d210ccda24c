"""What a row of the operations table says. The rows themselves are in one module a sector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from openholder.models.formats import Record

Lookup = Literal["search", "customer", "consent", "account"]
"""How the records are found: by an e-mail address in the body, by the customer in the path, the customer's accounts
that may be offered for consent, or by an account in the path that must be the customer's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that Fiskil may ask."""

    name: str
    method: Literal["GET", "POST"]
    path: str
    """The path template; each segment in braces is an id."""
    collection: str
    lookup: Lookup
    many: bool
    """Whether a list leaves, or one record, whose absence is 404."""
    record: type[Record]
    """What leaves."""
    envelope: str | None
    """The member that the answer is wrapped in, if any."""
    urns: bool
    """Whether error codes are the URNs of the CDS (CDR and consent paths) or short words (all others)."""
    summary: str
    evidence: Literal["full", "partly", "inferred", "speculative"]
    """How much of it was seen on Fiskil's pages."""
