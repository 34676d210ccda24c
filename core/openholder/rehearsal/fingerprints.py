"""Name what a failure is about, so that it is recognised in the report of another run."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from openholder.rehearsal.exchange import HARMLESS_PARAMETERS
from openholder.rehearsal.results import Failure

_CURSORS = ("offset", "pageKey")
_LAWFUL_PAGE = re.compile(r"[1-9]\d{0,2}|1000")
_STATUS = re.compile(r"[1-5]\d\d(?= |$)(?! records)")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)")


def name_cause(failure: Failure) -> str:
    """Return what was observed, and what was special about the request: parameters and note, never a value.

    If the rule is about every response with data, the request does not matter. Counts and pages are left out, because
    they change with the data; so are people and accounts. A status is kept.
    """
    status = _STATUS.match(failure.observed)
    observed = status[0] if status else ""
    observed += _NUMBER.sub("n", failure.observed[len(observed) :])
    if failure.request is None or failure.is_of_any_request:
        return observed
    pairs = parse_qsl(failure.request.query, keep_blank_values=True)
    special = {name for name, value in pairs if not _is_place(name, value)}
    parts = [*sorted(special), *([failure.request.note] if failure.request.note else [])]
    return f"{', '.join(parts)}: {observed}" if parts else observed


def _is_place(name: str, value: str) -> bool:
    """Return whether a parameter says no more than which page of a list is asked for."""
    return name in _CURSORS or (name in HARMLESS_PARAMETERS and bool(_LAWFUL_PAGE.fullmatch(value)))
