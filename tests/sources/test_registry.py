"""Sources at work: which one serves what, when they are opened, and the bounds of their queries."""

from __future__ import annotations

import asyncio
import json

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from helpers.plugins import Doing, Rows
from openholder import (
    Filter,
    NotFound,
    Page,
    Query,
    SharingRefused,
    SourceFault,
    SourceUnavailable,
    hookimpl,
    select,
)
from openholder.errors import Unreachable
from openholder.sources.registry import UnusableSource

CUSTOMERS = Query(collection="customers")
JANE = Query(collection="customers", filters=(Filter("id", "eq", "cust-1001"),), limit=10)


@pytest.fixture
def doing(install, monkeypatch):
    """Install the kind ``doing``, and say what it does."""
    install("acme", doing=Doing)
    return lambda does: monkeypatch.setattr(Doing, "does", staticmethod(does))


OWN = '[sources.own]\nkind = "doing"\n'


# -- which source serves what ------------------------------------------------------------------------------------------


class Named(Rows):
    """Its one customer is called as the source is; the settings say which collections it has."""

    class Settings(BaseModel):
        has: list[str] = ["customers"]

    @hookimpl
    def collections(self):
        return self.settings.has

    @hookimpl
    async def fetch(self, query):
        return select([{"id": self.name}], query)


def named(**has):
    """TOML for sources of the kind ``named`` that have these collections."""
    return "".join(f'[sources.{name}]\nkind = "named"\nhas = {json.dumps(names)}\n' for name, names in has.items())


@pytest.mark.gen_test
async def test_several_sources_of_one_kind_keep_apart(io_loop, install, configured):
    install("acme", named=Named)
    tables = named(a=["customers", "accounts"], b=["customers", "accounts"])
    async with configured(tables + '[serve]\ncustomers = "a"\naccounts = "b"\n') as sources:
        assert (await sources.fetch(CUSTOMERS)).records == [{"id": "a"}]
        assert (await sources.fetch(Query(collection="accounts"))).records == [{"id": "b"}]


@pytest.mark.gen_test
async def test_the_longest_matching_pattern_decides(io_loop, install, configured):
    install("acme", named=Named)
    every = ["customers", "banking.accounts", "banking.payees", "banking.transactions"]
    serve = '[serve]\n"banking.transactions" = "c"\n"banking.p*" = "a"\n"*" = "a"\n"banking.*" = "b"\n'
    async with configured(named(a=every, b=every, c=every) + serve) as sources:
        served = {name: sources.find_source(name).name for name in every}
        assert sources.find_source("energy.accounts") is None
    assert served == {"customers": "a", "banking.accounts": "b", "banking.payees": "a", "banking.transactions": "c"}


@pytest.mark.gen_test
async def test_serve_cannot_promise_what_a_source_does_not_have(io_loop, install, configured):
    install("acme", named=Named)
    tables = named(a=["customers"], b=["accounts"])
    with pytest.raises(UnusableSource, match="source 'b' has no collection 'balances'"):
        async with configured(tables + '[serve]\n"*" = "a"\nbalances = "b"\n'):
            pass


# -- opening and closing -----------------------------------------------------------------------------------------------


class Recording(Rows):
    """Writes down what is done with it; fails to open, or to close, where it is told to."""

    class Settings(BaseModel):
        fails: str = ""

    events: list[str] = []  # noqa: RUF012 - a test puts a new one here

    @hookimpl
    async def open(self):
        self.events.append(f"open {self.name}")
        if self.settings.fails == "open":
            raise ValueError("SECRET")

    @hookimpl
    async def close(self):
        self.events.append(f"close {self.name}")
        if self.settings.fails == "close":
            raise ValueError("SECRET")


@pytest.fixture
def events(install, monkeypatch):
    install("acme", recording=Recording)
    monkeypatch.setattr(Recording, "events", [])
    return Recording.events


def recording(**fails):
    """TOML for sources of the kind ``recording``, with the hook that fails in each (or none)."""
    tables = [f'[sources.{name}]\nkind = "recording"\nfails = "{hook}"\n' for name, hook in fails.items()]
    return "".join(tables) + f'[serve]\n"*" = "{next(iter(fails))}"\n'


@pytest.mark.gen_test
async def test_sources_open_as_configured_and_close_in_reverse(io_loop, configured, events):
    async with configured(recording(c="", a="", b="")):
        assert events == ["open c", "open a", "open b"]
    assert events[3:] == ["close b", "close a", "close c"]


@pytest.mark.gen_test
async def test_when_one_cannot_open_those_already_open_are_closed(io_loop, configured, events):
    with pytest.raises(Unreachable, match=r"^source 'b' cannot be opened: ValueError at test_registry\.py:\d+$"):
        async with configured(recording(c="", a="", b="open", d="")):
            pass
    assert [event for event in events if "b" not in event] == ["open c", "open a", "close a", "close c"]


@pytest.mark.gen_test
async def test_when_a_promise_of_serve_is_not_kept_all_are_closed(io_loop, configured, events):
    with pytest.raises(UnusableSource):
        async with configured(recording(a="", b="") + 'payees = "b"\n'):
            pass
    assert events == ["open a", "open b", "close b", "close a"]


@pytest.mark.gen_test
async def test_one_that_cannot_close_does_not_keep_the_others_from_it(io_loop, configured, events):
    with pytest.raises(ValueError, match="SECRET"):
        async with configured(recording(a="", b="close", c="")):
            pass
    assert events[3:] == ["close c", "close b", "close a"]


# -- time and number ---------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_a_fetch_that_hangs_is_given_up_and_holds_up_nobody_else(io_loop, install, configured, doing):
    cancelled = asyncio.Event()

    async def hang(query):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    doing(hang)
    install("other", rows=Rows)
    tables = OWN + 'timeout = 0.3\n[sources.quick]\nkind = "rows"\n[serve]\n"*" = "own"\naccounts = "quick"\n'
    async with configured(tables) as sources:
        hanging = asyncio.create_task(sources.fetch(CUSTOMERS))
        assert (await sources.fetch(Query(collection="accounts"))).total == 2
        assert not hanging.done()
        with pytest.raises(SourceFault, match=r"^collection 'customers': no response within 0\.3 s$"):
            await hanging
        assert cancelled.is_set()


@pytest.mark.gen_test
async def test_a_source_gets_at_most_its_limit_of_concurrent_queries(io_loop, configured, doing):
    running, most, release = 0, 0, asyncio.Event()

    async def count(query):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        return Page(records=(), total=0)

    doing(count)
    async with configured(OWN + "concurrency = 2\n") as sources:
        questions = [asyncio.create_task(sources.fetch(CUSTOMERS)) for _ in range(5)]
        while running < 2:
            await asyncio.sleep(0)
        release.set()
        assert [page.total for page in await asyncio.gather(*questions)] == [0] * 5
    assert most == 2


@pytest.mark.gen_test
async def test_queries_that_wait_too_long_for_their_turn_are_cancelled(io_loop, configured, doing):
    async def hang(query):
        await asyncio.Event().wait()

    doing(hang)
    async with configured(OWN + "concurrency = 1\ntimeout = 0.2\n") as sources:
        ends = await asyncio.gather(*(sources.fetch(CUSTOMERS) for _ in range(3)), return_exceptions=True)
        assert [str(end) for end in ends] == ["collection 'customers': no response within 0.2 s"] * 3
        doing(lambda query: select(Rows.ROWS, query))
        assert (await sources.fetch(CUSTOMERS)).total == 2


@pytest.mark.parametrize(
    "late", [Page(records=(), total=0), Page(records=[{"id": "1"}], total=1), None, NotFound(), SourceUnavailable()]
)
@pytest.mark.gen_test
async def test_whatever_comes_after_the_deadline_is_a_fault(io_loop, configured, doing, late):
    """A source that swallows its cancellation returns what it has by then, which looks complete."""

    async def swallow(query):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if isinstance(late, Exception):
                raise late from None
            return late

    doing(swallow)
    async with configured(OWN + "timeout = 0.1\n") as sources:
        with pytest.raises(SourceFault, match=r"^collection 'customers': no response within 0\.1 s$"):
            await sources.fetch(CUSTOMERS)


# -- what a source does ------------------------------------------------------------------------------------------------


def raising(exc):
    def does(query):
        raise exc

    return does


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("SECRET"),
        KeyError("SECRET"),
        ExceptionGroup("SECRET", [ValueError("SECRET")]),
        StopAsyncIteration("SECRET"),
        asyncio.CancelledError("SECRET"),
    ],
    ids=lambda exc: type(exc).__name__,
)
@pytest.mark.gen_test
async def test_an_exception_of_a_source_is_logged_by_type_and_location(world, doing, exc):
    doing(raising(exc))
    await world.start(OWN)
    with capture_logs() as logs:
        answer = await asyncio.wait_for(world.call("/auth/v1/customer/cust-1001"), 3)
    assert answer.status == 500
    (line,) = (line for line in logs if line["event"] == "request")
    assert type(exc).__name__ in line["fault"] and "test_registry.py:" in line["fault"]
    assert "SECRET" not in str(logs) + answer.text.decode()


JANES = {"id": "cust-1001"}


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [JANES],
        JANES,
        "SECRET",
        Page(records=["SECRET"], total=1),
        Page(records=[None], total=1),
        Page(records=None, total=0),
        pytest.param(Page(records=iter([JANES]), total=1), id="an iterator"),
        pytest.param(Page(records=[JANES] * 11, total=11), id="more than asked for"),
        Page(records=[{"id": "SECRET"}], total=1),
        Page(records=[JANES, {"id": "SECRET"}], total=2),
        Page(records=[{"id": "CUST-1001"}], total=1),
        Page(records=[{"id": "cust-1001 "}], total=1),
        Page(records=[{"id": None}], total=1),
        Page(records=[{"name": "SECRET"}], total=1),
        Page(records=[{"id": True}], total=1),
    ],
    ids=str,
)
@pytest.mark.gen_test
async def test_what_a_source_must_not_hand_over_is_a_fault(io_loop, configured, doing, answer):
    doing(lambda query: answer)
    async with configured(OWN) as sources:
        with pytest.raises(SourceFault) as fault:
            await sources.fetch(JANE)
    assert "SECRET" not in str(fault.value)


@pytest.mark.gen_test
async def test_not_found_is_an_answer_without_records(io_loop, configured, doing):
    doing(raising(NotFound("SECRET")))
    async with configured(OWN) as sources:
        assert await sources.fetch(JANE) == Page(records=(), total=0)


class Refusing(Rows):
    """Shares accounts and nothing else."""

    @hookimpl
    async def fetch(self, query):
        if query.collection != "accounts":
            raise SharingRefused("SECRET")
        return select([{"id": "acc-2001", "customerId": "cust-1001"}], query)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/auth/v1/customer/cust-1001", 403, "urn:au-cds:error:cds-all:GeneralError/Expected"),
        ("/customer/cust-1001/accounts/acc-2001/balances", 404, "account_unavailable"),
    ],
)
@pytest.mark.gen_test
async def test_a_refusal_to_share_is_403_or_404_and_is_counted(world, install, path, status, code):
    """Below an account it is 404."""
    install("acme", refusing=Refusing)
    await world.start('[sources.own]\nkind = "refusing"\n')
    answer = await world.call(path)
    assert (answer.status, answer.code, answer.headers["X-Sharing-Refused"]) == (status, code, "true")
    assert b"SECRET" not in answer.text


@pytest.mark.parametrize(("exc", "retry_after"), [(SourceUnavailable(retry_after=7), "7"), (SourceUnavailable(), "5")])
@pytest.mark.gen_test
async def test_an_unavailable_source_is_503_with_its_retry_after(world, doing, exc, retry_after):
    doing(raising(exc))
    await world.start(OWN)
    answer = await world.call("/auth/v1/customer/cust-1001")
    assert (answer.status, answer.headers["Retry-After"]) == (503, retry_after)
    assert "X-Sharing-Refused" not in answer.headers


OUTCOMES = {
    "answered": Page(records=(), total=0),
    "refused": SharingRefused(),
    "unavailable": SourceUnavailable(),
    "fault": ValueError("SECRET"),
}


@pytest.mark.parametrize(("outcome", "result"), OUTCOMES.items(), ids=OUTCOMES)
@pytest.mark.gen_test
async def test_each_query_is_timed_under_its_outcome(world, doing, outcome, result):
    doing(raising(result) if isinstance(result, Exception) else lambda query: result)
    await world.start(OWN)
    await world.call("/auth/v1/customer/cust-1001")
    count = world.holder.state.journal.registry.get_sample_value
    labels = {"source": "own", "outcome": outcome}
    assert count("openholder_source_query_seconds_count", labels) == 1
