"""Looking through the data itself, customer by customer, as requests would: for ``check --data`` and ``diff``.

Messages name collections, ids, members and types of values, never values.
"""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from openholder.contract.collections import collection_named
from openholder.contract.formats import Record
from openholder.contract.operations import Operation
from openholder.contract.rows import Misfit, to_record
from openholder.errors import OpenholderError
from openholder.query import Filter, Query, Row
from openholder.serving.access import build_owner_query, fetch_account_rows, is_served, read_link
from openholder.serving.answers import has_needed
from openholder.sources.registry import SourceRegistry

AT_ONCE = 1000
"""Records that are asked for at a time."""


@dataclass(slots=True)
class Holding:
    """What one collection has of one customer or account."""

    collection: str
    ids: Mapping[str, str]
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    fault: str = ""
    """Why there are no rows, where the source failed."""


async def customers(sources: SourceRegistry, number: int) -> list[str]:
    """The ids of the first customers. Raises `SourceFault` where the source hands over nothing unasked."""
    rows = (await sources.fetch(Query(collection="customers", limit=number))).records
    return [str(row["id"]) for row in rows]


async def holdings(
    sources: SourceRegistry, operations: Sequence[Operation], customer_id: str
) -> AsyncIterator[Holding]:
    """All that the served collections have of one customer, and of each of the accounts that may be shared."""
    accounts, faults = await _accounts(sources, customer_id)
    for fault in faults:
        yield Holding("accounts", {"customerId": customer_id}, fault=fault)
    served = dict.fromkeys(operation.collection for operation in operations if is_served(sources, operation))
    for collection in served:
        owned = collection_named(collection)
        owners: list[dict[str, str]] = [{"customerId": customer_id}] if owned.customer else []
        if owned.account and not owned.customer:
            owners = [{"customerId": customer_id, "accountId": account} for account in accounts]
        for ids in owners:
            yield await _holding(sources, collection, ids)


async def _accounts(sources: SourceRegistry, customer_id: str) -> tuple[list[str], list[str]]:
    """The accounts that may be shared, and why of others nobody knows."""
    accounts, faults = [], []
    try:
        rows = await fetch_account_rows(sources, customer_id) if sources.source_of("accounts") else []
    except OpenholderError as exc:
        return [], [str(exc)]
    for row in rows:
        try:
            link = read_link(row)
            if link.may_be_shared:
                accounts.append(link.id)
        except OpenholderError as exc:
            faults.append(f"record {key_of('accounts', row)!r}: {exc}")
    return accounts, faults


async def _holding(sources: SourceRegistry, collection: str, ids: Mapping[str, str]) -> Holding:
    holding = Holding(collection, ids)
    query = build_owner_query(collection, ids)
    started = time.perf_counter()
    try:
        while True:
            page = await sources.fetch(replace(query, offset=len(holding.rows), limit=AT_ONCE))
            holding.rows += page.records
            if not page.records or len(holding.rows) >= page.total:
                break
    except OpenholderError as exc:
        holding.fault = str(exc)
    holding.seconds = time.perf_counter() - started
    return holding


def key_of(collection: str, row: Row) -> str:
    """The id of a record, where its collection has one."""
    key = collection_named(collection).key
    return str(row.get(key, "?")) if key else "?"


def surplus(holding: Holding, operations: Sequence[Operation]) -> Iterator[str]:
    """Records that stand in each other's way: two of one id, or several where one is asked for."""
    keys = Counter(key_of(holding.collection, row) for row in holding.rows)
    yield from (f"record {key!r} is there {times} times" for key, times in keys.items() if times > 1 and key != "?")
    owner = list(holding.ids)[-1]
    single = (row for row in operations if row.collection == holding.collection and not row.reply.many)
    if len(holding.rows) > 1 and any(row.path.rpartition("{")[2].startswith(f"{owner}}}") for row in single):
        yield f"{len(holding.rows)} records for one {owner}, where one is asked for"


def unaskable(holding: Holding, operations: Sequence[Operation], pattern: re.Pattern[str]) -> Iterator[str]:
    """Records whose ids no request can name, because of characters that ids do not have."""
    owned = collection_named(holding.collection)
    named = {name for row in operations for name in re.findall(r"{(\w+)}", row.path)} | {"id"}
    columns = {*owned.owners.values(), *({owned.key} & named if owned.key else ())}
    for row in holding.rows:
        if any(row.get(column) is not None and not pattern.fullmatch(str(row[column])) for column in columns):
            key = key_of(holding.collection, row)
            yield f"record {key!r}: an id has characters that `id_characters` does not name, so it is 404"


def records_of(holding: Holding, operations: Sequence[Operation]) -> Iterator[tuple[str, Any, Misfit | None]]:
    """Each row as each of the records that operations make of it: id, what would leave, and why it would not."""
    kinds: dict[type[Record], Operation] = {
        row.record: row for row in operations if row.collection == holding.collection
    }
    hidden = collection_named(holding.collection).hidden
    for row in holding.rows:
        for record, operation in kinds.items():
            if has_needed(operation, row):
                yield key_of(holding.collection, row), *_made(row, record, hidden)


def _made(row: Row, record: type[Record], hidden: Collection[str]) -> tuple[Any, Misfit | None]:
    try:
        return msgspec.to_builtins(to_record(row, record, hidden), builtin_types=(bytes,), str_keys=True), None
    except Misfit as exc:
        return None, exc


async def orphans(sources: SourceRegistry, collection: str) -> list[str]:
    """Records, among the first ones, whose customer or account does not exist. Empty where a source cannot tell."""
    owned = collection_named(collection)
    if collection in ("customers", "logins") or not (owned.customer or owned.account):
        return []
    authority, member = ("customers", owned.customer) if owned.customer else ("accounts", owned.account)
    if not sources.source_of(authority) or member is None:
        return []
    try:
        rows = (await sources.fetch(Query(collection=collection, limit=AT_ONCE))).records
        owners = {str(row[member]) for row in rows if row.get(member) is not None}
        known = await _known(sources, authority, owners)
    except OpenholderError:
        return []
    return [key_of(collection, row) for row in rows if str(row.get(member)) not in known]


async def _known(sources: SourceRegistry, collection: str, ids: Collection[str]) -> set[str]:
    if not ids:
        return set()
    condition = Filter("id", "in", tuple(sorted(ids)))
    return {str(row["id"]) for row in (await sources.fetch(Query(collection=collection, filters=(condition,)))).records}


def differences(old: Sequence[tuple[str, Any]], new: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """What differs between two lists of records with their ids: the id, and in which way."""
    before, after = _by_key(old), _by_key(new)
    for key in dict.fromkeys([*before, *after]):
        difference = _difference(before.get(key, []), after.get(key, []))
        if difference:
            yield key, difference
    if before.keys() == after.keys() and [key for key, _ in old] != [key for key, _ in new]:
        yield "*", "in another order"


def _difference(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> str:
    if not old or not new:
        return "is gone" if old else "is new"
    if len(old) != len(new):
        return "is there more or less often"
    pairs = list(zip(old, new, strict=True))
    members = {name for one, other in pairs for name in {**one, **other} if one.get(name) != other.get(name)}
    return f"differs in {', '.join(sorted(members))}" if members else ""


def _by_key(records: Sequence[tuple[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for key, record in records:
        found[key].append(record)
    return dict(found)
