"""Functions that each connection is given, for what SQL by itself has no exact answer to.

These are the moment that a text names, and whether values fulfil a filter, which the filter itself then judges.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import aiosqlite

from openholder import Filter, SourceFault, instant


async def add_functions(connection: aiosqlite.Connection, faults: list[str]) -> None:
    """Give a connection the functions of the statements. Why one failed they note in ``faults``: SQLite does not."""
    instant_of, admits = partial(_noted, faults, _instant), partial(_noted, faults, _admits)
    await connection.create_function("openholder_instant", 2, instant_of, deterministic=True)
    await connection.create_function("openholder_admits", -1, admits, deterministic=True)


def _noted(faults: list[str], function: Callable[..., int | None], *arguments: object) -> int | None:
    try:
        return function(*arguments)
    except SourceFault as exc:
        faults.append(str(exc))
        raise


def _instant(found: object, members: str) -> int | None:
    """The moment that the value of some members names, in microseconds since 1970."""
    try:
        return None if found is None else instant(str(found))
    except SourceFault as exc:
        raise SourceFault(f"member {members!r}: {exc}") from None


def _admits(packed: str, *values: object) -> bool:
    """Whether the values of some members fulfil a condition."""
    condition = _unpacked(packed)
    return condition.admits(dict(zip(condition.members, values, strict=True)))


def packed(condition: Filter) -> str:
    """A condition as a parameter of a statement, for ``openholder_admits``."""
    tagged = [[type(value).__name__, _plain(value)] for value in (condition.value, condition.absent)]
    return json.dumps([condition.members, condition.operator, *tagged, condition.item])


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else str(value)


@lru_cache(maxsize=1024)
def _unpacked(packed: str) -> Filter:
    """The condition again."""
    (member, *otherwise), operator, value, absent, item = json.loads(packed)
    return Filter(member, operator, _restored(*value), otherwise=tuple(otherwise), absent=_restored(*absent), item=item)


def _restored(kind: str, plain: Any) -> Any:
    return _KINDS[kind](plain)


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "NoneType": lambda _: None,
    "str": str,
    "bool": "True".__eq__,
    "Decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "tuple": tuple,
}
