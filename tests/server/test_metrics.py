"""Metrics: what is measured of a running server, and how several workers count together."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from helpers.people import BALANCE
from helpers.processes import PATIENCE, Server, configuration, find_worker
from helpers.support import SQLITE, sample_rows, start_with, write_sqlite
from openholder._version import __version__
from openholder.errors import Unreachable
from openholder.gate.stores import replay_file
from openholder.serving import shared_values
from openholder.serving.metrics import METRICS, Metrics
from openholder.serving.shared_values import SharedValues, forget_worker, shared_folder

NAMES = {series for metric in METRICS for series in metric.series}


def read(text):
    """The samples of an answer, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(world):
    async with world.session.get(f"http://127.0.0.1:{world.holder.admin_port}/metrics") as response:
        return read(await response.text())


# -- several workers ----------------------------------------------------------------------------------------------


class Worker:
    """What one worker counts with: in these tests all of them are in one process, one after the other."""

    def __init__(self, folder, number):
        self.shared = SharedValues(folder, number)
        self.shared.use()
        self.metrics = Metrics(self.shared)

    def start(self):
        self.metrics.count("openholder_worker_starts")()
        self.metrics.set("openholder_workers", 1)
        self.metrics.refresh()
        return self

    def read(self):
        self.metrics.refresh()
        return read(self.metrics.render().decode())


@pytest.fixture
def folder():
    with shared_folder() as folder:
        yield folder
    assert not folder.exists()


def test_each_worker_answers_for_all(folder):
    workers = []
    for number in range(3):
        worker = Worker(folder, number)
        workers.append(worker)
        worker.metrics.count("openholder_reloads", "good")(number + 1)
        worker.metrics.observe("openholder_token_life_seconds")(20.0 * number)
        worker.metrics.set("openholder_workers", 1)
        worker.metrics.set("openholder_loop_lag_seconds", number)
        worker.metrics.set("openholder_tls_certificate_days_left", 40 - number)
        worker.metrics.refresh()
    for worker in workers:
        found = worker.read()
        assert found["openholder_reloads_total", (("result", "good"),)] == 6
        assert found["openholder_token_life_seconds_count", ()] == 3
        assert found["openholder_token_life_seconds_bucket", (("le", "30.0"),)] == 2
        assert found["openholder_workers", ()] == 3
        assert found["openholder_loop_lag_seconds", ()] == 2
        assert found["openholder_tls_certificate_days_left", ()] == 38
    for worker in workers:
        worker.shared.close()


def test_counters_outlive_a_worker_and_its_gauges_do_not(folder):
    staying, dying = Worker(folder, 0).start(), Worker(folder, 1).start()
    forget_worker(folder, 1)
    found = staying.read()
    assert (found["openholder_worker_starts_total", ()], found["openholder_workers", ()]) == (2, 1)
    successor = Worker(folder, 1).start()
    found = staying.read()
    assert (found["openholder_worker_starts_total", ()], found["openholder_workers", ()]) == (3, 2)
    for worker in (staying, dying, successor):
        worker.shared.close()


def test_a_machine_without_room_for_the_folder_says_so(monkeypatch):
    def refuse(prefix):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared_values.tempfile, "mkdtemp", refuse)
    with pytest.raises(Unreachable, match=r"TMPDIR.*No space left"), shared_folder():
        pass


@pytest.mark.slow
@pytest.mark.subprocess
def test_one_address_has_the_counts_of_dead_workers_too(tmp_path):
    """Even of one that was killed, and the other's address has the same."""
    write_sqlite(tmp_path / "bank.db", sample_rows())
    configuration(tmp_path, listen="workers = 2", more=SQLITE)
    with Server(tmp_path) as server:
        try:
            server.event("listening on")
            ports = [json.loads(line)["event"].rpartition(":")[2] for line in server.lines if "admin on" in line]
            for _ in range(20):
                assert server.call(BALANCE)[0] == 200
            requests = ("openholder_tokens_total", (("alg", "PS256"), ("kid", server.signer.kid)))
            for port in ports:
                wait_for(port, {requests: 20, ("openholder_workers", ()): 2})
            os.kill(find_worker(server.process.pid), signal.SIGKILL)
            server.event("restarting it")
            server.event("listening on")
            port = [json.loads(line)["event"].rpartition(":")[2] for line in server.lines if "admin on" in line][-1]
            starts = ("openholder_worker_starts_total", ())
            wait_for(port, {requests: 20, ("openholder_workers", ()): 2, starts: 3})
        finally:
            server.stop()


def wait_for(port, wanted):
    """Wait until the metrics have these values: each worker writes its own four times a second."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            found = read(answer.read().decode())
        if {key: found.get(key) for key in wanted} == wanted:
            return
        assert time.monotonic() < deadline, {key: found.get(key) for key in wanted}
        time.sleep(0.05)


# -- one server ---------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_the_server_reports_its_version_configuration_and_state(world):
    await start_with(world, "sqlite", sample_rows())
    found = await scrape(world)
    assert {name for name, _ in found} <= NAMES
    (versions,) = [dict(labels) for name, labels in found if name == "openholder_build_info"]
    assert versions["version"] == __version__
    digest = hashlib.sha256((world.folder / "openholder.toml").read_bytes()).hexdigest()[:12]
    assert found["openholder_configuration_info", (("digest", digest),)] == 1
    assert found["openholder_workers", ()] == found["openholder_workers_configured", ()] == 1
    assert abs(found["openholder_heartbeat_timestamp_seconds", ()] - time.time()) < 60
    assert found["openholder_resident_memory_bytes", ()] > 10_000_000
    assert 0 <= found["openholder_jwks_age_seconds", ()] < 60
    assert found["openholder_route_limit_seconds", (("route", "/auth/v1/customer/{customerId}/accounts"),)] == 1.0


@pytest.mark.gen_test
async def test_a_server_without_keys_has_the_oldest_of_all(world):
    world.jwks = b'{"keys": []}'
    await start_with(world, "sqlite", sample_rows())
    assert (await scrape(world))["openholder_jwks_age_seconds", ()] == float("inf")


@pytest.mark.gen_test
async def test_reloads_are_counted_and_the_digest_is_the_one_in_use(world):
    await start_with(world, "sqlite", sample_rows())
    path = world.folder / "openholder.toml"
    content = path.read_text()
    before = world.holder.generation.configuration.digest
    path.write_text(content + "# changed\n")
    await world.holder.reload()
    path.write_text("no TOML")
    await world.holder.reload()
    found = await scrape(world)
    after = hashlib.sha256(f"{content}# changed\n".encode()).hexdigest()[:12]
    assert [found["openholder_configuration_info", (("digest", digest),)] for digest in (before, after)] == [0, 1]
    assert found["openholder_reloads_total", (("result", "good"),)] == 1
    assert found["openholder_reloads_total", (("result", "refused"),)] == 1


@pytest.mark.gen_test
async def test_refusals_to_share_are_counted_as_they_are_reported(world):
    rows = sample_rows()
    rows["accounts"] = [{**row, "status": "blocked"} for row in rows["accounts"]]
    await start_with(world, "sqlite", rows)
    assert (await world.call(BALANCE)).status == 404
    bulk = "/v1/banking/customer/cust-1001/accounts/balances"
    assert (await world.call(bulk, body={"data": {"accountIds": ["acc-2001"]}})).status == 422
    assert (await world.call("/auth/v1/customer/nobody")).status == 404
    found = await scrape(world)
    counted = {labels: value for (name, labels), value in found.items() if name == "openholder_sharing_refusals_total"}
    assert counted == {(("status", "403"),): 0, (("status", "404"),): 1, (("status", "422"),): 1}


@pytest.mark.gen_test
async def test_the_record_of_used_tokens_is_measured(world, monkeypatch):
    await start_with(world, "sqlite", sample_rows())
    for _ in range(3):
        await world.call(BALANCE)
    assert await world.holder.gate._store.count_entries() == 3
    monkeypatch.setattr(world.holder.gate, "_add_now", lambda entry, expires_at: 1 / 0)
    assert (await world.call(BALANCE)).status == 503
    found = await scrape(world)
    assert found["openholder_replay_lost_timestamp_seconds", ()] == 0
    assert found["openholder_replay_errors_total", ()] == 1
    assert ("openholder_replay_entries", ()) in found


def test_a_large_record_is_estimated(tmp_path, monkeypatch):
    monkeypatch.setattr(replay_file, "SAMPLED", 10)
    file = replay_file.open_file(tmp_path / "replay.db", time.time)
    file.add_all([(bytes([number % 256, number // 256]) * 8, time.time() + 60) for number in range(4096)])
    file.add_all([(b"\xff" * 16, time.time() + 60)])
    assert file.count_entries() == 4096
    file.close()
