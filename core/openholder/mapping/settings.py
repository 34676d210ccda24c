"""The words of a mapping, validated when the configuration is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from openholder.contract.collections import find_collection
from openholder.contract.members import list_kinds

OTHERS = "*"
"""The code that stands for all that `codes` does not list."""

_DIRECTIVE = re.compile("%(.?)", re.DOTALL)
_DAYS = (frozenset("dmY"), frozenset("dmy"), frozenset("dbY"), frozenset("dby"), frozenset("dBY"), frozenset("dBy"))
"""The directives that name a day. `datetime.strptime` describes them; it knows months in English."""
_CLOCKS: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset("HM"),
    frozenset("HMS"),
    frozenset("HMSf"),
    frozenset("IMp"),
    frozenset("IMSp"),
)
_OFFSET = "z"
_IGNORED = frozenset("aA%")


def find_directives(text: str) -> frozenset[str]:
    """Return the letters of the directives in a format such as ``%d.%m.%Y``."""
    return frozenset(_DIRECTIVE.findall(text)) - _IGNORED


def has_clock(text: str) -> bool:
    """Tell whether a format names a time of day."""
    return "M" in find_directives(text)


def has_offset(text: str) -> bool:
    """Tell whether a format has the offset from UTC."""
    return _OFFSET in find_directives(text)


def _check_format(text: str) -> str:
    found = find_directives(text)
    parts = [(day, clock) for day in _DAYS for clock in _CLOCKS if found - {_OFFSET} == day | clock]
    if not parts or (_OFFSET in found and not parts[0][1]):
        raise ValueError("must name day, month and year, and may name the time and its offset: %d.%m.%Y %H:%M:%S %z")
    return text


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        close = get_close_matches(name, available_timezones(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"must be a time zone of the IANA database, such as Australia/Sydney{hint}") from None
    return name


def _check_constant(value: Any) -> Any:
    if not isinstance(value, str | bool | int):
        raise ValueError("must be a text, true, false or a whole number; write an amount as text")
    return value


def _expand_column(value: Any) -> Any:
    """Expand the short form of a rule: a text is a column."""
    return {"column": value} if isinstance(value, str) else value


class _Word(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Negative(_Word):
    """The column that makes an amount negative, and its values that do."""

    column: str = Field(min_length=1)
    values: tuple[str, ...] = Field(alias="is", min_length=1)
    others: tuple[str, ...] = Field(alias="is_not", default=())
    """The values that leave it positive. Without them, all others do."""


class MemberRule(_Word):
    """Where the value of one member comes from, and what is done with it. A text is short for a column."""

    column: str | None = Field(default=None, min_length=1)
    """The column; by default the one that is named like the member."""
    constant: Annotated[Any, BeforeValidator(_check_constant)] = None
    """The value of all records."""
    codes: dict[str, str] = {}
    """What each value becomes. ``*`` stands for all others; without it, they are faults."""
    unit: Literal["cents"] | None = None
    negative: Negative | None = None
    format: Annotated[str, AfterValidator(_check_format)] | None = None
    """How a day or a time is written, in the directives of `datetime.strptime`."""
    repeated_hour: Literal["first", "second"] | None = None
    """Which one a local time means that the clocks show twice. By default it is a fault."""

    @model_validator(mode="after")
    def _check_words(self) -> Self:
        words = self.model_fields_set
        if not words:
            raise ValueError("must have a column or a constant")
        if "constant" in words and len(words) > 1:
            raise ValueError("a constant has no other words beside it")
        for word in sorted(words & {"codes", "unit", "negative"}):
            others = words - {"column", word} - ({"unit", "negative"} if word != "codes" else set())
            if others:
                raise ValueError(f"{word} cannot be combined with {min(others)}")
        return self

    @property
    def is_rename(self) -> bool:
        """Whether it takes the value of a column as it is."""
        return self.model_fields_set == {"column"}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names."""
        return tuple([name for name in (self.column, self.negative and self.negative.column) if name])


Rules = Mapping[str, MemberRule]


class MappingSettings(BaseModel):
    """The words that sources of every kind have. Derive the ``Settings`` of a source from it."""

    columns: dict[str, dict[str, str]] = {}
    """For a collection, the columns of members that have another name: ``accountId = "acct_no"``."""
    mapping: dict[str, dict[str, Annotated[MemberRule, BeforeValidator(_expand_column)]]] = {}
    """For a collection, the rule of each member whose value is not that of the column named like it."""
    time_zone: Annotated[str, AfterValidator(_check_zone)] | None = None
    """The zone of times without an offset."""
    decimal: Literal[".", ","] = "."
    """The decimal sign of amounts and numbers that are text."""
    absent: tuple[str, ...] = ()
    """Texts that mean that there is no value."""
    strip: bool = False
    """Whether blanks around texts are left out."""

    def list_rules(self, collection: str) -> Rules:
        """List the rules of a collection by member, those of ``columns`` too.

        Args:
            collection: Its name. In the settings, it may have an underscore after the sector.
        """
        rules: dict[str, MemberRule] = {}
        for name, columns in self.columns.items():
            if name_table(name) == name_table(collection):
                rules |= {member: MemberRule(column=column) for member, column in columns.items()}
        for name, mapped in self.mapping.items():
            if name_table(name) == name_table(collection):
                rules |= mapped
        return rules

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        for collection, rules in self.mapping.items():
            for member, rule in rules.items():
                try:
                    self._check_rule(collection.replace("_", ".", 1), member, rule)
                except ValueError as exc:
                    raise ValueError(f"mapping of {collection!r}, member {member!r}: {exc}") from None
                if any(
                    name_table(name) == name_table(collection) and member in self.columns[name] for name in self.columns
                ):
                    raise ValueError(f"columns and mapping of {collection!r} both have {member!r}: remove one of them")
        return self

    def _check_rule(self, collection: str, member: str, rule: MemberRule) -> None:
        spec, kind = find_collection(collection), list_kinds(collection).get(member)
        if member in {*spec.owners.values(), spec.key} and not rule.is_rename:
            raise ValueError("an id is taken from its column as it is: no other word is allowed")
        if (rule.unit or rule.negative) and kind not in ("amount", None):
            raise ValueError("is no amount: unit and negative are not allowed")
        if (rule.format or rule.repeated_hour) and kind not in ("time", "day", "text", None):
            raise ValueError("is neither a day nor a time: format and repeated_hour are not allowed")
        if rule.repeated_hour and kind == "day":
            raise ValueError("is a day: repeated_hour is not allowed")
        is_time = kind == "time" or (kind != "day" and rule.format is not None and has_clock(rule.format))
        is_local = rule.repeated_hour or (rule.format and is_time and not has_offset(rule.format))
        if is_local and self.time_zone is None:
            raise ValueError("is a local time: set time_zone, such as Australia/Sydney")


class TableSettings(MappingSettings):
    """The words of sources that have tables, views or files. Derive the ``Settings`` of a source from it."""

    tables: dict[str, str] = {}
    """For a collection, the table, view or file that has its rows, if it has another name."""


def name_table(collection: str) -> str:
    """Return the table of a collection, unless ``tables`` names another: ``banking_transactions``.

    Args:
        collection: Its name, with dots or underscores.
    """
    return collection.replace(".", "_")
