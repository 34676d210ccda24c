"""A new version takes the place of the old one under load: every request is answered, and rightly."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, closing

import pytest

from helpers.balancers import Balancer, run_balancer
from helpers.load import Load, serve_keys
from helpers.people import BALANCE
from helpers.processes import Server, configuration, free_port
from helpers.support import sample_rows, write_sqlite
from openholder.server.connections import bind

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]

WORKERS = 2
OLD, NEW = 1200.5, 77.0
"""The balance that the old version answers with, and the new one."""


def write_versions(folder, jwks_port, listen, url=""):
    """Two configurations that differ in their data, for a version before and one after. Keys and record are shared."""
    write_sqlite(folder / "old.db", sample_rows())
    write_sqlite(folder / "new.db", sample_rows())
    with closing(sqlite3.connect(folder / "new.db")) as connection, connection:
        connection.execute("UPDATE balances SET available = '77.00' WHERE accountId = 'acc-2001'")
    for name in ("old", "new"):
        source = f'[sources.bank]\nkind = "sqlite"\npath = "{name}.db"\n'
        path = configuration(folder, listen=listen, jwks_port=jwks_port, url=url, more=source)
        path.rename(folder / f"{name}.toml")


def read_balance(answer):
    return answer["available"]


def check_outcomes(load, ended):
    """Every request was answered, by the old version or the new one, and after its end not by the old."""
    assert set(load.count()) == {(200, repr(OLD)), (200, repr(NEW))}
    assert set(load.count(ended)) == {(200, repr(NEW))}
    assert len(load.outcomes) == load.sent > 100


def test_a_version_changes_on_the_same_socket(tmp_path, signer):
    """As docs/deploy.md says for systemd: a second service on its socket stands in while the first one restarts."""
    with ExitStack() as stack:
        write_versions(tmp_path, stack.enter_context(serve_keys(signer)), f"workers = {WORKERS}")
        sockets = [stack.enter_context(one) for one in bind("127.0.0.1", 0)]

        def start(version):
            server = stack.enter_context(Server(tmp_path, (), sockets=sockets, file=f"{version}.toml"))
            for _ in range(WORKERS - 1):
                server.event("listening on")
            return server

        service = start("old")
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        with Load(url, signer, {BALANCE: read_balance}, "http://127.0.0.1:1", rate=60) as load:
            stand_in = start("new")
            assert service.stop() == 0
            ended = time.monotonic()
            service = start("new")
            assert stand_in.stop() == 0
            load.wait_for(50)
        assert service.stop() == 0
    check_outcomes(load, ended)


@pytest.mark.parametrize(("name", "delay"), [("nginx", 0), ("haproxy", 1.5)])
def test_versions_change_one_after_the_other_behind_a_proxy(tmp_path, signer, name, delay):
    """Each server stops and starts on its port. HAProxy asks `/ready`, which fails a while before."""
    balancer = Balancer(tmp_path / "proxy")
    ports = [(free_port(), free_port()) for _ in range(2)]
    with ExitStack() as stack:
        write_versions(tmp_path, stack.enter_context(serve_keys(signer)), f"drain_delay = {delay}", balancer.url)

        def start(version, number):
            port, admin = map(str, ports[number])
            environment = {"OPENHOLDER_LISTEN__PORT": port, "OPENHOLDER_LISTEN__ADMIN_PORT": admin}
            return stack.enter_context(Server(tmp_path, (), file=f"{version}.toml", environment=environment))

        servers = [start("old", number) for number in range(2)]
        stack.enter_context(run_balancer(name, balancer, ports))
        with Load(balancer.url, signer, {BALANCE: read_balance}, rate=50, context=balancer.context) as load:
            for number, server in enumerate(servers):
                assert server.stop() == 0
                ended = time.monotonic()
                servers[number] = start("new", number)
                wait_until_asked(servers[number])
            load.wait_for(50)
        assert [server.stop() for server in servers] == [0, 0]
    check_outcomes(load, ended)


def wait_until_asked(server):
    """Wait until the proxy sends requests to a server again."""
    server.event("request")
