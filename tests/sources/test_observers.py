"""Observers: who is told of a request, before its answer leaves and after it has left."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from helpers.support import SQLITE, sample_rows, start_with, write_sqlite
from openholder import hookimpl, select
from openholder.errors import ConfigurationError, OpenholderError

JANE = "/auth/v1/customer/cust-1001"


class Listening:
    """An observer: no source at all."""

    heard: list[object] = []  # noqa: RUF012 - a test puts a new one here

    def __init__(self, name, settings): ...

    @hookimpl
    def request_finished(self, event):
        self.heard.append(event)


class Deaf:
    """An observer that fails."""

    def __init__(self, name, settings): ...

    @hookimpl
    def request_finished(self, event):
        raise ValueError("SECRET")


class ListeningRows:
    """A source that is an observer too."""

    def __init__(self, name, settings): ...

    @hookimpl
    def collections(self):
        return ["customers"]

    @hookimpl
    async def fetch(self, query):
        return select([{"id": "cust-1001", "name": "Jane"}], query)

    @hookimpl
    def request_finished(self, event):
        Listening.heard.append(event)


class Recording:
    """An observer that records answers before they leave, and does what its settings say."""

    class Settings(BaseModel):
        does: str = "record"

    heard: list[object] = []  # noqa: RUF012 - a test puts a new one here

    def __init__(self, name, settings):
        self.name = name
        self.does = settings.does

    @hookimpl
    async def open(self):
        self.heard.append(f"{self.name} opened")

    @hookimpl
    async def close(self):
        self.heard.append(f"{self.name} closed")

    @hookimpl
    async def record_answer(self, event):
        match self.does:
            case "raise":
                raise OSError("SECRET")
            case "hang":
                await asyncio.Event().wait()
            case "swallow":
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    return
        self.heard.append(event)


@pytest.fixture
def heard(install, monkeypatch):
    install("acme", listening=Listening, deaf=Deaf, both=ListeningRows, recording=Recording)
    monkeypatch.setattr(Listening, "heard", [])
    monkeypatch.setattr(Recording, "heard", Listening.heard)
    return Listening.heard


def recording(does="record", more=""):
    return f'[observers.trail]\nkind = "recording"\ndoes = "{does}"\n{more}\n'


@pytest.mark.gen_test
async def test_an_observer_hears_of_each_request(world, heard):
    await start_with(world, "sqlite", sample_rows(), settings='plugins = ["listening"]')
    interaction_id = "2d3b5d1e-0000-4000-8000-000000000000"
    path = "/customer/cust-1001/accounts/acc-2001/balances"
    await world.call(path, headers={"x-fapi-interaction-id": interaction_id})
    await world.call("/auth/v1/customer/cust-9999")
    await world.call("/auth/v1/customer/cust-1001", token="")
    served, unknown, refused = heard
    assert served.interaction_id == interaction_id
    assert (served.method, served.operation, served.status) == ("GET", "getStarterBalance", 200)
    assert (served.customer_id, served.account_id, served.reason) == ("cust-1001", "acc-2001", "")
    assert served.seconds > 0
    assert (unknown.status, unknown.customer_id, unknown.account_id) == (404, "cust-9999", None)
    assert (refused.status, refused.customer_id) == (401, None)


@pytest.mark.gen_test
async def test_a_source_may_be_an_observer_too(world, heard):
    await world.start('[sources.own]\nkind = "both"\n')
    await world.call("/auth/v1/customer/cust-1001")
    assert [event.status for event in heard] == [200]


@pytest.mark.parametrize("order", ['["listening", "deaf"]', '["deaf", "listening"]'])
@pytest.mark.gen_test
async def test_a_failing_observer_affects_neither_answer_nor_others(world, heard, caplog, order):
    await start_with(world, "sqlite", sample_rows(), settings=f"plugins = {order}")
    answer = await world.call("/auth/v1/customer/cust-1001")
    assert answer.status == 200
    assert [event.status for event in heard] == [200]
    assert "observer 'plugins.deaf' failed in request_finished: ValueError" in caplog.text
    assert "SECRET" not in caplog.text


def test_an_observer_that_is_not_installed_is_refused(configured, tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    with pytest.raises(OpenholderError, match="no installed plugin offers kind 'audti'"):
        configured(SQLITE, 'plugins = ["audti"]')


def answers(heard):
    return [event for event in heard if not isinstance(event, str)]


@pytest.mark.gen_test
async def test_an_answer_is_recorded_before_it_leaves(world, heard):
    await start_with(world, "sqlite", sample_rows(), tables=recording())
    assert (await world.call(JANE)).status == 200
    (event,) = answers(heard)
    assert (event.status, event.customer_ids, event.records, event.admitted) == (200, ("cust-1001",), 1, True)
    await world.stop()
    assert [event for event in heard if isinstance(event, str)] == ["trail opened", "trail closed"]


BANKING = "/v1/banking/customer/cust-1001/accounts"
DISCLOSED = {
    "one account": (f"{BANKING}/acc-2002/transactions?page-size=2", None, ("acc-2002",), 2),
    "named accounts": (
        "/v1/banking/customer/cust-1001/accounts/balances",
        {"data": {"accountIds": ["acc-2001", "acc-2002"]}},
        ("acc-2001", "acc-2002"),
        2,
    ),
    "an account of somebody else": (
        "/v1/banking/customer/cust-1001/accounts/balances",
        {"data": {"accountIds": ["acc-2001", "acc-9999"]}},
        ("acc-2001", "acc-9999"),
        0,
    ),
}


@pytest.mark.parametrize(("path", "body", "accounts", "records"), DISCLOSED.values(), ids=DISCLOSED)
@pytest.mark.gen_test
async def test_the_accounts_and_the_number_of_records_are_told(world, heard, path, body, accounts, records):
    await start_with(world, "sqlite", sample_rows(), tables=recording())
    await world.call(path, body=body)
    (event,) = answers(heard)
    assert (event.customer_ids, event.account_ids, event.records) == (("cust-1001",), accounts, records)


@pytest.mark.gen_test
async def test_the_accounts_of_a_list_are_those_that_leave(world, heard):
    await start_with(world, "sqlite", sample_rows(), settings="deprecated_lists = true", tables=recording())
    offered = (await world.call(f"{JANE}/accounts")).json["accounts"]
    page = (await world.call("/v1/energy/customer/cust-1001/accounts?page-size=1")).json["data"]["accounts"]
    consent, energy = answers(heard)
    assert consent.account_ids == tuple(account["id"] for account in offered)
    assert energy.account_ids == tuple(account["accountId"] for account in page)
    assert (consent.records, energy.records) == (len(offered), len(page))


@pytest.mark.gen_test
async def test_a_search_names_whom_it_found_and_not_the_address(world, heard):
    await start_with(world, "sqlite", sample_rows(), tables=recording())
    found = await world.call("/auth/v1/customer/search", body={"email": "jane.citizen@example.com"})
    nobody = await world.call("/auth/v1/customer/search", body={"email": "nobody@example.com"})
    hit, miss = answers(heard)
    assert hit.customer_ids == tuple(person["id"] for person in found.json["data"])
    assert hit.records == len(found.json["data"]) > 0 == len(nobody.json["data"]) == miss.records
    assert "jane.citizen" not in repr(hit)


@pytest.mark.parametrize("does", ["raise", "hang", "swallow"])
@pytest.mark.gen_test
async def test_an_answer_that_cannot_be_recorded_does_not_leave(world, heard, caplog, does):
    await start_with(world, "sqlite", sample_rows(), tables=recording(does, "timeout = 0.05"))
    answer = await world.call(JANE)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert "Jane" not in str(answer.json) and answers(heard) == []
    kind = "OSError" if does == "raise" else "TimeoutError"
    assert f"observer 'observers.trail' failed in record_answer: {kind}" in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.gen_test
async def test_an_answer_leaves_unrecorded_where_that_is_allowed(world, heard):
    await start_with(world, "sqlite", sample_rows(), tables=recording("raise", "required = false"))
    assert (await world.call(JANE)).status == 200


@pytest.mark.gen_test
async def test_a_refusal_that_is_reported_says_so(world, heard):
    rows = sample_rows()
    rows["accounts"] = [{**row, "status": "blocked"} for row in rows["accounts"]]
    await start_with(world, "sqlite", rows, tables=recording())
    answer = await world.call("/customer/cust-1001/accounts/acc-2001/balances")
    (event,) = answers(heard)
    assert answer.headers["X-Sharing-Refused"] == "true"
    assert (event.status, event.reason, event.refused, event.records) == (404, "account_refused", True, 0)


MISTAKES = {
    "no kind": ("[observers.trail]\n", "observers.trail.kind: is missing"),
    "an unknown kind": ('[observers.trail]\nkind = "recroding"\n', "did you mean 'recording'"),
    "a key that it does not have": ('[observers.trail]\nkind = "recording"\npath = "x"\n', "unknown key"),
    "no table": ('[observers]\ntrail = "recording"\n', "observers.trail"),
}


@pytest.mark.parametrize(("tables", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_of_an_observer_is_one_of_the_configuration(configured, heard, tmp_path, tables, message):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    with pytest.raises(ConfigurationError, match=message):
        configured(SQLITE + tables)
