"""Mandatory members for which the CDS have an empty value: it leaves where the source has nothing."""

from __future__ import annotations

import json

import msgspec
import pytest

from helpers.support import sample_rows, start_with
from openholder.contract.operations import OPERATIONS
from openholder.contract.rows import Misfit, to_record

NAMED = {operation.name: operation for operation in OPERATIONS}
EMPTY = [
    ("listBankingTransactions", "reference", ""),
    ("getBankingTransaction", "reference", ""),
    ("listScheduledPayments", "payerReference", ""),
    ("listEnergyInvoices", "servicePoints", []),
    ("getCommonCustomer", "person.middleNames", []),
    ("getCommonCustomerDetail", "person.middleNames", []),
    ("getCommonCustomerDetail", "person.phoneNumbers", []),
    ("getCommonCustomerDetail", "person.emailAddresses", []),
    ("getCommonCustomerDetail", "person.physicalAddresses", []),
    ("getCommonCustomerDetail", "organisation.physicalAddresses", []),
]


def find_row(operation, member):
    """A row of the sample with the member, and with what else the operation needs."""
    rows = sample_rows()[operation.collection]
    return next(row for row in rows if row[member] and (not operation.needs or row[operation.needs]))


def encode(row, operation):
    return msgspec.json.decode(msgspec.json.encode(to_record(row, operation.record)))


@pytest.mark.parametrize(("name", "member", "empty"), EMPTY)
def test_nothing_leaves_as_the_empty_value(name, member, empty):
    operation, path = NAMED[name], member.split(".")
    row = find_row(operation, member)
    without = {column: value for column, value in row.items() if column != member}
    for nothing in (without, row | {member: None}, row | {member: json.dumps(empty) if empty == [] else empty}):
        found = encode(nothing, operation)
        for part in path:
            found = found[part]
        assert found == empty


def test_a_list_within_json_is_filled_too():
    operation = NAMED["getEnergyAccount"]
    row = find_row(operation, "plans")
    plans = json.loads(row["plans"])
    for plan in plans:
        plan["servicePointIds"] = None
    found = encode(row | {"plans": json.dumps(plans)}, operation)["plans"]
    assert [plan["servicePointIds"] for plan in found] == [[]] * len(plans)


def test_an_object_that_the_row_lacks_is_not_made_up():
    operation = NAMED["getCommonCustomerDetail"]
    row = find_row(operation, "person.lastName")
    assert "organisation" not in encode(row, operation)


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("listBankingTransactions", "description"),
        ("listScheduledPayments", "paymentSet"),
        ("listPayees", "nickname"),
        ("getEnergyAccount", "plans"),
    ],
)
def test_a_member_that_must_not_be_empty_is_still_missed(name, member):
    with pytest.raises(Misfit, match="is missing"):
        encode(find_row(NAMED[name], member) | {member: None}, NAMED[name])


@pytest.mark.parametrize("kind", ["sqlite", "csv", "rest"])
@pytest.mark.gen_test
async def test_sources_of_each_kind_may_have_nothing(world, kind):
    rows = sample_rows()
    for collection, member in (("banking.transactions", "reference"), ("energy.invoices", "servicePoints")):
        for row in rows[collection]:
            row[member] = None
    await start_with(world, kind, rows)
    answer = await world.call("/v1/banking/customer/cust-1001/accounts/acc-2001/transactions")
    assert {record["reference"] for record in answer.json["data"]["transactions"]} == {""}
    answer = await world.call("/v1/energy/customer/cust-3001/accounts/acc-3001/invoices")
    assert {tuple(record["servicePoints"]) for record in answer.json["data"]["invoices"]} == {()}
