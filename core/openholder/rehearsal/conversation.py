"""The conversation itself: login, consent, and every data operation of the sectors, pages followed to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from openholder.contract.operations import OPERATIONS, Operation
from openholder.rehearsal.exchange import NO_ANSWER, CallSequence, format_route
from openholder.rehearsal.results import SERVER, Result, Rule, fail_rule, pass_rule, skip_rule
from openholder.rehearsal.session import (
    CustomerRun,
    Session,
    build_request,
    choose_accounts,
    choose_path_ids,
    is_not_served,
)

TOKEN_ACCEPTED = Rule(
    name="token-accepted",
    severity="critical",
    expected="The first request, with a good token, is answered with something other than 401, 403 or 503.",
    why="Nobody can log in, and no data can be shared.",
    reference="Fiskil, resource server guide: the JWT, its keys, iss, sub and aud",
    how_to_fix="Configure the JWKS URL and issuer that this rehearsal prints, and synchronise the clocks. aud is the"
    " public URL with the path and without the query: give --audience if it differs from the URL called. A server that"
    " has cached the keys of an earlier rehearsal reloads them later: keep the key with --key, or restart the server.",
)
CUSTOMER_FOUND = Rule(
    name="customer-found",
    severity="critical",
    expected="The search finds a customer for each address that is given with --email.",
    why="The person cannot log in.",
    reference="Fiskil, end-user authentication: the search returns every customer behind the address",
    how_to_fix="Give the address of a customer that the server knows; compare addresses without regard to case (A-Z).",
)
TOLD_APART = Rule(
    name="distinct-customers",
    severity="warning",
    expected="Two people who log in are two customers.",
    why="A search that finds the same for everybody shows it to everybody; and whose data it is cannot be tried.",
    reference="Fiskil, end-user authentication: the search returns the customers behind the address",
    how_to_fix="Give addresses of people who are strangers; where they are, look at how the search compares.",
)
DATA_COMES = Rule(
    name="operation-returns-data",
    severity="error",
    expected="Every operation that is served answers with data for the ids that the answers before have named.",
    why="The recipient gets an error where the customer has consented to share.",
    reference="Fiskil, resource server guide; Consumer Data Standards, HTTP response codes",
    how_to_fix="Look into the server's log; an account of the consent list must be known to each operation.",
)
EACH_ACCOUNT = Rule(
    name="every-account-answers",
    severity="warning",
    expected="What some accounts of the consent list have, the others have too.",
    why="An account that is offered for consent and answers with 404 is one that should not have been offered.",
    reference="Fiskil, consents: the accounts that may be shared",
    how_to_fix="Leave accounts that cannot be shared out of the consent list; answer the others for each operation.",
)
SERVED = Rule(
    name="operation-served",
    severity="warning",
    expected="Each operation of the sectors named with --sector is served.",
    why="Fiskil's platform answers recipients with an error for what the holder does not serve.",
    reference="Consumer Data Standards, endpoints of the sector",
    how_to_fix="Serve it, or leave the sector out where the product is not offered.",
)
LOGIN = ("searchCustomers", "getCustomerDetails")
"""What falls away with an OpenID Connect provider of the holder's own."""
_SEARCH = next(operation for operation in OPERATIONS if operation.whose == "search")


async def run_conversation(session: Session) -> AsyncIterator[Result]:
    """Walk for everybody of the plan; what the answers were is in the scene's visits then."""
    await _agree_on_algorithm(session)
    people = [CustomerRun(email=email) for email in session.plan.emails]
    people += [CustomerRun(customer_id=customer) for customer in session.plan.customers]
    for run in people:
        session.runs.append(run)
        for operation in session.plan.operations:
            if run.email or operation.name not in LOGIN:
                await _visited(session, run, operation)
                if _refused_at_first(session):
                    yield fail_rule(
                        TOKEN_ACCEPTED, SERVER, session.exchanges[0].status_text, session.exchanges[0].request
                    )
                    return
        if not run.customer_id:
            last = session.exchanges[-1]
            came = "no list of customers with ids" if last.is_ok else last.status_text
            yield fail_rule(CUSTOMER_FOUND, format_route(_SEARCH), came, last.request)
        await _ask_of_the_others(session, run)
    yield _told_apart(session)
    yield pass_rule(TOKEN_ACCEPTED, SERVER)
    for operation in session.plan.operations:
        for result in _answered(session, operation):
            yield result


async def _agree_on_algorithm(session: Session) -> None:
    """Sign with RS256 where that is what the server takes, and PS256 is not."""
    if not session.plan.emails:
        return
    for algorithm in ("RS256", "PS256"):
        exchange = await session.caller.send(build_request(_SEARCH, {}, email=session.plan.emails[0]))
        if exchange.status not in (401, 403):
            return
        session.caller.algorithm = algorithm


def _refused_at_first(session: Session) -> bool:
    return len(session.exchanges) >= 1 and session.exchanges[0].status in (NO_ANSWER, 401, 403, 503)


async def _visited(session: Session, run: CustomerRun, operation: Operation) -> None:
    """Ask one operation for all that is the person's, and learn from it."""
    more: dict[str, Any] = {"email": run.email} if operation.whose == "search" else {}
    accounts = choose_accounts(operation, run)
    for ids in choose_path_ids(operation, run):
        sequence = await session.call_all_pages(operation, ids, accounts=accounts, **more)
        run.sequences[operation.name].append(sequence)
        if is_not_served(sequence.first):
            break
    if operation.whose in _LEARNT:
        _LEARNT[operation.whose](session, run)


async def _ask_of_the_others(session: Session, run: CustomerRun) -> None:
    """Ask once for each account that was offered and not consented to: what is offered must be answered."""
    starter = next((row for row in session.served if row.sector == "custom" and row.whose == "account"), None)
    if starter is None:
        return
    for account in run.offered:
        if account not in run.accounts:
            ids = {"customerId": run.customer_id, "accountId": account}
            run.sequences[starter.name].append(await session.call_all_pages(starter, ids))


def _told_apart(session: Session) -> Result:
    """Whether two people who log in are two customers."""
    ids = [run.customer_id for run in session.runs if run.customer_id]
    if len(set(ids)) < len(ids):
        return fail_rule(
            TOLD_APART, format_route(_SEARCH), f"{len(set(ids))} customers for {len(ids)} addresses or ids"
        )
    return pass_rule(TOLD_APART, format_route(_SEARCH))


def _choose_customer(session: Session, run: CustomerRun) -> None:
    """The first customer that the search has found: the person behind the address, before her businesses."""
    found_ids = [record.get("id") for sequence in run.sequences["searchCustomers"] for record in sequence.records]
    run.customer_id = next((value for value in found_ids if isinstance(value, str)), "")


def _consent(session: Session, run: CustomerRun) -> None:
    """All accounts but the last, where there are several: what was not consented to must not leave."""
    sequences = run.sequences["listConsentAccounts"]
    run.offered = tuple(
        record["id"] for sequence in sequences for record in sequence.records if isinstance(record.get("id"), str)
    )
    some = run.offered[:-1] if len(run.offered) > 2 else run.offered
    run.accounts = some[: session.plan.accounts]


_LEARNT: Mapping[str, Callable[[Session, CustomerRun], None]] = {"search": _choose_customer, "consent": _consent}


def _answered(session: Session, operation: Operation) -> list[Result]:
    """Whether data came for everybody who was asked for."""
    sequences = [sequence for run in session.runs for sequence in run.sequences.get(operation.name, ())]
    subject = format_route(operation)
    if not sequences:
        return [skip_rule(DATA_COMES, subject, "the answers before left nothing to ask for")]
    if all(is_not_served(sequence.first) for sequence in sequences):
        wanted = operation.sector in session.plan.sectors
        result = fail_rule(SERVED, subject, sequences[0].first.status_text, sequences[0].first.request)
        return [result if wanted else skip_rule(SERVED, subject, "not served")]
    return [
        pass_rule(DATA_COMES, subject),
        *(_lacking(subject, sequence) for sequence in sequences if not sequence.is_complete),
    ]


def _lacking(subject: str, sequence: CallSequence) -> Result:
    """What a leg without data is: a fault; an account, or a person, that has nothing of what others have."""
    last = sequence.exchanges[-1]
    if last.status != 404 or sequence.operation.reply.many:
        return fail_rule(DATA_COMES, subject, last.status_text, last.request)
    if {*sequence.ids} - {"customerId", "accountId"}:
        return fail_rule(DATA_COMES, subject, f"{last.status_text}, for an id that a list has shown", last.request)
    if "accountId" in sequence.ids:
        return fail_rule(EACH_ACCOUNT, subject, last.status_text, last.request)
    return skip_rule(DATA_COMES, subject, "there is nothing of the kind for somebody")
