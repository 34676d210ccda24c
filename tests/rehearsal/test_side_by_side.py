"""What a rehearsal says does not depend on which of many requests at once is answered first."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator

import pytest

from helpers.support import ISSUER
from openholder.contract.operations import OPERATIONS
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.phases import PHASES
from openholder.rehearsal.probes.concurrency import CONCURRENT
from openholder.rehearsal.report.json import render_json
from openholder.rehearsal.results import Result, Rule, fail_rule
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import MAX_IN_FLIGHT, Plan
from openholder.rehearsal.side_by_side import Turn, do_side_by_side, run_side_by_side, take_turn
from rehearsal.holder import JANE, ROBIN, Answer, Holder, Refused, serving
from rehearsal.test_healthy_servers import ACCOUNTS, LOGIN, TRANSACTIONS, Unsigned

RULE = Rule("rule", "error", "It is so.", "Else it hurts.", "RFC 9110", "Make it so.", "GET /x: 500")


async def take_turns(delay: float) -> list[Turn]:
    """Take a turn before and after a while, and one in each of two parts between."""
    first = take_turn()
    await asyncio.sleep(delay)
    parts = await do_side_by_side(take_turns_of_part(delay) for _ in range(2))
    return [first, *parts, take_turn()]


async def take_turns_of_part(delay: float) -> Turn:
    await asyncio.sleep(delay)
    return take_turn()


@pytest.mark.gen_test
async def test_turns_are_those_of_parts_that_wait_for_each_other():
    before = take_turn()
    found = await do_side_by_side(map(take_turns, (0.02, 0.0, 0.01)))
    turns = [before, *(turn for part in found for turn in part), take_turn()]
    assert turns == sorted(turns)
    assert len(set(turns)) == 14


@pytest.mark.gen_test
async def test_what_was_found_is_told_before_a_fault_ends_all():
    async def find(name: str, ends: bool, delay: float = 0) -> AsyncIterator[Result]:
        yield fail_rule(RULE, name, "500")
        await asyncio.sleep(delay)
        if ends:
            raise KeyError(name)
        yield fail_rule(RULE, f"{name}, later", "500")

    found = []
    with pytest.raises(KeyError, match="b"):
        async for result in run_side_by_side([find("a", False), find("b", True), find("c", False, 60)]):
            found.append(result.subject)  # noqa: PERF401 - one by one, until it raises
    assert found == ["a", "a, later", "b", "c"]


def spoil(holder: Holder) -> None:
    """Let many operations break rules, and one of them now and then."""

    def before(answer: Answer, handler: object) -> None:
        if "pages" in answer.query:
            raise Refused(500)

    def after(answer: Answer) -> None:
        answer.headers["Set-Cookie"] = "sid=1"
        if answer.name == TRANSACTIONS and answer.status == 200:
            answer.json["meta"]["totalRecords"] += 1

    holder.before, holder.after = before, after


async def rehearse_late(signer: object, seed: int) -> tuple[dict[str, object], int]:
    """Rehearse with responses that come late, each by another time; return the report, and the most in flight."""
    holder, chance = Holder(), random.Random(seed)
    spoil(holder)
    wanted = {*LOGIN, ACCOUNTS, TRANSACTIONS}
    plan = Plan(tuple(row for row in OPERATIONS if row.name in wanted), (JANE, ROBIN))
    async with serving(holder) as url, open_caller(url, url, ISSUER, signer, seconds=60) as caller:
        send, in_flight, most = caller.send, set(), 0

        async def send_late(request):
            nonlocal most
            if "concurrent" not in request.note:
                in_flight.add(asyncio.current_task())
                most = max(most, len(in_flight))
            exchange = await send(request)
            await asyncio.sleep(chance.random() * 0.01)
            in_flight.discard(asyncio.current_task())
            return exchange

        caller.send = send_late
        phases = [phase for phase in PHASES if phase.name != "Times of refusals"]  # how many it sends depends on times
        report = json.loads(render_json(await run_rehearsal(caller, plan, phases=phases)))
    for member in ("started", "seconds", "target", "timings"):
        del report[member]
    for finding in report["findings"]:
        for example in finding["examples"]:
            del example["interaction_id"]
    return report, most


@pytest.mark.slow
@pytest.mark.gen_test(timeout=120)
async def test_the_report_is_the_same_in_whatever_order_responses_come(signer):
    (first, most), (second, _) = [await rehearse_late(signer, seed) for seed in (1, 2)]
    assert len(first["findings"]) > 5
    assert first == second
    # What is wrong with every response with data has one cause, whatever was sent for it.
    causes = {each for row in first["outcomes"] if row["rule"] == "no-cookies" for each in row.get("causes", ())}
    assert "Set-Cookie with status n" in causes
    assert "a valid token, before the attacks: Set-Cookie with status n" not in causes
    assert most == MAX_IN_FLIGHT >= CONCURRENT


@pytest.mark.gen_test(timeout=60)
async def test_a_rehearsal_that_is_stopped_says_what_was_found_by_then():
    holder, stop = Holder(), asyncio.Event()
    spoil(holder)
    plan = Plan(tuple(row for row in OPERATIONS if row.name in {*LOGIN, ACCOUNTS, TRANSACTIONS}), (JANE,))
    async with serving(holder) as url, open_caller(url, url, ISSUER, Unsigned(), seconds=60) as caller:
        caller.observers.append(lambda each: stop.set() if each.request.note == "an unknown customerId" else None)
        report = await run_rehearsal(caller, plan, stop=stop)
    found = {row.rule.name for row in report.failed_results}
    assert {"no-cookies", "total-records"} <= found
    assert "page-limits" not in {row.rule.name for row in report.results}
    assert (report.is_finished, report.untried[-1][0]) == (False, "the server")
    assert report.untried[-1][1] == "not looked at further: the rehearsal was stopped"
