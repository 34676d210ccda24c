"""The target of an attack, the entries of the attack tables, and how one attempt is made."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from openholder.contract.operation import JSON, Whose
from openholder.contract.operations import Operation
from openholder.fiskil.signer import Signer
from openholder.rehearsal.exchange import CallSequence, Exchange, Request, format_route, read_records
from openholder.rehearsal.results import Result, Rule, judge_rule
from openholder.rehearsal.session import CustomerRun, Session, build_request
from openholder.rehearsal.side_by_side import do_side_by_side, run_side_by_side


@dataclass(frozen=True, slots=True)
class Target:
    """An operation that has returned data, and the request that it returned them for."""

    session: Session
    operation: Operation
    run: CustomerRun
    sequence: CallSequence

    @property
    def subject(self) -> str:
        """The route of the operation, as the subject of results."""
        return format_route(self.operation)

    @property
    def signer(self) -> Signer:
        """The signer whose key the server trusts."""
        return self.session.caller.signer

    @property
    def issuer(self) -> str:
        """The issuer of valid tokens."""
        return self.session.caller.issuer

    @property
    def uri(self) -> str:
        """The audience of a valid token."""
        return self.session.caller.audience + self.build_request().path

    @property
    def other_algorithm(self) -> str:
        """The algorithm that valid tokens do not use here: Fiskil may use PS256 or RS256."""
        return "RS256" if self.session.caller.algorithm == "PS256" else "PS256"

    def build_request(self, **changes: Any) -> Request:
        """Build the request that was answered with data, with these changes."""
        return build_request(
            self.operation, self.sequence.ids, accounts=self.sequence.account_ids, email=self.run.email, **changes
        )

    def build_bare_request(self, method: str, path: str = "", **more: Any) -> Request:
        """Build a request that does not match an operation of the contract."""
        return Request(method=method, path=path or self.build_request().path, **more)

    def build_claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a valid token with these changes; None removes a claim."""
        now = int(time.time())
        valid = {"iss": self.issuer, "sub": self.issuer, "aud": self.uri, "iat": now, "exp": now + 300}
        members = {**valid, "jti": str(uuid.uuid4()), **changes}
        return {name: value for name, value in members.items() if value is not None}

    def build_header(self, **changes: Any) -> dict[str, Any]:
        """Return the header of a valid token with these changes; None removes a member."""
        members = {"alg": self.session.caller.algorithm, "kid": self.signer.kid, "typ": "JWT", **changes}
        return {name: value for name, value in members.items() if value is not None}

    def build_token(self, header: Mapping[str, Any] | None = None, /, **claims: Any) -> str:
        """Build a token with a valid signature over a changed header and changed claims."""
        return self.sign(self.build_header(**header or {}), self.build_claims(**claims))

    def sign(self, header: object, payload: object, signer: Signer | None = None) -> str:
        """Sign any header and payload, with the trusted key unless another signer is given."""
        return (signer or self.signer).sign(header, payload, self.session.caller.algorithm)


def find_target(session: Session, operations: Iterable[Operation]) -> Target | None:
    """Return the first answer with data to one of these operations, or None."""
    for operation in operations:
        for run in session.runs:
            for sequence in run.sequences.get(operation.name, ()):
                if sequence.first.is_ok:
                    return Target(session, operation, run, sequence)
    return None


def find_target_for(session: Session, whose: Whose) -> Target | None:
    """Return a target among the operations that select records in this way."""
    return find_target(session, [operation for operation in session.served_operations if operation.whose == whose])


def is_json_get(operation: Operation) -> bool:
    """Tell whether an operation is a GET that returns JSON."""
    return operation.method == "GET" and operation.reply.media == JSON


RequestBuilder = Callable[[Target], Request | str]
"""Builds a request, or only the token of an otherwise valid request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """A rule, and the attempts to break it: a note for the report, and the function that builds the request."""

    rule: Rule
    expect: Callable[[Exchange], bool]
    attempts: Mapping[str, RequestBuilder]
    refusals: Sequence[int] = (401, 403)
    """Statuses with which a token may be refused."""
    implied_by: Rule | None = None
    """If this rule is broken, the attack would succeed too: it is skipped rather than reported twice."""


@cache
def get_untrusted_signer() -> Signer:
    """Return a signer whose key no server trusts. The key is generated once."""
    return Signer.generate()


def is_rejected(exchange: Exchange) -> bool:
    """Tell whether the status is not 2xx. Server errors and missing answers are failures of other rules."""
    return not 200 <= exchange.status < 300


def is_error(exchange: Exchange) -> bool:
    """Tell whether the answer is an error, or is missing."""
    return bool(exchange.transport_error) or exchange.status >= 400


def is_accepted(exchange: Exchange) -> bool:
    """Tell whether the answer has data."""
    return exchange.is_ok


async def send_attempt(target: Target, note: str, built: Request | str) -> Exchange:
    """Send a built request, or the target's request with a built token."""
    request = target.build_request(token=built) if isinstance(built, str) else built
    return await target.session.send(replace(request, note=note))


async def try_attack(target: Target, attack: Attack) -> AsyncIterator[tuple[Result, Exchange]]:
    """Make the attempts of an attack at once, and yield their results in order."""

    async def make(note: str, build: RequestBuilder) -> Exchange:
        exchange = await send_attempt(target, note, build(target))
        if exchange.waited:  # the token may have been used up before the server asked to wait
            exchange = await send_attempt(target, note, build(target))
        return exchange

    for exchange in await do_side_by_side(make(note, build) for note, build in attack.attempts.items()):
        yield judge_attempt(attack.rule, target, exchange, attack.expect(exchange)), exchange


def judge_attempt(rule: Rule, target: Target, exchange: Exchange, is_kept: bool) -> Result:
    """Return the result of one attempt."""
    is_empty = exchange.is_ok and exchange.request.operation and not any(read_records(exchange))
    observed = "200 with an empty response" if is_empty else exchange.status_text
    return judge_rule(rule, target.subject, is_kept, observed, exchange.request)


async def try_attacks(target: Target | None, attacks: Sequence[Attack]) -> AsyncIterator[Result]:
    """Try all attacks of a table if there is a target for them."""

    async def collect(target: Target, attack: Attack) -> AsyncIterator[Result]:
        async for result, _ in try_attack(target, attack):
            yield result

    async for result in run_side_by_side([collect(target, attack) for attack in attacks] if target else []):
        yield result
