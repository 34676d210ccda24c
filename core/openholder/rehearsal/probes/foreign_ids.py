"""Whose data it is: what belongs to somebody else, or to nobody, must not be answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from openholder.contract.operations import Operation
from openholder.rehearsal.checks.lists import get_account_id
from openholder.rehearsal.checks.responses import REFUSED
from openholder.rehearsal.exchange import Exchange, format_route, get_member, read_records, redact_word
from openholder.rehearsal.results import Result, Rule, fail_rule, pass_rule, skip_rule
from openholder.rehearsal.session import UNKNOWN_ID, CustomerRun, Ids, Session, choose_accounts, choose_path_ids

_FISKIL = "Fiskil, errors: 404 for an id in the path, 422 for one in the body"

FOREIGN = Rule(
    name="foreign-data",
    severity="critical",
    expected="An account, payee or transaction of another customer is not answered with data.",
    why="Somebody's data goes to a stranger: a notifiable breach.",
    reference=f"{_FISKIL}; OWASP API Security 2023, API1: broken object level authorization",
    how_to_fix="Look up every account under the customer of the path before anything is read of it.",
)
FOREIGN_BODY = Rule(
    name="foreign-data-body",
    severity="critical",
    expected="A body that names an account of another customer is refused as a whole.",
    why="Somebody's data goes to a stranger: a notifiable breach.",
    reference=f"{_FISKIL}; OWASP API Security 2023, API1: broken object level authorization",
    how_to_fix="Look up every id of the body under the customer of the path before anything is read.",
)
UNKNOWN = Rule(
    name="unknown-id",
    severity="error",
    expected="An id in the path that the customer does not have is answered with 404.",
    why="Reports to the regulator count refusals by status; recipients try again for ever on other errors.",
    reference=_FISKIL,
    how_to_fix="Answer 404 where nothing is found, the same for ids that are another's and ids that are nobody's.",
)
UNKNOWN_BODY = Rule(
    name="unknown-id-body",
    severity="error",
    expected="An id in the body that the customer does not have is answered with 422.",
    why="Reports to the regulator count refusals by status; a list that leaves the id out looks complete.",
    reference=_FISKIL,
    how_to_fix="Refuse the whole request with 422 and an error for each id.",
)
ALIKE = Rule(
    name="foreign-same-as-unknown",
    severity="warning",
    expected="What is another customer's is refused just like what does not exist.",
    why="The difference tells a caller which ids there are.",
    reference="OWASP ASVS 5.0, section 8.2: access control",
    how_to_fix="Answer both from the same branch, with the same status and code.",
)


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


async def probe_foreign_ids(session: Session) -> AsyncIterator[Result]:
    """Try every operation that is served with ids that are another's, and with ids that are nobody's."""
    own, others = session.runs[0], session.runs[1:]
    for operation in session.served:
        if operation.whose == "search" or not choose_path_ids(operation, own):
            continue
        cases = list(_cases(operation, own, others))
        if not any(case.foreign for case in cases) and operation.whose not in ("customer", "consent", "all_accounts"):
            yield skip_rule(
                FOREIGN, format_route(operation), "needs a second --email, of a customer with data of this kind"
            )
        statuses: dict[bool, set[Refusal]] = {True: set(), False: set()}
        for case in cases:
            exchange = await _tried(session, operation, own, case)
            if not exchange.is_ok:
                statuses[case.foreign].add(_refusal(case, exchange))
            for result in _judged(operation, case, exchange):
                yield result
        if all(statuses.values()):
            yield _alike(operation, statuses)


async def _tried(session: Session, operation: Operation, own: CustomerRun, case: Case) -> Exchange:
    accounts = (*choose_accounts(operation, own), *case.more)
    return await session.call(operation, case.ids, accounts=accounts, note=case.note)


def _cases(operation: Operation, own: CustomerRun, others: Sequence[CustomerRun]) -> Iterator[Case]:
    ids = choose_path_ids(operation, own)[0]
    yield Case("an unknown customerId", False, {**ids, "customerId": UNKNOWN_ID})
    if operation.whose == "specific":
        yield Case("an unknown account in the body", False, ids, (UNKNOWN_ID,))
        yield from (Case("another's account in the body", True, ids, (one,)) for one in _accounts(own, others))
    for name in list(ids)[1:]:
        yield Case(f"an unknown {name}", False, {**ids, name: UNKNOWN_ID})
        for value in _theirs(operation, name, own, others):
            yield Case(f"another's {name}", True, {**ids, name: value})
        for value in _of_another_account(operation, name, ids, own):
            yield Case(f"the {name} of another account", True, {**ids, name: value})
    if "accountId" in ids:
        for other in others:
            if other.customer_id and ids["accountId"] not in other.offered:
                yield Case("another's customerId", True, {**ids, "customerId": other.customer_id})


def _accounts(own: CustomerRun, others: Sequence[CustomerRun]) -> list[str]:
    """One account that the others have and the first customer has not."""
    return [account for other in others for account in other.offered if account not in own.offered][:1]


def _theirs(operation: Operation, name: str, own: CustomerRun, others: Sequence[CustomerRun]) -> list[str]:
    """One id of that name which is another's."""
    if name == "accountId":
        return _accounts(own, others)
    seen = [record.get(name) for other in others for _, record in other.find_records(operation.collection)]
    mine = {record.get(name) for _, record in own.find_records(operation.collection)}
    return [value for value in seen if isinstance(value, str) and value not in mine][:1]


def _of_another_account(operation: Operation, name: str, ids: Ids, own: CustomerRun) -> list[str]:
    """One id of that name which another of the customer's accounts has, and this one has not."""
    shown = [
        (sequence.ids.get("accountId"), record.get(name)) for sequence, record in own.find_records(operation.collection)
    ]
    here = {value for account, value in shown if account == ids.get("accountId")}
    other = (value for account, value in shown if account and isinstance(value, str) and value not in here)
    return [] if name == "accountId" else list(islice(other, 1))


def _judged(operation: Operation, case: Case, exchange: Exchange) -> Iterator[Result]:
    in_body = bool(case.more)
    leak, refusal, status = (FOREIGN_BODY, UNKNOWN_BODY, 422) if in_body else (FOREIGN, UNKNOWN, 404)
    where = format_route(operation)
    if case.foreign and _leaks(exchange, case):
        yield fail_rule(leak, where, f"{exchange.status_text}: {case.note}", exchange.request)
    elif exchange.is_ok:
        yield fail_rule(
            refusal,
            where,
            f"200 with {'data' if read_records(exchange) else 'an empty answer'}: {case.note}",
            exchange.request,
        )
    elif exchange.status != status:
        yield fail_rule(refusal, where, f"{exchange.status_text}: {case.note}", exchange.request)
    elif REFUSED in exchange.headers and not case.foreign:
        yield fail_rule(refusal, where, f"{exchange.status_text} with {REFUSED}: {case.note}", exchange.request)
    else:
        yield pass_rule(leak if case.foreign else refusal, where)


def _leaks(exchange: Exchange, case: Case) -> bool:
    """Whether somebody else's data came: with ids in the body, records of those accounts among one's own."""
    came = read_records(exchange) if exchange.json is not None else [{}] * bool(exchange.content)
    theirs = [record for record in came if not case.more or get_account_id(record) in case.more]
    return exchange.is_ok and bool(theirs)


def _refusal(case: Case, exchange: Exchange) -> Refusal:
    """How something is refused, but for the id itself, which may be repeated."""
    errors = get_member(exchange.json, "errors")
    detail = str(get_member(errors[0], "detail")) if isinstance(errors, list) and errors else ""
    for value in (*case.ids.values(), *case.more):
        detail = detail.replace(value, "…")
    return exchange.status, exchange.error_code, detail, REFUSED in exchange.headers


def _alike(operation: Operation, statuses: Mapping[bool, set[Refusal]]) -> Result:
    if statuses[True] <= statuses[False]:
        return pass_rule(ALIKE, format_route(operation))
    status, code, *_ = min(statuses[True] - statuses[False])
    return fail_rule(
        ALIKE,
        format_route(operation),
        f"another status, code, detail or header for another's: {status} {redact_word(code)}",
    )
