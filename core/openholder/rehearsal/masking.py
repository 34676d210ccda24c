"""The last line of defence of reports: whatever the rehearsal knows of somebody is taken out of every text that leaves.

No text should have any of it, since findings tell places, types and numbers. This is for the one that does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

from openholder.rehearsal.scene import Scene, Visit

SHORTEST = 4
"""Shorter values are parts of any text: to mask them would hide nothing and spoil everything."""
_TOKEN = r"eyJ[\w-]+(?:\.[\w-]*){1,4}"  # noqa: S105 - the form of a JWT (RFC 7519 section 3), not one
_ELLIPSIS = "…"


def known(scene: Scene) -> frozenset[str]:
    """The values that are somebody's: addresses, and the ids of customers, accounts and what belongs to them."""
    values = {*scene.plan.emails, *scene.plan.customers}
    for visit in scene.visits:
        values.update(_of(visit))
    return frozenset(values)


def _of(visit: Visit) -> Iterator[str]:
    yield from (visit.email, visit.customer_id, *visit.offered)
    for leg in (leg for legs in visit.legs.values() for leg in legs):
        yield from leg.ids.values()
        yield from leg.asked


def masking(values: Iterable[str]) -> Callable[[str], str]:
    """A function that puts an ellipsis in place of the values, and of tokens, and drops what cannot be printed.

    Values are found as they are, percent-encoded, and in letters of any case.
    """
    long = {form for value in values if len(value) >= SHORTEST for form in (value, quote(value, safe=""))}
    longest_first = sorted(long, key=lambda value: (-len(value), value))
    secret = re.compile("|".join([_TOKEN, *map(re.escape, longest_first)]), re.IGNORECASE)

    def mask(text: str) -> str:
        # Control characters move a terminal's cursor, and XML has no way to write them.
        printable = "".join(character if character.isprintable() else " " for character in text)
        return secret.sub(_ELLIPSIS, printable)

    return mask
