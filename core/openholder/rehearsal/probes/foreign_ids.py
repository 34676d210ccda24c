"""Access to foreign data: ids of other customers, ids that only resemble the customer's own, and unknown ids.

A server may give away the data of some accounts only: those of a product, of closed accounts, or of one person. So one
account of each kind is tried of every other person, on every operation, up to `MAX_FOREIGN` ids.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from openholder.contract.operations import Operation
from openholder.rehearsal.checks.lists import get_account_id
from openholder.rehearsal.exchange import REFUSED, Exchange, format_route, get_member, read_records, redact_word
from openholder.rehearsal.results import Result, Rule, fail_rule, judge_rule, pass_rule, skip_rule
from openholder.rehearsal.session import UNKNOWN_ID, CustomerRun, Ids, Session, choose_accounts, choose_path_ids
from openholder.rehearsal.side_by_side import do_side_by_side, run_side_by_side

MAX_FOREIGN = 40
"""The largest number of foreign ids that one operation is called with, for each path parameter or body."""

_FISKIL = "Fiskil, errors: 404 for an id in the path, 422 for one in the body"

FOREIGN = Rule(
    name="foreign-data",
    severity="critical",
    expected="A request for an account, payee or transaction of another customer returns no data.",
    why="A customer's data goes to a stranger: a notifiable breach.",
    reference=f"{_FISKIL}; OWASP API Security 2023, API1: broken object level authorization",
    how_to_fix="Look up every account under the customer in the path before reading any of its data.",
    example="GET …/accounts/{accountId}/transactions (another customer's accountId): 200 with data",
)
FOREIGN_BODY = Rule(
    name="foreign-data-body",
    severity="critical",
    expected="A bulk request that names an account of another customer is refused as a whole.",
    why="A customer's data goes to a stranger: a notifiable breach.",
    reference=f"{_FISKIL}; OWASP API Security 2023, API1: broken object level authorization",
    how_to_fix="Look up every id of the body under the customer in the path before reading any data.",
    example="POST /v1/banking/customer/{customerId}/accounts (another customer's account in the body): 200 with data",
)
UNKNOWN = Rule(
    name="unknown-id",
    severity="error",
    expected="An id in the path that does not belong to the customer is answered with 404.",
    why="Reports to the regulator count refusals by status; recipients keep retrying after other errors.",
    reference=_FISKIL,
    how_to_fix="Answer 404 if nothing is found, whether the id is another customer's or does not exist.",
    example="GET …/accounts/{accountId}/transactions (an unknown accountId): 403",
)
UNKNOWN_BODY = Rule(
    name="unknown-id-body",
    severity="error",
    expected="An id in the body that does not belong to the customer is answered with 422.",
    why="Reports to the regulator count refusals by status; a list without the id looks complete.",
    reference=_FISKIL,
    how_to_fix="Refuse the whole request with 422 and one error for each id.",
    example="POST /v1/banking/customer/{customerId}/accounts (an unknown account in the body): 200 with an empty"
    " response",
)
SAME_REFUSAL = Rule(
    name="foreign-same-as-unknown",
    severity="warning",
    expected="Ids of other customers are refused in the same way as ids that do not exist.",
    why="The difference tells a caller which ids exist.",
    reference="OWASP ASVS 5.0, section 8.2: access control",
    how_to_fix="Refuse both in the same branch of the code, with the same status and code.",
    example="GET …/accounts/{accountId}/transactions: another status, code, detail or header for an id of another"
    " customer",
)
EXACT_ID = Rule(
    name="id-exact",
    severity="warning",
    expected="An id in another letter case, or with a blank at its end, is not found. UUIDs are the same in any case.",
    why="If ids of two customers differ in such a way only, one of them receives the data of the other.",
    reference="Consumer Data Standards, ID permanence: ids are opaque; OWASP API Security 2023, API1",
    how_to_fix="Compare ids byte by byte: in MySQL and SQL Server with a binary collation, and never trimmed.",
    example="GET …/accounts/{accountId}/transactions (the accountId in another letter case): 200 with data",
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""The same id in any letter case (RFC 9562 section 4)."""
KIND_MEMBERS = (
    *("type", "status", "complexAccountType", "openStatus", "productCategory", "accountOwnership", "payeeUType"),
    *("accountCategory", "accountType", "specificAccountUType", "transactionType", "documentType"),
)
"""Members with codes: records that differ in one of them may take another way through a server."""
ACCOUNT_LISTS = ("accounts", "banking.accounts", "energy.accounts", "fdx.accounts")
"""The collections whose records say of which kind an account is."""
_ONE_CUSTOMER = ("customer", "consent", "all_accounts")
"""Operations on all records of the customer: they have no id that could be another customer's."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a caller can tell from a refusal."""

    status: int
    code: str
    detail: str
    is_counted: bool
    """Whether X-Sharing-Refused is set."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request with an id that must be refused."""

    note: str
    is_foreign: bool
    """True for an id of another customer, or of another account; False for an id that does not exist."""
    ids: Ids
    body_accounts: Sequence[str] = ()
    """Account ids that the body contains beside the customer's own."""
    is_first: bool = False
    """Whether these accounts come before the customer's own."""

    @property
    def place(self) -> str:
        """The place of the id in question: a path parameter, or the body."""
        return "body" if self.body_accounts else self.note.rpartition(" ")[2]


async def probe_foreign_ids(session: Session) -> AsyncIterator[Result]:
    """Call every served operation with ids of other customers, and with unknown ids.

    The customer is the first one who has such data: not everybody has an account of each sector, or a payee.
    """
    compared: set[tuple[str, str]] = set()
    probes = []
    for operation in session.served_operations:
        own = next((run for run in session.runs if choose_path_ids(operation, run)), None)
        if operation.whose == "search" or own is None:
            continue
        ids = choose_path_ids(operation, own)[0]
        # One operation of a sector is enough: letter case is a property of its tables.
        new = {name: value for name, value in ids.items() if (operation.sector, name) not in compared}
        compared |= {(operation.sector, name) for name in new}
        probes.append(_probe_operation(session, operation, own, new))
    async for result in run_side_by_side(probes):
        yield result


async def _probe_operation(
    session: Session, operation: Operation, own: CustomerRun, changed: Ids
) -> AsyncIterator[Result]:
    others = [run for run in session.runs if run is not own]
    route = format_route(operation)
    attempts = list(build_attempts(operation, own, others))
    if sum(attempt.is_foreign for attempt in attempts) > MAX_FOREIGN:
        kept = _choose_some([attempt for attempt in attempts if attempt.is_foreign])
        reason = f"other customers have more kinds of records: {MAX_FOREIGN} of their ids were tried"
        yield skip_rule(FOREIGN, f"{route}, further ids", reason)
        attempts = [attempt for attempt in attempts if not attempt.is_foreign or attempt in kept]
    if not any(attempt.is_foreign for attempt in attempts) and operation.whose not in _ONE_CUSTOMER:
        yield skip_rule(FOREIGN, route, "needs a second --email, of a customer with such data")
    foreign: set[tuple[str, Refusal]] = set()
    unknown: set[tuple[str, Refusal]] = set()

    async def make(attempt: Attempt) -> Exchange:
        accounts = (*choose_accounts(operation, own), *attempt.body_accounts)
        if attempt.is_first:
            accounts = (*attempt.body_accounts, *choose_accounts(operation, own))
        return await session.call(operation, attempt.ids, accounts=accounts, note=attempt.note)

    for attempt, exchange in zip(attempts, await do_side_by_side(map(make, attempts)), strict=True):
        if not exchange.is_ok:
            (foreign if attempt.is_foreign else unknown).add((attempt.place, _read_refusal(attempt, exchange)))
        yield _judge_attempt(operation, attempt, exchange)
    async for result in _try_similar_ids(session, operation, own, choose_path_ids(operation, own)[0], changed):
        yield result
    if foreign and unknown:
        different = sorted(_find_different(foreign, unknown), key=lambda refusal: (refusal.status, refusal.code))
        observed = ""
        if different:
            shown = f"{different[0].status} {redact_word(different[0].code)}"
            observed = f"another status, code, detail or header for an id of another customer: {shown}"
        yield judge_rule(SAME_REFUSAL, route, not different, observed)


def _find_different(foreign: set[tuple[str, Refusal]], unknown: set[tuple[str, Refusal]]) -> set[Refusal]:
    """Return the refusals of ids of others that those of unknown ids at the same place do not have.

    With another customer in the path it is the account that is not found.
    """
    places = {place for place, _ in unknown}
    return {
        refusal
        for place, refusal in foreign
        if not any(
            refusal == other and (place == where or place == "customerId" or place not in places)
            for where, other in unknown
        )
    }


def _choose_some(attempts: list[Attempt]) -> list[Attempt]:
    """Choose `MAX_FOREIGN` attempts, from all parts of the list: it is in the order of people and of their accounts."""
    return [attempts[number * len(attempts) // MAX_FOREIGN] for number in range(MAX_FOREIGN)]


def build_attempts(operation: Operation, own: CustomerRun, others: Sequence[CustomerRun]) -> Iterator[Attempt]:
    """Yield requests that must be refused: with unknown ids, and with those of other customers."""
    ids = choose_path_ids(operation, own)[0]
    foreign_accounts = _find_foreign_accounts(own, others)
    yield Attempt("an unknown customerId", False, {**ids, "customerId": UNKNOWN_ID})
    if operation.whose == "specific":
        yield Attempt("an unknown account in the body", False, ids, (UNKNOWN_ID,))
        for account in foreign_accounts:
            yield Attempt("another customer's account in the body", True, ids, (account,))
        if foreign_accounts:
            yield Attempt("another customer's account, first in the body", True, ids, foreign_accounts[:1], True)
    for name in list(ids)[1:]:
        yield Attempt(f"an unknown {name}", False, {**ids, name: UNKNOWN_ID})
        if name == "accountId":
            for account in foreign_accounts:
                yield Attempt("another customer's accountId", True, {**ids, name: account})
        else:
            for value in _find_foreign_ids(operation, name, own, others):
                yield Attempt(f"another customer's {name}", True, {**ids, name: value})
            for value in _find_ids_of_other_accounts(operation, name, ids, own)[:1]:
                yield Attempt(f"the {name} of another account", True, {**ids, name: value})
    if "accountId" in ids:
        for other in others:
            if other.customer_id and ids["accountId"] not in other.offered:
                yield Attempt("another customer's customerId", True, {**ids, "customerId": other.customer_id})


def _find_foreign_accounts(own: CustomerRun, others: Sequence[CustomerRun]) -> list[str]:
    """Return one account of each kind of every other customer: those that this one does not have."""
    found: list[str] = []
    for other in others:
        kinds: dict[str, list[object]] = defaultdict(list)
        for collection in ACCOUNT_LISTS:
            for _, record in other.find_records(collection):
                account = record.get("accountId", record.get("id"))
                kinds[str(account)] += describe_kind(record)
        foreign = {str(kinds[account]): account for account in reversed(other.offered) if account not in own.offered}
        found += reversed(foreign.values())
    return list(dict.fromkeys(found))


def describe_kind(record: dict[str, Any]) -> list[object]:
    """Return what makes a record one of a kind: its truth values and the members that have codes, not texts."""
    return [
        (name, value)
        for name, value in sorted(record.items())
        if isinstance(value, bool) or (name in KIND_MEMBERS and isinstance(value, str))
    ]


def _find_foreign_ids(operation: Operation, name: str, own: CustomerRun, others: Sequence[CustomerRun]) -> list[str]:
    """Return an id of each kind of record that another customer has, and this one does not."""
    known = {record.get(name) for _, record in own.find_records(operation.collection)}
    found: list[str] = []
    for other in others:
        kinds: dict[str, str] = {}
        for _, record in other.find_records(operation.collection):
            value = record.get(name)
            if isinstance(value, str) and value not in known:
                kinds.setdefault(str(describe_kind(record)), value)
        found += kinds.values()
    return list(dict.fromkeys(found))


def _find_ids_of_other_accounts(operation: Operation, name: str, ids: Ids, own: CustomerRun) -> list[str]:
    """Return the ids of that name that other accounts of the customer have, and this one does not."""
    pairs = [
        (sequence.ids.get("accountId"), record.get(name))
        for sequence, record in own.find_records(operation.collection)
        if record.get("isDetailAvailable", True)
    ]
    here = {value for account, value in pairs if account == ids.get("accountId")}
    return [value for account, value in pairs if account and isinstance(value, str) and value not in here]


async def _try_similar_ids(
    session: Session, operation: Operation, own: CustomerRun, ids: Ids, changed: Ids
) -> AsyncIterator[Result]:
    """Call an operation with ids of which one differs from the customer's own in letter case, or by a blank."""
    accounts = choose_accounts(operation, own)
    for name, value in changed.items():
        similar = {f"the {name} in another letter case": value.swapcase(), f"the {name} with a blank": f"{value} "}
        for note, text in similar.items():
            if text.lower() == value.lower() and (text == value or _UUID.fullmatch(value)):
                continue
            exchange = await session.call(operation, {**ids, name: text}, accounts=accounts, note=note)
            is_found = exchange.is_ok and (exchange.json is None or bool(read_records(exchange)))
            observed = f"{exchange.status_text}: {note}"
            yield judge_rule(EXACT_ID, format_route(operation), not is_found, observed, exchange.request)


def _judge_attempt(operation: Operation, attempt: Attempt, exchange: Exchange) -> Result:
    in_body = bool(attempt.body_accounts)
    leak, refusal, status = (FOREIGN_BODY, UNKNOWN_BODY, 422) if in_body else (FOREIGN, UNKNOWN, 404)
    route, observed = format_route(operation), exchange.status_text
    if attempt.is_foreign and _leaks_data(attempt, exchange):
        return fail_rule(leak, route, f"{observed}: {attempt.note}", exchange.request)
    if exchange.is_ok:
        observed = "200 with data" if read_records(exchange) else "200 with an empty response"
    elif exchange.status == status:
        if attempt.is_foreign or REFUSED not in exchange.headers:
            return pass_rule(leak if attempt.is_foreign else refusal, route)
        observed = f"{observed} with {REFUSED}"
    return fail_rule(refusal, route, f"{observed}: {attempt.note}", exchange.request)


def _leaks_data(attempt: Attempt, exchange: Exchange) -> bool:
    """Return whether a response has foreign data: any data, or for a bulk request any record of these accounts."""
    if not exchange.is_ok:
        return False
    if exchange.json is None:  # a document
        return bool(exchange.content) and not attempt.body_accounts
    records = read_records(exchange)
    if attempt.body_accounts:
        return any(get_account_id(record) in attempt.body_accounts for record in records)
    return bool(records)


def _read_refusal(attempt: Attempt, exchange: Exchange) -> Refusal:
    """Return the refusal without the id itself, which its detail may repeat."""
    errors = get_member(exchange.json, "errors")
    detail = str(get_member(errors[0], "detail")) if isinstance(errors, list) and errors else ""
    for value in (*attempt.ids.values(), *attempt.body_accounts):
        detail = detail.replace(value, "…")
    return Refusal(exchange.status, exchange.error_code, detail, REFUSED in exchange.headers)
