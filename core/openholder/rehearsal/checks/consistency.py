"""Whether responses agree: lists with details, bulk responses with those for single accounts, ids with paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from openholder.contract.collections import find_collection
from openholder.contract.operation import JSON, Operation
from openholder.rehearsal.exchange import CallSequence
from openholder.rehearsal.results import Result, Rule, fail_rule, judge_rule, pass_rule
from openholder.rehearsal.session import CustomerRun, Session

LIST_AND_DETAIL = Rule(
    name="list-and-detail-agree",
    severity="error",
    expected="A record has the same values in a list and when requested by its id.",
    why="The customer sees two different balances, names or amounts for the same thing.",
    reference="Consumer Data Standards, data quality (Privacy Safeguard 11): accurate, up to date and complete",
    how_to_fix="Read both responses from the same rows.",
    example="GET …/accounts/{accountId}/balance: values differ from the list: availableBalance",
)
BULK_MATCHES_SINGLE = Rule(
    name="bulk-matches-single",
    severity="error",
    expected="A bulk request returns exactly the records that requests for each single account return.",
    why="The data that a recipient receives depends on how it asks.",
    reference="Fiskil: a recipient's bulk request arrives as a POST on the consented accounts",
    how_to_fix="Read both responses from the same rows, with the same default filters.",
    example="POST …/accounts/balances: 3 records that no single account has, 3 missing",
)
JOINT_ACCOUNT = Rule(
    name="joint-account-agrees",
    severity="error",
    expected="Both owners of a joint account receive the same data.",
    why="One of the owners sees wrong data.",
    reference="Fiskil, joint and organisation accounts: one account, under one id",
    how_to_fix="Once an account is known to be the customer's, select its records by the account alone.",
    example="GET …/accounts/{accountId}/transactions: 95 records for one owner and 95 for another; 95 of them differ",
)
ID_MATCHES_PATH = Rule(
    name="id-matches-path",
    severity="critical",
    expected="A record requested by its id has that id.",
    why="The record may be another customer's.",
    reference="Fiskil, reference pages: ids are permanent and identify one record",
    how_to_fix="Select by the id in the path, with an exact comparison.",
    example="GET …/accounts/{accountId}: a record with another id",
)
PAYEE_OWNER = Rule(
    name="payee-has-one-owner",
    severity="critical",
    expected="A payee belongs to one customer only.",
    why="A stranger learns whom the customer pays.",
    reference="Fiskil, reference pages: ids are permanent and identify one record; OWASP API Security 2023, API1",
    how_to_fix="Select payees by the customer in the path.",
    example="GET …/payees: a record, under the same id, that another customer has too",
)
STARTER_BALANCE = Rule(
    name="starter-balance-agrees",
    severity="error",
    expected="The starter endpoint returns the same current balance as the CDR operation.",
    why="The customer sees two different balances for one account.",
    reference="Fiskil, resource server guide: balances; Consumer Data Standards, banking balance",
    how_to_fix="Read both responses from the same rows.",
    example="GET …/balances: another current balance than the CDR operation",
)
RECENT = timedelta(minutes=15)
"""The duration of a rehearsal, and a difference of the clocks."""
NOW = "(a time of the last minutes)"
_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")
_ID_MEMBERS = {
    "customerId": ("id", "customerId"),
    "accountId": ("accountId", "account_id"),
    "transactionId": ("transactionId",),
    "payeeId": ("payeeId",),
}
"""The members that may contain the id in the path, by the name of the path parameter."""


def check_consistency(session: Session) -> Iterator[Result]:
    """Compare the responses that each customer received with each other, and with those of other customers."""
    for run in session.runs:
        for operation in session.plan.operations:
            sequences = [sequence for sequence in run.sequences.get(operation.name, ()) if sequence.is_complete]
            if sequences and not operation.reply.many:
                yield from check_details(run, operation, sequences)
            if sequences and operation.whose == "specific":
                yield from _check_bulk(session, run, operation, sequences[0])
        yield from _check_starter_balances(run)
    yield from _check_joint_accounts(session)
    yield from _check_payees(session)


def check_details(run: CustomerRun, operation: Operation, sequences: list[CallSequence]) -> Iterator[Result]:
    """Check the ids of single records, and compare them with the records of the lists."""
    key = find_collection(operation.collection).key or ""
    listed = {
        str(record[key]): record
        for sequence, record in run.find_records(operation.collection)
        if sequence.operation.reply.many and key in record
    }
    for sequence in sequences:
        for record in sequence.records:
            yield _check_id(sequence, record)
            in_list = listed.get(str(record.get(key, sequence.ids.get(key))))
            if in_list is not None:
                yield _compare_with_list(sequence, in_list, record)


def _check_id(sequence: CallSequence, record: dict[str, Any]) -> Result:
    name = list(sequence.ids)[-1] if sequence.ids else ""
    values = [record[member] for member in _ID_MEMBERS.get(name, ()) if member in record]
    is_same = not values or sequence.ids[name] in values
    return judge_rule(ID_MATCHES_PATH, sequence.route, is_same, "a record with another id", sequence.first.request)


def _compare_with_list(sequence: CallSequence, in_list: dict[str, Any], record: dict[str, Any]) -> Result:
    allowed = {member.encode_name for member in msgspec.structs.fields(sequence.operation.record)}
    # A search returns what the login needs, the details what the holder offers: neither contains the other.
    is_login = sequence.operation.collection == "customers"
    missing = [name for name in in_list if name in allowed and name not in record and not is_login]
    # Lists may contain shorter objects than details, so only plain values are compared.
    plain = [name for name, value in in_list.items() if name in record and not isinstance(value, dict | list)]
    different = [name for name in plain if encode_canonical(in_list[name]) != encode_canonical(record[name])]
    if missing:
        observed = f"members of the list are missing: {', '.join(missing)}"
    else:
        observed = f"values differ from the list: {', '.join(different)}"
    return judge_rule(LIST_AND_DETAIL, sequence.route, not missing and not different, observed, sequence.first.request)


def _check_bulk(session: Session, run: CustomerRun, operation: Operation, sequence: CallSequence) -> Iterator[Result]:
    """Compare a bulk response with those of the operation that returns the same records for one account."""
    single = next(
        (
            other
            for other in session.plan.operations
            if (other.collection, other.record, other.whose) == (operation.collection, operation.record, "account")
        ),
        None,
    )
    if single is None:
        return
    parts = [part for part in run.sequences.get(single.name, ()) if part.ids["accountId"] in sequence.account_ids]
    if not parts or not sequence.is_whole or not all(part.is_whole for part in parts):
        return
    # A detailed answer may have more members than one that lists many records, also within its objects.
    listed = {place for record in sequence.records for place in _list_places(record)}
    bulk, singles = _count_records([sequence]), _count_records(parts, listed)
    extra, missing = (bulk - singles).total(), (singles - bulk).total()
    observed = f"{extra} records that no single account has, {missing} missing"
    yield judge_rule(BULK_MATCHES_SINGLE, sequence.route, bulk == singles, observed, sequence.first.request)


def _check_starter_balances(run: CustomerRun) -> Iterator[Result]:
    """Compare the starter's balances with those of the CDR; the sign of FDX loan balances is not defined."""
    balances = {record.get("accountId"): record for _, record in run.find_records("banking.balances")}
    for sequence, record in run.find_records("balances"):
        balance = balances.get(sequence.ids.get("accountId"), {})
        if "current" in record and "currentBalance" in balance:
            is_same = _to_decimal(record["current"]) == _to_decimal(balance["currentBalance"])
            observed = "another current balance than the CDR operation"
            yield judge_rule(STARTER_BALANCE, sequence.route, is_same, observed, sequence.first.request)


def _to_decimal(value: object) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None  # reported by the schema checks


def _check_joint_accounts(session: Session) -> Iterator[Result]:
    """Compare the responses that two customers received for the same account."""
    seen: dict[tuple[str, str, str], tuple[CustomerRun, CallSequence]] = {}
    for run in session.runs:
        for sequence in (each for sequences in run.sequences.values() for each in sequences):
            account = sequence.ids.get("accountId")
            if account is None or not sequence.is_complete or sequence.operation.reply.media != JSON:
                continue
            key = (sequence.operation.name, account, sequence.first.request.query)
            other, before = seen.setdefault(key, (run, sequence))
            if other is not run and sequence.ids.keys() == before.ids.keys() == {"customerId", "accountId"}:
                different = _count_records([before]) - _count_records([sequence])
                observed = (
                    f"{len(sequence.records)} records for one owner and {len(before.records)} for another;"
                    f" {different.total()} of them differ"
                )
                is_same = _count_records([before]) == _count_records([sequence])
                yield judge_rule(JOINT_ACCOUNT, sequence.route, is_same, observed, sequence.first.request)


def _check_payees(session: Session) -> Iterator[Result]:
    """Check that no two customers have the same payee: payees belong to a customer, not to an account."""
    owners: dict[bytes, CustomerRun] = {}
    for run in session.runs:
        for sequence, record in run.find_records("banking.payees"):
            owner = owners.setdefault(encode_canonical(record), run)
            if owner.customer_id == run.customer_id:
                yield pass_rule(PAYEE_OWNER, sequence.route)
            else:
                observed = "a record, under the same id, that another customer has too"
                yield fail_rule(PAYEE_OWNER, sequence.route, observed, sequence.first.request)


def _count_records(sequences: list[CallSequence], places: Container[str] | None = None) -> Counter[bytes]:
    """Count the different records; only their members at these places, if any are named."""
    records = (record for sequence in sequences for record in sequence.records)
    if places is not None:
        records = (_keep_places(record, places) for record in records)
    return Counter(map(encode_canonical, records))


def _list_places(content: Any, place: str = "") -> Iterator[str]:
    """Yield the place of each member, such as ``/plans/nickname``: the entries of a list have the same one."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield f"{place}/{name}"
            yield from _list_places(value, f"{place}/{name}")
    elif isinstance(content, list):
        for value in content:
            yield from _list_places(value, place)


def _keep_places(content: Any, kept: Container[str], place: str = "") -> Any:
    """Return the content without the members at other places."""
    if isinstance(content, dict):
        places = {name: f"{place}/{name}" for name in content}
        return {
            name: _keep_places(value, kept, places[name]) for name, value in content.items() if places[name] in kept
        }
    return [_keep_places(value, kept, place) for value in content] if isinstance(content, list) else content


def encode_canonical(record: Any) -> bytes:
    """Encode a record as bytes that depend on its meaning.

    Neither the order of members counts, nor trailing zeros (1.5 and 1.50), nor times of the last minutes: a member may
    have the time at which the record was read.
    """
    return _ENCODER.encode(_normalize(record))


def is_recent(text: str) -> bool:
    """Return whether a text is a time of the last or next minutes, as that of a reading is."""
    if text[10:11] != "T" or not text[:4].isdigit():
        return False
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return False
    return moment.tzinfo is not None and abs(datetime.now(UTC) - moment) < RECENT


def _normalize(content: Any) -> Any:
    if isinstance(content, Decimal):
        return content.normalize()
    if isinstance(content, str):
        return NOW if is_recent(content) else content
    if isinstance(content, dict):
        return {name: _normalize(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_normalize(value) for value in content]
    return content
