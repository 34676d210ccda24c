"""Whether the answers agree with each other: lists with details, chosen accounts with each of them, ids with ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from openholder.contract.collections import collection_named
from openholder.contract.operation import JSON
from openholder.contract.operations import Operation
from openholder.rehearsal.exchange import CallSequence, format_route
from openholder.rehearsal.results import Result, Rule, fail_rule, pass_rule
from openholder.rehearsal.session import CustomerRun, Session

DETAIL = Rule(
    name="list-and-detail-agree",
    severity="error",
    expected="A record says the same in a list and by itself.",
    why="The customer sees two balances, names or amounts for one thing.",
    reference="Consumer Data Standards, data quality (Privacy Safeguard 11): accurate, up to date and complete",
    how_to_fix="Answer both from the same rows.",
)
SUM = Rule(
    name="bulk-matches-single",
    severity="error",
    expected="The list for chosen accounts has the records that the accounts have one by one: none more, none less.",
    why="What the recipient gets depends on how it asks.",
    reference="Fiskil: a recipient's bulk request arrives as a POST on the consented accounts",
    how_to_fix="Answer both from the same rows, with the same defaults for filters.",
)
JOINT = Rule(
    name="joint-account-agrees",
    severity="error",
    expected="An account that two customers share answers both of them with the same.",
    why="One of the owners sees what is not so.",
    reference="Fiskil, joint and organisation accounts: one account, under one id",
    how_to_fix="Read the account's records by the account alone, once it is known to be the customer's.",
)
SAME_PERSON = Rule(
    name="id-matches-path",
    severity="critical",
    expected="A record asked for by its id has that id.",
    why="It is somebody else's record.",
    reference="Fiskil, reference pages: ids are permanent and mean one record",
    how_to_fix="Select by the id of the path, compared letter by letter.",
)

ONE_OWNER = Rule(
    name="payee-has-one-owner",
    severity="critical",
    expected="A payee of one customer is no other's.",
    why="Whom somebody pays is shown to somebody else.",
    reference="Fiskil, reference pages: ids are permanent and mean one record; OWASP API Security 2023, API1",
    how_to_fix="Select payees by the customer of the path.",
)
STARTER = Rule(
    name="starter-balance-agrees",
    severity="error",
    expected="The current balance for Fiskil's starter is the one that the CDR's own operation has.",
    why="The customer sees two balances for one account.",
    reference="Fiskil, resource server guide: balances; Consumer Data Standards, banking balance",
    how_to_fix="Answer both from the same rows.",
)
_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")
_ID = {
    "customerId": ("id", "customerId"),
    "accountId": ("accountId", "account_id"),
    "transactionId": ("transactionId",),
    "payeeId": ("payeeId",),
}
"""In which members a record has the id of the path."""


def check_consistency(session: Session) -> Iterator[Result]:
    """The outcomes for everybody who was visited."""
    for run in session.runs:
        for operation in session.plan.operations:
            sequences = [sequence for sequence in run.sequences.get(operation.name, ()) if sequence.is_complete]
            if sequences and not operation.reply.many:
                yield from _details(run, operation, sequences)
            if sequences and operation.whose == "specific":
                yield from _sums(session, run, operation, sequences[0])
        yield from _starters(run)
    yield from _shared(session)
    yield from _owned(session)


def _starters(run: CustomerRun) -> Iterator[Result]:
    """The starter's balances against those of the CDR, account by account. Of loans the FDX has no sign."""
    known = {row.get("accountId"): row for _, row in run.find_records("banking.balances")}
    for sequence, record in run.find_records("balances"):
        where, other = format_route(sequence.operation), known.get(sequence.ids.get("accountId"), {})
        if "current" in record and "currentBalance" in other:
            same = _number(record["current"]) == _number(other["currentBalance"])
            came = "another current balance than the CDR's"
            yield pass_rule(STARTER, where) if same else fail_rule(STARTER, where, came, sequence.first.request)


def _number(value: object) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None  # the judges of check_schema say so


def _owned(session: Session) -> Iterator[Result]:
    """Whether what hangs on the customer, and on no account, is shown to one customer."""
    owner: dict[bytes, CustomerRun] = {}
    for run in session.runs:
        for sequence, record in run.find_records("banking.payees"):
            first, where = owner.setdefault(encode_canonical(record), run), format_route(sequence.operation)
            one = first.customer_id == run.customer_id
            came = "a record that another customer has too, under the same id"
            yield pass_rule(ONE_OWNER, where) if one else fail_rule(ONE_OWNER, where, came, sequence.first.request)


def _shared(session: Session) -> Iterator[Result]:
    """Whether an account that several people have says the same to each of them."""
    seen: dict[tuple[str, str, str], tuple[CustomerRun, CallSequence]] = {}
    sequences = ((run, sequence) for run in session.runs for rows in run.sequences.values() for sequence in rows)
    for run, sequence in sequences:
        account = sequence.ids.get("accountId")
        if account is None or not sequence.is_complete or sequence.operation.reply.media != JSON:
            continue
        key = (sequence.operation.name, account, sequence.first.request.query)
        other, before = seen.setdefault(key, (run, sequence))
        if other is not run and sequence.ids.keys() == before.ids.keys() == {"customerId", "accountId"}:
            where, same = format_route(sequence.operation), _multiset([before]) == _multiset([sequence])
            yield (
                pass_rule(JOINT, where)
                if same
                else fail_rule(JOINT, where, _unlike(before, sequence), sequence.first.request)
            )


def _unlike(before: CallSequence, sequence: CallSequence) -> str:
    other = (_multiset([before]) - _multiset([sequence])).total()
    return (
        f"{len(sequence.records)} records for one owner and {len(before.records)} for another; {other} are not the same"
    )


def _details(run: CustomerRun, operation: Operation, sequences: list[CallSequence]) -> Iterator[Result]:
    known = _known(run, operation)
    for sequence in sequences:
        for record in sequence.records:
            yield _identified(sequence, record)
            key = collection_named(operation.collection).key or ""
            listed = known.get(str(record.get(key, sequence.ids.get(key))))
            if listed is not None:
                yield _compared(sequence, listed, record)


def _known(run: CustomerRun, operation: Operation) -> dict[str, dict[str, Any]]:
    """The records of the collection that lists have shown, by their key."""
    key = collection_named(operation.collection).key or ""
    lists = (pair for pair in run.find_records(operation.collection) if pair[0].operation.reply.many)
    return {str(record[key]): record for _, record in lists if key in record}


def _identified(sequence: CallSequence, record: dict[str, Any]) -> Result:
    name = list(sequence.ids)[-1] if sequence.ids else ""
    values = [record[member] for member in _ID.get(name, ()) if member in record]
    if values and sequence.ids[name] not in values:
        return fail_rule(
            SAME_PERSON, format_route(sequence.operation), "a record with another id", sequence.first.request
        )
    return pass_rule(SAME_PERSON, format_route(sequence.operation))


def _compared(sequence: CallSequence, listed: dict[str, Any], record: dict[str, Any]) -> Result:
    plain = (name for name, value in listed.items() if name in record and not isinstance(value, dict | list))
    other = [name for name in plain if listed[name] != record[name]]
    owed = {member.encode_name for member in msgspec.structs.fields(sequence.operation.record)}
    missing = [name for name in listed if name in owed and name not in record]
    if missing:
        came = f"without what the list has: {', '.join(missing)}"
        return fail_rule(DETAIL, format_route(sequence.operation), came, sequence.first.request)
    if other:
        came = f"another value than in the list: {', '.join(other)}"
        return fail_rule(DETAIL, format_route(sequence.operation), came, sequence.first.request)
    return pass_rule(DETAIL, format_route(sequence.operation))


def _sums(session: Session, run: CustomerRun, operation: Operation, sequence: CallSequence) -> Iterator[Result]:
    single = _single(session, operation)
    parts = (
        [part for part in run.sequences.get(single.name, ()) if part.ids["accountId"] in sequence.account_ids]
        if single
        else []
    )
    if not parts or not all(part.is_complete for part in parts):
        return
    whole, pieces = _multiset([sequence]), _multiset(parts)
    lost, more = (pieces - whole).total(), (whole - pieces).total()
    if lost or more:
        came = f"{more} records that no single account has, without {lost} that one has"
        yield fail_rule(SUM, format_route(operation), came, sequence.first.request)
    else:
        yield pass_rule(SUM, format_route(operation))


def _single(session: Session, operation: Operation) -> Operation | None:
    """The operation that gives the same records for one account."""
    same = (
        row
        for row in session.plan.operations
        if (row.collection, row.record, row.whose) == (operation.collection, operation.record, "account")
    )
    return next(same, None)


def _multiset(sequences: list[CallSequence]) -> Counter[bytes]:
    return Counter(encode_canonical(record) for sequence in sequences for record in sequence.records)


def encode_canonical(record: Any) -> bytes:
    """A record as bytes, the same for the same members in whichever order they came, and for 1.5 and 1.50."""
    return _ENCODER.encode(_by_value(record))


def _by_value(content: Any) -> Any:
    if isinstance(content, Decimal):
        return content.normalize()
    if isinstance(content, dict):
        return {name: _by_value(value) for name, value in content.items()}
    return list(map(_by_value, content)) if isinstance(content, list) else content
