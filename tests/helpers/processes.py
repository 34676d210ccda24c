"""openholder as a process of its own: started, called, stopped, and its log read."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.support import ISSUER
from openholder.fiskil.signer import DEVELOPMENT_KEY, Signer

PATIENCE = 20.0
"""Seconds after which a process that does not do what it should has failed the test."""

COMMAND = [sys.executable, "-P", "-m", "openholder"]
"""As the installed command: nothing is imported from the working directory."""


PASS_SOCKETS = """
import os, sys
descriptors = {0}
for number, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(descriptors)))
os.execv(sys.argv[1], sys.argv[1:])
"""
"""What systemd does before it executes a service that has sockets (sd_listen_fds(3))."""


def openholder(
    *arguments: str, cwd: Path, patience: float = PATIENCE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    env = {**os.environ, **environment}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=patience, check=False
    )


def free_port() -> int:
    """A port that stays free until it is used: below those that the system gives to callers."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def free_pair() -> int:
    """The first of two such ports that follow each other."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port + 1))
            return port


def configuration(
    folder: Path, *, listen: str = "", more: str = "", jwks_port: int = 0, url: str = "", admin_port: int = 0
) -> Path:
    """A configuration for ``serve --dev`` on free ports, with the public URL that tokens are made for."""
    path = folder / "openholder.toml"
    path.write_text(
        f'public_url = "{url or "http://127.0.0.1:1"}"\n[fiskil]\nissuer = "{ISSUER}"\n'
        f'jwks_url = "http://127.0.0.1:{jwks_port or free_port()}/jwks.json"\n'
        f"[listen]\nport = 0\nadmin_port = {admin_port}\n{listen}\n{more}",
        encoding="utf-8",
    )
    return path


def find_worker(parent: int, number: int | None = None) -> int:
    """Return the process id of the worker of a server that has this number, or of any."""
    wanted = "--worker" if number is None else f"--worker\0{number}\0"
    for task in os.listdir(f"/proc/{parent}/task"):
        with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as children:
            for pid in children.read().split():
                with open(f"/proc/{pid}/cmdline", "rb") as command:
                    if wanted.encode() in command.read():
                        return int(pid)
    raise AssertionError("no worker")


@dataclass
class Server:
    """A running ``openholder serve``. Tokens are for the configured public URL, wherever it really listens."""

    folder: Path
    arguments: tuple[str, ...] = ("--dev",)
    public_url: str = "http://127.0.0.1:1"
    environment: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    context: ssl.SSLContext | None = None
    sockets: Sequence[socket.socket] = ()
    """Listening sockets that are passed to it, as systemd does."""
    file: str = "openholder.toml"

    def __enter__(self) -> Server:
        self._arrived: queue.Queue[str | None] = queue.Queue()
        descriptors = [listening.fileno() for listening in self.sockets]
        passing = [sys.executable, "-c", PASS_SOCKETS.format(descriptors)] if descriptors else []
        self.process = subprocess.Popen(
            [*passing, *COMMAND, "serve", "-c", self.file, *self.arguments],
            cwd=self.folder,
            env={**os.environ, **self.environment},
            pass_fds=descriptors,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            self.port, self.admin_port = map(int, re.findall(r":(\d+)", self.event("listening on")["event"]))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.process.stdout.close()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line)
            self._arrived.put(line)
        self._arrived.put(None)

    def event(self, text: str, **wanted: Any) -> dict[str, Any]:
        """Wait for a log line whose event holds ``text``, with the ``wanted`` fields, and give all its fields."""
        deadline = time.monotonic() + PATIENCE
        while (line := self._arrived.get(timeout=max(0.1, deadline - time.monotonic()))) is not None:
            fields = json.loads(line) if line.startswith("{") else {"event": line}
            if text in str(fields.get("event")) and wanted.items() <= fields.items():
                return fields
        raise AssertionError(f"the process ended without saying {text!r}:\n{''.join(self.lines)}")

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def signer(self) -> Signer:
        return Signer.load_or_generate(self.folder / DEVELOPMENT_KEY)

    def token(self, path: str) -> str:
        return self.signer.sign_token(ISSUER, self.public_url + path.partition("?")[0])

    def connect(self) -> http.client.HTTPConnection:
        if self.context:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=self.context)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def call(self, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """One request on a connection of its own: status and decoded answer."""
        connection = self.connect()
        headers = {"Authorization": f"Bearer {token or self.token(path)}", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal, and give the exit code."""
        self.process.send_signal(signum)
        return self.process.wait(PATIENCE)
