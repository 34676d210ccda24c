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
                answered}]}: see `openholder.rehearsal.measures.LoadResult`; a row of the timeline is a second
"""

from __future__ import annotations

import json as codec
from dataclasses import asdict
from typing import Any

from openholder._version import __version__
from openholder.rehearsal.measures import LoadResult, Measure
from openholder.rehearsal.report.summary import BrokenRule, Row, Summary, summarize
from openholder.rehearsal.results import SEVERITIES, Report, Rule

VERSION = 1
_VERDICTS = {"passed": "passed", "failed": "found", "skipped": "skipped"}
"""The words of version 1."""


def json(report: Report) -> str:
    """The report as one JSON document."""
    return codec.dumps(_content(summarize(report)), indent=2, ensure_ascii=False)


def _content(summary: Summary) -> dict[str, Any]:
    return {
        "version": VERSION,
        "openholder": __version__,
        "good": summary.good,
        "verdict": summary.verdict,
        "broken": {severity: summary.count(severity) for severity in SEVERITIES},
        "target": summary.target,
        "started": summary.started,
        "seconds": round(summary.seconds, 3),
        "requests": summary.requests,
        "options": dict(summary.options),
        "served": summary.served,
        "rules": {rule_count.rule.name: _rule(rule_count.rule) for rule_count in summary.rule_counts},
        "findings": [_finding(broken_rule) for broken_rule in summary.broken_rules],
        "outcomes": [_outcome(row) for row in summary.rows],
        "timings": [_timing(measure) for measure in summary.walk],
        "load": _load(summary.load) if summary.load else None,
    }


def _rule(rule: Rule) -> dict[str, str]:
    return {
        "severity": rule.severity,
        "expected": rule.expected,
        "why": rule.why,
        "written": rule.reference,
        "mend": rule.how_to_fix,
    }


def _finding(broken_rule: BrokenRule) -> dict[str, Any]:
    return {
        "rule": broken_rule.rule.name,
        "times": broken_rule.times,
        "places": [{"subject": subject, "times": times} for subject, times in broken_rule.places],
        "examples": [{"asked": example.request, "came": example.response} for example in broken_rule.examples],
    }


def _outcome(row: Row) -> dict[str, Any]:
    reason = {"reason": row.skipped} if row.verdict == "skipped" else {}
    looked = {
        "rule": row.rule.name,
        "subject": row.subject,
        "verdict": _VERDICTS[row.verdict],
        "times": len(row.examples),
    }
    return looked | reason


def _timing(measure: Measure) -> dict[str, Any]:
    tier = {"tier": measure.tier.name, "limit": measure.tier.limit}
    return tier | {name: _rounded(value) for name, value in asdict(measure).items()}


def _load(load: LoadResult) -> dict[str, Any]:
    figures = {
        "rate": load.rate,
        "reached": _rounded(load.reached),
        "sent": load.sent,
        "good": load.good,
        "later": load.deferred,
        "blunt": load.refused,
        "failed": load.failed,
        "unsent": load.unsent,
        "lag": _rounded(load.lag),
    }
    timeline = [{"p95": _rounded(second.p95), "answered": second.answered} for second in load.timeline]
    return figures | {"timings": [_timing(measure) for measure in load.measures], "timeline": timeline}


def _rounded(value: Any) -> Any:
    """To the microsecond: no clock is better."""
    return round(value, 6) if isinstance(value, float) else value
