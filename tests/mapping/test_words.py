"""The words of a mapping, without any source: what they make of a value, and which of them fit together."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from pydantic import ValidationError

from mapping.words import CASES, SYDNEY, TRANSACTIONS
from openholder import SourceFault
from openholder.contract.collections import COLLECTIONS
from openholder.contract.members import list_kinds
from openholder.mapping import MappingSettings, RowMapping


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_value_becomes_what_the_words_say(case):
    mapping = RowMapping(TRANSACTIONS, MappingSettings(**case.settings))
    row = {"account": "a1", "no": "x1", **case.cells}
    if case.fault:
        with pytest.raises(SourceFault, match=case.fault) as caught:
            mapping.read(row)
        assert not any(str(cell) in str(caught.value) for cell in case.cells.values() if cell and len(cell) > 1)
        assert caught.value.row["transactionId"] == "x1"
    else:
        found = mapping.read(row)[case.member]
        assert (str(found) if isinstance(found, Decimal) else found) == case.value


REFUSED = {
    "no word": ("amount", {}, "must have a column or a constant"),
    "an unknown word": ("amount", {"columm": "amt"}, "Extra inputs are not permitted"),
    "a constant and a column": ("status", {"constant": "POSTED", "column": "s"}, "a constant has no other words"),
    "a constant of another type": ("amount", {"constant": 1.5}, "must be a text, true, false or a whole number"),
    "codes and a unit": ("amount", {"codes": {"a": "b"}, "unit": "cents"}, "codes cannot be combined with unit"),
    "a format and a sign": (
        "amount",
        {"format": "%d.%m.%Y", "negative": {"column": "dc", "is": ["D"]}},
        "cannot be co",
    ),
    "another unit": ("amount", {"unit": "dollars"}, "Input should be 'cents'"),
    "a sign of nothing": ("amount", {"negative": {"column": "dc", "is": []}}, "at least 1 item"),
    "cents of a text": ("description", {"unit": "cents"}, "is no amount: unit and negative are not allowed"),
    "a format of an amount": ("amount", {"format": "%d.%m.%Y"}, "is neither a day nor a time"),
    "a format without a year": ("postingDateTime", {"format": "%d.%m. %H:%M"}, "must name day, month and year"),
    "a format of the locale": ("postingDateTime", {"format": "%c"}, "must name day, month and year"),
    "a format with the name of a zone": ("postingDateTime", {"format": "%d.%m.%Y %H:%M %Z"}, "must name day, month"),
    "a format that ends in a sign": ("postingDateTime", {"format": "%d.%m.%Y %"}, "must name day, month and year"),
    "an offset without a time": ("postingDateTime", {"format": "%d.%m.%Y %z"}, "must name day, month and year"),
    "a local time without a zone": ("postingDateTime", {"format": "%d.%m.%Y %H:%M"}, "set time_zone, such as"),
    "a repeated hour without a zone": ("postingDateTime", {"repeated_hour": "first"}, "set time_zone, such as"),
    "a constant account": ("accountId", {"constant": "a1"}, "an id is taken from its column as it is"),
    "codes for an id": ("transactionId", {"codes": {"1": "2"}}, "an id is taken from its column as it is"),
}


@pytest.mark.parametrize(("member", "rule", "message"), REFUSED.values(), ids=REFUSED)
def test_words_that_do_not_fit_together_are_refused(member, rule, message):
    with pytest.raises(ValidationError, match=message):
        MappingSettings(mapping={TRANSACTIONS: {member: rule}})


def test_a_day_has_no_repeated_hour():
    with pytest.raises(ValidationError, match="is a day: repeated_hour is not allowed"):
        MappingSettings(mapping={"energy.invoices": {"issueDate": {"repeated_hour": "first"}}}, **SYDNEY)


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        ("Australia/Sidney", "IANA database, such as Australia/Sydney; did you mean 'Australia/Sydney'?"),
        ("+10:00", "must be a time zone of the IANA database, such as Australia/Sydney"),
        ("../etc/passwd", "must be a time zone"),
        ("", "must be a time zone"),
    ],
)
def test_a_zone_has_a_name_of_the_database(zone, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        MappingSettings(time_zone=zone)


def test_a_member_is_mapped_once():
    with pytest.raises(ValidationError, match="both have 'amount': remove one of them"):
        MappingSettings(columns={TRANSACTIONS: {"amount": "amt"}}, mapping={"banking_transactions": {"amount": "a"}})


def test_columns_are_moved_and_not_copied():
    rules = {"amount": {"column": "amt", "negative": {"column": "dc", "is": ["D"]}}, "description": "note"}
    mapping = RowMapping(TRANSACTIONS, MappingSettings(mapping={TRANSACTIONS: rules}))
    row = {"amt": "1.00", "dc": "C", "note": "", "accountId": "a1", "description": "old"}
    assert list(mapping.read(row)) == ["accountId", "amount", "description"]


def test_a_member_is_converted_when_it_is_read():
    rules = {"type": {"column": "k", "codes": {"A": "PAYMENT"}}}
    row = RowMapping(TRANSACTIONS, MappingSettings(mapping={TRANSACTIONS: rules})).open({"accountId": "a1", "k": "B"})
    assert (row["accountId"], row.get("status"), "type" in row, len(row)) == ("a1", None, True, 2)
    with pytest.raises(SourceFault, match="'type'"):
        row.get("type")


def test_dots_lead_through_the_objects_of_json():
    settings = MappingSettings(
        mapping={"customers": {"id": "ref", "email": "contact.mail", "address.country": {"constant": "AUS"}}},
        absent=["-"],
        strip=True,
    )
    mapping = RowMapping("customers", settings, is_json=True)
    found = mapping.read({"ref": "c1", "contact": {"mail": " kim@example.com "}, "phones": ["-", {"no": " 1 "}]})
    assert found == {
        "id": "c1",
        "email": "kim@example.com",
        "address.country": "AUS",
        "phones": [None, {"no": "1"}],
    }
    assert mapping.read({"ref": "c1"})["email"] is None


def test_members_inside_objects_are_converted_by_their_kinds():
    mapping = RowMapping("banking.instalment_plans", MappingSettings(decimal=",", absent=["-"]), is_json=True)
    found = mapping.read({"schedule": [{"amountDue": "1,50", "dueDate": "-", "note": "1,50"}], "planNickname": "1,50"})
    assert found == {
        "schedule": [{"amountDue": Decimal("1.50"), "dueDate": None, "note": "1,50"}],
        "planNickname": "1,50",
    }
    with pytest.raises(SourceFault, match=r"member 'schedule\.amountDue' does not fit"):
        mapping.read({"schedule": [{"amountDue": "1.50"}]})


def test_amounts_keep_all_their_digits():
    rules = {"amount": {"column": "amt", "unit": "cents", "negative": {"column": "dc", "is": ["D"]}}}
    mapping = RowMapping("payouts", MappingSettings(mapping={"payouts": rules}))
    digits = "123456789012345678901234567890"
    assert mapping.read({"amt": digits, "dc": "D"})["amount"] == Decimal(f"-{digits[:-2]}.{digits[-2:]}")


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_every_member_has_a_kind(collection):
    kinds = list_kinds(collection)
    assert kinds or collection == "logins"
    for owner in COLLECTIONS[collection].owners.values():
        assert kinds.get(owner, "text") in ("text", "object")
    assert {kind for name, kind in kinds.items() if name.endswith("DateTime")} <= {"time"}
    assert {kind for name, kind in kinds.items() if name.rpartition(".")[2] in ("amount", "amountDue")} <= {"amount"}
