"""Media types before the token is looked at: what a client means is read, and what no client means is bounded."""

from __future__ import annotations

import time

import pytest
from tornado.httputil import HTTPHeaders

from openholder.contract.errors import RequestError
from openholder.contract.operations import OPERATIONS
from openholder.serving.preconditions import announces_too_much, check_preconditions

SEARCH = next(operation for operation in OPERATIONS if operation.whose == "search")


def status_of(**headers):
    """The status that a search with these headers is refused with, or 0."""
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
    try:
        check_preconditions(SEARCH, HTTPHeaders(sent))
    except RequestError as error:
        return error.spec.status
    return 0


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json;",
        "Application/JSON",
        'application/json; charset="UTF-8"',
        "application/json;CHARSET=utf-8",
        "application/json\t; charset=utf-8 ; v=1",
        "application/json; charset=us-ascii",
        "application/json; charset=utf8",
        'application/json; ;profile="a;charset=utf-16, \\"b\\""',
    ],
)
def test_parameters_of_the_media_type_change_nothing(kind):
    """Of any name, quoted, or empty (RFC 9110 section 5.6.6). None has a meaning (RFC 8259 section 11)."""
    assert status_of(Content_Type=kind) == 0


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/json",
        "application/jsonx",
        "application/json charset=utf-8",
        "application/json;charset",
        "application/json; a=b c",
        'application/json; a="',
        'application/json; a="\x00"',
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-16",
        'application/json; charset="latin1"',
        "application/json, application/json",
        "application/json" + "; a=b" * 250,
    ],
)
def test_what_is_malformed_or_in_another_encoding_is_415(kind):
    assert status_of(Content_Type=kind) == 415


@pytest.mark.parametrize("kind", ["; " * 8000 + "x", " " * 16_000 + "x", ';a="' + '\\"' * 8000, ";a=b" * 4000 + ","])
def test_a_hostile_media_type_costs_nothing(kind):
    started = time.perf_counter()
    assert status_of(Content_Type=f"application/json{kind}") == 415
    assert status_of(Content_Type=f"application/json{kind}"[:1000]) in (0, 415)
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*; q=.2", 0),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", 0),
        ("*", 0),
        ("application/json;q=.9", 0),
        ("application/json;q=1.0000", 0),
        ('application/json;q="0.9"', 0),
        ("application/json;q=high", 0),
        ("application/json;q=1.5", 0),
        ("application/json;q=", 0),
        ("application/json;Q=0.5", 0),
        ("application/json;q=0.000", 406),
        ("application/json;q=0.", 406),
        ("*;q=0", 406),
        ("text/html;q=.9", 406),
    ],
)
def test_a_weight_that_cannot_be_read_excludes_nothing(accept, status):
    assert status_of(Accept=accept) == status


@pytest.mark.parametrize(("whose", "most"), [("search", 65_536), ("specific", 524_288)])
def test_bodies_that_name_accounts_may_be_larger(whose, most):
    operations = [operation for operation in OPERATIONS if operation.whose == whose]
    assert {operation.max_body for operation in operations} == {most}
    assert not announces_too_much(HTTPHeaders({"Content-Length": str(most)}), most)
    assert announces_too_much(HTTPHeaders({"Content-Length": str(most + 1)}), most)
