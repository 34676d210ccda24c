"""The REST source when its upstream is in trouble: what is tried again, for how long, and when it is left alone."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from pydantic import ValidationError

from helpers.support import Upstream
from openholder import Filter, NotFound, Query, SourceFault, SourceUnavailable
from openholder.server.connections import bind
from openholder_rest import Pace, RESTSettings, RESTSource
from openholder_rest.transport import parse_retry_after

ACCOUNTS = Query(collection="accounts")
CUSTOMER = Query(collection="customers", variables={"customerId": ".."})


class Time:
    """A clock that only stands still or is waited for."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    @property
    def pace(self):
        return Pace(clock=lambda: self.now, sleep=self.sleep)


def build_handler(status=200, body='[{"id": "a"}]', **headers):
    def answer(handler):
        handler.set_status(status)
        handler.set_header("Content-Type", "application/json")
        for name, value in headers.items():
            handler.set_header(name.replace("_", "-"), value)
        handler.finish(body)

    return answer


async def hang_up(handler):
    handler.detach().close()


async def cut_off(handler):
    stream = handler.detach()
    await stream.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n[")
    stream.close()


class Silent:
    """An upstream that accepts requests and does not respond until it is released."""

    def __init__(self):
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, handler):
        self.asked.set()
        await self.let_go.wait()
        build_handler()(handler)


def respond_in_turn(*answers):
    """One answer after the other, the last one for ever."""
    remaining = list(answers)

    def answer(handler):
        return (remaining.pop(0) if len(remaining) > 1 else remaining[0])(handler)

    return answer


OK, DOWN = build_handler(), build_handler(500)


@asynccontextmanager
async def open_source(url, pace=None, **settings):
    templates = {"accounts": "/accounts", "customers": "/customers/{customerId}"}
    source = RESTSource("core", RESTSettings(base_url=url, collections=templates, **settings), pace)
    await source.open()
    try:
        yield source
    finally:
        await source.close()


@asynccontextmanager
async def open_upstream(answer, **settings):
    """An upstream with that answer, a source that asks it, and its time."""
    clock = Time()
    async with Upstream({}) as upstream, open_source(upstream.url, clock.pace, **settings) as source:
        upstream.break_with = answer
        yield upstream, source, clock


async def fetch_outcome(source, query=ACCOUNTS):
    try:
        return [record["id"] for record in (await source.fetch(query)).records]
    except (SourceFault, SourceUnavailable) as exc:
        return type(exc).__base__ if type(exc).__name__ == "UpstreamDown" else type(exc)


# -- another try --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "attempts"),
    [
        pytest.param(build_handler(502), 2, id="502"),
        pytest.param(build_handler(503), 2, id="503"),
        pytest.param(build_handler(504), 2, id="504"),
        pytest.param(build_handler(503, Retry_After="1"), 2, id="503 for a second"),
        pytest.param(build_handler(503, Retry_After="0"), 2, id="503 for no time"),
        pytest.param(build_handler(429, Retry_After="1"), 2, id="429 for a second"),
        pytest.param(build_handler(503, Retry_After="3"), 1, id="503 for longer than the budget"),
        pytest.param(build_handler(429, Retry_After="3"), 1, id="429 for longer than the budget"),
        pytest.param(build_handler(502, Retry_After="3"), 1, id="502 for longer than the budget"),
        pytest.param(build_handler(429), 1, id="429 without saying how long"),
        pytest.param(build_handler(500), 1, id="500"),
        pytest.param(build_handler(501), 1, id="501"),
        pytest.param(build_handler(400), 1, id="400"),
        pytest.param(build_handler(401), 1, id="401"),
        pytest.param(build_handler(403), 1, id="403"),
        pytest.param(build_handler(301, Location="/elsewhere"), 1, id="redirect"),
        pytest.param(build_handler(200, "<h1>Down</h1>"), 1, id="HTML called JSON"),
        pytest.param(cut_off, 1, id="an answer that breaks off"),
    ],
)
@pytest.mark.gen_test
async def test_only_passing_trouble_is_retried(trouble, attempts):
    async with open_upstream(respond_in_turn(trouble, OK)) as (upstream, source, clock):
        found = await fetch_outcome(source)
        assert (len(upstream.requests), len(clock.slept)) == (attempts, attempts - 1)
        assert (found == ["a"]) == (attempts == 2)


@pytest.mark.gen_test
async def test_a_connection_that_is_dropped_is_replaced_once():
    async with open_upstream(respond_in_turn(hang_up, OK)) as (upstream, source, clock):
        assert await fetch_outcome(source) == ["a"]
        upstream.break_with = hang_up
        upstream.requests.clear()
        assert await fetch_outcome(source) is SourceFault
        assert (len(upstream.requests), clock.slept) == (2, [])


@pytest.mark.gen_test
async def test_404_is_an_answer():
    async with open_upstream(build_handler(404)) as (upstream, source, _):
        assert await fetch_outcome(source) == []
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (3, 4)])
@pytest.mark.gen_test
async def test_the_number_of_retries_is_configured(retries, attempts):
    async with open_upstream(build_handler(502), retries=retries, retry_budget=60) as (upstream, source, clock):
        assert await fetch_outcome(source) is SourceFault
        assert len(upstream.requests) == attempts
        assert all(0.05 * 2**n <= wait <= 0.15 * 2**n for n, wait in enumerate(clock.slept))


@pytest.mark.gen_test
async def test_no_retry_starts_after_the_budget_is_spent():
    async with open_upstream(build_handler(503, Retry_After="1"), retries=5) as (upstream, source, clock):
        assert await fetch_outcome(source) is SourceUnavailable
        assert clock.slept == [1, 1]  # a third would begin after more than the two seconds
        assert len(upstream.requests) == 3


@pytest.mark.gen_test
async def test_an_unreachable_upstream_is_retried_and_a_fault():
    (socket,) = bind("127.0.0.1", 0)
    port = socket.getsockname()[1]
    socket.close()
    clock = Time()
    async with open_source(f"http://127.0.0.1:{port}", clock.pace) as source:
        assert await fetch_outcome(source) is SourceFault
        assert len(clock.slept) == 1


@pytest.mark.gen_test
async def test_a_silent_upstream_gets_no_second_request():
    silent = Silent()
    async with open_upstream(silent, read_timeout=0.05) as (upstream, source, clock):
        assert await fetch_outcome(source) is SourceFault
        assert (len(upstream.requests), clock.slept) == (1, [])
        silent.let_go.set()


@pytest.mark.gen_test
async def test_when_one_request_fails_the_others_are_cancelled():
    silent = Silent()

    def answer(handler):
        return DOWN(handler) if handler.request.uri.endswith("=b") else silent(handler)

    async with Upstream({}) as upstream:
        upstream.break_with = answer
        settings = RESTSettings(base_url=upstream.url, collections={"balances": "/b?of={accountId}"})
        source = RESTSource("core", settings)
        await source.open()
        query = Query(collection="balances", filters=(_build_list_filter("a", "b"),))
        assert await asyncio.wait_for(fetch_outcome(source, query), 2) is SourceFault
        await source.close()
        silent.let_go.set()


def _build_list_filter(*ids):
    return Filter("accountId", "in", ids, variable="accountId")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("9999", 9999),
        ("10000", None),
        ("9" * 40, None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("soon", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Wed, 99 Foo 2026 07:28:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date_to_come(text, seconds):
    assert parse_retry_after(text) == seconds


@pytest.mark.gen_test
async def test_retry_after_as_a_date_is_passed_on_in_seconds():
    date = formatdate(time.time() + 120, usegmt=True)
    async with open_upstream(build_handler(503, Retry_After=date)) as (_, source, __):
        with pytest.raises(SourceUnavailable) as unavailable:
            await source.fetch(ACCOUNTS)
        assert 110 <= unavailable.value.retry_after <= 120


# -- the circuit breaker ------------------------------------------------------------------------------------------


async def fail_repeatedly(source, times):
    for _ in range(times):
        assert await fetch_outcome(source) in {SourceFault, SourceUnavailable}


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(DOWN, id="500"),
        pytest.param(build_handler(503), id="503"),
        pytest.param(build_handler(429), id="429"),
        pytest.param(cut_off, id="breaks off"),
    ],
)
@pytest.mark.gen_test
async def test_five_failures_in_a_row_open_the_circuit_for_ten_seconds(trouble):
    async with open_upstream(trouble, retries=0) as (upstream, source, clock):
        await fail_repeatedly(source, 5)
        clock.now += 2.5
        with pytest.raises(SourceUnavailable) as unavailable:
            await source.fetch(ACCOUNTS)
        assert unavailable.value.retry_after == 8
        assert len(upstream.requests) == 5
        upstream.break_with = OK
        clock.now += 7.4
        assert await fetch_outcome(source) is SourceUnavailable
        clock.now += 0.1
        assert await fetch_outcome(source) == ["a"]
        assert await fetch_outcome(source) == ["a"]
        assert len(upstream.requests) == 7


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(OK, id="an answer"),
        pytest.param(build_handler(404), id="404"),
        pytest.param(build_handler(401), id="401"),
        pytest.param(build_handler(200, "<h1>"), id="an answer that is broken"),
    ],
)
@pytest.mark.gen_test
async def test_a_response_between_failures_resets_the_count(between):
    async with open_upstream(respond_in_turn(*[DOWN] * 4, between, *[DOWN] * 4, OK), retries=0) as (
        upstream,
        source,
        _,
    ):
        for _ in range(9):
            await fetch_outcome(source)
        assert await fetch_outcome(source) == ["a"]
        assert len(upstream.requests) == 10


@pytest.mark.parametrize("answer", [build_handler(404), build_handler(403), build_handler(200, "<h1>")])
@pytest.mark.gen_test
async def test_responses_about_one_query_do_not_open_the_circuit(answer):
    async with open_upstream(answer) as (upstream, source, _):
        for _ in range(12):
            await fetch_outcome(source)
        assert len(upstream.requests) == 12


@pytest.mark.gen_test
async def test_a_trial_that_fails_opens_it_again():
    async with open_upstream(DOWN) as (upstream, source, clock):
        await fail_repeatedly(source, 5)
        clock.now += 10
        assert await fetch_outcome(source) is SourceFault
        assert await fetch_outcome(source) is SourceUnavailable
        clock.now += 9.9
        assert await fetch_outcome(source) is SourceUnavailable
        assert len(upstream.requests) == 6


@pytest.mark.gen_test
async def test_there_is_one_trial_and_others_do_not_wait_for_it():
    async with open_upstream(DOWN) as (upstream, source, clock):
        await fail_repeatedly(source, 5)
        clock.now += 10
        upstream.break_with = silent = Silent()
        trial = asyncio.create_task(fetch_outcome(source))
        await silent.asked.wait()
        assert await fetch_outcome(source) is SourceUnavailable
        silent.let_go.set()
        assert await trial == ["a"]
        assert await fetch_outcome(source) == ["a"]


@pytest.mark.gen_test
async def test_a_cancelled_trial_allows_another_one():
    async with open_upstream(DOWN) as (upstream, source, clock):
        await fail_repeatedly(source, 5)
        clock.now += 10
        upstream.break_with = silent = Silent()
        trial = asyncio.create_task(source.fetch(ACCOUNTS))
        await silent.asked.wait()
        trial.cancel()
        await asyncio.wait([trial])
        assert trial.cancelled()
        upstream.break_with = OK
        assert await fetch_outcome(source) == ["a"]
        silent.let_go.set()


@pytest.mark.gen_test
async def test_cancelled_callers_are_not_failures():
    async with open_upstream(None) as (upstream, source, _):
        for _ in range(6):
            upstream.break_with = silent = Silent()
            request = asyncio.create_task(source.fetch(ACCOUNTS))
            await silent.asked.wait()
            request.cancel()
            await asyncio.wait([request])
            silent.let_go.set()
        upstream.break_with = OK
        assert await fetch_outcome(source) == ["a"]


@pytest.mark.gen_test
async def test_queries_without_a_request_do_not_count():
    async with open_upstream(DOWN) as (upstream, source, _):
        await fail_repeatedly(source, 4)
        with pytest.raises(NotFound):
            await source.fetch(CUSTOMER)
        assert await fetch_outcome(source, Query(collection="customers")) is SourceFault
        page = await source.fetch(Query(collection="customers", filters=(_build_empty_filter(),)))
        assert page.total == 0
        await fail_repeatedly(source, 1)
        assert await fetch_outcome(source) is SourceUnavailable
        assert len(upstream.requests) == 5


def _build_empty_filter():
    return Filter("id", "in", (), variable="customerId")


@pytest.mark.gen_test
async def test_the_log_reports_only_opening_and_closing(caplog):
    caplog.set_level(logging.DEBUG, "openholder")
    async with open_upstream(DOWN, breaker_failures=2, breaker_seconds=3) as (upstream, source, clock):
        await fail_repeatedly(source, 2)
        assert await fetch_outcome(source) is SourceUnavailable
        clock.now += 3
        await fail_repeatedly(source, 1)
        clock.now += 3
        upstream.break_with = OK
        assert await fetch_outcome(source) == ["a"]
    lines = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "openholder.rest"]
    assert lines == [
        ("WARNING", "source core: 2 upstream failures in a row, circuit breaker open for 3 s"),
        ("WARNING", "source core: upstream has recovered, circuit breaker closed"),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [("retries", -1), ("retries", 6), ("retry_budget", -1), ("breaker_failures", 0), ("breaker_seconds", 0)],
)
def test_settings_out_of_range_are_refused(key, value):
    with pytest.raises(ValidationError) as refusal:
        RESTSettings(base_url="https://a.example", collections={"accounts": "/accounts"}, **{key: value})
    assert [error["loc"] for error in refusal.value.errors()] == [(key,)]
