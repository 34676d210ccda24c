"""Bulk requests with few accounts: one, the same one twice, and none; and with all accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator

from openholder.contract.operations import Operation
from openholder.rehearsal.checks.lists import check_list, get_account_id
from openholder.rehearsal.exchange import CallSequence, read_records
from openholder.rehearsal.probes import compare_records, find_fullest
from openholder.rehearsal.results import Result, Rule, judge_rule, pass_rule, skip_rule
from openholder.rehearsal.session import CustomerRun, Session
from openholder.rehearsal.side_by_side import do_side_by_side, run_side_by_side

_FISKIL = "Fiskil: a recipient's bulk request arrives as a POST on the consented accounts"

ONE_ACCOUNT = Rule(
    name="bulk-one-account",
    severity="critical",
    expected="A bulk request for one account returns the same records of it as a request for more accounts.",
    why="The server ignores the body, or returns the cached response to another request.",
    reference=_FISKIL,
    how_to_fix="Select by the ids in the body; if responses are cached, make the body part of the key.",
    example="POST /v1/banking/customer/{customerId}/accounts (one account): 1 records, expected 1: 1 too many, 1"
    " missing",
)
REPEATED_ACCOUNT = Rule(
    name="bulk-repeated-account",
    severity="error",
    expected="An account that is repeated in the body counts once.",
    why="The recipient counts its records twice.",
    reference=_FISKIL,
    how_to_fix="Remove duplicate ids before looking them up.",
    example="POST …/accounts/balances (one account, repeated): 2 records, expected 1: 1 too many, 0 missing",
)
NO_ACCOUNTS = Rule(
    name="bulk-without-accounts",
    severity="error",
    expected="A bulk request without accounts returns an empty list, or 400.",
    why="Code often treats an empty filter as no filter, and returns everything.",
    reference=_FISKIL,
    how_to_fix="Answer an empty list of ids without querying the source.",
    example="POST /v1/banking/customer/{customerId}/accounts (no account): 4 records",
)
ALL_ACCOUNTS = Rule(
    name="bulk-all-accounts",
    severity="error",
    expected="An account that is answered on its own is in the list for all accounts that the customer may share.",
    why="Data of closed accounts must be shared too; recipients never ask for accounts missing from the list.",
    reference=f"{_FISKIL}; Consumer Data Standards, open-status: ALL by default",
    how_to_fix="Select the accounts by the ids in the body and the filters of the query only.",
    example="POST /v1/banking/customer/{customerId}/accounts (all accounts): an account that is answered on its own is"
    " missing from the list",
)


async def probe_bulk_requests(session: Session) -> AsyncIterator[Result]:
    """Repeat each bulk operation with one account, a repeated one, none, and all offered accounts."""
    probes = []
    for operation in session.served_operations:
        if operation.whose != "specific":
            continue
        sequence = find_fullest(session, operation)
        if sequence and sequence.account_ids:
            probes.append(_probe_few_accounts(session, sequence))
        probes += [_probe_all_accounts(session, operation, run) for run in session.runs]
    async for result in run_side_by_side(probes):
        yield result


async def _probe_few_accounts(session: Session, sequence: CallSequence) -> AsyncIterator[Result]:
    account, query = sequence.account_ids[0], sequence.first.request.query
    one, twice = await do_side_by_side(
        session.repeat(sequence, query, accounts=accounts, note=note)
        for accounts, note in (((account,), "one account"), ((account, account), "one account, repeated"))
    )
    for result in check_list(one):
        yield result
    if sequence.unread:
        yield skip_rule(ONE_ACCOUNT, sequence.route, sequence.unread)
        return
    yield compare_records(
        ONE_ACCOUNT, one, [record for record in sequence.records if get_account_id(record) == account]
    )
    yield compare_records(REPEATED_ACCOUNT, twice, one.records)
    none = await session.repeat_once(sequence, query, accounts=(), note="no account")
    count = len(read_records(none))
    yield judge_rule(NO_ACCOUNTS, sequence.route, not count, f"{count} records", none.request)


async def _probe_all_accounts(session: Session, operation: Operation, run: CustomerRun) -> AsyncIterator[Result]:
    """Request a list of all offered accounts, and then each account that it lacks on its own."""
    singles = [
        other
        for other in session.served_operations
        if (other.collection, other.whose) == (operation.collection, "account")
        and operation.collection.endswith(".accounts")
    ]
    if not singles:
        return
    ids = {"customerId": run.customer_id}
    bulk = await session.call_all_pages(operation, ids, accounts=run.offered, note="all accounts")
    listed = {get_account_id(record) for record in bulk.records}
    for account in run.offered if bulk.is_whole else ():
        if account in listed:
            yield pass_rule(ALL_ACCOUNTS, bulk.route)
            continue
        note = "an account that is missing from the list"
        alone = await session.call(singles[0], {**ids, "accountId": account}, note=note)
        observed = "an account that is answered on its own is missing from the list"
        yield judge_rule(ALL_ACCOUNTS, bulk.route, not read_records(alone), observed, bulk.first.request)
