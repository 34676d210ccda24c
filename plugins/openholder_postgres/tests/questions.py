"""A table with all kinds of columns, and questions whose answers show what each filter and order means."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from openholder import Filter, Order, Query

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
MIXED = """
CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE mood AS ENUM ('A1', 'a1');
CREATE TABLE things (id serial PRIMARY KEY, "text" text, short char(5), folded text COLLATE folded, whole integer,
    exact numeric, flag boolean, at timestamptz, day date, local text, number uuid, mood mood, rate float8,
    tags text[]);
INSERT INTO things ("text", short, folded, whole, exact, flag, at, day, local, number, mood, rate, tags) VALUES
    ('12', '12', 'A1', 12, 12.0, true, '2026-06-15 12:00Z', '2026-06-15', '2026-06-15T22:00:00+10:00',
        '00000000-0000-0000-0000-00000000000a', 'A1', 12, '{12}'),
    ('012', 'a1', 'a1', -12, 12, false, '2026-06-15 12:00:00.000001Z', '2026-06-16', '2026-06-15', NULL, 'a1',
        0.5, '{}'),
    ('A1', NULL, '12', 0, 0.10, NULL, NULL, NULL, NULL, '00000000-0000-0000-0000-00000000000b', NULL, NULL, NULL),
    ('a1', 'A1', NULL, NULL, NULL, true, '2020-01-01 00:00Z', '2027-01-01', NULL, NULL, NULL, NULL, NULL),
    (NULL, '', 'É', 2147483647, -9.5, NULL, NULL, '2020-01-01', '2027-01-01T00:00:00Z', NULL, 'A1', 12, '{a1}');
"""
COLUMNS = ("text", "short", "folded", "whole", "exact", "flag", "number", "mood", "rate", "absent")
SOUGHT = (
    "12",
    "012",
    "12.0",
    "0.10",
    "-12",
    "-0",
    "0",
    "A1",
    "a1",
    "a1   ",
    "true",
    "True",
    "é",
    "É",
    "1e1",
    "99999999999",
)
UUIDS = (
    "00000000-0000-0000-0000-00000000000a",
    "00000000-0000-0000-0000-00000000000A",
    "0000000000000000000000000000000a",
)


def build_text_filters():
    for column in COLUMNS[:-1]:
        for value in (*SOUGHT, *UUIDS):
            yield Filter(column, "eq", value)
            yield Filter(column, "ieq", value)
            yield Filter(column, "eq", value, absent="12")
            yield Filter(column, "contains", value, otherwise=("text",))
        yield Filter(column, "in", SOUGHT)
        yield Filter("absent", "eq", "A1", otherwise=(column, "text"), absent="a1")


def build_other_filters():
    for operator in ("ge", "le"):
        for column in ("at", "day", "local", "absent"):
            for moment in (NOON, NOON.replace(microsecond=1), datetime(2026, 6, 15, tzinfo=UTC)):
                yield Filter(column, operator, moment)
                yield Filter(column, operator, moment, absent=NOON)
                yield Filter(column, operator, moment, otherwise=("day", "at"), absent=NOON)
        for column in ("whole", "exact", "absent"):
            for text in ("12", "12.00", "-9.5", "0.10000000000000000000001", "1E+30"):
                yield Filter(column, operator, Decimal(text))
    for truth in (True, False):
        for absent in (None, True, False):
            yield Filter("flag", "eq", truth, absent=absent)
            yield Filter("absent", "eq", truth, absent=absent)


ORDERS = [
    Order(member, descending, reads, otherwise)
    for descending in (False, True)
    for members, reads in (
        (("text", "short", "folded", "whole", "number", "absent"), "text"),
        (("at", "day", "local"), "instant"),
    )
    for member in members
    for otherwise in ((), ("text",) if reads == "text" else ("day",))
]


def build_queries():
    for condition in (*build_text_filters(), *build_other_filters()):
        yield Query(collection="things", filters=(condition,))
    for order in ORDERS:
        yield Query(collection="things", order=(order,), offset=1, limit=3)
