"""The edges of a process: workers killed, descriptors, memory and disk used up, TLS spoken wrongly."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import os
import queue
import resource
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from catalogue.rows import counted
from helpers.commands import run_command
from helpers.people import BALANCE
from helpers.processes import COMMAND, PATIENCE, Server, configuration, find_worker, free_pair, free_port, openholder
from helpers.support import ISSUER, SQLITE, sample_rows, start_with, write_sqlite
from openholder.fiskil.signer import DEVELOPMENT_KEY, Signer

DETAILS = "/auth/v1/customer/cust-1"


@pytest.fixture
def bank(tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    return tmp_path


def until(condition):
    """Wait for something that happens in another process."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# -- workers ------------------------------------------------------------------------------------------------------


class Holding(BaseHTTPRequestHandler):
    """An upstream that holds its answers back until it is let go."""

    asked: queue.Queue[str] = queue.Queue()
    go = threading.Event()

    def do_GET(self) -> None:
        self.asked.put(self.path)
        self.go.wait(PATIENCE)
        body = b'{"id": "cust-1", "name": "Somebody"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the worker was killed
            super().handle()


@pytest.fixture
def holding():
    Holding.asked, Holding.go = queue.Queue(), threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Holding)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield f'[sources.api]\nkind = "rest"\nbase_url = "{url}"\ntimeout = 30\n[sources.api.collections]\n'
    Holding.go.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_killed_worker_fails_only_its_own_requests(tmp_path, holding):
    configuration(tmp_path, listen="workers = 2", more=holding + 'customers = "/customers/{customerId}"\n')
    with Server(tmp_path) as server, ThreadPoolExecutor(16) as pool:
        server.event("listening on")
        tokens = [server.token(DETAILS) for _ in range(16)]
        running = [pool.submit(server.call, DETAILS, token=token) for token in tokens]
        for _ in tokens:
            Holding.asked.get(timeout=PATIENCE)
        victim, other = children(server.process.pid)
        os.kill(victim, signal.SIGKILL)
        server.event("restarting it")
        Holding.go.set()
        ends = [job.exception(PATIENCE) or job.result() for job in running]
        answered = [end for end in ends if not isinstance(end, Exception)]
        assert set(map(repr, answered)) <= {repr((200, {"id": "cust-1", "name": "Somebody"}))}
        cut_off = [end for end in ends if isinstance(end, Exception)]
        assert all(isinstance(end, ConnectionError | http.client.HTTPException) for end in cut_off)
        server.event("listening on")
        replaced = set(children(server.process.pid))
        assert other in replaced and victim not in replaced and len(replaced) == 2
        assert [server.call(DETAILS, token=token)[0] for token in tokens] == [401] * 16
        assert [server.call(DETAILS)[0] for _ in range(8)] == [200] * 8
        assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.subprocess
def test_an_admin_port_stays_taken_while_its_worker_restarts(bank):
    """A worker that finds its port taken cannot start, and one that cannot start stops the whole server."""
    port = free_pair()
    configuration(bank, listen="workers = 2", more=SQLITE, admin_port=port)
    with Server(bank) as server:
        server.event("listening on")
        os.kill(find_worker(server.process.pid, 1), signal.SIGKILL)
        server.event("restarting it")
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", port + 1))
        # Asked while nobody is there to answer: the new worker does.
        with urllib.request.urlopen(f"http://127.0.0.1:{port + 1}/ready", timeout=PATIENCE) as answer:
            assert answer.status == 200
        assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_port_that_a_later_worker_needs_is_missed_at_the_start(bank):
    port = free_pair()
    configuration(bank, listen="workers = 2", more=SQLITE, admin_port=port)
    with socket.create_server(("127.0.0.1", port + 1)):
        ended = openholder("serve", "--dev", cwd=bank)
    assert (ended.returncode, f"cannot listen on 127.0.0.1:{port + 1}: Address already in use" in ended.stderr) == (
        4,
        True,
    )
    assert "listening on" not in ended.stdout


@pytest.mark.slow
@pytest.mark.subprocess
def test_workers_inherit_only_the_sockets(bank):
    """They serve all of them, and import nothing from the folder in which the command was given."""
    configuration(bank, listen='workers = 2\naddress = ""', more=SQLITE)
    for module in ("tornado", "openholder", "sitecustomize"):
        (bank / f"{module}.py").write_text("open('imported', 'w').close()\n")
    with Server(bank) as server:
        server.event("listening on")
        parent = server.process.pid
        for address in [found[4][0] for found in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)]:
            for _ in range(8):  # enough for both workers to have one
                connection = http.client.HTTPConnection(address, server.port, timeout=PATIENCE)
                headers = {"Authorization": f"Bearer {server.token(BALANCE)}", "Connection": "close"}
                connection.request("GET", BALANCE, headers=headers)
                assert connection.getresponse().status == 200
                connection.close()
        workers = children(parent)
        assert len(workers) == 2
        for worker in workers:
            assert b"--worker" in Path(f"/proc/{worker}/cmdline").read_bytes().split(b"\0")  # exec, no bare fork
        held = [os.readlink(entry) for entry in Path(f"/proc/{parent}/fd").iterdir() if entry.is_symlink()]
        assert not [place for place in held if place.endswith((".db", ".db-wal", ".db-shm"))]
        assert server.stop() == 0
    assert not (bank / "imported").exists()
    assert f"configuration: {bank / 'openholder.toml'}" in server.lines[0]


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("transport")
def test_the_end_under_load_loses_no_answer(bank, workers):
    """Each caller goes on until no connection is taken any more; whatever was taken is answered.

    The kernel makes connections before a process takes them: one that it made in the very moment of closing is reset
    by it, before anything was read. Such a request is in nobody's log, and every answer in the log has arrived.
    """
    configuration(bank, listen=f"workers = {workers}", more=SQLITE)
    with Server(bank) as server, ThreadPoolExecutor(8) as pool:
        for _ in range(workers - 1):
            server.event("listening on")
        signer, statuses, lost = server.signer, [], []
        stopping = threading.Event()
        uri = server.public_url + BALANCE

        def call_until_refused() -> None:
            while True:
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
                try:
                    connection.connect()
                except ConnectionError:
                    return
                answered = 0
                try:
                    while connection.sock is not None:  # http.client lets go of it after Connection: close
                        headers = {"Authorization": f"Bearer {signer.sign_token(ISSUER, uri)}"}
                        connection.request("GET", BALANCE, headers=headers)
                        response = connection.getresponse()
                        json.loads(response.read())
                        statuses.append(response.status)
                        answered += 1
                except (OSError, http.client.HTTPException) as exc:
                    if answered or not stopping.is_set():
                        lost.append(type(exc).__name__)
                    return
                finally:
                    connection.close()

        callers = [pool.submit(call_until_refused) for _ in range(8)]
        until(lambda: len(statuses) > 200)
        stopping.set()
        server.process.send_signal(signal.SIGTERM)
        for caller in callers:
            caller.result(40)
        assert server.process.wait(PATIENCE) == 0
    logged = [json.loads(line)["event"] for line in server.lines if line.startswith("{")]
    assert lost == []
    assert set(statuses) == {200}
    assert len(statuses) == logged.count("request")


# -- what runs out ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.usefixtures("transport")
def test_a_process_recovers_from_a_lack_of_file_descriptors(bank):
    """And it does not flood its log meanwhile."""
    configuration(bank, more=SQLITE)
    with Server(bank) as server:
        assert server.call(BALANCE)[0] == 200
        in_use = max(int(entry.name) for entry in Path(f"/proc/{server.process.pid}/fd").iterdir())
        before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (in_use + 20, before[1]))
        lines = len(server.lines)
        idle = [socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) for _ in range(60)]
        until(lambda: len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) >= in_use + 15)
        time.sleep(1)  # the second in which a log may be flooded
        for connection in idle:
            connection.close()
        assert server.call(BALANCE)[0] == 200
        flooded = len(server.lines) - lines
        assert server.stop() == 0
    assert flooded < 200, server.lines[lines + 1]


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.usefixtures("transport")
def test_memory_does_not_grow_with_requests(bank):
    configuration(bank, more=SQLITE)
    with Server(bank) as server:
        signer, uri = server.signer, server.public_url + BALANCE

        def pages() -> int:
            return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])

        def rounds(number: int) -> None:
            connection = server.connect()
            for turn in range(number):
                sent = {"Authorization": "Bearer " + (signer.sign_token(ISSUER, uri) if turn % 2 else "x.y.z")}
                connection.request("GET", BALANCE, headers=sent)
                response = connection.getresponse()
                assert response.status == (200 if turn % 2 else 401)
                response.read()
            connection.close()

        rounds(500)
        before = pages()
        rounds(1500)
        assert pages() < before * 1.05
        assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_log_that_cannot_be_written_stops_nobody(bank):
    port = free_port()
    configuration(bank, more=SQLITE)
    environment = {**os.environ, "OPENHOLDER_LISTEN__PORT": str(port)}
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(
            [*COMMAND, "serve", "-c", "openholder.toml", "--dev"],
            cwd=bank,
            env=environment,
            stdout=full,
            stderr=full,
        )
    try:
        until(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None
        signer = Signer.load_or_generate(bank / DEVELOPMENT_KEY)
        for _ in range(20):
            for token in (signer.sign_token(ISSUER, f"http://127.0.0.1:1{BALANCE}"), "x.y.z"):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
                connection.request("GET", BALANCE, headers={"Authorization": f"Bearer {token}", "Connection": "close"})
                assert connection.getresponse().status == (401 if token == "x.y.z" else 200)
                connection.close()
        process.terminate()
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait(PATIENCE)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


# -- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[listen]", "[listen]\nportt = 1", "portt"),
        (f'issuer = "{ISSUER}"', "", "issuer"),
        ('public_url = "http://127.0.0.1:1"', 'public_url = "http://bank.example"', "public_url"),
        ("[fiskil]", '[fiskil]\nalgorithms = ["none"]', "algorithms"),
        ("[sources.bank]", '[serve]\n"*" = "bank"\n"*" = "bank"\n[sources.bank]', "openholder.toml"),
        ("[sources.bank]", '[sources.other]\nkind = "sqlite"\npath = "bank.db"\n[sources.bank]', "serve"),
    ],
)
def test_an_impossible_configuration_ends_the_start_with_a_line(bank, old, new, told):
    path = configuration(bank, more=SQLITE)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    ended = run_command("serve", cwd=bank)
    assert ended.returncode == 3
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr and len(lines) <= 2


# -- TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def secured(io_loop, world, monkeypatch, transport):
    """A server in this process that speaks TLS, and the authority behind its certificate."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(world.folder / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(world.folder / "tls.crt")
    monkeypatch.setenv("OPENHOLDER_LISTEN__TLS_CERTIFICATE", str(world.folder / "tls.crt"))
    monkeypatch.setenv("OPENHOLDER_LISTEN__TLS_KEY", str(world.folder / "tls.key"))
    io_loop.run_sync(lambda: start_with(world, "sqlite", sample_rows()))
    return world, authority


def trusting(authority, ciphers="", version=None):
    context = ssl.create_default_context()
    context.check_hostname = False
    authority.configure_trust(context)
    if ciphers:
        context.set_ciphers(ciphers)
    if version:
        context.maximum_version = version
    return context


async def served(world, context):
    """Whether a request gets through: without a server name, as everything here."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.holder.port, ssl=context)
    token = world.token(BALANCE)
    writer.write(
        f"GET {BALANCE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    answer = await reader.read()
    writer.close()
    return answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
@pytest.mark.gen_test
async def test_tls_refuses_weak_ciphers_and_plain_http(secured):
    """And it needs no server name."""
    world, authority = secured
    assert await served(world, trusting(authority))
    old = ssl.TLSVersion.TLSv1_2
    assert await served(world, trusting(authority, "ECDHE+AESGCM", old))
    offered = 0
    for weak in ("RC4", "3DES", "aNULL", "eNULL", "DES", "EXPORT", "MD5", "kRSA+AES128"):
        try:
            context = trusting(authority, f"{weak}:@SECLEVEL=0", old)
        except ssl.SSLError:
            continue  # this OpenSSL cannot even offer it
        offered += 1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await served(world, context)
    assert offered
    reader, writer = await asyncio.open_connection("127.0.0.1", world.holder.port)
    writer.write(f"GET {BALANCE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            assert b"HTTP" not in await reader.read()
    writer.transport.abort()
    assert await served(world, trusting(authority))


def reset(port, *sent):
    """Connect, send, and hang up with a reset, as port scanners and health checks do."""
    with socket.create_connection(("127.0.0.1", port)) as caller:
        for piece in sent:
            caller.sendall(piece)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.slow
@pytest.mark.gen_test
async def test_a_reset_on_the_tls_port_is_no_error(secured, caplog):
    """At once, after some bytes, in the middle of a hello, and after plain HTTP."""
    world, authority = secured
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    for sent in ((), (b"G",), (hello,), (b"\x15\x03\x01\x00\x02\x02\x28",), (b"GET / HTTP/1.1\r\n\r\n",)):
        for _ in range(6):
            await asyncio.to_thread(reset, world.holder.port, *sent)
    assert await served(world, trusting(authority))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    closed = counted(world, "openholder_http_connections_closed_total", "reason")
    assert 20 <= closed["tls"] <= 30


@pytest.mark.slow
@pytest.mark.gen_test(timeout=30)
async def test_a_stalled_handshake_is_cancelled_within_ten_seconds(secured):
    """A hello without an end, and nothing at all. Meanwhile others are served."""
    world, authority = secured
    pairs = [await asyncio.open_connection("127.0.0.1", world.holder.port) for _ in range(2)]
    pairs[0][1].write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    assert await served(world, trusting(authority))
    try:
        async with asyncio.timeout(11):
            for reader, _ in pairs:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
    finally:
        for _, writer in pairs:
            writer.transport.abort()
