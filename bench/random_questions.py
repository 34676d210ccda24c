"""Random rows and questions of `mutants`, which the contract kit does not know, and a source's answers to them."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from openholder import Filter, Order, Query, testing
from openholder.testing.queries import build_accounts_query, build_owner_query, find_owner
from openholder.testing.sample_rows import IDENTITIES, make_rows

QUESTIONS = 400
ROWS = 80
"""Rows of each collection."""
WORDS = ("tea", "Tea", "t%a", "t_a", "\u00e9t\u00e9", "TE A", "10", "010", "x'y", "\U0001f375", "te")
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
            if name == "logins":
                row |= {"email": f"{source.choice(WORDS[:2])}@example.org", "customerId": f"{number}"}
            found[name].append(row)
    return found


def make_value(source: random.Random, member: str) -> Any:
    """Return a random value of a member, or None."""
    if source.random() < 0.2:
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


def make_questions(source: random.Random) -> list[Query]:
    """Return random queries: owners, filters of each operator, orders and pages."""
    questions = []
    for _ in range(QUESTIONS):
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
        query = replace(query, limit=limit, offset=source.choice((0, 0, 1, 4)) if limit else 0)
        questions.append(replace(query, document=name == "fdx.statements" and source.random() < 0.5))
    return questions


def make_filter(source: random.Random, member: str) -> Filter:
    """Return a random filter that fits a member."""
    bound = source.choice(("ge", "le"))
    if member in testing.AMOUNTS:
        return Filter(member, bound, Decimal(source.randint(-400, 400)) / 8)  # type: ignore[arg-type]
    if member in testing.MOMENTS:
        absent = make_moment(source) if source.random() < 0.5 else None
        return Filter(member, bound, make_moment(source), absent=absent)  # type: ignore[arg-type]
    if member in testing.TRUTHS:
        return Filter(member, "eq", source.random() < 0.5, absent=source.choice((None, True)))
    if member in testing.LISTS:
        return Filter(member, source.choice(("some", "none")), source.random() < 0.5, item="isPaid", absent=False)
    word = source.choice(WORDS)
    return source.choice(
        (
            Filter(member, "eq", word),
            Filter(member, "contains", word),
            Filter(member, "in", tuple(source.sample(WORDS, 3))),
        )
    )


async def answer_questions(plugin: Any, questions: list[Query]) -> list[str]:
    """Return the answers of a source as text, also of those that it gives at once."""
    answers = []
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
    finally:
        await plugin.close()
    return answers
