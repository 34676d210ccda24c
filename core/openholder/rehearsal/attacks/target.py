"""What is attacked, the rows of the tables of attacks, and how a row is tried."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from openholder.fiskil.signer import Signer
from openholder.operations import Operation
from openholder.operations.table import Whose
from openholder.rehearsal.exchange import Exchange, Leg, Request, records, route
from openholder.rehearsal.findings import Outcome, Rule, found, passed
from openholder.rehearsal.scene import Scene, Visit, asking


@dataclass(frozen=True, slots=True)
class Target:
    """An operation that has answered with data, and what it was asked about."""

    scene: Scene
    operation: Operation
    visit: Visit
    leg: Leg

    @property
    def subject(self) -> str:
        """What outcomes are about."""
        return route(self.operation)

    @property
    def signer(self) -> Signer:
        """Whoever has the key that the server trusts."""
        return self.scene.caller.signer

    @property
    def issuer(self) -> str:
        """Who good tokens are from."""
        return self.scene.caller.issuer

    @property
    def uri(self) -> str:
        """What a good token is for."""
        return self.scene.caller.audience + self.request().path

    def request(self, **more: Any) -> Request:
        """The request that was answered with data, with something else about it."""
        return asking(self.operation, self.leg.ids, accounts=self.leg.asked, email=self.visit.email, **more)

    def bare(self, method: str, path: str = "", **more: Any) -> Request:
        """A request that is no operation of the contract."""
        return Request(method=method, path=path or self.request().path, **more)

    @property
    def other(self) -> str:
        """The algorithm, of the two that Fiskil may use, that good tokens are not signed with here."""
        return "RS256" if self.scene.caller.algorithm == "PS256" else "PS256"

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Those of a good token, but for the changes; None leaves one out."""
        now = int(time.time())
        good = {"iss": self.issuer, "sub": self.issuer, "aud": self.uri, "iat": now, "exp": now + 300}
        members = {**good, "jti": str(uuid.uuid4()), **changes}
        return {name: value for name, value in members.items() if value is not None}

    def header(self, **changes: Any) -> dict[str, Any]:
        """That of a good token, but for the changes; None leaves one out."""
        members = {"alg": self.scene.caller.algorithm, "kid": self.signer.kid, "typ": "JWT", **changes}
        return {name: value for name, value in members.items() if value is not None}

    def token(self, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token with a good signature over a header and claims that are changed."""
        return self.signed(self.header(**header or {}), self.claims(**claims))

    def signed(self, header: object, payload: object, signer: Signer | None = None) -> str:
        """A token of any header and payload, with the signature of whoever is given, else the one that is trusted."""
        return (signer or self.signer).sign(header, payload, self.scene.caller.algorithm)


def first(scene: Scene, suits: Callable[[Operation], bool]) -> Target | None:
    """The first operation that suits, and the first answer with data that it gave."""
    legs = (
        Target(scene, operation, visit, leg)
        for operation in filter(suits, scene.served)
        for visit in scene.visits
        for leg in visit.legs.get(operation.name, ())
    )
    return next((target for target in legs if target.leg.first.good), None)


def named(scene: Scene, whose: Whose) -> Target | None:
    """The first operation of a kind."""
    return first(scene, lambda operation: operation.whose == whose)


Make = Callable[[Target], Request | str]
"""A request, or only the token of one that is good otherwise."""
Wanted = Callable[[Exchange], bool]


@dataclass(frozen=True, slots=True)
class Attack:
    """A rule, and all that is tried to see it broken. A row has what is special about it, and how it is made."""

    rule: Rule
    wanted: Wanted
    rows: Mapping[str, Make]
    statuses: Sequence[int] = (401, 403)
    """How a token may be refused."""
    given: Rule | None = None
    """Where that rule is broken, this one is too, and is not worth a finding of its own."""


@cache
def stranger() -> Signer:
    """Somebody whose key nobody trusts."""
    return Signer.generate()


def no_data(exchange: Exchange) -> bool:
    """Not accepted. A fault, and no answer at all, are found by the judges of every answer."""
    return not 200 <= exchange.status < 300


def refused(exchange: Exchange) -> bool:
    """Answered with an error."""
    return bool(exchange.fault) or exchange.status >= 400


def accepted(exchange: Exchange) -> bool:
    """Answered with data."""
    return exchange.good


def tolerated(exchange: Exchange) -> bool:
    """Answered with data, or with an error that is not the server's own fault."""
    return exchange.good or refused(exchange)


async def sent(target: Target, note: str, made: Request | str) -> Exchange:
    """Send what a row has made."""
    request = target.request(token=made) if isinstance(made, str) else made
    return await target.scene.send(replace(request, note=note))


async def tried(target: Target | None, attack: Attack) -> AsyncIterator[tuple[Outcome, Exchange]]:
    """Try the rows of an attack, one after the other, if there is something to try them on."""
    for note, make in attack.rows.items() if target else ():
        assert target
        exchange = await sent(target, note, make(target))
        yield verdict(attack.rule, target, exchange, attack.wanted(exchange)), exchange


def verdict(rule: Rule, target: Target, exchange: Exchange, good: bool) -> Outcome:
    """The outcome of one request."""
    if good:
        return passed(rule, target.subject)
    empty = exchange.good and exchange.request.operation and not any(records(exchange))
    return found(rule, target.subject, "200 with an empty answer" if empty else exchange.came, exchange.request)


async def outcomes(target: Target | None, attacks: Sequence[Attack]) -> AsyncIterator[Outcome]:
    """Try all attacks of a table."""
    for attack in attacks:
        async for outcome, _ in tried(target, attack):
            yield outcome
