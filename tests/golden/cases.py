"""Mistakes that users make, and the messages that they get. ``make messages`` rewrites messages.txt."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import trustme
from click.testing import CliRunner

from helpers.commands import run_command
from helpers.processes import free_port
from openholder.cli.rehearse import rehearse
from openholder.config import Configuration
from openholder.errors import OpenholderError

GOOD = """\
public_url = "http://127.0.0.1:8443"
[fiskil]
issuer = "examplebank.cdr.fiskil.com"
jwks_url = "http://127.0.0.1:1/jwks.json"
[sources.bank]
kind = "sqlite"
path = "bank.db"
"""
TABLES = """
CREATE TABLE customers (id TEXT, name TEXT, email TEXT);
CREATE TABLE accounts (customerId TEXT, id TEXT, status TEXT);
CREATE TABLE banking_balances (accountId TEXT, currentBalance TEXT, availableBalance TEXT);
CREATE TABLE banking_transactions (accountId TEXT, transactionId TEXT, isDetailAvailable INTEGER, type TEXT,
    status TEXT, description TEXT, amount TEXT, postingDateTime TEXT, reference TEXT);
INSERT INTO customers VALUES ('c1', 'Kim', 'kim@example.com');
INSERT INTO accounts VALUES ('c1', 'a1', 'open');
INSERT INTO banking_balances VALUES ('a1', '1.00', '1.00');
INSERT INTO banking_transactions VALUES
    ('a1', 't1', 0, 'PAYMENT', 'POSTED', 'SECRET', '1.00', '2026-10-01T09:30:00+10:00', 'SECRET');
"""
EMAIL = ("--email", "kim@example.com")

CONFIGURATION: Mapping[str, tuple[str, str]] = {
    "a key that is nearly right": ("issuer =", "isuer ="),
    "a key that does not exist": ("[fiskil]", "[fiskil]\ncolour = 1"),
    "a table that does not exist": ("[fiskil]", "[log]\nlevel = 'info'\n[metrics]\n[fiskil]"),
    "no public URL": ('public_url = "http://127.0.0.1:8443"', ""),
    "a public URL with a slash": ('8443"', '8443/"'),
    "a public URL without TLS": ("http://127.0.0.1:8443", "http://data.example.com"),
    "a public URL without a scheme": ("http://127.0.0.1:8443", "data.example.com"),
    "keys over plain HTTP": ("http://127.0.0.1:1/jwks.json", "http://cdr.example.com/jwks.json"),
    "no issuer": ('"examplebank.cdr.fiskil.com"', "[]"),
    "an unknown algorithm": ("[fiskil]", '[fiskil]\nalgorithms = ["HS256"]'),
    "an impossible status": ("[fiskil]", "[fiskil]\nauthentication_failure_status = 404"),
    "too much tolerance": ("[fiskil]", "[fiskil]\nclock_tolerance = 3600"),
    "a port that is text": ("[fiskil]", "[listen]\nport = 'https'\n[fiskil]"),
    "a port that does not exist": ("[fiskil]", "[listen]\nport = 65536\n[fiskil]"),
    "no workers": ("[fiskil]", "[listen]\nworkers = 0\n[fiskil]"),
    "a switch that is neither on nor off": ("[fiskil]", "auth_alias = 'perhaps'\n[fiskil]"),
    "a certificate without its key": ("[fiskil]", '[listen]\ntls_certificate = "bank.db"\n[fiskil]'),
    "a certificate that is not there": ("[fiskil]", '[listen]\ntls_certificate = "tls.crt"\n[fiskil]'),
    "a secret that is not set": ("[fiskil]", '[log]\npseudonym_key = { env = "UNSET" }\n[fiskil]'),
    "a secret in the file": ("[fiskil]", "[log]\npseudonym_key = { value = 1 }\n[fiskil]"),
    "a store for one process": ("[fiskil]", '[replay]\nstore = "memory"\n[listen]\nworkers = 2\n[fiskil]'),
    "a store that does not exist": ("[fiskil]", '[replay]\nstore = "reddis"\n[fiskil]'),
    "a folder that is not there": ("[fiskil]", '[replay]\npath = "nowhere/replay.db"\n[fiskil]'),
    "no source": ('[sources.bank]\nkind = "sqlite"\npath = "bank.db"\n', ""),
    "a source without a kind": ('kind = "sqlite"', ""),
    "a kind that is nearly right": ('kind = "sqlite"', 'kind = "sqlit"'),
    "a source that is no table": ('[sources.bank]\nkind = "sqlite"\npath = "bank.db"\n', "[sources]\nbank = 1\n"),
    "a database that is not there": ("bank.db", "bnk.db"),
    "a folder of CSV files that is none": ('kind = "sqlite"', 'kind = "csv"'),
    "a time limit that is text": ("path =", "timeout = 'soon'\npath ="),
    "a source that [serve] does not know": ("[fiskil]", '[serve]\n"*" = "bnk"\n[fiskil]'),
    "several sources": ("[sources.bank]", '[sources.ledger]\nkind = "sqlite"\npath = "bank.db"\n[sources.bank]'),
    "a custom path of nobody": ("[fiskil]", '[[endpoints]]\npath = "/x"\ncollection = "cards"\n[fiskil]'),
    "a custom path that is taken": (
        "[fiskil]",
        '[[endpoints]]\npath = "/auth/v1/customer/{customerId}"\ncollection = "cards"\n[fiskil]',
    ),
    "pages of a custom endpoint without an envelope": (
        "[fiskil]",
        '[[endpoints]]\npath = "/customer/{customerId}/cards"\ncollection = "cards"\npaging = "page"\n[fiskil]',
    ),
    "an open member of no FDX record": ("[fiskil]", 'open_members = ["banking.accounts.branch"]\n[fiskil]'),
    "a time zone that does not exist": ("path =", 'time_zone = "Sydney"\npath ='),
    "a mapping with an unknown word": (
        'path = "bank.db"',
        'path = "bank.db"\n[sources.bank.mapping.accounts]\nstatus = { colum = "state" }',
    ),
    "a URL template with an unknown variable": (
        'kind = "sqlite"\npath = "bank.db"',
        'kind = "rest"\nbase_url = "https://api.example.com"\n[sources.bank.collections]\ncustomers = "/people/{name}"',
    ),
    "not TOML": ("[fiskil]", "[fiskil"),
}
"""A piece of the good configuration, and what is there instead."""

DATA: Mapping[str, str] = {
    "a column that is missing": "ALTER TABLE banking_balances DROP COLUMN availableBalance",
    "a member that is missing": "UPDATE banking_balances SET availableBalance = NULL",
    "a column with another name": "ALTER TABLE accounts RENAME COLUMN customerId TO customer_id",
    "an optional column with another name": "ALTER TABLE customers ADD COLUMN given_name TEXT DEFAULT 'SECRET'",
    "a code that is not allowed": "UPDATE accounts SET status = 'SECRET'",
    "a code of the standard that is not allowed": "UPDATE banking_transactions SET type = 'SECRET'",
    "a status that is missing": "UPDATE accounts SET status = NULL",
    "an amount with a decimal comma": "UPDATE banking_balances SET currentBalance = '1,50'",
    "an amount that is none": "UPDATE banking_balances SET currentBalance = 'SECRET'",
    "a time without an offset": "UPDATE banking_transactions SET postingDateTime = '2026-10-01T09:30:00'",
    "a day in place of a time": "UPDATE banking_transactions SET postingDateTime = '2026-10-01'",
    "a truth value that is none": "UPDATE banking_transactions SET isDetailAvailable = 'SECRET'",
    "an id with a slash": "UPDATE accounts SET id = 'a/1'",
    "two rows of one account": "INSERT INTO accounts VALUES ('c1', 'a1', 'open')",
    "an account of nobody": "INSERT INTO accounts VALUES ('c9', 'a9', 'open')",
    "text that is not UTF-8": "UPDATE banking_transactions SET description = CAST(X'C3' AS TEXT)",
}
"""What happens to a good database."""

FILES: Mapping[str, tuple[str, bytes]] = {
    "a file with semicolons": ("", b"id;name\nc1;Kim\n"),
    "a file in an old encoding": ("", "id,name\nc1,Zoë\n".encode("latin-1")),
    "a row with too many cells": ("", b"id,name\nc1,Kim,more\n"),
    "a quote that is not closed": ("", b'id,name\nc1,"Kim\n'),
    "a file with one name twice": ("", b"id,id\nc1,c1\n"),
    "a mapping of a column that is not there": (
        '[sources.bank.columns.customers]\nname = "Name"\n',
        b"id,name\nc1,K\n",
    ),
}
"""What the configuration says of a folder of CSV files, and its customers.csv."""

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "nobody who logs in": ("http://127.0.0.1:1",),
    "a URL without a scheme": ("127.0.0.1:8443", *EMAIL),
    "a load without its duration": ("http://127.0.0.1:1", *EMAIL, "--rate", "10"),
    "a duration in words": ("http://127.0.0.1:1", *EMAIL, "--rate", "10", "--for", "soon"),
    "a key set without its key": ("http://127.0.0.1:1", *EMAIL, "--jwks", __file__),
    "a key set that is none": ("http://127.0.0.1:1", *EMAIL, "--key", "key.pem", "--jwks", __file__),
    "a server of somebody else": ("http://192.0.2.1", *EMAIL),
    "a report in a folder that is not there": ("http://127.0.0.1:1", *EMAIL, "--html", "nowhere/report.html"),
    "a sector that does not exist": ("http://127.0.0.1:1", *EMAIL, "--sector", "telco"),
    "a certificate authority that is none": ("http://127.0.0.1:1", *EMAIL, "--ca", __file__),
    "an address that is none": ("http://127.0.0.1:1", *EMAIL, "--listen", "8899"),
    "a server that does not answer": ("http://127.0.0.1:1", *EMAIL, "--listen", f"127.0.0.1:{free_port()}"),
    "a rule that is nearly right": ("--rule", "alg-non"),
}
"""What is given to ``openholder rehearse``."""


@contextmanager
def clean_environment():
    """Remove settings from outside."""
    before = dict(os.environ)
    for name in before:
        if name.upper().startswith("OPENHOLDER_"):
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)


def write_bank(folder: Path, *statements: str) -> None:
    (folder / "bank.db").unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / "bank.db")) as connection, connection:
        connection.executescript(TABLES + ";\n".join(statements))


def load(folder: Path, text: str) -> str:
    """Return what is wrong with a configuration."""
    (folder / "openholder.toml").write_text(text, encoding="utf-8")
    try:
        Configuration.load(folder / "openholder.toml")
    except OpenholderError as exc:
        return str(exc)
    return ""


def inspect(folder: Path, text: str) -> str:
    """Return what `openholder check --data` finds wrong, without the keys."""
    (folder / "openholder.toml").write_text(text, encoding="utf-8")
    printed = run_command("check", "--data", "--json", cwd=folder).stdout
    found = [finding for finding in json.loads(printed)["findings"] if finding["severity"] != "note"]
    lines = []
    for finding in found:
        where = ".".join(finding[name] for name in ("collection", "member") if name in finding)
        # These three are about the small data that the cases have in common, and its age.
        is_common = finding["fault"] in ("filters-unavailable", "nothing-new")
        if not is_common and not finding["wanted"].startswith("keys at "):
            lines.append(f"{finding['severity']}: {where}: {finding['fault']}; wanted: {finding['wanted']}")
    return "\n".join(lines)


def run(*arguments: str) -> str:
    """Return what `openholder rehearse` says."""
    ended = CliRunner().invoke(rehearse, arguments)
    text = str(ended.exception) if isinstance(ended.exception, OpenholderError) else ended.stderr
    return text.partition("Error: ")[2] or text


def collect(folder: Path) -> dict[str, str]:
    """Return the message of each mistake."""
    found: dict[str, str] = {}
    write_bank(folder)
    for name, (old, new) in CONFIGURATION.items():
        assert GOOD.count(old) == 1, name
        found[f"configuration: {name}"] = load(folder, GOOD.replace(old, new))
    for name, statement in DATA.items():
        write_bank(folder, statement)
        found[f"check: {name}"] = inspect(folder, GOOD)
    (folder / "files").mkdir(exist_ok=True)
    for name, (settings, content) in FILES.items():
        (folder / "files/customers.csv").write_bytes(content)
        csv = GOOD.replace('kind = "sqlite"\npath = "bank.db"\n', f'kind = "csv"\npath = "files"\n{settings}')
        found[f"check: {name}"] = inspect(folder, csv)
    authority = trustme.CA()
    for name in ("tls.crt", "other.crt"):
        certificate = authority.issue_cert("127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(folder / name)
        certificate.private_key_pem.write_to_path(folder / "tls.key")
    write_bank(folder)
    tls = GOOD.replace("[fiskil]", '[listen]\ntls_certificate = "tls.crt"\ntls_key = "tls.key"\n[fiskil]')
    found["check: a certificate with another key"] = inspect(folder, tls)
    for name, arguments in OPTIONS.items():
        found[f"rehearse: {name}"] = run(*(str(folder / part) if part == "key.pem" else part for part in arguments))
    return {name: text.replace(f"{folder}/", "").strip() for name, text in found.items()}


def format_messages(messages: Mapping[str, str]) -> str:
    return "\n\n".join(f"# {name}\n{text}" for name, text in messages.items()) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, clean_environment():
        text = format_messages(collect(Path(folder)))
    Path(__file__).with_name("messages.txt").write_text(text, encoding="utf-8")
