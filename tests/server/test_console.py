"""The console without a browser: what a snapshot says and leaves out, who gets one, and what it costs.

`test_console_page.py` has the page itself.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import math
import time
from contextlib import AsyncExitStack
from unittest.mock import patch

import pytest

from helpers.commands import logging_as_it_was
from helpers.people import BALANCE
from helpers.support import sample_rows, start_with
from openholder.server.console import readings
from openholder.server.console.handlers import ASSETS, EVENTS, is_own_name
from openholder.server.console.panels import PANELS
from openholder.server.console.readings import History, Readings, count_above, estimate_quantile
from openholder.server.console.watching import MAX_WATCHERS
from openholder.server.console.words import Level, format_age, format_count, format_rate, format_seconds, grade
from openholder.server.logs import configure_logging
from openholder.server.recent import KEPT, MOST, RecentFaults, recent_faults
from openholder.serving.metrics import Metrics
from openholder.serving.shared_values import SharedValues
from openholder.settings import Log


def admin(world, path=""):
    return f"http://127.0.0.1:{world.holder.admin_port}{path}"


async def take_snapshot(world):
    """The first one that somebody gets who opens the page."""
    async with world.session.get(admin(world, EVENTS)) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        return json.loads((await response.content.readuntil(b"\n\n")).removeprefix(b"data: "))


def rows_of(snapshot, name):
    """The texts of a panel: by its first column, the others."""
    (panel,) = [panel for panel in snapshot["panels"] if panel["name"] == name]
    return {first[0]: [text for text, _ in others] for first, *others in panel["rows"]}


# -- what it says -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.gen_test
async def test_a_snapshot_has_all_panels_and_no_customer(world, tmp_path, monkeypatch):
    monkeypatch.setattr("openholder.server.recent.recent_faults._faults", {})
    log = io.StringIO()
    with logging_as_it_was():
        configure_logging(Log(), log)
        rows = sample_rows()
        rows["balances"] = [row | {"current": "a lot"} for row in rows["balances"]]
        await start_with(world, "sqlite", rows)
        statuses = [(await world.call(path)).status for path in (BALANCE, "/auth/v1/customer/cust-1001", "/nowhere")]
        assert statuses == [500, 200, 404]
        token = world.token(BALANCE)
        await world.call(BALANCE, token=token)
        assert (await world.call(BALANCE, token=token)).status == 401
        snapshot = await take_snapshot(world)
    assert snapshot["state"] == ["ready", "good"]
    assert [panel["name"] for panel in snapshot["panels"]] == [panel.name for panel in PANELS]
    for panel in snapshot["panels"]:
        assert {len(row) for row in panel["rows"]} <= {len(panel["columns"]) or 2}, panel["name"]
    assert rows_of(snapshot, "traffic")["/auth/v1/customer/{customerId}"][4] == "1.00 s"
    assert rows_of(snapshot, "answers")["500"][0] == "2"
    assert rows_of(snapshot, "refusals")["replayed"][0] == "1"
    source = rows_of(snapshot, "sources")["bank"]
    assert (source[:2], "banking.accounts, " in source[-1]) == (["sqlite", "healthy"], True)
    assert rows_of(snapshot, "keys")["k1"][:2] == ["in use", "3"]
    assert rows_of(snapshot, "key-set")["Fetches"] == ["1 good, 0 failed"]
    assert rows_of(snapshot, "record")["Kind"] == ["sqlite"]
    digest = world.holder.generation.configuration.digest
    assert rows_of(snapshot, "configuration")["Digest"] == [f"{digest}, workers: 1"]
    (fault,) = [texts for texts in rows_of(snapshot, "faults").values() if "source_fault" in texts[2]]
    assert (fault[:2], "balances" in fault[2]) == (["error", "2"], True)
    told = json.dumps(snapshot)
    secrets = ["cust-1001", "acc-2001", "Jane", "a lot", "127.0.0.1", str(tmp_path), token.split(".")[2]]
    assert [secret for secret in secrets if secret in told] == []
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    told_of = {str(line.get(name)) for line in lines for name in ("customer_id", "account_id", "jti") if name in line}
    assert told_of
    assert [value for value in told_of if value in told] == []


@pytest.mark.gen_test
async def test_what_is_wrong_is_said(world):
    world.jwks = b'{"keys": []}'
    await start_with(world, "sqlite", sample_rows())
    path = world.folder / "openholder.toml"
    path.write_text("no TOML")
    await world.holder.reload()
    with patch.object(type(world.holder.sources.list_sources()[0]), "check_health", side_effect=OSError("a secret")):
        snapshot = await take_snapshot(world)
    assert snapshot["state"] == ["not ready: no keys", "bad"]
    assert rows_of(snapshot, "key-set")["Fetched"] == ["never"]
    assert rows_of(snapshot, "configuration")["Reloads"] == ["0 good, 1 refused"]
    assert rows_of(snapshot, "configuration")["Last reload"][0].startswith("refused, ")
    assert rows_of(snapshot, "sources")["bank"][1] == "OSError"
    assert "a secret" not in json.dumps(snapshot)


# -- who gets it --------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_it_is_read_only_and_runs_nothing_of_others(world):
    await start_with(world, "sqlite", sample_rows(), tables="", settings="")
    for path in (*ASSETS, EVENTS):
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            async with world.session.request(method, admin(world, path)) as response:
                assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD"), (method, path)
        async with world.session.head(admin(world, path)) as response:
            assert response.status == 200
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "unsafe" not in policy
            assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1:9443", True),
        ("[::1]:9443", True),
        ("10.1.2.3", True),
        ("LOCALHOST:8080", True),
        ("holder.example:9443", True),
        ("rebound.example", False),
        ("127.0.0.1.rebound.example", False),
        ("localhost.rebound.example", False),
        ("holder.example.", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_a_name_of_somebody_else_is_refused(host, is_own):
    assert is_own_name(host, {"localhost", "holder.example"}) == is_own


@pytest.mark.gen_test
async def test_pages_of_other_sites_get_nothing(world, monkeypatch):
    monkeypatch.setenv("OPENHOLDER_LISTEN__CONSOLE_HOSTS", "holder.example")
    await start_with(world, "sqlite", sample_rows())
    found = {}
    for name, path, headers in (
        ("rebound page", "/", {"Host": "rebound.example"}),
        ("rebound stream", EVENTS, {"Host": "rebound.example"}),
        ("stream of another site", EVENTS, {"Sec-Fetch-Site": "cross-site"}),
        ("stream of another origin", EVENTS, {"Origin": "http://other.example"}),
        ("page by a link elsewhere", "/", {"Sec-Fetch-Site": "cross-site"}),
        ("configured name", "/", {"Host": "Holder.example:9443"}),
        ("metrics by any name", "/metrics", {"Host": "rebound.example"}),
    ):
        async with world.session.get(admin(world, path), headers=headers) as response:
            found[name] = response.status
    assert found == {
        "rebound page": 403,
        "rebound stream": 403,
        "stream of another site": 403,
        "stream of another origin": 403,
        "page by a link elsewhere": 200,
        "configured name": 200,
        "metrics by any name": 200,
    }


@pytest.mark.gen_test
async def test_it_can_be_turned_off(world, monkeypatch):
    monkeypatch.setenv("OPENHOLDER_LISTEN__CONSOLE", "false")
    await start_with(world, "sqlite", sample_rows())
    for path, status in {**dict.fromkeys((*ASSETS, EVENTS), 404), "/live": 200}.items():
        async with world.session.get(admin(world, path)) as response:
            assert response.status == status


# -- what it costs ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.gen_test
async def test_nothing_is_computed_unless_somebody_looks(world):
    await start_with(world, "sqlite", sample_rows())
    with patch.object(readings.Readings, "take", wraps=readings.Readings.take) as take:
        for path in ("/", "/metrics", "/ready"):
            async with world.session.get(admin(world, path)) as response:
                await response.read()
        assert take.call_count == 0
        await asyncio.gather(*(take_snapshot(world) for _ in range(MAX_WATCHERS)))
        assert take.call_count == 1


@pytest.mark.gen_test
async def test_places_are_limited_and_free_again_at_the_end(world):
    await start_with(world, "sqlite", sample_rows())
    url = admin(world, EVENTS)
    async with AsyncExitStack() as pages:
        opened = [await pages.enter_async_context(world.session.get(url)) for _ in range(MAX_WATCHERS)]
        assert {response.status for response in opened} == {200}
        async with world.session.get(url) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "10")
        opened[0].close()
        deadline = time.monotonic() + 20
        while True:
            async with world.session.get(url) as response:
                if response.status == 200:
                    break
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


# -- faults -------------------------------------------------------------------------------------------------------

LINE = {"timestamp": "2026-10-01T09:30:00Z", "level": "error", "logger": "openholder", "event": "request"}


def test_faults_keep_chosen_fields_and_no_words_of_libraries():
    faults = RecentFaults()
    faults.note(LINE | {"customer_id": "5b1d", "jti": "8a31", "ip": "203.0.113.9", "fault": "x" * 1000})
    faults.note(LINE | {"logger": "tornado.general", "event": "a request of somebody", "error": "OSError"})
    library, own = faults.list_faults() if len(faults.list_faults()) == 2 else ()
    assert own.fields == {"level": "error", "event": "request", "fault": "x" * MOST}
    assert library.fields == {"level": "error", "event": "a line of tornado: see the log", "error": "OSError"}


def test_a_flood_of_one_fault_hides_no_other():
    faults = RecentFaults()
    for number in range(KEPT - 1):
        faults.note(LINE | {"fault": str(number)})
    for number in range(1000):
        faults.note(LINE | {"fault": "flood", "fapi_interaction_id": str(number)})
    newest, *others = faults.list_faults()
    assert (newest.times, newest.interaction_id, len(others)) == (1000, "999", KEPT - 1)
    faults.note(LINE | {"fault": "one more"})
    assert len(faults.list_faults()) == KEPT


def test_workers_see_faults_of_each_other_and_of_the_dead(tmp_path):
    first, second = RecentFaults(), RecentFaults()
    first.share(tmp_path, "0")
    second.share(tmp_path, "1")
    first.note(LINE)
    second.note(LINE | {"timestamp": "2026-10-01T09:31:00Z"})
    second.note(LINE | {"fault": "of the second"})
    for faults in (first, second):
        faults.flush()
    successor = RecentFaults()
    successor.note(LINE)
    successor.share(tmp_path, "1")
    seen = [(fault.fields.get("fault"), fault.times, fault.last[11:16]) for fault in first.list_faults()]
    assert seen == [(None, 3, "09:31"), ("of the second", 1, "09:30")]
    assert successor.list_faults() == first.list_faults()
    (tmp_path / "faults_0.json").write_text("damaged")
    assert len(successor.list_faults()) == 2


def test_severe_lines_of_the_log_are_noted(monkeypatch):
    monkeypatch.setattr(recent_faults, "_faults", {})
    with logging_as_it_was():
        configure_logging(Log(), io.StringIO())
        log = logging.getLogger("openholder.test")
        log.info("all is well")
        log.warning("something is not")
    assert [fault.fields["event"] for fault in recent_faults.list_faults()] == ["something is not"]


# -- numbers ------------------------------------------------------------------------------------------------------


def test_any_worker_shows_all_of_them(tmp_path):
    workers = [SharedValues(tmp_path, number) for number in (0, 1)]
    for shared in workers:
        shared.use()
        metrics = Metrics(shared)
        metrics.set("openholder_workers", 1)
        metrics.count("openholder_http_requests", "/route", "GET", 200)(5)
        metrics.observe("openholder_http_request_seconds", "/route")(0.2)
        metrics.refresh()
    found = Readings.take(metrics.collect())
    for shared in workers:
        shared.close()
    assert found.find("openholder_workers") == 2
    assert found.find("openholder_http_requests_total", "/route", "GET", "200") == 10
    assert found.list_buckets("openholder_http_request_seconds", "/route")[-1] == (math.inf, 2)


@pytest.mark.parametrize(
    ("share", "value"),
    [(0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (0.9, 2.0), (1.0, math.inf)],
)
def test_quantiles_are_those_of_prometheus(share, value):
    """https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile, but for infinity."""
    buckets = [(1.0, 5.0), (2.0, 7.5 if share == 0.75 else 9.0), (math.inf, 10.0)]
    assert estimate_quantile(buckets, share) == value
    assert estimate_quantile([(1.0, 0.0), (math.inf, 0.0)], share) is None
    assert estimate_quantile([], share) is None


def test_only_a_bound_has_a_count_above_it():
    buckets = [(1.0, 5.0), (math.inf, 8.0)]
    assert (count_above(buckets, 1.0), count_above(buckets, 1.5)) == (3.0, 0.0)


def test_the_last_minute_is_what_somebody_has_seen_of_it():
    def moment(at):
        return Readings({"requests": {("a",): 10.0 * at}}, at)

    history = History()
    assert [reading.at for reading in history.add(moment(0.0))] == [0.0, 0.0]
    for at in range(1, 71):
        oldest, last = history.add(moment(float(at)))
    assert (oldest.at, last.at) == (10.0, 69.0)
    assert moment(70.0).since(oldest).find("requests", "a") == 600.0
    assert moment(5.0).since(oldest).find("requests", "a") == 0.0
    assert [reading.at for reading in history.add(moment(200.0))] == [200.0, 200.0]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (format_count(1234567), "1\u202f234\u202f567"),
        (format_rate(12.34), "12.3"),
        (format_rate(1234.5), "1\u202f234"),
        (format_seconds(None), "-"),
        (format_seconds(math.inf), "above all limits"),
        (format_seconds(1.5), "1.50 s"),
        (format_seconds(0.0234), "23 ms"),
        (format_seconds(0.00234), "2.3 ms"),
        (format_age(None), "none"),
        (format_age(math.inf), "none"),
        (format_age(0), "0 s"),
        (format_age(90), "2 min"),
        (format_age(7200), "2 h"),
        (format_age(172_800), "2 d"),
        (grade(None, 1, 2), Level.NONE),
        (grade(1, 1, 2), Level.GOOD),
        (grade(1.5, 1, 2), Level.WARN),
        (grade(3, 1, 2), Level.BAD),
    ],
)
def test_numbers_are_written_for_people(written, text):
    assert written == text
