"""SQL functions added to each connection, for comparisons that SQLite cannot express exactly.

``openholder_instant`` reads the time in a text; ``openholder_admits`` lets a `Filter` decide about the values itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

from openholder import Filter, SourceFault, instant


def make_functions(faults: list[str]) -> Iterator[tuple[str, int, Callable[..., int | None]]]:
    """Yield the name, the number of arguments and the code of each function.

    They append the reason of a failure to ``faults``: SQLite drops it.
    """
    for name, arguments, function in (("openholder_instant", 2, _read_instant), ("openholder_admits", -1, _admits)):
        yield name, arguments, partial(_call_noting_faults, faults, function)


def _call_noting_faults(faults: list[str], function: Callable[..., int | None], *arguments: object) -> int | None:
    try:
        return function(*arguments)
    except SourceFault as exc:
        faults.append(str(exc))
        raise


def _read_instant(value: object, members: str) -> int | None:
    """Read the time in a value of ``members``, in microseconds since 1970."""
    try:
        return None if value is None else instant(str(value))
    except SourceFault as exc:
        raise SourceFault(f"member {members!r}: {exc}") from None


def _admits(encoded: str, *values: object) -> bool:
    """Return whether the values of its members fulfil a condition."""
    condition = _decode_condition(encoded)
    return condition.admits(dict(zip(condition.members, values, strict=True)))


def encode_condition(condition: Filter) -> str:
    """Encode a condition as JSON: the first parameter of ``openholder_admits``."""
    typed = [
        [type(value).__name__, list(value) if isinstance(value, tuple) else str(value)]
        for value in (condition.value, condition.absent)
    ]
    return json.dumps([condition.members, condition.operator, *typed, condition.item])


@lru_cache(maxsize=1024)  # SQLite calls openholder_admits for each row, with the same condition
def _decode_condition(encoded: str) -> Filter:
    (member, *otherwise), operator, (kind, value), (absent_kind, absent), item = json.loads(encoded)
    return Filter(
        member,
        operator,
        _DECODERS[kind](value),
        otherwise=tuple(otherwise),
        absent=_DECODERS[absent_kind](absent),
        item=item,
    )


_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "NoneType": lambda _: None,
    "str": str,
    "bool": lambda text: text == "True",
    "Decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "tuple": tuple,
}
"""For each type of a value, how to decode its text."""
