"""Measure what a request costs the server: CPU time of its processes, for each operation and for the mix of traffic.

Run ``python bench/serve.py``; openholder must be installed (Linux). It starts ``openholder serve`` on an SQLite bank
(`bank`), sends requests with tokens signed before (`driver`), and reports microseconds of CPU a request. The same
figures as multiples of a fixed piece of work, done in between, hold on any machine: they are compared with
``bench/baseline.json``, and an operation that is more than 60 % dearer in its best round ends the run with 1.

``--write-baseline`` measures all variants that are installed, and rewrites the baseline and the table in
``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

from bank import ISSUER, MIX, TOKEN_LIFETIME, sign_requests, write_bank
from driver import drive
from yardstick import Yardstick

from openholder.fiskil.signer import DEVELOPMENT_KEY, Signer
from openholder.server.connections import choose_transport

BASELINE = Path(__file__).with_name("baseline.json")
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
TABLE = re.compile(r"(?<=<!-- bench/serve.py -->\n).*?(?=<!-- end -->)", re.DOTALL)
MOST = 1.6
"""How many times the baseline an operation may cost."""
BASE_URL = "https://data.examplebank.com.au"
CONFIGURATION = """
public_url = "{url}"
[fiskil]
issuer = "{issuer}"
jwks_url = "http://127.0.0.1:{keys_port}/jwks.json"
max_token_lifetime = {lifetime}
[listen]
port = {port}
admin_port = {admin_port}
workers = {workers}
http = "{http}"
[log]
format = "json"
[replay]
store = "{replay}"
[sources.bank]
kind = "sqlite"
path = "bank.db"
"""
OPERATIONS = (*MIX, "mix")


@dataclass(frozen=True)
class Variant:
    """One way to run the server."""

    replay: str
    http: str
    workers: int

    def __str__(self) -> str:
        return f"{self.replay}, {self.http}, {self.workers} worker{'s' * (self.workers > 1)}"


@dataclass
class Figures:
    """What a variant was measured to cost, in its best round."""

    us: dict[str, float] = field(default_factory=dict)
    """CPU microseconds a request."""
    multiples: dict[str, float] = field(default_factory=dict)
    """The same as a multiple of the piece of work beside it."""
    resident: float = 0.0
    """MiB of the largest worker."""

    def keep_best(self, operation: str, us: float, multiple: float) -> None:
        """Keep the figures of a round if they are the best so far."""
        self.us[operation] = min(us, self.us.get(operation, us))
        self.multiples[operation] = min(multiple, self.multiples.get(operation, multiple))


class Server:
    """A running ``openholder serve`` and its workers."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port

    def _list_pids(self) -> list[int]:
        """List the server's process and its children. Workers have sessions of their own."""
        pids = [self._process.pid]
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = stat.read_text(encoding="latin-1").rpartition(")")[2].split()[1]
            except OSError:
                continue
            if int(parent) == self._process.pid:
                pids.append(int(stat.parent.name))
        return pids

    def get_cpu_seconds(self) -> float:
        """Return the CPU time that all its processes have used (user and system, all threads)."""
        # The clock of a process as clock_getcpuclockid(3) of Linux names it: /proc/PID/stat has it in ticks of 10 ms.
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self._list_pids())

    def get_resident_memory(self) -> float:
        """Return the MiB of physical memory of the largest process."""
        pages = [Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1] for pid in self._list_pids()]
        return max(map(int, pages)) * os.sysconf("SC_PAGE_SIZE") / 2**20


def find_free_ports(count: int) -> range:
    """Return free ports that follow each other, as the admin listeners of several workers need them.

    They are below those that the system gives to callers: a connection that has just ended keeps its port for a minute.
    """
    while True:
        first = random.randrange(20_000, 32_000 - count)
        with suppress(OSError), ExitStack() as probes:
            for port in range(first, first + count):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return range(first, first + count)


@contextmanager
def host_keys(jwks: bytes) -> Iterator[int]:
    """Serve a key set at every path for the duration of the block. Yield the port."""

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(jwks)))
            self.end_headers()
            self.wfile.write(jwks)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def run_server(folder: Path, variant: Variant, keys_port: int) -> Iterator[Server]:
    """Serve the bank in ``folder``, with keys from ``keys_port``, for the duration of the block."""
    port, admin_port, *_ = find_free_ports(1 + variant.workers)
    configuration = CONFIGURATION.format(
        url=BASE_URL,
        issuer=ISSUER,
        keys_port=keys_port,
        lifetime=TOKEN_LIFETIME,
        port=port,
        admin_port=admin_port if variant.workers == 1 else 0,
        workers=variant.workers,
        http=variant.http,
        replay=variant.replay,
    )
    (folder / "openholder.toml").write_text(configuration, encoding="utf-8")
    command = [sys.executable, "-m", "openholder", "serve", "-c", str(folder / "openholder.toml")]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        _wait_until_listening(process, port, folder / "log")
        yield Server(process, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")


class Bench:
    """Measures variants of the server one after the other."""

    def __init__(self, folder: Path, pool: ProcessPoolExecutor, options: argparse.Namespace) -> None:
        self._folder = folder
        self._pool = pool
        self._options = options
        self._batches = 0
        self._key = folder / DEVELOPMENT_KEY
        self._jwks = Signer.load_or_generate(self._key).jwks()
        self.yardstick = Yardstick()

    def measure(self, variant: Variant) -> Figures:
        """Start the server, run all rounds, and return the best figures."""
        requests: int = self._options.requests
        counts = {name: requests * (2 if name == "mix" else 1) for name in OPERATIONS}
        rounds = [self._sign(counts) for _ in range(self._options.rounds)]
        (warm_up,) = self._sign({"mix": requests})
        figures = Figures()
        with host_keys(self._jwks) as keys_port, run_server(self._folder, variant, keys_port) as server:
            self._send(server, warm_up[1])
            for signed in rounds:
                for operation, batch in signed:
                    before = self.yardstick.measure()
                    us = self._send(server, batch)
                    piece = min(before, self.yardstick.measure())
                    figures.keep_best(operation, us, us / piece)
            figures.resident = server.get_resident_memory()
        return figures

    def _sign(self, counts: dict[str, int]) -> list[tuple[str, list[bytes]]]:
        """Sign requests for each operation, in all processes of the pool."""
        parts = []
        for operation, count in counts.items():
            self._batches += 1
            parts.append(self._pool.submit(sign_requests, self._key, BASE_URL, operation, count, self._batches))
        return [(operation, part.result()) for operation, part in zip(counts, parts, strict=True)]

    def _send(self, server: Server, batch: list[bytes]) -> float:
        """Send the requests from a process of their own. Return the server's CPU microseconds a request."""
        before = server.get_cpu_seconds()
        statuses = self._pool.submit(drive, server.port, batch, self._options.connections).result()
        used = server.get_cpu_seconds() - before
        if set(statuses) != {"200"}:
            raise SystemExit(f"not every request was answered with data; answers by status: {dict(statuses)}")
        return used / len(batch) * 1e6


def find_http() -> list[str]:
    """Return the installed HTTP transports, the server's choice first."""
    return ["llhttp", "tornado"] if choose_transport("auto") == "llhttp" else ["tornado"]


def format_rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format rows as a table in Markdown, in columns of equal width."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for row in (head, ruler, *rows):
        first, *others = (
            cell.ljust(width) if not n else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(f"| {' | '.join([first, *others])} |")
    return "\n".join(lines) + "\n"


def format_report(results: dict[Variant, Figures], baseline: dict[str, dict[str, float]]) -> str:
    """Format all figures, beside those of the baseline."""
    rows = []
    for variant, figures in results.items():
        known = baseline.get(str(variant), {})
        for operation in OPERATIONS:
            multiple, before = figures.multiples[operation], known.get(operation)
            beside = (f"{before:.2f}", f"{multiple / before - 1:+.0%}") if before else ("", "")
            rows.append((f"{variant}: {operation}", f"{figures.us[operation]:.0f}", f"{multiple:.2f}", *beside))
        rows.append((f"{variant}: MiB a worker", f"{figures.resident:.0f}", "", "", ""))
    return format_rows(("", "CPU us", "multiple", "baseline", "change"), rows)


def format_page(results: dict[Variant, Figures], piece: float) -> str:
    """Format the table of the documentation: a row for each variant."""
    rows = [
        (str(variant), *(f"{figures.us[name]:.0f}" for name in OPERATIONS), f"{figures.resident:.0f}")
        for variant, figures in results.items()
    ]
    table = format_rows(("CPU us a request", *OPERATIONS, "MiB a worker"), rows)
    return f"{table}\nThe piece of work took {piece:.0f} us ({describe_run()}).\n"


def describe_run() -> str:
    """Describe when and on what this was measured."""
    return f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}"


def format_scaling(results: dict[Variant, Figures]) -> str:
    """Say how many times the requests of one worker several serve, if both were measured."""
    lines = []
    for variant, figures in results.items():
        alone = results.get(Variant(variant.replay, variant.http, 1))
        if alone and variant.workers > 1:
            times = variant.workers * alone.us["mix"] / figures.us["mix"]
            lines.append(f"{variant}: {times:.2f} times the requests of one worker, by CPU a request\n")
    return "".join(lines)


def list_dearer(results: dict[Variant, Figures], baseline: dict[str, dict[str, float]]) -> list[str]:
    """List what costs more than `MOST` times the baseline."""
    return [
        f"{variant}: {operation} costs {multiple:.2f} pieces of work, and {before:.2f} in the baseline"
        for variant, figures in results.items()
        for operation, multiple in figures.multiples.items()
        if (before := baseline.get(str(variant), {}).get(operation)) and multiple > before * MOST
    ]


def write_baseline(results: dict[Variant, Figures], piece: float) -> None:
    """Replace the baseline, and the table in the documentation."""
    multiples = {
        str(variant): {name: round(multiple, 2) for name, multiple in figures.multiples.items()}
        for variant, figures in results.items()
    }
    content = {"measured": describe_run(), "piece_us": round(piece, 1), "multiples": multiples}
    BASELINE.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(TABLE.sub(lambda _: format_page(results, piece), page), encoding="utf-8")


def parse_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replay", nargs="+", default=["memory", "sqlite"], choices=["memory", "sqlite"])
    parser.add_argument("--http", nargs="+", default=find_http()[:1], choices=["llhttp", "tornado"])
    parser.add_argument("--workers", nargs="+", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=150, help="requests of each operation in a round")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--write-baseline", action="store_true", help="measure every variant, and write the figures")
    return parser.parse_args()


def list_variants(options: argparse.Namespace) -> list[Variant]:
    """List the variants to measure. Several workers share used tokens through a store that all of them see."""
    if options.write_baseline:
        options.http, options.workers = find_http(), [1, 2]
    variants = [Variant(*values) for values in product(options.replay, options.http, options.workers)]
    return [variant for variant in variants if variant.workers == 1 or variant.replay != "memory"]


def main() -> int:
    """Measure, print the report, and compare it with the baseline or write a new one."""
    options = parse_options()
    known = json.loads(BASELINE.read_text(encoding="utf-8"))["multiples"] if BASELINE.exists() else {}
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool,
    ):
        write_bank(Path(name) / "bank.db")
        bench = Bench(Path(name), pool, options)
        results = {variant: bench.measure(variant) for variant in list_variants(options)}
        for variant, figures in results.items():
            if not options.write_baseline and list_dearer({variant: figures}, known):
                # Once more: a busy moment of the machine looks like dear code.
                for operation, multiple in bench.measure(variant).multiples.items():
                    figures.multiples[operation] = min(multiple, figures.multiples[operation])
    sys.stdout.write(format_report(results, known) + format_scaling(results))
    sys.stdout.write(f"The piece of work took {bench.yardstick.us:.0f} us ({describe_run()}).\n")
    if options.write_baseline:
        write_baseline(results, bench.yardstick.us)
        return 0
    dearer = list_dearer(results, known)
    sys.stdout.writelines(f"TOO DEAR: {line}\n" for line in dearer)
    return 1 if dearer else 0


if __name__ == "__main__":
    sys.exit(main())
