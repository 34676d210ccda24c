"""Records of FDX are closed, and the configuration opens them for the members that it names."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from openholder.contract.open_members import OPENABLE, extend_record, list_open_members, split_open_member
from openholder.contract.operations import OPERATIONS
from openholder.contract.records import fdx
from openholder.contract.rows import Misfit, to_record

ENCODER = msgspec.json.Encoder(decimal_format="number")
NEEDED = {"accountId": "a1", "transactionId": "t1", "statementId": "s1"}
RECORDS = sorted({row.record for row in OPERATIONS if row.sector == "fdx"}, key=lambda record: record.__name__)


def encode(row, record):
    """The members that leave."""
    return msgspec.json.decode(ENCODER.encode(to_record(NEEDED | row, record, {"customerId", "document"})))


@pytest.mark.parametrize("record", RECORDS)
def test_no_undeclared_column_leaves(record):
    secrets = {"internalRiskNote": "x", "customerId": "x", "note.text": "x", "taxId": "x", "accountNumber": "x"}
    assert encode(secrets, record).items() <= NEEDED.items()


@pytest.mark.parametrize(
    ("row", "leaves"),
    [
        ({"currency": '{"currencyCode": "USD", "note": 1}'}, {"currency": {"currencyCode": "USD"}}),
        ({"currency.currencyCode": "USD", "currency.note": "x"}, {"currency": {"currencyCode": "USD"}}),
        ({"holdings": '[{"units": 2, "note": 1}]'}, {"holdings": [{"units": 2}]}),
        ({"principalBalance": "120.50", "creditLine": 5}, {"principalBalance": 120.5, "creditLine": 5}),
    ],
)
def test_no_undeclared_member_of_an_object_leaves(row, leaves):
    assert encode(row, fdx.AccountDetail) == {"accountId": "a1"} | leaves


def test_named_persons_and_numbers_leave_only_if_listed():
    holder = '[{"name": {"first": "A"}, "taxId": "1", "dateOfBirth": "2000-01-01"}]'
    assert encode({"holders": holder}, fdx.Contact) == {"holders": [{"name": {"first": "A"}}]}
    opened = extend_record(fdx.Contact, frozenset({"holders.taxId"}))
    assert encode({"holders": holder}, opened) == {"holders": [{"name": {"first": "A"}, "taxId": "1"}]}


def test_a_list_leaves_out_what_belongs_to_the_detail():
    row = {"holdings": '[{"units": 2}]', "principalBalance": "120.50", "nickname": "Rent", "branch": "Carlton"}
    assert encode(row, fdx.Account) == {"accountId": "a1", "nickname": "Rent"}
    paths = [f"fdx.accounts.{name}" for name in ("holdings", "principalBalance", "branch")]
    opened = list_open_members(paths, "fdx.accounts")
    assert encode(row, extend_record(fdx.Account, opened)).keys() == {"accountId", "nickname", "branch"}
    assert encode(row, extend_record(fdx.AccountDetail, opened)).keys() == {"accountId", *row}


@pytest.mark.parametrize(
    ("value", "leaves"),
    [("x", "x"), (3, 3), (Decimal("1.50"), 1.5), (0.25, 0.25), (True, True), ([1, {"a": None}], [1, {}])],
)
def test_an_open_member_is_passed_through_exactly(value, leaves):
    for name in ("branch", "columns", "any_of", "snake_case"):
        record = extend_record(fdx.Account, frozenset({name}))
        assert encode({name: value, "other": 1}, record) == {"accountId": "a1", name: leaves}


def test_an_open_member_is_an_object_of_dotted_columns():
    record = extend_record(fdx.Account, frozenset({"branch"}))
    assert encode({"branch.name": "7", "branch.code": 1}, record)["branch"] == {"name": "7", "code": 1}


@pytest.mark.parametrize("value", [0.1 + 0.2, "\ud800"])
def test_a_value_that_cannot_leave_exactly_is_a_misfit(value):
    with pytest.raises(Misfit, match=r"^member 'branch' does not fit"):
        encode({"branch": value}, extend_record(fdx.Account, frozenset({"branch"})))


def test_a_member_is_added_where_the_record_has_a_place_for_it():
    members = frozenset({"nickname", "holdings.note", "currentBalance"})
    assert extend_record(fdx.Statement, frozenset({"status"})) is fdx.Statement
    assert encode({"currentBalance": "1.5"}, extend_record(fdx.Account, members))["currentBalance"] == "1.5"
    detail = extend_record(fdx.AccountDetail, members)
    assert encode({"currentBalance": "1.5", "holdings": '[{"note": "n"}]'}, detail) == {
        "accountId": "a1",
        "currentBalance": 1.5,
        "holdings": [{"note": "n"}],
    }


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ("fdx.accounts.branch", "branch"),
        ("fdx.accounts.currency.symbol", "currency.symbol"),
        ("fdx.accounts.holdings.note", "holdings.note"),
        ("fdx.contacts.holders.name.nick", "holders.name.nick"),
    ],
)
def test_a_path_is_a_collection_and_a_member(path, member):
    assert split_open_member(path) == (".".join(path.split(".")[:2]), member)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("banking.accounts.branch", "must begin with one of fdx.accounts, fdx.contacts"),
        ("fdx.cards.branch", "must begin with one of"),
        ("branch", "must begin with one of"),
        ("", "must begin with one of"),
        ("fdx.accounts", "must name a member of fdx.accounts, such as"),
        ("fdx.accounts.", "must name a member of fdx.accounts, such as"),
        ("fdx.accounts.a b", "must name a member of fdx.accounts, such as"),
        ("fdx.accounts.branch.name", "or of an object that is a member of it already"),
        ("fdx.accounts.nickname.first", "or of an object that is a member of it already"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path, reason):
    with pytest.raises(ValueError, match=reason):
        split_open_member(path)


def test_only_records_of_fdx_can_be_opened():
    assert {"fdx.accounts", "fdx.transactions", "fdx.statements", "fdx.payment_networks", "fdx.contacts"} == OPENABLE
