"""Whose data it is: what belongs to somebody else, or to nobody, must not be answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from openholder.contract.operations import Operation
from openholder.rehearsal.exchange import Exchange, at, records, route, shown
from openholder.rehearsal.findings import Outcome, Rule, found, passed, skipped
from openholder.rehearsal.judges.http import REFUSED
from openholder.rehearsal.judges.lists import account_of
from openholder.rehearsal.scene import MADE_UP, Ids, Scene, Visit, chosen, targets

_FISKIL = "Fiskil, errors: 404 for an id in the path, 422 for one in the body"

FOREIGN = Rule(
    "foreign-data", "critical",
    expected="An account, payee or transaction of another customer is not answered with data.",
    why="Somebody's data goes to a stranger: a notifiable breach.",
    written=f"{_FISKIL}; OWASP API Security 2023, API1: broken object level authorization",
    mend="Look up every account under the customer of the path before anything is read of it.",
)  # fmt: skip
FOREIGN_BODY = Rule(
    "foreign-data-body", "critical",
    expected="A body that names an account of another customer is refused as a whole.",
    why="Somebody's data goes to a stranger: a notifiable breach.",
    written=f"{_FISKIL}; OWASP API Security 2023, API1: broken object level authorization",
    mend="Look up every id of the body under the customer of the path before anything is read.",
)  # fmt: skip
UNKNOWN = Rule(
    "unknown-id", "error",
    expected="An id in the path that the customer does not have is answered with 404.",
    why="Reports to the regulator count refusals by status; recipients try again for ever on other errors.",
    written=_FISKIL,
    mend="Answer 404 where nothing is found, the same for ids that are another's and ids that are nobody's.",
)  # fmt: skip
UNKNOWN_BODY = Rule(
    "unknown-id-body", "error",
    expected="An id in the body that the customer does not have is answered with 422.",
    why="Reports to the regulator count refusals by status; a list that leaves the id out looks complete.",
    written=_FISKIL,
    mend="Refuse the whole request with 422 and an error for each id.",
)  # fmt: skip
ALIKE = Rule(
    "foreign-like-unknown", "warning",
    expected="What is another customer's is refused just like what does not exist.",
    why="The difference tells a caller which ids there are.",
    written="OWASP ASVS 5.0, section 8.2: access control",
    mend="Answer both from the same branch, with the same status and code.",
)  # fmt: skip


Refusal = tuple[int, str, str, bool]
"""Status, code, detail, and whether it counts as a refusal to share."""


class Case(NamedTuple):
    """An id that must not work."""

    note: str
    foreign: bool
    """Whether it is somebody's."""
    ids: Ids
    more: Sequence[str] = ()
    """Accounts that the body names beside the customer's own."""


async def owned(scene: Scene) -> AsyncIterator[Outcome]:
    """Try every operation that is served with ids that are another's, and with ids that are nobody's."""
    own, others = scene.visits[0], scene.visits[1:]
    for operation in scene.served:
        if operation.whose == "search" or not targets(operation, own):
            continue
        cases = list(_cases(operation, own, others))
        if not any(case.foreign for case in cases) and operation.whose not in ("customer", "consent", "all_accounts"):
            yield skipped(FOREIGN, route(operation), "needs a second --email, of a customer with data of this kind")
        statuses: dict[bool, set[Refusal]] = {True: set(), False: set()}
        for case in cases:
            exchange = await _tried(scene, operation, own, case)
            if not exchange.good:
                statuses[case.foreign].add(_refusal(case, exchange))
            for outcome in _judged(operation, case, exchange):
                yield outcome
        if all(statuses.values()):
            yield _alike(operation, statuses)


async def _tried(scene: Scene, operation: Operation, own: Visit, case: Case) -> Exchange:
    accounts = (*chosen(operation, own), *case.more)
    return await scene.ask(operation, case.ids, accounts=accounts, note=case.note)


def _cases(operation: Operation, own: Visit, others: Sequence[Visit]) -> Iterator[Case]:
    ids = targets(operation, own)[0]
    yield Case("an unknown customerId", False, {**ids, "customerId": MADE_UP})
    if operation.whose == "specific":
        yield Case("an unknown account in the body", False, ids, (MADE_UP,))
        yield from (Case("another's account in the body", True, ids, (one,)) for one in _accounts(own, others))
    for name in list(ids)[1:]:
        yield Case(f"an unknown {name}", False, {**ids, name: MADE_UP})
        for value in _theirs(operation, name, own, others):
            yield Case(f"another's {name}", True, {**ids, name: value})
        for value in _of_another_account(operation, name, ids, own):
            yield Case(f"the {name} of another account", True, {**ids, name: value})
    if "accountId" in ids:
        for other in others:
            if other.customer_id and ids["accountId"] not in other.offered:
                yield Case("another's customerId", True, {**ids, "customerId": other.customer_id})


def _accounts(own: Visit, others: Sequence[Visit]) -> list[str]:
    """One account that the others have and the first customer has not."""
    return [account for other in others for account in other.offered if account not in own.offered][:1]


def _theirs(operation: Operation, name: str, own: Visit, others: Sequence[Visit]) -> list[str]:
    """One id of that name which is another's."""
    if name == "accountId":
        return _accounts(own, others)
    seen = [record.get(name) for other in others for _, record in other.records(operation.collection)]
    mine = {record.get(name) for _, record in own.records(operation.collection)}
    return [value for value in seen if isinstance(value, str) and value not in mine][:1]


def _of_another_account(operation: Operation, name: str, ids: Ids, own: Visit) -> list[str]:
    """One id of that name which another of the customer's accounts has, and this one has not."""
    shown = [(leg.ids.get("accountId"), record.get(name)) for leg, record in own.records(operation.collection)]
    here = {value for account, value in shown if account == ids.get("accountId")}
    other = (value for account, value in shown if account and isinstance(value, str) and value not in here)
    return [] if name == "accountId" else list(islice(other, 1))


def _judged(operation: Operation, case: Case, exchange: Exchange) -> Iterator[Outcome]:
    in_body = bool(case.more)
    leak, refusal, status = (FOREIGN_BODY, UNKNOWN_BODY, 422) if in_body else (FOREIGN, UNKNOWN, 404)
    where = route(operation)
    if case.foreign and _leaks(exchange, case):
        yield found(leak, where, f"{exchange.came}: {case.note}", exchange.request)
    elif exchange.good:
        yield found(
            refusal,
            where,
            f"200 with {'data' if records(exchange) else 'an empty answer'}: {case.note}",
            exchange.request,
        )
    elif exchange.status != status:
        yield found(refusal, where, f"{exchange.came}: {case.note}", exchange.request)
    elif REFUSED in exchange.headers and not case.foreign:
        yield found(refusal, where, f"{exchange.came} with {REFUSED}: {case.note}", exchange.request)
    else:
        yield passed(leak if case.foreign else refusal, where)


def _leaks(exchange: Exchange, case: Case) -> bool:
    """Whether somebody else's data came: with ids in the body, records of those accounts among one's own."""
    came = records(exchange) if exchange.json is not None else [{}] * bool(exchange.content)
    theirs = [record for record in came if not case.more or account_of(record) in case.more]
    return exchange.good and bool(theirs)


def _refusal(case: Case, exchange: Exchange) -> Refusal:
    """How something is refused, but for the id itself, which may be repeated."""
    errors = at(exchange.json, "errors")
    detail = str(at(errors[0], "detail")) if isinstance(errors, list) and errors else ""
    for value in (*case.ids.values(), *case.more):
        detail = detail.replace(value, "…")
    return exchange.status, exchange.code, detail, REFUSED in exchange.headers


def _alike(operation: Operation, statuses: Mapping[bool, set[Refusal]]) -> Outcome:
    if statuses[True] <= statuses[False]:
        return passed(ALIKE, route(operation))
    status, code, *_ = min(statuses[True] - statuses[False])
    return found(
        ALIKE, route(operation), f"another status, code, detail or header for another's: {status} {shown(code)}"
    )
