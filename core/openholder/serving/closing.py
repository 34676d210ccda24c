"""How long a closed account is shared after its closing, where the holder has a rule: ``[closed_accounts]``.

Holders need not share the accounts that were closed long ago (guidance of the ACCC: banking 24 months; in energy, what
is not required is answered with 404 Invalid Resource).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import MAXYEAR, UTC, date, datetime

from openholder.contract.collections import name_record
from openholder.contract.operation import BELOW_ACCOUNTS
from openholder.contract.operations import OPERATIONS, Operation
from openholder.contract.records.auth import AccountLink
from openholder.errors import SourceFault
from openholder.sources.registry import SourceRegistry

Periods = Mapping[str, int]
"""The months after closing by sector; without a rule, a sector is absent."""

_COLLECTIONS = {
    sector: frozenset(row.collection for row in OPERATIONS if row.sector == sector and row.whose in BELOW_ACCOUNTS)
    for sector in ("banking", "energy", "fdx")
}
"""The collections below accounts of each sector that may have a rule."""


def find_months(sources: SourceRegistry, periods: Periods, operation: Operation) -> int | None:
    """Find the months for which an operation shares an account after its closing. None is without end."""
    if operation.sector in _COLLECTIONS:
        return periods.get(operation.sector)
    return find_longest(sources, periods)


def find_longest(sources: SourceRegistry, periods: Periods) -> int | None:
    """Find the months after closing for which at least one served sector shares an account. None is without end.

    ``accounts`` does not say which sector an account belongs to. So it is offered for consent, and to operations of no
    sector, as long as any sector would answer.
    """
    served = [name for name, collections in _COLLECTIONS.items() if any(map(sources.find_source, collections))]
    found = [periods.get(sector) for sector in served or periods]
    months = [number for number in found if number is not None]
    return max(months) if months and len(months) == len(found) else None


def has_lapsed(link: AccountLink, months: int) -> bool:
    """Tell whether an account was closed longer ago than this. The day is that of UTC.

    Raises:
        SourceFault: It is closed, and nobody knows since when.
    """
    if link.status != "closed":
        return False
    try:
        closed = date.fromisoformat(link.closing_date or "")
    except ValueError:
        reason = (
            "[closed_accounts] needs the day on which a closed account was closed, such as 2026-10-01: fill it, or"
            " leave the sector out"
        )
        fault = SourceFault(
            f"collection 'accounts': member 'closingDate': {reason}",
            row={"customerId": link.customer_id, "id": link.id},
        )
        name_record(fault, "accounts")
        raise fault from None
    return datetime.now(UTC).date() > add_months(closed, months)


def add_months(day: date, months: int) -> date:
    """Add calendar months to a day. In a shorter month it is the last day: 31 August and six months, 28 February."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    if year > MAXYEAR:
        return date.max
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
