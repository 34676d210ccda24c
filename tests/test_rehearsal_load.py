"""The measurement of the rehearsal: tiers, and a load in an open loop, against a small server beside it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from openholder.contract.operations import OPERATIONS
from openholder.rehearsal import load, tiers
from openholder.rehearsal.caller import calling
from openholder.rehearsal.exchange import Exchange, Leg, route
from openholder.rehearsal.play import Act, rehearsed
from openholder.rehearsal.scene import Plan, Scene, Visit, asking
from openholder.rehearsal.tiers import Measure, Tier, measured, tier_of
from openholder.server.app import bind
from support import ISSUER

NAMES = ("searchCustomers", "getCommonCustomer", "getBankingBalance", "listBankingTransactions")
MIX = tuple(operation for operation in OPERATIONS if operation.name in NAMES)
ROUTES = {operation.name: route(operation) for operation in MIX}
BALANCE = ROUTES["getBankingBalance"]
COUNT = 25
"""Requests of the usual load: 50 a second for half a second."""
IDS = {"customerId": "c-1", "accountId": "a-1"}


class Fine(RequestHandler):
    """Answers everything with data, and notes what came."""

    def initialize(self, events):
        self.events = events

    async def prepare(self):
        self.events.append(self.request.headers["Authorization"].partition(" ")[2])
        await self.behave(len(self.events))
        if not self._finished:
            self.finish({"data": {}})

    async def behave(self, number):
        """What is wrong with the server."""


class SlowBalances(Fine):
    async def behave(self, number):
        if self.request.path.endswith("/balance"):
            await asyncio.sleep(0.3)


class Stalled(Fine):
    async def behave(self, number):
        if number == 20:
            time.sleep(1)  # blocks its loop: that is what is tested


class Busy(Fine):
    async def behave(self, number):
        self.set_status(503)


class BusyForAWhile(Busy):
    async def behave(self, number):
        self.set_status(429)
        self.set_header("Retry-After", "1")


class Page(Fine):
    async def behave(self, number):
        self.finish("<html>")


class Hanging(Fine):
    async def behave(self, number):
        await asyncio.sleep(1.5)


@contextmanager
def serving(handler, events):
    """The server on a port of its own, in a thread of its own: what it does must not hold up the load."""
    sockets, ready, stop = bind("127.0.0.1", 0), threading.Event(), []

    async def serve():
        server, ended = HTTPServer(Application([(".*", handler, {"events": events})])), asyncio.Event()
        server.add_sockets(sockets)
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(ended.set))
        ready.set()
        await ended.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    finally:
        stop[0]()
        thread.join(10)


def scene_of(caller, rate, seconds, operations=MIX, customers=1):
    """A conversation that went well, so that there is something to ask under load."""
    visits = []
    for number in range(customers):
        visit = Visit(customer_id=f"c-{number}")
        for operation in operations:
            request = asking(operation, IDS, email="someone@example.com")
            visit.legs[operation.name].append(Leg(operation, IDS, [Exchange(request=request, status=200)]))
        visits.append(visit)
    return Scene(caller, Plan(operations, rate=rate, seconds=seconds), visits=visits)


def under_load(handler, signer, rate=50, seconds=0.5, events=None, patience=5, **more):
    """What a load on such a server comes to: the scene, and the names and subjects of what was found."""

    async def run(url):
        async with calling(url, url, ISSUER, signer, seconds=patience) as caller:
            scene = scene_of(caller, rate, seconds, **more)
            outcomes = [outcome async for outcome in load.loaded(scene)]
            return scene, outcomes

    with serving(handler, [] if events is None else events) as url:
        return asyncio.run(run(url))


def found(outcomes):
    return {(outcome.rule.name, outcome.subject) for outcome in outcomes if outcome.verdict == "found"}


def test_a_good_server_is_found_nothing_against(signer):
    scene, outcomes = under_load(Fine, signer)
    assert found(outcomes) <= {("load-on-time", load.SERVER)}
    assert (scene.load.sent, scene.load.good, scene.load.failed, scene.load.unsent) == (COUNT, COUNT, 0, 0)
    assert sum(second.answered for second in scene.load.timeline) == COUNT
    assert sum(measure.count for measure in scene.load.measures) == COUNT
    assert scene.exchanges == []
    assert scene.load.reached <= 60


def test_a_slow_operation_is_named_and_no_other(signer, monkeypatch):
    monkeypatch.setattr(load, "MOST_LAG", 60)
    monkeypatch.setattr(tiers, "TIERS", {name: Tier("roomy", 60) for name in NAMES} | {NAMES[2]: Tier("tiny", 0.2)})
    _, outcomes = under_load(SlowBalances, signer)
    assert found(outcomes) == {("within-tier", BALANCE)}
    (slow,) = [outcome for outcome in outcomes if outcome.verdict == "found"]
    assert "limit 200 ms (tiny)" in slow.deviations[0].came


def test_whoever_comes_during_a_stall_is_seen_to_wait(signer, monkeypatch):
    kept, summed = [], load.summed
    monkeypatch.setattr(load, "summed", lambda rate, shots: kept.extend(shots) or summed(rate, shots))
    scene, _ = under_load(Stalled, signer, rate=40, seconds=1.5)
    assert scene.load.good == 60
    # 40 were due while the server slept: had each waited for the one before, one answer alone would be late.
    assert sum(shot.seconds > 0.3 for shot in kept) >= 15
    assert max(second.p95 for second in scene.load.timeline) > 0.5


def test_latency_counts_from_the_due_time_and_not_from_the_start():
    request = asking(MIX[0], IDS)
    shots = [load.Shot(request, "good", "", due=n / 10, began=n / 10 + 1, ended=n / 10 + 1.25) for n in range(20)]
    summary = load.summed(10, shots)
    assert summary.measures[0].p50 == pytest.approx(1.25)
    assert summary.lag == pytest.approx(1)
    assert summary.reached == pytest.approx(10)
    assert [second.answered for second in summary.timeline] == [0, 8, 10, 2]


def test_a_load_that_started_late_says_so_and_judges_no_tier(signer, monkeypatch):
    monkeypatch.setattr(load, "MOST_LAG", -1)
    _, outcomes = under_load(Fine, signer)
    assert found(outcomes) == {("load-on-time", load.SERVER)}
    tiers_seen = [outcome.verdict for outcome in outcomes if outcome.rule.name == "within-tier"]
    assert set(tiers_seen) == {"skipped"}


def test_503_without_retry_after_is_found_for_each_operation(signer):
    scene, outcomes = under_load(Busy, signer)
    asked = {outcome.subject for outcome in outcomes if outcome.rule.name == "load-retry-after"}
    assert {("load-retry-after", subject) for subject in asked} <= found(outcomes)
    assert BALANCE in asked
    assert (scene.load.blunt, scene.load.good) == (COUNT, 0)


@pytest.mark.parametrize(("customers", "due"), [(1, False), (5, True)])
def test_refusals_with_retry_after_are_found_only_below_the_thresholds(signer, customers, due):
    scene, outcomes = under_load(BusyForAWhile, signer, customers=customers)
    names = {name for name, _ in found(outcomes)} - {"load-on-time"}
    assert names == ({"load-answered"} if due else set())
    assert scene.load.later == COUNT


def test_200_without_json_is_no_answer(signer):
    scene, outcomes = under_load(Page, signer)
    assert scene.load.failed == COUNT
    assert ("load-answered", BALANCE) in found(outcomes)


def test_requests_beyond_the_bound_are_counted_and_not_sent(signer, monkeypatch):
    monkeypatch.setattr(load, "MOST_UNDER_WAY", 5)
    monkeypatch.setattr(load, "MOST_LAG", 60)
    events = []
    scene, outcomes = under_load(Hanging, signer, events=events)
    assert scene.load.sent == len(events) == COUNT - scene.load.unsent
    assert scene.load.unsent >= COUNT // 2
    assert ("load-answered", load.SERVER) in found(outcomes)


def test_no_answer_in_time_is_a_failure(signer):
    scene, outcomes = under_load(Hanging, signer, rate=10, patience=0.2)
    assert scene.load.failed == 5
    (text, *_) = [row.deviations[0].came for row in outcomes if row.rule.name == "load-answered" and row.deviations]
    assert text.startswith("no answer in time: ")


def test_all_tokens_are_signed_before_the_first_is_sent(signer, monkeypatch):
    events, made = [], signer.token
    monkeypatch.setattr(signer, "token", lambda *args, **claims: events.append("signed") or made(*args, **claims))
    under_load(Fine, signer, events=events)
    assert events[:COUNT] == ["signed"] * COUNT
    payloads = [token.split(".")[1] for token in events[COUNT:]]
    claims = [json.loads(base64.urlsafe_b64decode(payload + "==")) for payload in payloads]
    assert len({claim["jti"] for claim in claims}) == COUNT
    assert all(61 <= claim["exp"] - claim["iat"] <= 3600 for claim in claims)


def test_the_mix_is_that_of_real_traffic():
    drawn = load.drawn(scene_of(None, 1000, 10))
    counts = Counter(request.operation.name for request in drawn)
    shares = {name: counts[name] / len(drawn) for name in NAMES}
    expected = dict(zip(NAMES, (0.05, 0.10, 0.60, 0.25), strict=True))
    assert shares == pytest.approx(expected, abs=0.02)


def test_what_is_not_served_leaves_its_share_to_the_others():
    drawn = load.drawn(scene_of(None, 50, 10, operations=MIX[:1]))
    assert {request.operation for request in drawn} == {MIX[0]}
    assert len(drawn) == 500


@pytest.mark.parametrize("wrong", [{"rate": 1, "seconds": 3001}, {"rate": 1000, "seconds": 101}, {"rate": -1}])
def test_a_load_that_is_too_long_or_too_large_is_refused(wrong):
    with pytest.raises(ValueError, match="at most 50 minutes"):
        Plan((), **wrong)


def test_every_operation_has_a_tier_and_the_table_names_no_other():
    assert set(tiers.TIERS) <= {operation.name for operation in OPERATIONS}
    limits = {operation.name: tier_of(operation).limit for operation in OPERATIONS}
    assert (limits["searchCustomers"], limits["listBankingTransactions"]) == (1.0, 1.5)
    assert (limits["listEnergyBillingSpecific"], limits["fdxListTransactions"]) == (6.0, 1.5)


def test_percentiles_are_times_that_really_were():
    measure = Measure.of(BALANCE, [n / 100 for n in range(100, 0, -1)])
    assert (measure.p50, measure.p95, measure.p99, measure.max) == (0.5, 0.95, 0.99, 1.0)
    assert Measure.of(BALANCE, [3.0]).p50 == 3.0


@pytest.mark.parametrize(("answers", "name"), [(20, "within-tier"), (19, "seems-slow")])
def test_the_conversation_is_judged_and_reported(answers, name):
    async def asked(scene):
        request = asking(MIX[0], {})
        scene.exchanges += [Exchange(request=request, status=200, seconds=2.0)] * answers
        scene.exchanges += [Exchange(request=request, status=404, seconds=9.0)]
        for outcome in ():
            yield outcome

    async def run():
        async with calling("http://127.0.0.1:1", "", ISSUER, None, seconds=1) as caller:
            acts = (Act("asked", asked), Act("measured", measured), Act("loaded", load.loaded))
            return await rehearsed(caller, Plan(MIX), acts=acts)

    report = asyncio.run(run())
    assert [timing.seconds for timing in report.timings] == [(2.0,) * answers]
    assert (name, route(MIX[0])) in found(report.outcomes)
    assert report.load is None
