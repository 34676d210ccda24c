"""Put load on a server at a fixed rate: an open loop of signed requests in the mix of real traffic.

The time at which each request is due is fixed before the first is sent. It is sent then, whether or not earlier ones
were answered, and its latency counts from then. A server that stalls delays everyone who arrives meanwhile; a caller
that waits for each response would never see that ("coordinated omission").
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Literal

from openholder.contract.operations import Operation
from openholder.rehearsal.caller import Caller
from openholder.rehearsal.checks.latency import WITHIN_TIER, check_measure
from openholder.rehearsal.exchange import Exchange, Request
from openholder.rehearsal.measures import LoadResult, Measure, Second, find_percentile
from openholder.rehearsal.results import Failure, Result, Rule, fail_rule, judge_rule, skip_rule
from openholder.rehearsal.session import Session

Outcome = Literal["good", "deferred", "refused", "failed", "unsent"]
"""
``good``      answered with data
``deferred``  429 or 503 with Retry-After
``refused``   429 or 503 without Retry-After
``failed``    any other response, or none
``unsent``    not sent: too many requests were waiting for a response
"""

SHARES: tuple[tuple[int, frozenset[str]], ...] = (
    (60, frozenset({"accounts", "balances"})),
    (25, frozenset({"transactions", "billing"})),
    (10, frozenset({"customers"})),
    (5, frozenset({"search"})),
)
"""Percentage of requests for each kind of collection. If none of a kind is served, the others take its share."""
MAX_IN_FLIGHT = 500
"""Requests that wait for a response. Each has a connection, and many systems limit a process to 1024 files."""
MAX_LAG = 0.1
"""Seconds that 95 % of the requests may be sent late: a tenth of the strictest tier."""
CUSTOMER_THRESHOLD = 10
HOLDER_THRESHOLD = 150
"""Requests per second above which a holder may refuse (CDS, traffic thresholds; up to 10 000 authorisations)."""
SERVER_UNDER_LOAD = "the server under load"
_BATCH = 100
"""Tokens that are signed between two reports of progress."""

LOAD_ANSWERED = Rule(
    name="load-answered",
    severity="error",
    expected="Under load, each request is answered with data. Above the thresholds (10 requests per second for one"
    " customer, 150 in total) 429 or 503 is acceptable.",
    why="A recipient that keeps to the thresholds gets errors, which count against the holder's 99.5 % availability.",
    reference="Consumer Data Standards, non-functional requirements: availability, traffic thresholds",
    how_to_fix="Look for exhausted connection pools, locks, and handlers that block others; add workers.",
    example="GET …/accounts/{accountId}/transactions: 500: 12 of 1800 requests",
)
RETRY_AFTER = Rule(
    name="load-retry-after",
    severity="error",
    expected="A server that is too busy answers 429 or 503 with Retry-After.",
    why="Callers that are not told when to retry will retry at once.",
    reference="RFC 6585 section 4; RFC 9110 sections 10.2.3 and 15.6.4; Consumer Data Standards, traffic thresholds",
    how_to_fix="Send Retry-After, in seconds, with every 429 and 503, including those of a proxy in front.",
    example="GET …/accounts/{accountId}/transactions: 503: 40 of 1800 requests",
)
ON_TIME = Rule(
    name="load-on-time",
    severity="warning",
    expected=f"95 % of the requests of the load are sent within {MAX_LAG * 1000:.0f} ms of the time they are due.",
    why="If they are later, this machine is too slow for the rate, and the latencies are not the server's.",
    reference="openholder's own rule: a tenth of the strictest tier",
    how_to_fix="Run the rehearsal on another machine than the server, or choose a lower rate.",
    example="the server under load: 95 % were sent up to 340 ms late: the figures are not the server's",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """The measurement of one request. The content of the response is not kept."""

    request: Request
    outcome: Outcome
    status_text: str
    due: float
    """Seconds since the load began, like the following."""
    began: float = 0.0
    ended: float = 0.0

    @property
    def seconds(self) -> float:
        """The latency, counted from the time the request was due."""
        return self.ended - self.due


async def run_load(session: Session) -> AsyncIterator[Result]:
    """Put the planned load on the server, check how it copes, and store the figures in `Session.load`."""
    requests = draw_requests(session)
    if not requests:
        is_planned = session.plan.rate and session.plan.seconds
        reason = "no operation of the load is served" if is_planned else "--rate and --for not given"
        yield skip_rule(LOAD_ANSWERED, SERVER_UNDER_LOAD, reason)
        return
    signed = await _sign_requests(session, requests)
    samples = await _OpenLoop(session).run(signed)
    session.load = summarize_samples(session.plan.rate, samples)
    for result in _check_load(session, session.load, samples):
        yield result


def draw_requests(session: Session) -> list[Request]:
    """Draw the requests of the load, in order, from those that were answered with data before."""
    pools: Mapping[int, dict[str, list[Request]]] = defaultdict(lambda: defaultdict(list))
    for run in session.runs:
        for sequences in run.sequences.values():
            for sequence in sequences:
                share = _find_share(sequence.operation)
                if share and sequence.first.is_ok:
                    request = replace(sequence.first.request, query="", token=None)
                    pools[share][sequence.operation.name].append(request)
    if not pools:
        return []
    chance = random.Random(0)  # the same sequence in every run, so that runs can be compared
    shares = chance.choices(list(pools), weights=list(pools), k=round(session.plan.rate * session.plan.seconds))
    return [chance.choice(chance.choice(list(pools[share].values()))) for share in shares]


def _find_share(operation: Operation) -> int:
    """Return the percentage of requests for operations of this kind; 0 if it is not part of the load."""
    collection = "search" if operation.whose == "search" else operation.collection.rpartition(".")[2]
    return next((share for share, names in SHARES if collection in names and not operation.deprecated), 0)


async def _sign_requests(session: Session, requests: Sequence[Request]) -> list[Request]:
    """Sign a token for each request in advance: signing costs more than a fast server needs to answer."""
    # A token must outlive the signing of the others and the load. The longest load stays below the one hour that most
    # servers accept as a lifetime.
    lifetime = round(60 + session.plan.seconds + len(requests) * 0.005)
    signed: list[Request] = []
    for start in range(0, len(requests), _BATCH):
        batch = requests[start : start + _BATCH]
        signed += await asyncio.to_thread(_sign_batch, session.caller, batch, lifetime)
        session.on_progress(f"signing {len(signed)} of {len(requests)} tokens")
    return signed


def _sign_batch(caller: Caller, requests: Iterable[Request], lifetime: int) -> list[Request]:
    return [replace(request, token=caller.sign_token(request.path, lifetime=lifetime)) for request in requests]


@dataclass
class _OpenLoop:
    """Sends requests at fixed times and takes samples."""

    session: Session
    samples: list[Sample] = field(default_factory=list)
    in_flight: int = 0
    start: float = 0.0

    async def run(self, requests: Sequence[Request]) -> list[Sample]:
        """Send each request when it is due, then wait for all responses."""
        rate = self.session.plan.rate
        self.start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, request in enumerate(requests):
                due = number / rate
                await asyncio.sleep(max(0.0, due - self._get_elapsed()))
                if self.in_flight >= MAX_IN_FLIGHT:
                    self.samples.append(Sample(replace(request, token=None), "unsent", "not sent", due))
                else:
                    self.in_flight += 1
                    group.create_task(self._send(request, due))
                if number % max(1, round(rate)) == 0:
                    self.session.on_progress(f"{number} of {len(requests)} sent, {self.in_flight} in flight")
        return self.samples

    async def _send(self, request: Request, due: float) -> None:
        began = self._get_elapsed()
        exchange = await self.session.caller.send(request)
        self.in_flight -= 1
        outcome, text = _classify(exchange)
        self.samples.append(Sample(replace(request, token=None), outcome, text, due, began, self._get_elapsed()))

    def _get_elapsed(self) -> float:
        return time.perf_counter() - self.start


def _classify(exchange: Exchange) -> tuple[Outcome, str]:
    """Return the outcome of an exchange, and its text."""
    if exchange.is_ok:
        return ("good", exchange.status_text) if exchange.json is not None else ("failed", "200 that is not JSON")
    if exchange.status in (429, 503):
        return ("deferred" if "Retry-After" in exchange.headers else "refused"), exchange.status_text
    return "failed", exchange.status_text


def summarize_samples(rate: float, samples: Sequence[Sample]) -> LoadResult:
    """Return the figures of a load."""
    outcomes = [sample.outcome for sample in samples]
    sent = sorted((sample for sample in samples if sample.outcome != "unsent"), key=lambda sample: sample.began)
    lags = sorted(sample.began - sample.due for sample in sent)
    span = sent[-1].began - sent[0].began if sent else 0.0
    measures = []
    for subject, some in _group_by_route(samples):
        if seconds := [sample.seconds for sample in some if sample.outcome == "good"]:
            measures.append(Measure.of(subject, seconds))
    return LoadResult(
        rate=rate,
        reached=(len(sent) - 1) / span if span else 0.0,
        sent=len(sent),
        good=outcomes.count("good"),
        deferred=outcomes.count("deferred"),
        refused=outcomes.count("refused"),
        failed=outcomes.count("failed"),
        unsent=outcomes.count("unsent"),
        lag=find_percentile(lags, 95),
        measures=tuple(measures),
        timeline=tuple(_build_timeline(samples)),
    )


def _group_by_route(samples: Iterable[Sample]) -> Iterator[tuple[str, list[Sample]]]:
    ordered = sorted(samples, key=lambda sample: sample.request.route)
    return ((subject, list(some)) for subject, some in groupby(ordered, lambda sample: sample.request.route))


def _build_timeline(samples: Iterable[Sample]) -> Iterator[Second]:
    good = [sample for sample in samples if sample.outcome == "good"]
    latencies: dict[int, list[float]] = defaultdict(list)
    ended: dict[int, int] = defaultdict(int)
    for sample in good:
        latencies[int(sample.due)].append(sample.seconds)
        ended[int(sample.ended)] += 1
    for second in range(max(ended, default=-1) + 1):
        p95 = find_percentile(sorted(latencies[second]), 95) if latencies[second] else 0.0
        yield Second(p95, ended[second])


def _check_load(session: Session, load: LoadResult, samples: Sequence[Sample]) -> Iterator[Result]:
    """Check the figures. If requests were sent late, latencies prove nothing and are not judged."""
    late = f"95 % were sent up to {load.lag * 1000:.0f} ms late: the figures are not the server's"
    is_on_time = load.lag <= MAX_LAG
    yield judge_rule(ON_TIME, SERVER_UNDER_LOAD, is_on_time, late)
    if load.unsent:
        unsent = f"{load.unsent} not sent: {MAX_IN_FLIGHT} others were waiting for a response"
        yield (
            fail_rule(LOAD_ANSWERED, SERVER_UNDER_LOAD, unsent)
            if is_on_time
            else skip_rule(LOAD_ANSWERED, SERVER_UNDER_LOAD, late)
        )
    # Up to this rate none may be refused, if the customers have equal shares of the load.
    customers = {run.customer_id for run in session.runs if run.customer_id}
    threshold = min(HOLDER_THRESHOLD, CUSTOMER_THRESHOLD * max(1, len(customers)))
    unacceptable = {"failed", "deferred", "refused"} if load.rate <= threshold else {"failed"}
    for subject, some in _group_by_route(samples):
        yield _check_outcomes(LOAD_ANSWERED, subject, some, unacceptable)
        yield _check_outcomes(RETRY_AFTER, subject, some, {"refused"})
    condition = f" at {load.rate:g} requests per second"
    for measure in load.measures:
        if is_on_time:
            yield check_measure(measure, WITHIN_TIER, condition)
        else:
            yield skip_rule(WITHIN_TIER, measure.subject, late)


def _check_outcomes(rule: Rule, subject: str, samples: Sequence[Sample], unacceptable: set[str]) -> Result:
    """Return a result with one failure for each different response with an unacceptable outcome."""
    by_text: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.outcome in unacceptable:
            by_text[sample.status_text].append(sample)
    failures = (
        Failure(f"{text}: {len(some)} of {len(samples)} requests", some[0].request) for text, some in by_text.items()
    )
    return Result(rule, subject, tuple(failures))
