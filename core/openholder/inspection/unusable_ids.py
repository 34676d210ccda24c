"""Find records that no request can name, because a path or a body cannot have their ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from openholder.contract.collections import find_collection, read_key
from openholder.contract.operations import Operation
from openholder.query import Row, text
from openholder.serving.ids import find_id_mistake

_MAX_SHOWN = 60
"""Characters of an id that a message repeats."""


def find_unusable_ids(
    collection: str, rows: Iterable[Row], operations: Sequence[Operation], pattern: re.Pattern[str]
) -> Iterator[str]:
    """Find records with an id that no request can have, and say why. ``pattern`` is that of allowed ids."""
    spec = find_collection(collection)
    named = {name for operation in operations for name in re.findall(r"{(\w+)}", operation.path)} | {"id"}
    columns = {*spec.owners.values(), *({spec.key} & named if spec.key else ())}
    for row in rows:
        mistakes = [find_id_mistake(text(row[column]), pattern) for column in columns if row.get(column) is not None]
        for mistake in list(filter(None, mistakes))[:1]:
            key = read_key(collection, row)
            shown = key if len(key) <= _MAX_SHOWN else f"{key[:_MAX_SHOWN]}…"
            yield f"record {shown!r}: {mistake}; requests for it get 404"
