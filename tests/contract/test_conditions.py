"""The conditions of the CDS: all that the contract marks, each broken once, and asked of records and of JSON alike."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from pathlib import Path

import msgspec
import pytest

from helpers.support import sample_rows
from openholder.contract.collections import find_collection
from openholder.contract.conditions import CONDITIONS, Broken, Unseen, compile_checker
from openholder.contract.conditions.kinds import Always, Beside, Either, Matches, Named, Unless, Where, Without
from openholder.contract.conditions.kinds import is_card_number as is_card
from openholder.contract.operations import OPERATIONS
from openholder.contract.records import banking, common, energy
from openholder.contract.rows import to_record
from openholder.serving.answers import has_needed

HERE = Path(__file__).parent
ROWS = [row for rows in CONDITIONS.values() for row in rows]
SEEN = [row for row in ROWS if not isinstance(row.when, Unseen)]


@pytest.mark.parametrize("sector", CONDITIONS)
def test_every_member_that_the_contract_marks_has_a_condition(sector):
    text = (HERE / f"{sector}.toml").read_text(encoding="utf-8")
    marked = Counter(re.findall(r'^(\w+)\s*= "conditional', text, flags=re.MULTILINE))
    assert Counter(row.member.rpartition(".")[2] for row in CONDITIONS[sector]) == marked


def test_conditions_are_errors_where_nothing_else_says_it():
    errors = {row.member for row in ROWS if row.severity == "error" and not isinstance(row.when, Named)}
    assert errors == {"transactionId", "postingDateTime"}
    assert all(row.severity == "error" for row in ROWS if isinstance(row.when, Named))


def make_case(when):
    """Members with which an object is such a case."""
    match when:
        case Named(by=by, value=value):
            return {by: value}
        case Where(member=member, values=values):
            return {member: values[-1]}
        case Unless(member=member):
            return {member: "SOMETHING_ELSE"}
        case Beside(members=members):
            return {members[0]: "there"}
        case Matches(member=member):
            return {member: "tel:+61-2-5550-0101"}
        case Either(cases=cases):
            return make_case(cases[0])
    assert isinstance(when, Always | Without)
    return {}


def put(found, path, value):
    first, _, rest = path.partition(".")
    inner = put({}, rest, value) if rest else value
    return found | {first.removesuffix("[]"): [inner] if first.endswith("[]") else inner}


@pytest.mark.parametrize("row", SEEN, ids=lambda row: f"{row.section}.{row.member}")
def test_each_condition_is_broken_and_kept(row):
    checker, case = compile_checker(row.record, as_json=True), make_case(row.when)
    bad, good = {"present": (None, "there"), "absent": ("there", None), "masked": ("4111 1111 1111 1111", "41x1")}[
        row.must
    ]
    told = [broken for _, broken in checker.find([put(case, row.member, bad)]) if broken.member == row.member]
    assert [(broken.fault, broken.severity, broken.reference) for broken in told] == [
        (row.fault, row.severity, row.reference)
    ]
    assert row.member.rpartition(".")[2] in told[0].wanted
    assert [broken for _, broken in checker.find([put(case, row.member, good)]) if broken.member == row.member] == []


RECORDS = {
    "a loan without loan": (
        banking.AccountDetail,
        {
            "accountId": "a",
            "displayName": "d",
            "accountOwnership": "ONE_PARTY",
            "maskedNumber": "xxx1",
            "productCategory": "PERS_LOANS",
            "productName": "p",
            "specificAccountUType": "loan",
            "fees": '[{"name": "f", "feeType": "EXIT", "feeMethodUType": "rateBased", "variable": {}}]',
        },
        {
            ("loan", "missing-for-type", "error"),
            ("fees[].rateBased", "missing-for-type", "error"),
            ("fees[].variable", "not-named", "warning"),
        },
    ),
    "a payee without account": (
        banking.PayeeDetail,
        {"payeeId": "p", "nickname": "n", "type": "DOMESTIC", "payeeUType": "domestic"},
        {("domestic", "missing-for-type", "error")},
    ),
    "usage without usage": (
        energy.BillingTransaction,
        {"accountId": "a", "executionDateTime": "2026-10-01T00:00:00Z", "transactionUType": "usage"},
        {("usage", "missing-for-type", "error")},
    ),
    "a person without person": (
        common.CustomerDetail,
        {"customerUType": "person"},
        {("person", "missing-for-type", "error")},
    ),
    "a posted transaction without time and id": (
        banking.Transaction,
        {
            "accountId": "a",
            "isDetailAvailable": True,
            "type": "FEE",
            "status": "POSTED",
            "description": "d",
            "amount": "1.00",
            "crn": "4111111111111111",
        },
        {
            ("transactionId", "missing-when-required", "error"),
            ("postingDateTime", "missing-when-required", "error"),
            ("crn", "in-clear", "warning"),
        },
    ),
}


@pytest.mark.parametrize(("record", "row", "wanted"), RECORDS.values(), ids=RECORDS)
def test_records_that_fit_their_type_still_break_conditions(record, row, wanted):
    converted = to_record(row, record)
    for content, as_json in ((converted, False), (msgspec.to_builtins(converted, str_keys=True), True)):
        found = compile_checker(record, as_json).find([content])
        assert {(broken.member, broken.fault, broken.severity) for _, broken in found} == wanted


def test_the_place_of_each_record_is_told():
    checker = compile_checker(energy.Concession)
    good, bad = (
        to_record({"type": kind, "displayName": "n", "additionalInfo": "i"}, energy.Concession)
        for kind in ("VARIABLE", "FIXED_PERCENTAGE")
    )
    assert checker.find([good, good]) == []
    found = checker.find([good, bad, good, bad])
    assert [(place, broken.member) for place, broken in found] == [
        (1, "discountFrequency"),
        (1, "percentage"),
        (3, "discountFrequency"),
        (3, "percentage"),
    ]
    assert found[1][1] == Broken(
        "percentage",
        "missing-when-required",
        "warning",
        "`percentage`, because type is FIXED_PERCENTAGE",
        "CDS 1.36.0, EnergyConcession",
    )


def test_the_sample_data_breaks_no_condition():
    rows, asked = sample_rows(), set()
    for operation in OPERATIONS:
        for as_json in (False, True):
            checker = compile_checker(operation.record, as_json)
            hidden = find_collection(operation.collection).hidden
            if checker:
                records = [
                    to_record(row, operation.record, hidden)
                    for row in rows[operation.collection]
                    if has_needed(operation, row)
                ]
                content = msgspec.to_builtins(records, str_keys=True) if as_json else records
                assert checker.find(content) == []
                asked.add(operation.collection)
    assert {"banking.accounts", "banking.transactions", "energy.accounts", "common.customers"} <= asked


@pytest.mark.parametrize("value", [None, "loan", 5, [], [5], {"loan": 5}, [{"fees": 5}]])
def test_json_of_any_server_may_have_the_wrong_types(value):
    members = ("specificAccountUType", "loan", "fees", "termDeposit", "addresses")
    for first, second in product(members, members):
        compile_checker(banking.AccountDetail, as_json=True).find([{first: value, second: value}])


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("4111111111111111", True),
        ("5500 0000 0000 0004", True),
        ("340000000000009", True),
        ("4111111111111112", False),
        ("xxxx xxxx xxxx 1111", False),
        ("600418273", False),
        (None, False),
    ],
)
def test_a_card_number_has_a_scheme_and_a_check_digit(text, is_one):
    assert is_card(text) is is_one
