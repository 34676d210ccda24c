"""select() says what a Query means: every source has to answer like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openholder import Filter, Query, select

PEOPLE = [
    {"id": "c-1", "email": "Kate@example.com", "postcode": 3000},
    {"id": "c-2", "email": "kate@example.com", "postcode": "3000"},
    {"id": "c-3", "email": None, "postcode": 3000.0},
    {"id": "c-4", "verified": True},
    {"id": "C-1", "email": "sam@example.com", "postcode": "03000"},
]


def found(*filters, **page):
    """The ids of the people that the filters let through."""
    return [person["id"] for person in select(PEOPLE, Query(collection="people", filters=filters, **page)).records]


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        (Filter("id", "eq", "c-1"), ["c-1"]),
        (Filter("id", "eq", "c-"), []),
        (Filter("id", "eq", "c-_"), []),
        (Filter("id", "eq", "c-1 "), []),
        (Filter("id", "in", ("c-4", "c-2", "c-9")), ["c-2", "c-4"]),
        (Filter("id", "in", ()), []),
        (Filter("email", "eq", "kate@example.com"), ["c-2"]),
        (Filter("email", "ieq", "KATE@Example.com"), ["c-1", "c-2"]),
        (Filter("email", "ieq", "\u212aate@example.com"), []),
        (Filter("email", "ieq", "\uff4bate@example.com"), []),
        (Filter("email", "eq", "None"), []),
        (Filter("email", "eq", ""), []),
        (Filter("verified", "eq", "True"), []),
        (Filter("nickname", "eq", "None"), []),
        (Filter("postcode", "eq", "3000"), ["c-1", "c-2"]),
        (Filter("postcode", "eq", "3000.0"), ["c-3"]),
        (Filter("postcode", "in", ("3000", "03000")), ["c-1", "c-2", "C-1"]),
    ],
)
def test_a_filter_compares_text_character_by_character(condition, ids):
    assert found(condition) == ids


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("\u212aate", "kate"),
        ("\uff2bate", "\uff4bate"),
        ("stra\u00dfe", "strasse"),
        ("\u00c9va", "\u00e9va"),
        ("\u0130d", "id"),
        ("[id]", "{id}"),
        ("@", "`"),
    ],
)
def test_only_the_case_of_ascii_letters_is_folded(stored, asked):
    assert not Filter("name", "ieq", asked).admits({"name": stored})


def test_ieq_takes_every_ascii_letter_in_either_case():
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert Filter("name", "ieq", letters).admits({"name": letters.upper()})
    assert Filter("name", "ieq", letters.upper()).admits({"name": letters})


def test_the_number_12_is_the_text_12_and_no_other():
    record = {"id": 12}
    assert [text for text in ("12", "12.0", "012", "+12", "1_2", " 12") if Filter("id", "eq", text).admits(record)] == [
        "12"
    ]


def test_several_filters_must_all_hold():
    kate, melbourne = Filter("email", "ieq", "kate@example.com"), Filter("postcode", "eq", "3000")
    assert found(kate, melbourne, Filter("id", "eq", "c-2")) == ["c-2"]
    assert found(kate, Filter("id", "eq", "C-1")) == []


@pytest.mark.parametrize(
    ("offset", "limit", "ids"),
    [
        (0, None, ["c-1", "c-2", "c-3", "c-4", "C-1"]),
        (0, 2, ["c-1", "c-2"]),
        (3, 1, ["c-4"]),
        (4, 10, ["C-1"]),
        (3, None, ["c-4", "C-1"]),
        (5, 2, []),
        (0, 0, []),
    ],
)
def test_a_page_keeps_the_order_and_the_total_of_all_pages(offset, limit, ids):
    page = select(PEOPLE, Query(collection="people", offset=offset, limit=limit))
    assert ([person["id"] for person in page.records], page.total) == (ids, 5)


def test_the_total_counts_what_the_filters_let_through():
    page = select(PEOPLE, Query(collection="people", filters=(Filter("postcode", "eq", "3000"),), offset=1, limit=1))
    assert ([person["id"] for person in page.records], page.total) == (["c-2"], 2)


@given(st.lists(st.sampled_from(["open", "closed", None])), st.integers(1, 7))
def test_all_pages_together_are_the_whole(states, limit):
    records = [{"id": str(number), "status": status} for number, status in enumerate(states)]
    is_open = (Filter("status", "eq", "open"),)
    whole = select(records, Query(collection="accounts", filters=is_open))
    pages = [
        select(records, Query(collection="accounts", filters=is_open, offset=offset, limit=limit))
        for offset in range(0, len(records) + limit, limit)
    ]
    assert [record for page in pages for record in page.records] == whole.records
    assert {page.total for page in pages} == {whole.total} == {len(whole.records)}
