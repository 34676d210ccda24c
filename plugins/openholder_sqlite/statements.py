"""Questions as SQL. Values are always parameters; names are quoted and come from the database's own schema.

What SQL by itself has no exact answer for, it asks functions that each connection is given: the moment that a text
names, and whether values fulfil a filter, which the filter itself then judges.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import aiosqlite

from openholder import Filter, Order, Query, SourceFault, instant

Parameter = str | int | None
Statement = tuple[str, tuple[Parameter, ...]]

NOCASE = " COLLATE NOCASE"
NOTHING = "NULL"
"""What stands for a column that is not there: no record has a value of that member."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view: which column holds which member, and with which declared type."""

    name: str
    members: Mapping[str, str]
    types: Mapping[str, str]
    own_order: tuple[str, ...] = ()
    """What says in which order its rows were put in; a view has nothing of the kind."""

    def column(self, member: str) -> str:
        """The column of a member, quoted; `NOTHING` where there is none."""
        column = self.members.get(member)
        return NOTHING if column is None else quoted(column)

    def first(self, members: tuple[str, ...]) -> str:
        """An expression for the first of some members that has a value."""
        columns = [column for column in map(self.column, members) if column != NOTHING]
        return f"COALESCE({', '.join(columns)})" if len(columns) > 1 else "".join(columns) or NOTHING


def quoted(name: str) -> str:
    """An SQL identifier that means exactly ``name``."""
    return '"' + name.replace('"', '""') + '"'


async def add_functions(connection: aiosqlite.Connection, faults: list[str]) -> None:
    """Give a connection the functions of the statements. Why one failed they note in ``faults``: SQLite does not."""
    instant_of, admits = partial(_noted, faults, _instant), partial(_noted, faults, _admits)
    await connection.create_function("openholder_instant", 2, instant_of, deterministic=True)
    await connection.create_function("openholder_admits", -1, admits, deterministic=True)


def _noted(faults: list[str], function: Callable[..., int | None], *arguments: object) -> int | None:
    try:
        return function(*arguments)
    except SourceFault as exc:
        faults.append(str(exc))
        raise


def _instant(found: object, members: str) -> int | None:
    """The moment that the value of some members names, in microseconds since 1970."""
    try:
        return None if found is None else instant(str(found))
    except SourceFault as exc:
        raise SourceFault(f"member {members!r}: {exc}") from None


def _admits(packed: str, *values: object) -> bool:
    """Whether the values of some members fulfil a condition."""
    condition = _unpacked(packed)
    return condition.admits(dict(zip(condition.members, values, strict=True)))


def _packed(condition: Filter) -> str:
    """A condition as a parameter of a statement."""
    tagged = [[type(value).__name__, _plain(value)] for value in (condition.value, condition.absent)]
    return json.dumps([condition.members, condition.operator, *tagged, condition.item])


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else str(value)


@lru_cache(maxsize=1024)
def _unpacked(packed: str) -> Filter:
    """The condition again."""
    (member, *otherwise), operator, value, absent, item = json.loads(packed)
    return Filter(member, operator, _restored(*value), otherwise=tuple(otherwise), absent=_restored(*absent), item=item)


def _restored(kind: str, plain: Any) -> Any:
    return _KINDS[kind](plain)


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "NoneType": lambda _: None,
    "str": str,
    "bool": "True".__eq__,
    "Decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "tuple": tuple,
}


def select(table: Table, query: Query) -> Statement:
    """The SELECT for one page: all columns, in the order of ``table.members``."""
    columns = ", ".join(quoted(column) for column in wanted(table, query).values())
    where, parameters = _where(table, query)
    text = f"SELECT {columns} FROM {quoted(table.name)}{where}{_order(table, query)} LIMIT ? OFFSET ?"
    return text, (*parameters, -1 if query.limit is None else query.limit, query.offset)


def wanted(table: Table, query: Query) -> dict[str, str]:
    """The members that are read, and their columns: a document only where it is asked for."""
    return {member: column for member, column in table.members.items() if query.document or member != "document"}


def count(table: Table, query: Query) -> Statement:
    """The SELECT for the number of records on all pages together."""
    where, parameters = _where(table, query)
    return f"SELECT count(*) FROM {quoted(table.name)}{where}", parameters


def index(table: Table, query: Query) -> str:
    """The statement that makes an index for the first filter, which says whose records they are."""
    owner = query.filters[0]
    name = quoted(f"{table.name}_{owner.member}")
    statement = f"CREATE INDEX {name} ON {quoted(table.name)} ({_searched(table, owner)});"
    return statement if table.own_order else f"for the tables behind the view, what amounts to: {statement}"


def _order(table: Table, query: Query) -> str:
    terms = [term for order in query.order if (term := _order_term(table, order))]
    terms += table.own_order
    return f" ORDER BY {', '.join(terms)}" if terms else ""


def _order_term(table: Table, order: Order) -> str:
    value = table.first(order.members)
    if value == NOTHING:
        return ""
    # A record without a value comes as if its value were the greatest.
    direction = "DESC NULLS FIRST" if order.descending else "ASC NULLS LAST"
    text = f"CAST({value} AS TEXT) COLLATE BINARY"
    read = f"openholder_instant({value}, {_literal(order.members)})" if order.reads == "instant" else text
    return f"{read} {direction}"


def _literal(members: tuple[str, ...]) -> str:
    """The names of members as an SQL string: they are the host's own, and quoted all the same."""
    return "'" + "/".join(members).replace("'", "''") + "'"


def _where(table: Table, query: Query) -> Statement:
    terms = [_term(table, condition) for condition in query.filters]
    text = " AND ".join(term for term, _ in terms)
    parameters = tuple(value for _, values in terms for value in values)
    return (f" WHERE {text}" if text else ""), parameters


def _term(table: Table, condition: Filter) -> Statement:
    alone = not condition.otherwise and condition.absent is None
    if alone and isinstance(condition.value, str | tuple) and condition.operator in _TEXT_TERMS:
        return _TEXT_TERMS[condition.operator](table, condition)
    if isinstance(condition.value, datetime) and condition.operator in _SIGNS:
        return _moment_term(table, condition)
    columns = ", ".join(map(table.column, condition.members))
    return f"openholder_admits(?, {columns})", (_packed(condition),)


def _text_term(table: Table, condition: Filter) -> Statement:
    """Equality of texts, which an index answers."""
    values = condition.value if isinstance(condition.value, tuple) else (str(condition.value),)
    searched, marks = _searched(table, condition), ", ".join("?" * len(values))
    exact = f"CAST({table.column(condition.member)} AS TEXT) COLLATE BINARY IN ({marks})"
    if searched.startswith("CAST"):
        return exact, values
    # The first half finds the rows through an index; the second keeps a number's column from matching '12.0' or
    # ' 12' where 12 stands, and one with COLLATE NOCASE from matching other letters.
    return f"({searched} IN ({marks}) AND {exact})", (*values, *values)


def _same_letters(table: Table, condition: Filter) -> Statement:
    text = _searched(table, condition).removesuffix(NOCASE)
    return f"{text} = ?{NOCASE}", (str(condition.value),)  # folds A-Z only, as Query wants it


def _searched(table: Table, condition: Filter) -> str:
    """What an index must be on, to find the rows of a condition: the column, or its text where it may hold any type."""
    column = table.members.get(condition.member)
    if column is None:
        raise SourceFault(f"table {table.name!r} has no column {condition.member!r}")
    declared = table.types[column].upper()
    if condition.operator == "ieq":
        return f"{_text(column, 'CHAR' in declared or 'TEXT' in declared)}{NOCASE}"
    return _text(column, bool(declared) and "BLOB" not in declared)


def _text(column: str, comparable: bool) -> str:
    return quoted(column) if comparable else f"CAST({quoted(column)} AS TEXT)"


def _moment_term(table: Table, condition: Filter) -> Statement:
    # No bound on the text of the column before it, for the sake of an index: it would leave out, in silence, what is no
    # moment at all.
    found = f"openholder_instant(COALESCE({table.first(condition.members)}, ?), {_literal(condition.members)})"
    absent = condition.absent.isoformat() if isinstance(condition.absent, datetime) else condition.absent
    assert isinstance(condition.value, datetime)
    return f"{found} {_SIGNS[condition.operator]} ?", (absent, instant(condition.value.isoformat()))


_SIGNS = {"ge": ">=", "le": "<="}
_TEXT_TERMS: Mapping[str, Callable[[Table, Filter], Statement]] = {
    "eq": _text_term,
    "in": _text_term,
    "ieq": _same_letters,
}
