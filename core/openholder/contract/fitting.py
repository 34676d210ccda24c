"""Convert values to the types of members: what CSV and SQL cannot express, without losing anything.

Text, numbers and truth values are converted only if nothing is lost. Everything else is a `Misfit`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from msgspec import inspect

from openholder.contract.formats import OpenRecord
from openholder.contract.wanted import describe_wanted
from openholder.errors import SourceFault, UntrustedJSON, name_found
from openholder.strict_json import parse_json

Fitter = Callable[[Any, str], Any]
"""Converts the value at a path to its member's type, or returns it unchanged for `msgspec` to refuse."""

_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"-?[0-9]{1,30},[0-9]{1,2}", re.ASCII)
"""With three digits it could separate thousands."""
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TRUTH = {"true": True, "false": False, "1": True, "0": False, 1: True, 0: False}
_LARGEST = 10**30
"""Larger numbers are neither ids nor amounts, and writing out their digits would be expensive."""
_LONGEST = 30
"""Digits before or behind the point up to which an exponent is written out."""
_PLACES = 2
"""The decimal places of an amount, whose zeros stay."""
_DOUBLE_DIGITS = 15
"""Decimal digits that a double preserves (IEEE 754, DBL_DIG). A value with more carries a rounding error."""

DECIMAL_COMMA = 'it has a decimal comma; set `decimal = ","` for the source'


class Misfit(SourceFault):
    """A row does not fit its record. The message names the member and the type that was found, never the value."""

    def __init__(self, member: str, found: object, reason: str) -> None:
        super().__init__(f"member {member!r} does not fit (found {name_found(found)}): {reason}")
        self.member = member


def _keep(value: Any, path: str) -> Any:
    return value


def _fit_text(value: Any, path: str) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return str(value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < 30:
        return format(value, "f")
    if isinstance(value, str) and not _is_unicode(value):
        raise Misfit(path, value, "expected Unicode text, without lone surrogates: are its bytes UTF-8?")
    return value


def _is_unicode(text: str) -> bool:
    """Tell whether the text can be encoded: a lone surrogate cannot."""
    try:
        return text.isascii() or bool(text.encode("utf-8"))
    except UnicodeEncodeError:
        return False


def _fit_truth(value: Any, path: str) -> Any:
    if isinstance(value, int):
        return _TRUTH.get(value, value)
    return _TRUTH.get(value.lower(), value) if isinstance(value, str) else value


def _fit_integer(value: Any, path: str) -> Any:
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else value


def fit_decimal(value: Any, path: str) -> Decimal:
    """Convert a number or its text to an exact decimal."""
    if isinstance(value, Decimal) and value.is_finite():
        return _cut_zeros(value)
    if isinstance(value, float) and abs(value) < 10**_DOUBLE_DIGITS and float(f"{value:.{_DOUBLE_DIGITS}g}") == value:
        return Decimal(f"{value:.{_DOUBLE_DIGITS}g}")
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value):
        raise Misfit(path, value, DECIMAL_COMMA)
    raise Misfit(path, value, "expected an exact decimal such as 1234.56")


def _cut_zeros(value: Decimal) -> Decimal:
    """Return a number without an exponent, and without zeros behind its second decimal place.

    Databases give a number all places of its column, or of a division; their drivers may give 350000 as 3.5E+5.
    """
    exponent = int(value.as_tuple().exponent)
    if -_PLACES <= exponent <= 0 or abs(value.adjusted()) >= _LONGEST:
        return value
    whole, _, places = format(value, "f").partition(".")
    return Decimal(f"{whole}.{places.rstrip('0'):0<{_PLACES}}" if places else whole)


def _fit_object(fields: dict[str, Fitter], empties: Mapping[str, Callable[[], Any]], value: Any, path: str) -> Any:
    value = _parse_text(value, path)
    if not isinstance(value, dict):
        return value
    fitted = {name: make_empty() for name, make_empty in empties.items() if value.get(name) is None}
    for name, fit in fields.items():
        if value.get(name) is not None:
            fitted[name] = fit(value[name], _join_path(path, name))
    return fitted


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
        return fit_decimal(value, path)
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
    """Convert numbers to text with at least ``places`` decimal places. Digits in a text stay as they are written."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        whole, _, decimals = value.partition(".")
        return f"{whole}.{decimals:0<{places}}" if len(decimals) < places else value
    if isinstance(value, str) and _DECIMAL_COMMA.fullmatch(value):
        raise Misfit(path, value, DECIMAL_COMMA)
    if isinstance(value, str | bool):
        return fit(value, path)
    exact = fit_decimal(value, path)
    has_places = int(exact.as_tuple().exponent) <= -places
    return format(exact, "f" if has_places else f".{places}f")


def _fit_and_check(fit: Fitter, check: Callable[[str], bool], wanted: str, value: Any, path: str) -> Any:
    fitted = fit(value, path)
    if isinstance(fitted, str) and not check(fitted):
        raise Misfit(path, value, f"expected {wanted}")
    return fitted


_SCALARS: dict[type[inspect.Type], Fitter] = {
    inspect.StrType: _fit_text,
    inspect.BoolType: _fit_truth,
    inspect.IntType: _fit_integer,
    inspect.DecimalType: fit_decimal,
    inspect.DictType: _parse_text,
    inspect.AnyType: _fit_any,
}


def find_empty(kind: inspect.Type) -> Callable[[], Any] | None:
    """Return what makes the empty value of a mandatory member that may be empty; None for every other member."""
    return (kind.extra or {}).get("empty") if isinstance(kind, inspect.Metadata) else None


def compile_fitter(shape: inspect.Type) -> Fitter:
    """Build the converter for a type, once per type instead of once per row."""
    if isinstance(shape, inspect.Metadata):
        fit = compile_fitter(shape.type)
        extra = shape.extra or {}
        if "places" in extra:
            fit = partial(_fit_number_text, fit, extra["places"])
        return partial(_fit_and_check, fit, extra["check"], describe_wanted(shape)) if "check" in extra else fit
    if isinstance(shape, inspect.UnionType):
        members = [kind for kind in shape.types if not isinstance(kind, inspect.NoneType)]
        return compile_fitter(members[0]) if len(members) == 1 else _keep
    if isinstance(shape, inspect.StructType):
        fields = {field.encode_name: compile_fitter(field.type) for field in shape.fields}
        if issubclass(shape.cls, OpenRecord):
            return partial(_fit_open_object, fields)
        empties = {field.encode_name: find_empty(field.type) for field in shape.fields}
        return partial(_fit_object, fields, {name: make for name, make in empties.items() if make})
    if isinstance(shape, inspect.ListType):
        return partial(_fit_list, compile_fitter(shape.item_type))
    return _SCALARS.get(type(shape), _keep)
