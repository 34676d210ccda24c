"""Mask personal values in reports.

Failures quote places, types and numbers only, so a report should contain no personal value in the first place. Masking
is the last line of defence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import quote

from openholder.rehearsal.session import Session

MIN_LENGTH = 4
"""Shorter values occur in any text: masking them would hide nothing and make reports unreadable."""
_TOKEN = r"eyJ[\w-]+(?:\.[\w-]*){1,4}"  # noqa: S105 - the form of a JWT (RFC 7519 section 3), not one
_ELLIPSIS = "…"


def collect_personal_values(session: Session) -> frozenset[str]:
    """Return the e-mail addresses, and the ids of customers, accounts and their records."""
    values = {*session.plan.emails, *session.plan.customers}
    for run in session.runs:
        values.update((run.email, run.customer_id, *run.offered))
        for sequences in run.sequences.values():
            for sequence in sequences:
                values.update((*sequence.ids.values(), *sequence.account_ids))
    return frozenset(values)


def build_mask(values: Iterable[str]) -> Callable[[str], str]:
    """Return a function that replaces the values, and all tokens, by an ellipsis and drops unprintable characters.

    Values are found literally or percent-encoded, in upper or lower case.
    """
    long = {form for value in values if len(value) >= MIN_LENGTH for form in (value, quote(value, safe=""))}
    longest_first = sorted(long, key=lambda value: (-len(value), value))
    secret = re.compile("|".join([_TOKEN, *map(re.escape, longest_first)]), re.IGNORECASE)

    def mask(text: str) -> str:
        # Control characters move a terminal's cursor, and XML cannot express them.
        printable = "".join(character if character.isprintable() else " " for character in text)
        return secret.sub(_ELLIPSIS, printable)

    return mask
