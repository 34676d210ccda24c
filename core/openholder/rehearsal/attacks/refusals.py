"""All attacks with tokens, and the checks on how a token is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import groupby

from openholder.rehearsal.attacks import bearer, jose, signature, wrong_audience, wrong_claims
from openholder.rehearsal.attacks.target import Attack, Target, is_rejected, send_attempt, try_attack
from openholder.rehearsal.checks import Check, run_checks
from openholder.rehearsal.exchange import REFUSED, Exchange
from openholder.rehearsal.results import Result, Rule, fail_rule, judge_rule, pass_rule, skip_rule
from openholder.rehearsal.side_by_side import run_side_by_side

STATUS = Rule(
    name="refusal-status",
    severity="error",
    expected="An invalid token is refused with 401 or 403; a malformed request may also be refused with 400.",
    why="Fiskil takes any other status for an answer about the data, and reports it as such.",
    reference="Fiskil, errors: 403 for a failed authentication; RFC 6750 section 3.1; Consumer Data Standards, 401",
    how_to_fix="Answer all failed checks of the token in one place.",
    example="GET /auth/v1/customer/{customerId} (without a token): 404",
)
CHALLENGE = Rule(
    name="www-authenticate",
    severity="warning",
    expected="A 401 response has a WWW-Authenticate header.",
    why="Clients may treat a 401 without it as malformed.",
    reference="RFC 9110 section 15.5.2; RFC 6750 section 3",
    how_to_fix="Send WWW-Authenticate: Bearer with every 401, or answer 403.",
    example="GET /auth/v1/customer/{customerId} (without a token): 401 without the header",
)
NOT_SHARING = Rule(
    name="refusal-not-counted",
    severity="error",
    expected="The response to an invalid token has no X-Sharing-Refused header.",
    why="The header is counted for the regulator as a refusal to share data, which this is not.",
    reference="Fiskil, errors: X-Sharing-Refused",
    how_to_fix="Set the header only if sharing is refused, never if the token is.",
    example="GET /auth/v1/customer/{customerId} (without a token): the header with status 401",
)
REASON = Rule(
    name="refusal-reason",
    severity="warning",
    expected="The body of a refusal does not tell which check of the token failed.",
    why="It guides whoever tries to forge tokens, step by step.",
    reference="OWASP ASVS 5.0, section 16.5: generic messages on errors; RFC 6750 section 3.1: invalid_token",
    how_to_fix="Answer all failed checks of the token with one text, and log the reason.",
    example="GET /auth/v1/customer/{customerId} (exp an hour ago): a text with expired, and other words for other"
    " reasons",
)
AGREED = Rule(
    name="refusal-status-agreed",
    severity="warning",
    expected="A failed authentication has the status that Fiskil expects of your instance.",
    why="RFC 6750 and the Consumer Data Standards say 401; Fiskil's errors page says 403.",
    reference="RFC 6750 section 3.1; Consumer Data Standards, HTTP response codes; Fiskil, errors",
    how_to_fix="Ask Fiskil, and configure the status.",
    example="skipped: ask Fiskil: the server answers 401; RFC 6750 and the CDS say 401, Fiskil's errors page 403",
)
"""Nobody but Fiskil can judge it, so it is always skipped, with what the server does as the reason."""
RS256 = Rule(
    name="rs256",
    severity="warning",
    expected="RS256 is accepted as well as PS256, unless the server is configured for PS256 only.",
    why="Fiskil's own sample accepts both, and no document says which one an instance signs with.",
    reference="Fiskil, resource server guide: PS256 and RS256",
    how_to_fix="Ask Fiskil which algorithm your instance uses before disabling one.",
    example="skipped: the server does not accept RS256, which is allowed",
)


def _find_missing_challenge(exchange: Exchange) -> Iterator[str]:
    if "WWW-Authenticate" not in exchange.headers:
        yield "401 without the header"


def _find_sharing_refused(exchange: Exchange) -> Iterator[str]:
    if REFUSED in exchange.headers:
        yield f"the header with status {exchange.status}"


_CHECKS = (
    Check(CHALLENGE, _find_missing_challenge, lambda exchange: exchange.status == 401),
    Check(NOT_SHARING, _find_sharing_refused, lambda exchange: exchange.status in (401, 403)),
)
_REASONS = re.compile(
    r"expir|signature|audience|\baud\b|issuer|\biss\b|subject|\bsub\b|\bjti\b|replay|\bkid\b|algorithm|\balg\b|not yet",
    re.IGNORECASE,
)
"""Words for the reasons why a token is refused."""
ATTACKS = (*bearer.ATTACKS, *signature.ATTACKS, *jose.ATTACKS, *wrong_claims.ATTACKS, *wrong_audience.ATTACKS)
RULES = (*(attack.rule for attack in ATTACKS), STATUS, CHALLENGE, NOT_SHARING, REASON, RS256, wrong_audience.ESCAPED)


async def run(target: Target, attacks: Sequence[Attack] = ATTACKS) -> AsyncIterator[Result]:
    """Try all tokens, and check how they are refused.

    An attack is skipped if a broken rule already implies its result: each missing check is reported once.
    """
    broken: set[Rule] = set()
    statuses: set[int] = set()
    told: dict[frozenset[str], Exchange] = {}
    for _, some in groupby(sorted(attacks, key=_count_steps), _count_steps):
        async for result in run_side_by_side([_try(target, attack, broken, statuses, told) for attack in some]):
            yield result
    async for result in wrong_audience.try_escaped_ids(target):
        yield result
    yield _judge_reasons(target, told)
    yield await _try_other_algorithm(target)
    if statuses:
        found = " and ".join(map(str, sorted(statuses)))
        reason = f"ask Fiskil: the server answers {found}; RFC 6750 and the CDS say 401, Fiskil's errors page 403"
        yield skip_rule(AGREED, target.subject, reason)


def _count_steps(attack: Attack) -> int:
    """Return how many attacks must be tried before, because their results may imply that of this one."""
    if attack.rule is bearer.NEEDED:
        return 0
    return 2 if attack.implied_by else 1


async def _try(
    target: Target,
    attack: Attack,
    broken: set[Rule],
    statuses: set[int],
    told: dict[frozenset[str], Exchange],
) -> AsyncIterator[Result]:
    """Try one attack; add the rule if it is broken, and the statuses and words of refusals."""
    cause = next((rule for rule in (bearer.NEEDED, attack.implied_by) if rule in broken), None)
    if cause:
        yield skip_rule(attack.rule, target.subject, f"implied by the result for {cause.name}")
        return
    async for result, exchange in try_attack(target, attack):
        if result.failures:
            broken.add(result.rule)
        elif attack.expect is is_rejected:
            statuses |= {exchange.status} & {401, 403}
            if exchange.status in (401, 403):
                told.setdefault(_find_reasons(exchange), exchange)
        yield result
        for other in _check_refusal(target, attack, exchange):
            yield other


def _find_reasons(exchange: Exchange) -> frozenset[str]:
    """Return the words of a refusal that tell why a token is refused."""
    return frozenset(word.lower() for word in _REASONS.findall(exchange.content.decode(errors="replace")))


def _judge_reasons(target: Target, told: Mapping[frozenset[str], Exchange]) -> Result:
    """Compare the words of all refusals: one text for all of them may name every reason."""
    reasons = [words for words in told if words]
    if len(told) < 2 or not reasons:
        return pass_rule(REASON, target.subject)
    exchange = told[reasons[0]]
    observed = f"a text with {', '.join(sorted(reasons[0]))}, and other words for other reasons"
    return fail_rule(REASON, target.subject, observed, exchange.request)


def _check_refusal(target: Target, attack: Attack, exchange: Exchange) -> Iterator[Result]:
    """Check the status and the headers of a refusal. Server errors are failures of other rules."""
    if attack.expect is not is_rejected or not 300 <= exchange.status < 500:
        return
    is_kept = exchange.status in attack.refusals
    yield judge_rule(STATUS, target.subject, is_kept, exchange.status_text, exchange.request)
    yield from run_checks(_CHECKS, exchange, target.subject, exchange.request)


async def _try_other_algorithm(target: Target) -> Result:
    algorithm = target.other_algorithm
    token = target.signer.sign(target.build_header(alg=algorithm), target.build_claims(), algorithm)
    exchange = await send_attempt(target, f"signed with {algorithm}", token)
    if exchange.is_ok:
        return pass_rule(RS256, target.subject)
    return skip_rule(RS256, target.subject, f"the server does not accept {algorithm}, which is allowed")
