"""Let a server run under load: every request is answered, and neither memory nor open files grow.

``python bench/soak.py --seconds 600`` starts ``openholder serve --dev`` with two workers on the sample data (Linux).
Until the time is over it rehearses against it in rounds, with load and all attacks. It ends with 1 if a rehearsal finds
an error, if a process was replaced, or if the last round leaves more memory or files in use than the second.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from serve import find_free_ports

from openholder.fiskil import sample
from openholder.fiskil.signer import DEVELOPMENT_KEY

COMMAND = (sys.executable, "-m", "openholder")
ISSUER = "examplebank.cdr.fiskil.com"
ALLOWED_GROWTH = 1.1
"""Memory after the last round, as a multiple of that after the second: allocators keep some pages."""
ALLOWED_FILES = 8
"""Open files that a process may have more: threads for queries come and go."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds."""

    kib: int
    files: int


@contextmanager
def serve_sample(folder: Path, workers: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Serve the sample data with development keys. Give the process and the URL."""
    port, admin, keys = find_free_ports(3)
    url = f"http://127.0.0.1:{port}"
    jwks_url = f"http://127.0.0.1:{keys}/jwks.json"
    sample.write_sqlite(folder / "sample.db")
    (folder / "openholder.toml").write_text(
        f'public_url = "{url}"\n[fiskil]\nissuer = "{ISSUER}"\njwks_url = "{jwks_url}"\n'
        f"[listen]\nport = {port}\nadmin_port = {admin}\nworkers = {workers}\n"
        '[sources.bank]\nkind = "sqlite"\npath = "sample.db"\n',
        encoding="utf-8",
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "serve", "--dev"], cwd=folder, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            _wait_until_ready(f"http://127.0.0.1:{admin}/ready", process)
            with urllib.request.urlopen(jwks_url) as answer:
                (folder / "jwks.json").write_bytes(answer.read())
            yield process, url
        finally:
            process.terminate()
            process.wait(60)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url).close()  # noqa: S310 - http, to this machine
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not become ready")


def rehearse(folder: Path, url: str, rate: int, seconds: int) -> int:
    """Rehearse once, with load. Return the exit code: 1 if a rule of severity error is broken."""
    people = [option for email in sample.PEOPLE for option in ("--email", email)]
    keys = ("--key", DEVELOPMENT_KEY, "--jwks", "jwks.json", "--issuer", ISSUER)
    load = ("--rate", str(rate), "--for", f"{seconds}s")
    command = [*COMMAND, "rehearse", url, *people, *keys, *load]
    return subprocess.run(command, cwd=folder, check=False).returncode  # noqa: S603


def measure_workers(parent: int) -> Mapping[int, Usage]:
    """Return what each worker holds, by process id."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    found = {}
    for child in map(int, children):
        pages = int(Path(f"/proc/{child}/statm").read_text(encoding="ascii").split()[1])
        files = sum(1 for _ in Path(f"/proc/{child}/fd").iterdir())
        found[child] = Usage(pages * os.sysconf("SC_PAGE_SIZE") // 1024, files)
    return found


def find_growth(before: Mapping[int, Usage], after: Mapping[int, Usage]) -> Iterator[str]:
    """Find workers that were replaced, or hold more than before."""
    if before.keys() != after.keys():
        yield f"workers were replaced: {sorted(before)} became {sorted(after)}"
    for child in before.keys() & after.keys():
        if after[child].kib > before[child].kib * ALLOWED_GROWTH:
            yield f"worker {child} grew from {before[child].kib} to {after[child].kib} KiB"
        if after[child].files > before[child].files + ALLOWED_FILES:
            yield f"worker {child} had {before[child].files} open files, and has {after[child].files}"


def main() -> int:
    """Run rounds until the time is over, at least three, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="how long it runs, in whole rounds")
    parser.add_argument("--rate", type=int, default=40, help="requests a second")
    parser.add_argument("--load", type=int, default=60, help="seconds of load in a round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openholder-soak-") as name, serve_sample(Path(name), workers=2) as started:
        process, url = started
        ends = time.monotonic() + options.seconds
        held: list[Mapping[int, Usage]] = []
        problems: list[str] = []
        while len(held) < 3 or time.monotonic() < ends:
            if rehearse(Path(name), url, options.rate, options.load):
                problems.append(f"the rehearsal of round {len(held) + 1} found errors: see above")
            held.append(measure_workers(process.pid))
            click.echo(f"round {len(held)}: {dict(held[-1])}")
        problems += find_growth(held[1], held[-1])
        if problems:
            click.echo((Path(name) / "log").read_text(encoding="utf-8")[-20_000:])
    click.echo("\n".join(problems) or f"{len(held)} rounds: all answered, nothing grew")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
