"""Flat rows become typed records: the one place that knows what CSV and SQL cannot express.

Names are the mapping. A column named by a member's path (``address.locality``) fills that member; a column holding
JSON text fills a member that is an object or a list; no value means no member. Text, numbers and truth values are
turned into what the member wants only where nothing is lost. Everything else is a `Misfit`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import inspect

from openholder.contract.formats import OpenRecord, Record
from openholder.errors import SourceFault, UntrustedJSON
from openholder.strict_json import parse_json

R = TypeVar("R", bound=Record)
Fitter = Callable[[Any, str], Any]
"""Turns a value, standing at a path, into what the member there wants."""

_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TRUTH = {"true": True, "false": False, "1": True, "0": False, 1: True, 0: False}
_LARGEST = 10**30
"""Numbers beyond it are no ids and no amounts; writing them out would only cost."""
_DOUBLE_DIGITS = 15
"""Decimal digits that a double keeps (IEEE 754, DBL_DIG): one that needs more carries a rounding error."""


class Misfit(SourceFault):
    """A row does not fit its record. Names the member and the type that was found, never the value."""

    def __init__(self, member: str, found: object, wanted: str = "") -> None:
        kind = "dict" if isinstance(found, dict) else type(found).__name__
        reason = f": {wanted}" if wanted else ""
        super().__init__(f"member {member!r} does not fit (found {kind}){reason}")
        self.member = member


def record_from(collection: str, row: Mapping[str, Any], record: type[R], hidden: Collection[str] = ()) -> R:
    """`to_record`, with the collection named where the row does not fit: the log then says where to look."""
    try:
        return to_record(row, record, hidden)
    except Misfit as exc:
        raise SourceFault(f"collection {collection!r}: {exc}") from None


def to_record(row: Mapping[str, Any], record: type[R], hidden: Collection[str] = ()) -> R:
    """Turn a row into a record of the given type. Columns that the record has no member for stay behind.

    An `OpenRecord` takes them along, but for ``hidden`` ones: it is what `msgspec` writes, a mapping of all members.
    """
    shape = _shape(record)
    if issubclass(record, OpenRecord):
        left_out = {*hidden, *record.left_out} - shape.members
        row = {column: value for column, value in row.items() if column not in left_out}
    fitted = shape.fit(_nest(row, record.columns), "")
    try:
        converted = msgspec.convert(fitted, record)
    except msgspec.ValidationError as exc:
        member = str(exc).rpartition("`$")[2].strip("`.") if "`$" in str(exc) else ""
        missing = re.search(r"required field `(\w+)`", str(exc))
        if missing:
            raise Misfit(".".join(filter(None, [member, missing[1]])), None, "is missing") from None
        expected = "not of the member's format"
        if str(exc).startswith("Invalid enum value"):  # and there follows the value, which may be personal
            expected = f"expected one of {_list_allowed(record, member)}"
        raise Misfit(member, _found(fitted, member), expected) from None
    return _opened(fitted, record) if issubclass(record, OpenRecord) else converted


def _opened(fitted: Any, record: type[OpenRecord]) -> Any:
    member = record.misfit(fitted)
    if member is not None:
        raise Misfit(member, _found(fitted, member), "not as its JSON Schema wants it")
    return fitted


def _list_allowed(record: type[Record], path: str) -> str:
    """List the values that the enumeration at a path such as ``users[0].kind`` allows."""
    kind = _unwrap(inspect.type_info(record))
    for name in re.findall(r"[^.]+", re.sub(r"\[.*?\]", "", path)):
        assert isinstance(kind, inspect.StructType)
        kind = _unwrap(next(field.type for field in kind.fields if field.encode_name == name))
    return ", ".join(map(str, kind.values)) if isinstance(kind, inspect.LiteralType) else ""


def _unwrap(kind: inspect.Type) -> inspect.Type:
    """Return the type inside annotations, lists and a union with null."""
    while True:
        match kind:
            case inspect.Metadata(type=inner) | inspect.ListType(item_type=inner):
                kind = inner
            case inspect.UnionType(types=(inner, inspect.NoneType())):
                kind = inner
            case _:
                return kind


class _Parts(dict[str, Any]):
    """An object put together from dotted columns, as opposed to one that a column holds."""


def _nest(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Put dotted columns into objects, and drop what has no value."""
    nested = _Parts()
    for column, value in row.items():
        if value is None:
            continue
        *path, last = columns.get(column, column).split(".")
        place = nested
        for name in path:
            place = place.setdefault(name, _Parts())
            if not isinstance(place, _Parts):
                raise Misfit(name, place, "given both as a whole and by its parts")
        if last in place:
            raise Misfit(column, value, "given both as a whole and by its parts")
        place[last] = value
    return nested


def _found(value: Any, path: str) -> Any:
    """What stands at a path such as ``users[0].id``."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        if name:
            value = value.get(name) if isinstance(value, dict) else None
        else:
            value = value[int(index)] if isinstance(value, list) else None
    return value


def _as_is(value: Any, path: str) -> Any:
    return value


def _text(value: Any, path: str) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return str(value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < 30:
        return format(value, "f")
    if isinstance(value, str) and not _is_unicode(value):
        raise Misfit(path, value, "not Unicode text")
    return value


def _is_unicode(text: str) -> bool:
    """Whether the text can be written at all: a lone surrogate cannot."""
    try:
        return text.isascii() or bool(text.encode("utf-8"))
    except UnicodeEncodeError:
        return False


def _truth(value: Any, path: str) -> Any:
    if isinstance(value, str):
        return _TRUTH.get(value.lower(), value)
    return _TRUTH.get(value, value) if isinstance(value, int) else value


def _integer(value: Any, path: str) -> Any:
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value


def _decimal(value: Any, path: str) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, float) and abs(value) < 10**_DOUBLE_DIGITS and float(f"{value:.{_DOUBLE_DIGITS}g}") == value:
        return Decimal(f"{value:.{_DOUBLE_DIGITS}g}")
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise Misfit(path, value, "not an exact decimal")


def _object(fields: dict[str, Fitter], value: Any, path: str) -> Any:
    value = _from_json(value, path)
    if not isinstance(value, dict):
        return value
    return {name: fit(value[name], _below(path, name)) for name, fit in fields.items() if value.get(name) is not None}


def _open_object(fields: dict[str, Fitter], value: Any, path: str) -> Any:
    value = _from_json(value, path)
    if not isinstance(value, dict):
        return value
    return {
        name: fields.get(name, _any)(found, _below(path, name)) for name, found in value.items() if found is not None
    }


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _any(value: Any, path: str) -> Any:
    """What nothing is known of: text, truth values, exact numbers, and lists and objects of them."""
    if isinstance(value, dict):
        return _open_object({}, value, path)
    if isinstance(value, list):
        return _list(_any, value, path)
    if isinstance(value, float):
        return _decimal(value, path)
    return _text(value, path) if isinstance(value, str) else value


def _list(fit: Fitter, value: Any, path: str) -> Any:
    value = _from_json(value, path)
    if not isinstance(value, list):
        return value
    return [fit(item, f"{path}[{number}]") for number, item in enumerate(value)]


def _from_json(value: Any, path: str) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        return parse_json(value)
    except UntrustedJSON:
        raise Misfit(path, value, "not JSON") from None


def _number_text(fit: Fitter, places: int, value: Any, path: str) -> Any:
    """Numbers as text with so many decimal places at least; text stays as it is."""
    if isinstance(value, str | bool):
        return fit(value, path)
    exact = _decimal(value, path)
    exponent = exact.as_tuple().exponent
    return format(exact.quantize(Decimal(1).scaleb(min(int(exponent), -places))), "f")


def _checked(fit: Fitter, check: Callable[[str], bool], value: Any, path: str) -> Any:
    fitted = fit(value, path)
    if isinstance(fitted, str) and not check(fitted):
        raise Misfit(path, value, "not of the member's format")
    return fitted


_SCALARS: dict[type[inspect.Type], Fitter] = {
    inspect.StrType: _text,
    inspect.BoolType: _truth,
    inspect.IntType: _integer,
    inspect.DecimalType: _decimal,
    inspect.DictType: _from_json,
}


class _Shape(NamedTuple):
    """How rows of one type of record are fitted, and which members it has."""

    fit: Fitter
    members: frozenset[str]


@cache
def _shape(record: type[Record]) -> _Shape:
    info = inspect.type_info(record)
    assert isinstance(info, inspect.StructType)
    return _Shape(_compile(info), frozenset(field.encode_name for field in info.fields))


def _compile(shape: inspect.Type) -> Fitter:
    """What turns a value into the given type, found once for each type instead of once for each row."""
    if isinstance(shape, inspect.Metadata):
        return _with_metadata(_compile(shape.type), shape.extra or {})
    if isinstance(shape, inspect.UnionType):
        meant = [kind for kind in shape.types if not isinstance(kind, inspect.NoneType)]
        return _compile(meant[0]) if len(meant) == 1 else _as_is
    if isinstance(shape, inspect.StructType):
        fields = {field.encode_name: _compile(field.type) for field in shape.fields}
        return partial(_open_object if issubclass(shape.cls, OpenRecord) else _object, fields)
    if isinstance(shape, inspect.ListType):
        return partial(_list, _compile(shape.item_type))
    return _SCALARS.get(type(shape), _as_is)


def _with_metadata(fit: Fitter, extra: Mapping[str, Any]) -> Fitter:
    if "places" in extra:
        fit = partial(_number_text, fit, extra["places"])
    return partial(_checked, fit, extra["check"]) if "check" in extra else fit
