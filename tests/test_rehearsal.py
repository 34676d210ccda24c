"""The rehearsal finds what is wrong with a server, by name, and nothing where nothing is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openholder.contract.operations import OPERATIONS
from openholder.fiskil import sample
from openholder.rehearsal import walk
from openholder.rehearsal.caller import calling
from openholder.rehearsal.findings import Rule
from openholder.rehearsal.judges import agreement, http, lists, shape, texts
from openholder.rehearsal.play import ACTS, TALK, Act, rehearsed
from openholder.rehearsal.probes import chosen, filters, ownership, paging, together
from openholder.rehearsal.scene import Plan
from processes import free_port
from rehearsal.faults import CONSENT, CUSTOMER, FAULTS, SEARCH, TRANSACTIONS, Fault
from rehearsal.proxy import proxying
from support import ISSUER, SOURCES, SQLITE, sample_rows, start_with, write_sqlite

JANE, ROBIN = "jane.citizen@example.com", "robin.citizen@example.com"
LOGIN = (SEARCH, CUSTOMER, CONSENT)
OPERATION = {row.name: row for row in OPERATIONS}
LISTING = {"banking": "listBankingAccountsSpecific", "fdx": "fdxFetchSpecificAccounts"}


(OWNED,) = (act for act in ACTS if act.name == "Whose data it is")


def plan_for(fault: Fault) -> Plan:
    """The login, the list of the sector's accounts, and what the fault is in."""
    sectors = {OPERATION[name].sector for name in fault.operations}
    wanted = {*LOGIN, *fault.operations, *(LISTING[sector] for sector in sectors if sector in LISTING)}
    emails = ("dana.holbrook@example.com",) if "fdx" in sectors else (JANE, ROBIN)
    few = 1 if fault.operations == (TRANSACTIONS,) and "joint" not in fault.rule else 10
    return Plan(tuple(row for row in OPERATIONS if row.name in wanted), emails, accounts=few, attacks=False)


ASKED_FOR = {
    "Whose data it is": {"foreign-data", "foreign-data-body", "foreign-like-unknown", "unknown-id", "unknown-id-body"},
    "Few of the accounts": {"chosen-all", "chosen-none", "chosen-one", "chosen-twice"},
    "Filters": {"bad-parameter", "default-filters", "filters-filter", "links-keep-filters", "unknown-parameter"},
    "Several at once": {"own-answer"},
    "Pages, and the same again": {
        "default-page-size", "email-in-any-case", "nobody-found", "page-limits", "pages-make-the-list",
        "same-answer-again",
    },
}  # fmt: skip
"""The rules of acts that ask questions of their own. All others are judged on what the conversation brings."""
PROVOKING = {"error-form", "no-internals", "no-server-fault"}
"""Rules about errors: somebody must cause one first."""


def acts_for(fault: Fault) -> list[Act]:
    """The conversation, and the act that the fault must be found in: all of them for each would take minutes."""
    needed = {name for name, rules in ASKED_FOR.items() if fault.rule in rules}
    needed |= {"Whose data it is"} if fault.rule in PROVOKING or "refusals" in fault.name else set()
    needed |= {"Filters"} if "filtered" in fault.name else set()
    return [act for act in ACTS if act.name in {"The conversation", "What the answers say", *needed}]


async def rehearsal(world, plan, fault=None, seconds=10.0, acts=ACTS):
    changes = {"ask": fault.ask, "answer": fault.answer, "delay": fault.delay} if fault else {}
    async with (
        proxying(world.url, token=world.token, **changes) as url,
        calling(url, world.url, ISSUER, world.signer, seconds=seconds) as caller,
    ):
        return await rehearsed(caller, plan, acts=acts)


async def start(world, tmp_path):
    write_sqlite(tmp_path / "bank.db", sample_rows())
    await world.start(SQLITE)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
@pytest.mark.gen_test(timeout=60)
async def test_each_fault_is_found_by_the_rule_that_names_it(world, tmp_path, fault):
    await start(world, tmp_path)
    patience = 1.0 if fault.rule == "answered" else 10.0
    report = await rehearsal(world, plan_for(fault), fault, patience, acts_for(fault))
    rules = [finding.rule.name for finding in report.findings]
    assert fault.rule in rules, rules
    (finding,) = {row.rule: row for row in report.findings if row.rule.name == fault.rule}.values()
    assert all(deviation.came for deviation in finding.deviations)
    assert report.good == (set(rules) <= {row.rule.name for row in report.findings if row.rule.severity == "warning"})


def test_there_are_faults_enough_and_no_two_of_one_name():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 60


def rules_of(module) -> set[str]:
    return {value.name for value in vars(module).values() if isinstance(value, Rule)}


def test_every_rule_about_answers_has_a_fault_that_breaks_it():
    modules = (agreement, chosen, filters, http, lists, ownership, paging, shape, texts, together, walk)
    # An operation that is not served is told where its sector was asked for by name: see below.
    assert set().union(*map(rules_of, modules)) - {fault.rule for fault in FAULTS} == {"operation-served"}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.gen_test(timeout=100)
async def test_nothing_is_found_in_a_healthy_server_whichever_its_source(world, kind):
    await start_with(world, kind, sample_rows(), settings="deprecated_lists = true\n")
    async with calling(world.url, world.url, ISSUER, world.signer, seconds=30) as caller:
        report = await rehearsed(caller, Plan(OPERATIONS, sample.PEOPLE), acts=[*TALK, OWNED])
    assert [(row.rule.name, row.subject, row.deviations) for row in report.findings] == []
    assert len(report.served) == len(OPERATIONS)


@pytest.mark.gen_test(timeout=60)
async def test_a_server_that_dies_is_told_of_with_the_request_that_it_died_of(world, tmp_path):
    await start(world, tmp_path)
    async with calling(world.url, world.url, ISSUER, world.signer, seconds=5) as caller:

        def kill(exchange):
            if exchange.request.operation and exchange.request.operation.name == TRANSACTIONS:
                caller.base_url = f"http://127.0.0.1:{free_port()}"

        caller.witnesses.append(kill)
        report = await rehearsed(caller, Plan(OPERATIONS, (JANE,)))
    (finding,) = [row for row in report.findings if row.rule.name == "server-stays"]
    assert finding.deviations[0].asked.operation.name == TRANSACTIONS
    assert not report.good


@pytest.mark.gen_test(timeout=60)
async def test_a_sector_that_was_asked_for_by_name_is_served_or_told_of(world, tmp_path):
    rows = sample_rows()
    del rows["banking.payees"]
    write_sqlite(tmp_path / "bank.db", rows)
    await world.start(SQLITE)
    wanted = tuple(row for row in OPERATIONS if row.name in {*LOGIN, "listPayees"})
    for sectors, told in ((frozenset(), []), (frozenset({"banking"}), ["operation-served"])):
        report = await rehearsal(world, Plan(wanted, (JANE,), sectors=sectors), acts=TALK)
        assert [row.rule.name for row in report.findings] == told


@pytest.mark.gen_test(timeout=60)
async def test_a_server_that_takes_rs256_alone_is_rehearsed_with_that(world, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENHOLDER_FISKIL__ALGORITHMS", "RS256")
    await start(world, tmp_path)
    async with calling(world.url, world.url, ISSUER, world.signer, seconds=10) as caller:
        report = await rehearsed(caller, replace(plan_for(FAULTS[0]), attacks=True))
    assert [(row.rule.name, row.deviations) for row in report.findings] == []
    assert "exp" in {row.rule.name for row in report.outcomes if row.verdict == "passed"}
