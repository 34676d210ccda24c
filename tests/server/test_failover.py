"""A failover of Redis by Sentinel, with the lines of HAProxy in docs/deploy.md: no token is accepted twice."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from helpers.balancers import Balancer, configure_haproxy
from helpers.load import Load, serve_keys
from helpers.people import BALANCE
from helpers.processes import PATIENCE, Server, configuration, free_port
from helpers.redis_server import REDIS_SERVER, RedisServer, skip_without_redis
from helpers.support import SQLITE, sample_rows, write_sqlite
from openholder.fiskil.signer import Signer

ROOT = Path(__file__).parents[2]
(LINES,) = re.findall(
    r"```\n(defaults redis\n.*?)```", (ROOT / "docs/deploy.md").read_text(encoding="utf-8"), re.DOTALL
)
ADDRESSES = {"192.0.2.1": "127.0.0.2", "192.0.2.2": "127.0.0.3", "192.0.2.3": "127.0.0.4"}
"""The machines of the page."""
A, B, _ = ADDRESSES.values()
LISTEN = ("OPENHOLDER_LISTEN__PORT", "OPENHOLDER_LISTEN__ADMIN_PORT")
SENTINEL = """
port {port}
bind {address}
dir {folder}
sentinel announce-ip {address}
sentinel monitor openholder {primary} {redis} 2
sentinel down-after-milliseconds openholder 1000
sentinel failover-timeout openholder 5000
"""


@contextmanager
def run(*command, cwd):
    """Run a program until the end of the block, whatever it says."""
    with (cwd / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_until(condition, what):
    """Ask again until it is so, also of a server that does not answer yet."""
    deadline = time.monotonic() + 2 * PATIENCE
    while True:
        with suppress(RedisError):
            if condition():
                return
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def is_replica(redis):
    """Whether a Redis says so. Sentinel cuts all connections while it makes it one."""
    with suppress(RedisError):
        return redis.client().role()[0] == b"slave"
    return False


def start_redis(folder, address, port):
    """A Redis of its own machine; the second one follows the first."""
    (folder / address).mkdir()
    options = ["--replica-announce-ip", address, "--repl-diskless-sync-delay", "0"]
    if address != A:
        options += ["--replicaof", A, str(port)]
    return RedisServer(folder / address, tuple(options), durable=True, port=port, address=address)


@pytest.mark.slow
@pytest.mark.subprocess
def test_no_token_works_twice_over_a_failover(tmp_path):
    skip_without_redis()
    balancer, signer, port, sentinel = Balancer(tmp_path / "proxy"), Signer.generate("k1"), free_port(), free_port()
    pairs = [(free_port(), free_port()) for _ in range(2)]
    proxied = free_port()
    command = configure_haproxy(balancer, pairs)
    lines = LINES.replace("127.0.0.1:6379", f"127.0.0.1:{proxied}")
    lines = lines.replace(":6379", f":{port}").replace(":26379", f":{sentinel}")
    for before, after in ADDRESSES.items():
        lines = lines.replace(before, after)
    with (balancer.folder / "haproxy.cfg").open("a") as file:
        file.write(lines)
    with ExitStack() as stack:
        first = stack.enter_context(start_redis(tmp_path, A, port))
        second = stack.enter_context(start_redis(tmp_path, B, port))
        wait_until(lambda: second.client().info("replication")["master_link_status"] == "up", "no replica")
        for address in ADDRESSES.values():
            folder = tmp_path / f"sentinel-{address}"
            folder.mkdir()
            text = SENTINEL.format(port=sentinel, address=address, folder=folder, primary=A, redis=port)
            (folder / "sentinel.conf").write_text(text)
            stack.enter_context(run(str(REDIS_SERVER), "sentinel.conf", "--sentinel", cwd=folder))
        watchers = [Redis(address, sentinel, decode_responses=True) for address in ADDRESSES.values()]
        wait_until(
            lambda: all(
                one.sentinel_master("openholder").items() >= {"num-other-sentinels": 2, "num-slaves": 1}.items()
                for one in watchers
            ),
            "the Sentinels do not know each other",
        )
        stack.enter_context(run(*command, cwd=balancer.folder))
        proxy = Redis("127.0.0.1", proxied)
        wait_until(proxy.ping, "no way through HAProxy")

        write_sqlite(tmp_path / "bank.db", sample_rows())
        replay = f'[replay]\nstore = "redis"\nurl = "redis://127.0.0.1:{proxied}/0"\ntimeout = 2\n'
        keys = stack.enter_context(serve_keys(signer))
        configuration(tmp_path, more=f"{replay}{SQLITE}", jwks_port=keys, url=balancer.url)
        servers = [
            stack.enter_context(Server(tmp_path, (), environment=dict(zip(LISTEN, map(str, pair), strict=True))))
            for pair in pairs
        ]
        with Load(balancer.url, signer, {BALANCE: lambda body: True}, rate=60, context=balancer.context) as load:
            # HAProxy has found the servers.
            wait_until(lambda: {one.status for one in load.outcomes[-40:]} == {200}, "nothing is answered")
            first.kill()
            load.wait_for(10)
            wait_until(lambda: second.client().role()[0] == b"master", "no failover")
            wait_until(lambda: {one.status for one in load.outcomes[-40:]} == {200}, "nothing is answered again")
            back = time.monotonic()
            # It calls itself primary until Sentinel tells it otherwise. Whoever connects meanwhile is led past it.
            first.start()
            led = Counter[str]()
            while not is_replica(first):
                assert time.monotonic() - back < 2 * PATIENCE
                with Redis("127.0.0.1", proxied, decode_responses=True) as fresh:
                    led[fresh.config_get("bind")["bind"]] += 1
                load.wait_for(10)
            load.wait_for(60)
        assert set(led) == {B}
        assert led[B] > 5
        again = [server.call(BALANCE, token=token)[0] for _, token in load.accepted[::5] for server in servers]
    statuses = {one.status for one in load.outcomes}
    assert statuses == {200, 503}
    late = [one for one in load.outcomes if one.sent > back and one.status != 200]
    assert late == []
    assert len(load.outcomes) == load.sent
    assert set(again) == {401}
