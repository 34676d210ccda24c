"""What filters and orders mean: `openholder.query` itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.filters import ALL_PAID, NOON, NOT_OWNED, OPEN, OWNED, TEXT, UNPAID
from openholder import Filter, Order, Query, SourceFault, instant, number, select, truth

TRUE = (True, 1, "1", "true", "TRUE", "True")


def moment(*parts, offset=0):
    """Microseconds since 1970 of a moment, computed in another way than by the code under test."""
    aware = datetime(*parts, tzinfo=timezone(timedelta(minutes=offset)))
    since = aware.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds


# -- how values are read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-01-31T23:30:00+10:30", moment(2026, 1, 31, 13, 0)),
        ("2026-01-31T23:30:00-09:30", moment(2026, 2, 1, 9, 0)),
        ("2026-01-31T23:30:00-00:00", moment(2026, 1, 31, 23, 30)),
        ("2026-01-31T10:00:00.1Z", moment(2026, 1, 31, 10, 0, 0, 100_000)),
        ("2026-01-31T10:00:00.000001Z", moment(2026, 1, 31, 10, 0, 0, 1)),
        ("2026-01-31T10:00:00.0000019Z", moment(2026, 1, 31, 10, 0, 0, 1)),
        ("2026-01-31T10:00:00.123456789+01:00", moment(2026, 1, 31, 9, 0, 0, 123_456)),
        ("2026-01-31", moment(2026, 1, 31)),
        ("2024-02-29", moment(2024, 2, 29)),
        ("2016-12-31T23:59:60Z", moment(2016, 12, 31, 23, 59, 59)),
        ("2017-01-01T10:59:60+11:00", moment(2016, 12, 31, 23, 59, 59)),
        ("2016-12-31T23:59:60.25Z", moment(2016, 12, 31, 23, 59, 59, 250_000)),
        ("0001-01-01", moment(1, 1, 1)),
        ("9999-12-31T23:59:59.999999Z", moment(9999, 12, 31, 23, 59, 59, 999_999)),
    ],
)
def test_an_instant_is_the_same_with_any_offset(text, expected):
    assert instant(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "soon",
        "2026-02-30",
        "2026-13-01",
        "2025-02-29T00:00:00Z",
        "2026-01-31T10:00:00",
        "2026-01-31T25:00:00Z",
        "2026-01-31T10:60:00Z",
        "2026-01-31T10:00:61Z",
        "31/01/2026",
        "1769853600",
        "2026-01-31T10:00:00Z ",
        " 2026-01-31T10:00:00Z",
        "2026-01-31T10:00:00+1000000",
    ],
)
def test_an_invalid_time_is_a_fault_each_time_it_is_read(text):
    for _ in range(2):
        with pytest.raises(
            SourceFault,
            match=r"^a value is neither a date-time with an offset nor a date "
            r"\(found [\w ]+; expected one such as 2026-10-01T09:30:00\+10:00\)$",
        ):
            instant(text)


@given(st.datetimes(timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))))
def test_a_moment_is_read_from_every_offset(aware):
    assert instant(aware.isoformat()) == (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("9.00", "9"),
        ("-0.01", "-0.01"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1234567890123456.1234567890123456", "1234567890123456.1234567890123456"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000"),
        (-7, "-7"),
        (0, "0"),
        (10**40, str(10**40)),
        (Decimal("12.50"), "12.5"),
    ],
)
def test_a_number_is_read_exactly_as_it_is_written(found, expected):
    assert number(found) == Decimal(expected)


@pytest.mark.parametrize(
    "found", ["", "ten", "1,000.00", "$5.00", "5.00 AUD", "NaN", "-Infinity", "sNaN", "--1", float("nan"), [], True]
)
def test_what_is_no_finite_number_is_a_fault(found):
    with pytest.raises(
        SourceFault, match=r"^a value is not a (finite )?number( \(found [\w ]+; expected one such as 1234.56\))?$"
    ):
        number(found)


@pytest.mark.parametrize(
    ("found", "expected"),
    [(found, found in TRUE) for found in (*TRUE, False, 0, "0", "false", "FALSE")],
)
def test_truth_is_true_or_false_or_one_or_zero(found, expected):
    assert truth(found) is expected


@pytest.mark.parametrize("found", ["", "yes", "N", "t", 2, -1, "01", " true", None, [], "on"])
def test_what_is_neither_true_nor_false_is_a_fault(found):
    with pytest.raises(SourceFault, match=r"^a value is neither true nor false \(found [\w ]+\)$"):
        truth(found)


# -- one condition -----------------------------------------------------------------------------------------------------

SINCE_NOON = Filter("posted", "ge", NOON, otherwise=("executed", "valued"))
UNTIL_NOON = Filter("posted", "le", NOON, otherwise=("executed", "valued"))


@pytest.mark.parametrize(
    ("condition", "record", "admitted"),
    [
        (OPEN, {"openStatus": "OPEN"}, True),
        (OPEN, {"openStatus": "CLOSED"}, False),
        (OPEN, {"openStatus": "open"}, False),
        (OPEN, {"openStatus": None}, True),
        (OPEN, {}, True),
        (OWNED, {}, True),
        (NOT_OWNED, {}, False),
        (OWNED, {"isOwned": "TRUE"}, True),
        (NOT_OWNED, {"isOwned": 0}, True),
        (NOT_OWNED, {"isOwned": "false"}, True),
        (OWNED, {"isOwned": False}, False),
        (SINCE_NOON, {"posted": "2026-06-15T12:00:00Z"}, True),
        (UNTIL_NOON, {"posted": "2026-06-15T12:00:00Z"}, True),
        (SINCE_NOON, {"posted": "2026-06-15T11:59:59.999999Z"}, False),
        (UNTIL_NOON, {"posted": "2026-06-15T12:00:00.000001Z"}, False),
        (UNTIL_NOON, {"posted": "2026-06-15T12:00:00.0000009Z"}, True),
        (SINCE_NOON, {"posted": "2026-06-15T21:59:59+10:00"}, False),
        (SINCE_NOON, {"posted": "2026-06-15T22:00:00+10:00"}, True),
        (UNTIL_NOON, {"posted": "2026-06-16T01:00:00+14:00"}, True),
        (SINCE_NOON, {"posted": "2026-06-14T23:00:00-13:00"}, True),
        (SINCE_NOON, {"posted": datetime(2026, 6, 15, 22, tzinfo=timezone(timedelta(hours=10)))}, True),
        (SINCE_NOON, {"posted": date(2026, 6, 16)}, True),
        (SINCE_NOON, {"posted": date(2026, 6, 15)}, False),
        (SINCE_NOON, {"executed": "2026-06-16", "valued": "2026-06-01"}, True),
        (SINCE_NOON, {"posted": None, "executed": "2026-06-01", "valued": "2026-06-16"}, False),
        (SINCE_NOON, {"posted": "2026-06-01", "executed": "2026-06-16"}, False),
        (SINCE_NOON, {"posted": None}, False),
        (Filter("posted", "ge", NOON, absent=NOON), {}, True),
        (Filter("posted", "ge", NOON, absent=NOON - timedelta(microseconds=1)), {}, False),
        (Filter("amount", "ge", Decimal("9.00")), {"amount": "10.00"}, True),
        (Filter("amount", "le", Decimal("9.00")), {"amount": "10.00"}, False),
        (Filter("amount", "ge", Decimal("9.00")), {"amount": "9"}, True),
        (Filter("amount", "le", Decimal("9")), {"amount": "9.000000000000000000000000000001"}, False),
        (Filter("amount", "ge", Decimal("-9")), {"amount": "-10.00"}, False),
        (Filter("amount", "le", Decimal("-9")), {"amount": "-10.00"}, True),
        (Filter("amount", "ge", Decimal(0)), {"amount": "-0.00"}, True),
        (Filter("amount", "le", Decimal("0.3")), {"amount": 0.1 + 0.2}, False),
        (Filter("amount", "le", Decimal(5)), {}, False),
        (Filter("amount", "eq", Decimal("9.0")), {"amount": "9.00"}, True),
        (TEXT, {"description": "Rent for May"}, True),
        (TEXT, {"description": "rent for May", "reference": "Rent"}, True),
        (TEXT, {"description": None, "reference": "Rent"}, True),
        (TEXT, {"description": "rent", "reference": "RENT"}, False),
        (TEXT, {}, False),
        (Filter("description", "contains", "%"), {"description": "anything"}, False),
        (Filter("description", "contains", "_"), {"description": "a_b"}, True),
        (Filter("number", "contains", "23"), {"number": 1234}, True),
        (Filter("number", "in", ("12", "13")), {"number": 12}, True),
        (Filter("number", "in", ("12", "13")), {"number": "1"}, False),
        (Filter("number", "eq", "350000"), {"number": Decimal("3.5E+5")}, True),
        (Filter("number", "in", ("350000", "1")), {"number": Decimal("3.5E+5")}, True),
        (Filter("number", "eq", "3.5E+5"), {"number": Decimal("3.5E+5")}, False),
        (Filter("number", "eq", "12"), {"number": Decimal("12.0")}, False),
        (Filter("number", "eq", "NaN"), {"number": Decimal("NaN")}, True),
        (Filter("name", "eq", "x", otherwise=("nick",)), {"nick": "x"}, True),
        (Filter("name", "eq", "x", otherwise=("nick",)), {"name": "y", "nick": "x"}, False),
        (UNPAID, {"schedule": [{"isPaid": True}, {"isPaid": False}]}, True),
        (UNPAID, {"schedule": '[{"isPaid": true}, {"amountDue": "1.00"}]'}, True),
        (UNPAID, {"schedule": '[{"isPaid": null}]'}, True),
        (UNPAID, {"schedule": b'[{"isPaid": "false"}]'}, True),
        (UNPAID, {"schedule": '[{"isPaid": true}, {"isPaid": 1}]'}, False),
        (UNPAID, {"schedule": "[]"}, False),
        (UNPAID, {}, False),
        (ALL_PAID, {"schedule": '[{"isPaid": true}]'}, True),
        (ALL_PAID, {"schedule": '[{"isPaid": true}, {"isPaid": 0}]'}, False),
        (ALL_PAID, {"schedule": "[]"}, True),
        (ALL_PAID, {"schedule": None}, True),
    ],
)
def test_a_condition_admits_what_it_says(condition, record, admitted):
    assert condition.admits(record) is admitted
    assert condition.admits_all([record, record]) is admitted
    assert condition.admits_all([])


@pytest.mark.parametrize(
    ("condition", "record"),
    [
        (OWNED, {"isOwned": "yes"}),
        (NOT_OWNED, {"isOwned": "yes"}),
        (NOT_OWNED, {"isOwned": ""}),
        (SINCE_NOON, {"posted": "15/06/2026"}),
        (UNTIL_NOON, {"posted": "15/06/2026"}),
        (SINCE_NOON, {"posted": 1769853600}),
        (SINCE_NOON, {"posted": "2026-06-15T12:00:00"}),
        (SINCE_NOON, {"posted": ""}),
        (SINCE_NOON, {"posted": "never", "executed": "2026-06-16"}),
        (Filter("amount", "ge", Decimal(1)), {"amount": "1,000.00"}),
        (Filter("amount", "le", Decimal(1)), {"amount": ""}),
        (Filter("amount", "le", Decimal(1)), {"amount": True}),
        (UNPAID, {"schedule": "{"}),
        (UNPAID, {"schedule": "[1]"}),
        (ALL_PAID, {"schedule": '["isPaid"]'}),
        (ALL_PAID, {"schedule": "[null]"}),
        (ALL_PAID, {"schedule": '{"isPaid": true}'}),
        (ALL_PAID, {"schedule": 7}),
        (UNPAID, {"schedule": '[{"isPaid": true, "isPaid": false}]'}),
        (UNPAID, {"schedule": '[{"isPaid": "perhaps"}]'}),
        (ALL_PAID, {"schedule": '[{"isPaid": true},]'}),
    ],
)
def test_an_unreadable_value_is_a_fault_and_drops_no_record(condition, record):
    with pytest.raises(SourceFault) as fault:
        condition.admits(record)
    assert not any(str(value) in str(fault.value) for value in record.values() if len(str(value)) > 4)
    with pytest.raises(SourceFault):
        condition.admits_all([record])
    with pytest.raises(SourceFault) as told:
        select([record], Query(collection="things", filters=(condition,)))
    assert told.value.row is record


# -- one order ---------------------------------------------------------------------------------------------------------

ROWS = [
    {"id": "1", "posted": "2026-06-15T12:00:00Z", "name": "b"},
    {"id": "2", "posted": None, "executed": "2026-06-16T00:00:00+10:00", "name": "B"},
    {"id": "3", "name": None},
    {"id": "4", "posted": "2026-06-15T22:00:00+10:00", "name": "é"},
    {"id": "5", "posted": "2026-06-15T11:59:59.9Z", "name": "\U0001f600"},
    {"id": "6", "posted": "2026-06-15", "executed": "2027-01-01", "name": "\uffee"},
]
NEWEST = {"reads": "instant", "otherwise": ("executed",)}


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ((), "123456"),
        ((Order("posted", descending=True, **NEWEST),), "321456"),
        ((Order("posted", **NEWEST),), "651423"),
        ((Order("posted", descending=True, **NEWEST), Order("id", descending=True)), "324156"),
        ((Order("posted", descending=True, reads="instant"),), "231456"),
        ((Order("name"),), "214653"),
        ((Order("name", descending=True),), "356412"),
        ((Order("nowhere"), Order("id", descending=True)), "654321"),
    ],
)
def test_records_are_sorted_with_missing_values_last(order, ids):
    assert "".join(row["id"] for row in select(ROWS, Query(collection="rows", order=order)).records) == ids


@pytest.mark.parametrize("value", ["soon", "", "2026-06-15T12:00:00", 7])
def test_sorting_by_time_is_a_fault_if_a_value_is_invalid(value):
    with pytest.raises(SourceFault):
        Order("posted", reads="instant").key({"posted": value})
    assert Order("posted").key({"posted": value}) == (False, str(value))
