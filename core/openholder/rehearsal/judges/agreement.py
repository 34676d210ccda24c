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
from openholder.rehearsal.exchange import Leg, route
from openholder.rehearsal.findings import Outcome, Rule, found, passed
from openholder.rehearsal.scene import Scene, Visit

DETAIL = Rule(
    "list-and-detail-agree", "error",
    expected="A record says the same in a list and by itself.",
    why="The customer sees two balances, names or amounts for one thing.",
    written="Consumer Data Standards, data quality (Privacy Safeguard 11): accurate, up to date and complete",
    mend="Answer both from the same rows.",
)  # fmt: skip
SUM = Rule(
    "chosen-is-the-sum", "error",
    expected="The list for chosen accounts has the records that the accounts have one by one: none more, none less.",
    why="What the recipient gets depends on how it asks.",
    written="Fiskil: a recipient's bulk request arrives as a POST on the consented accounts",
    mend="Answer both from the same rows, with the same defaults for filters.",
)  # fmt: skip
JOINT = Rule(
    "joint-account-agrees", "error",
    expected="An account that two customers share answers both of them with the same.",
    why="One of the owners sees what is not so.",
    written="Fiskil, joint and organisation accounts: one account, under one id",
    mend="Read the account's records by the account alone, once it is known to be the customer's.",
)  # fmt: skip
SAME_PERSON = Rule(
    "ids-agree", "critical",
    expected="A record asked for by its id has that id.",
    why="It is somebody else's record.",
    written="Fiskil, reference pages: ids are permanent and mean one record",
    mend="Select by the id of the path, compared letter by letter.",
)  # fmt: skip

ONE_OWNER = Rule(
    "one-owner", "critical",
    expected="A payee of one customer is no other's.",
    why="Whom somebody pays is shown to somebody else.",
    written="Fiskil, reference pages: ids are permanent and mean one record; OWASP API Security 2023, API1",
    mend="Select payees by the customer of the path.",
)  # fmt: skip
STARTER = Rule(
    "starter-agrees", "error",
    expected="The current balance for Fiskil's starter is the one that the CDR's own operation has.",
    why="The customer sees two balances for one account.",
    written="Fiskil, resource server guide: balances; Consumer Data Standards, banking balance",
    mend="Answer both from the same rows.",
)  # fmt: skip
_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")
_ID = {
    "customerId": ("id", "customerId"),
    "accountId": ("accountId", "account_id"),
    "transactionId": ("transactionId",),
    "payeeId": ("payeeId",),
}
"""In which members a record has the id of the path."""


def agreed(scene: Scene) -> Iterator[Outcome]:
    """The outcomes for everybody who was visited."""
    for visit in scene.visits:
        for operation in scene.plan.operations:
            legs = [leg for leg in visit.legs.get(operation.name, ()) if leg.whole]
            if legs and not operation.reply.many:
                yield from _details(visit, operation, legs)
            if legs and operation.whose == "specific":
                yield from _sums(scene, visit, operation, legs[0])
        yield from _starters(visit)
    yield from _shared(scene)
    yield from _owned(scene)


def _starters(visit: Visit) -> Iterator[Outcome]:
    """The starter's balances against those of the CDR, account by account. Of loans the FDX has no sign."""
    known = {row.get("accountId"): row for _, row in visit.records("banking.balances")}
    for leg, record in visit.records("balances"):
        where, other = route(leg.operation), known.get(leg.ids.get("accountId"), {})
        if "current" in record and "currentBalance" in other:
            same = _number(record["current"]) == _number(other["currentBalance"])
            came = "another current balance than the CDR's"
            yield passed(STARTER, where) if same else found(STARTER, where, came, leg.first.request)


def _number(value: object) -> Decimal | None:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        return None  # the judges of shapes say so


def _owned(scene: Scene) -> Iterator[Outcome]:
    """Whether what hangs on the customer, and on no account, is shown to one customer."""
    owner: dict[bytes, Visit] = {}
    for visit in scene.visits:
        for leg, record in visit.records("banking.payees"):
            first, where = owner.setdefault(canonical(record), visit), route(leg.operation)
            one = first.customer_id == visit.customer_id
            came = "a record that another customer has too, under the same id"
            yield passed(ONE_OWNER, where) if one else found(ONE_OWNER, where, came, leg.first.request)


def _shared(scene: Scene) -> Iterator[Outcome]:
    """Whether an account that several people have says the same to each of them."""
    seen: dict[tuple[str, str, str], tuple[Visit, Leg]] = {}
    legs = ((visit, leg) for visit in scene.visits for rows in visit.legs.values() for leg in rows)
    for visit, leg in legs:
        account = leg.ids.get("accountId")
        if account is None or not leg.whole or leg.operation.reply.media != JSON:
            continue
        key = (leg.operation.name, account, leg.first.request.query)
        other, before = seen.setdefault(key, (visit, leg))
        if other is not visit and leg.ids.keys() == before.ids.keys() == {"customerId", "accountId"}:
            where, same = route(leg.operation), _multiset([before]) == _multiset([leg])
            yield passed(JOINT, where) if same else found(JOINT, where, _unlike(before, leg), leg.first.request)


def _unlike(before: Leg, leg: Leg) -> str:
    other = (_multiset([before]) - _multiset([leg])).total()
    return f"{len(leg.records)} records for one owner and {len(before.records)} for another; {other} are not the same"


def _details(visit: Visit, operation: Operation, legs: list[Leg]) -> Iterator[Outcome]:
    known = _known(visit, operation)
    for leg in legs:
        for record in leg.records:
            yield _identified(leg, record)
            key = collection_named(operation.collection).key or ""
            listed = known.get(str(record.get(key, leg.ids.get(key))))
            if listed is not None:
                yield _compared(leg, listed, record)


def _known(visit: Visit, operation: Operation) -> dict[str, dict[str, Any]]:
    """The records of the collection that lists have shown, by their key."""
    key = collection_named(operation.collection).key or ""
    lists = (pair for pair in visit.records(operation.collection) if pair[0].operation.reply.many)
    return {str(record[key]): record for _, record in lists if key in record}


def _identified(leg: Leg, record: dict[str, Any]) -> Outcome:
    name = list(leg.ids)[-1] if leg.ids else ""
    values = [record[member] for member in _ID.get(name, ()) if member in record]
    if values and leg.ids[name] not in values:
        return found(SAME_PERSON, route(leg.operation), "a record with another id", leg.first.request)
    return passed(SAME_PERSON, route(leg.operation))


def _compared(leg: Leg, listed: dict[str, Any], record: dict[str, Any]) -> Outcome:
    plain = (name for name, value in listed.items() if name in record and not isinstance(value, dict | list))
    other = [name for name in plain if listed[name] != record[name]]
    owed = {member.encode_name for member in msgspec.structs.fields(leg.operation.record)}
    missing = [name for name in listed if name in owed and name not in record]
    if missing:
        came = f"without what the list has: {', '.join(missing)}"
        return found(DETAIL, route(leg.operation), came, leg.first.request)
    if other:
        came = f"another value than in the list: {', '.join(other)}"
        return found(DETAIL, route(leg.operation), came, leg.first.request)
    return passed(DETAIL, route(leg.operation))


def _sums(scene: Scene, visit: Visit, operation: Operation, leg: Leg) -> Iterator[Outcome]:
    single = _single(scene, operation)
    parts = [part for part in visit.legs.get(single.name, ()) if part.ids["accountId"] in leg.asked] if single else []
    if not parts or not all(part.whole for part in parts):
        return
    whole, pieces = _multiset([leg]), _multiset(parts)
    lost, more = (pieces - whole).total(), (whole - pieces).total()
    if lost or more:
        came = f"{more} records that no single account has, without {lost} that one has"
        yield found(SUM, route(operation), came, leg.first.request)
    else:
        yield passed(SUM, route(operation))


def _single(scene: Scene, operation: Operation) -> Operation | None:
    """The operation that gives the same records for one account."""
    same = (
        row
        for row in scene.plan.operations
        if (row.collection, row.record, row.whose) == (operation.collection, operation.record, "account")
    )
    return next(same, None)


def _multiset(legs: list[Leg]) -> Counter[bytes]:
    return Counter(canonical(record) for leg in legs for record in leg.records)


def canonical(record: Any) -> bytes:
    """A record as bytes, the same for the same members in whichever order they came, and for 1.5 and 1.50."""
    return _ENCODER.encode(_by_value(record))


def _by_value(content: Any) -> Any:
    if isinstance(content, Decimal):
        return content.normalize()
    if isinstance(content, dict):
        return {name: _by_value(value) for name, value in content.items()}
    return list(map(_by_value, content)) if isinstance(content, list) else content
