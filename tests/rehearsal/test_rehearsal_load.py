"""The measurement of the rehearsal: tiers, and a load in an open loop, against a small server beside it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from helpers.support import ISSUER
from openholder.contract.operation import ASSUMED_TIER, Tier
from openholder.contract.operations import OPERATIONS
from openholder.rehearsal import load, measures
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.checks.latency import check_latency
from openholder.rehearsal.exchange import CallSequence, Exchange, format_route
from openholder.rehearsal.measures import Measure
from openholder.rehearsal.phases import Phase
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import CustomerRun, Plan, Session, build_request
from openholder.server.app import bind

pytestmark = pytest.mark.slow  # together they take seconds

NAMES = ("searchCustomers", "getCommonCustomer", "getBankingBalance", "listBankingTransactions")
MIX = tuple(operation for operation in OPERATIONS if operation.name in NAMES)
ROUTES = {operation.name: format_route(operation) for operation in MIX}
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


def session_of(caller, rate, seconds, operations=MIX, customers=1):
    """A conversation that went well, so that there is something to ask under load."""
    runs = []
    for number in range(customers):
        run = CustomerRun(customer_id=f"c-{number}")
        for operation in operations:
            request = build_request(operation, IDS, email="someone@example.com")
            run.sequences[operation.name].append(CallSequence(operation, IDS, [Exchange(request=request, status=200)]))
        runs.append(run)
    return Session(caller, Plan(operations, rate=rate, seconds=seconds), runs=runs)


def under_load(handler, signer, rate=50, seconds=0.5, events=None, patience=5, **more):
    """Put load on such a server; return the session and the results."""

    async def run(url):
        async with open_caller(url, url, ISSUER, signer, seconds=patience) as caller:
            session = session_of(caller, rate, seconds, **more)
            results = [result async for result in load.run_load(session)]
            return session, results

    with serving(handler, [] if events is None else events) as url:
        return asyncio.run(run(url))


def find_failed(results):
    return {(result.rule.name, result.subject) for result in results if result.verdict == "failed"}


def test_a_good_server_is_found_nothing_against(signer):
    session, results = under_load(Fine, signer)
    assert find_failed(results) <= {("load-on-time", load.SERVER_UNDER_LOAD)}
    assert (session.load.sent, session.load.good, session.load.failed, session.load.unsent) == (COUNT, COUNT, 0, 0)
    assert sum(second.answered for second in session.load.timeline) == COUNT
    assert sum(measure.count for measure in session.load.measures) == COUNT
    assert session.exchanges == []
    assert session.load.reached <= 60


def test_a_slow_operation_is_named_and_no_other(signer, monkeypatch):
    monkeypatch.setattr(load, "MAX_LAG", 60)
    for route, operation in measures._BY_ROUTE.items():
        tier = Tier("tiny", 0.2) if operation.name == NAMES[2] else Tier("roomy", 60)
        monkeypatch.setitem(measures._BY_ROUTE, route, replace(operation, tier=tier))
    _, results = under_load(SlowBalances, signer)
    assert find_failed(results) == {("within-tier", BALANCE)}
    (slow,) = [result for result in results if result.verdict == "failed"]
    assert "limit 200 ms (tiny)" in slow.failures[0].observed


@pytest.mark.slow
def test_whoever_comes_during_a_stall_is_seen_to_wait(signer, monkeypatch):
    kept, summarize = [], load.summarize_samples
    monkeypatch.setattr(
        load, "summarize_samples", lambda rate, samples: kept.extend(samples) or summarize(rate, samples)
    )
    session, _ = under_load(Stalled, signer, rate=40, seconds=1.5)
    assert session.load.good == 60
    # 40 were due while the server slept: had each waited for the one before, one answer alone would be late.
    assert sum(sample.seconds > 0.3 for sample in kept) >= 15
    assert max(second.p95 for second in session.load.timeline) > 0.5


def test_latency_counts_from_the_due_time_and_not_from_the_start():
    request = build_request(MIX[0], IDS)
    samples = [load.Sample(request, "good", "", due=n / 10, began=n / 10 + 1, ended=n / 10 + 1.25) for n in range(20)]
    summary = load.summarize_samples(10, samples)
    assert summary.measures[0].p50 == pytest.approx(1.25)
    assert summary.lag == pytest.approx(1)
    assert summary.reached == pytest.approx(10)
    assert [second.answered for second in summary.timeline] == [0, 8, 10, 2]


def test_a_load_that_started_late_says_so_and_judges_no_tier(signer, monkeypatch):
    monkeypatch.setattr(load, "MAX_LAG", -1)
    _, results = under_load(Fine, signer)
    assert find_failed(results) == {("load-on-time", load.SERVER_UNDER_LOAD)}
    tiers_seen = [result.verdict for result in results if result.rule.name == "within-tier"]
    assert set(tiers_seen) == {"skipped"}


def test_503_without_retry_after_is_found_for_each_operation(signer):
    session, results = under_load(Busy, signer)
    asked = {result.subject for result in results if result.rule.name == "load-retry-after"}
    assert {("load-retry-after", subject) for subject in asked} <= find_failed(results)
    assert BALANCE in asked
    assert (session.load.refused, session.load.good) == (COUNT, 0)


@pytest.mark.parametrize(("customers", "due"), [(1, False), (5, True)])
def test_retry_after_is_acceptable_above_the_thresholds(signer, customers, due):
    session, results = under_load(BusyForAWhile, signer, customers=customers)
    names = {name for name, _ in find_failed(results)} - {"load-on-time"}
    assert names == ({"load-answered"} if due else set())
    assert session.load.deferred == COUNT


def test_200_without_json_is_no_answer(signer):
    session, results = under_load(Page, signer)
    assert session.load.failed == COUNT
    assert ("load-answered", BALANCE) in find_failed(results)


@pytest.mark.slow
def test_requests_beyond_the_bound_are_counted_and_not_sent(signer, monkeypatch):
    monkeypatch.setattr(load, "MAX_IN_FLIGHT", 5)
    monkeypatch.setattr(load, "MAX_LAG", 60)
    events = []
    session, results = under_load(Hanging, signer, events=events)
    assert session.load.sent == len(events) == COUNT - session.load.unsent
    assert session.load.unsent >= COUNT // 2
    assert ("load-answered", load.SERVER_UNDER_LOAD) in find_failed(results)


def test_no_answer_in_time_is_a_failure(signer):
    session, results = under_load(Hanging, signer, rate=10, patience=0.2)
    assert session.load.failed == 5
    (text, *_) = [row.failures[0].observed for row in results if row.rule.name == "load-answered" and row.failures]
    assert text.startswith("no response in time: ")


def test_all_tokens_are_signed_before_the_first_is_sent(signer, monkeypatch):
    events, sign = [], signer.sign_token
    monkeypatch.setattr(signer, "sign_token", lambda *args, **claims: events.append("signed") or sign(*args, **claims))
    under_load(Fine, signer, events=events)
    assert events[:COUNT] == ["signed"] * COUNT
    payloads = [token.split(".")[1] for token in events[COUNT:]]
    claims = [json.loads(base64.urlsafe_b64decode(payload + "==")) for payload in payloads]
    assert len({claim["jti"] for claim in claims}) == COUNT
    assert all(61 <= claim["exp"] - claim["iat"] <= 3600 for claim in claims)


def test_the_mix_is_that_of_real_traffic():
    drawn = load.draw_requests(session_of(None, 1000, 10))
    counts = Counter(request.operation.name for request in drawn)
    shares = {name: counts[name] / len(drawn) for name in NAMES}
    expected = dict(zip(NAMES, (0.05, 0.10, 0.60, 0.25), strict=True))
    assert shares == pytest.approx(expected, abs=0.02)


def test_what_is_not_served_leaves_its_share_to_the_others():
    drawn = load.draw_requests(session_of(None, 50, 10, operations=MIX[:1]))
    assert {request.operation for request in drawn} == {MIX[0]}
    assert len(drawn) == 500


@pytest.mark.parametrize("wrong", [{"rate": 1, "seconds": 3001}, {"rate": 1000, "seconds": 101}, {"rate": -1}])
def test_a_load_that_is_too_long_or_too_large_is_refused(wrong):
    with pytest.raises(ValueError, match="at most 50 minutes"):
        Plan((), **wrong)


def test_every_operation_of_the_cds_has_a_tier_and_no_other():
    assumed = {operation.sector for operation in OPERATIONS if operation.tier == ASSUMED_TIER}
    assert assumed == {"fdx", "custom"}
    assert all(operation.tier == ASSUMED_TIER for operation in OPERATIONS if operation.sector in assumed)
    limits = {operation.name: operation.tier.limit for operation in OPERATIONS}
    assert (limits["searchCustomers"], limits["listBankingTransactions"]) == (1.0, 1.5)
    assert (limits["listEnergyBillingSpecific"], limits["fdxListTransactions"]) == (6.0, 1.5)


def test_percentiles_are_times_that_really_were():
    measure = Measure.of(BALANCE, [n / 100 for n in range(100, 0, -1)])
    assert (measure.p50, measure.p95, measure.p99, measure.max) == (0.5, 0.95, 0.99, 1.0)
    assert Measure.of(BALANCE, [3.0]).p50 == 3.0


@pytest.mark.parametrize(("answers", "name"), [(20, "within-tier"), (19, "seems-slow")])
def test_the_conversation_is_judged_and_reported(answers, name):
    async def answer(session):
        request = build_request(MIX[0], {}, token="")  # not sent again
        session.exchanges += [Exchange(request=request, status=200, seconds=2.0)] * answers
        session.exchanges += [Exchange(request=request, status=404, seconds=9.0)]
        for result in ():
            yield result

    async def run():
        async with open_caller("http://127.0.0.1:1", "", ISSUER, None, seconds=1) as caller:
            phases = (Phase("answer", answer), Phase("measured", check_latency), Phase("loaded", load.run_load))
            return await run_rehearsal(caller, Plan(MIX), phases=phases)

    report = asyncio.run(run())
    assert [timing.seconds for timing in report.timings] == [(2.0,) * answers]
    assert (name, format_route(MIX[0])) in find_failed(report.results)
    assert report.load is None
