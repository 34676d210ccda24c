"""The acts of a rehearsal, in their order, and the report that they end in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from openholder.contract.operations import OPERATIONS
from openholder.rehearsal.attacks import run_attacks
from openholder.rehearsal.attacks.replay import replay_first_token
from openholder.rehearsal.caller import Caller
from openholder.rehearsal.exchange import NOT_SERVED, route
from openholder.rehearsal.findings import SERVER, Ledger, Outcome, Rule, found, passed
from openholder.rehearsal.judges import judged
from openholder.rehearsal.judges.agreement import agreed
from openholder.rehearsal.judges.http import HTTP
from openholder.rehearsal.judges.lists import listed
from openholder.rehearsal.judges.shape import shapes
from openholder.rehearsal.load import Load, loaded
from openholder.rehearsal.masking import known
from openholder.rehearsal.openapi import declared
from openholder.rehearsal.probes.chosen import chosen_few
from openholder.rehearsal.probes.filters import filtered
from openholder.rehearsal.probes.ownership import owned
from openholder.rehearsal.probes.paging import repeated
from openholder.rehearsal.probes.together import asked_together
from openholder.rehearsal.scene import Gone, Plan, Scene, not_served
from openholder.rehearsal.tiers import measured
from openholder.rehearsal.walk import TOKEN_ACCEPTED, walked


async def looked_through(scene: Scene) -> AsyncIterator[Outcome]:
    """Judge what the conversation brought, list by list and against each other. Asks nothing."""
    for visit in scene.visits:
        for legs in visit.legs.values():
            for leg in legs:
                for outcome in listed(leg):
                    yield outcome
    for outcome in agreed(scene):
        yield outcome


class Act(NamedTuple):
    """A part of a rehearsal: what it is called, and what it does."""

    name: str
    play: Callable[[Scene], AsyncIterator[Outcome]]


ACTS: tuple[Act, ...] = (
    Act("The conversation", walked),
    Act("What the answers say", looked_through),
    Act("Whose data it is", owned),
    Act("Few of the accounts", chosen_few),
    Act("Filters", filtered),
    Act("Pages, and the same again", repeated),
    Act("How long it takes", measured),
    Act("Several at once", asked_together),
    Act("Attacks", run_attacks),
    Act("Under load", loaded),
    Act("The first token again", replay_first_token),
)
"""Whatever comes first is known to what comes after."""
TALK = ACTS[:2]
"""The conversation, and what its answers say."""


STAYS = Rule(
    "server-stays", "critical",
    expected="Whatever the server is asked, it is there for the next request.",
    why="One odd request from anywhere, and nobody is served.",
    written="Consumer Data Standards, non-functional requirements: availability of 99.5 % a month",
    mend="Start it again, send the request that is named here, and look at where it ends.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the answers of one operation took, in seconds."""

    subject: str
    seconds: tuple[float, ...]


@dataclass(slots=True)
class Report:
    """What a rehearsal came to."""

    target: str
    started: float
    """Seconds since 1970."""
    seconds: float = 0.0
    outcomes: Sequence[Outcome] = ()
    requests: int = 0
    served: tuple[str, ...] = ()
    """The routes that answered with data."""
    timings: tuple[Timing, ...] = ()
    """Of the conversation, an operation each."""
    load: Load | None = None
    """What the load came to, where there was one."""
    options: tuple[tuple[str, str], ...] = ()
    """How it was run: names and values for people to read."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """Values that are somebody's, which no text that leaves may have."""

    @property
    def findings(self) -> list[Outcome]:
        """Outcomes with deviations, the worst first."""
        ledger = Ledger()
        for outcome in self.outcomes:
            ledger.enter(outcome)
        return list(ledger.findings())

    @property
    def good(self) -> bool:
        """Whether nothing was found but warnings."""
        return all(outcome.rule.severity == "warning" for outcome in self.findings)


async def rehearsed(
    caller: Caller, plan: Plan, told: Callable[[str], None] = lambda _: None, acts: Sequence[Act] = ACTS
) -> Report:
    """Play all acts against the server. ``told`` is told what happens, act by act and request by request."""
    report, ledger, scene = Report(caller.audience, time.time()), Ledger(), Scene(caller, plan, told=told)
    started = time.perf_counter()
    async for outcome in _played(scene, acts):
        ledger.enter(outcome)
    async for outcome in _formed(scene):
        ledger.enter(outcome)
    report.seconds = time.perf_counter() - started
    report.outcomes = ledger.outcomes()
    report.requests = len(scene.exchanges)
    report.timings = tuple(Timing(subject, tuple(seconds)) for subject, seconds in scene.timings.items())
    report.load = scene.load
    report.served = tuple(map(route, scene.served))
    report.secrets = known(scene)
    return report


async def _played(scene: Scene, acts: Sequence[Act]) -> AsyncIterator[Outcome]:
    """The outcomes of all acts; they end early where no token is accepted, and where the server is gone."""
    try:
        for act in acts:
            scene.told(act.name)
            async for outcome in act.play(scene):
                yield outcome
                if outcome.rule is TOKEN_ACCEPTED and outcome.deviations:
                    return
        yield passed(STAYS, SERVER)
    except Gone:
        last = scene.exchanges[-1]
        yield found(STAYS, SERVER, f"the server is gone after this request, which came to {last.came}", last.request)


async def _formed(scene: Scene) -> AsyncIterator[Outcome]:
    """Judge the form of every answer there was. The event loop runs on meanwhile: a demo serves from it."""
    served = set(map(route, scene.served))
    for exchange in scene.exchanges:
        await asyncio.sleep(0)
        known = exchange.request.route in served or not not_served(exchange)
        for outcome in judged(HTTP, exchange, exchange.request.route if known else NOT_SERVED):
            yield outcome
        # The contract knows the operations of the table; others are held to the server's own document.
        for outcome in (shapes if exchange.request.operation in OPERATIONS else declared)(exchange):
            yield outcome
