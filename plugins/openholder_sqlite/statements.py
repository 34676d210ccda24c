"""Questions as SQL. Values are always parameters; names are quoted and come from the database's own schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from openholder import Filter, Query, SourceFault

Statement = tuple[str, tuple[str | int, ...]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view: which column holds which member, and with which declared type."""

    name: str
    members: Mapping[str, str]
    types: Mapping[str, str]


def quoted(name: str) -> str:
    """An SQL identifier that means exactly ``name``."""
    return '"' + name.replace('"', '""') + '"'


def select(table: Table, query: Query) -> Statement:
    """The SELECT for one page: all columns, in the order of ``table.members``."""
    columns = ", ".join(quoted(column) for column in table.members.values())
    where, parameters = _where(table, query)
    text = f"SELECT {columns} FROM {quoted(table.name)}{where} LIMIT ? OFFSET ?"
    return text, (*parameters, -1 if query.limit is None else query.limit, query.offset)


def count(table: Table, query: Query) -> Statement:
    """The SELECT for the number of records on all pages together."""
    where, parameters = _where(table, query)
    return f"SELECT count(*) FROM {quoted(table.name)}{where}", parameters


def _where(table: Table, query: Query) -> Statement:
    terms = [_term(table, condition) for condition in query.filters]
    text = " AND ".join(term for term, _ in terms)
    parameters = tuple(value for _, values in terms for value in values)
    return (f" WHERE {text}" if text else ""), parameters


def _term(table: Table, condition: Filter) -> Statement:
    column = table.members.get(condition.member)
    if column is None:
        raise SourceFault(f"table {table.name!r} has no column {condition.member!r}")
    name, declared = quoted(column), table.types[column].upper()
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if condition.operator == "ieq":
        text = name if "CHAR" in declared or "TEXT" in declared else f"CAST({name} AS TEXT)"
        return f"{text} = ? COLLATE NOCASE", values  # folds A-Z only, as Query wants it
    marks = ", ".join("?" * len(values))
    exact = f"CAST({name} AS TEXT) COLLATE BINARY IN ({marks})"
    if not declared or "BLOB" in declared:
        return exact, values
    # The first half finds the rows through an index; the second keeps a number's column from matching '12.0' or
    # ' 12' where 12 stands, and one with COLLATE NOCASE from matching other letters.
    return f"({name} IN ({marks}) AND {exact})", (*values, *values)
