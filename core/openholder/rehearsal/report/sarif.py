"""Render the report as SARIF 2.1.0 for code scanning: a rule for each rule, a result for each request that broke one.

A result has no file: its logical location is the operation, and its fingerprints are made of rule, operation and cause,
so that a viewer recognises it in the next run. With a baseline each result says whether it is new or known; what was
known and is not found any more is a result as well, an absent one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from openholder._version import __version__
from openholder.rehearsal.report.summary import Example, ResultRow, Summary, summarize
from openholder.rehearsal.results import KnownFinding, Report, Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"critical": "error", "error": "error", "warning": "warning"}
_SECURITY = {"critical": "9.0", "error": "6.0", "warning": "3.0"}
"""How severe viewers show a rule to be: above 8.9 it is critical."""


def render_sarif(report: Report) -> str:
    """Render the report as one SARIF log with one run."""
    summary = summarize(report)
    rules = [count.rule for count in summary.rule_counts]
    places = {rule.name: place for place, rule in enumerate(rules)}
    results = [
        _build_result(summary, row, example, places[row.rule.name])
        for row in summary.rows
        for example in (*row.examples, *row.known)
    ]
    if summary.comparison:
        results += [_build_absent(rules[places[entry.rule]], entry, places) for entry in summary.comparison.stale]
    run = {
        "tool": {"driver": {"name": "openholder", "version": __version__, "rules": [*map(_build_rule, rules)]}},
        "results": results,
        "invocations": [{"executionSuccessful": summary.is_finished, "startTimeUtc": _format_time(summary)}],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _build_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.expected},
        "fullDescription": {"text": f"{rule.why} Reference: {rule.reference}"},
        "help": {"text": rule.how_to_fix},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"security-severity": _SECURITY[rule.severity]},
    }


def _build_result(summary: Summary, row: ResultRow, example: Example, place: int) -> dict[str, Any]:
    cause = summary.causes.get(row.rule.name)
    who = f", {example.who}" if example.who else ""
    follows = f" It follows from {cause}." if cause else ""
    is_known = example in row.known
    known = {"baselineState": "unchanged" if is_known else "new"} if summary.comparison else {}
    accepted = {"suppressions": [{"kind": "external", "justification": "in the baseline"}]} if is_known else {}
    return {
        "ruleId": row.rule.name,
        "ruleIndex": place,
        "level": _LEVELS[row.rule.severity],
        "message": {"text": f"{row.rule.expected} {example.request}{who}: {example.response}.{follows}"},
        "locations": _build_locations(row.subject),
        "partialFingerprints": _build_fingerprints(row.rule.name, row.subject, example.cause),
        **known,
        **accepted,
    }


def _build_absent(rule: Rule, entry: KnownFinding, places: Mapping[str, int]) -> dict[str, Any]:
    """Build the result for an entry of the baseline that was not found any more."""
    return {
        "ruleId": entry.rule,
        "ruleIndex": places[entry.rule],
        "level": _LEVELS[rule.severity],
        "message": {"text": f"{rule.expected} It is kept now: take this entry out of the baseline."},
        "locations": _build_locations(entry.subject),
        "partialFingerprints": _build_fingerprints(entry.rule, entry.subject, entry.cause),
        "baselineState": "absent",
    }


def _build_locations(subject: str) -> list[dict[str, Any]]:
    return [{"logicalLocations": [{"fullyQualifiedName": subject, "kind": "resource"}]}]


def _build_fingerprints(rule: str, subject: str, cause: str) -> dict[str, str]:
    return {"ruleAndOperation/v1": f"{rule} {subject}", "ruleOperationAndCause/v1": f"{rule} {subject} {cause}"}


def _format_time(summary: Summary) -> str:
    return summary.started.replace("+00:00", "Z")
