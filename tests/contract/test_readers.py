"""Reading rows in one pass: the same records, and the same refusals, as converting them member by member."""

from __future__ import annotations

import csv
from decimal import Decimal
from importlib.resources import files

import msgspec
import pytest

from openholder.contract import rows
from openholder.contract.collections import find_collection
from openholder.contract.formats import OpenRecord
from openholder.contract.operations import OPERATIONS
from openholder.contract.readers import compile_reader
from openholder.contract.records.auth import Customer
from openholder.errors import SourceFault

ODD = (
    *(None, "", " ", "x", "Zoë", "\ud800", "0", "1", "true", "False", "yes", "12.50", "12.5", "-0.00", "1e3", "null"),
    *("2026-01-31", "2026-02-30", "2026-01-31T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-31T00:00:60Z", "POSTED"),
    *(
        "2026-01-31T24:00:00Z",
        "2026-01-31 00:00:00Z",
        "20260131T000000Z",
        "[]",
        "{}",
        "[{}]",
        '{"a": 1}',
        "+61400000000",
    ),
    *(0, 1, -1, 12, 10**31, True, False, 0.0, 12.5, float("nan"), Decimal("1.20"), Decimal("NaN"), b"x", [], {}, [{}]),
)
SAMPLE = files("openholder.fiskil") / "sample"


def read_sample(collection):
    with (SAMPLE / f"{collection}.csv").open(encoding="utf-8", newline="") as file:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]


def read_or_refuse(read, row, operation):
    """Return the members in the order in which they leave, or the reason why the row does not fit."""
    try:
        record = read(row, operation.record, find_collection(operation.collection).hidden)
        return msgspec.json.encode(record, order=None)
    except (rows.Misfit, UnicodeEncodeError) as exc:
        return str(exc)


READ = list(
    {
        (each.collection, each.record): each
        for each in OPERATIONS
        if not issubclass(each.record, OpenRecord) and each.reply.media.endswith("json")
    }.values()
)
"""An operation for each type of record and the collection that it is read from."""


@pytest.mark.parametrize("operation", READ, ids=lambda operation: operation.name)
def test_one_pass_reads_what_two_passes_read(operation):
    sample = read_sample(operation.collection)
    shortest = min(sample, key=lambda row: len(str(row)))
    for row in (*sample, *({**shortest, column: value} for column in shortest for value in ODD)):
        assert read_or_refuse(rows.to_record, row, operation) == read_or_refuse(rows._to_record, row, operation)


def read_or_refuse_all(read, page, operation):
    try:
        return [msgspec.json.encode(record, order=None) for record in read(page)]
    except (SourceFault, UnicodeEncodeError) as exc:
        return str(exc), getattr(exc, "record", "")


@pytest.mark.parametrize("operation", READ, ids=lambda operation: operation.name)
def test_a_page_is_read_as_its_rows_are(operation):
    collection, hidden = operation.collection, find_collection(operation.collection).hidden

    def read_rows(page):
        return [rows.read_record(collection, row, operation.record, hidden) for row in page]

    def read_page(page):
        return rows.read_records(collection, page, operation.record, hidden)

    sample = read_sample(collection)
    shortest = min(sample, key=lambda row: len(str(row)))
    for number, value in enumerate(ODD):
        for column in list(sample[0])[number % 4 :: 4]:
            page = [shortest, {**shortest, column: value}, *sample[1:2]]
            assert read_or_refuse_all(read_page, page, operation) == read_or_refuse_all(read_rows, page, operation)
    assert read_page([]) == []


def test_rows_of_a_page_may_have_different_columns():
    page = [{"id": "c-1", "email": None}, {"email": "a@b.example", "id": "c-2", "name": "A"}, {"id": "c-3"}]
    assert [each.name for each in rows.read_records("customers", page, Customer)] == [None, "A", None]
    page = [{"id": "c-1", "emailVerified": 1}, {"id": "c-2", "name": "A"}]
    assert [each.name for each in rows.read_records("customers", page, Customer)] == [None, "A"]


def test_an_object_and_its_parts_are_not_read_in_one_pass():
    assert compile_reader(Customer, dict.fromkeys(("id", "address", "address.locality"))) is None
    assert compile_reader(Customer, dict.fromkeys(("id", "address.locality", "address.planet"))) is None
