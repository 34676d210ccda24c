"""Cheap headers mean what Tornado's mean."""

from __future__ import annotations

import re

import pytest
from tornado.httputil import HTTPHeaders

from openholder.edge.headers import AnswerHeaders, RequestHeaders, spell

LINES = "Host: x\r\nx-a: 1\r\nX-A: 2\r\nACCEPT: a, b\r\nX-Empty:\r\n"
UUID = "7e4f0e0a-98c6-4e5b-9c4b-0b0b0b0b0b0b"


@pytest.fixture
def pair():
    """The same headers, cheap and Tornado's."""
    fields = {}
    for name, value in re.findall(r"(.+?): ?(.*)\r\n", LINES):
        fields.setdefault(spell(name.encode()), []).append(value)
    return RequestHeaders(fields), HTTPHeaders.parse(LINES)


@pytest.mark.parametrize("name", ["Host", "host", "X-A", "x-a", "accept", "X-Empty", "X-Missing"])
def test_a_header_is_found_as_in_tornado(pair, name):
    cheap, plain = pair
    assert cheap.get(name) == plain.get(name)
    assert cheap.get(name, "none") == plain.get(name, "none")
    assert cheap.get_list(name) == plain.get_list(name)
    assert (name in cheap) == (name in plain)


def test_all_headers_are_those_of_tornado(pair):
    cheap, plain = pair
    assert list(cheap.get_all()) == list(plain.get_all())
    assert dict(cheap) == dict(plain)
    assert len(cheap) == len(plain)
    for headers in pair:
        headers["x-a"] = "3"
        del headers["Host"]
        headers.add("x-new", "4")
    assert list(cheap.get_all()) == list(plain.get_all())
    assert (cheap.get("X-A"), cheap.get("X-New"), cheap.get("Host")) == ("3", "4", None)


def test_the_lines_of_an_answer_are_its_headers():
    headers = AnswerHeaders("application/json", UUID, 7, {"Allow": "GET"}, close=True).unfold()
    assert headers.pop("Date").endswith(" GMT")
    assert dict(headers) == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Fapi-Interaction-Id": UUID,
        "Content-Length": "7",
        "Allow": "GET",
        "Connection": "close",
    }
