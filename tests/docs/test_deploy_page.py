"""The page on deploying, followed from top to bottom: its folders, files, units and commands, on a made-up machine.

A folder stands in for the root, and `Units` for systemd: it starts what the units say, with their sockets, environment
and credentials, and waits until they say that they are ready. What needs an index, Docker or Kubernetes is parsed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from helpers.load import serve_keys
from helpers.processes import PASS_SOCKETS, PATIENCE, free_port
from helpers.support import sample_rows, write_sqlite
from openholder._version import __version__
from openholder.server.connections import bind

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- run: (\w+) -->\n```sh\n(.*?)```", PAGE, re.DOTALL))
(CONFIGURED,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


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


# -- a machine --------------------------------------------------------------------------------------------------------


@dataclass
class Units:
    """What systemd does with the units of a folder."""

    root: Path
    port: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def call(self, verb: str, *names: str) -> None:
        """Do what ``systemctl`` does."""
        names = tuple(name.removesuffix(".service") for name in names if not name.startswith("-"))
        if verb in {"stop", "restart"}:
            for name in names:
                process = self.processes.pop(name)
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE) == 0
        if verb in {"enable", "start", "restart"}:
            for name in names:
                self.listen() if name.endswith(".socket") else self.start(name)

    def listen(self) -> None:
        """Open the socket of the unit, on a free port instead of its own."""
        text = (self.root / "etc/systemd/system/openholder.socket").read_text()
        assert re.findall("^ListenStream=(.+)$", text, re.MULTILINE) == ["443"]
        (self.socket,) = bind("127.0.0.1", self.port)

    def start(self, name: str) -> None:
        """Start a service, and wait until it says that it is ready."""
        text = (self.root / f"etc/systemd/system/{name}.service").read_text()
        credentials = self.root / "run/credentials" / name
        credentials.mkdir(parents=True, exist_ok=True)
        for credential, source in re.findall("^LoadCredential=(.+?):(.+)$", text, re.MULTILINE):
            shutil.copy(f"{self.root}{source}", credentials / credential)
        lines = re.findall("^Environment=(.+)$", text, re.MULTILINE)
        for file in re.findall("^EnvironmentFile=-(.+)$", text, re.MULTILINE):
            path = Path(f"{self.root}{file.replace('%N', name)}")
            lines += path.read_text().splitlines() if path.exists() else []
        lines = [line.replace("%d", str(credentials)).replace("=/var", f"={self.root}/var") for line in lines]
        (command,) = re.findall("^ExecStart=(.+)$", text, re.MULTILINE)
        arguments = [f"{self.root}{word}" if word.startswith("/") else word for word in shlex.split(command)]
        assert "\nType=notify\n" in text and "\nSockets=openholder.socket\n" in text
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
            heard.bind(str(self.root / f"{name}.notify"))
            heard.settimeout(PATIENCE)
            environment = {"NOTIFY_SOCKET": str(self.root / f"{name}.notify")} | dict(
                line.split("=", 1) for line in lines
            )
            passing = [sys.executable, "-c", PASS_SOCKETS.format([self.socket.fileno()])]
            with (self.root / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    [*passing, *arguments],
                    cwd="/",
                    env={**os.environ, **environment},
                    pass_fds=[self.socket.fileno()],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            try:
                assert heard.recv(100) == b"READY=1"
            except TimeoutError:
                raise AssertionError((self.root / f"{name}.log").read_text()) from None
        (self.root / f"{name}.notify").unlink()

    def close(self) -> None:
        """End everything."""
        for process in self.processes.values():
            process.terminate()
            process.wait(PATIENCE)
        self.socket.close()


STANDINS = {
    "useradd": "",
    "install": 'for word; do shift; case $word in --owner=*|--group=*) ;; *) set -- "$@" "$word";; esac; done\n'
    'exec /usr/bin/install "$@"',
    "runuser": 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
}
"""What only root may do."""


@dataclass
class Machine:
    """A folder in which the blocks are run, and what stands in for names and ports of the page."""

    root: Path
    units: Units
    replaced: dict[str, str]
    certificate: trustme.LeafCert
    said: list[str] = field(default_factory=list)

    def replace(self, text: str) -> str:
        for before, after in self.replaced.items():
            text = text.replace(before, after)
        return re.sub(
            r"(?<![\w./])/(etc/openholder|etc/systemd|opt/openholder|var/lib|srv)/", rf"{self.root}/\1/", text
        )

    def run(self, name: str) -> None:
        """Run a block of the page."""
        self.run_text(BLOCKS[name])

    def run_text(self, text: str) -> None:
        """Run commands: ``systemctl`` here, what is between in a shell."""
        text = self.replace(text).replace("\\\n", " ")
        for part in re.split(r"^(systemctl .+)$", text, flags=re.MULTILINE):
            if part.startswith("systemctl "):
                self.units.call(*part.split()[1:])
            elif part.strip():
                environment = {**os.environ, "PATH": f"{self.root}/standins:{os.environ['PATH']}"}
                environment["SSL_CERT_FILE"] = environment["CURL_CA_BUNDLE"] = f"{self.root}/ca.pem"
                ended = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", part],
                    cwd=self.root,
                    env=environment,
                    capture_output=True,
                    text=True,
                )
                assert ended.returncode == 0, (part, ended.stdout[-3000:], ended.stderr[-3000:])
                self.said.append(ended.stdout)


@pytest.fixture
def machine(tmp_path, signer):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "standins").mkdir()
    for name, script in STANDINS.items():
        (tmp_path / "standins" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "standins" / name).chmod(0o755)
    for name in ("etc/systemd/system", "srv/bank", "var/lib", "opt/openholder"):
        (tmp_path / name).mkdir(parents=True)
    write_sqlite(tmp_path / "srv/bank/bank.db", sample_rows())
    (tmp_path / "opt/openholder" / __version__).symlink_to(sys.prefix)
    with ExitStack() as stack:
        keys, port, admin, rehearsal = stack.enter_context(serve_keys(signer)), *(free_port() for _ in range(3))
        units = Units(tmp_path, port)
        stack.callback(units.close)
        yield Machine(
            tmp_path,
            units,
            {
                "https://cdr.examplebank.com.au/.well-known/jwks.json": f"http://127.0.0.1:{keys}/jwks.json",
                "data.examplebank.com.au": f"localhost:{port}",
                "workers = 2": f"admin_port = {admin}",
                "9443": str(admin),
                "9453": str(admin + 10),
                "127.0.0.1:8899": f"127.0.0.1:{rehearsal}",
                "--key rehearsal.pem": f"--key rehearsal.pem --listen 127.0.0.1:{rehearsal} --no-attacks",
                "kim@example.com": "zoe.simunkova@example.org",
                "sam@example.com": "hamish.quillfeather@example.net",
            },
            authority.issue_cert("localhost"),
        )


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
    machine.certificate.cert_chain_pems[0].write_to_path(etc / "tls.crt")
    machine.certificate.private_key_pem.write_to_path(etc / "tls.key")
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
