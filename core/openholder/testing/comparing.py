"""Compares returned records with the kit's rows, member by member, each read as its kind of value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openholder.errors import SourceFault, UntrustedJSON
from openholder.query import Row, instant, number, truth
from openholder.strict_json import parse_json
from openholder.testing.queries import find_owner
from openholder.testing.sample_rows import AMOUNTS, IDENTITIES, LISTS, MOMENTS, TRUTHS

Identity = tuple[str, str]
"""The id of a record's owner, and the id of the record."""
DATE_LENGTH = len("2026-01-31")


def identify(collection: str, record: Row) -> Identity:
    """Return whose record it is, and which."""
    _, member = find_owner(collection)
    return str(record.get(member)), str(record.get(IDENTITIES[collection]))


def identify_all(collection: str, records: Sequence[Row]) -> list[Identity]:
    """Return the identity of each record."""
    return [identify(collection, record) for record in records]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the values of records, so that different spellings of one value are equal.

    ``exact`` compares amounts and times as text; otherwise ``1.5`` equals ``1.50``.
    """

    columns: frozenset[str]
    exact: bool

    def read(self, record: Row) -> dict[str, object]:
        """Return the values of the known columns, by dotted name. The source's own columns are ignored."""
        found = dict(self._flatten(record))
        return {name: self._read_value(name, found[name]) for name in sorted(self.columns & found.keys())}

    def _flatten(self, record: Row, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Yield dotted names and values. Nested members may be objects or JSON text."""
        for name, value in record.items():
            path = prefix + name
            is_nested = any(column.startswith(f"{path}.") for column in self.columns)
            inner = parse_json(value) if is_nested and isinstance(value, str) else value
            if isinstance(inner, Mapping):
                yield from self._flatten(inner, f"{path}.")
            elif value is not None:
                yield path, value

    def _read_value(self, member: str, value: Any) -> object:
        if isinstance(value, bytes):
            return value
        if self.exact and member not in TRUTHS | LISTS:
            return str(value)
        try:
            if member in AMOUNTS:
                return number(value)
            if member in MOMENTS:  # a date does not equal the same day's midnight
                return len(str(value)) == DATE_LENGTH, instant(str(value))
            if member in TRUTHS:
                return truth(value)
            if member in LISTS:
                return parse_json(value) if isinstance(value, str) else value
        except (SourceFault, UntrustedJSON):
            raise AssertionError(f"member {member!r}: {value!r} cannot be read") from None
        return str(value)
