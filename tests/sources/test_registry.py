"""Sources of third parties: how they are found, what they owe, and what the host makes of what they do.

The classes below are installed as an operator would have them: as distributions with an entry point, found by kind.
"""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from helpers.support import SQLITE
from openholder import (
    API_VERSION,
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
from openholder.config import REPLAY_STORES
from openholder.errors import ConfigurationError, Unreachable
from openholder.sources.hookspecs import SOURCES
from openholder.sources.kinds import list_kinds
from openholder.sources.registry import UnusableSource

CUSTOMERS = Query(collection="customers")
JANE = Query(collection="customers", filters=(Filter("id", "eq", "cust-1001"),), limit=10)


class Rows:
    """A source as it should be: the same customers for everybody who asks."""

    ROWS = (
        {"id": "cust-1001", "name": "Jane", "customerId": "cust-1001"},
        {"id": "cust-1002", "name": "Sam", "customerId": "cust-1002"},
    )

    def __init__(self, name, settings):
        self.name = name
        self.settings = settings

    @hookimpl
    def collections(self):
        return ["customers", "accounts", "balances"]

    @hookimpl
    async def fetch(self, query):
        return select(self.ROWS, query)


class Doing(Rows):
    """A source that does in `fetch` whatever a test puts into its place."""

    does = staticmethod(lambda query: Page(records=(), total=0))

    @hookimpl
    async def fetch(self, query):
        found = self.does(query)
        return await found if asyncio.iscoroutine(found) else found


@pytest.fixture
def doing(install, monkeypatch):
    """Install the kind ``doing``, and say what it does."""
    install("acme", doing=Doing)
    return lambda does: monkeypatch.setattr(Doing, "does", staticmethod(does))


OWN = '[sources.own]\nkind = "doing"\n'


# -- kinds --------------------------------------------------------------------------------------------------------

THIRD_PARTY = """
from openholder import Page, hookimpl, select

class LedgerSource:
    def __init__(self, name, settings):
        pass

    @hookimpl
    def collections(self):
        return ["customers"]

    @hookimpl
    async def fetch(self, query):
        return select([{"id": "cust-1001", "name": "Jane"}, {"id": "cust-1002", "name": "Sam"}], query)
"""


@pytest.mark.gen_test
async def test_the_kind_of_a_third_party_is_found_and_answers(world, install):
    install("ledger", THIRD_PARTY, ledger="ledger_source:LedgerSource")
    await world.start('[sources.own]\nkind = "ledger"\n')
    answer = await world.call("/auth/v1/customer/cust-1001")
    assert (answer.status, answer.json) == (200, {"id": "cust-1001", "name": "Jane"})
    assert (await world.call("/auth/v1/customer/cust-1009")).status == 404


def refusal(configured, tables):
    """The one mistake that the configuration has, which must be one line."""
    with pytest.raises(ConfigurationError) as refused:
        configured(tables)
    (mistake,) = refused.value.mistakes
    assert "\n" not in mistake.message
    return f"{mistake.key}: {mistake.message}"


def test_a_kind_of_two_distributions_is_refused_naming_both(install, configured):
    install("acme", rows=Rows, other=Rows)
    install("evil", rows=Doing)
    told = refusal(configured, '[sources.own]\nkind = "rows"\n')
    assert told.startswith("sources.own.kind: kind 'rows' is claimed by acme 1.0 and evil 1.0")
    configured('[sources.own]\nkind = "other"\n')  # what only one of them offers may be used


def test_a_built_in_kind_cannot_be_taken_over(install, configured, tmp_path):
    install("evil", sqlite=Rows)
    told = refusal(configured, SQLITE)
    assert "evil 1.0" in told and "openholder " in told


@pytest.mark.parametrize(
    ("module", "value", "reason"),
    [
        ("import no_such_module", "broken_source:Source", "ModuleNotFoundError"),
        ("raise RuntimeError('two\\nlines')", "broken_source:Source", "RuntimeError"),
        ("def", "broken_source:Source", "SyntaxError"),
        ("Source = 1", "broken_source:Sauce", "AttributeError"),
        ("", "broken_source:Source", "ModuleNotFoundError"),
        ("Source = 1", "broken_source:Source", "is not a class"),
        ("def Source(name, settings): ...", "broken_source:Source", "is not a class"),
        ("", "broken_source", "ModuleNotFoundError"),
        ("Source = 1", "broken_source", "is not a class"),
    ],
)
def test_a_failed_import_is_one_sentence_and_affects_one_kind(
    install, configured, monkeypatch, tmp_path, module, value, reason
):
    monkeypatch.delitem(sys.modules, "broken_source", raising=False)
    install("broken", module, broken=value, fine=Rows)
    configured('[sources.own]\nkind = "fine"\n')
    assert "broken_source" not in sys.modules
    told = refusal(configured, '[sources.own]\nkind = "broken"\n')
    assert told.startswith("sources.own.kind: kind 'broken' of broken ")
    assert f"({value})" in told and reason in told
    sys.modules.pop("broken_source", None)


class OfToday(Rows):
    api_version = API_VERSION


class OfTomorrow(Rows):
    api_version = API_VERSION + 1


class Unsure(Rows):
    api_version = True


def test_a_class_for_this_interface_version_or_none_is_accepted(install, configured):
    install("acme", said=OfToday, silent=Rows)
    configured('[sources.own]\nkind = "said"\n')
    configured('[sources.own]\nkind = "silent"\n')


@pytest.mark.parametrize(("source", "version"), [(OfTomorrow, "2"), (Unsure, "True")])
def test_a_class_for_another_interface_version_is_refused(install, configured, source, version):
    """The message has both versions and the distribution."""
    install("acme", other=source)
    assert refusal(configured, '[sources.own]\nkind = "other"\n') == (
        f"sources.own.kind: kind 'other' of acme 1.0 is written for version {version} of the plugin interface,"
        " but this openholder has version 1: install compatible versions"
    )


@pytest.mark.parametrize("group", [SOURCES, REPLAY_STORES])
def test_every_built_in_plugin_states_its_interface_version(group):
    for kind in list_kinds(group):
        if kind.distribution == "openholder":
            assert kind.load().api_version == API_VERSION, kind.name


@pytest.mark.parametrize(
    ("kind", "hint"), [("sqlit", "; did you mean 'sqlite'?"), ("row", "; did you mean 'rows'?"), ("oracle", "")]
)
def test_an_unknown_kind_is_answered_with_those_installed(install, configured, kind, hint):
    install("acme", rows=Rows)
    told = refusal(configured, f'[sources.own]\nkind = "{kind}"\n')
    assert told == (
        f"sources.own.kind: no installed plugin offers kind {kind!r} (installed: audit, csv, rest, rows, sqlite){hint}"
    )


# -- what a class owes --------------------------------------------------------------------------------------------


class PlainFetch(Rows):
    @hookimpl
    def fetch(self, query):
        return select(self.ROWS, query)


class PlainOpen(Rows):
    @hookimpl
    def open(self): ...


class PlainClose(Rows):
    @hookimpl
    def close(self): ...


class PlainHealth(Rows):
    @hookimpl
    def health(self): ...


class AsyncCollections(Rows):
    @hookimpl
    async def collections(self):
        return ["customers"]


class Misspelt(Rows):
    @hookimpl
    async def fetsh(self, query): ...


class MoreArguments(Rows):
    @hookimpl
    async def fetch(self, query, customer): ...


class WithoutFetch:
    def __init__(self, name, settings): ...

    @hookimpl
    def collections(self):
        return ["customers"]


class WithoutCollections:
    def __init__(self, name, settings): ...

    @hookimpl
    async def fetch(self, query): ...


class WithoutMarks:
    def __init__(self, name, settings): ...

    def collections(self): ...

    async def fetch(self, query): ...


class NoArguments:
    def __init__(self): ...


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (PlainFetch, "define fetch with 'async def'"),
        (PlainOpen, "define open with 'async def'"),
        (PlainClose, "define close with 'async def'"),
        (PlainHealth, "define health with 'async def'"),
        (AsyncCollections, "collections"),
        (Misspelt, "fetsh"),
        (MoreArguments, "customer"),
        (WithoutFetch, "does not implement fetch"),
        (WithoutCollections, "does not implement collections"),
        (WithoutMarks, "does not implement fetch"),
        (NoArguments, "TypeError"),
    ],
)
@pytest.mark.gen_test
async def test_a_class_that_is_no_source_is_refused_by_name(io_loop, install, configured, plugin, reason):
    install("acme", own=plugin)
    with pytest.raises(UnusableSource, match=r"^source 'mine'") as refused:
        async with configured('[sources.mine]\nkind = "own"\n'):
            pass
    assert reason in str(refused.value)


class Tinted(Rows):
    class Settings(BaseModel):
        colour: str
        shades: int = 3


@pytest.mark.gen_test
async def test_a_plugin_gets_its_settings_beside_the_common_ones(io_loop, install, configured, monkeypatch):
    given = []
    monkeypatch.setattr(Tinted, "__init__", lambda self, name, settings: given.append((name, settings)))
    install("acme", tinted=Tinted)
    configured('[sources.mine]\nkind = "tinted"\ncolour = "red"\ntimeout = 2\n')
    ((name, settings),) = given
    assert (name, settings.colour, settings.shades, settings.timeout) == ("mine", "red", 3, 2.0)
    assert isinstance(settings, Tinted.Settings)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('color = "SECRET"', ["colour: is missing", "color: unknown key; did you mean 'colour'?"]),
        ('colour = "red"\ntimeuot = 2', ["timeuot: unknown key; did you mean 'timeout'?"]),
        ('colour = "red"\npassword = "SECRET"', ["password: unknown key"]),
        ('colour = "red"\nshades = "SECRET"', ["shades: found text, expected a whole number"]),
    ],
)
def test_mistakes_in_a_plugins_settings_are_reported_like_others(install, configured, line, told):
    install("acme", tinted=Tinted)
    with pytest.raises(ConfigurationError) as refused:
        configured(f'[sources.mine]\nkind = "tinted"\n{line}\n')
    assert "SECRET" not in str(refused.value)
    for part in told:
        assert f"sources.mine.{part}" in str(refused.value)
    assert len(refused.value.mistakes) == len(told)


# -- which source serves what -------------------------------------------------------------------------------------


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


# -- opening and closing ------------------------------------------------------------------------------------------


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


# -- time and number ----------------------------------------------------------------------------------------------


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


# -- what a source does -------------------------------------------------------------------------------------------


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
