"""Bodies with few accounts: one, the same one twice, and none."""

from __future__ import annotations

from collections.abc import AsyncIterator

from openholder.contract.operations import Operation
from openholder.rehearsal.exchange import records, route
from openholder.rehearsal.findings import Outcome, Rule, found, passed
from openholder.rehearsal.judges.lists import account_of, listed
from openholder.rehearsal.probes import compared, fullest
from openholder.rehearsal.scene import Scene, Visit

_FISKIL = "Fiskil: a recipient's bulk request arrives as a POST on the consented accounts"

ONE = Rule(
    "chosen-one", "critical",
    expected="A body with one account gets that account's records: those that a longer body got for it.",
    why="What the body says makes no difference, or an answer is kept and given to the wrong question.",
    written=_FISKIL,
    mend="Select by the ids of the body; where answers are kept, the body is part of the question.",
)  # fmt: skip
TWICE = Rule(
    "chosen-twice", "error",
    expected="An account that a body names twice counts once.",
    why="Its money is there twice.",
    written=_FISKIL,
    mend="Make a set of the ids before they are looked up.",
)  # fmt: skip
NONE = Rule(
    "chosen-none", "error",
    expected="A body without any account gets no record: an empty list, or 400.",
    why="A filter that is empty is often taken for none, and gives everything.",
    written=_FISKIL,
    mend="Answer an empty list of ids before the source is asked.",
)  # fmt: skip

ALL = Rule(
    "chosen-all", "error",
    expected="An account that is answered by itself is in the list for all that the customer may share.",
    why="Data of closed accounts is owed too; what the list leaves out nobody asks for.",
    written=f"{_FISKIL}; Consumer Data Standards, open-status: ALL by default",
    mend="Select the accounts of the body by their ids alone, and by what the query asks.",
)  # fmt: skip


async def chosen_few(scene: Scene) -> AsyncIterator[Outcome]:
    """Ask each operation on chosen accounts for few of them."""
    for operation in scene.served:
        leg = fullest(scene, operation)
        if operation.whose == "specific" and leg and leg.asked:
            first, query = leg.asked[0], leg.first.request.query
            one = await scene.leg(operation, leg.ids, query, accounts=(first,), note="one account")
            twice = await scene.leg(operation, leg.ids, query, accounts=(first, first), note="one account, twice")
            for outcome in listed(one):
                yield outcome
            yield compared(ONE, one, [record for record in leg.records if account_of(record) == first])
            yield compared(TWICE, twice, one.records)
            none = await scene.ask(operation, leg.ids, query=query, note="no account")
            where, came = route(operation), len(records(none))
            yield found(NONE, where, f"{came} records", none.request) if came else passed(NONE, where)
        for visit in scene.visits:
            async for outcome in _all_of(scene, operation, visit):
                yield outcome


async def _all_of(scene: Scene, operation: Operation, visit: Visit) -> AsyncIterator[Outcome]:
    """Ask a list of accounts for all that are offered, and each that it leaves out by itself."""
    same = (row for row in scene.served if (row.collection, row.whose) == (operation.collection, "account"))
    single = next(same, None)
    if operation.whose != "specific" or single is None or not operation.collection.endswith(".accounts"):
        return
    ids, where = {"customerId": visit.customer_id}, route(operation)
    whole = await scene.leg(operation, ids, accounts=visit.offered, note="all accounts")
    shown = {account_of(record) for record in whole.records}
    for account in visit.offered if whole.whole else ():
        if account in shown:
            yield passed(ALL, where)
            continue
        alone = await scene.ask(single, {**ids, "accountId": account}, note="an account that the list leaves out")
        came = "an account that is answered by itself is not in the list"
        yield found(ALL, where, came, whole.first.request) if records(alone) else passed(ALL, where)
