"""What members and collections mean, in one sentence each: ``records/meanings.toml``, read once."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files

from openholder.contract.formats import Record

_ROOM = "openholder.contract.records."


@cache
def load_meanings() -> dict[str, dict[str, str]]:
    """Load all sentences: by type of record, such as ``fdx.Bill``, then by member."""
    text = files("openholder.contract.records").joinpath("meanings.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def name_type(record: type[Record]) -> str:
    """Name the table of a type of record: ``banking.accounts.LoanAccount``."""
    return f"{record.__module__.removeprefix(_ROOM)}.{record.__name__}"


def find_meaning(record: type[Record], member: str) -> str:
    """Return the sentence on a member, that of the nearest type that has one.

    Raises:
        KeyError: There is none. A test holds that every member has one.
    """
    meanings = load_meanings()
    for kind in record.__mro__:
        if issubclass(kind, Record) and member in meanings.get(name_type(kind), {}):
            return meanings[name_type(kind)][member]
    return meanings["any"][member]
