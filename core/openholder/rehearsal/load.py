"""A load at a chosen rate, as an act: an open loop of signed requests in the mix of real traffic.

Each request has a time at which it is due, fixed before the first is sent. It starts then, whether or not those before
it were answered, and its latency counts from then: a server that stalls delays everybody who comes meanwhile, which a
caller that waits for each answer would never see ("coordinated omission").
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from typing import Literal

from openholder.contract.operations import Operation
from openholder.rehearsal.caller import Caller
from openholder.rehearsal.exchange import Exchange, Request
from openholder.rehearsal.findings import Deviation, Outcome, Rule, found, passed, skipped
from openholder.rehearsal.scene import Scene
from openholder.rehearsal.tiers import WITHIN_TIER, Measure, kept, percentile

Kind = Literal["good", "later", "blunt", "failed", "unsent"]
"""
``good``    data came
``later``   429 or 503, with Retry-After
``blunt``   429 or 503, without
``failed``  anything else, or nothing
``unsent``  too many others were waiting for their answers
"""

SHARES: tuple[tuple[int, frozenset[str]], ...] = (
    (60, frozenset({"accounts", "balances"})),
    (25, frozenset({"transactions", "billing"})),
    (10, frozenset({"customers"})),
    (5, frozenset({"search"})),
)
"""Percent of the requests for each kind of collection. Where nothing of a kind is served, the others share it."""
MOST_UNDER_WAY = 500
"""Requests that wait for their answers: a connection each, and many systems give a process 1024 files."""
MOST_LAG = 0.1
"""Seconds that 95 % of the requests may start late: a tenth of the strictest tier."""
PER_CUSTOMER, PER_HOLDER = 10, 150
"""Requests a second from which on a holder may refuse (CDS, traffic thresholds; up to 10 000 authorisations)."""
SERVER = "the server under load"
_BATCH = 100
"""Tokens that are signed before anybody is told how far it has come."""

LOAD_ANSWERED = Rule(
    "load-answered", "error",
    expected="Under load each request is answered with data; above the thresholds (10 requests a second for a customer,"
    " 150 in all) 429 or 503 will do.",
    why="A recipient that keeps to the thresholds gets errors, and they count against the holder's 99.5 %.",
    written="Consumer Data Standards, non-functional requirements: availability, traffic thresholds",
    mend="Look for pools that run dry, locks, and handlers that block the others; add workers.",
)  # fmt: skip
RETRY_AFTER = Rule(
    "load-retry-after", "error",
    expected="A server that is too busy answers 429 or 503 with Retry-After.",
    why="Callers that are not told when to come back come back at once.",
    written="RFC 6585 section 4; RFC 9110 sections 10.2.3 and 15.6.4; Consumer Data Standards, traffic thresholds",
    mend="Send Retry-After, in seconds, with every 429 and 503: also from the proxy in front.",
)  # fmt: skip
ON_TIME = Rule(
    "load-on-time", "warning",
    expected=f"95 % of the requests of the load start within {MOST_LAG * 1000:.0f} ms of the time they are due.",
    why="Later, this machine is too slow for the rate, and the latencies are its own, not the server's.",
    written="openholder's own: a tenth of the strictest tier",
    mend="Run the rehearsal on another machine than the server, or choose a lower rate.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shot:
    """What is kept of one request of the load: nothing of its answer's content."""

    request: Request
    kind: Kind
    came: str
    due: float
    """Seconds since the load began; so are the others."""
    began: float = 0.0
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """The latency that somebody who came at the due time has seen."""
        return self.ended - self.due


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a load."""

    p95: float
    """Of the answers with data to what was due in it; 0 where there were none."""
    answered: int
    """How many answers with data came in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a load came to."""

    rate: float
    """Requests a second, as wished."""
    reached: float
    """Requests a second, as sent."""
    sent: int
    good: int
    later: int
    """Refused by 429 or 503 with Retry-After."""
    blunt: int
    """Refused by 429 or 503 without it."""
    failed: int
    unsent: int
    """Not sent, since too many others were waiting: the server is too slow."""
    lag: float
    """Seconds that requests started late: the p95."""
    measures: tuple[Measure, ...]
    """Of the answers with data, an operation each."""
    timeline: tuple[Second, ...]


async def loaded(scene: Scene) -> AsyncIterator[Outcome]:
    """Put the load that is planned on the server, and judge how it bore it. `Scene.load` has the figures then."""
    requests = drawn(scene)
    if not requests:
        planned = scene.plan.rate and scene.plan.seconds
        yield skipped(LOAD_ANSWERED, SERVER, "nothing of the mix is served" if planned else "no rate and time given")
        return
    signed = await _signed(scene, requests)
    shots = await _Loop(scene).run(signed)
    scene.load = summed(scene.plan.rate, shots)
    for outcome in _judged(scene, scene.load, shots):
        yield outcome


def drawn(scene: Scene) -> list[Request]:
    """The requests of the load in their order, drawn from those of the conversation that were answered with data."""
    pools: Mapping[int, dict[str, list[Request]]] = defaultdict(lambda: defaultdict(list))
    for leg in chain.from_iterable(legs for visit in scene.visits for legs in visit.legs.values()):
        share = _share(leg.operation)
        if share and leg.first.good:
            pools[share][leg.operation.name].append(replace(leg.first.request, query="", token=None))
    if not pools:
        return []
    chance = random.Random(0)  # the same for every run, so that two runs can be compared
    shares = chance.choices(list(pools), weights=list(pools), k=round(scene.plan.rate * scene.plan.seconds))
    return [chance.choice(chance.choice(list(pools[share].values()))) for share in shares]


def _share(operation: Operation) -> int:
    collection = "search" if operation.whose == "search" else operation.collection.rpartition(".")[2]
    return next((share for share, names in SHARES if collection in names and not operation.deprecated), 0)


async def _signed(scene: Scene, requests: Sequence[Request]) -> list[Request]:
    """The requests, each with its token. They are signed first: signing costs more than a good server needs."""
    # A token outlives the signing of the others and the run; the longest run keeps below the hour of most servers.
    lifetime = round(60 + scene.plan.seconds + len(requests) * 0.005)
    signed: list[Request] = []
    for start in range(0, len(requests), _BATCH):
        signed += await asyncio.to_thread(_tokens, scene.caller, requests[start : start + _BATCH], lifetime)
        scene.told(f"signing beforehand: {len(signed)} of {len(requests)} tokens")
    return signed


def _tokens(caller: Caller, requests: Iterable[Request], lifetime: int) -> list[Request]:
    return [replace(request, token=caller.token(request.path, lifetime=lifetime)) for request in requests]


@dataclass
class _Loop:
    """The open loop."""

    scene: Scene
    shots: list[Shot] = field(default_factory=list)
    under_way: int = 0
    start: float = 0.0

    async def run(self, requests: Sequence[Request]) -> list[Shot]:
        """Send each request when it is due, and wait for all answers."""
        rate = self.scene.plan.rate
        self.start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, request in enumerate(requests):
                due = number / rate
                await asyncio.sleep(max(0.0, due - self._now()))
                self._begin(group, request, due)
                if number % max(1, round(rate)) == 0:
                    self.scene.told(f"load: {number} of {len(requests)} sent, {self.under_way} wait for their answers")
        return self.shots

    def _begin(self, group: asyncio.TaskGroup, request: Request, due: float) -> None:
        if self.under_way >= MOST_UNDER_WAY:
            self.shots.append(Shot(replace(request, token=None), "unsent", "not sent", due))
            return
        self.under_way += 1
        group.create_task(self._one(request, due))

    async def _one(self, request: Request, due: float) -> None:
        began = self._now()
        exchange = await self.scene.caller.send(request)
        self.under_way -= 1
        kind, came = _judge(exchange)
        self.shots.append(Shot(replace(request, token=None), kind, came, due, began, self._now()))

    def _now(self) -> float:
        return time.perf_counter() - self.start


def _judge(exchange: Exchange) -> tuple[Kind, str]:
    """What kind of answer it is, and in words."""
    if exchange.good:
        return ("good", exchange.came) if exchange.json is not None else ("failed", "200 that is not JSON")
    if exchange.status in (429, 503):
        return ("later" if "Retry-After" in exchange.headers else "blunt"), exchange.came
    return "failed", exchange.came


def summed(rate: float, shots: Sequence[Shot]) -> Load:
    """What the shots come to."""
    counts = {kind: sum(shot.kind == kind for shot in shots) for kind in ("good", "later", "blunt", "failed", "unsent")}
    sent = sorted((shot for shot in shots if shot.kind != "unsent"), key=lambda shot: shot.began)
    lags = sorted(shot.began - shot.due for shot in sent)
    span = sent[-1].began - sent[0].began if sent else 0.0
    return Load(
        rate=rate, reached=(len(sent) - 1) / span if span else 0.0, sent=len(sent), lag=percentile(lags, 95),
        measures=tuple(Measure.of(subject, seconds) for subject, seconds in _seconds(shots)),
        timeline=tuple(_timeline(shots)), **counts,
    )  # fmt: skip


def _seconds(shots: Iterable[Shot]) -> Iterator[tuple[str, list[float]]]:
    for subject, some in _by_route(shots):
        if seconds := [shot.seconds for shot in some if shot.kind == "good"]:
            yield subject, seconds


def _by_route(shots: Iterable[Shot]) -> Iterator[tuple[str, list[Shot]]]:
    ordered = sorted(shots, key=lambda shot: shot.request.route)
    return ((subject, list(some)) for subject, some in groupby(ordered, lambda shot: shot.request.route))


def _timeline(shots: Iterable[Shot]) -> Iterator[Second]:
    good = [shot for shot in shots if shot.kind == "good"]
    latencies: dict[int, list[float]] = defaultdict(list)
    ended: dict[int, int] = defaultdict(int)
    for shot in good:
        latencies[int(shot.due)].append(shot.seconds)
        ended[int(shot.ended)] += 1
    for second in range(max(ended, default=-1) + 1):
        yield Second(percentile(sorted(latencies[second]), 95) if latencies[second] else 0.0, ended[second])


def _judged(scene: Scene, load: Load, shots: Sequence[Shot]) -> Iterator[Outcome]:
    late = f"95 % started up to {load.lag * 1000:.0f} ms late: the figures are not the server's"
    on_time = load.lag <= MOST_LAG
    yield passed(ON_TIME, SERVER) if on_time else found(ON_TIME, SERVER, late)
    if load.unsent:
        unsent = f"{load.unsent} not sent: {MOST_UNDER_WAY} others waited for their answers"
        yield found(LOAD_ANSWERED, SERVER, unsent) if on_time else skipped(LOAD_ANSWERED, SERVER, late)
    due = load.rate <= _threshold(scene)
    for subject, some in _by_route(shots):
        yield _told(LOAD_ANSWERED, subject, some, {"failed", "later", "blunt"} if due else {"failed"})
        yield _told(RETRY_AFTER, subject, some, {"blunt"})
    for measure in load.measures:
        when = f" at {load.rate:g} requests a second"
        yield kept(measure, WITHIN_TIER, when) if on_time else skipped(WITHIN_TIER, measure.subject, late)


def _threshold(scene: Scene) -> float:
    """Requests a second up to which none may be refused, if the customers had equal parts in them."""
    customers = {visit.customer_id for visit in scene.visits if visit.customer_id}
    return min(PER_HOLDER, PER_CUSTOMER * max(1, len(customers)))


def _told(rule: Rule, subject: str, shots: Sequence[Shot], kinds: set[str]) -> Outcome:
    """The answers of these kinds, as deviations: one for each way in which they came."""
    ways: dict[str, list[Shot]] = defaultdict(list)
    for shot in shots:
        if shot.kind in kinds:
            ways[shot.came].append(shot)
    deviations = (
        Deviation(f"{came}: {len(some)} of {len(shots)} requests", some[0].request) for came, some in ways.items()
    )
    return Outcome(rule, subject, tuple(deviations))
