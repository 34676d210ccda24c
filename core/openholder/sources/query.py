"""What the host asks of a source, what it gets back, and what the question means.

A source reads ``query.collection`` and ``query.filters``; that is all it takes to answer rightly. ``query.variables``
repeats what the request fixed to one value, under the names that URL templates use.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Record = Mapping[str, Any]
"""A flat row: a column named by a member's path (``accountId``, ``address.locality``) fills that member."""

Operator = Literal["eq", "ieq", "in"]
"""``eq``: the same text. ``ieq``: the same but for the case of A-Z. ``in``: one of several texts."""

_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on one member. Records without that member do not fulfil it.

    Ids and e-mail addresses are compared as text, character by character: the number 12 is the text ``12`` and
    no other. ``ieq`` folds A-Z only, since wider folding makes two people's addresses one.
    """

    member: str
    operator: Operator
    value: str | tuple[str, ...]
    variable: str = ""
    """The name under which `Query.variables` has the value, where the request fixed it."""

    def admits(self, record: Record) -> bool:
        """Whether ``record`` fulfils the condition."""
        found = record.get(self.member)
        if found is None or isinstance(found, bool):
            return False
        if self.operator == "in":
            return str(found) in self.value
        if self.operator == "ieq":
            return str(found).translate(_FOLD) == str(self.value).translate(_FOLD)
        return str(found) == self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question to one collection: the records that fulfil all filters, in the order the source has them.

    ``offset`` records are left out at the beginning and at most ``limit`` are handed over; ``None`` is no limit.
    """

    collection: str
    filters: tuple[Filter, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    """``customerId``, ``accountId``, ``id``, ``email``: those of them that the request names."""
    offset: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The records of one page, and how many there are on all pages together."""

    records: Sequence[Record]
    total: int


def select(records: Sequence[Record], query: Query) -> Page:
    """Answer ``query`` from plain records: what a Query means, and all that a small source needs."""
    found = [record for record in records if all(condition.admits(record) for condition in query.filters)]
    end = None if query.limit is None else query.offset + query.limit
    return Page(records=found[query.offset : end], total=len(found))
