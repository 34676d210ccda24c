"""Random rows and questions of `mutants`, which the contract kit does not know, and a source's answers to them."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from openholder import Filter, Order, Query, testing
from openholder.testing.queries import (
    build_accounts_query,
    build_email_query,
    build_owner_query,
    build_statement_query,
    find_owner,
)
from openholder.testing.sample_rows import IDENTITIES, make_rows

QUESTIONS = 400
ROWS = 80
"""Rows of each collection."""
WORDS = ("tea", "Tea", "t%a", "t_a", "\u00e9t\u00e9", "TE A", "10", "010", "x'y", "\U0001f375", "te")
DATES = ("creationDate", "issueDate", "statementDate")
"""The members that are dates in the typed tables of the plugins' tests."""
UNKNOWN = "no such operator"
PRESENT = ("amount", "lastDebitDateTime", "transactionUType")
"""Members that are never absent: an API whose objects have no member at all of a standard is misconfigured."""
OWNERS = ("k1", "K1", "k%", "k1 ", "1", "01", "\u00e9")


def make_random_rows(source: random.Random) -> dict[str, list[dict[str, Any]]]:
    """Return rows of the kit's collections with values that are not the kit's."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in testing.COLLECTIONS:
        members = dict.fromkeys(key for row in make_rows(name, documents=True) for key in row)
        owner, identity = find_owner(name)[1], IDENTITIES[name]
        found[name] = []
        for number in range(ROWS):
            row = {key: make_value(source, key) for key in members}
            row |= {identity: f"{source.choice(WORDS)}{number}", owner: source.choice(OWNERS)}
            if name in ("customers", "logins"):
                row |= {"email": f"{source.choice(WORDS[:2])}@example.org"}
            if name == "logins":
                row |= {"customerId": f"{number}"}
            found[name].append(row)
    return found


def cut_dates(rows: dict[str, list[dict[str, Any]]]) -> None:
    """Leave the day of the times that a database with types has columns of dates for."""
    for row in (row for found in rows.values() for row in found):
        row |= {key: row[key][:10] for key in DATES if row.get(key)}


def make_value(source: random.Random, member: str) -> Any:
    """Return a random value of a member, or None."""
    if member not in PRESENT and source.random() < 0.2:
        return None
    if member == "document":
        return source.randbytes(8)
    if member in testing.AMOUNTS:
        return f"{source.randint(-400, 400) / 8}"
    if member in testing.TRUTHS:
        return source.choice(("true", "false"))
    if member in testing.LISTS:
        return source.choice(("[]", '[{"isPaid": true}]', '[{"isPaid": false}]', "[{}]"))
    if member in testing.MOMENTS:
        moment = make_moment(source).isoformat()
        return source.choice((moment[:10], moment, moment.replace("+00:00", "Z"), f"{moment[:19]}.25-03:30"))
    return source.choice(WORDS)


def make_moment(source: random.Random) -> datetime:
    """Return a moment of one of a few hours."""
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=source.randint(0, 90))


def make_questions(source: random.Random, rows: dict[str, list[dict[str, Any]]]) -> list[Query]:
    """Return random queries: owners and addresses, filters of each operator and of none, orders, pages, documents."""
    questions = []
    for _ in range(QUESTIONS):
        if source.random() < 0.1:
            word = source.choice((*WORDS[:2], "TEA", "te", "t%a"))
            questions.append(build_email_query(source.choice(("customers", "logins")), f"{word}@Example.org"))
            continue
        if source.random() < 0.1:
            row = source.choice(rows["fdx.statements"])
            account_id, is_wanted = source.choice((row["accountId"], *OWNERS)), source.random() < 0.8
            questions.append(build_statement_query(account_id, row["statementId"], document=is_wanted))
            continue
        name = source.choice([name for name in testing.COLLECTIONS if name != "logins"])
        members = [key for row in make_rows(name, documents=False)[:1] for key in row]
        filters = [make_filter(source, source.choice(members)) for _ in range(source.choice((0, 0, 1, 1, 2)))]
        is_many = find_owner(name)[1] == "accountId" and source.random() < 0.3
        owners = source.sample(OWNERS, 3) if is_many else ()
        query = (
            build_accounts_query(name, owners, *filters)
            if is_many
            else build_owner_query(name, source.choice((*OWNERS, "nobody")), *filters)
        )
        if source.random() < 0.2:
            query = replace(query, order=(Order(source.choice(members), descending=source.random() < 0.5),))
        limit = source.choice((None, None, 1, 3, 10))
        questions.append(replace(query, limit=limit, offset=source.choice((0, 0, 1, 4)) if limit else 0))
    return questions


def make_filter(source: random.Random, member: str) -> Filter:
    """Return a random filter that fits a member."""
    if source.random() < 0.05:
        return Filter(member, UNKNOWN, "10")  # type: ignore[arg-type]
    bound = source.choice(("ge", "le"))
    otherwise = source.choice(((), ("executionDateTime", "valueDateTime")))
    if member in testing.AMOUNTS:
        return Filter(member, bound, Decimal(source.randint(-400, 400)) / 8)  # type: ignore[arg-type]
    if member in testing.MOMENTS:
        absent = make_moment(source) if source.random() < 0.5 else None
        return Filter(member, bound, make_moment(source), otherwise=otherwise, absent=absent)  # type: ignore[arg-type]
    if member in testing.TRUTHS:
        return Filter(member, "eq", source.random() < 0.5, absent=source.choice((None, True)))
    if member in testing.LISTS:
        return Filter(member, source.choice(("some", "none")), source.random() < 0.5, item="isPaid", absent=False)
    word = source.choice(WORDS)
    return source.choice(
        (
            Filter(member, "eq", word),
            Filter(member, "contains", word, otherwise=source.choice(((), ("reference",)))),
            Filter(member, "in", tuple(source.sample(WORDS, 3))),
        )
    )


async def answer_questions(plugin: Any, questions: list[Query], expected: list[str] | None = None) -> list[str]:
    """Return the answers of a source as text, also those that it gives at once; end at one that is not *expected*."""
    answers: list[str] = []
    await plugin.open()
    try:
        for query in questions:
            for ask in (getattr(plugin, "fetch_now", None), plugin.fetch):
                try:
                    page: Any = ask(query) if ask else None
                    page = await asyncio.wait_for(page, 5) if asyncio.iscoroutine(page) else page
                    is_known = page is not None and ask == plugin.fetch
                    answers.append(repr(([dict(row) for row in page.records], page.total)) if is_known else "")
                except Exception:
                    answers.append("raised")
                if any(one.operator == UNKNOWN for one in query.filters) and answers[-1] == "([], 0)":
                    answers[-1] = "raised"  # a source need not look at an operator that no record reaches
                if expected and answers[-1] != expected[len(answers) - 1]:
                    return answers
    finally:
        await plugin.close()
    return answers
