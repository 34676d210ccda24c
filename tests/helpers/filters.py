"""Filters that several modules test."""

from __future__ import annotations

from datetime import UTC, datetime

from openholder import Filter

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)

OPEN = Filter("openStatus", "eq", "OPEN", absent="OPEN")
OWNED, NOT_OWNED = (Filter("isOwned", "eq", value, absent=True) for value in (True, False))

TEXT = Filter("description", "contains", "Rent", otherwise=("reference",))
UNPAID = Filter("schedule", "some", False, item="isPaid", absent=False)
ALL_PAID = Filter("schedule", "none", False, item="isPaid", absent=False)
