"""``openholder check``: everything that can be known to be wrong before anybody is served."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from openholder.cli.columns import misspelt
from openholder.cli.development import development_keys
from openholder.cli.options import configuration_option, json_option, sample_options, table
from openholder.config import Configuration
from openholder.contract.collections import COLLECTIONS, collection_named
from openholder.contract.operation import BELOW_ACCOUNTS
from openholder.contract.operations import Operation
from openholder.contract.rows import to_record
from openholder.errors import OpenholderError, SourceError, SourceFault, Unreachable
from openholder.gate.fetching import make_fetch
from openholder.gate.keys import UnusableKeySet, parse_key_set
from openholder.inspection.examination import Finding, Verdict, examined
from openholder.query import Filter, Query, Row
from openholder.server.app import make_store
from openholder.server.generation import list_operations, make_sources
from openholder.server.logs import configure_for_command
from openholder.server.tls import make_context
from openholder.serving.access import build_owner_query, fetch_all, is_served
from openholder.serving.answers import has_needed
from openholder.settings import Settings
from openholder.sources.kinds import UnusableKind
from openholder.sources.registry import SourceRegistry, UnusableSource

EXIT_CODES: dict[Verdict, int] = {
    "ok": 0,
    "advice": 0,
    "not served": 0,
    "failed": 1,
    "configuration": 3,
    "unreachable": 4,
}

NOBODY = "openholder-check"
"""An id that no data holder has: asking for it shows that the question can be asked."""
A_FEW = 25


@click.command()
@configuration_option
@json_option
@click.option("--dev", is_flag=True, help="Serve development keys at the JWKS URL meanwhile (loopback only).")
@click.option("--data", is_flag=True, help="Look through the data of some customers, record by record.")
@sample_options
def check(path: Path | None, as_json: bool, dev: bool, data: bool, sample: int, customers: tuple[str, ...]) -> int:
    """Check configuration, keys, sources and collections without serving."""
    configuration = Configuration.load(path)
    configure_for_command(sys.stderr)
    findings = asyncio.run(_findings(configuration, dev))
    if data and not any(finding.verdict in ("configuration", "unreachable") for finding in findings):
        findings += asyncio.run(examined(configuration, customers, sample))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        click.echo(f"{configuration.path}: well-formed")
        click.echo(table([(finding.what, finding.verdict, finding.detail) for finding in findings]))
    return max(EXIT_CODES[finding.verdict] for finding in findings)


async def _findings(configuration: Configuration, dev: bool) -> list[Finding]:
    async with AsyncExitStack() as stack:
        if dev:
            await stack.enter_async_context(development_keys(configuration))
        return [
            await _keys(configuration.settings),
            await _store(configuration.settings),
            *_tls(configuration.settings),
            *[finding async for finding in _sources(configuration)],
        ]


async def _keys(settings: Settings) -> Finding:
    what = f"keys at {settings.fiskil.jwks_url}"
    try:
        table = parse_key_set((await make_fetch(settings.fiskil.jwks_url)()).body)
    except UnusableKeySet as exc:
        return Finding(what, "unreachable", str(exc))
    except Exception as exc:
        return Finding(what, "unreachable", f"not fetched: {type(exc).__name__}")
    return Finding(what, "ok", f"{len(table.kids)} usable, {table.skipped} not")


async def _store(settings: Settings) -> Finding:
    what = f"replay record ({settings.replay.store})"
    try:
        store = make_store(settings)
        await store.open()
        await store.close()
    except Exception as exc:
        return Finding(what, "unreachable", f"cannot be opened: {type(exc).__name__}")
    return Finding(what, "ok", "")


def _tls(settings: Settings) -> list[Finding]:
    if not settings.listen.tls_certificate or not settings.listen.tls_key:
        return []
    try:
        make_context(settings.listen.tls_certificate, settings.listen.tls_key)
    except OSError as exc:
        return [Finding("TLS certificate", "configuration", f"cannot be loaded: {type(exc).__name__}")]
    return [Finding("TLS certificate", "ok", "")]


async def _sources(configuration: Configuration) -> AsyncIterator[Finding]:
    try:
        async with make_sources(configuration) as sources:
            operations = list_operations(configuration.settings)
            for operation in operations:
                yield await _operation(sources, operation)
            for collection in dict.fromkeys(operation.collection for operation in operations):
                for finding in await _misspelt(sources, collection):
                    yield finding
            for finding in dict.fromkeys([one for operation in operations for one in await _slow(sources, operation)]):
                yield finding
    except (UnusableSource, UnusableKind) as exc:
        yield Finding("sources", "configuration", str(exc))
    except Unreachable as exc:
        yield Finding("sources", "unreachable", str(exc))


async def _operation(sources: SourceRegistry, operation: Operation) -> Finding:
    what = f"{operation.method} {operation.path}"
    source = sources.source_of(operation.collection)
    if not is_served(sources, operation) or source is None:
        return Finding(what, "not served", f"no source has {operation.collection!r}")
    try:
        await fetch_all(sources, _question(operation))
        fitting = await _fitting(sources, operation)
    except (SourceFault, SourceError) as exc:
        return Finding(what, "failed", f"source {source.name!r}, collection {operation.collection!r}: {exc}")
    except OpenholderError as exc:
        return Finding(what, "failed", type(exc).__name__)
    return Finding(what, "ok", f"source {source.name!r}" + (f", {fitting} records tried" if fitting else ""))


def _question(operation: Operation) -> Query:
    """What the operation asks its source, for somebody who does not exist."""
    if operation.whose == "search":
        condition = Filter("email", "ieq", NOBODY, variable="email")
        return Query(collection=operation.collection, filters=(condition,), variables={"email": NOBODY})
    named = re.findall(r"\{(\w+)\}", operation.path)
    ids = dict.fromkeys([*named, "accountId"] if operation.whose in BELOW_ACCOUNTS else named, NOBODY)
    return build_owner_query(operation.collection, ids)


async def _misspelt(sources: SourceRegistry, collection: str) -> list[Finding]:
    """Columns that look like one that is not there. Where that may be missing, nothing else would tell."""
    with suppress(OpenholderError):  # has been judged before
        wrong = misspelt(collection, await _few(sources, collection)) if collection in COLLECTIONS else ()
        told = [f"{name!r} is no member: is {meant!r} meant?" for name, meant in wrong]
        return [Finding(f"columns of {collection}", "advice", text) for text in told]
    return []


async def _slow(sources: SourceRegistry, operation: Operation) -> list[Finding]:
    """What the source says of the operation's question, where it can be asked."""
    source = sources.source_of(operation.collection)
    try:
        advice = await source.advice(_question(operation)) if source else []
    except Exception:  # the question itself has been judged before
        return []
    return [Finding("for faster answers", "advice", text) for text in advice]


async def _fitting(sources: SourceRegistry, operation: Operation) -> int:
    """Turn a few rows into records."""
    rows = await _few(sources, operation.collection)
    for row in filter(partial(has_needed, operation), rows):
        to_record(row, operation.record, collection_named(operation.collection).owners.values())
    return len(rows)


async def _few(sources: SourceRegistry, collection: str) -> Sequence[Row]:
    """The first rows. A source that hands over nothing unasked is let off."""
    try:
        return (await sources.fetch(Query(collection=collection, limit=A_FEW))).records
    except SourceFault:
        return []
