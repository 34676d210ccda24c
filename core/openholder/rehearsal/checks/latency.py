"""Whether response times keep to the performance tiers of the CDS."""

from __future__ import annotations

from collections.abc import AsyncIterator

from openholder.rehearsal.measures import Measure, collect_timings
from openholder.rehearsal.results import Result, Rule, judge_rule
from openholder.rehearsal.session import Session

MIN_RESPONSES = 20
"""The number of responses from which on a p95 differs from the slowest response."""
WITHIN_TIER = Rule(
    name="within-tier",
    severity="error",
    expected="95 % of an operation's responses arrive within the limit of its tier: 1 s, 1.5 s, or 6 s for lists of"
    " direct debits and billing over several accounts.",
    why="The holder must meet these limits, including Fiskil's share of the time; the regulator sees the figures.",
    reference="Consumer Data Standards, non-functional requirements: performance (for FDX: openholder's own limit)",
    how_to_fix="Look at the queries of the data source: add an index on account and time, read one page instead of the"
    " whole list, enlarge the connection pool.",
    example="POST /auth/v1/customer/search: p95 of 2000 ms in 20 responses, limit 1000 ms (high priority)",
)
SEEMS_SLOW = Rule(
    name="seems-slow",
    severity="warning",
    expected=f"No response exceeds the limit of its tier, even if fewer than {MIN_RESPONSES} were measured, or so few"
    " were late that it may be chance.",
    why="A few slow responses prove nothing, but they show where recipients will wait.",
    reference=WITHIN_TIER.reference,
    how_to_fix="Measure under load (--rate and --for), then proceed as for within-tier.",
    example="POST /auth/v1/customer/search: p95 of 2000 ms in 19 responses, limit 1000 ms (high priority)",
)


async def check_latency(session: Session) -> AsyncIterator[Result]:
    """Check the response times so far. Runs before the attacks, whose responses would distort the figures."""
    session.timings = collect_timings(sorted(session.exchanges, key=lambda exchange: exchange.turn))
    for subject, seconds in session.timings.items():
        measure = Measure.of(subject, seconds)
        if not measure.is_within_limit:  # requests that were sent at once may have waited for each other
            measure = Measure.of(subject, await _measure_alone(session, subject) or seconds)
        yield check_measure(measure, WITHIN_TIER if measure.count >= MIN_RESPONSES else SEEMS_SLOW)


async def _measure_alone(session: Session, subject: str) -> list[float]:
    """Send requests that were slow again, one after the other, and return the seconds of the responses with data."""
    answered = [each for each in session.exchanges if each.is_ok and each.request.route == subject]
    requests = [each.request for each in answered if each.request.is_ordinary][:MIN_RESPONSES]
    return [exchange.seconds for request in requests if (exchange := await session.send(request)).is_ok]


def check_measure(measure: Measure, rule: Rule, condition: str = "") -> Result:
    """Check a measure against its tier; ``condition`` completes the text of a failure."""
    observed = (
        f"p95 of {measure.p95 * 1000:.0f} ms in {measure.count} responses{condition},"
        f" limit {measure.tier.limit * 1000:.0f} ms ({measure.tier.name})"
    )
    return judge_rule(rule, measure.subject, measure.is_within_limit, observed)
