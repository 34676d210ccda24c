"""What a supervisor such as systemd sees: its sockets are used, and it is told when requests are answered."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helpers.people import BALANCE
from helpers.processes import COMMAND, PATIENCE, Server, configuration, free_port
from helpers.support import SQLITE, sample_rows, write_sqlite
from openholder.errors import ConfigurationError
from openholder.server.connections import bind
from openholder.server.systemd import READY, STOPPING, notify, take_sockets


@pytest.fixture
def bank(tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    return tmp_path


@contextmanager
def hear(folder: Path):
    """A socket for sd_notify, and the environment that names it."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(path))
        heard.settimeout(PATIENCE)
        yield heard, {"NOTIFY_SOCKET": str(path)}


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("workers", [1, 2])
def test_systemd_is_told_when_all_workers_answer(bank, workers):
    configuration(bank, listen=f"workers = {workers}", more=SQLITE)
    with hear(bank) as (heard, environment), Server(bank, environment=environment) as server:
        assert heard.recv(100).decode() == READY
        told = datetime.now(UTC)
        for _ in range(workers - 1):
            server.event("listening on")
        said = [json.loads(line)["timestamp"] for line in server.lines if "listening on" in line]
        assert len(said) == workers
        assert max(map(datetime.fromisoformat, said)) <= told
        assert server.stop() == 0
        assert heard.recv(100).decode() == STOPPING


@pytest.mark.parametrize("prefix", ["", "@"], ids=["path", "abstract"])
def test_a_state_goes_to_the_socket_that_systemd_names(tmp_path, monkeypatch, prefix):
    name = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(name if not prefix else f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"{prefix}{name}")
        notify(READY)
        assert heard.recv(100) == b"READY=1"


def test_a_state_that_nobody_hears_is_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify(STOPPING)
    assert "systemd was not told STOPPING=1" in caplog.text
    monkeypatch.delenv("NOTIFY_SOCKET")
    caplog.clear()
    notify(STOPPING)
    assert caplog.text == ""


# -- sockets that are passed ------------------------------------------------------------------------------------------


@contextmanager
def passed(monkeypatch, *descriptors, pid=None, count=None):
    """Pass descriptors to this process, from some number on that is free here."""
    first = 500
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, first + number)
    monkeypatch.setattr("openholder.server.systemd._FIRST", first)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() if pid is None else pid))
    monkeypatch.setenv("LISTEN_FDS", str(len(descriptors)) if count is None else count)
    yield
    for number in range(len(descriptors)):
        with suppress(OSError):
            os.close(first + number)


def test_sockets_for_this_process_are_taken_once(monkeypatch):
    (listening,) = bind("127.0.0.1", 0)
    with listening, passed(monkeypatch, listening.fileno()):
        (taken,) = take_sockets()
        assert taken.getsockname() == listening.getsockname()
        assert not os.get_inheritable(taken.fileno())
        taken.close()
        assert take_sockets() == []
        assert not {"LISTEN_PID", "LISTEN_FDS"} & set(os.environ)


def test_sockets_for_another_process_are_left_alone(monkeypatch):
    with passed(monkeypatch, pid=os.getppid(), count="1"):
        assert take_sockets() == []


@pytest.mark.parametrize("count", ["x", "-1", "65", "²"])
def test_a_number_of_sockets_that_is_none_is_refused(monkeypatch, count):
    with passed(monkeypatch, count=count), pytest.raises(ConfigurationError, match="must be a number of at most 64"):
        take_sockets()


@pytest.mark.parametrize(
    ("kind", "listens"),
    [
        ((socket.AF_INET, socket.SOCK_DGRAM), False),
        ((socket.AF_INET, socket.SOCK_STREAM), False),
        ((socket.AF_UNIX, socket.SOCK_STREAM), True),
    ],
    ids=["udp", "not listening", "unix"],
)
def test_a_socket_that_does_not_listen_for_tcp_is_refused(tmp_path, monkeypatch, kind, listens):
    with socket.socket(*kind) as other:
        if listens:
            other.bind(str(tmp_path / "socket"))
            other.listen()
        with passed(monkeypatch, other.fileno()), pytest.raises(ConfigurationError, match="TCP sockets that listen"):
            take_sockets()


def test_a_descriptor_that_is_no_socket_is_refused(tmp_path, monkeypatch):
    with (
        (tmp_path / "file").open("w") as file,
        passed(monkeypatch, file.fileno()),
        pytest.raises(ConfigurationError, match="is no socket"),
    ):
        take_sockets()


@pytest.mark.slow
@pytest.mark.subprocess
def test_systemd_itself_starts_the_server_at_the_first_request(bank):
    """`systemd-socket-activate` is systemd's own program to try socket activation."""
    program = Path("/usr/bin/systemd-socket-activate")
    if not program.exists():
        pytest.skip("systemd-socket-activate is not installed (Debian: apt install systemd)")
    configuration(bank, listen="workers = 2", more=SQLITE)
    port = free_port()
    command = [program, f"--listen=127.0.0.1:{port}", *COMMAND, "serve", "--dev", "-c", "openholder.toml"]
    process = subprocess.Popen(command, cwd=bank, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while f"Listening on 127.0.0.1:{port}" not in (said := process.stderr.readline()):
            assert said, "it ended without listening"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        token = Server(bank).token(BALANCE)
        connection.request("GET", BALANCE, headers={"Authorization": f"Bearer {token}"})
        assert json.loads(connection.getresponse().read())["available"] == 1200.5
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()
