"""Render an inspection of data: the same findings as text and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from openholder.inspection.findings import SEVERITIES, Finding
from openholder.inspection.survey import Inspection

WIDTH = 110
SHOWN_IDS = 3
_LONGEST_ID = 60
"""Characters of an id that the text shows; JSON has all of it."""


def render_json(inspection: Inspection, others: Sequence[Finding] = ()) -> dict[str, Any]:
    """Return the JSON object. ``others`` are findings about the configuration, which stand in front."""
    looked_at = inspection.looked_at
    return {
        "looked_at": {"customers": looked_at.customers, "collections": dict(looked_at.collections)},
        "findings": [finding.to_json() for finding in sort_findings([*others, *inspection.findings])],
    }


def sort_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Sort findings by severity, the worst first, and keep the order of those that are as severe."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def render_text(inspection: Inspection, others: Sequence[Finding] = ()) -> Iterator[str]:
    """Yield the lines of the text: what was looked at, how many findings there are, and each of them."""
    looked_at = inspection.looked_at
    yield f"data of {looked_at.customers} customers:"
    width = max(map(len, looked_at.collections), default=0)
    for collection, records in looked_at.collections.items():
        timing = inspection.timings.get(collection)
        times = ""
        if timing and timing.queries:
            mean, longest = timing.seconds / timing.queries * 1000, timing.longest * 1000
            times = f"  source {timing.source!r}; mean query {mean:.1f} ms, slowest {longest:.1f} ms"
        yield f"  {collection:{width}}  {records:>8} records{times}"
    findings = sort_findings([*others, *inspection.findings])
    counts = [(severity, sum(row.severity == severity for row in findings)) for severity in SEVERITIES]
    yield ""
    yield "findings: " + ", ".join(f"{count} {severity}s" for severity, count in counts)
    for finding in findings:
        yield from _render_finding(finding)


def _render_finding(finding: Finding) -> Iterator[str]:
    place = " ".join(filter(None, (finding.collection, finding.member)))
    many = "" if finding.count is None else f": {finding.count}"
    if many and finding.of is not None:
        many += f" of {finding.of}"
    yield f"{finding.severity:8} {place or finding.kind}: {finding.fault}{many}"
    yield from _wrap(f"wanted: {finding.wanted}")
    shown = ", ".join(
        repr(one)[1:-1] if len(one) <= _LONGEST_ID else f"{repr(one[:_LONGEST_ID])[1:-1]}…"
        for one in finding.ids[:SHOWN_IDS]
    )
    if shown:
        yield from _wrap(f"such as {shown}")
    if finding.reference:
        yield from _wrap(finding.reference)


def _wrap(text: str) -> list[str]:
    indent = " " * 9
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False)
