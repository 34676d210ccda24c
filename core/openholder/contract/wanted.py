"""What a member allows, in words with an example: the wanted form that a fault or a finding names."""

from __future__ import annotations

from typing import get_args

from msgspec import inspect

from openholder.contract.formats import (
    AmountString,
    CurrencyString,
    DateString,
    DateTimeString,
    MaskedString,
    PhoneNumber,
    RateString,
)

_TEXTS = (
    (AmountString, "an amount such as 1234.56"),
    (CurrencyString, "a currency such as AUD"),
    (DateString, "a day such as 2026-10-01"),
    (DateTimeString, "a time with an offset, such as 2026-10-01T09:30:00+10:00"),
    (MaskedString, "a masked number such as xxxx xxxx xxxx 1234"),
    (PhoneNumber, "a phone number such as +61491570006"),
    (RateString, "a rate such as 0.0475, with at most 16 digits behind the point"),
)
_BY_PATTERN = {get_args(kind)[1].pattern: words for kind, words in _TEXTS}
_SIMPLE: dict[type[inspect.Type], str] = {
    inspect.IntType: "a whole number",
    inspect.DecimalType: "an exact number such as 12.5",
    inspect.BoolType: "true or false",
    inspect.StructType: "an object: JSON text, or a column for each member",
    inspect.ListType: "a list, as JSON text",
    inspect.DictType: "an object, as JSON text",
}


def describe_wanted(kind: inspect.Type) -> str:
    """Describe what a member of that type allows."""
    kind = unwrap(kind)
    match kind:
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case inspect.StrType(pattern=str() as pattern) if pattern in _BY_PATTERN:
            return _BY_PATTERN[pattern]
        case inspect.StrType(min_length=int(), max_length=int() as most):
            return f"text of at most {most} characters"
        case inspect.StrType(min_length=int()):
            return "text that is not empty"
        case inspect.StrType():
            return "text"
        case inspect.UnionType(types=types):
            return " or ".join(describe_wanted(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.IntType(ge=int() as least):
            return f"a whole number, at least {least}"
    return _SIMPLE.get(type(kind), "another type")


def unwrap(kind: inspect.Type) -> inspect.Type:
    """Return the type inside annotations and a union with null."""
    while True:
        match kind:
            case inspect.Metadata(type=inner) | inspect.UnionType(types=(inner, inspect.NoneType())):
                kind = inner
            case _:
                return kind
