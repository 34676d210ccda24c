"""The server of the soak, and what happens to it: events that an operator, Fiskil or a fault brings about."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import trustme
from bank import ISSUER
from serve import find_free_ports
from soak_bank import Generation, write_first, write_generation
from soak_load import Load

from openholder.fiskil.signer import Signer

COMMAND = (sys.executable, "-m", "openholder")
PUBLISHED = 15.0
"""Seconds that a key is published before it signs. Strangers use up the fetches that unknown keys may cause."""
TAKEN_UP = 60.0
"""Seconds within which a certificate or a configuration must be in use, and a worker replaced."""
WORKERS = 2
KEY = "a key of thirty-two characters.."
CONFIGURATION = """
public_url = "{url}"
[fiskil]
issuer = "{issuer}"
jwks_url = "http://127.0.0.1:{keys}/jwks.json"
[listen]
port = {port}
admin_port = {admin}
workers = {workers}
tls_certificate = "tls.crt"
tls_key = "tls.key"
[log]
pseudonym_key = "{key}"
[sources.bank]
kind = "sqlite"
path = "bank.db"
[observers.trail]
kind = "audit"
folder = "trail"
key = "{key}"
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds."""

    kib: int
    files: int


def measure_workers(parent: int) -> dict[int, Usage]:
    """Return what each worker holds, by process id. One that ends meanwhile is left out."""
    found = {}
    for child in map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()):
        try:
            if b"--worker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                continue
            pages = int(Path(f"/proc/{child}/statm").read_text(encoding="ascii").split()[1])
            files = sum(1 for _ in Path(f"/proc/{child}/fd").iterdir())
        except (FileNotFoundError, ProcessLookupError):
            continue
        if pages:
            found[child] = Usage(pages * os.sysconf("SC_PAGE_SIZE") // 1024, files)
    return found


class SoakServer:
    """``openholder serve`` with two workers in a folder, the keys that it fetches, and what was seen of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signers = [Signer.generate("k0")]
        self.events: Counter[str] = Counter()
        self.problems: list[str] = []
        self.samples: list[tuple[float, dict[int, Usage]]] = []
        self._authority = trustme.CA()
        self._records = write_first(folder / "first.db")
        self.generations: list[tuple[float, Generation]] = []
        self.write_generation()

    def __enter__(self) -> Self:
        self._keys = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        threading.Thread(target=self._keys.serve_forever, daemon=True).start()
        self.port, self.admin, *_ = find_free_ports(1 + WORKERS)
        self.url = f"https://localhost:{self.port}"
        places = {"url": self.url, "issuer": ISSUER, "keys": self._keys.server_port, "key": KEY, "workers": WORKERS}
        self.configured = CONFIGURATION.format(port=self.port, admin=self.admin, **places)
        (self.folder / "openholder.toml").write_text(self.configured, encoding="utf-8")
        self.write_certificate()
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen([*COMMAND, "serve"], cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603
        deadline = time.monotonic() + TAKEN_UP
        while self.read_log().count("listening on") < WORKERS or not self._is_ready():
            self.require_running()
            if time.monotonic() > deadline:
                raise SystemExit(f"the server did not become ready:\n{self.read_log()}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._keys.shutdown()
        self._keys.server_close()

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        signers = self.signers

        class Keys(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """Send the two newest keys."""
                keys = ", ".join(signer.jwks().decode()[len('{"keys": [') : -2] for signer in signers[-2:])
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(f'{{"keys": [{keys}]}}'.encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Keys

    def _is_ready(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/ready").close()
        except OSError:
            return False
        return True

    def make_load(self) -> Load:
        """Make the load for this server."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return Load(self.url, context, self.signers[0], self.generations)

    def write_generation(self) -> None:
        """Write the next generation of the database, and note when."""
        number = self.generations[-1][1].number + 1 if self.generations else 0
        write_generation(self.folder / "first.db", self.folder / "bank.db", number)
        self.generations.append((time.monotonic(), Generation(self._records, number)))
        del self.generations[:-3]

    def write_certificate(self) -> None:
        """Write a new certificate and its key, each at once."""
        issued = self._authority.issue_cert("localhost")
        for name, content in (
            ("tls.key", issued.private_key_pem.bytes()),
            ("tls.crt", b"".join(pem.bytes() for pem in issued.cert_chain_pems)),
        ):
            (self.folder / "fresh").write_bytes(content)
            (self.folder / "fresh").replace(self.folder / name)

    def read_log(self) -> str:
        """Return the log."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """Stop the server as an operator does, once."""
        if self.process.poll() is None:
            self.process.terminate()
            if self.process.wait(TAKEN_UP):
                self.problems.append(f"the server ended with {self.process.returncode}")

    def require_running(self) -> None:
        """Raise `SystemExit` with what the server said if it has ended."""
        if self.process.poll() is not None:
            raise SystemExit(f"the server ended with {self.process.returncode}:\n{self.read_log()}")

    async def sample_usage(self, pause: float) -> None:
        """Note again and again what the workers hold."""
        begun = time.monotonic()
        while True:
            self.samples.append((time.monotonic() - begun, measure_workers(self.process.pid)))
            await asyncio.sleep(max(1.0, pause))

    async def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something is so, or note the problem."""
        deadline = time.monotonic() + TAKEN_UP
        while not await asyncio.to_thread(is_so):
            if time.monotonic() > deadline:
                self.problems.append(f"after {TAKEN_UP:.0f} s: {what}")
                return
            await asyncio.sleep(0.5)

    def check_traces(self, load: Load) -> None:
        """Check that the log has no address of a customer, and that the trail is whole and has each disclosure."""
        log = self.read_log()
        if "@example" in log or "Citizen" in log:
            self.problems.append("the log has data of a customer")
        if '"level": "critical"' in log:
            self.problems.append("the log has critical lines")
        command = [*COMMAND, "audit", "verify"]
        verified = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)  # noqa: S603
        if verified.returncode:
            self.problems.append(f"the trail is not whole: {verified.stdout[-500:]}")
        recorded = 0
        for path in (self.folder / "trail").glob("*.jsonl"):
            with path.open(encoding="utf-8") as lines:
                recorded += sum('"status":200,' in line for line in lines)
        if recorded < load.good:
            self.problems.append(f"the trail has {recorded} of {load.good} disclosures")


async def rotate_key(server: SoakServer, load: Load) -> None:
    """Publish a new key beside the old one, and sign with it a little later."""
    server.signers.append(await asyncio.to_thread(Signer.generate, f"k{len(server.signers)}"))
    await asyncio.sleep(PUBLISHED)
    load.signer = server.signers[-1]


async def reload_configuration(server: SoakServer, load: Load) -> None:
    """Reload a configuration that differs by a comment."""
    before = server.read_log().count("reloaded")
    text = f"{server.configured}# reload {server.events.total()}\n"
    (server.folder / "openholder.toml").write_text(text, encoding="utf-8")
    server.process.send_signal(signal.SIGHUP)
    await server.wait_until(lambda: server.read_log().count("reloaded") > before, "the configuration is not reloaded")


async def swap_certificate(server: SoakServer, load: Load) -> None:
    """Renew the certificate, and wait until it is served."""
    server.write_certificate()
    written = (server.folder / "tls.crt").read_text(encoding="ascii")

    def is_served() -> bool:
        return ssl.get_server_certificate(("localhost", server.port)).strip() in written

    await server.wait_until(is_served, "the renewed certificate is not served")


async def replace_database(server: SoakServer, load: Load) -> None:
    """Put another database into the place of the one in use."""
    await asyncio.to_thread(server.write_generation)


async def end_worker(server: SoakServer, load: Load, signum: int) -> None:
    """End a worker, and wait until another has taken its place."""
    before = measure_workers(server.process.pid)
    load.ended_at = time.monotonic()
    os.kill(min(before), signum)

    def is_replaced() -> bool:
        load.ended_at = time.monotonic()
        now = measure_workers(server.process.pid)
        return min(before) not in now and len(now) == len(before) and server._is_ready()

    await server.wait_until(is_replaced, "the worker was not replaced")


EVENTS: Mapping[str, Callable[[SoakServer, Load], Awaitable[None]]] = {
    "databases replaced": replace_database,
    "keys rotated": rotate_key,
    "workers killed": lambda server, load: end_worker(server, load, signal.SIGKILL),
    "configurations reloaded": reload_configuration,
    "certificates swapped": swap_certificate,
    "workers stopped": lambda server, load: end_worker(server, load, signal.SIGTERM),
}
