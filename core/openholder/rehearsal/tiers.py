"""How long answers may take: the standard's tier of each operation, and whether the conversation kept to it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from openholder.contract.operations import OPERATIONS, Operation
from openholder.rehearsal.exchange import Exchange, route
from openholder.rehearsal.findings import Outcome, Rule, found, passed
from openholder.rehearsal.scene import Scene


class Tier(NamedTuple):
    """A class of operations, and the seconds within which 95 % of their answers in an hour must come."""

    name: str
    limit: float


HIGH = Tier("high priority", 1.0)
LOW = Tier("low priority", 1.5)
LARGE = Tier("large payload", 6.0)
OURS = Tier("no tier of the CDS: low priority assumed", LOW.limit)
"""For FDX and a holder's own paths, of which the standard says nothing. The figure is openholder's choice."""

# The tiers are those for a customer who is present. Without one ("unattended") 4 s would do, but the same operations
# are asked in both ways, so the stricter figure is what a server must be built for.
TIERS: Mapping[str, Tier] = {
    "searchCustomers": HIGH,
    "getCustomerDetails": HIGH,
    "listConsentAccounts": HIGH,
    "listBankingAccountsDeprecated": HIGH,
    "listBankingAccountsSpecific": HIGH,
    "getCommonCustomer": HIGH,
    "getCommonCustomerDetail": HIGH,
    "listEnergyAccountsDeprecated": HIGH,
    "listEnergyAccountsSpecific": HIGH,
    "getEnergyAccount": HIGH,
    "getEnergyBalance": HIGH,
    "listEnergyInvoices": HIGH,
    "listBankingDirectDebitsSpecific": LARGE,
    "listEnergyBillingSpecific": LARGE,
}
"""By the name of the operation (CDS, non-functional requirements, performance). All others are of low priority."""
_BY_ROUTE = {route(operation): operation for operation in OPERATIONS}

ENOUGH = 20
"""Answers from which on a p95 is more than the slowest of them."""
WITHIN_TIER = Rule(
    "within-tier", "error",
    expected="95 % of the answers of an operation come within the limit of its tier: 1 s, 1.5 s, or 6 s for lists of"
    " direct debits and billing over several accounts.",
    why="The holder owes these times to the recipient, with Fiskil's own part in them; the regulator sees the figures.",
    written="Consumer Data Standards, non-functional requirements: performance (for FDX: openholder's own figure)",
    mend="Look at what the data source is asked: an index on the account and the time, a page rather than the whole"
    " list, a pool of connections that is large enough.",
)  # fmt: skip
SEEMS_SLOW = Rule(
    "seems-slow", "warning",
    expected=f"No answer takes longer than its tier allows, also where there were fewer than {ENOUGH} to judge by.",
    why="A few slow answers prove nothing, but they are where recipients will wait.",
    written=WITHIN_TIER.written,
    mend="Measure with a load (--rate and --for); then as for within-tier.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measure:
    """How long the answers of one operation took, in seconds. Percentiles are nearest-rank: times that really were."""

    subject: str
    count: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, subject: str, seconds: Iterable[float]) -> Measure:
        """What the times of at least one answer come to."""
        ranked = sorted(seconds)
        p50, p95, p99 = (percentile(ranked, percent) for percent in (50, 95, 99))
        return cls(subject, len(ranked), p50, p95, p99, ranked[-1])

    @property
    def tier(self) -> Tier:
        """The tier that the operation is of."""
        operation = _BY_ROUTE.get(self.subject)
        return tier_of(operation) if operation else OURS

    @property
    def within(self) -> bool:
        """Whether 95 % came in time."""
        return self.p95 <= self.tier.limit


def percentile(ranked: list[float], percent: int) -> float:
    """The least value that so many percent of the values do not exceed (nearest-rank); they come sorted."""
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def tier_of(operation: Operation) -> Tier:
    """The tier of an operation."""
    return TIERS.get(operation.name, OURS if operation.sector in ("fdx", "custom") else LOW)


async def measured(scene: Scene) -> AsyncIterator[Outcome]:
    """Judge how long the answers took so far. An act for before the attacks, whose answers say nothing of it."""
    scene.timings = timed(scene.exchanges)
    for subject, seconds in scene.timings.items():
        measure = Measure.of(subject, seconds)
        yield kept(measure, WITHIN_TIER if measure.count >= ENOUGH else SEEMS_SLOW)


def timed(exchanges: Iterable[Exchange]) -> dict[str, list[float]]:
    """The seconds of every answer with data, an operation each. Refusals are quick and would flatter."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for exchange in exchanges:
        if exchange.good and exchange.request.operation:
            seconds[exchange.request.route].append(exchange.seconds)
    return dict(seconds)


def kept(measure: Measure, rule: Rule, when: str = "") -> Outcome:
    """What a rule about the tier says of a measure."""
    if measure.within:
        return passed(rule, measure.subject)
    tier = measure.tier
    came = f"p95 of {measure.p95 * 1000:.0f} ms in {measure.count} answers{when}, limit {tier.limit * 1000:.0f} ms"
    return found(rule, measure.subject, f"{came} ({tier.name})")
