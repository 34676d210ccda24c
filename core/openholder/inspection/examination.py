"""``openholder check --data``: whether the records that would leave are fit to leave, and whose they are."""

from __future__ import annotations

import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import click

from openholder.config import Configuration
from openholder.contract.operations import Operation
from openholder.errors import SourceFault
from openholder.inspection import survey
from openholder.server.generation import list_operations, make_sources
from openholder.serving.ids import id_pattern
from openholder.sources.registry import SourceRegistry

Verdict = Literal["ok", "advice", "not served", "failed", "configuration", "unreachable"]

SHOWN = 20
"""Faults of one collection that are told one by one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    detail: str


@dataclass(slots=True)
class Tally:
    """What was seen of one collection."""

    records: int = 0
    seconds: list[float] = field(default_factory=list)
    faults: dict[str, None] = field(default_factory=dict)

    def findings(self, collection: str, source: str) -> Iterator[Finding]:
        """One line that sums up, and one for each of the first faults."""
        median, longest = statistics.median(self.seconds) * 1000, max(self.seconds) * 1000
        summed = f"{self.records} records from source {source!r}; {median:.1f} ms a question, {longest:.1f} at most"
        yield Finding(f"data of {collection}", "failed" if self.faults else "ok", summed)
        for fault in list(self.faults)[:SHOWN]:
            yield Finding(f"data of {collection}", "failed", fault)
        if len(self.faults) > SHOWN:
            yield Finding(f"data of {collection}", "failed", f"and {len(self.faults) - SHOWN} more")


async def examined(configuration: Configuration, customers: Sequence[str], number: int) -> list[Finding]:
    """Look through the data of the given customers, or of the first ``number`` that there are."""
    operations = list_operations(configuration.settings)
    async with make_sources(configuration) as sources:
        try:
            chosen = list(customers) or await survey.customers(sources, number)
        except SourceFault as exc:
            return [
                Finding("data", "failed", f"no list of customers to choose from ({exc}): name some with --customer")
            ]
        pattern = id_pattern(configuration.settings.id_characters)
        tallies = await _tallies(sources, operations, chosen, pattern)
        return [finding for name in tallies for finding in tallies[name].findings(name, _source(sources, name))]


def _source(sources: SourceRegistry, collection: str) -> str:
    source = sources.source_of(collection)
    return source.name if source else ""


async def _tallies(
    sources: SourceRegistry, operations: Sequence[Operation], customers: Sequence[str], pattern: re.Pattern[str]
) -> dict[str, Tally]:
    tallies: defaultdict[str, Tally] = defaultdict(Tally)
    with click.progressbar(customers, label="customers", file=sys.stderr, hidden=not sys.stderr.isatty()) as shown:
        for customer in shown:
            async for holding in survey.holdings(sources, operations, customer):
                _count(tallies[holding.collection], holding, operations, pattern)
    for collection, tally in tallies.items():
        tally.faults |= {
            f"record {key!r} belongs to nobody who is there": None for key in await survey.orphans(sources, collection)
        }
    return dict(tallies)


def _count(tally: Tally, holding: survey.Holding, operations: Sequence[Operation], pattern: re.Pattern[str]) -> None:
    tally.records += len(holding.rows)
    tally.seconds.append(holding.seconds)
    if holding.fault:
        tally.faults[holding.fault] = None
    for fault in (*survey.surplus(holding, operations), *survey.unaskable(holding, operations, pattern)):
        tally.faults[fault] = None
    for key, _, misfit in survey.records_of(holding, operations):
        if misfit:
            tally.faults[f"record {key!r}: {misfit}"] = None
