"""Inspect a configuration before it serves: keys, replay store, TLS certificate, sources, and a query per operation."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime
from functools import partial

from openholder.config import Configuration
from openholder.contract.collections import COLLECTIONS, find_collection
from openholder.contract.members import list_typed_members
from openholder.contract.open_members import OPENABLE, list_open_members
from openholder.contract.operation import BELOW_ACCOUNTS
from openholder.contract.operations import Operation
from openholder.contract.rows import to_record
from openholder.errors import OpenholderError, SourceError, SourceFault, Unreachable
from openholder.gate.fetching import FetchFailed, make_fetch
from openholder.gate.keys import UnusableKeySet, parse_key_set
from openholder.inspection.column_names import find_deletion_marks, find_misspelt, split_undeclared
from openholder.inspection.holdings import describe_fault
from openholder.inspection.steps import Step
from openholder.inspection.surroundings import inspect_surroundings
from openholder.inspection.unusable_ids import find_unusable_ids
from openholder.query import Filter, Query, Row
from openholder.server.app import make_store
from openholder.server.connections import find_exposures
from openholder.server.generation import list_operations, make_sources
from openholder.server.tls import UnusableCertificate, list_hosts, load_certificate
from openholder.serving.access import AUTHORITY, build_owner_query, fetch_all, is_served
from openholder.serving.answers import has_needed
from openholder.serving.closing import find_months
from openholder.serving.ids import compile_id_pattern
from openholder.settings import Settings
from openholder.sources.kinds import UnusableKind
from openholder.sources.registry import Source, SourceRegistry, UnusableSource

UNKNOWN_EMAIL = "openholder-check@example.com"
"""An address that nobody has (RFC 2606 section 3)."""
SAMPLE_ROWS = 25
"""Rows of each collection that are converted into records."""


async def inspect_configuration(configuration: Configuration, sectors: Collection[str] = ()) -> list[Step]:
    """Inspect everything that the configuration names; of the operations, those of ``sectors``, if any are given."""
    return [
        await _inspect_keys(configuration.settings),
        await _inspect_store(configuration.settings),
        _describe_failure_status(configuration.settings),
        *(Step("listeners", "warning", text) for text in find_exposures(configuration.settings.listen)),
        *_inspect_certificate(configuration.settings),
        *[step async for step in _inspect_sources(configuration, sectors)],
    ]


async def _inspect_keys(settings: Settings) -> Step:
    what = f"keys at {settings.fiskil.jwks_url}"
    try:
        table = parse_key_set((await make_fetch(settings.fiskil.jwks_url, settings.outbound.build())()).body)
    except (FetchFailed, UnusableKeySet) as exc:
        return Step(what, "unreachable", str(exc))
    except Exception as exc:
        return Step(what, "unreachable", f"fetch failed: {type(exc).__name__}")
    return Step(what, "ok", f"{len(table.kids)} usable, {len(table.unusable)} unusable{table.describe_obstacles()}")


def _describe_failure_status(settings: Settings) -> Step:
    """Say which status a failed authentication has: the documents disagree, and only Fiskil can tell."""
    status = settings.fiskil.authentication_failure_status
    text = "RFC 6750 and the CDS say 401, Fiskil's errors page 403: ask Fiskil, and set"
    return Step("failed authentication", "ok", f"is answered with {status}. {text} `authentication_failure_status`")


async def _inspect_store(settings: Settings) -> Step:
    what = f"replay store ({settings.replay.store})"
    try:
        store = make_store(settings)
        await store.open()
        await store.close()
    except Exception as exc:
        return Step(what, "unreachable", f"cannot be opened: {type(exc).__name__}")
    return Step(what, "ok", "")


def _inspect_certificate(settings: Settings) -> list[Step]:
    what = "TLS certificate"
    if not settings.listen.tls_certificate or not settings.listen.tls_key:
        return []
    try:
        certificate = load_certificate(settings.listen.tls_certificate, settings.listen.tls_key)
    except UnusableCertificate as exc:
        return [Step(what, "configuration", str(exc))]
    problems = certificate.find_problems(list_hosts(settings.public_url), datetime.now(UTC))
    steps = [Step(what, "failed" if level == logging.ERROR else "warning", text) for level, text in problems]
    return steps or [Step(what, "ok", f"valid until {certificate.not_after:%Y-%m-%d %H:%M} UTC")]


async def _inspect_sources(configuration: Configuration, sectors: Collection[str]) -> AsyncIterator[Step]:
    operations = [
        operation
        for operation in list_operations(configuration.settings)
        if not sectors or operation.sector in {"auth", *sectors}
    ]
    try:
        async with make_sources(configuration) as sources:
            for step in inspect_surroundings(configuration, sources, operations):
                yield step
            for operation in operations:
                yield await _inspect_operation(sources, operation)
            for collection in dict.fromkeys(operation.collection for operation in operations):
                open_members = list_open_members(configuration.settings.open_members, collection)
                for step in await _inspect_columns(sources, collection, open_members):
                    yield step
                for step in await _inspect_ids(sources, collection, operations, configuration.settings):
                    yield step
            for step in await _inspect_closings(sources, operations, configuration.settings):
                yield step
            # Operations share collections, and so does the advice on their queries: report each only once.
            advice = [text for operation in operations for text in await _ask_for_advice(sources, operation)]
            for text in dict.fromkeys(advice):
                yield Step("for faster responses", "advice", text, fault="source-advice")
    except (UnusableSource, UnusableKind) as exc:
        yield Step("sources", "configuration", str(exc))
    except Unreachable as exc:
        yield Step("sources", "unreachable", str(exc), fault="sources-unreachable")


async def _inspect_operation(sources: SourceRegistry, operation: Operation) -> Step:
    """Run the operation's query for an unknown customer, then convert a few rows into its records."""
    what = f"{operation.method} {operation.path}"
    source = sources.find_source(operation.collection)
    if not is_served(sources, operation) or source is None:
        return Step(what, "not served", f"no source has {operation.collection!r}", operation.collection)
    try:
        found = await fetch_all(sources, _make_query(operation, source))
        if found:
            text = f"source {source.name!r} has {len(found)} records of an id that nobody has (probe_id)"
            return Step(what, "failed", text, operation.collection, "ignores-ids")
        rows = await _fetch_sample(sources, operation.collection)
        for row in filter(partial(has_needed, operation), rows or ()):
            to_record(row, operation.record, find_collection(operation.collection).owners.values())
    except (SourceFault, SourceError) as exc:
        text = (
            f"source {source.name!r}, collection {operation.collection!r}: {describe_fault(exc, operation.collection)}"
        )
        return Step(what, "failed", text, operation.collection)
    except OpenholderError as exc:
        return Step(what, "failed", type(exc).__name__, operation.collection)
    if rows is None:
        return Step(what, "ok", f"source {source.name!r}, query only: it cannot list records of every owner")
    if not rows:
        return Step(what, "empty", f"source {source.name!r}, no records to check")
    return Step(what, "ok", f"source {source.name!r}, {len(rows)} records checked")


def _make_query(operation: Operation, source: Source) -> Query:
    """Make the query that the operation sends to its source, for a customer that does not exist.

    It shows that the query works, and returns nobody's data.
    """
    if operation.whose == "search":
        condition = Filter("email", "ieq", UNKNOWN_EMAIL, variable="email")
        return Query(collection=operation.collection, filters=(condition,), variables={"email": UNKNOWN_EMAIL})
    names = re.findall(r"\{(\w+)\}", operation.path)
    if operation.whose in BELOW_ACCOUNTS:
        names.append("accountId")
    return build_owner_query(operation.collection, dict.fromkeys(names, source.settings.probe_id))


async def _inspect_columns(sources: SourceRegistry, collection: str, open_members: frozenset[str]) -> list[Step]:
    """Find columns that look like a misspelt member. An optional member would be missing without any other sign.

    Find empty text where it cannot mean anything, unless the source reads it as NULL.
    Of collections that may have further members, name those that leave, and the columns that do not.
    """
    if collection not in COLLECTIONS:
        return []
    try:
        rows = await _fetch_sample(sources, collection)
    except OpenholderError:  # already reported for the operation
        return []
    what = f"columns of {collection}"
    misspelt = dict(find_misspelt(collection, rows or ()))
    steps = [
        Step(
            what,
            "advice",
            f"unknown column {column!r}; did you mean {meant!r}?{_propose_setting(column, meant)}",
            collection,
            "misspelt-column",
            column,
        )
        for column, meant in misspelt.items()
    ]
    marks = find_deletion_marks(collection, rows or ())
    if marks:
        text = "named like a mark of deleted rows, which are served like all others; leave them out, as by a view"
        steps.append(Step(what, "advice", f"{', '.join(map(repr, marks))}: {text}", collection, "deletion-mark"))
    source = sources.find_source(collection)
    if source and getattr(source.settings, "empty_is_absent", None) is False:
        typed = list_typed_members(collection)
        blank = dict.fromkeys(name for row in rows or () for name in row if row[name] == "" and name in typed)
        if blank:
            text = f"empty text instead of NULL; write NULL, or set `empty_is_absent = true` in [sources.{source.name}]"
            steps.append(Step(what, "advice", f"{', '.join(map(repr, blank))}: {text}", collection, "empty-text"))
    if collection in OPENABLE:
        leaving, staying = split_undeclared(collection, rows or (), open_members)
        named = leaving if rows else sorted(open_members)
        if named:
            text = "returned although openholder does not know them as FDX, because `open_members` lists them"
            steps.append(Step(what, "advice", f"{', '.join(map(repr, named))}: {text}", collection, "open-members"))
        dropped = [column for column in staying if column not in misspelt]
        if dropped:
            text = f'not returned; to return one, list it: open_members = ["{collection}.{dropped[0]}"]'
            steps.append(
                Step(what, "advice", f"{', '.join(map(repr, dropped))}: {text}", collection, "dropped-columns")
            )
    return steps


async def _inspect_ids(
    sources: SourceRegistry, collection: str, operations: Sequence[Operation], settings: Settings
) -> list[Step]:
    """Find ids that no request can have: the records are there, but requests for them get 404."""
    try:
        rows = await _fetch_sample(sources, collection)
    except OpenholderError:  # already reported for the operation
        return []
    mistakes = find_unusable_ids(collection, rows or (), operations, compile_id_pattern(settings.id_characters))
    return [Step(f"ids of {collection}", "failed", mistake, collection) for mistake in mistakes]


async def _inspect_closings(sources: SourceRegistry, operations: Sequence[Operation], settings: Settings) -> list[Step]:
    """Find out whether accounts have the day of closing that a rule about closed accounts needs."""
    periods = settings.closed_accounts.periods
    served = [operation for operation in operations if is_served(sources, operation)]
    if all(find_months(sources, periods, operation) is None for operation in served):
        return []
    try:
        rows = await _fetch_sample(sources, AUTHORITY) if sources.find_source(AUTHORITY) else None
    except OpenholderError:  # already reported for the operation
        return []
    if not rows or any("closingDate" in row for row in rows):
        return []
    text = (
        f"none of the first {len(rows)} accounts has a column `closingDate`, the day of closing that [closed_accounts]"
        " needs: requests for closed accounts, and lists with them, get 500"
    )
    return [Step("closed accounts", "warning", text, AUTHORITY, "no-closing-column", "closingDate")]


def _propose_setting(column: str, member: str) -> str:
    """Propose the setting for a column that is certainly meant: it differs in the case of letters alone."""
    if column.lower() != member.lower():
        return ""
    return f' Set `"{member}" = "{column}"` in the `columns` of the collection'


async def _ask_for_advice(sources: SourceRegistry, operation: Operation) -> list[str]:
    source = sources.find_source(operation.collection)
    try:
        query = _make_query(operation, source) if source else None
        if query and operation.reply.paging:
            query = query.cut(0, SAMPLE_ROWS)
        return list(await source.fetch_advice(query)) if source and query else []
    except Exception:  # a failing query is already reported for the operation
        return []


async def _fetch_sample(sources: SourceRegistry, collection: str) -> Sequence[Row] | None:
    """Fetch the first rows. Return None if the source lists no records without an owner, which it need not."""
    try:
        return (await sources.fetch(Query(collection=collection, limit=SAMPLE_ROWS))).records
    except SourceFault as exc:
        if exc.record:
            raise
        return None
