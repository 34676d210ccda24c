"""Everything that is tried with tokens, and what a refusal of one owes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from openholder.rehearsal.attacks import audience, bearer, claims, jose, signature
from openholder.rehearsal.attacks.target import Attack, Target, no_data, sent, tried
from openholder.rehearsal.exchange import Exchange
from openholder.rehearsal.findings import Outcome, Rule, found, passed, skipped
from openholder.rehearsal.judges import Check, examined
from openholder.rehearsal.judges.http import REFUSED

STATUS = Rule(
    "refusal-status", "error",
    expected="A token that is not good is refused with 401 or 403; a request of wrong form with 400 at most.",
    why="Fiskil takes other statuses for answers about the data, and reports them as such.",
    written="Fiskil, errors: 403 for a failed authentication; RFC 6750 section 3.1; Consumer Data Standards, 401",
    mend="Answer all failed checks of the token from one place.",
)  # fmt: skip
CHALLENGE = Rule(
    "www-authenticate", "warning",
    expected="A refusal with 401 has a WWW-Authenticate header.",
    why="Clients may treat a 401 without it as broken.",
    written="RFC 9110 section 15.5.2; RFC 6750 section 3",
    mend="Send WWW-Authenticate: Bearer with each 401, or answer 403.",
)  # fmt: skip
NOT_SHARING = Rule(
    "refusal-not-counted", "error",
    expected="A refusal of a token has no X-Sharing-Refused header.",
    why="It is counted for the regulator as a refusal to share data, which it is not.",
    written="Fiskil, errors: X-Sharing-Refused",
    mend="Set the header where sharing is refused, and never where the token is.",
)  # fmt: skip
RS256 = Rule(
    "rs256", "warning",
    expected="RS256 is accepted beside PS256, unless the server is set to PS256 alone.",
    why="Fiskil's own sample takes both; nothing says which one an instance signs with.",
    written="Fiskil, resource server guide: PS256 and RS256",
    mend="Ask Fiskil which algorithm your instance uses before you leave one out.",
)  # fmt: skip


def _unchallenged(exchange: Exchange) -> Iterator[str]:
    if "WWW-Authenticate" not in exchange.headers:
        yield "401 without the header"


def _counted(exchange: Exchange) -> Iterator[str]:
    if REFUSED in exchange.headers:
        yield f"the header with status {exchange.status}"


_CHECKS = (
    Check(CHALLENGE, _unchallenged, lambda exchange: exchange.status == 401),
    Check(NOT_SHARING, _counted, lambda exchange: exchange.status in (401, 403)),
)
ATTACKS = (*bearer.ATTACKS, *signature.ATTACKS, *jose.ATTACKS, *claims.ATTACKS, *audience.ATTACKS)
RULES = (*(attack.rule for attack in ATTACKS), STATUS, CHALLENGE, NOT_SHARING, RS256)


async def played(target: Target, attacks: Sequence[Attack] = ATTACKS) -> AsyncIterator[Outcome]:
    """Try all tokens there are."""
    broken: set[Rule] = set()
    for attack in attacks:
        async for outcome in _refused(target, attack, broken):
            yield outcome
    yield await _other_algorithm(target)


async def _refused(target: Target, attack: Attack, broken: set[Rule]) -> AsyncIterator[Outcome]:
    """Try one attack, unless what is broken already says how it would end: one finding for each missing check."""
    reason = next((rule.name for rule in (bearer.NEEDED, attack.given) if rule in broken), "")
    if reason:
        yield skipped(attack.rule, target.subject, f"goes without saying after {reason}")
        return
    async for outcome, exchange in tried(target, attack):
        broken |= {outcome.rule} if outcome.deviations else set()
        yield outcome
        for other in _owed(target, attack, exchange):
            yield other


def _owed(target: Target, attack: Attack, exchange: Exchange) -> Iterator[Outcome]:
    """What the refusal owes, if it is one. Faults of the server are found by the judges of every answer."""
    if attack.wanted is not no_data or not 300 <= exchange.status < 500:
        return
    if exchange.status in attack.statuses:
        yield passed(STATUS, target.subject)
    else:
        yield found(STATUS, target.subject, exchange.came, exchange.request)
    yield from examined(_CHECKS, exchange, target.subject, exchange.request)


async def _other_algorithm(target: Target) -> Outcome:
    token = target.signer.sign(target.header(alg=target.other), target.claims(), target.other)
    exchange = await sent(target, f"signed with {target.other}", token)
    if exchange.good:
        return passed(RS256, target.subject)
    return skipped(RS256, target.subject, f"the server does not take {target.other}, as it may")
