"""Bodies with few accounts: one, the same one twice, and none."""

from __future__ import annotations

from collections.abc import AsyncIterator

from openholder.contract.operations import Operation
from openholder.rehearsal.checks.lists import check_list, get_account_id
from openholder.rehearsal.exchange import format_route, read_records
from openholder.rehearsal.probes import compare_records, find_fullest
from openholder.rehearsal.results import Result, Rule, fail_rule, pass_rule
from openholder.rehearsal.session import CustomerRun, Session

_FISKIL = "Fiskil: a recipient's bulk request arrives as a POST on the consented accounts"

ONE = Rule(
    name="bulk-one-account",
    severity="critical",
    expected="A body with one account gets that account's records: those that a longer body got for it.",
    why="What the body says makes no difference, or an answer is kept and given to the wrong question.",
    reference=_FISKIL,
    how_to_fix="Select by the ids of the body; where answers are kept, the body is part of the question.",
)
TWICE = Rule(
    name="bulk-repeated-account",
    severity="error",
    expected="An account that a body names twice counts once.",
    why="Its money is there twice.",
    reference=_FISKIL,
    how_to_fix="Make a set of the ids before they are looked up.",
)
NONE = Rule(
    name="bulk-without-accounts",
    severity="error",
    expected="A body without any account gets no record: an empty list, or 400.",
    why="A filter that is empty is often taken for none, and gives everything.",
    reference=_FISKIL,
    how_to_fix="Answer an empty list of ids before the source is asked.",
)

ALL = Rule(
    name="bulk-all-accounts",
    severity="error",
    expected="An account that is answered by itself is in the list for all that the customer may share.",
    why="Data of closed accounts is owed too; what the list leaves out nobody asks for.",
    reference=f"{_FISKIL}; Consumer Data Standards, open-status: ALL by default",
    how_to_fix="Select the accounts of the body by their ids alone, and by what the query asks.",
)


async def probe_bulk_requests(session: Session) -> AsyncIterator[Result]:
    """Ask each operation on chosen accounts for few of them."""
    for operation in session.served:
        sequence = find_fullest(session, operation)
        if operation.whose == "specific" and sequence and sequence.account_ids:
            first, query = sequence.account_ids[0], sequence.first.request.query
            one = await session.call_all_pages(operation, sequence.ids, query, accounts=(first,), note="one account")
            twice = await session.call_all_pages(
                operation, sequence.ids, query, accounts=(first, first), note="one account, twice"
            )
            for result in check_list(one):
                yield result
            yield compare_records(ONE, one, [record for record in sequence.records if get_account_id(record) == first])
            yield compare_records(TWICE, twice, one.records)
            none = await session.call(operation, sequence.ids, query=query, note="no account")
            where, came = format_route(operation), len(read_records(none))
            yield fail_rule(NONE, where, f"{came} records", none.request) if came else pass_rule(NONE, where)
        for run in session.runs:
            async for result in _all_of(session, operation, run):
                yield result


async def _all_of(session: Session, operation: Operation, run: CustomerRun) -> AsyncIterator[Result]:
    """Ask a list of accounts for all that are offered, and each that it leaves out by itself."""
    same = (row for row in session.served if (row.collection, row.whose) == (operation.collection, "account"))
    single = next(same, None)
    if operation.whose != "specific" or single is None or not operation.collection.endswith(".accounts"):
        return
    ids, where = {"customerId": run.customer_id}, format_route(operation)
    whole = await session.call_all_pages(operation, ids, accounts=run.offered, note="all accounts")
    shown = {get_account_id(record) for record in whole.records}
    for account in run.offered if whole.is_complete else ():
        if account in shown:
            yield pass_rule(ALL, where)
            continue
        alone = await session.call(single, {**ids, "accountId": account}, note="an account that the list leaves out")
        came = "an account that is answered by itself is not in the list"
        yield fail_rule(ALL, where, came, whole.first.request) if read_records(alone) else pass_rule(ALL, where)
