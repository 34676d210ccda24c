"""The built-in sources pass the contract kit, and each of its tests finds the faults that it is about."""

from __future__ import annotations

import asyncio
import csv
import inspect
import json
import sqlite3
import threading
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from helpers.support import DOCUMENTS, UPSTREAM_TOKEN, Upstream, routes_of, write_sqlite
from openholder import Filter
from openholder.host_settings import HostSettings, provide_host_settings
from openholder.testing import AMOUNTS, COLLECTIONS, LISTS, MOMENTS, TRUTHS, SourceContract
from openholder_csv import CSVSettings, CSVSource
from openholder_rest import RESTSettings, RESTSource
from openholder_sqlite import SQLiteSettings, SQLiteSource
from testing import special_faults  # noqa: F401
from testing.conduct_faults import ALONE
from testing.faults import FAULTS, FloatMoney
from testing.reference import Reference

pytestmark = pytest.mark.slow  # together they take seconds

TESTS = sorted(name for name in dir(SourceContract) if name.startswith("test_"))

# -- the built-in sources -----------------------------------------------------------------------------------------


class TestReference(SourceContract):
    exact_types = True
    documents = True
    typed = True

    def make_source(self, tmp_path, rows):
        return Reference(rows)

    def change_rows(self, source, rows):
        source.replace_rows(rows)

    def hanging(self, source):
        return source.hanging()

    def failing(self, source):
        return source.failing()


class Typed(Reference):
    """Returns values as a database with column types does."""

    def return_record(self, record, query):
        record = super().return_record(record, query)
        typed = {name: self.type_value(name, value) for name, value in record.items() if value is not None}
        locality = typed.pop("address.locality", None)
        return typed | {"address": {"locality": locality}, "rowNumber": 7}

    def type_value(self, member, value):
        if member in AMOUNTS:
            return Decimal(value).normalize()
        if member in TRUTHS | LISTS:
            return json.loads(value)
        if member in MOMENTS and "T" in value:
            return datetime.fromisoformat(value).astimezone(UTC).isoformat()
        return int(value) if str(value).isdecimal() and str(int(value)) == value else value


class TestTyped(SourceContract):
    documents = True

    def make_source(self, tmp_path, rows):
        return Typed(rows)


@pytest.mark.slow
class TestSQLite(SourceContract):
    exact_types = True
    documents = True
    connections = 4

    def make_source(self, tmp_path, rows):
        self.path = tmp_path / "bank.db"
        self.write(self.path, rows)
        return SQLiteSource("bank", SQLiteSettings(path=self.path, connections=self.connections, reload=0.2))

    def change_rows(self, source, rows):
        """Let another file take the place of the first."""
        self.write(self.path.with_suffix(".new"), rows)
        self.path.with_suffix(".new").replace(self.path)

    def write(self, path, rows):
        plain = {name: [{**row, "document": None} if "document" in row else row for row in rows[name]] for name in rows}
        write_sqlite(path, plain)
        with closing(sqlite3.connect(path)) as connection, connection:
            for row in rows.get("fdx.statements", ()):
                values = row["document"], row["statementId"]
                connection.execute("UPDATE fdx_statements SET document = ? WHERE statementId = ?", values)

    @contextmanager
    def hanging(self, source):
        """Lock the database, as another process that writes."""
        with closing(sqlite3.connect(self.path)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            yield
            writer.rollback()

    @contextmanager
    def failing(self, source):
        """Give the file another name."""
        elsewhere = self.path.rename(self.path.with_suffix(".moved"))
        yield
        elsewhere.rename(self.path)


@pytest.mark.slow
class TestSQLiteOverOneConnection(TestSQLite):
    connections = 1
    at_once = 1


@pytest.mark.slow
class TestCSV(SourceContract):
    exact_types = True
    nul_text = False  # a NUL in a CSV file is a sign of another encoding: the file is refused
    documents = True

    def make_source(self, tmp_path, rows):
        self.folder = tmp_path / "bank"
        self.folder.mkdir()
        self.change_rows(None, rows)
        return CSVSource("bank", self.settings(self.folder))

    def change_rows(self, source, rows):
        for name, records in rows.items():
            new = self.folder / "new"
            with new.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(records[0]))
                writer.writeheader()
                writer.writerows(self.write_documents(self.folder, records))
            new.rename(self.folder / f"{name}.csv")

    def settings(self, folder):
        return CSVSettings(path=folder, reload=0.2)

    def write_documents(self, folder, records):
        """Write documents to files, and yield the records with the names of these files."""
        for record in records:
            if record.get("document"):
                name = f"{record['statementId']}.pdf"
                (folder / name).write_bytes(record["document"])
                record["document"] = name
            yield record


@pytest.mark.slow
class TestCSVOnDisk(TestCSV):
    """A folder large enough to be indexed on disk."""

    def settings(self, folder):
        return CSVSettings(path=folder, memory_bytes=0, reload=0.2)


class KitUpstream(Upstream):
    """The bank's API, with the kit's rows."""

    hangs = False

    def where(self, collection, **wanted):
        ((member, value),) = wanted.items()
        condition = Filter(member, "ieq" if member == "email" else "eq", value)
        return [to_json(row) for row in self.rows[collection] if condition.admits(row)]

    def document(self, uri):
        wanted = DOCUMENTS.value(uri)
        return next((row["document"] for row in self.rows["fdx.statements"] if row["statementId"] == wanted), None)

    async def wait(self, handler):
        while self.hangs:
            await asyncio.sleep(0.01)
        handler.set_status(503)


def to_json(row):
    """Return a row as an API does: with numbers, booleans and lists, and objects for dotted columns."""
    record = {}
    for column, value in row.items():
        *path, last = column.split(".")
        place = record
        for name in path:
            place = place.setdefault(name, {})
        if value is not None and column != "document":
            place[last] = parse_value(last, value)
    return record


def parse_value(member, value):
    if member in AMOUNTS:
        return msgspec.Raw(value.encode())
    return json.loads(value) if member in TRUTHS | LISTS else value


@contextmanager
def running_bank():
    """Serve the bank's API for the duration of the block, on an event loop in a thread."""
    loop, started, made = asyncio.new_event_loop(), threading.Event(), []

    async def serve():
        ended = asyncio.Event()
        async with KitUpstream({}) as upstream:
            made.extend([upstream, ended])
            started.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(10)
    upstream, ended = made
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()


@pytest.mark.slow
class TestREST(SourceContract):
    exact_types = True
    keeps_order = False  # it sends a request for each account, and returns one account's records after the other's
    documents = True

    @pytest.fixture(autouse=True)
    def upstream(self):
        with running_bank() as self.bank:
            yield

    def make_source(self, tmp_path, rows):
        self.bank.rows = rows
        settings = {
            "base_url": self.bank.url,
            "records": "data",
            "token": UPSTREAM_TOKEN,
            "collections": {name: [route.template for route in routes_of(name)] for name in rows},
            "documents": {"fdx.statements": DOCUMENTS.template},
            "breaker_seconds": 0.1,
        }
        with provide_host_settings(HostSettings("/?=&#+ ")):  # ids of the kit have signs that lead elsewhere in a path
            return RESTSource("api", RESTSettings.model_validate(settings))

    def change_rows(self, source, rows):
        self.bank.rows = rows

    @contextmanager
    def hanging(self, source):
        """Make the upstream accept requests without answering them."""
        self.bank.hangs = True
        self.bank.break_with = self.bank.wait
        yield
        self.bank.hangs = False
        self.bank.break_with = None

    @contextmanager
    def failing(self, source):
        """Make the upstream what a gateway is whose servers are gone."""
        self.bank.break_with = lambda handler: handler.set_status(503)
        yield
        self.bank.break_with = None


# -- sources with faults ------------------------------------------------------------------------------------------


class Contract(SourceContract):
    """The contract of a given class of sources."""

    exact_types = True
    documents = True
    typed = True
    patience = 1.0

    def __init__(self, source_class):
        self.source_class = source_class

    def make_source(self, tmp_path, rows):
        return self.source_class(rows)

    def change_rows(self, source, rows):
        source.replace_rows(rows)

    def hanging(self, source):
        return source.hanging()

    def failing(self, source):
        return source.failing()


@pytest.mark.parametrize(("faulty", "test"), FAULTS.items(), ids=lambda value: getattr(value, "__name__", None))
def test_a_fault_is_found_by_the_test_that_is_about_it(tmp_path, faulty, test):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(Contract(faulty), test)(tmp_path)


def test_an_inexact_float_is_found_without_exact_types(tmp_path):
    class Lenient(Contract):
        exact_types = False

    Lenient(Reference).test_amounts_are_exact(tmp_path)
    with pytest.raises(AssertionError, match="member 'amount'"):
        Lenient(FloatMoney).test_amounts_are_exact(tmp_path)


class Brief(Contract):
    """The contract of small collections, with members of each type: all tests of the kit take a second."""

    collections = ("customers", "balances", "banking.accounts", "banking.payees", "fdx.statements")


def list_findings(tmp_path, faulty):
    """Return which tests of the kit find a fault in a source."""
    found = []
    for test in TESTS:
        folder = tmp_path / test
        folder.mkdir()
        try:
            getattr(Brief(faulty), test)(folder)
        except (AssertionError, pytest.fail.Exception):
            found.append(test)
        except pytest.skip.Exception:
            continue
    return found


@pytest.mark.parametrize("faulty", ALONE, ids=lambda faulty: faulty.__name__)
def test_no_other_test_would_have_found_the_fault(tmp_path, faulty):
    assert list_findings(tmp_path, faulty) == [FAULTS[faulty]]


def test_every_test_of_the_kit_finds_a_fault():
    assert sorted(set(FAULTS.values())) == TESTS


@pytest.mark.parametrize("test", TESTS)
def test_each_test_of_the_kit_says_when_it_fails(test):
    assert inspect.getdoc(getattr(SourceContract, test)).startswith("Fail if ")


class Few(Contract):
    """The contract of a source with two collections."""

    collections = ("balances", "banking.payees")
    documents = False


def test_a_source_of_few_collections_passes_or_skips_every_test(tmp_path):
    skipped = []
    for test in TESTS:
        try:
            getattr(Few(Reference), test)(tmp_path)
        except pytest.skip.Exception:
            skipped.append(test)
    assert len(skipped) < len(TESTS) // 3
    assert "test_records_of_others_never_come" not in skipped


def test_the_author_may_change_the_rows(tmp_path):
    class Vandal(Reference):
        def __init__(self, rows):
            super().__init__({name: [dict(row) for row in found] for name, found in rows.items()})
            for row in rows["customers"]:
                row.clear()

    assert "customers" in COLLECTIONS
    Contract(Vandal).test_every_record_of_an_owner_comes(tmp_path)
