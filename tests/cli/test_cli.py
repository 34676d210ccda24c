"""The commands, as an operator types them."""

from __future__ import annotations

import io
import json
import logging
import shlex
import sqlite3
import subprocess
from contextlib import closing

import pytest

from helpers.commands import logging_as_it_was, run_command
from helpers.people import BALANCE
from helpers.processes import Server, configuration, free_port, openholder
from helpers.support import CSV, SQLITE, sample_rows, write_csv, write_sqlite
from openholder._version import __version__
from openholder.contract.operations import OPERATIONS
from openholder.fiskil.signer import DEVELOPMENT_KEY
from openholder.server.logs import PROGRESS, configure_for_command


@pytest.fixture
def bank(tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    return tmp_path


@pytest.mark.slow
@pytest.mark.subprocess
def test_version_and_help_are_told_in_a_line(tmp_path):
    assert openholder("--version", cwd=tmp_path).stdout == f"openholder, version {__version__}\n"
    assert "serve" in openholder("-h", cwd=tmp_path).stdout


def test_a_command_that_does_not_exist_is_a_usage_error(tmp_path):
    ended = run_command("serv", cwd=tmp_path)
    assert (ended.returncode, "No such command 'serv'" in ended.stderr) == (2, True)


def test_without_a_configuration_the_places_looked_at_are_named(tmp_path):
    ended = run_command("serve", cwd=tmp_path)
    assert ended.returncode == 3
    assert "openholder.toml, /etc/openholder/openholder.toml: no configuration file found" in ended.stderr


@pytest.mark.parametrize("command", ["check", "serve"])
def test_all_mistakes_are_reported_at_once_without_secrets(tmp_path, command):
    (tmp_path / "openholder.toml").write_text(
        'public_url = "http://data.example.com"\n'
        '[fiskil]\nisuer = "x"\njwks_url = "https://keys.example.com/jwks.json"\nalgorithms = ["HS256"]\n'
        '[replay]\nstore = "memory"\n[listen]\nworkers = 2\n'
        '[sources.a]\nkind = "sqlite"\npath = "missing.db"\n'
        '[sources.b]\nkind = "rest"\nbase_url = "https://api.example.com"\ntoken = { env = "NO_SUCH_VARIABLE" }\n'
        'header = "s3cret"\n[sources.b.collections]\n"balances" = "/{wrong}"\n'
        '[sources.c]\nkind = "sqlit"\n[serve]\n"*" = "d"\n'
    )
    ended = run_command(command, cwd=tmp_path)
    assert ended.returncode == 3
    for key, word in (
        ("public_url", "https"),
        ("fiskil.isuer", "did you mean 'issuer'"),
        ("fiskil.issuer", "is missing"),
        ("fiskil.algorithms", "PS256"),
        ("replay.store", "memory"),
        ("sources.a.path", "file not found"),
        ("sources.b.token", "NO_SUCH_VARIABLE is not set"),
        ("sources.b.header", "did you mean 'headers'"),
        ("sources.b.collections.balances", "variables"),
        ("sources.c.kind", "installed: audit, csv, rest, sqlite"),
        ('serve."*"', "not configured"),
    ):
        assert any(f"openholder.toml: {key}" in line and word in line for line in ended.stderr.splitlines()), key
    assert "s3cret" not in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("source", [SQLITE, CSV], ids=["sqlite", "csv"])
def test_check_tries_keys_sources_and_every_collection(bank, source):
    write_csv(bank / "bank", sample_rows())
    configuration(bank, more=source)
    ended = run_command("check", "--dev", cwd=bank)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 usable" in ended.stdout
    tried = [line for line in ended.stdout.splitlines() if "records checked" in line]
    assert len(tried) == len([operation for operation in OPERATIONS if not operation.deprecated])
    findings = json.loads(run_command("check", "--dev", "--json", cwd=bank).stdout)
    assert {finding["verdict"] for finding in findings} <= {"ok", "advice"}


@pytest.mark.slow
def test_check_reports_a_collection_without_records_as_empty(bank):
    with closing(sqlite3.connect(bank / "bank.db")) as connection, connection:
        connection.execute("DELETE FROM energy_concessions")
    configuration(bank, more=SQLITE)
    ended = run_command("check", "--dev", "--json", cwd=bank)
    empty = {row["what"].rpartition("/")[2] for row in json.loads(ended.stdout) if row["verdict"] == "empty"}
    assert (ended.returncode, empty) == (0, {"concessions"})


@pytest.mark.slow
def test_check_advises_each_missing_index(bank):
    """The advice is the statement that creates the index."""

    def advised():
        findings = json.loads(run_command("check", "--dev", "--json", cwd=bank).stdout)
        return [finding["detail"] for finding in findings if finding["verdict"] == "advice"]

    configuration(bank, more=SQLITE)
    missing = advised()
    assert 'CREATE INDEX "accounts_customerId" ON "accounts" ("customerId");' in missing
    assert 'CREATE INDEX "customers_email" ON "customers" ("email" COLLATE NOCASE);' in missing
    assert 'CREATE INDEX "banking_transactions_accountId" ON "banking_transactions" ("accountId");' in missing
    assert len(missing) == len(set(missing))
    with closing(sqlite3.connect(bank / "bank.db")) as connection:
        connection.executescript("\n".join(missing))
    assert advised() == []


@pytest.mark.slow
def test_check_suggests_a_member_for_a_misspelt_column(bank):
    with closing(sqlite3.connect(bank / "bank.db")) as connection:
        connection.executescript(
            "ALTER TABLE banking_accounts RENAME COLUMN nickname TO nick_name;"
            "ALTER TABLE banking_transactions RENAME COLUMN reference TO refrence;"
            "ALTER TABLE customers ADD COLUMN branch TEXT;"
        )
    configuration(bank, more=SQLITE)
    findings = json.loads(run_command("check", "--dev", "--json", cwd=bank).stdout)
    asked = [(row["what"], row["detail"]) for row in findings if row["what"].startswith("columns of ")]
    assert asked == [
        ("columns of banking.accounts", "unknown column 'nick_name'; did you mean 'nickname'?"),
        ("columns of banking.transactions", "unknown column 'refrence'; did you mean 'reference'?"),
    ]


@pytest.mark.slow
def test_check_names_columns_with_empty_texts_for_nothing(bank):
    with closing(sqlite3.connect(bank / "bank.db")) as connection, connection:
        connection.execute("UPDATE banking_balances SET currency = ''")
        connection.execute("UPDATE banking_transactions SET merchantName = '', description = ''")
    configuration(bank, more=SQLITE)
    ended = run_command("check", "--dev", "--json", cwd=bank)
    findings = {row["what"]: row["detail"] for row in json.loads(ended.stdout) if row["verdict"] == "advice"}
    text = "'currency': empty text instead of NULL; write NULL, or set `empty_is_absent = true` in [sources.bank]"
    assert (ended.returncode, findings["columns of banking.balances"]) == (1, text)
    assert "columns of banking.transactions" not in findings
    configuration(bank, more=f"{SQLITE}empty_is_absent = true\n")
    ended = run_command("check", "--dev", "--json", cwd=bank)
    assert ended.returncode == 0
    assert "empty text" not in ended.stdout


@pytest.mark.slow
def test_check_names_columns_beyond_the_members_of_fdx(bank):
    with closing(sqlite3.connect(bank / "bank.db")) as connection:
        connection.executescript(
            "ALTER TABLE fdx_accounts ADD COLUMN riskNote TEXT;"
            'ALTER TABLE fdx_accounts ADD COLUMN "branch.name" TEXT;'
            "ALTER TABLE fdx_statements ADD COLUMN riskNote TEXT;"
            "UPDATE fdx_accounts SET riskNote = 'SECRET', \"branch.name\" = 'SECRET'"
        )
    configuration(bank, more=SQLITE)
    ended = run_command("check", "--dev", "--json", cwd=bank, OPENHOLDER_OPEN_MEMBERS="fdx.accounts.branch")
    found = [(row["what"], row["detail"]) for row in json.loads(ended.stdout) if row["what"].startswith("columns of ")]
    assert found == [
        (
            "columns of fdx.accounts",
            "'branch.name': returned although openholder does not know them as FDX, because `open_members` lists them",
        ),
        (
            "columns of fdx.accounts",
            "'riskNote': not returned; to return one, list it: open_members = [\"fdx.accounts.riskNote\"]",
        ),
        (
            "columns of fdx.statements",
            "'riskNote': not returned; to return one, list it: open_members = [\"fdx.statements.riskNote\"]",
        ),
    ]
    assert "SECRET" not in ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 403])
def test_check_says_how_a_failed_authentication_is_answered(bank, status):
    configuration(bank, more=SQLITE)
    setting = {"OPENHOLDER_FISKIL__AUTHENTICATION_FAILURE_STATUS": str(status)}
    found = json.loads(run_command("check", "--dev", "--json", cwd=bank, **setting).stdout)
    (row,) = [row for row in found if row["what"] == "failed authentication"]
    assert row["verdict"] == "ok"
    assert row["detail"].startswith(
        f"is answered with {status}. RFC 6750 and the CDS say 401, Fiskil's errors page 403"
    )


@pytest.mark.slow
def test_check_says_when_the_keys_are_not_to_be_had(bank):
    configuration(bank, more=SQLITE)
    ended = run_command("check", cwd=bank)
    assert ended.returncode == 4
    assert "unreachable" in ended.stdout


@pytest.mark.slow
def test_check_finds_invalid_records_without_showing_them(bank):
    rows = sample_rows()
    rows["balances"][3]["available"] = "about 10"
    (bank / "bank.db").unlink()
    write_sqlite(bank / "bank.db", rows)
    configuration(bank, more=SQLITE)
    ended = run_command("check", "--dev", cwd=bank)
    assert ended.returncode == 1
    assert "collection 'balances': member 'available' does not fit (found text)" in ended.stdout
    assert "about 10" not in ended.stdout + ended.stderr


@pytest.mark.slow
def test_check_names_a_missing_owner_column(bank):
    rows = sample_rows()
    rows["balances"] = [{"account": row["accountId"], "current": row["current"]} for row in rows["balances"]]
    (bank / "bank.db").unlink()
    write_sqlite(bank / "bank.db", rows)
    configuration(bank, more=SQLITE)
    ended = run_command("check", "--dev", cwd=bank)
    assert (ended.returncode, "table 'balances' has no column 'accountId'" in ended.stdout) == (1, True)


@pytest.mark.slow
def test_check_reports_collections_that_are_not_served(bank):
    """Both those that no source has, and those that a source lists but cannot answer."""
    rows = sample_rows()
    del rows["balances"]
    (bank / "bank.db").unlink()
    write_sqlite(bank / "bank.db", rows)
    configuration(bank, more=SQLITE)
    ended = run_command("check", "--dev", cwd=bank)
    assert (ended.returncode, "no source has 'balances'" in ended.stdout) == (0, True)
    configuration(bank, more=SQLITE + '[serve]\n"*" = "bank"\nbalances = "bank"\n')
    ended = run_command("check", "--dev", cwd=bank)
    assert (ended.returncode, "has no collection 'balances'" in ended.stdout) == (3, True)


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("source", ["sqlite", "csv"])
def test_init_makes_a_folder_that_checks_serves_and_signs(tmp_path, source):
    assert run_command("init", "--source", source, cwd=tmp_path).returncode == 0
    assert run_command("init", "--source", source, cwd=tmp_path).returncode == 1
    public, keys = free_port(), free_port()
    url = f"http://127.0.0.1:{public}"
    environment = {
        "OPENHOLDER_PUBLIC_URL": url,
        "OPENHOLDER_FISKIL__JWKS_URL": f"http://127.0.0.1:{keys}/jwks.json",
        "OPENHOLDER_LISTEN__PORT": str(public),
        "OPENHOLDER_LISTEN__ADMIN_PORT": "0",
    }
    ended = run_command("check", "--dev", cwd=tmp_path, **environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "advice" not in ended.stdout
    with Server(tmp_path, environment=environment):
        line = openholder("token", "--curl", BALANCE, cwd=tmp_path, **environment).stdout
        assert '"available":1200.50' in subprocess.run(shlex.split(line), capture_output=True, text=True).stdout
    assert (tmp_path / DEVELOPMENT_KEY).stat().st_mode & 0o077 == 0
    assert DEVELOPMENT_KEY in (tmp_path / ".gitignore").read_text()


def test_token_refuses_to_sign_for_keys_that_are_somebody_elses(bank):
    configuration(bank, more=SQLITE)
    override = {"OPENHOLDER_FISKIL__JWKS_URL": "https://cdr.example.com/jwks.json"}
    for command in (["token", BALANCE], ["serve", "--dev"], ["check", "--dev"]):
        ended = run_command(*command, cwd=bank, **override)
        assert (ended.returncode, "not on this machine" in ended.stderr, ended.stdout) == (3, True, "")
    assert not (bank / DEVELOPMENT_KEY).exists()


def test_token_prints_a_token_or_says_how_it_is_called(bank):
    configuration(bank, more=SQLITE)
    assert run_command("token", BALANCE, cwd=bank).stdout.count(".") == 2
    assert run_command("token", "no-slash", cwd=bank).returncode == 2
    assert run_command("token", cwd=bank).returncode == 2


def test_routes_shows_each_operation_with_its_source(bank):
    path = configuration(bank, more=SQLITE)
    listed = json.loads(run_command("routes", "--json", "-c", str(path), cwd=bank).stdout)
    served = [operation for operation in OPERATIONS if not operation.deprecated]
    assert [(route["method"], route["path"]) for route in listed] == [(row.method, row.path) for row in served]
    assert [(route["collection"], route["evidence"]) for route in listed] == [
        (row.collection, row.evidence) for row in served
    ]
    assert {route["source"] for route in listed} == {"bank"}
    assert "balances" in run_command("routes", cwd=bank).stdout


def test_plugins_lists_the_kinds_without_a_configuration(tmp_path):
    listed = json.loads(run_command("plugins", "--json", cwd=tmp_path).stdout)
    assert [(kind["for"], kind["kind"]) for kind in listed] == [
        ("observer", "audit"),
        *(("source", kind) for kind in ("csv", "rest", "sqlite")),
        *(("replay", kind) for kind in ("memory", "redis", "sqlite")),
    ]
    assert {(kind["distribution"], kind["version"], kind["status"]) for kind in listed} == {
        ("openholder", __version__, "ok")
    }
    assert "source    sqlite  openholder" in run_command("plugins", cwd=tmp_path).stdout


@pytest.mark.parametrize("terminal", [True, False])
def test_a_command_logs_only_errors_and_on_a_terminal_progress(terminal):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    stream = Stream()
    with logging_as_it_was():
        configure_for_command(stream)
        logging.getLogger(PROGRESS).info("half-way")
        logging.getLogger("openholder").info("a detail")
        logging.getLogger("openholder").error("a fault")
    told = stream.getvalue()
    assert ("half-way" in told, "a detail" in told, "a fault" in told) == (terminal, False, True)
