"""The runbook: its blocks are run on a made-up machine that serves, and each alert leads somewhere."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from helpers.machine import make_machine, read_blocks
from helpers.people import BALANCE, CUSTOMERS, JANE, SEARCH
from helpers.processes import PATIENCE
from helpers.support import ISSUER
from openholder._version import __version__

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "operate.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = read_blocks(PAGE)
DEPLOYING = read_blocks(DOCS / "deploy.md")
(CONFIGURED,) = re.findall(r"```toml\n(.*?)```", (DOCS / "deploy.md").read_text(encoding="utf-8"), re.DOTALL)
(TRAIL,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
ALERTS = re.findall(r"alert: (\w+)", (files("openholder.conf") / "alerts.yml").read_text(encoding="utf-8"))
INTERACTION = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
CUSTOMER, ACCOUNT, _ = CUSTOMERS["custom"]


def test_every_alert_has_its_response():
    """operations.md says what to do first, and the runbook where to go on: each alert once."""
    first = dict(
        re.findall(r"^\| `(Openholder\w+)` \| \w+ \| .+? \| (.+?) \|$", (DOCS / "operations.md").read_text(), re.M)
    )
    (table,) = re.findall(r"^\| alert \| go on with \|\n(.*?)\n\n", TEXT, re.MULTILINE | re.DOTALL)
    assert ALERTS
    assert sorted(first) == sorted(re.findall(r"`(Openholder\w+)`", table)) == sorted(ALERTS)


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("name", BLOCKS)
def test_each_block_is_shell(name):
    assert subprocess.run(["bash", "-n"], input=BLOCKS[name], text=True, capture_output=True).stderr == ""


@pytest.fixture
def machine(tmp_path, signer):
    """A machine that was deployed by the other page, and serves with an audit trail."""
    with make_machine(tmp_path, signer, DEPLOYING | BLOCKS) as made:
        today = datetime.now(UTC)
        made.replaced |= {
            "2026-07-01": f"{today - timedelta(days=1):%F}",
            "2027-01-01": f"{today + timedelta(days=1):%F}",
            '"kid": "k1"': f'"kid": "{signer.kid}"',
        }
        (link,) = re.findall("^ln .+$", DEPLOYING["install"], re.MULTILINE)
        made.run_text(f"version={__version__}\n{link}\n")
        made.run("folders")
        (tmp_path / "etc/openholder/openholder.toml").write_text(made.replace(CONFIGURED + TRAIL))
        for folder in (tmp_path / "etc/openholder/tls", tmp_path / "new"):
            certificate = made.authority.issue_cert("localhost")
            certificate.cert_chain_pems[0].write_to_path(f"{folder}.crt")
            certificate.private_key_pem.write_to_path(f"{folder}.key")
        made.run("drop-in")
        made.run("units")
        yield made


def call(machine, signer, path, body=None):
    """One request as Fiskil sends it. Give the status."""
    host = machine.replaced["data.examplebank.com.au"]
    context = ssl.create_default_context(cafile=str(machine.root / "ca.pem"))
    connection = http.client.HTTPSConnection(host, timeout=PATIENCE, context=context)
    headers = {
        "Authorization": f"Bearer {signer.sign_token(ISSUER, f'https://{host}{path}')}",
        "x-fapi-interaction-id": INTERACTION,
        "Content-Type": "application/json",
    }
    connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
    with connection.getresponse() as answer:
        answer.read()
    connection.close()
    return answer.status


def ask(machine, name):
    """Run a block of the auditor's questions, after the one that they begin with. Give what it prints."""
    machine.run_text(BLOCKS["trail"] + BLOCKS[name])
    return machine.said[-1]


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_questions_of_an_auditor_are_answered(machine, signer):
    assert call(machine, signer, BALANCE) == 200
    assert call(machine, signer, SEARCH, JANE) == 200
    assert call(machine, signer, f"/customer/{CUSTOMER}/accounts/acc-0/balances") == 404
    answer = ask(machine, "customer")
    assert [name in answer for name in ("getStarterBalance", "account_unknown", "searchCustomers")], answer
    assert ask(machine, "account").count("getStarterBalance") == 1
    assert len(ask(machine, "interaction").splitlines()) == 3
    assert re.search(r"^Disclosures: 2$", ask(machine, "report"), re.MULTILINE)
    lines = [json.loads(line) for line in ask(machine, "log").splitlines()]
    assert [line["status_code"] for line in lines] == [200, 404]
    assert ask(machine, "verify").endswith("the trail is whole\n")
    assert json.loads((machine.root / "srv/backup/heads.json").read_text())
    machine.run("answered")
    assert machine.said[-1].count('"status_code": 200') == 2
    machine.run("follow")
    assert machine.said[-1].count(INTERACTION) == 3


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_machine_serves_after_each_task(machine, signer):
    """A day of changes: each block leaves a server that answers, and what it says to be so is so."""

    def do(name):
        machine.run(name)
        assert call(machine, signer, BALANCE) == 200, name
        return machine.said[-1]

    etc = machine.root / "etc/openholder"
    do("look")
    (etc / "openholder-new.toml").write_text((etc / "openholder.toml").read_text() + "\n# changed\n")
    do("change")
    assert (etc / "openholder.toml").read_text().endswith("# changed\n")
    do("clock")
    do("certificate")
    do("cursor")
    first, second = re.findall("^serial=(.+)$", do("served"), re.MULTILINE)
    assert first == second
    do("pseudonym")
    assert do("archive").endswith("the trail is whole\n")
    assert {path.name for path in (machine.root / "var/lib/openholder").glob("audit*")} == {"audit-2026", "audit-2027"}
    do("restart")
    do("withdraw")


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_machine_is_restored_from_its_backup(machine, signer):
    assert call(machine, signer, BALANCE) == 200
    machine.run("cursor")
    machine.run("backup")
    assert machine.said[-1].endswith("the trail is whole\n")
    machine.run_text("systemctl stop openholder.socket openholder.service\n")
    machine.run_text("rm -r /etc/openholder/* /var/lib/openholder/*\n")
    machine.run("restore")
    assert machine.said[-1].startswith("ready\n")
    assert call(machine, signer, BALANCE) == 200
    assert (machine.root / "var/lib/openholder/cursor.key").is_file()
