"""The paths of the members of a record, as findings write them: ``fees[].rateBased.rate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from msgspec import inspect

from openholder.contract.formats import AmountString, DateString, DateTimeString, RateString, Record
from openholder.contract.wanted import describe_wanted, unwrap

_WORDS = {
    describe_wanted(inspect.type_info(kind)): word
    for kind, word in ((AmountString, "amount"), (RateString, "rate"), (DateString, "day"), (DateTimeString, "time"))
}


@cache
def list_leaves(record: type[Record]) -> Mapping[str, str]:
    """Map the path of each single value of a record to what it is: amount, rate, day, time, text or other."""
    shape = inspect.type_info(record)
    assert isinstance(shape, inspect.StructType)
    return dict(_walk_type(shape, ""))


def _walk_type(kind: inspect.Type, path: str) -> Iterator[tuple[str, str]]:
    inner = unwrap(kind)
    match inner:
        case inspect.StructType(fields=fields):
            for field in fields:
                yield from _walk_type(field.type, f"{path}.{field.encode_name}" if path else field.encode_name)
        case inspect.ListType(item_type=item):
            yield from _walk_type(item, f"{path}[]")
        case inspect.StrType():
            yield path, _WORDS.get(describe_wanted(inner), "text")
        case _:
            yield path, "other"


def flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of each single value of a JSON object. Empty texts and lists count as absent."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from flatten(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from flatten(inner, f"{path}[]")
    elif value is not None and value != "":
        yield path, value
