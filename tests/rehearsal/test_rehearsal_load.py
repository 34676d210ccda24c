"""The load of the rehearsal: what recipients ask, a generator in a process of its own, against small real servers."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import msgspec
import pytest
import trustme
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from helpers.processes import PATIENCE
from helpers.support import ISSUER
from openholder.contract.operation import ASSUMED_TIER, HIGH_TIER, LOW_TIER, Tier
from openholder.contract.operations import OPERATIONS
from openholder.rehearsal import load, measures
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.checks.latency import check_latency
from openholder.rehearsal.exchange import CallSequence, Exchange, format_route
from openholder.rehearsal.generator import Finished, GeneratorFault, Job, Read, Sample, run_apart
from openholder.rehearsal.measures import Measure
from openholder.rehearsal.phases import Phase
from openholder.rehearsal.recipients import LAST_DAYS, RETURNS, TWO_YEARS, Reading, plan_customers, write_script
from openholder.rehearsal.report.html import render_html
from openholder.rehearsal.report.json import render_json
from openholder.rehearsal.report.terminal import render_text
from openholder.rehearsal.results import Report
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import CustomerRun, Plan, Session, build_request
from openholder.server.app import bind

pytestmark = pytest.mark.slow  # together they take seconds

NAMES = ("searchCustomers", "getBankingBalance", "listBankingTransactions", "getCommonCustomer")
"""In the order of `OPERATIONS`."""
MIX = tuple(operation for operation in OPERATIONS if operation.name in NAMES)
ROUTES = {operation.name: format_route(operation) for operation in MIX}
BALANCE, TRANSACTIONS = ROUTES["getBankingBalance"], ROUTES["listBankingTransactions"]
COUNT = 25
"""Requests of the usual load: 50 a second for half a second."""
IDS = {"customerId": "c-1", "accountId": "a-1"}
PAGES = 3
"""Pages of a list of two years."""


class Event(NamedTuple):
    """What came to a server, and when by the monotonic clock."""

    at: float
    path: str
    token: str
    days: int
    """How far back the records are asked for; 0 if the query has no time."""
    page: int
    size: str

    @property
    def claims(self):
        return json.loads(base64.urlsafe_b64decode(self.token.split(".")[1] + "=="))


class Fine(RequestHandler):
    """Answers everything with data, lists of two years in pages, and notes what came."""

    def initialize(self, events):
        self.events = events

    async def prepare(self):
        oldest = self.get_argument("oldest-time", "")
        ago = datetime.now(UTC) - datetime.fromisoformat(oldest) if oldest else timedelta()
        self.event = Event(
            *(time.monotonic(), self.request.path, self.request.headers["Authorization"].partition(" ")[2], ago.days),
            *(int(self.get_argument("page", "1")), self.get_argument("page-size", "")),
        )
        self.events.append(self.event)
        await self.behave(len(self.events))
        if not self._finished:
            self.finish({"data": {}, "links": self.link()})

    def link(self):
        if self.event.days < 365 or self.event.page >= PAGES:
            return {}
        return {"next": f"https://elsewhere.example/x?oldest-time=2024-01-01T00:00:00Z&page={self.event.page + 1}"}

    async def behave(self, number):
        """What is wrong with the server."""


class SlowBalances(Fine):
    async def behave(self, number):
        if self.request.path.endswith("/balance"):
            await asyncio.sleep(0.3)


class SlowHistory(Fine):
    async def behave(self, number):
        if self.event.days > 365:
            await asyncio.sleep(0.3)


class Stalled(Fine):
    async def behave(self, number):
        if number == 20:
            time.sleep(1)  # blocks its loop: that is what is tested


class Busy(Fine):
    async def behave(self, number):
        if not self.event.days:  # what is asked before the load
            self.set_status(503)
            self.finish({"errors": []})


class SometimesBusy(Fine):
    """Asks for a second of patience, at every fourth request after the first ones."""

    async def behave(self, number):
        if number > 20 and number % 4 == 0:
            self.set_status(503)
            self.set_header("Retry-After", "1")
            self.finish({"errors": []})


class BusyOnce(Fine):
    async def behave(self, number):
        if number == 10:
            self.set_status(503)
            self.set_header("Retry-After", "1")
            self.finish({"errors": []})


class Crowded(Fine):
    """Answers any request, but no more than eight at once."""

    inside = 0

    async def behave(self, number):
        Crowded.inside += 1
        try:
            if Crowded.inside > 8:
                self.set_status(500)
                self.finish({"errors": []})
            else:
                await asyncio.sleep(0.2)
        finally:
            Crowded.inside -= 1


class Fragile(Fine):
    """Closes the connection of some requests, without a response."""

    broken = range(10, 10_000, 3)

    async def behave(self, number):
        if number in self.broken:
            self.request.connection.stream.close()
            self._finished = True


class FragileOnce(Fragile):
    broken = (10,)


class Page(Fine):
    async def behave(self, number):
        if not self.event.days:
            self.finish("<html>")


class Hanging(Fine):
    async def behave(self, number):
        if number > 2:  # after what is asked before the load
            await asyncio.sleep(1.5)


class Endless(Fine):
    """Has a next page after every page."""

    def link(self):
        return {"next": f"?oldest-time=2024-01-01T00:00:00Z&page={self.event.page + 1}"}


class SmallPages(Fine):
    async def behave(self, number):
        if self.event.size:
            self.set_status(422)
            self.finish({"errors": []})


class NoHistory(Fine):
    async def behave(self, number):
        if self.event.days > 365:
            self.set_status(422)
            self.finish({"errors": []})


@contextmanager
def serving(handler, events, context=None):
    """The server on a port of its own, in a thread of its own."""
    sockets, ready, stop = bind("127.0.0.1", 0), threading.Event(), []

    async def serve():
        application = Application([(".*", handler, {"events": events})])
        server, ended = HTTPServer(application, ssl_options=context), asyncio.Event()
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
        yield f"http{'s' if context else ''}://127.0.0.1:{sockets[0].getsockname()[1]}"
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


class Loaded(NamedTuple):
    """What a load led to."""

    session: Session
    results: list
    events: list

    @property
    def failed(self):
        return {(result.rule.name, result.subject) for result in self.results if result.verdict == "failed"}

    @property
    def observed(self):
        return [failure.observed for result in self.results for failure in result.failures]


@pytest.fixture
def patient(monkeypatch):
    """The machine may be slow: only a test about the lag judges it."""
    monkeypatch.setattr(load, "MAX_LAG", 60)


def under_load(handler, signer, rate=50, seconds=0.5, patience=5, trust=None, context=None, **more):
    """Put load on such a server."""
    events = []

    async def run(url):
        tls = {"trust": ssl.create_default_context(cafile=trust), "authority": trust} if trust else {}
        async with open_caller(url, url, ISSUER, signer, seconds=patience, **tls) as caller:
            session = session_of(caller, rate, seconds, **more)
            return session, [result async for result in load.run_load(session)]

    with serving(handler, events, context) as url:
        return Loaded(*asyncio.run(run(url)), events)


@pytest.mark.subprocess
def test_a_good_server_is_found_nothing_against(signer, patient, monkeypatch):
    for route, operation in measures._BY_ROUTE.items():
        monkeypatch.setitem(measures._BY_ROUTE, route, replace(operation, tier=Tier("roomy", 60)))
    loaded = under_load(Fine, signer)
    figures = loaded.session.load
    assert loaded.failed == set()
    assert (figures.sent, figures.good, figures.failed, figures.unsent, figures.retries) == (COUNT, COUNT, 0, 0, 0)
    assert sum(second.answered for second in figures.timeline) == COUNT
    assert sum(measure.count for measure in figures.measures) == COUNT
    assert [(measure.tier.name, measure.count) for measure in figures.tiers] == [("roomy", COUNT)]
    assert figures.processor > 0
    assert figures.reached <= 60
    assert "The generator sent 95 % of the requests" in render_text(Report("x", 0.0, load=figures), 400)


@pytest.mark.subprocess
def test_two_years_are_read_to_the_last_page_and_then_14_days(signer, patient):
    """Each request has a new token, which outlives the load."""
    loaded = under_load(Fine, signer)
    tried, sent = loaded.events[:2], loaded.events[2:]
    assert [(event.days, event.size) for event in tried] == [(730, "1000"), (14, "")]
    lists = [event for event in sent if event.path.endswith("/transactions")]
    history = [event for event in lists if event.days > 365]
    assert [event.page for event in history[:PAGES]] == [1, 2, 3]
    assert {event.days for event in lists if event not in history} == {14}
    counts = Counter(event.path.rpartition("/")[2] for event in sent)
    assert counts["search"] == counts["c-1"] == 1
    assert counts["balance"] + counts["transactions"] == len(sent) - 2
    claims = [event.claims for event in sent]
    assert len({claim["jti"] for claim in claims}) == len(claims) == COUNT
    assert all(61 <= claim["exp"] - claim["iat"] <= 3600 for claim in claims)
    assert all(claim["aud"].endswith(event.path) for claim, event in zip(claims, sent, strict=True))


@pytest.mark.subprocess
def test_a_slow_operation_is_named_and_no_other(signer, patient, monkeypatch):
    for route, operation in measures._BY_ROUTE.items():
        tier = Tier("tiny", 0.2) if operation.name == NAMES[1] else Tier("roomy", 60)
        monkeypatch.setitem(measures._BY_ROUTE, route, replace(operation, tier=tier))
    loaded = under_load(SlowBalances, signer, rate=100)
    assert loaded.failed == {("within-tier", BALANCE), ("within-tier", "tiny")}
    assert all("limit 200 ms (tiny); the slowest" in text for text in loaded.observed)
    failures = [failure for result in loaded.results for failure in result.failures]
    assert all(failure.request.path.endswith("/balance") and failure.interaction_id for failure in failures)


@pytest.mark.subprocess
def test_slow_history_is_measured_apart_from_the_last_days(signer, patient, monkeypatch):
    operation = measures._BY_ROUTE[TRANSACTIONS]
    monkeypatch.setitem(measures._BY_ROUTE, TRANSACTIONS, replace(operation, tier=Tier("tiny", 0.2)))
    loaded = under_load(SlowHistory, signer)
    by_period = {measure.period: measure for measure in loaded.session.load.measures if measure.period}
    assert set(by_period) == {TWO_YEARS, LAST_DAYS}
    assert by_period[TWO_YEARS].p50 >= 0.3
    assert any("responses for two years at 50 requests per second" in text for text in loaded.observed)
    report = Report("x", 0.0, load=loaded.session.load)
    told = json.loads(render_json(report))["load"]
    assert {timing.get("period") for timing in told["timings"]} == {None, TWO_YEARS, LAST_DAYS}
    assert sum(timing["count"] for timing in told["tiers"]) == told["good"] == COUNT
    assert by_period[TWO_YEARS].label in render_text(report, 120)
    assert "Under load, by tier" in render_html(report)


@pytest.mark.subprocess
def test_whoever_comes_during_a_stall_is_seen_to_wait(signer, patient, monkeypatch):
    kept, summarize = [], load.summarize_samples
    monkeypatch.setattr(
        load,
        "summarize_samples",
        lambda rate, finished, readings: kept.extend(finished.samples) or summarize(rate, finished, readings),
    )
    loaded = under_load(Stalled, signer, rate=40, seconds=1.5)
    assert loaded.session.load.good == 60
    # 40 were due while the server slept: had each waited for the one before, one answer alone would be late.
    assert sum(sample.seconds > 0.3 for sample in kept) >= 15
    assert max(second.p95 for second in loaded.session.load.timeline) > 0.5


@pytest.mark.subprocess
def test_a_request_is_sent_again_later_with_a_new_token(signer, patient):
    loaded = under_load(SometimesBusy, signer, rate=20, seconds=3)
    figures = loaded.session.load
    assert figures.sent == 60
    assert figures.deferred >= 5
    assert 1 <= figures.recovered <= figures.retries
    tokens = [event.token for event in loaded.events]
    assert len(set(tokens)) == len(tokens)
    assert "sent again" in figures.description


@pytest.mark.subprocess
@pytest.mark.parametrize(("customers", "due"), [(1, False), (16, True)])
def test_503_with_retry_after_counts_below_the_thresholds(signer, patient, customers, due):
    """One customer is asked for 50 times a second, or each of sixteen three times."""
    loaded = under_load(SometimesBusy, signer, seconds=1, customers=customers)
    names = {name for name, _ in loaded.failed} - {"within-tier", "seems-slow"}
    assert names == ({"load-answered"} if due else set())


@pytest.mark.subprocess
@pytest.mark.parametrize("handler", [BusyOnce, FragileOnce])
def test_one_refusal_or_broken_connection_is_no_finding(signer, patient, handler):
    """HTTP lets a server close any connection, and an availability of 99.5 % lets it be away for a moment."""
    loaded = under_load(handler, signer, rate=20, seconds=3, customers=8)
    figures = loaded.session.load
    assert {name for name, _ in loaded.failed} <= {"within-tier", "seems-slow"}
    assert (figures.deferred + figures.broken, figures.retries, figures.recovered) == (1, 1, 1)


@pytest.mark.subprocess
def test_broken_connections_are_found_and_no_token_comes_twice(signer, patient):
    loaded = under_load(Fragile, signer, seconds=2)
    figures = loaded.session.load
    assert figures.broken >= 25
    assert 1 <= figures.recovered <= figures.retries
    assert "load-answered" in {name for name, _ in loaded.failed}
    assert any(text.startswith("the connection ended before the response did: ") for text in loaded.observed)
    tokens = [event.token for event in loaded.events]
    assert len(set(tokens)) == len(tokens)


@pytest.mark.subprocess
def test_a_server_that_fails_in_bursts_is_told_so(signer, patient, monkeypatch):
    monkeypatch.setattr(load, "BURST_SHARE", 1.0)
    loaded = under_load(Crowded, signer, rate=20, seconds=3)
    assert "load-answered" in {name for name, _ in loaded.failed}
    assert any("in bursts of up to 20" in text for text in loaded.observed)
    assert all(exchange.is_ok for exchange in loaded.session.exchanges)
    assert loaded.session.load.retries > 0


@pytest.mark.subprocess
def test_503_without_retry_after_is_found_for_each_operation(signer, patient):
    loaded = under_load(Busy, signer)
    routes = {ROUTES[name] for name in NAMES if name != "listBankingTransactions"}
    assert {("load-retry-after", route) for route in routes} <= loaded.failed
    assert ("load-retry-after", TRANSACTIONS) not in loaded.failed
    assert loaded.session.load.refused > 0
    failures = [row.failures[0] for row in loaded.results if row.rule.name == "load-retry-after" and row.failures]
    assert all(failure.interaction_id for failure in failures)


@pytest.mark.subprocess
def test_200_without_json_is_no_answer(signer, patient):
    loaded = under_load(Page, signer)
    assert ("load-answered", BALANCE) in loaded.failed
    assert any(text.startswith("200 that is no JSON object: ") for text in loaded.observed)


@pytest.mark.subprocess
def test_requests_beyond_the_bound_are_counted_and_not_sent(signer, patient, monkeypatch):
    monkeypatch.setattr(load, "MAX_IN_FLIGHT", 5)
    loaded = under_load(Hanging, signer)
    figures = loaded.session.load
    assert figures.sent == len(loaded.events) - 2 == COUNT - figures.unsent
    assert figures.unsent >= COUNT // 2
    assert ("load-answered", load.SERVER_UNDER_LOAD) in loaded.failed


@pytest.mark.subprocess
def test_no_answer_in_time_is_a_failure(signer, patient):
    loaded = under_load(Hanging, signer, rate=10, patience=0.4)
    assert loaded.session.load.failed == 5
    assert any(text.startswith("no response in time: ") for text in loaded.observed)


@pytest.mark.subprocess
def test_links_that_never_end_make_the_load_no_larger(signer, patient):
    loaded = under_load(Endless, signer)
    assert (loaded.session.load.sent, len(loaded.events)) == (COUNT, COUNT + 2)


@pytest.mark.subprocess
def test_history_is_asked_for_as_the_server_allows(signer, patient):
    loaded = under_load(SmallPages, signer)
    history = [event for event in loaded.events[2:] if event.days > 365]
    assert history
    assert {event.size for event in history} == {""}
    assert not {name for name, _ in loaded.failed} & {"load-answered", "load-retry-after"}


@pytest.mark.subprocess
def test_a_period_that_is_not_answered_alone_is_left_out(signer, patient):
    loaded = under_load(NoHistory, signer)
    assert {event.days for event in loaded.events[3:]} == {0, 14}
    assert loaded.session.load.good == COUNT
    skipped = [result.skipped for result in loaded.results if result.verdict == "skipped"]
    assert skipped == ["two years of records were not answered before the load"]


@pytest.mark.subprocess
def test_if_the_generator_was_the_limit_nothing_is_judged(signer, monkeypatch):
    monkeypatch.setattr(load, "MAX_LAG", -1)
    loaded = under_load(Busy, signer)
    figures = loaded.session.load
    assert {result.verdict for result in loaded.results} == {"skipped"}
    assert {result.rule.name for result in loaded.results} == {"load-answered", "load-retry-after", "within-tier"}
    assert (figures.is_limited, figures.measures, figures.tiers) == (True, (), ())
    told = render_text(Report("x", 0.0, results=loaded.results, load=figures), 200)
    assert "Untried: 3 rules (the generator was the limit: " in told
    assert "It was the limit: the figures are not the server's, and nothing is judged." in told


@pytest.mark.subprocess
def test_the_generator_trusts_the_authority_of_the_server(signer, patient, tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    loaded = under_load(Fine, signer, trust=tmp_path / "ca.pem", context=context)
    assert loaded.session.load.good == COUNT


def job_of(signer, **more):
    """A load of a hundred seconds on a port where nobody listens."""
    fields = {
        "base_url": "http://127.0.0.1:9",
        "audience": "http://127.0.0.1:9",
        "issuer": ISSUER,
        "key": signer.private_bytes(),
        "kid": signer.kid,
        "algorithm": "PS256",
        "lifetime": 200,
        "authority": "",
        "seconds": 1.0,
        "reads": [Read("GET", "/x", "", None, None, True)],
        "script": [0] * 100,
        "due": [float(second) for second in range(100)],
        "most": 10,
        "waits": (),
    }
    return Job(**fields | more)


@pytest.mark.subprocess
def test_a_generator_that_fails_says_where_and_no_value(signer, capfd):
    with pytest.raises(GeneratorFault, match="ended with exit code 1"):
        asyncio.run(run_apart(job_of(signer, key=b"a secret"), lambda _: None))
    told = capfd.readouterr()
    assert "a fault of the load generator: " in told.err
    assert "secret" not in told.err + told.out


@pytest.mark.subprocess
def test_a_generator_that_does_not_end_is_ended(signer):
    with pytest.raises(GeneratorFault, match="TimeoutError"):
        asyncio.run(run_apart(job_of(signer, lifetime=-30, seconds=1.0), lambda _: None))


@pytest.mark.subprocess
def test_the_generator_ends_with_the_process_that_started_it(signer):
    command = [sys.executable, "-P", "-m", "openholder.rehearsal.generator"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as generator:
        generator.stdin.write(msgspec.json.encode(job_of(signer)) + b"\n")
        generator.stdin.flush()
        assert b"Sent" in generator.stdout.readline() + generator.stdout.readline()
        generator.stdin.close()
        assert generator.wait(PATIENCE) == 1


@pytest.mark.subprocess
def test_a_fault_of_the_generator_leaves_the_load_unjudged(signer, monkeypatch):
    async def fail(job, on_message):
        raise GeneratorFault("the generator ended with exit code 9")

    monkeypatch.setattr(load, "run_apart", fail)
    loaded = under_load(Fine, signer)
    assert [result.skipped for result in loaded.results] == ["the generator ended with exit code 9"]
    assert loaded.session.load is None


@pytest.mark.parametrize(("rate", "seconds"), [(50, 0.5), (450, 60), (150, 7.5), (0.5, 10), (3, 2.9), (7, 1)])
def test_requests_are_due_in_order_at_the_planned_rate(rate, seconds):
    due = load.schedule_requests(rate, seconds)
    assert len(due) == round(rate * seconds)
    assert all(earlier <= later for earlier, later in pairwise(due))
    assert all(0 <= time < seconds for time in due)
    for second in range(int(seconds)):
        assert abs(sum(second <= time < second + 1 for time in due) - rate) <= 1


def test_half_of_a_second_comes_at_once_now_and_then():
    bursts = {time: number for time, number in Counter(load.schedule_requests(450, 20)).items() if number > 1}
    assert bursts == {1.0: 225, 6.0: 225, 11.0: 225, 16.0: 225}


def test_recipients_come_again_after_the_first_visit():
    accepted = {("listBankingTransactions", TWO_YEARS): "old", ("listBankingTransactions", LAST_DAYS): "new"}
    customers = plan_customers(session_of(None, 1, 1, customers=2), accepted)
    script = write_script(customers, 400)
    assert [reading.customer for reading in script[:4]] == [0, 1, 0, 1]
    asked = [reading.request.operation.name for reading in script if reading.customer == 0]
    assert asked[:4] == list(NAMES)
    assert asked[4 : 4 + 2 * RETURNS] == list(NAMES[1:3]) * RETURNS
    assert asked[4 + 2 * RETURNS :][:4] == list(NAMES)
    periods = [reading.period for reading in script if reading.customer == 0 and reading.period]
    assert periods[: RETURNS + 2] == [TWO_YEARS, *[LAST_DAYS] * RETURNS, TWO_YEARS]


def samples_of(*outcomes, every=0.05):
    return [
        Sample(0, number, 0, outcome, outcome, due=number * every, began=number * every, ended=number * every + 0.25)
        for number, outcome in enumerate(outcomes)
    ]


READINGS = [Reading(build_request(MIX[0], IDS), 0)]


def test_latency_counts_from_the_due_time_and_not_from_the_start():
    samples = [
        Sample(0, n, 0, "good", "", due=n / 10, began=n / 10 + 0.09, ended=n / 10 + 0.09 + 0.25) for n in range(20)
    ]
    summary = load.summarize_samples(10, Finished(samples, 0.1), READINGS)
    assert summary.measures[0].p50 == pytest.approx(0.34)
    assert (summary.lag, summary.lag_max) == (pytest.approx(0.09), pytest.approx(0.09))
    assert summary.reached == pytest.approx(10)
    assert [second.answered for second in summary.timeline] == [7, 10, 3]


@pytest.mark.parametrize(
    ("every", "refused", "is_accepted"),
    [
        (0.05, 10, True),  # 20 a second of one customer
        (0.2, 10, False),  # 5 a second
        (0.2, 1, True),  # one of 200: 99.5 %
        (0.2, 2, False),
    ],
)
def test_refusals_are_accepted_above_the_thresholds(every, refused, is_accepted):
    samples = samples_of(*["good"] * (200 - refused), *["deferred"] * refused, every=every)
    accepted = load._accept_refusals(samples, READINGS)
    assert len(accepted) == (refused if is_accepted else 0)


def test_periods_of_an_operation_are_judged_apart():
    operation = MIX[NAMES.index("listBankingTransactions")]
    request = build_request(operation, IDS)
    readings = [Reading(request, 0, TWO_YEARS), Reading(request, 0, LAST_DAYS)]
    seconds = {0: LOW_TIER.limit + 0.5, 1: 0.1}
    samples = [
        Sample(n % 2, n, 0, "good", "", due=n / 10, began=n / 10, ended=n / 10 + seconds[n % 2]) for n in range(60)
    ]
    figures = load.summarize_samples(10, Finished(samples, 0.1), readings)
    failed = [result for result in load._check_load(figures, samples, readings) if result.failures]
    assert [result.subject for result in failed] == [LOW_TIER.name, TRANSACTIONS]
    assert {result.rule.name for result in failed} == {"within-tier"}
    assert failed[1].failures[0].observed.startswith("p95 of 2000 ms in 30 responses for two years at 10 requests")


@pytest.mark.parametrize(
    ("late", "count", "rule"),
    [(19, 19, "seems-slow"), (2, 31, "seems-slow"), (5, 31, "within-tier"), (20, 20, "within-tier"), (5, 100, None)],
)
def test_a_few_late_responses_may_be_chance(late, count, rule):
    seconds = [LOW_TIER.limit + 0.5] * late + [0.1] * (count - late)
    samples = [Sample(0, n, 0, "good", "", due=0.0, began=0.0, ended=each) for n, each in enumerate(seconds)]
    readings = [Reading(build_request(MIX[NAMES.index("listBankingTransactions")], IDS), 0)]
    figures = load.summarize_samples(10, Finished(samples, 0.1), readings)
    results = list(load._check_load(figures, samples, readings))
    assert {result.rule.name for result in results if result.failures} == ({rule} if rule else set())
    assert figures.measures[0].late == late


def test_tiers_are_measured_with_all_their_operations():
    readings = [Reading(build_request(operation, IDS), 0) for operation in MIX]
    samples = [Sample(n, n, 0, "good", "", due=0.0, began=0.0, ended=0.1 * (n + 1)) for n in range(len(MIX))]
    tiers = load.summarize_samples(1, Finished(samples, 0.1), readings).tiers
    assert [(measure.subject, measure.tier, measure.count) for measure in tiers] == [
        (HIGH_TIER.name, HIGH_TIER, 2),
        (LOW_TIER.name, LOW_TIER, 2),
    ]


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
    failed = {(result.rule.name, result.subject) for result in report.results if result.failures}
    assert (name, format_route(MIX[0])) in failed
    assert report.load is None
