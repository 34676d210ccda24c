"""The one reader of JSON from outside: what it takes, what it refuses, and that it never fails in another way."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openholder import UntrustedJSON, parse_json
from openholder.strict_json import MAX_DEPTH

DEPTH = 100_000

REFUSED = {
    "nothing": b"",
    "only space": b" \n ",
    "a name repeated": b'{"a": 1, "a": 1}',
    "a name repeated further down": b'[{"b": [{"a": 1, "a": 2}]}]',
    "a name repeated in another spelling": rb'{"a": 1, "\u0061": 2}',
    "NaN": b"[NaN]",
    "Infinity": b"Infinity",
    "-Infinity": b'{"a": -Infinity}',
    "a number beyond a double": b"1e400",
    "a number too close to zero for a double": b"1e-400",
    "an exponent beyond decimal.Decimal": b"1e99999999999999999999",
    "an integer of 5000 digits": b"1" * 5000,
    "a fraction of 5000 digits": b"0." + b"1" * 5000,
    "UTF-16": "[1]".encode("utf-16"),
    "UTF-16 without a byte order mark": "[1]".encode("utf-16-le"),
    "UTF-32": "[1]".encode("utf-32"),
    "UTF-8 behind a byte order mark": b"\xef\xbb\xbf[1]",
    "text behind a byte order mark": "\ufeff[1]",
    "Latin-1": '"é"'.encode("latin-1"),
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "a lone surrogate": rb'"\ud800"',
    "a lone surrogate among others": rb'"\ud83d\ude00\udc00"',
    "a lone surrogate in a list": rb'[["\udc00"]]',
    "a lone surrogate as the name of a member": rb'{"a": {"\ud800": 1}}',
    "a lone surrogate in text": '"\ud800"',
    "lists 100 000 deep": b"[" * DEPTH + b"]" * DEPTH,
    "lists 100 000 deep and never closed": b"[" * DEPTH,
    "objects 100 000 deep": b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
    "something behind the value": b"[1] x",
    "two values": b"1 2",
    "a comma too many": b"[1,]",
    "single quotes": b"{'a': 1}",
    "a leading zero": b"01",
    "a plus sign": b"+1",
    "no digit before the point": b".5",
    "digits that are not ASCII": "\uff11\uff12",
    "a raw newline in a string": b'"a\nb"',
    "a space that is not JSON's": "\u00a01",
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
def test_what_is_ambiguous_broken_or_too_large_is_refused(document):
    with pytest.raises(UntrustedJSON):
        parse_json(document)


@pytest.mark.parametrize(
    ("document", "value"),
    [
        (b"null", None),
        (b" [true, false] ", [True, False]),
        (b'{"a": {"a": 1}, "b": [{"a": 2}]}', {"a": {"a": 1}, "b": [{"a": 2}]}),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        ('"é"'.encode(), "é"),
        ('"é"', "é"),
        (b"9" * 300, int("9" * 300)),
    ],
)
def test_plain_json_is_read(document, value):
    assert parse_json(document) == value


@pytest.mark.parametrize("text", ["1200.50", "0.00", "-0.10", "0.1", "12345678901234567890.1234567890", "1E+2", "1E-9"])
def test_a_fraction_keeps_every_digit_as_written(text):
    number = parse_json(text)
    assert isinstance(number, Decimal)
    assert str(number) == text


def test_a_number_without_a_fraction_is_an_integer():
    assert type(parse_json("12")) is int


numbers = st.integers(-(10**40), 10**40) | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@given(values, st.booleans())
def test_what_json_dumps_writes_comes_back_equal(value, escaped):
    document = json.dumps(value, ensure_ascii=escaped)
    assert json.dumps(parse_json(document), ensure_ascii=escaped, default=float) == document


documents = (
    st.binary()
    | st.text(st.characters(exclude_categories=()))
    | st.text(r'[]{}",:\u0123456789dDeE+-. NaInfity')
    | st.lists(
        st.sampled_from(['"', "a", r"\ud800", r"\u0061", "{", "}", "[", "]", ":", ",", "1", ".", "e", "-", "99999999"])
    ).map("".join)
)


@given(documents)
@example("1e" + "9" * 20)
@example('"\ud800"')
def test_any_input_is_refused_or_can_be_written_again(document):
    with contextlib.suppress(UntrustedJSON):
        json.dumps(parse_json(document), ensure_ascii=False, default=str).encode()


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_nesting_ends_where_every_interpreter_would_still_follow(opened, closed):
    parse_json(opened * MAX_DEPTH + "1" + closed * MAX_DEPTH)
    parse_json("[" + ",".join(["[]"] * 10 * MAX_DEPTH) + "]")
    with pytest.raises(UntrustedJSON):
        parse_json(opened * (MAX_DEPTH + 1) + "1" + closed * (MAX_DEPTH + 1))
