"""`openholder map` and `openholder columns`: every member has a sentence, and a skeleton can be used as printed."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import tomllib
from contextlib import closing

import pytest

from helpers.commands import run_command
from helpers.processes import configuration
from helpers.support import SQLITE, sample_rows, write_csv, write_sqlite
from openholder.config import Configuration
from openholder.contract.collections import COLLECTIONS
from openholder.contract.meanings import find_meaning, load_meanings, name_type
from openholder.contract.operations import OPERATIONS
from openholder.contract.parameters import list_names
from openholder.inspection.column_names import list_columns
from openholder.inspection.skeletons import SKELETONS, list_flat_members, wrap_words
from openholder.mapping.settings import name_table


def test_every_member_of_every_collection_has_a_sentence():
    for collection in COLLECTIONS:
        for column in list_columns(collection):
            assert re.fullmatch(r"[A-Z][^\n]*\.", column.meaning), (collection, column.name)
            assert len(column.meaning) <= 120, (collection, column.name)
        assert re.fullmatch(r"One row [^\n]*\.", load_meanings()["rows"][collection])


def test_no_sentence_is_left_over(monkeypatch):
    """A member that was renamed leaves a sentence behind."""
    asked = {("rows", name) for name in COLLECTIONS} | {("owner", name) for name in ("customerId", "accountId")}

    def note(record, member):
        tables = [name_type(kind) for kind in record.__mro__ if hasattr(kind, "columns")]
        asked.add((next((name for name in tables if member in load_meanings().get(name, {})), "any"), member))
        return find_meaning(record, member)

    monkeypatch.setattr("openholder.inspection.column_names.find_meaning", note)
    for collection in COLLECTIONS:
        list_columns.__wrapped__(collection)
    written = {(table, member) for table, members in load_meanings().items() for member in members}
    assert written == asked


def test_columns_know_conditions_and_filters():
    rows = {column.name: column for column in list_columns("banking.transactions")}
    assert (rows["postingDateTime"].required, rows["postingDateTime"].condition) == ("if", "if status is POSTED")
    assert rows["postingDateTime"].filters == ("oldest-time", "newest-time")
    assert rows["extendedData.payer"].condition == "if type is TRANSFER_INCOMING"
    assert rows["crn"].condition.startswith("masked ")
    accounts = {column.name: column for column in list_columns("banking.accounts")}
    assert accounts["productCategory"].filters == ("product-category",)
    assert accounts["loan"].condition == "if specificAccountUType is loan"


@pytest.mark.parametrize("sector", ["banking", "energy", "fdx"])
def test_every_filter_is_told_at_a_member(sector):
    told = {
        name
        for collection in COLLECTIONS
        for column in list_columns(collection)
        for name in column.filters
        if collection.startswith(sector)
    }
    named = {
        name
        for operation in OPERATIONS
        if operation.sector == sector
        for parameter in (*operation.parameters, *operation.account_parameters)
        for name in list_names(parameter)
    }
    assert told == named


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_views_and_headers_have_all_members(collection):
    members = [member.name for member in list_flat_members(collection)]
    assert {name.partition(".")[0] for name in members} == {
        column.name for column in list_columns(collection) if "." not in column.name
    }
    assert max(map(len, members)) <= 63  # the longest name of PostgreSQL; MariaDB has 64
    with closing(sqlite3.connect(":memory:")) as connection:
        for kind in ("sqlite", "postgres", "sqlalchemy", "mariadb"):  # SQLite reads backticks too
            connection.executescript(SKELETONS[kind](collection, "bank"))
            found = connection.execute(f'SELECT * FROM "{name_table(collection)}"')
            assert [column[0] for column in found.description] == members
            connection.execute(f'DROP VIEW "{name_table(collection)}"')
    assert next(csv.reader(io.StringIO(SKELETONS["csv"](collection, "bank")))) == members


def test_the_tables_load_as_a_configuration(tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    tables = "".join(SKELETONS["mapping"](collection, "bank") for collection in COLLECTIONS)
    Configuration.load(configuration(tmp_path, more=SQLITE + tables, jwks_port=1))
    # With each member that is optional, too.
    whole = re.sub(r'^# (?=[\w".]+ = "\?"$)', "", tables, flags=re.MULTILINE)
    for collection, rules in tomllib.loads(whole)["sources"]["bank"]["mapping"].items():
        assert list(rules) == [member.name for member in list_flat_members(collection)]
    Configuration.load(configuration(tmp_path, more=SQLITE + whole, jwks_port=1))


@pytest.mark.slow
def test_check_says_what_of_a_view_is_not_filled_in(tmp_path):
    rows = sample_rows()
    del rows["banking.balances"]
    write_sqlite(tmp_path / "bank.db", rows)
    view = SKELETONS["sqlite"]("banking.balances", "bank")
    view = view.replace('NULL AS "accountId"', 'id AS "accountId"').replace("(SELECT 1)", "accounts")
    with closing(sqlite3.connect(tmp_path / "bank.db")) as connection:
        connection.executescript(view)
    configuration(tmp_path, more=SQLITE)
    ended = run_command("check", "--dev", "--data", "--json", cwd=tmp_path)
    faults = [row for row in json.loads(ended.stdout)["findings"] if row.get("collection") == "banking.balances"]
    assert ended.returncode == 1
    missing = {row["member"] for row in faults if row["fault"] == "missing"}
    assert missing == {"currentBalance", "availableBalance"}


@pytest.mark.slow
def test_check_names_columns_of_a_table_not_filled_in(tmp_path):
    write_csv(tmp_path / "bank", sample_rows())
    table = SKELETONS["mapping"]("banking.balances", "bank").replace('accountId = "?"', 'accountId = "accountId"')
    configuration(tmp_path, more=f'[sources.bank]\nkind = "csv"\npath = "bank"\n{table}')
    ended = run_command("check", "--dev", cwd=tmp_path)
    assert ended.returncode != 0
    assert "'?'" in ended.stdout + ended.stderr


def test_the_command_prints_the_skeleton_alone(tmp_path):
    ended = run_command("map", "csv", "banking_balances", cwd=tmp_path)
    assert ended.returncode == 0
    assert ended.stdout == SKELETONS["csv"]("banking.balances", "bank")
    assert "The balance of what is posted" in ended.stderr
    ended = run_command("map", "rest", "logins", "--source", "core", cwd=tmp_path)
    assert '[sources.core.mapping."logins"]' in ended.stdout
    assert run_command("map", "rest", "logins", "--source", "a b", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("command", [("columns",), ("map", "sqlite")])
def test_an_unknown_collection_is_told_with_a_similar_one(tmp_path, command):
    ended = run_command(*command, "banking.acounts", cwd=tmp_path)
    assert ended.returncode == 2
    assert "did you mean banking.accounts? `openholder columns` lists all" in ended.stderr


def test_no_name_is_broken_across_lines(tmp_path):
    told = run_command("columns", "common.customers", cwd=tmp_path).stdout
    columns = list_columns("common.customers")
    assert len(told.splitlines()) > len(columns)
    for column in columns:
        assert re.search(rf"^{re.escape(column.name)} ", told, re.MULTILINE)
    assert wrap_words("x" * 150) == ["x" * 150]
