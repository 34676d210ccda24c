"""The page on deploying, followed from top to bottom on a made-up machine.

What needs an index, Docker or Kubernetes is parsed.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from helpers.machine import make_machine, read_blocks
from openholder._version import __version__

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/deploy.md"
BLOCKS = read_blocks(PAGE)
(CONFIGURED,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("name", BLOCKS)
def test_each_block_is_shell(name):
    assert subprocess.run(["bash", "-n"], input=BLOCKS[name], text=True, capture_output=True).stderr == ""


@pytest.mark.checkout
def test_the_names_of_what_is_installed_are_those_of_make_dist():
    text = "".join(BLOCKS[name] for name in ("install", "plugin", "image"))
    assert set(re.findall(r"^version=(.+)$", text, re.MULTILINE)) == {__version__}
    assert f"openholder:{__version__}" in text
    locked = set(re.findall(r"-r (\S+)", text))
    assert locked == {"production.txt", "postgres.txt"}
    assert all((ROOT / "requirements" / name).is_file() for name in locked)
    assert re.search(r"^\tcp requirements/\*\.txt \$\(DIST\)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in re.findall(r"^.*/pip\" install.*$", text, re.MULTILINE):
        assert "--require-hashes" in line or re.search(r'--no-deps "openholder\w*-\$version-py3-none-any\.whl"', line)


def test_the_commands_of_containers_name_files_that_are_there():
    assert (ROOT / "Dockerfile").is_file()
    assert (ROOT / "deploy/compose.yaml").is_file()
    assert (ROOT / "deploy/kubernetes/deployment.yaml").is_file()
    assert BLOCKS["compose"].startswith("cd deploy\n")
    assert "--filename deploy/kubernetes/" in BLOCKS["kubernetes"]


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("umask", ["022", "077"])
def test_the_user_of_the_container_can_read_its_files(tmp_path, umask):
    """Compose mounts them with the modes of the machine; the folder of the secrets is closed to its other users."""
    (tmp_path / "deploy").mkdir()
    commands = f"umask {umask}\ndocker() {{ :; }}\n{BLOCKS['compose']}"
    subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, check=True)
    paths = (tmp_path / "deploy").rglob("*")
    modes = {str(path.relative_to(tmp_path / "deploy")): f"{path.stat().st_mode & 0o777:o}" for path in paths}
    assert modes == {"data": "755", "secrets": "700", "secrets/pseudonym-key": "644", "secrets/redis-url": "644"}


@pytest.fixture
def machine(tmp_path, signer):
    with make_machine(tmp_path, signer, BLOCKS) as made:
        yield made


ETC = {"openholder.toml", "openholder-standby.env", "secrets", "tls.crt", "tls.key"}
"""What the page puts into /etc/openholder: the server writes nothing there."""


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_page_leads_to_answered_requests(machine):
    """Steps 3 to 5 in their order, and then a change of the version."""
    (link,) = re.findall("^ln .+$", BLOCKS["install"], re.MULTILINE)
    machine.run_text(f"version={__version__}\n{link}\n")
    machine.run("folders")
    etc = machine.root / "etc/openholder"
    (etc / "openholder.toml").write_text(machine.replace(CONFIGURED))
    certificate = machine.authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(etc / "tls.crt")
    certificate.private_key_pem.write_to_path(etc / "tls.key")
    for name in ("check", "units", "ready"):
        machine.run(name)
    assert "keys at http" in machine.said[-3]
    assert machine.said[-1].startswith("ready\n")
    assert re.search(r"^HTTP/1\.1 401 ", machine.said[-1], re.MULTILINE)
    assert "x-fapi-interaction-id: " in machine.said[-1]
    machine.run("rehearse")
    assert "Ready to go live" in "".join(machine.said[-2:])
    machine.run("upgrade")
    machine.run("ready")
    assert machine.said[-1].startswith("ready\n")
    written = {path.name for path in (machine.root / "var/lib/openholder").iterdir()}
    assert written == {"known-keys.json", *(f"replay.db{end}" for end in ("", ".lock", "-shm", "-wal"))}
    assert {path.name for path in etc.iterdir()} == ETC
