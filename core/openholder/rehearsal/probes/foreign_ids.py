"""Access to foreign data: ids of another customer, and unknown ids, must be refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from openholder.contract.operations import Operation
from openholder.rehearsal.checks.lists import get_account_id
from openholder.rehearsal.exchange import REFUSED, Exchange, format_route, get_member, read_records, redact_word
from openholder.rehearsal.results import Result, Rule, fail_rule, judge_rule, pass_rule, skip_rule
from openholder.rehearsal.session import UNKNOWN_ID, CustomerRun, Ids, Session, choose_accounts, choose_path_ids

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


async def probe_foreign_ids(session: Session) -> AsyncIterator[Result]:
    """Call every served operation with ids of other customers, and with unknown ids."""
    own, others = session.runs[0], session.runs[1:]
    for operation in session.served_operations:
        if operation.whose == "search" or not choose_path_ids(operation, own):
            continue
        route = format_route(operation)
        attempts = list(_build_attempts(operation, own, others))
        if not any(attempt.is_foreign for attempt in attempts) and operation.whose not in _ONE_CUSTOMER:
            yield skip_rule(FOREIGN, route, "needs a second --email, of a customer with such data")
        foreign: set[Refusal] = set()
        unknown: set[Refusal] = set()
        for attempt in attempts:
            accounts = (*choose_accounts(operation, own), *attempt.body_accounts)
            exchange = await session.call(operation, attempt.ids, accounts=accounts, note=attempt.note)
            if not exchange.is_ok:
                (foreign if attempt.is_foreign else unknown).add(_read_refusal(attempt, exchange))
            yield _judge_attempt(operation, attempt, exchange)
        if foreign and unknown:
            different = sorted(foreign - unknown, key=lambda refusal: (refusal.status, refusal.code))
            observed = ""
            if different:
                shown = f"{different[0].status} {redact_word(different[0].code)}"
                observed = f"another status, code, detail or header for an id of another customer: {shown}"
            yield judge_rule(SAME_REFUSAL, route, not different, observed)


def _build_attempts(operation: Operation, own: CustomerRun, others: Sequence[CustomerRun]) -> Iterator[Attempt]:
    ids = choose_path_ids(operation, own)[0]
    foreign_accounts = [account for other in others for account in other.offered if account not in own.offered][:1]
    yield Attempt("an unknown customerId", False, {**ids, "customerId": UNKNOWN_ID})
    if operation.whose == "specific":
        yield Attempt("an unknown account in the body", False, ids, (UNKNOWN_ID,))
        for account in foreign_accounts:
            yield Attempt("another customer's account in the body", True, ids, (account,))
    for name in list(ids)[1:]:
        yield Attempt(f"an unknown {name}", False, {**ids, name: UNKNOWN_ID})
        if name == "accountId":
            for account in foreign_accounts:
                yield Attempt("another customer's accountId", True, {**ids, name: account})
        else:
            for value in _find_foreign_ids(operation, name, own, others)[:1]:
                yield Attempt(f"another customer's {name}", True, {**ids, name: value})
            for value in _find_ids_of_other_accounts(operation, name, ids, own)[:1]:
                yield Attempt(f"the {name} of another account", True, {**ids, name: value})
    if "accountId" in ids:
        for other in others:
            if other.customer_id and ids["accountId"] not in other.offered:
                yield Attempt("another customer's customerId", True, {**ids, "customerId": other.customer_id})


def _find_foreign_ids(operation: Operation, name: str, own: CustomerRun, others: Sequence[CustomerRun]) -> list[str]:
    """Return the ids of that name that other customers have, and this one does not."""
    foreign = [record.get(name) for other in others for _, record in other.find_records(operation.collection)]
    known = {record.get(name) for _, record in own.find_records(operation.collection)}
    return [value for value in foreign if isinstance(value, str) and value not in known]


def _find_ids_of_other_accounts(operation: Operation, name: str, ids: Ids, own: CustomerRun) -> list[str]:
    """Return the ids of that name that other accounts of the customer have, and this one does not."""
    pairs = [
        (sequence.ids.get("accountId"), record.get(name)) for sequence, record in own.find_records(operation.collection)
    ]
    here = {value for account, value in pairs if account == ids.get("accountId")}
    return [value for account, value in pairs if account and isinstance(value, str) and value not in here]


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
