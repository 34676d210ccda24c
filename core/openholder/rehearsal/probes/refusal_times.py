"""Times of refusals: whether a server takes longer, or less long, for an id that exists than for one that does not.

Both are requested in pairs, in random order. If the time does not depend on the id, the slower one of a pair is the one
or the other with equal chances, however noisy the times are: that it is nearly always the same one is no accident. The
medians of all pairs must differ noticeably too.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from math import comb
from statistics import median

from openholder.contract.operations import Operation
from openholder.rehearsal.attacks.target import Target, find_target, find_target_for, get_untrusted_signer, is_json_get
from openholder.rehearsal.exchange import Request
from openholder.rehearsal.probes.foreign_ids import Attempt, build_attempts
from openholder.rehearsal.results import Failure, Result, Rule, pass_rule
from openholder.rehearsal.session import UNKNOWN_ID, Session, build_request, choose_accounts, choose_path_ids
from openholder.rehearsal.side_by_side import do_side_by_side

FIRST_PAIRS = 3
"""Pairs for each comparison, several at once. Only what differs noticeably is measured again, alone."""
PAIRS = 48
"""The largest number of pairs of a comparison that is measured again."""
LARGEST_CHANCE = 1e-6
"""With this chance, the pairs of two equal ids differ as much in one way. 21 pairs of 21 are enough, or 41 of 48."""
NOTICEABLE = 0.005
"""Seconds: a smaller difference takes thousands of requests to see through a network."""
MOST_FOUND = 2
"""Comparisons with a result that are enough to tell of: they take many requests."""
MOST_SUSPICIOUS = 8
"""Comparisons that are measured again, those with the largest differences first."""
UNKNOWN_EMAIL = f"{UNKNOWN_ID}@stranger.example"

REFUSAL_TIMES = Rule(
    name="refusal-times",
    severity="warning",
    expected="A refusal takes as long for an id that exists as for one that does not.",
    why="The time tells a caller which ids exist, even if the response does not.",
    reference="OWASP WSTG 4.2, testing for account enumeration: response times; CWE-208",
    how_to_fix="Look up both by one query, under the customer in the path, and judge the token before all queries.",
    example="GET …/accounts/{accountId}/transactions (another customer's accountId): 43.0 ms, and 2.1 ms for an unknown"
    " one: slower in 24 of 24 pairs",
)


@dataclass
class Comparison:
    """Two requests that must be refused alike."""

    existing: Callable[[], Request]
    unknown: Callable[[], Request]
    pairs: list[tuple[float, float]] = field(default_factory=list)
    """Seconds for the id that exists, and for the one that does not."""
    request: Request | None = None
    """The last request for the id that exists."""
    is_possible: bool = True
    """False once a response was no refusal, or not the same one for both."""

    @property
    def differences(self) -> list[float]:
        """Seconds by which the id that exists took longer."""
        return [existing - unknown for existing, unknown in self.pairs]

    @property
    def contrary(self) -> int:
        """The number of pairs that differ in the less usual way."""
        slower = sum(difference > 0 for difference in self.differences)
        return min(slower, len(self.pairs) - slower)

    @property
    def is_noticeable(self) -> bool:
        """Return whether the times differ noticeably, by accident or not."""
        return self.is_possible and bool(self.pairs) and abs(median(self.differences)) >= NOTICEABLE

    @property
    def is_certain(self) -> bool:
        """Return whether nearly all pairs differ in the same way: more than they do by chance."""
        count = len(self.pairs)
        ways = 2 * sum(comb(count, number) for number in range(self.contrary + 1))
        return ways < LARGEST_CHANCE * float(2**count)

    @property
    def is_settled(self) -> bool:
        """Return whether more pairs would change nothing."""
        return not self.is_possible or self.is_certain or 3 * self.contrary > len(self.pairs) + 3

    async def measure(self, session: Session, count: int) -> None:
        """Measure some pairs, and no more than are needed."""
        for _ in range(count):
            if self.is_settled:
                return
            requests = [self.existing(), self.unknown()]
            order = random.sample((0, 1), 2)
            exchanges = {number: await session.send(requests[number]) for number in order}
            existing, unknown = exchanges[0], exchanges[1]
            self.request = existing.request
            self.is_possible = existing.status == unknown.status >= 400
            if not existing.waited and not unknown.waited:
                self.pairs.append((existing.seconds, unknown.seconds))


async def probe_refusal_times(session: Session) -> AsyncIterator[Result]:
    """Compare the times of refusals, of every operation with ids and, as an attack, of requests with bad tokens."""
    comparisons = list(_compare_ids(session))
    if session.plan.attacks:
        await asyncio.to_thread(get_untrusted_signer)
        comparisons += _compare_bad_tokens(session)
    await do_side_by_side(each.measure(session, FIRST_PAIRS) for each in comparisons)
    suspicious = sorted(
        (each for each in comparisons if each.is_noticeable), key=lambda each: -abs(median(each.differences))
    )
    found = 0
    for each in suspicious[:MOST_SUSPICIOUS]:
        if found < MOST_FOUND:
            each.pairs.clear()
            await each.measure(session, PAIRS)
            if each.is_certain and each.is_noticeable:
                found += 1
                yield _describe(each)
    routes = dict.fromkeys(each.request.route for each in comparisons if each.request and each.is_possible)
    for route in routes:
        yield pass_rule(REFUSAL_TIMES, route)


def _describe(comparison: Comparison) -> Result:
    request = comparison.request
    assert request
    existing, unknown = (median(times) * 1000 for times in zip(*comparison.pairs, strict=True))
    agreeing = len(comparison.pairs) - comparison.contrary
    observed = (
        f"{existing:.1f} ms, and {unknown:.1f} ms for an unknown one:"
        f" {'slower' if existing > unknown else 'faster'} in {agreeing} of {len(comparison.pairs)} pairs"
    )
    return Result(REFUSAL_TIMES, request.route, (Failure(observed, request),))


def _compare_ids(session: Session) -> Iterator[Comparison]:
    """Yield another customer's id and an unknown one, for each operation and kind of id; customer ids once."""
    own, others = session.runs[0], session.runs[1:]
    is_customer_compared = False
    for operation in session.served_operations:
        if operation.whose == "search" or not choose_path_ids(operation, own):
            continue
        attempts = list(build_attempts(operation, own, others))

        def build(attempt: Attempt, operation: Operation = operation) -> Request:
            accounts = (*choose_accounts(operation, own), *attempt.body_accounts)
            return build_request(operation, attempt.ids, accounts=accounts, note=attempt.note)

        for unknown in attempts:
            kind = unknown.note.removeprefix("an unknown ")
            existing = next((each for each in attempts if each.note == f"another customer's {kind}"), None)
            if unknown.is_foreign or existing is None or (kind == "customerId" and is_customer_compared):
                continue
            is_customer_compared |= kind == "customerId"
            yield Comparison(partial(build, existing), partial(build, unknown))


def _compare_bad_tokens(session: Session) -> Iterator[Comparison]:
    """Yield ids and addresses that exist and unknown ones, in requests without a token or with a forged one."""
    with_account = [each for each in session.served_operations if "{accountId}" in each.path and is_json_get(each)]
    places = (
        (find_target(session, filter(is_json_get, session.served_operations)), "customerId"),
        (find_target(session, with_account), "accountId"),
    )
    for target, name in places:
        if target and name in target.sequence.ids:
            ids = {**target.sequence.ids, name: UNKNOWN_ID}
            unknown = build_request(target.operation, ids)
            for build in (_drop_token, _forge_token):
                yield Comparison(
                    partial(build, target, target.build_request(), f"a known {name}"),
                    partial(build, target, unknown, f"an unknown {name}"),
                )
    search = find_target_for(session, "search")
    if search:
        unknown = build_request(search.operation, {}, email=UNKNOWN_EMAIL)
        yield Comparison(
            partial(_drop_token, search, search.build_request(), "a known address"),
            partial(_drop_token, search, unknown, "an unknown address"),
        )


def _drop_token(_: Target, request: Request, note: str) -> Request:
    return replace(request, token="", note=f"{note}, without a token")


def _forge_token(target: Target, request: Request, note: str) -> Request:
    claims = target.build_claims(aud=target.session.caller.audience + request.path)
    token = target.sign(target.build_header(), claims, get_untrusted_signer())
    return replace(request, token=token, note=f"{note}, with a forged token")
