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


def answering(status=200, body='[{"id": "a"}]', **headers):
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
    """An upstream that takes questions and does not answer until it is told to."""

    def __init__(self):
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, handler):
        self.asked.set()
        await self.let_go.wait()
        answering()(handler)


def in_turn(*answers):
    """One answer after the other, the last one for ever."""
    remaining = list(answers)

    def answer(handler):
        return (remaining.pop(0) if len(remaining) > 1 else remaining[0])(handler)

    return answer


OK, DOWN = answering(), answering(500)


@asynccontextmanager
async def source_of(url, pace=None, **settings):
    templates = {"accounts": "/accounts", "customers": "/customers/{customerId}"}
    source = RESTSource("core", RESTSettings(base_url=url, collections=templates, **settings), pace)
    await source.open()
    try:
        yield source
    finally:
        await source.close()


@asynccontextmanager
async def asked(answer, **settings):
    """An upstream with that answer, a source that asks it, and its time."""
    clock = Time()
    async with Upstream({}) as upstream, source_of(upstream.url, clock.pace, **settings) as source:
        upstream.break_with = answer
        yield upstream, source, clock


async def outcome(source, query=ACCOUNTS):
    try:
        return [record["id"] for record in (await source.fetch(query)).records]
    except (SourceFault, SourceUnavailable) as exc:
        return type(exc).__base__ if type(exc).__name__ == "UpstreamDown" else type(exc)


# -- another try --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "attempts"),
    [
        pytest.param(answering(502), 2, id="502"),
        pytest.param(answering(503), 2, id="503"),
        pytest.param(answering(504), 2, id="504"),
        pytest.param(answering(503, Retry_After="1"), 2, id="503 for a second"),
        pytest.param(answering(503, Retry_After="0"), 2, id="503 for no time"),
        pytest.param(answering(429, Retry_After="1"), 2, id="429 for a second"),
        pytest.param(answering(503, Retry_After="3"), 1, id="503 for longer than the budget"),
        pytest.param(answering(429, Retry_After="3"), 1, id="429 for longer than the budget"),
        pytest.param(answering(502, Retry_After="3"), 1, id="502 for longer than the budget"),
        pytest.param(answering(429), 1, id="429 without saying how long"),
        pytest.param(answering(500), 1, id="500"),
        pytest.param(answering(501), 1, id="501"),
        pytest.param(answering(400), 1, id="400"),
        pytest.param(answering(401), 1, id="401"),
        pytest.param(answering(403), 1, id="403"),
        pytest.param(answering(301, Location="/elsewhere"), 1, id="redirect"),
        pytest.param(answering(200, "<h1>Down</h1>"), 1, id="HTML called JSON"),
        pytest.param(cut_off, 1, id="an answer that breaks off"),
    ],
)
@pytest.mark.gen_test
async def test_only_trouble_that_may_pass_is_worth_another_try(trouble, attempts):
    async with asked(in_turn(trouble, OK)) as (upstream, source, clock):
        found = await outcome(source)
        assert (len(upstream.requests), len(clock.slept)) == (attempts, attempts - 1)
        assert (found == ["a"]) == (attempts == 2)


@pytest.mark.gen_test
async def test_a_connection_that_is_dropped_is_replaced_once():
    async with asked(in_turn(hang_up, OK)) as (upstream, source, clock):
        assert await outcome(source) == ["a"]
        upstream.break_with = hang_up
        upstream.requests.clear()
        assert await outcome(source) is SourceFault
        assert (len(upstream.requests), clock.slept) == (2, [])


@pytest.mark.gen_test
async def test_404_is_an_answer():
    async with asked(answering(404)) as (upstream, source, _):
        assert await outcome(source) == []
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (3, 4)])
@pytest.mark.gen_test
async def test_the_number_of_tries_is_configured(retries, attempts):
    async with asked(answering(502), retries=retries, retry_budget=60) as (upstream, source, clock):
        assert await outcome(source) is SourceFault
        assert len(upstream.requests) == attempts
        assert all(0.05 * 2**n <= wait <= 0.15 * 2**n for n, wait in enumerate(clock.slept))


@pytest.mark.gen_test
async def test_no_further_try_begins_when_the_budget_is_spent():
    async with asked(answering(503, Retry_After="1"), retries=5) as (upstream, source, clock):
        assert await outcome(source) is SourceUnavailable
        assert clock.slept == [1, 1]  # a third would begin after more than the two seconds
        assert len(upstream.requests) == 3


@pytest.mark.gen_test
async def test_an_upstream_that_is_not_there_is_tried_again_and_a_fault():
    (socket,) = bind("127.0.0.1", 0)
    port = socket.getsockname()[1]
    socket.close()
    clock = Time()
    async with source_of(f"http://127.0.0.1:{port}", clock.pace) as source:
        assert await outcome(source) is SourceFault
        assert len(clock.slept) == 1


@pytest.mark.gen_test
async def test_an_upstream_that_keeps_silent_is_not_asked_again():
    silent = Silent()
    async with asked(silent, read_timeout=0.05) as (upstream, source, clock):
        assert await outcome(source) is SourceFault
        assert (len(upstream.requests), clock.slept) == (1, [])
        silent.let_go.set()


@pytest.mark.gen_test
async def test_when_one_of_several_questions_fails_the_others_are_given_up():
    silent = Silent()

    def answer(handler):
        return DOWN(handler) if handler.request.uri.endswith("=b") else silent(handler)

    async with Upstream({}) as upstream:
        upstream.break_with = answer
        settings = RESTSettings(base_url=upstream.url, collections={"balances": "/b?of={accountId}"})
        source = RESTSource("core", settings)
        await source.open()
        query = Query(collection="balances", filters=(_one_of("a", "b"),))
        assert await asyncio.wait_for(outcome(source, query), 2) is SourceFault
        await source.close()
        silent.let_go.set()


def _one_of(*ids):
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
    async with asked(answering(503, Retry_After=date)) as (_, source, __):
        with pytest.raises(SourceUnavailable) as unavailable:
            await source.fetch(ACCOUNTS)
        assert 110 <= unavailable.value.retry_after <= 120


# -- the circuit breaker ------------------------------------------------------------------------------------------


async def fail(source, times):
    for _ in range(times):
        assert await outcome(source) in {SourceFault, SourceUnavailable}


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(DOWN, id="500"),
        pytest.param(answering(503), id="503"),
        pytest.param(answering(429), id="429"),
        pytest.param(cut_off, id="breaks off"),
    ],
)
@pytest.mark.gen_test
async def test_after_five_failures_in_a_row_the_upstream_is_left_alone_for_ten_seconds(trouble):
    async with asked(trouble, retries=0) as (upstream, source, clock):
        await fail(source, 5)
        clock.now += 2.5
        with pytest.raises(SourceUnavailable) as unavailable:
            await source.fetch(ACCOUNTS)
        assert unavailable.value.retry_after == 8
        assert len(upstream.requests) == 5
        upstream.break_with = OK
        clock.now += 7.4
        assert await outcome(source) is SourceUnavailable
        clock.now += 0.1
        assert await outcome(source) == ["a"]
        assert await outcome(source) == ["a"]
        assert len(upstream.requests) == 7


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(OK, id="an answer"),
        pytest.param(answering(404), id="404"),
        pytest.param(answering(401), id="401"),
        pytest.param(answering(200, "<h1>"), id="an answer that is broken"),
    ],
)
@pytest.mark.gen_test
async def test_failures_with_an_answer_between_them_are_not_in_a_row(between):
    async with asked(in_turn(*[DOWN] * 4, between, *[DOWN] * 4, OK), retries=0) as (upstream, source, _):
        for _ in range(9):
            await outcome(source)
        assert await outcome(source) == ["a"]
        assert len(upstream.requests) == 10


@pytest.mark.parametrize("answer", [answering(404), answering(403), answering(200, "<h1>")])
@pytest.mark.gen_test
async def test_answers_that_concern_one_question_do_not_open_it(answer):
    async with asked(answer) as (upstream, source, _):
        for _ in range(12):
            await outcome(source)
        assert len(upstream.requests) == 12


@pytest.mark.gen_test
async def test_a_trial_that_fails_opens_it_again():
    async with asked(DOWN) as (upstream, source, clock):
        await fail(source, 5)
        clock.now += 10
        assert await outcome(source) is SourceFault
        assert await outcome(source) is SourceUnavailable
        clock.now += 9.9
        assert await outcome(source) is SourceUnavailable
        assert len(upstream.requests) == 6


@pytest.mark.gen_test
async def test_there_is_one_trial_and_others_do_not_wait_for_it():
    async with asked(DOWN) as (upstream, source, clock):
        await fail(source, 5)
        clock.now += 10
        upstream.break_with = silent = Silent()
        trial = asyncio.create_task(outcome(source))
        await silent.asked.wait()
        assert await outcome(source) is SourceUnavailable
        silent.let_go.set()
        assert await trial == ["a"]
        assert await outcome(source) == ["a"]


@pytest.mark.gen_test
async def test_a_trial_that_is_cancelled_leaves_its_place_to_another_one():
    async with asked(DOWN) as (upstream, source, clock):
        await fail(source, 5)
        clock.now += 10
        upstream.break_with = silent = Silent()
        trial = asyncio.create_task(source.fetch(ACCOUNTS))
        await silent.asked.wait()
        trial.cancel()
        await asyncio.wait([trial])
        assert trial.cancelled()
        upstream.break_with = OK
        assert await outcome(source) == ["a"]
        silent.let_go.set()


@pytest.mark.gen_test
async def test_callers_that_go_away_are_no_failures():
    async with asked(None) as (upstream, source, _):
        for _ in range(6):
            upstream.break_with = silent = Silent()
            question = asyncio.create_task(source.fetch(ACCOUNTS))
            await silent.asked.wait()
            question.cancel()
            await asyncio.wait([question])
            silent.let_go.set()
        upstream.break_with = OK
        assert await outcome(source) == ["a"]


@pytest.mark.gen_test
async def test_questions_that_the_upstream_never_gets_say_nothing_about_it():
    async with asked(DOWN) as (upstream, source, _):
        await fail(source, 4)
        with pytest.raises(NotFound):
            await source.fetch(CUSTOMER)
        assert await outcome(source, Query(collection="customers")) is SourceFault
        page = await source.fetch(Query(collection="customers", filters=(_none_of_customers(),)))
        assert page.total == 0
        await fail(source, 1)
        assert await outcome(source) is SourceUnavailable
        assert len(upstream.requests) == 5


def _none_of_customers():
    return Filter("id", "in", (), variable="customerId")


@pytest.mark.gen_test
async def test_the_log_says_when_it_opens_and_closes_and_no_more(caplog):
    caplog.set_level(logging.DEBUG, "openholder")
    async with asked(DOWN, breaker_failures=2, breaker_seconds=3) as (upstream, source, clock):
        await fail(source, 2)
        assert await outcome(source) is SourceUnavailable
        clock.now += 3
        await fail(source, 1)
        clock.now += 3
        upstream.break_with = OK
        assert await outcome(source) == ["a"]
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
