"""Put the load of recipients on a server at a fixed rate, and judge how it copes.

`recipients` says what is asked, this module when, and `generator` sends it, in a process of its own.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from openholder.contract.operation import Tier
from openholder.rehearsal.checks.latency import MIN_RESPONSES, SEEMS_SLOW, WITHIN_TIER, check_measure
from openholder.rehearsal.generator import Finished, GeneratorFault, Job, Read, Sample, Sent, Signed, run_apart
from openholder.rehearsal.measures import LoadResult, Measure, Second, find_percentile, find_tier
from openholder.rehearsal.recipients import PERIODS, Reading, find_window, plan_customers, try_periods, write_script
from openholder.rehearsal.results import Failure, Result, Rule, fail_rule, skip_rule
from openholder.rehearsal.session import Session

BURST_EVERY = 5
"""Seconds from one burst to the next; the first is in the second second."""
BURST_SHARE = 0.5
"""The share of a second's requests that are due at once in a burst. The thresholds of the CDS count seconds."""
MAX_IN_FLIGHT = 500
"""Requests that wait for a response. Each has a connection, and many systems limit a process to 1024 files."""
WAITS = (0.5, 1.0, 2.0)
"""Seconds before a failed request is sent again, the first time and later ones, if the response names no time."""
MAX_LAG = 0.1
"""Seconds that 95 % of the requests may be sent late: a tenth of the strictest tier."""
CUSTOMER_THRESHOLD = 10
HOLDER_THRESHOLD = 150
"""Requests per second above which a holder may refuse (CDS, traffic thresholds; up to 10 000 authorisations)."""
UNAVAILABLE = 0.005
"""The share of requests that a server may refuse below the thresholds or break off (CDS: 99.5 % availability)."""
SERVER_UNDER_LOAD = "the server under load"

LOAD_ANSWERED = Rule(
    name="load-answered",
    severity="error",
    expected="Under load, each request is answered with data. Above the thresholds (10 requests per second for one"
    " customer, 150 in total) 429 or 503 with Retry-After is acceptable; below them, for at most 0.5 % of the requests,"
    " as are connections that end early.",
    why="A recipient that keeps to the thresholds gets errors, which count against the holder's 99.5 % availability.",
    reference="Consumer Data Standards, non-functional requirements: availability, traffic thresholds",
    how_to_fix="Each of these requests was answered before the load, alone. Look for exhausted connection pools,"
    " short queues, locks, and handlers that block others; add workers.",
    example="GET …/accounts/{accountId}/transactions: 500: 12 of 1800 requests, 11 of them in bursts of 25; 12 were"
    " answered when sent again",
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


async def run_load(session: Session) -> AsyncIterator[Result]:
    """Put the planned load on the server, check how it copes, and store the figures in `Session.load`."""
    due = schedule_requests(session.plan.rate, session.plan.seconds)
    if not due:
        yield skip_rule(LOAD_ANSWERED, SERVER_UNDER_LOAD, "--rate and --for not given")
        return
    accepted = await try_periods(session)
    for result in _explain_omissions(session, accepted):
        yield result
    customers = plan_customers(session, accepted)
    if not customers:
        yield skip_rule(LOAD_ANSWERED, SERVER_UNDER_LOAD, "no operation of the load is served")
        return
    script = write_script(customers, len(due))
    readings = list(dict.fromkeys(script))
    try:
        job = _build_job(session, readings, script, due)
        finished = await session.until_stopped(run_apart(job, _watch(session, len(due))))
    except GeneratorFault as exc:
        yield skip_rule(LOAD_ANSWERED, SERVER_UNDER_LOAD, str(exc))
        return
    session.load = summarize_samples(session.plan.rate, finished, readings)
    for result in _check_load(session.load, finished.samples, readings):
        yield result


def schedule_requests(rate: float, seconds: float) -> list[float]:
    """Return when each request of a load is due, in seconds since it began, in order.

    Each second has an equal number of requests, at equal intervals. In the second second, and in every fifth after it,
    half of them are due at once.
    """
    due: list[float] = []
    second = 0
    while len(due) < round(rate * seconds):
        length = min(1.0, seconds - second)
        count = round(rate * (second + length)) - len(due)
        burst = int(count * BURST_SHARE) if second % BURST_EVERY == 1 else 0
        due += [float(second)] * burst
        due += [second + (number + 0.5) * length / (count - burst) for number in range(count - burst)]
        second += 1
    return due


def _explain_omissions(session: Session, accepted: Mapping[tuple[str, str], str]) -> Iterator[Result]:
    """Say which periods are left out, because the server did not answer them before the load."""
    for operation in session.served_operations:
        for period in PERIODS if find_window(operation) and not operation.deprecated else ():
            if (operation.name, period) not in accepted:
                route = f"{operation.method} {operation.path}"
                yield skip_rule(LOAD_ANSWERED, route, f"{period} of records were not answered before the load")


def _build_job(session: Session, readings: Sequence[Reading], script: Iterable[Reading], due: list[float]) -> Job:
    """Describe the load to the generator."""
    caller, numbers = session.caller, {reading: number for number, reading in enumerate(readings)}
    reads = []
    for request in (reading.request for reading in readings):
        assert request.operation
        reply = request.operation.reply
        is_json = reply.media.endswith("json")
        reads.append(Read(request.method, request.path, request.query, request.body, reply.paging, is_json))
    return Job(
        base_url=caller.base_url,
        audience=caller.audience,
        issuer=caller.issuer,
        key=caller.signer.private_bytes(),
        kid=caller.signer.kid,
        algorithm=caller.algorithm,
        # A token must outlive the signing of the others and the load. The longest load stays below the one hour that
        # most servers accept as a lifetime.
        lifetime=round(60 + session.plan.seconds + len(due) * 0.005),
        authority=str(caller.authority or ""),
        seconds=caller.http.timeout.total or 0.0,
        reads=reads,
        script=[numbers[reading] for reading in script],
        due=due,
        most=MAX_IN_FLIGHT,
        waits=WAITS,
    )


def _watch(session: Session, total: int) -> Callable[[Signed | Sent], None]:
    """Return what shows the messages of the generator as progress."""

    def show(message: Signed | Sent) -> None:
        if isinstance(message, Signed):
            session.on_progress(f"signing {message.count} of {total} tokens")
        else:
            session.on_progress(f"{message.count} of {total} sent, {message.in_flight} in flight")

    return show


def summarize_samples(rate: float, finished: Finished, readings: Sequence[Reading]) -> LoadResult:
    """Return the figures of a load.

    Args:
        rate: Requests per second, as planned.
        finished: What the generator measured.
        readings: What was read, by the number of the read.
    """
    outcomes = Counter(sample.outcome for sample in finished.samples)
    sent = sorted((sample for sample in finished.samples if sample.outcome != "unsent"), key=_get_beginning)
    good = [sample for sample in sent if sample.outcome == "good"]
    lags = sorted(sample.began - sample.due for sample in sent)
    span = sent[-1].began - sent[0].began if sent else 0.0
    lag = find_percentile(lags, 95) if sent else 0.0
    is_limited = lag > MAX_LAG
    return LoadResult(
        rate=rate,
        reached=(len(sent) - 1) / span if span else 0.0,
        sent=len(sent),
        good=len(good),
        deferred=outcomes["deferred"],
        refused=outcomes["refused"],
        broken=outcomes["broken"],
        failed=outcomes["failed"],
        unsent=outcomes["unsent"],
        retries=sum(sample.times > 0 for sample in sent),
        recovered=sum(sample.times > 0 for sample in good),
        lag=lag,
        lag_max=lags[-1] if lags else 0.0,
        processor=finished.processor,
        is_limited=is_limited,
        measures=() if is_limited else tuple(_measure_operations(good, readings)),
        tiers=() if is_limited else tuple(_measure_tiers(good, readings)),
        timeline=tuple(_build_timeline(good)),
    )


def _get_beginning(sample: Sample) -> float:
    return sample.began


def _get_seconds(sample: Sample) -> float:
    return sample.seconds


def _measure_operations(good: Iterable[Sample], readings: Sequence[Reading]) -> Iterator[Measure]:
    """Measure each operation and period."""
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for sample in good:
        reading = readings[sample.read]
        seconds[reading.request.route, reading.period].append(sample.seconds)
    return (Measure.of(route, some, period) for (route, period), some in sorted(seconds.items()))


def _measure_tiers(good: Iterable[Sample], readings: Sequence[Reading]) -> Iterator[Measure]:
    """Measure all operations of each tier together, the strictest tier first."""
    seconds: dict[tuple[float, str], list[float]] = defaultdict(list)
    for sample in good:
        tier = find_tier(readings[sample.read].request.route)
        seconds[tier.limit, tier.name].append(sample.seconds)
    for (limit, name), some in sorted(seconds.items()):
        yield Measure.of(name, some, tier=Tier(name, limit))


def _build_timeline(good: Iterable[Sample]) -> Iterator[Second]:
    latencies: dict[int, list[float]] = defaultdict(list)
    ended: dict[int, int] = defaultdict(int)
    for sample in good:
        latencies[int(sample.due)].append(sample.seconds)
        ended[int(sample.ended)] += 1
    for second in range(max(ended, default=-1) + 1):
        p95 = find_percentile(sorted(latencies[second]), 95) if latencies[second] else 0.0
        yield Second(p95, ended[second])


def _check_load(load: LoadResult, samples: Sequence[Sample], readings: Sequence[Reading]) -> Iterator[Result]:
    """Check the figures. If the generator was the limit, they prove nothing and are not judged."""
    if load.is_limited:
        reason = f"the generator was the limit: 95 % of the requests were sent up to {load.lag * 1000:.0f} ms late"
        for rule in (LOAD_ANSWERED, RETRY_AFTER, WITHIN_TIER):
            yield skip_rule(rule, SERVER_UNDER_LOAD, reason)
        return
    if load.unsent:
        unsent = f"{load.unsent} not sent: too many others were waiting for a response"
        yield fail_rule(LOAD_ANSWERED, SERVER_UNDER_LOAD, unsent)
    accepted = _accept_refusals(samples, readings)
    unwanted = [sample for sample in samples if sample.outcome not in ("good", "unsent") and sample not in accepted]
    blunt = [sample for sample in samples if sample.outcome == "refused"]
    yield from _explain_failures(LOAD_ANSWERED, unwanted, samples, readings)
    yield from _explain_failures(RETRY_AFTER, blunt, samples, readings)
    slowest: dict[tuple[str, str], Sample] = {}
    for sample in sorted((sample for sample in samples if sample.outcome == "good"), key=_get_seconds):
        reading = readings[sample.read]
        slowest[reading.request.route, reading.period] = slowest[find_tier(reading.request.route).name, ""] = sample
    for measure in (*load.tiers, *load.measures):
        asked = f" for {measure.period}" if measure.period else ""
        is_proven = measure.count >= MIN_RESPONSES and not measure.may_be_chance
        condition = f"{asked} at {load.rate:g} requests per second"
        result = check_measure(measure, WITHIN_TIER if is_proven else SEEMS_SLOW, condition)
        sample = slowest[measure.subject, measure.period]
        yield replace(
            result,
            failures=tuple(
                Failure(f"{failure.observed}; the slowest", readings[sample.read].request, sample.interaction_id)
                for failure in result.failures
            ),
        )


def _accept_refusals(samples: Sequence[Sample], readings: Sequence[Reading]) -> set[Sample]:
    """Return the refusals above the thresholds, and those below them and broken connections if they are few."""
    began: dict[int | None, list[float]] = defaultdict(list)
    for sample in samples:
        if sample.outcome != "unsent":
            began[None].append(sample.began)
            began[readings[sample.read].customer].append(sample.began)
    for times in began.values():
        times.sort()

    def count(customer: int | None, until: float) -> int:
        """Count the requests of the last second; what is sent in time may arrive late by the lag that is allowed."""
        times = began[customer]
        return bisect_right(times, until) - bisect_left(times, until - 1 - MAX_LAG)

    above: set[Sample] = set()
    below: set[Sample] = set()
    for sample in samples:
        if sample.outcome in ("deferred", "refused"):
            is_above = (
                count(None, sample.began) > HOLDER_THRESHOLD
                or count(readings[sample.read].customer, sample.began) > CUSTOMER_THRESHOLD
            )
            (above if is_above else below).add(sample)
        elif sample.outcome == "broken":
            below.add(sample)
    return above | below if len(below) <= max(1.0, UNAVAILABLE * len(began[None])) else above


def _explain_failures(
    rule: Rule, unwanted: Iterable[Sample], samples: Sequence[Sample], readings: Sequence[Reading]
) -> Iterator[Result]:
    """Yield a result for each operation, with one failure for each different response to it.

    Args:
        rule: The rule that is judged.
        unwanted: The samples that break it.
        samples: All samples.
        readings: What was read, by the number of the read.
    """
    at_once = Counter(sample.due for sample in samples)
    recovered = {sample.number for sample in samples if sample.times and sample.outcome == "good"}
    totals = Counter(readings[sample.read].request.route for sample in samples)
    by_route: dict[str, dict[str, list[Sample]]] = {route: defaultdict(list) for route in totals}
    for sample in unwanted:
        by_route[readings[sample.read].request.route][sample.text].append(sample)
    for route, by_text in by_route.items():
        failures = []
        for text, some in by_text.items():
            in_bursts = [at_once[sample.due] for sample in some if at_once[sample.due] > 1]
            bursts = f", {len(in_bursts)} of them in bursts of up to {max(in_bursts)}" if in_bursts else ""
            again = len({sample.number for sample in some} & recovered)
            later = f"; {again} were answered when sent again" if again else ""
            observed = f"{text}: {len(some)} of {totals[route]} requests{bursts}{later}"
            failures.append(Failure(observed, readings[some[0].read].request, some[0].interaction_id))
        yield Result(rule, route, tuple(failures))
