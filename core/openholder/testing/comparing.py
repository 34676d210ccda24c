"""What a source handed over beside what it should have: member by member, each read as the kind that it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openholder.errors import SourceFault, UntrustedJSON
from openholder.query import Row, instant, number, truth
from openholder.strict_json import parse_json
from openholder.testing.questions import owner_of
from openholder.testing.rows import AMOUNTS, IDENTITIES, LISTS, MOMENTS, TRUTHS

Identity = tuple[str, str]


def identity(collection: str, record: Row) -> Identity:
    """Whose record it is, and which."""
    _, owner = owner_of(collection)
    return str(record.get(owner)), str(record.get(IDENTITIES[collection]))


def identities(collection: str, records: Sequence[Row]) -> list[Identity]:
    """Which records these are."""
    return [identity(collection, record) for record in records]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads records as the columns of a collection have them.

    ``exact`` compares amounts and moments as texts; otherwise ``1.5`` is as good as ``1.50``.
    """

    columns: frozenset[str]
    exact: bool

    def read(self, record: Row) -> dict[str, object]:
        """The members that have a value. Columns of the source's own do not count."""
        found = dict(self._flat(record))
        return {name: self._value(name, found[name]) for name in sorted(self.columns & found.keys())}

    def _flat(self, record: Row, prefix: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in record.items():
            path = prefix + name
            inner = self._inner(path, value)
            if isinstance(inner, Mapping):
                yield from self._flat(inner, f"{path}.")
            elif value is not None:
                yield path, value

    def _inner(self, path: str, value: object) -> object:
        """An object, where columns say that there is one: as such, or as JSON text."""
        within = any(column.startswith(f"{path}.") for column in self.columns)
        return parse_json(value) if within and isinstance(value, str) else value

    def _value(self, member: str, value: object) -> object:
        if isinstance(value, bytes):
            return value
        if self.exact and member not in TRUTHS | LISTS:
            return str(value)
        try:
            return _READERS.get(_kind(member), str)(value)
        except (SourceFault, UntrustedJSON):
            raise AssertionError(f"member {member!r}: {value!r} cannot be read") from None


def _kind(member: str) -> str:
    kinds = {"amount": AMOUNTS, "moment": MOMENTS, "truth": TRUTHS, "list": LISTS}
    return next((kind for kind, members in kinds.items() if member in members), "text")


def _moment(value: object) -> tuple[bool, int]:
    """A moment, and whether it is written as a date. Only text will do: members are formats of text."""
    return len(str(value)) == len("2026-01-31"), instant(str(value))


def _listed(value: object) -> object:
    return parse_json(value) if isinstance(value, str) else value


_READERS: Mapping[str, Callable[[Any], object]] = {
    "amount": number,
    "moment": _moment,
    "truth": truth,
    "list": _listed,
}
