"""The conversation: login, consent, and every data operation of the plan, for one customer after the other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from typing import Any

from openholder.contract.operations import OPERATIONS, Operation
from openholder.rehearsal.checks.lists import ENDS
from openholder.rehearsal.exchange import NO_RESPONSE, CallSequence, Exchange, format_route, get_member
from openholder.rehearsal.preparation import UnusableOption
from openholder.rehearsal.results import SERVER, Result, Rule, fail_rule, judge_rule, pass_rule, skip_rule
from openholder.rehearsal.session import (
    NOT_FOUND,
    CustomerRun,
    Ids,
    Session,
    build_request,
    choose_accounts,
    choose_path_ids,
    is_not_offered,
    is_not_served,
)
from openholder.rehearsal.side_by_side import do_side_by_side

TOKEN_ACCEPTED = Rule(
    name="token-accepted",
    severity="critical",
    expected="The first request, with a valid token, is answered with a status other than 401, 403 or 503.",
    why="Nobody can log in, and no data can be shared.",
    reference="Fiskil, resource server guide: the JWT, its keys, iss, sub and aud",
    how_to_fix="Configure the JWKS URL and issuer that this rehearsal prints, and synchronise the clocks. aud is the"
    " public URL with the path and without the query: give --audience if it differs from the URL called. A server that"
    " has cached the keys of an earlier rehearsal reloads them later: keep the key with --key, or restart the server.",
    example="POST /auth/v1/customer/search: 401",
)
LOGIN_ANSWERED = Rule(
    name="login-answered",
    severity="critical",
    expected="The search, a POST with a valid token and an address in JSON, is answered with 200 and a list `data`.",
    why="Nobody can log in.",
    reference="Fiskil, end-user authentication: the search",
    how_to_fix="Answer with 200, not 201. Demand no header that Fiskil does not send, such as x-v or Accept (406), and"
    " take application/json (415). Write the list as `data` in strict JSON, even if it is empty.",
    example="POST /auth/v1/customer/search: 406",
)
CUSTOMER_FOUND = Rule(
    name="customer-found",
    severity="critical",
    expected="The search finds a customer for each address given with --email.",
    why="The person cannot log in.",
    reference="Fiskil, end-user authentication: the search returns every customer behind the address",
    how_to_fix="Give the address of a customer that the server knows; compare addresses without regard to case (A-Z).",
    example="POST /auth/v1/customer/search: nobody was found",
)
DISTINCT_CUSTOMERS = Rule(
    name="distinct-customers",
    severity="warning",
    expected="Different people log in as different customers.",
    why="A search that returns the same customer for everybody discloses that customer's data. Access to foreign data"
    " cannot be checked either.",
    reference="Fiskil, end-user authentication: the search returns the customers behind the address",
    how_to_fix="Give addresses of unrelated people; if they are unrelated, correct the comparison of the search.",
    example="POST /auth/v1/customer/search: 1 customers for 2 addresses or ids",
)
RETURNS_DATA = Rule(
    name="operation-returns-data",
    severity="error",
    expected="Every served operation returns data for the ids that earlier responses contain.",
    why="The recipient gets an error although the customer has consented.",
    reference="Fiskil, resource server guide; Consumer Data Standards, HTTP response codes",
    how_to_fix="Search the server's log; every operation must know the accounts of the consent list.",
    example="GET …/payees/{payeeId}: 404, for an id from a list",
)
EVERY_ACCOUNT = Rule(
    name="every-account-answers",
    severity="warning",
    expected="If an operation returns data for one account of the consent list, it does so for all of them.",
    why="An account that is answered with 404 should not have been offered for consent.",
    reference="Fiskil, consents: the accounts that may be shared",
    how_to_fix="Omit accounts that cannot be shared from the consent list; answer all others in each operation.",
    example="GET /customer/{customerId}/accounts/{accountId}/balances: 404",
)
SERVED = Rule(
    name="operation-served",
    severity="warning",
    expected="The accounts of the sectors named with --sector are served. Other operations may be left out.",
    why="Without the list of accounts, recipients cannot read anything of the sector.",
    reference="Consumer Data Standards, endpoints of the sector",
    how_to_fix="Serve the list, or omit the sector. A product that is not offered needs no operation.",
    example="POST /v1/banking/customer/{customerId}/accounts: 404 cds-all:Resource/NotImplemented",
)
FEW = 3
"""The number of requests after which an operation that was never served is not asked for again."""
LOGIN = ("searchCustomers", "getCustomerDetails")
"""Operations that are not used if customers log in with the holder's OpenID Connect provider."""
ACCOUNT_COLLECTIONS = {"banking.accounts", "energy.accounts", "fdx.accounts"}
"""The accounts of each sector."""
_SEARCH = next(operation for operation in OPERATIONS if operation.whose == "search")


async def run_conversation(session: Session) -> AsyncIterator[Result]:
    """Call all operations for every customer of the plan, and store the responses in `Session.runs`."""
    await _choose_algorithm(session)
    runs = [CustomerRun(email=email) for email in session.plan.emails]
    runs += [CustomerRun(customer_id=customer) for customer in session.plan.customers]
    session.runs += runs
    first_operation = _choose_operations(session, runs[0])[:1]
    for operation in first_operation:
        await _call_operation(session, runs[0], operation)
    first = session.exchanges[0] if session.exchanges else None
    if first and first.status == NO_RESPONSE:
        yield skip_rule(TOKEN_ACCEPTED, SERVER, "the first request was not answered")
        return
    if first and first.status in (401, 403, 503):
        yield fail_rule(TOKEN_ACCEPTED, SERVER, first.status_text, first.request)
        return
    await do_side_by_side(
        _converse(session, run, _choose_operations(session, run)[0 if number else len(first_operation) :])
        for number, run in enumerate(runs)
    )
    _check_shared_accounts(session)
    for run in runs:
        if not run.customer_id:
            yield _explain_missing_customer(run, session.exchanges[-1])
    yield _check_distinct_customers(session)
    yield pass_rule(TOKEN_ACCEPTED, SERVER)
    for operation in session.plan.operations:
        for result in _check_operation(session, operation):
            yield result


def _choose_operations(session: Session, run: CustomerRun) -> list[Operation]:
    """Return the operations that are called for a customer, in their order."""
    return [operation for operation in session.plan.operations if run.email or operation.name not in LOGIN]


async def _converse(session: Session, run: CustomerRun, operations: Sequence[Operation]) -> None:
    """Call these operations for a customer: those first whose responses have the ids for others."""
    for operation in operations:
        run.sequences[operation.name] = []  # in the order of the plan, whichever is answered first
    for _, some in groupby(sorted(operations, key=_count_steps), _count_steps):
        await do_side_by_side([_call_operation(session, run, operation) for operation in some])
    await _call_unconsented_accounts(session, run)


def _count_steps(operation: Operation) -> int:
    """Return how many others must be answered before: search, consent, lists of accounts, lists of other records."""
    if operation.whose in ("search", "consent"):
        return 0 if operation.whose == "search" else 1
    if set(re.findall(r"{(\w+)}", operation.path)) - {"customerId", "accountId"}:
        return 4
    is_account_list = operation.collection.endswith(".accounts") and operation.reply.many
    return 2 if is_account_list or operation.sector == "custom" else 3


def _check_shared_accounts(session: Session) -> None:
    """Raise an error if an account that is to be shared is offered to nobody, unless a list could not be read.

    Raises:
        UnusableOption: The server offers no such account.
    """
    lists = [sequence for run in session.runs for sequence in run.sequences["listConsentAccounts"]]
    offered = {account for run in session.runs for account in run.offered}
    if session.plan.shared - offered and lists and all(sequence.is_whole for sequence in lists):
        those = "none of these accounts" if session.plan.shared.isdisjoint(offered) else "not all of these accounts"
        raise UnusableOption("--account", f"the server offers {those} to the people who log in")


def _explain_missing_customer(run: CustomerRun, last: Exchange) -> Result:
    """Tell a search that is not answered well from one that finds nobody."""
    answered = next((sequence.first for sequence in run.sequences["searchCustomers"]), last)
    if not answered.is_ok:
        return fail_rule(LOGIN_ANSWERED, format_route(_SEARCH), answered.status_text, answered.request)
    found = get_member(answered.json, "data")
    if not isinstance(found, list):
        observed = "200 without a list `data` in JSON"
        return fail_rule(LOGIN_ANSWERED, format_route(_SEARCH), observed, answered.request)
    observed = "a customer without a string `id`" if found else "nobody was found"
    return fail_rule(CUSTOMER_FOUND, format_route(_SEARCH), observed, answered.request)


async def _choose_algorithm(session: Session) -> None:
    """Sign with RS256 if the server accepts that and not PS256."""
    if not session.plan.emails:
        return
    for algorithm in ("RS256", "PS256"):
        exchange = await session.send_patiently(build_request(_SEARCH, {}, email=session.plan.emails[0]))
        if exchange.status not in (401, 403):
            return
        session.caller.algorithm = algorithm


async def _call_operation(session: Session, run: CustomerRun, operation: Operation) -> None:
    """Call one operation for all ids of the customer, and learn further ids from the responses."""
    more: dict[str, Any] = {"email": run.email} if operation.whose == "search" else {}
    accounts = choose_accounts(operation, run)

    async def call(ids: Ids) -> CallSequence:
        sequence = await session.call_all_pages(operation, ids, accounts=accounts, **more)
        if accounts and sequence.first.is_withheld and (open_accounts := await _drop_blocked(session, run, sequence)):
            sequence = await session.call_all_pages(operation, ids, accounts=open_accounts, **more)
        return sequence

    if operation.whose == "specific" and not accounts:
        return  # Fiskil asks for the accounts of a consent, and a server may refuse a body without any
    all_ids = choose_path_ids(operation, run)
    sequences = await do_side_by_side(map(call, all_ids[:FEW]))
    # An operation may not be offered for the first kinds of accounts only.
    if not all(is_not_served(sequence.first) for sequence in sequences):
        sequences += await do_side_by_side(map(call, all_ids[FEW:]))
    run.sequences[operation.name] += sequences
    if operation.whose == "search":
        _choose_customer(run)
    elif operation.whose == "consent":
        _choose_consent(session, run)


async def _drop_blocked(session: Session, run: CustomerRun, sequence: CallSequence) -> Sequence[str]:
    """Ask for each account of a bulk request that was withheld, and consent to the others only; return these."""
    alone = await do_side_by_side(
        session.call(sequence.operation, sequence.ids, accounts=(account,), note="one account")
        for account in sequence.account_ids
    )
    blocked = {account for account, each in zip(sequence.account_ids, alone, strict=True) if each.is_withheld}
    run.accounts = tuple(account for account in run.accounts if account not in blocked)
    return [account for account in sequence.account_ids if account not in blocked]


def _choose_customer(run: CustomerRun) -> None:
    """Log in as the first customer found: the person behind the address comes before the businesses."""
    found = [record.get("id") for sequence in run.sequences["searchCustomers"] for record in sequence.records]
    run.customer_id = next((value for value in found if isinstance(value, str)), "")


def _choose_consent(session: Session, run: CustomerRun) -> None:
    """Consent to all accounts but one, if there are several: data of that one must not be returned.

    It is the last one of a type that others have too, so that there is an account of each type.
    """
    sequences = run.sequences["listConsentAccounts"]
    records = [record for sequence in sequences for record in sequence.records]
    run.offered = tuple(record["id"] for record in records if isinstance(record.get("id"), str))
    types = [str(record.get("type")) for record in records if isinstance(record.get("id"), str)]
    spare = [account for account, kind in zip(run.offered, types, strict=True) if types.count(kind) > 1]
    left_out = spare[-1:] if len(run.offered) > 2 else []
    consented = tuple(account for account in run.offered if account not in left_out)
    if session.plan.shared:
        consented = tuple(account for account in run.offered if account in session.plan.shared)
    run.accounts = consented[: session.plan.accounts]


async def _call_unconsented_accounts(session: Session, run: CustomerRun) -> None:
    """Call one operation for each account that was offered and not consented to: it must be answered too."""
    starters = [each for each in session.served_operations if each.sector == "custom" and each.whose == "account"]
    if not starters:
        return
    run.sequences[starters[0].name] += await do_side_by_side(
        session.call_all_pages(starters[0], {"customerId": run.customer_id, "accountId": account})
        for account in run.offered
        if account not in run.accounts
    )


def _check_distinct_customers(session: Session) -> Result:
    ids = [run.customer_id for run in session.runs if run.customer_id]
    observed = f"{len(set(ids))} customers for {len(ids)} addresses or ids"
    return judge_rule(DISTINCT_CUSTOMERS, format_route(_SEARCH), len(set(ids)) == len(ids), observed)


def _check_operation(session: Session, operation: Operation) -> Iterator[Result]:
    """Check that an operation was answered with data in every run."""
    sequences = [sequence for run in session.runs for sequence in run.sequences.get(operation.name, ())]
    route = format_route(operation)
    if not sequences:
        yield skip_rule(RETURNS_DATA, route, "earlier responses contain no id to ask for")
    elif is_not_offered(sequences):
        first = sequences[0].first
        if _is_missed(session, operation):
            yield fail_rule(SERVED, route, first.status_text, first.request)
        else:
            yield skip_rule(SERVED, route, "not served")
    else:
        yield pass_rule(RETURNS_DATA, route)
        elsewhere = _find_other_sectors(session, sequences)
        for sequence in sequences:
            if not sequence.is_complete:
                is_elsewhere = sequence.first.status == NOT_FOUND and sequence.ids.get("accountId") in elsewhere
                reason = "not offered for accounts of another sector"
                yield skip_rule(EVERY_ACCOUNT, route, reason) if is_elsewhere else _explain_missing_data(sequence)


def _find_other_sectors(session: Session, sequences: Sequence[CallSequence]) -> set[str]:
    """Return the accounts for which an operation need not be offered: it answers none of their sector.

    Of a holder with several sectors, an account that no list has may belong to any, and if the user names sectors, to
    one that is not rehearsed.
    """
    lists = {each.collection for each in session.served_operations if each.reply.many} & ACCOUNT_COLLECTIONS
    of_sector = {
        collection: {str(record.get("accountId")) for run in session.runs for _, record in run.find_records(collection)}
        for collection in lists
    }
    answered = {sequence.ids.get("accountId") for sequence in sequences if sequence.is_complete}
    others = {account for accounts in of_sector.values() if not accounts & answered for account in accounts}
    if len(lists) > 1 or session.plan.sectors:
        others |= {account for run in session.runs for account in run.offered} - set().union(*of_sector.values())
    return others if answered else set()


def _is_missed(session: Session, operation: Operation) -> bool:
    """Return whether a named sector lacks its list of accounts, or all operations if it has no such list."""
    of_sector = [each for each in session.plan.operations if each.sector == operation.sector]
    lists = [each for each in of_sector if each.collection == f"{each.sector}.accounts" and each.reply.many]
    needed = lists or of_sector
    return (
        operation.sector in session.plan.sectors
        and operation in needed
        and not any(each in session.served_operations for each in needed)
    )


def _explain_missing_data(sequence: CallSequence) -> Result:
    """Return a failure, or skip the rule if the customer may simply have no such data."""
    last = sequence.exchanges[-1]
    if last.is_withheld:
        return skip_rule(RETURNS_DATA, sequence.route, "the holder does not share an account")
    if is_not_served(last):
        return skip_rule(RETURNS_DATA, sequence.route, "not offered for an account")
    if len(sequence.exchanges) > 1 and last.status in (400, NOT_FOUND, 422):
        observed = f"the link of page {len(sequence.exchanges) - 1} leads to {last.status_text}"
        return fail_rule(ENDS, sequence.route, observed, last.request)
    if last.status != 404 or sequence.operation.reply.many:
        return fail_rule(RETURNS_DATA, sequence.route, last.status_text, last.request)
    if {*sequence.ids} - {"customerId", "accountId"}:
        return fail_rule(RETURNS_DATA, sequence.route, f"{last.status_text}, for an id from a list", last.request)
    if "accountId" in sequence.ids:
        return fail_rule(EVERY_ACCOUNT, sequence.route, last.status_text, last.request)
    return skip_rule(RETURNS_DATA, sequence.route, "a customer has no such data")
