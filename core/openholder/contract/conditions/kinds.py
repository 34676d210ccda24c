"""What a condition of the CDS can say: one class for each kind. The conditions themselves are rows of tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from openholder.contract.formats import Record

STANDARD = "CDS 1.36.0"
Severity = Literal["error", "warning", "note"]
Must = Literal["present", "absent", "masked"]
Get = Callable[[Any], Any]
"""Reads a member of a record. A record is a struct, or a JSON object of any server."""


class When(Protocol):
    """The case in which a condition holds, decided from the other members of the same object."""

    def compile(self, read: Callable[[str], Get]) -> Callable[[Any], bool]:
        """Return what tells whether an object is such a case. ``read`` makes the reader of a member."""
        ...

    def describe(self) -> str:
        """Say it in words: what follows "because" in a message, and "when" on the page."""
        ...


@dataclass(frozen=True, slots=True)
class Named:
    """A member ``...UType`` names the object."""

    by: str
    value: str

    def compile(self, read: Callable[[str], Get]) -> Callable[[Any], bool]:
        """Compare the naming member."""
        get, value = read(self.by), self.value
        return lambda found: bool(get(found) == value)

    def describe(self) -> str:
        """Say which member names it."""
        return f"{self.by} is {self.value}"


@dataclass(frozen=True, slots=True)
class Where:
    """A member has one of some values. None stands for a member that is absent."""

    member: str
    values: tuple[object, ...]

    def compile(self, read: Callable[[str], Get]) -> Callable[[Any], bool]:
        """Compare the member with the values."""
        get, values = read(self.member), self.values
        return lambda found: get(found) in values

    def describe(self) -> str:
        """Say which values."""
        words = {None: "absent", True: "true", False: "false"}
        return f"{self.member} is {_join(words.get(value, str(value)) for value in self.values)}"  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class Unless:
    """A member has none of some values."""

    member: str
    values: tuple[str, ...]

    def compile(self, read: Callable[[str], Get]) -> Callable[[Any], bool]:
        """Compare the member with the values."""
        get, values = read(self.member), self.values
        return lambda found: get(found) not in values

    def describe(self) -> str:
        """Say which values."""
        return f"{self.member} is not {_join(self.values)}"


@dataclass(frozen=True, slots=True)
class Beside:
    """At least one of some other members is there."""

    members: tuple[str, ...]

    def compile(self, read: Callable[[str], Get]) -> Callable[[Any], bool]:
        """Look for one of the members."""
        gets = [read(member) for member in self.members]
        return lambda found: any(get(found) for get in gets)

    def describe(self) -> str:
        """Say which members."""
        return f"{_join(self.members)} is there"


@dataclass(frozen=True, slots=True)
class Without:
    """None of some other members is there."""

    members: tuple[str, ...]

    def compile(self, read: Callable[[str], Get]) -> Callable[[Any], bool]:
        """Look for one of the members."""
        gets = [read(member) for member in self.members]
        return lambda found: not any(get(found) for get in gets)

    def describe(self) -> str:
        """Say which members."""
        return f"{' and '.join(self.members)} {'are' if len(self.members) > 1 else 'is'} absent"


@dataclass(frozen=True, slots=True)
class Matches:
    """The text of a member begins with a pattern."""

    member: str
    pattern: str
    words: str

    def compile(self, read: Callable[[str], Get]) -> Callable[[Any], bool]:
        """Match the text."""
        get, match = read(self.member), re.compile(self.pattern).match
        return lambda found: isinstance(text := get(found), str) and match(text) is not None

    def describe(self) -> str:
        """Say what such a text is."""
        return f"{self.member} is {self.words}"


@dataclass(frozen=True, slots=True)
class Either:
    """One of several cases."""

    cases: tuple[When, ...]

    def compile(self, read: Callable[[str], Get]) -> Callable[[Any], bool]:
        """Ask each case."""
        tests = [case.compile(read) for case in self.cases]
        return lambda found: any(test(found) for test in tests)

    def describe(self) -> str:
        """Say all of them."""
        return ", or ".join(case.describe() for case in self.cases)


@dataclass(frozen=True, slots=True)
class Always:
    """Every object, whatever it holds. ``words`` say what the standard adds that no record shows."""

    words: str

    def compile(self, read: Callable[[str], Get]) -> Callable[[Any], bool]:
        """Accept everything."""
        return lambda found: True

    def describe(self) -> str:
        """Say it in words."""
        return self.words


@dataclass(frozen=True, slots=True)
class Unseen:
    """A case that no record shows: only the holder knows. It is on the page, and is never tested."""

    words: str

    def compile(self, read: Callable[[str], Get]) -> Callable[[Any], bool]:
        """Accept nothing."""
        return lambda found: False

    def describe(self) -> str:
        """Say it in words."""
        return self.words


@dataclass(frozen=True, slots=True)
class Condition:
    """One member that the CDS require, or forbid, in some cases."""

    record: type[Record]
    """The type of object that the condition looks at."""
    member: str
    """The path of the member from that object: ``loan``, ``tariffPeriod[].singleRate.generalUnitPrice``."""
    when: When
    section: str
    """The schema of the CDS that has the condition."""
    severity: Severity = "warning"
    must: Must = "present"

    @property
    def fault(self) -> str:
        """The word for what is wrong with a record that breaks it."""
        if self.must != "present":
            return {"absent": "must-be-absent", "masked": "in-clear"}[self.must]
        return "missing-for-type" if isinstance(self.when, Named) else "missing-when-required"

    @property
    def reference(self) -> str:
        """The standard and the section."""
        return f"{STANDARD}, {self.section}"

    def describe(self) -> str:
        """Say what is wanted, and why."""
        because = f"because {self.when.describe()}"
        match self.must:
            case "masked":
                return f"`{self.member}` masked, {because}"
            case "absent":
                return f"no `{self.member}`, {because}"
        name = self.member.rpartition(".")[2]
        return f"an object `{name}`, {because}" if isinstance(self.when, Named) else f"`{name}`, {because}"


def name_objects(record: type[Record], by: str, section: str, *names: str) -> list[Condition]:
    """Make the conditions of a member ``...UType`` that names one of several members.

    Without the named one, the record says nothing: an error. For one that is not named, the checker adds a warning.
    """
    return [Condition(record, name, Named(by, name), section, "error") for name in names]


def _join(words: Any) -> str:
    *most, last = map(str, words)
    return f"{', '.join(most)} or {last}" if most else last


CARD_NUMBER = re.compile(r"(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|3[47]\d\d)(?:[ -]?\d){11,12}", re.ASCII)
"""The numbers of the card schemes: 15 or 16 digits, with the prefixes of Visa, Mastercard and American Express."""


def is_card_number(text: object) -> bool:
    """Tell whether a text is a card number in clear: its form, and its check digit (ISO/IEC 7812-1, annex B)."""
    if not isinstance(text, str) or not CARD_NUMBER.fullmatch(text):
        return False
    digits = [int(sign) for sign in reversed(text) if sign.isdigit()]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return total % 10 == 0
