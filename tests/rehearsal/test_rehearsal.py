"""The rehearsal names each fault of a server, and finds none in a healthy one."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from helpers.processes import free_port
from helpers.support import ISSUER, SOURCES, SQLITE, World, sample_rows, start_with, write_sqlite
from openholder.contract.operations import OPERATIONS
from openholder.fiskil import sample
from openholder.rehearsal import conversation
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.causes import FOLLOWS, find_causes
from openholder.rehearsal.checks import (
    conditions,
    consistency,
    disclosures,
    json_schema,
    lists,
    owners,
    plausibility,
    responses,
    texts,
)
from openholder.rehearsal.conversation import RETURNS_DATA
from openholder.rehearsal.phases import CONVERSATION, PHASES, Phase
from openholder.rehearsal.probes import bulk, concurrency, details, filtering, foreign_ids, refusal_times, repetition
from openholder.rehearsal.results import Rule, fail_rule
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import Plan
from rehearsal.faults import CONSENT, CUSTOMER, FAULTS, SEARCH, TRANSACTIONS, Fault
from rehearsal.proxy import proxying

JANE, ROBIN = "jane.citizen@example.com", "robin.citizen@example.com"
LOGIN = (SEARCH, CUSTOMER, CONSENT)
OPERATION = {row.name: row for row in OPERATIONS}
LISTING = {"banking": "listBankingAccountsSpecific", "fdx": "fdxFetchSpecificAccounts"}


(FOREIGN_ACCESS,) = (phase for phase in PHASES if phase.name == "Access to foreign data")


def plan_for(fault: Fault) -> Plan:
    """Plan the login, the list of the sector's accounts, and the operations with the fault."""
    sectors = {OPERATION[name].sector for name in fault.operations}
    wanted = {*LOGIN, *fault.operations, *(LISTING[sector] for sector in sectors if sector in LISTING)}
    emails = ("dana.holbrook@example.com",) if "fdx" in sectors else (JANE, ROBIN)
    few = 1 if fault.operations == (TRANSACTIONS,) and "joint" not in fault.rule else 10
    return Plan(tuple(row for row in OPERATIONS if row.name in wanted), emails, accounts=few, attacks=False)


RULES_BY_PHASE = {
    "Details": {"detail-flag"},
    "Access to foreign data": {
        "foreign-data",
        "foreign-data-body",
        "foreign-same-as-unknown",
        "id-exact",
        "unknown-id",
        "unknown-id-body",
    },
    "Bulk requests": {"bulk-all-accounts", "bulk-without-accounts", "bulk-one-account", "bulk-repeated-account"},
    "Filters": {
        "invalid-parameter",
        "default-filters",
        "filters-applied",
        "links-keep-filters",
        "repeated-parameter",
        "unknown-parameter",
    },
    "Times of refusals": {"refusal-times"},
    "Concurrent requests": {"concurrent-requests"},
    "Pages and repeated requests": {
        "default-page-size",
        "email-case-insensitive",
        "search-one-person",
        "similar-email",
        "unknown-email-empty",
        "page-limits",
        "pages-match-list",
        "repeatable-response",
    },
}
"""The rules of phases that send requests beyond the conversation. All others are checked on its responses."""
PROVOKING = {"error-form", "error-status", "no-internals", "no-server-fault"}
"""Rules about errors: a probe must cause one first."""


def phases_for(fault: Fault) -> list[Phase]:
    """Return the conversation and the phase that must find the fault: all phases for each fault would take minutes."""
    needed = {name for name, rules in RULES_BY_PHASE.items() if fault.rule in rules}
    needed |= {"Access to foreign data"} if fault.rule in PROVOKING or "refusals" in fault.name else set()
    needed |= {"Pages and repeated requests"} if "apostrophe" in fault.name else set()
    needed |= {"Details"} if fault.name.startswith("details") else set()
    needed |= {"Filters"} if any(word in fault.name for word in ("filtered", "values", "year")) else set()
    return [phase for phase in PHASES if phase.name in {"Login, consent and data", "Content of the responses", *needed}]


async def rehearsal(world, plan, fault=None, seconds=10.0, phases=PHASES):
    changes = {"ask": fault.ask, "answer": fault.answer, "delay": fault.delay} if fault else {}
    async with (
        proxying(world.url, token=world.token, **changes) as url,
        open_caller(url, world.url, ISSUER, world.signer, seconds=seconds) as caller,
    ):
        return await run_rehearsal(caller, plan, phases=phases)


async def start(world, tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    await world.start(SQLITE)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory, signer):
    """Start one healthy server for all faults, on its own loop: the proxy before it is what is wrong."""
    world = World(tmp_path_factory.mktemp("healthy"), signer)
    with asyncio.Runner() as runner:
        runner.run(start_with(world, "sqlite", sample_rows()))
        yield world, runner.run
        runner.run(world.stop())


MORE_CAUSES = {
    # The server before which the proxy is answers 500 to what the proxy makes of a query.
    "the later end of the window is exclusive": ["no-server-fault"],
    "a window that ends before it begins is turned round": ["no-server-fault"],
    # The proxy leaves records out, and leaves the total as it was.
    "an account that was closed is in no list": ["total-records", "offered-accounts-listed"],
    "a text is a regular expression": ["total-records"],
    "a text is looked for in the name of the merchant too": ["total-records"],
    "everybody has the same payees": ["payee-has-one-owner", "total-records"],
    "times are compared as text": ["total-records"],
    # A list lacks an account that was offered.
    "an account is there if any status is asked for": ["offered-accounts-listed", "default-filters"],
    # The rule that the fault is named for follows from a worse one.
    "a balance by itself lacks what the list has": ["required-members"],
    "data comes with another status": ["success-status"],
    "an answer never comes": ["answers-each-time"],
    "an account that nobody consents to is a fault": ["no-server-fault"],
}
"""The findings of faults that are several, or go by another name. All others have one finding: that of their rule."""


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_each_fault_is_found_by_the_rule_that_names_it(healthy, fault, find_causes):
    world, run = healthy
    patience = 1.0 if fault.rule == "answered" else 10.0
    report = run(rehearsal(world, plan_for(fault), fault, patience, phases_for(fault)))
    rules = [finding.rule.name for finding in report.failed_results]
    assert fault.rule in rules, rules
    causes = find_causes(report, fault.rule)
    assert causes == MORE_CAUSES.get(fault.name, [fault.rule])
    (finding,) = {row.rule: row for row in report.failed_results if row.rule.name == fault.rule}.values()
    assert all(failure.observed for failure in finding.failures)
    assert report.is_ready == (
        set(rules) <= {row.rule.name for row in report.failed_results if row.rule.severity == "warning"}
    )


def test_causes_are_found_whatever_is_broken():
    """Rules that follow from each other have the one that ranks first as their cause, and so have their own."""
    names = sorted({*FOLLOWS, *(name for following in FOLLOWS.values() for name in following)})
    chooser = random.Random(7)
    for _ in range(300):
        broken = chooser.sample(names, chooser.randint(1, 12))
        results = [fail_rule(replace(RETURNS_DATA, name=name), chooser.choice("xy"), "x") for name in broken]
        causes = find_causes(results)
        assert set(causes) <= set(broken)
        assert set(causes.values()) <= set(broken) - set(causes)


def test_there_are_faults_enough_and_no_two_of_one_name():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 60


def rules_of(module) -> set[str]:
    return {value.name for value in vars(module).values() if isinstance(value, Rule)}


def test_every_rule_about_answers_has_a_fault_that_breaks_it():
    modules = (
        consistency,
        bulk,
        filtering,
        responses,
        lists,
        details,
        disclosures,
        owners,
        plausibility,
        foreign_ids,
        refusal_times,
        repetition,
        json_schema,
        texts,
        conditions,
        concurrency,
        conversation,
    )
    # An operation that is not served is reported if its sector was named: see below.
    assert set().union(*map(rules_of, modules)) - {fault.rule for fault in FAULTS} == {"operation-served"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=100)
async def test_a_healthy_server_passes_with_every_source(world, kind):
    await start_with(world, kind, sample_rows(), settings="deprecated_lists = true\n")
    async with open_caller(world.url, world.url, ISSUER, world.signer, seconds=30) as caller:
        report = await run_rehearsal(caller, Plan(OPERATIONS, sample.PEOPLE), phases=[*CONVERSATION, FOREIGN_ACCESS])
    assert [(row.rule.name, row.subject, row.failures) for row in report.failed_results] == []
    assert len(report.served) == len(OPERATIONS)


@pytest.mark.gen_test(timeout=60)
async def test_a_dying_server_is_reported_with_its_last_request(world, tmp_path):
    await start(world, tmp_path)
    async with open_caller(world.url, world.url, ISSUER, world.signer, seconds=5) as caller:

        def kill(exchange):
            if exchange.request.operation and exchange.request.operation.name == TRANSACTIONS:
                caller.base_url = f"http://127.0.0.1:{free_port()}"

        caller.observers.append(kill)
        # Nothing else is sent beside it: what is in flight when a server goes is as likely to be the reason.
        wanted = {*LOGIN, LISTING["banking"], TRANSACTIONS}
        operations = tuple(row for row in OPERATIONS if row.name in wanted)
        report = await run_rehearsal(caller, Plan(operations, (JANE,)))
    (finding,) = [row for row in report.failed_results if row.rule.name == "server-survives-attacks"]
    assert finding.failures[0].request.operation.name == TRANSACTIONS
    assert not report.is_ready


@pytest.mark.gen_test(timeout=60)
async def test_a_named_sector_that_is_not_served_is_reported(world, tmp_path):
    rows = sample_rows()
    del rows["banking.payees"]
    write_sqlite(tmp_path / "bank.db", rows)
    await world.start(SQLITE)
    wanted = tuple(row for row in OPERATIONS if row.name in {*LOGIN, "listPayees"})
    for sectors, expected in ((frozenset(), []), (frozenset({"banking"}), ["operation-served"])):
        report = await rehearsal(world, Plan(wanted, (JANE,), sectors=sectors), phases=CONVERSATION)
        assert [row.rule.name for row in report.failed_results] == expected


@pytest.mark.slow
@pytest.mark.gen_test(timeout=60)
async def test_a_server_that_takes_rs256_alone_is_rehearsed_with_that(world, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENHOLDER_FISKIL__ALGORITHMS", "RS256")
    await start(world, tmp_path)
    async with open_caller(world.url, world.url, ISSUER, world.signer, seconds=10) as caller:
        report = await run_rehearsal(caller, replace(plan_for(FAULTS[0]), attacks=True))
    assert [(row.rule.name, row.failures) for row in report.failed_results] == []
    assert "exp" in {row.rule.name for row in report.results if row.verdict == "passed"}
