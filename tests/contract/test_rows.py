"""Flat rows become typed records, losing nothing: whatever does not fit is a Misfit that keeps the value to itself."""

from __future__ import annotations

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import inspect

from openholder.contract.fitting import compile_fitter
from openholder.contract.formats import AmountString, RateString
from openholder.contract.operations import OPERATIONS
from openholder.contract.records.auth import AccountLink, ConsentAccount, Customer
from openholder.contract.records.starter import Balance
from openholder.contract.rows import Misfit, to_record

ENCODER = msgspec.json.Encoder(decimal_format="number")
LOCALITY = {"locality": "Hobart"}


def fitted(record, row):
    """What leaves the server for a row to which the members that every record needs are added."""
    return msgspec.to_builtins(to_record(NEEDED[record] | row, record))


NEEDED = {
    Customer: {"id": "c-1"},
    AccountLink: {"customerId": "c-1", "id": "a-1"},
    ConsentAccount: {"id": "a-1"},
    Balance: {"accountId": "a-1", "current": "1.00"},
}


USER = {"id": "u-1", "email": "somebody@example.com", "isAccountHolder": True}


@pytest.mark.parametrize(
    ("record", "row", "member", "value"),
    [
        (Customer, {"address.locality": "Hobart"}, "address", LOCALITY),
        (Customer, {"address": '{"locality": "Hobart", "unknown": 1}'}, "address", LOCALITY),
        (Customer, {"address": b'{"locality": "Hobart", "region": null}'}, "address", LOCALITY),
        (Customer, {"address": LOCALITY}, "address", LOCALITY),
        (Customer, {"address.locality": "Hobart", "address.region": None}, "address", LOCALITY),
        (Customer, {"id": 12}, "id", "12"),
        (Customer, {"address.postalCode": 7000}, "address", {"postalCode": "7000"}),
        (Customer, {"emailVerified": "true"}, "emailVerified", True),
        (Customer, {"emailVerified": "False"}, "emailVerified", False),
        (Customer, {"emailVerified": 1}, "emailVerified", True),
        (Customer, {"emailVerified": 0}, "emailVerified", False),
        (Customer, {"emailVerified": "0"}, "emailVerified", False),
        (Customer, {"phoneNumber": "+61491570006"}, "phoneNumber", "+61491570006"),
        (Customer, {"updatedAt": "2024-02-29T23:59:60.5+10:00"}, "updatedAt", "2024-02-29T23:59:60.5+10:00"),
        (AccountLink, {"status": "suspended"}, "status", "suspended"),
        (ConsentAccount, {"users": f"[{json.dumps(USER)}]"}, "users", [USER]),
    ],
)
def test_a_row_says_in_flat_columns_what_the_record_nests(record, row, member, value):
    assert fitted(record, row)[member] == value


@pytest.mark.parametrize(
    ("record", "row"),
    [
        (Customer, {"address": None}),
        (Customer, {"address.locality": None, "address.region": None}),
        (Customer, {"emailVerified": None, "name": None}),
        (Customer, {"password": "x", "Email": "x", "address_locality": "x", "internal.note": "x"}),
        (AccountLink, {"status": None, "name": "x"}),
        (Balance, {"available": None, "customerId": "c-1"}),
    ],
)
def test_columns_without_a_value_or_a_member_stay_behind(record, row):
    assert fitted(record, row) == fitted(record, {})


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("1200.50", "1200.50"),
        ("-0.00", "-0.00"),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
        (12, "12"),
        (10**20, "100000000000000000000"),
        (0.1, "0.1"),
        (-1234567.89, "-1234567.89"),
        (99999999999999.5, "99999999999999.5"),
        (Decimal("1200.50"), "1200.50"),
        (Decimal("3.5E+5"), "350000"),
        (Decimal("-4.800"), "-4.80"),
        (Decimal("0.04750000000000000000"), "0.0475"),
        (Decimal("0E-10"), "0.00"),
        (Decimal("1E+2"), "100"),
        (Decimal("123456789012345678901234567.8000"), "123456789012345678901234567.80"),
    ],
)
def test_a_decimal_leaves_with_the_digits_that_came_in(value, written):
    document = ENCODER.encode(to_record({"accountId": "a-1", "available": value}, Balance))
    assert document == f'{{"account_id":"a-1","available":{written}}}'.encode()


NAMES = {
    float: "a floating-point number",
    Decimal: "a decimal number",
    bool: "true or false",
    bytes: "bytes",
    str: "text",
}


@pytest.mark.parametrize(
    "value",
    [
        0.1 + 0.2,
        1e15,
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        True,
        False,
        b"12",
        "NaN",
        "Infinity",
        "1_000",
        "1,000",
        "1e3",
        "0x1F",
        "+1",
        ".5",
        "5.",
        "-",
        "",
        " 12",
        "12\n",
        "\uff11\uff12",
        "$12",
        "9" * 31,
    ],
    ids=repr,
)
def test_what_is_no_exact_decimal_is_refused(value):
    with pytest.raises(Misfit) as caught:
        to_record({"accountId": "a-1", "available": value}, Balance)
    assert caught.value.member == "available"
    assert f"found {'an empty text' if value == '' else NAMES[type(value)]}" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "is_told"), [("1200,5", True), ("-0,05", True), ("12,50", True), ("1,000", False), ("1.200,50", False)]
)
@pytest.mark.parametrize("name", ["available", "currentBalance"])
def test_a_decimal_comma_is_told_from_other_misfits(name, value, is_told):
    record = (
        Balance if name == "available" else next(row.record for row in OPERATIONS if row.name == "getBankingBalance")
    )
    with pytest.raises(Misfit) as caught:
        to_record({"accountId": "a-1", "availableBalance": "1.00", name: value}, record)
    assert ('set `decimal = ","`' in str(caught.value)) is is_told
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("record", "row", "member", "found"),
    [
        (Customer, {"id": None}, "id", "no value"),
        (Customer, {"id": ""}, "id", "an empty text"),
        (Customer, {"id": True}, "id", "true or false"),
        (Customer, {"id": 12.0}, "id", "a floating-point number"),
        (Customer, {"id": Decimal("NaN")}, "id", "a decimal number"),
        (Customer, {"id": b"secret"}, "id", "bytes"),
        (Customer, {"id.secret": "secret", "id": None}, "id", "an object"),
        (Customer, {"phoneNumber": "0491570006"}, "phoneNumber", "text"),
        (Customer, {"phoneNumber": "+61491570006\n"}, "phoneNumber", "text"),
        (Customer, {"phoneNumber": "+6149157000\uff16"}, "phoneNumber", "text"),
        (Customer, {"phoneNumber": "+61 491 570 006"}, "phoneNumber", "text"),
        (Customer, {"updatedAt": "2024-01-01"}, "updatedAt", "a day without a time"),
        (Customer, {"updatedAt": "2024-01-01T00:00:00"}, "updatedAt", "a time without an offset"),
        (Customer, {"updatedAt": "2024-01-01 00:00:00Z"}, "updatedAt", "text"),
        (Customer, {"updatedAt": "2024-13-01T00:00:00Z"}, "updatedAt", "text"),
        (Customer, {"updatedAt": "\uff12\uff10\uff12\uff14-01-01T00:00:00Z"}, "updatedAt", "text"),
        (Customer, {"emailVerified": "secret"}, "emailVerified", "text"),
        (Customer, {"emailVerified": 2}, "emailVerified", "a whole number"),
        (Customer, {"emailVerified": 1.0}, "emailVerified", "a floating-point number"),
        (Customer, {"address": "secret"}, "address", "text"),
        (Customer, {"address": '["secret"]'}, "address", "a list"),
        (Customer, {"address": '{"locality": "secret", "locality": "secret"}'}, "address", "text"),
        (Customer, {"address.locality": 1.5}, "address.locality", "a floating-point number"),
        (Customer, {"address.locality.secret": "secret"}, "address.locality", "an object"),
        (Customer, {"address": '{"locality": ["secret"]}'}, "address.locality", "a list"),
        (AccountLink, {"customerId": None}, "customerId", "no value"),
        (AccountLink, {"status": "secret"}, "status", "text"),
        (AccountLink, {"status": "Open"}, "status", "text"),
        (ConsentAccount, {"users": '{"id": "secret"}'}, "users", "an object"),
        (ConsentAccount, {"users": '["secret"]'}, "users[0]", "text"),
        (ConsentAccount, {"users": "[12]"}, "users[0]", "a whole number"),
        (Balance, {"accountId": None}, "account_id", "no value"),
        (Balance, {"currency": "aud"}, "currency", "text"),
    ],
)
def test_a_misfit_names_member_and_type_and_never_the_value(record, row, member, found):
    with pytest.raises(Misfit) as caught:
        fitted(record, row)
    assert caught.value.member == member
    assert str(caught.value).startswith(f"member {member!r} does not fit (found {found})")
    texts = {"secret", *(str(value) for value in row.values() if value not in (None, ""))}
    assert not [text for text in texts if text in str(caught.value)]


@pytest.mark.parametrize(
    ("operation", "row", "member", "allowed"),
    [
        (None, {"id": "a-1", "customerId": "c-1", "status": "secret"}, "status", "blocked, closed, open, suspended"),
        (
            "listScheduledPayments",
            {"paymentSet": '[{"to": {"toUType": "secret"}, "amount": "1.00"}]'},
            "paymentSet[0].to.toUType",
            "accountId, biller, digitalWallet, domestic, international, payeeId",
        ),
    ],
)
def test_a_misfit_of_an_enumeration_names_the_allowed_values(operation, row, member, allowed):
    record = next((each.record for each in OPERATIONS if each.name == operation), AccountLink)
    with pytest.raises(Misfit) as caught:
        to_record(row, record)
    assert str(caught.value) == f"member {member!r} does not fit (found text): expected one of {allowed}"


@pytest.mark.parametrize("read", [str, json.loads])
@pytest.mark.parametrize("order", ["whole first", "parts first"])
def test_an_object_is_given_as_a_whole_or_by_its_parts(read, order):
    whole, parts = {"address": read('{"region": "secret"}')}, {"address.locality": "secret"}
    with pytest.raises(Misfit, match="'address'") as caught:
        fitted(Customer, whole | parts if order == "whole first" else parts | whole)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "amount", "rate"),
    [("0.0475000000", "0.0475", "0.0475"), ("3.5E+5", "350000.00", "350000"), ("12.000", "12.00", "12.00")],
)
def test_a_number_of_a_database_leaves_without_needless_zeros(value, amount, rate):
    for kind, written in ((AmountString, amount), (RateString, rate)):
        assert compile_fitter(inspect.type_info(kind))(Decimal(value), "x") == written


def test_two_columns_for_one_member_do_not_fit():
    with pytest.raises(Misfit):
        to_record({"accountId": "a-1", "account_id": "a-2"}, Balance)


@pytest.mark.parametrize("member", ["id", "email", "emailVerified"])
def test_a_number_too_long_to_be_written_does_not_fit(member):
    with pytest.raises(Misfit) as caught:
        fitted(Customer, {member: 10**5000})
    assert caught.value.member == member


@pytest.mark.slow
@given(st.from_regex(r"-?[0-9]{1,15}(\.[0-9]{1,10})?", fullmatch=True))
def test_every_decimal_keeps_its_digits(text):
    document = ENCODER.encode(to_record({"accountId": "a-1", "available": text}, Balance))
    number = json.loads(document, parse_int=Decimal, parse_float=Decimal)["available"]
    assert number.as_tuple() == Decimal(text).as_tuple()


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.decimals(),
    st.binary(),
    st.sampled_from(["open", "blocked", "true", "1200.50", "+61491570006", "AUD", "{}", "2024-01-01T00:00:00Z"]),
)


def columns(record):
    """Every column that fills a member of the record, and one that fills none."""
    names = {field.encode_name for field in msgspec.structs.fields(record)} | set(record.columns)
    parts = {"address.locality", "address.region"} if "address" in names else set()
    return sorted(names | parts | {"unknown"})


@pytest.mark.slow
@pytest.mark.parametrize("record", [Customer, AccountLink, Balance])
@given(data=st.data())
def test_any_row_gives_a_record_that_can_be_sent_or_a_misfit(record, data):
    row = data.draw(st.dictionaries(st.sampled_from(columns(record)), scalars))
    try:
        found = to_record(NEEDED[record] | row, record)
    except Misfit:
        return
    assert isinstance(json.loads(ENCODER.encode(found)), dict)


@given(st.text(st.characters(exclude_categories=()), min_size=1))
@example("\ud800")
def test_text_leaves_as_it_came_or_not_at_all(text):
    try:
        found = to_record({"id": text}, Customer)
    except Misfit:
        return
    assert json.loads(ENCODER.encode(found)) == {"id": text}


@pytest.mark.parametrize(("amounts", "fits"), [({}, False), ({"current": "1.00"}, True), ({"available": "0"}, True)])
def test_a_balance_has_at_least_one_amount(amounts, fits):
    row = {"accountId": "acc-1", "currency": "AUD", "available": None, "current": None, **amounts}
    if fits:
        assert to_record(row, Balance).account_id == "acc-1"
    else:
        with pytest.raises(Misfit, match=r"'available or current'.*at least one"):
            to_record(row, Balance)
