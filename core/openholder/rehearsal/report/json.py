"""The report as JSON, for machines. Members are added to version 1 but never change their meaning.

::

    version     1
    openholder  version of the program
    good        whether nothing was found but warnings
    verdict     the line that people read
    broken      {"critical": n, "error": n, "warning": n}: how many rules were broken
    target      URL, without user, query and fragment
    started     ISO 8601 with offset
    seconds     how long it took
    requests    how many there were, without the load's
    options     {name: value}
    served      routes that answered with data
    rules       {id: {severity, expected, why, written, mend}}: all that were looked at
    findings    [{rule, times, places: [{subject, times}], examples: [{asked, came}]}], the worst first
    outcomes    [{rule, subject, verdict: "passed" | "found" | "skipped", times, reason}], in their order; reason is
                there where the verdict is "skipped"
    timings     [{subject, tier, limit, count, p50, p95, p99, max}] of the conversation; all times in seconds
    load        null, or {rate, reached, sent, good, later, blunt, failed, unsent, lag, timings, timeline: [{p95,
                answered}]}: see `openholder.rehearsal.load.Load`; a row of the timeline is a second
"""

from __future__ import annotations

import json as codec
from dataclasses import asdict
from typing import Any

from openholder._version import __version__
from openholder.rehearsal.findings import SEVERITIES, Rule
from openholder.rehearsal.load import Load
from openholder.rehearsal.play import Report
from openholder.rehearsal.report.summary import Problem, Row, Summary, summary
from openholder.rehearsal.tiers import Measure

VERSION = 1


def json(report: Report) -> str:
    """The report as one JSON document."""
    return codec.dumps(_content(summary(report)), indent=2, ensure_ascii=False)


def _content(told: Summary) -> dict[str, Any]:
    return {
        "version": VERSION,
        "openholder": __version__,
        "good": told.good,
        "verdict": told.verdict,
        "broken": {severity: told.count(severity) for severity in SEVERITIES},
        "target": told.target,
        "started": told.started,
        "seconds": round(told.seconds, 3),
        "requests": told.requests,
        "options": dict(told.options),
        "served": told.served,
        "rules": {tally.rule.name: _rule(tally.rule) for tally in told.tallies},
        "findings": [_finding(problem) for problem in told.problems],
        "outcomes": [_outcome(row) for row in told.rows],
        "timings": [_timing(measure) for measure in told.walk],
        "load": _load(told.load) if told.load else None,
    }


def _rule(rule: Rule) -> dict[str, str]:
    return {name: str(text) for name, text in asdict(rule).items() if name != "name"}


def _finding(problem: Problem) -> dict[str, Any]:
    return {
        "rule": problem.rule.name,
        "times": problem.times,
        "places": [{"subject": subject, "times": times} for subject, times in problem.places],
        "examples": [asdict(example) for example in problem.examples],
    }


def _outcome(row: Row) -> dict[str, Any]:
    reason = {"reason": row.skipped} if row.verdict == "skipped" else {}
    looked = {"rule": row.rule.name, "subject": row.subject, "verdict": row.verdict, "times": len(row.examples)}
    return looked | reason


def _timing(measure: Measure) -> dict[str, Any]:
    tier = {"tier": measure.tier.name, "limit": measure.tier.limit}
    return tier | {name: _rounded(value) for name, value in asdict(measure).items()}


def _load(load: Load) -> dict[str, Any]:
    figures = {name: _rounded(value) for name, value in asdict(load).items() if name not in ("measures", "timeline")}
    timeline = [{"p95": _rounded(second.p95), "answered": second.answered} for second in load.timeline]
    return figures | {"timings": [_timing(measure) for measure in load.measures], "timeline": timeline}


def _rounded(value: Any) -> Any:
    """To the microsecond: no clock is better."""
    return round(value, 6) if isinstance(value, float) else value
