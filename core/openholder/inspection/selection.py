"""Choose the customers to look at: those that are named, all, or a sample spread over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from openholder.errors import SourceFault
from openholder.query import Query, text
from openholder.sources.registry import SourceRegistry

PLACES = 50
"""Places of the list from which a sample is taken: sources skip the records between them, which takes time."""
BATCH_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which customers to look at, and which sectors."""

    named: Sequence[str] = ()
    number: int = 20
    """How many, if none are named."""
    all: bool = False
    sectors: frozenset[str] = frozenset()
    """Empty: all sectors that are served."""


async def select_customers(sources: SourceRegistry, selection: Selection) -> tuple[list[str], bool]:
    """Return the ids of the customers to look at, and whether they are all that there are.

    Without ``customers``, the accounts say whom there is.

    Raises:
        SourceFault: The source cannot list customers, or they have no ids.
    """
    if selection.named:
        return list(dict.fromkeys(selection.named)), False
    collection, column = ("customers", "id") if sources.find_source("customers") else ("accounts", "customerId")
    total = (await sources.fetch(Query(collection=collection, limit=1))).total
    if selection.all or total <= selection.number:
        parts = [(offset, min(BATCH_SIZE, total - offset)) for offset in range(0, total, BATCH_SIZE)]
    else:
        parts = _spread(total, selection.number)
    found: dict[str, None] = {}
    for offset, size in parts:
        for row in (await sources.fetch(Query(collection=collection, offset=offset, limit=size))).records:
            if row.get(column) is None:
                raise SourceFault(f"collection {collection!r}: a record has no {column!r}")
            found[text(row[column])] = None
    return list(found), selection.all or total <= selection.number


def _spread(total: int, number: int) -> list[tuple[int, int]]:
    """Return offset and size of each part of a sample. The parts do not overlap, and the last ends with the list."""
    places = min(number, PLACES)
    sizes = [number // places + (place < number % places) for place in range(places)]
    if places == 1:
        return [(0, number)]
    room = (total - sizes[-1]) / (places - 1)
    return [(int(place * room), size) for place, size in enumerate(sizes)]
