"""Convert flat rows to typed records: the one place that knows what CSV and SQL cannot express.

Names are the mapping. A column named by a member's path (``address.locality``) fills that member. A column with JSON
text fills a member that is an object or a list. A column without a value yields no member. Text, numbers and truth
values are converted to the member's type only if nothing is lost. Everything else is a `Misfit`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from openholder.contract.formats import OpenRecord, Record
from openholder.errors import SourceFault, UntrustedJSON
from openholder.strict_json import parse_json

R = TypeVar("R", bound=Record)
Fitter = Callable[[Any, str], Any]
"""Converts the value at a path to its member's type, or returns it unchanged for `msgspec` to refuse."""

_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TRUTH = {"true": True, "false": False, "1": True, "0": False, 1: True, 0: False}
_LARGEST = 10**30
"""Larger numbers are neither ids nor amounts, and writing out their digits would be expensive."""
_DOUBLE_DIGITS = 15
"""Decimal digits that a double preserves (IEEE 754, DBL_DIG). A value with more carries a rounding error."""


_BAD_FORMAT = "it does not have the member's format"
_GIVEN_TWICE = "the row has both the whole object and its parts"


class Misfit(SourceFault):
    """A row does not fit its record. The message names the member and the type that was found, never the value."""

    def __init__(self, member: str, found: object, reason: str) -> None:
        kind = "dict" if isinstance(found, dict) else type(found).__name__
        super().__init__(f"member {member!r} does not fit (found {kind}): {reason}")
        self.member = member


def read_record(collection: str, row: Mapping[str, Any], record: type[R], hidden: Collection[str] = ()) -> R:
    """Convert a row with `to_record`. An error names the collection too, so that the log says where to look.

    Raises:
        SourceFault: The row does not fit.
    """
    try:
        return to_record(row, record, hidden)
    except Misfit as exc:
        raise SourceFault(f"collection {collection!r}: {exc}") from None


def to_record(row: Mapping[str, Any], record: type[R], hidden: Collection[str] = ()) -> R:
    """Convert a row to a record of the given type. Columns without a matching member are dropped.

    An `OpenRecord` keeps them, except for the ``hidden`` ones. Its result is a mapping of all members, ready to be
    encoded, because a struct cannot hold members that its type does not declare.

    Raises:
        Misfit: The row does not fit.
    """
    shape = _compile_shape(record)
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
        raise Misfit(member, _get_value(fitted, member), _explain(exc, record, member)) from None
    if record.any_of and fitted.keys().isdisjoint(record.any_of):
        raise Misfit(" or ".join(record.any_of), None, "at least one of them is required")
    if not issubclass(record, OpenRecord):
        return converted
    misfit = record.find_misfit(fitted)
    if misfit is not None:
        raise Misfit(misfit, _get_value(fitted, misfit), "it does not match the JSON Schema")
    return cast(R, fitted)


def _explain(error: msgspec.ValidationError, record: type[Record], path: str) -> str:
    """Say what the member allows. Quote only those messages of msgspec that never contain the value."""
    text = str(error).partition(" - at `$")[0]
    if text.startswith("Expected") and "regex" not in text:
        return text.replace("Expected", "expected", 1)
    kind = _unwrap(inspect.type_info(record))
    for name in re.sub(r"\[.*?\]", "", path).split("."):
        fields = kind.fields if isinstance(kind, inspect.StructType) else ()
        kind = next((_unwrap(field.type) for field in fields if field.encode_name == name), inspect.AnyType())
    if isinstance(kind, inspect.LiteralType):
        return f"expected one of {', '.join(map(str, kind.values))}"
    return _BAD_FORMAT


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
    """An object assembled from dotted columns, as opposed to one that a single column holds."""


def _nest(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """Collect dotted columns in objects, and drop columns without a value."""
    nested = _Parts()
    for column, value in row.items():
        if value is None:
            continue
        *path, last = columns.get(column, column).split(".")
        place = nested
        for name in path:
            place = place.setdefault(name, _Parts())
            if not isinstance(place, _Parts):
                raise Misfit(name, place, _GIVEN_TWICE)
        if last in place:
            raise Misfit(column, value, _GIVEN_TWICE)
        place[last] = value
    return nested


def _get_value(value: Any, path: str) -> Any:
    """Return the value at a path such as ``users[0].id``."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
        if name:
            value = value.get(name) if isinstance(value, dict) else None
        else:
            value = value[int(index)] if isinstance(value, list) else None
    return value


def _keep(value: Any, path: str) -> Any:
    return value


def _fit_text(value: Any, path: str) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return str(value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < 30:
        return format(value, "f")
    if isinstance(value, str) and not _is_unicode(value):
        raise Misfit(path, value, "expected Unicode text, without lone surrogates")
    return value


def _is_unicode(text: str) -> bool:
    """Tell whether the text can be encoded: a lone surrogate cannot."""
    try:
        return text.isascii() or bool(text.encode("utf-8"))
    except UnicodeEncodeError:
        return False


def _fit_truth(value: Any, path: str) -> Any:
    if isinstance(value, str):
        return _TRUTH.get(value.lower(), value)
    return _TRUTH.get(value, value) if isinstance(value, int) else value


def _fit_integer(value: Any, path: str) -> Any:
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value


def _fit_decimal(value: Any, path: str) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, float) and abs(value) < 10**_DOUBLE_DIGITS and float(f"{value:.{_DOUBLE_DIGITS}g}") == value:
        return Decimal(f"{value:.{_DOUBLE_DIGITS}g}")
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise Misfit(path, value, "expected an exact decimal")


def _fit_object(fields: dict[str, Fitter], value: Any, path: str) -> Any:
    value = _parse_text(value, path)
    if not isinstance(value, dict):
        return value
    return {
        name: fit(value[name], _join_path(path, name)) for name, fit in fields.items() if value.get(name) is not None
    }


def _fit_open_object(fields: dict[str, Fitter], value: Any, path: str) -> Any:
    value = _parse_text(value, path)
    if not isinstance(value, dict):
        return value
    return {
        name: fields.get(name, _fit_any)(found, _join_path(path, name))
        for name, found in value.items()
        if found is not None
    }


def _join_path(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _fit_any(value: Any, path: str) -> Any:
    """Convert a value of unknown type: text, truth values, exact numbers, and lists and objects of them."""
    if isinstance(value, dict):
        return _fit_open_object({}, value, path)
    if isinstance(value, list):
        return _fit_list(_fit_any, value, path)
    if isinstance(value, float):
        return _fit_decimal(value, path)
    return _fit_text(value, path) if isinstance(value, str) else value


def _fit_list(fit: Fitter, value: Any, path: str) -> Any:
    value = _parse_text(value, path)
    if not isinstance(value, list):
        return value
    return [fit(item, f"{path}[{number}]") for number, item in enumerate(value)]


def _parse_text(value: Any, path: str) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        return parse_json(value)
    except UntrustedJSON:
        raise Misfit(path, value, "expected JSON text") from None


def _fit_number_text(fit: Fitter, places: int, value: Any, path: str) -> Any:
    """Convert numbers to text with at least ``places`` decimal places. Text stays unchanged."""
    if isinstance(value, str | bool):
        return fit(value, path)
    exact = _fit_decimal(value, path)
    exponent = exact.as_tuple().exponent
    return format(exact.quantize(Decimal(1).scaleb(min(int(exponent), -places))), "f")


def _fit_and_check(fit: Fitter, check: Callable[[str], bool], value: Any, path: str) -> Any:
    fitted = fit(value, path)
    if isinstance(fitted, str) and not check(fitted):
        raise Misfit(path, value, _BAD_FORMAT)
    return fitted


_SCALARS: dict[type[inspect.Type], Fitter] = {
    inspect.StrType: _fit_text,
    inspect.BoolType: _fit_truth,
    inspect.IntType: _fit_integer,
    inspect.DecimalType: _fit_decimal,
    inspect.DictType: _parse_text,
}


class _Shape(NamedTuple):
    """The converter of one record type, and the names of its members."""

    fit: Fitter
    members: frozenset[str]


@cache
def _compile_shape(record: type[Record]) -> _Shape:
    info = inspect.type_info(record)
    assert isinstance(info, inspect.StructType)
    return _Shape(_compile(info), frozenset(field.encode_name for field in info.fields))


def _compile(shape: inspect.Type) -> Fitter:
    """Build the converter for a type, once per type instead of once per row."""
    if isinstance(shape, inspect.Metadata):
        fit = _compile(shape.type)
        extra = shape.extra or {}
        if "places" in extra:
            fit = partial(_fit_number_text, fit, extra["places"])
        return partial(_fit_and_check, fit, extra["check"]) if "check" in extra else fit
    if isinstance(shape, inspect.UnionType):
        members = [kind for kind in shape.types if not isinstance(kind, inspect.NoneType)]
        return _compile(members[0]) if len(members) == 1 else _keep
    if isinstance(shape, inspect.StructType):
        fields = {field.encode_name: _compile(field.type) for field in shape.fields}
        return partial(_fit_open_object if issubclass(shape.cls, OpenRecord) else _fit_object, fields)
    if isinstance(shape, inspect.ListType):
        return partial(_fit_list, _compile(shape.item_type))
    return _SCALARS.get(type(shape), _keep)
