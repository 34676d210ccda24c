"""Details of records: of one of each kind, of the oldest, and of one whose list says that it has none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any

from openholder.contract.collections import find_collection
from openholder.contract.operation import JSON
from openholder.contract.operations import Operation
from openholder.errors import SourceFault
from openholder.rehearsal.checks.consistency import check_details
from openholder.rehearsal.conversation import RETURNS_DATA
from openholder.rehearsal.exchange import CallSequence, format_route, get_member, read_records
from openholder.rehearsal.probes.foreign_ids import describe_kind
from openholder.rehearsal.results import Result, Rule, judge_rule
from openholder.rehearsal.session import CustomerRun, Ids, Session
from openholder.rehearsal.side_by_side import do_side_by_side, run_side_by_side

MAX_DETAILS = 8
"""The largest number of records of a person whose details are requested, for each operation."""
DETAIL_FLAG = Rule(
    name="detail-flag",
    severity="warning",
    expected="A transaction whose isDetailAvailable is false has no extendedData when it is requested by its id.",
    why="Recipients do not ask for details that the list denies: the customer shares less than was agreed.",
    reference="Consumer Data Standards 1.36.0, BankingTransaction: isDetailAvailable",
    how_to_fix="Set isDetailAvailable from the same columns that fill extendedData.",
    example="GET …/transactions/{transactionId}: extendedData, though isDetailAvailable is false",
)


async def probe_details(session: Session) -> AsyncIterator[Result]:
    """Request details of several records of each list, and compare them with the list."""
    probes = []
    for operation in session.served_operations:
        key = find_collection(operation.collection).key
        if operation.reply.many or operation.reply.media != JSON or not key or f"{{{key}}}" not in operation.path:
            continue
        if key in ("accountId", "customerId"):
            continue  # the conversation requests each of them
        probes += [_probe_records(session, run, operation, key) for run in session.runs]
    async for result in run_side_by_side(probes):
        yield result


async def _probe_records(session: Session, run: CustomerRun, operation: Operation, key: str) -> AsyncIterator[Result]:
    asked = {sequence.ids.get(key) for sequence in run.sequences.get(operation.name, ())}
    sequences: list[CallSequence] = []
    chosen = [(ids, record) for ids, record in _choose_records(run, operation, key) if ids[key] not in asked]
    exchanges = await do_side_by_side(
        session.call(operation, ids, note="another record of the list") for ids, _ in chosen
    )
    for (ids, record), exchange in zip(chosen, exchanges, strict=True):
        is_available = record.get("isDetailAvailable", True) is not False
        if is_available:
            yield judge_rule(
                RETURNS_DATA, format_route(operation), exchange.is_ok, exchange.status_text, exchange.request
            )
            if exchange.is_ok:
                sequences.append(CallSequence(operation, ids, [exchange]))
        else:
            extended = any(get_member(each, "extendedData") for each in read_records(exchange))
            observed = "extendedData, though isDetailAvailable is false"
            yield judge_rule(DETAIL_FLAG, format_route(operation), not extended, observed, exchange.request)
    for result in check_details(run, operation, sequences):
        yield result


def _choose_records(run: CustomerRun, operation: Operation, key: str) -> Iterator[tuple[Ids, dict[str, Any]]]:
    """Choose the oldest record of each kind: the conversation takes the first of a list, which is the newest."""
    kinds: dict[str, list[tuple[Ids, dict[str, Any]]]] = defaultdict(list)
    for sequence, record in run.find_records(operation.collection):
        if sequence.operation.reply.many and isinstance(record.get(key), str):
            kinds[str(describe_kind(record))].append(({**sequence.ids, key: record[key]}, record))
    for records in list(kinds.values())[:MAX_DETAILS]:
        yield _find_oldest(operation, records)


def _find_oldest(operation: Operation, records: list[tuple[Ids, dict[str, Any]]]) -> tuple[Ids, dict[str, Any]]:
    """Return the last record in the order of the collection; of a collection without order, the last one received."""
    order = find_collection(operation.collection).order
    try:
        return min(records, key=lambda row: order[0].key(row[1])) if order else records[-1]
    except SourceFault:
        return records[-1]  # an unreadable time: the schema checks report it
