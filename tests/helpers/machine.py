"""A made-up machine, on which the blocks of the pages on deploying and operating are run.

A folder stands in for the root, and `Units` for systemd: it starts what the units say, with their sockets, environment
and credentials, and waits until they say that they are ready.
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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

from helpers.load import serve_keys
from helpers.processes import PASS_SOCKETS, PATIENCE, free_port
from helpers.support import sample_rows, write_sqlite
from openholder._version import __version__
from openholder.fiskil.signer import Signer
from openholder.server.connections import bind


def read_blocks(page: Path) -> dict[str, str]:
    """Return the blocks of a page that are marked to be run, by their names."""
    return dict(re.findall(r"<!-- run: ([\w-]+) -->\n```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))


@dataclass
class Units:
    """What systemd does with the units of a folder."""

    root: Path
    port: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def call(self, verb: str, *names: str) -> None:
        """Do what ``systemctl`` does."""
        names = tuple(name.removesuffix(".service") for name in names if not name.startswith("-"))
        if verb == "reload":
            for name in names:
                self.processes[name].send_signal(signal.SIGHUP)
        if verb in {"stop", "restart"}:
            for name in sorted(names):
                if name.endswith(".socket"):
                    self.socket.close()
                    continue
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
        for added in sorted(self.root.glob(f"etc/systemd/system/{name}.service.d/*.conf")):
            text += added.read_text()
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
    "journalctl": 'cat "$(dirname "$0")/../openholder.log"',
    "runuser": 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
}
"""What only root may do."""


@dataclass
class Machine:
    """A folder in which the blocks are run, and what stands in for names and ports of the page."""

    root: Path
    units: Units
    replaced: dict[str, str]
    authority: trustme.CA
    blocks: Mapping[str, str]
    said: list[str] = field(default_factory=list)

    def replace(self, text: str) -> str:
        for before, after in self.replaced.items():
            text = text.replace(before, after)
        return re.sub(
            r"(?<![\w./])/(etc/openholder|etc/systemd|opt/openholder|var/lib|srv)(?=[/\s])", rf"{self.root}/\1", text
        )

    def run(self, name: str) -> None:
        """Run a block of the page."""
        self.run_text(self.blocks[name])

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


@contextmanager
def make_machine(folder: Path, signer: Signer, blocks: Mapping[str, str]) -> Iterator[Machine]:
    """Make a machine with a bank's data, keys and a certificate, on which nothing is installed or configured yet."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "standins").mkdir()
    for name, script in STANDINS.items():
        (folder / "standins" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "standins" / name).chmod(0o755)
    for name in ("etc/systemd/system", "srv/bank", "srv/backup", "var/lib", "opt/openholder"):
        (folder / name).mkdir(parents=True)
    write_sqlite(folder / "srv/bank/bank.db", sample_rows())
    (folder / "opt/openholder" / __version__).symlink_to(sys.prefix)
    with ExitStack() as stack:
        keys, port, admin, rehearsal = stack.enter_context(serve_keys(signer)), *(free_port() for _ in range(3))
        units = Units(folder, port)
        stack.callback(units.close)
        yield Machine(
            folder,
            units,
            {
                "https://cdr.examplebank.com.au/.well-known/jwks.json": f"http://127.0.0.1:{keys}/jwks.json",
                "data.examplebank.com.au:443": f"localhost:{port}",
                "data.examplebank.com.au": f"localhost:{port}",
                "workers = 2": f"admin_port = {admin}",
                "9443": str(admin),
                "9453": str(admin + 10),
                "127.0.0.1:8899": f"127.0.0.1:{rehearsal}",
                "--key rehearsal.pem": f"--key rehearsal.pem --listen 127.0.0.1:{rehearsal} --no-attacks",
                "kim@example.com": "zoe.simunkova@example.org",
                "sam@example.com": "hamish.quillfeather@example.net",
            },
            authority,
            blocks,
        )
