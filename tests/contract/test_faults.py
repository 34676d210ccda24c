"""A fault says what was found and what is wanted, with an example, and never the value."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from openholder import Filter, Order, SourceFault
from openholder.contract.records.auth import Customer
from openholder.contract.records.banking.accounts import Account
from openholder.contract.records.banking.transactions import Transaction
from openholder.contract.rows import Misfit, to_record

TIME = "time with an offset, such as 2026-10-01T09:30:00+10:00"
PAYMENT = {
    "accountId": "a1",
    "isDetailAvailable": True,
    "status": "POSTED",
    "description": "x",
    "type": "PAYMENT",
    "amount": "1.00",
    "reference": "",
}
MISFITS = {
    ("postingDateTime", ""): f"found an empty text): expected a {TIME}",
    ("postingDateTime", "  "): f"found a text of blanks): expected a {TIME}",
    ("postingDateTime", "2026-10-01T09:30:00"): f"found a time without an offset): expected a {TIME}",
    ("postingDateTime", "2026-10-01 09:30"): f"found a time without an offset): expected a {TIME}",
    ("postingDateTime", "2026-10-01"): f"found a day without a time): expected a {TIME}",
    ("postingDateTime", "2026-02-30T00:00:00Z"): f"found text): expected a {TIME}",
    ("amount", "SECRET"): "found text): expected an amount such as 1234.56",
    ("amount", ""): "found an empty text): expected an amount such as 1234.56",
    ("currency", "aud"): "found text): expected a currency such as AUD",
    ("status", ""): "found an empty text): expected one of PENDING, POSTED",
    ("isDetailAvailable", ""): "found an empty text): expected true or false",
}


@pytest.mark.parametrize(("given", "said"), MISFITS.items(), ids=lambda case: repr(case)[:40])
def test_a_misfit_says_what_was_found_and_what_is_wanted(given, said):
    member, value = given
    with pytest.raises(Misfit) as caught:
        to_record({**PAYMENT, member: value}, Transaction)
    assert str(caught.value) == f"member {member!r} does not fit ({said}"


@pytest.mark.parametrize(
    ("record", "row", "said"),
    [
        (Customer, {"id": ""}, "text that is not empty"),
        (Customer, {"id": "c1", "phoneNumber": "0491 570 006"}, "a phone number such as +61491570006"),
        (Account, {"accountId": "a1", "creationDate": "01/10/2026"}, "a day such as 2026-10-01"),
    ],
)
def test_each_format_has_an_example(record, row, said):
    with pytest.raises(Misfit, match=f"expected {said.replace('+', '.')}$"):
        to_record(row, record)


WANTED = r"; expected one such as 2026-10-01T09:30:00\+10:00\)$"
READS = {
    "": "found an empty text",
    "2026-10-01T09:30:00": "found a time without an offset",
    "01/10/2026": "found text",
    "0000-00-00 00:00:00": "found a time without an offset",
}


@pytest.mark.parametrize(("value", "found"), READS.items())
def test_a_time_that_cannot_be_read_says_what_it_is(value, found):
    since = Filter("at", "ge", datetime(2026, 1, 1, tzinfo=UTC))
    for read in (since.admits, Order("at", reads="instant").key):
        with pytest.raises(SourceFault, match=rf"^member 'at': .*\({found}{WANTED}"):
            read({"at": value})


@pytest.mark.parametrize(
    ("value", "wanted", "said"),
    [
        ("", Decimal(1), r"not a number \(found an empty text; expected one such as 1234.56\)$"),
        ("1,5", Decimal(1), r"not a number \(found text; expected one such as 1234.56\)$"),
        ("maybe", True, r"neither true nor false \(found text\)$"),
    ],
)
def test_a_number_that_cannot_be_read_says_what_it_is(value, wanted, said):
    with pytest.raises(SourceFault, match=said):
        Filter("n", "eq", wanted).admits({"n": value})
