"""Render the report as JSON. Version 1 may get further members; the meaning of existing members never changes.

::

    version     1
    openholder  version of the program
    good        true if no rule is broken except those of severity "warning"
    verdict     the result in one line, for people
    finished    false if not everything was looked at: the server asked to wait too long, or Ctrl-C ended the run
    untried     [{subject, reason}]: what was not looked at to the end
    notes       [{rule, subject, asked, came}]: responses of a proxy to requests that only an attacker sends
    broken      {"critical": n, "error": n, "warning": n}: the number of broken rules
    target      URL, without user, query and fragment
    started     ISO 8601 with offset
    seconds     duration
    requests    number of requests, without those of the load
    options     {name: value}
    served      routes that were answered with data
    rules       {name: {severity, expected, why, written, mend, example}}: all rules that were checked or skipped;
                `written` is the reference, `mend` how to fix it, `example` a failure as a report shows it
    findings    broken rules, the worst first: [{rule, times, places: [{subject, times}], examples: [{asked,
                came, who, interaction_id, cause}], follows_from}]: the request and the response, whose data was
                requested (by number), and the rule of which this one is a consequence, if there is one
    first       the rule that the earliest request broke, or null
    outcomes    results in the order of the checks: [{rule, subject, verdict: "passed" | "found" | "skipped", times,
                reason, causes}]; times is the number of failures, reason is present if the verdict is "skipped",
                and causes, which tell failures apart that a baseline accepts, if it is "found"
    baseline    null, or what became of a baseline: {known: [{rule, subject, times, causes}], stale: [{rule, subject,
                cause}], unchecked}: failures that it accepts, which are in no other member; entries that were not
                found any more; and the number of those that were not checked
    timings     response times without load, in seconds: [{subject, tier, limit, count, late, p50, p95, p99, max}]
    load        null, or {rate, reached, sent, good, later, blunt, broken, failed, unsent, retries, recovered, lag,
                lag_max, processor, limited, timings, tiers, timeline: [{p95, answered}]}: see
                `openholder.rehearsal.measures.LoadResult`, where `later`, `blunt` and `limited` are `deferred`,
                `refused` and `is_limited`. Its timings can have the member `period`. `tiers` are timings by tier,
                whose subject is the tier. The timeline has one entry per second
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from openholder._version import __version__
from openholder.rehearsal.measures import LoadResult, Measure
from openholder.rehearsal.report.summary import BrokenRule, Example, ResultRow, Summary, summarize
from openholder.rehearsal.results import SEVERITIES, Comparison, Report

VERSION = 1
_VERDICTS = {"passed": "passed", "failed": "found", "skipped": "skipped"}
"""The verdicts of version 1."""
_MEMBERS = {
    "reference": "written",
    "how_to_fix": "mend",
    "request": "asked",
    "response": "came",
    "deferred": "later",
    "refused": "blunt",
    "is_limited": "limited",
}
"""The members of version 1 whose names differ from those of the fields that they come from."""


def render_json(report: Report) -> str:
    """Render the report as one JSON document."""
    return json.dumps(_build_document(summarize(report)), indent=2, ensure_ascii=False)


def _build_document(summary: Summary) -> dict[str, Any]:
    rules = [count.rule for count in summary.rule_counts]
    return {
        "version": VERSION,
        "openholder": __version__,
        "good": summary.is_ready,
        "verdict": summary.verdict,
        "finished": summary.is_finished,
        "untried": [{"subject": subject, "reason": reason} for subject, reason in summary.untried],
        "notes": [
            {"rule": note.rule, "subject": note.subject, **_rename(asdict(note.example))} for note in summary.notes
        ],
        "broken": {severity: summary.count_broken(severity) for severity in SEVERITIES},
        "target": summary.target,
        "started": summary.started,
        "seconds": round(summary.seconds, 3),
        "requests": summary.requests,
        "options": dict(summary.options),
        "served": summary.served,
        "rules": {
            rule.name: _rename({name: value for name, value in asdict(rule).items() if name != "name"})
            for rule in rules
        },
        "findings": [_build_finding(broken) for broken in summary.broken_rules],
        "first": summary.first or None,
        "outcomes": [_build_outcome(row) for row in summary.rows],
        "baseline": _build_baseline(summary, summary.comparison) if summary.comparison else None,
        "timings": [_build_timing(measure) for measure in summary.conversation],
        "load": _build_load(summary.load) if summary.load else None,
    }


def _build_finding(broken: BrokenRule) -> dict[str, Any]:
    return {
        "rule": broken.rule.name,
        "times": broken.times,
        "places": [{"subject": subject, "times": times} for subject, times in broken.places],
        "examples": [_rename(asdict(example)) for example in broken.examples],
        "follows_from": broken.cause or None,
    }


def _build_outcome(row: ResultRow) -> dict[str, Any]:
    outcome = {
        "rule": row.rule.name,
        "subject": row.subject,
        "verdict": _VERDICTS[row.verdict],
        "times": len(row.examples),
    }
    if row.verdict == "skipped":
        outcome["reason"] = row.skipped
    elif row.verdict == "failed":
        outcome["causes"] = _list_causes(row.examples)
    return outcome


def _list_causes(examples: Iterable[Example]) -> list[str]:
    return sorted({example.cause for example in examples})


def _build_baseline(summary: Summary, comparison: Comparison) -> dict[str, Any]:
    known = [
        {"rule": row.rule.name, "subject": row.subject, "times": len(row.known), "causes": _list_causes(row.known)}
        for row in summary.rows
        if row.known
    ]
    stale = [entry._asdict() for entry in comparison.stale]
    return {"known": known, "stale": stale, "unchecked": comparison.unchecked}


def _build_timing(measure: Measure) -> dict[str, Any]:
    figures = {name: _round_to_microseconds(value) for name, value in asdict(measure).items() if value != ""}
    return {**figures, "tier": measure.tier.name, "limit": measure.tier.limit}


def _build_load(load: LoadResult) -> dict[str, Any]:
    figures = {
        name: _round_to_microseconds(value)
        for name, value in asdict(load).items()
        if name not in ("measures", "tiers", "timeline")
    }
    return {
        **_rename(figures),
        "timings": [_build_timing(measure) for measure in load.measures],
        "tiers": [_build_timing(measure) for measure in load.tiers],
        "timeline": [
            {"p95": _round_to_microseconds(second.p95), "answered": second.answered} for second in load.timeline
        ],
    }


def _round_to_microseconds(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def _rename(fields: dict[str, Any]) -> dict[str, Any]:
    """Give the fields the names of version 1."""
    return {_MEMBERS.get(name, name): value for name, value in fields.items()}
