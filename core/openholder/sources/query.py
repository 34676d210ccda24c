"""What the host asks of a source, what it gets back, and what the question means.

A source reads ``query.collection``, ``query.filters`` and ``query.order``; that is all it takes to answer rightly.
``query.variables`` repeats what the request fixed to one value, under the names that URL templates use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from openholder.sources.filters import Filter, Order, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question to one collection: the records that fulfil all filters, in the given order.

    ``offset`` records are left out at the beginning and at most ``limit`` are handed over; ``None`` is no limit.
    """

    collection: str
    filters: tuple[Filter, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the request names: ``customerId``, ``accountId``, ``email`` and the other ids in its path."""
    order: tuple[Order, ...] = ()
    """By what the records are ordered; those that are equal, or all where it is empty, come as the source has them.

    A source has its records in one order, and new ones at the end: pages of one list must not overlap.
    """
    offset: int = 0
    limit: int | None = None
    document: bool = False
    """Whether the member ``document`` (bytes) is wanted. Otherwise it is better left out: it may be large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The records of one page, and how many there are on all pages together."""

    records: Sequence[Record]
    total: int


def select(records: Sequence[Record], query: Query) -> Page:
    """Answer ``query`` from plain records: what a Query means, and all that a small source needs.

    Raises `SourceFault` for a record whose value a filter or an order cannot read.
    """
    found = [record for record in records if all(condition.admits(record) for condition in query.filters)]
    for order in reversed(query.order):
        found.sort(key=order.key, reverse=order.descending)
    end = None if query.limit is None else query.offset + query.limit
    return Page(records=found[query.offset : end], total=len(found))
