"""Find the indexes that a query of a view lacks, by trying them on an empty copy of the schema: advice must work."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import combinations, islice
from operator import itemgetter
from typing import Any

from openholder_sqlite.dialect import quote_identifier
from openholder_sqlite.sql_functions import make_functions

MOST = 1000
"""Choices of one index, and of two, that are tried for one query. Each takes less than a millisecond."""


def find_indexes(
    objects: Iterable[tuple[str, str, str]], statement: str, parameters: Sequence[Any], view: str, column: str
) -> list[str] | None:
    """Return the statements that create the indexes through which a query finds its rows.

    Args:
        objects: Type, name and SQL of everything in the database.
        statement: The SELECT.
        parameters: Its parameters.
        view: The view that it reads.
        column: The column of the view by which it finds rows.

    Returns:
        The statements; none if the query lacks no index, and ``None`` if no index helps.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        for function in make_functions([]):
            copy.create_function(*function, deterministic=True)
        definitions = {name: (kind, sql) for kind, name, sql in objects if sql}
        for wanted in ("table", "index", "view"):
            for kind, sql in definitions.values():
                if kind == wanted:
                    with suppress(sqlite3.Error):  # such as a virtual table of a module that is not here
                        copy.execute(sql)
        scans = _count_scans(copy, statement, parameters, view)
        found: list[str] = []
        while scans:
            candidates = list(_list_candidates(copy, statement, parameters, definitions[view][1], column))
            # In a join, the index on one table may be of no use without that on the other.
            for number in (1, 2):
                choices = islice(combinations(candidates, number), MOST)
                tried = [(_try(copy, indexes, statement, parameters, view), indexes) for indexes in choices]
                fewest, best = min(tried, key=itemgetter(0), default=(scans, ()))
                if fewest < scans:
                    break
            else:
                return None
            for index in best:
                copy.execute(index)
            found += best
            scans = int(fewest)
        return found


def _count_scans(copy: sqlite3.Connection, statement: str, parameters: Sequence[Any], view: str) -> int:
    """Count the tables that are read from the first row to the last, or are indexed for this one query."""
    plan = [str(row[-1]) for row in copy.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    own = (f"SCAN {view}", "SCAN CONSTANT", "SCAN (")  # rows that another line of the plan has found
    scans = [detail for detail in plan if detail.startswith("SCAN ") and not detail.startswith(own)]
    return len(scans) + sum("AUTOMATIC" in detail for detail in plan)


def _list_candidates(
    copy: sqlite3.Connection, statement: str, parameters: Sequence[Any], definition: str, column: str
) -> Iterator[str]:
    """List indexes on each column that the query reads, and on the expression that the view has for ``column``."""
    read: dict[tuple[str, str], None] = {}

    def note(action: int, table: str | None, name: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ and table and name:
            read[table, name] = None
        return sqlite3.SQLITE_OK

    copy.set_authorizer(note)
    try:
        copy.execute(f"EXPLAIN {statement}", parameters).fetchall()
    finally:
        copy.set_authorizer(None)
    expression = _find_expression(definition, column)
    for table in dict.fromkeys(table for table, _ in read):
        choices = {name: quote_identifier(name) for owner, name in read if owner == table}
        choices |= {f"{column}_expression": expression} if expression else {}
        for name, indexed in choices.items():
            for suffix, collation in (("", ""), ("_nocase", " COLLATE NOCASE")):
                index = quote_identifier(f"{table}_{name}{suffix}")
                yield f"CREATE INDEX {index} ON {quote_identifier(table)} ({indexed}{collation});"


def _try(
    copy: sqlite3.Connection, indexes: Iterable[str], statement: str, parameters: Sequence[Any], view: str
) -> float:
    """Count the scans that are left with some indexes."""
    copy.execute("SAVEPOINT before")
    try:
        for index in indexes:
            copy.execute(index)
        return _count_scans(copy, statement, parameters, view)
    except sqlite3.Error:  # an index that cannot be: on a view, or of a column that another table has
        return float("inf")
    finally:
        copy.execute("ROLLBACK TO before")
        copy.execute("RELEASE before")


def _find_expression(definition: str, column: str) -> str:
    """Return what a view selects as a column, without the names of tables, as an index must have it."""
    quoted = rf"""["\[`]?{re.escape(column)}["\]`]?"""
    selected = re.search(r"\bSELECT\b(.*?)\bFROM\b", definition, re.IGNORECASE | re.DOTALL)
    for item in _split(selected[1]) if selected else ():
        named = re.fullmatch(rf"\s*(.*?)\s+(?:AS\s+)?{quoted}\s*", item, re.IGNORECASE | re.DOTALL)
        if named:
            return re.sub(r"\b\w+\.", "", named[1])
    return ""


def _split(text: str) -> list[str]:
    """Split a list at its commas, but not at those inside parentheses or texts."""
    parts, depth = [""], 0
    for sign in re.findall(r"'(?:[^']|'')*'|.", text, re.DOTALL):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts
