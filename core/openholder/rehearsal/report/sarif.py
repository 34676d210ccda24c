"""Render the report as SARIF 2.1.0 for code scanning: a rule for each rule, a result for each request that broke one.

A result has no file: its logical location is the operation, and its fingerprint is made of rule and operation, so that
a viewer recognises it in the next run.
"""

from __future__ import annotations

import json
from typing import Any

from openholder._version import __version__
from openholder.rehearsal.report.summary import Example, ResultRow, Summary, summarize
from openholder.rehearsal.results import Report, Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"critical": "error", "error": "error", "warning": "warning"}
_SECURITY = {"critical": "9.0", "error": "6.0", "warning": "3.0"}
"""How severe viewers show a rule to be: above 8.9 it is critical."""


def render_sarif(report: Report) -> str:
    """Render the report as one SARIF log with one run."""
    summary = summarize(report)
    rules = [count.rule for count in summary.rule_counts]
    places = {rule.name: place for place, rule in enumerate(rules)}
    run = {
        "tool": {"driver": {"name": "openholder", "version": __version__, "rules": [*map(_build_rule, rules)]}},
        "results": [
            _build_result(summary, row, example, places[row.rule.name])
            for row in summary.rows
            for example in row.examples
        ],
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
    return {
        "ruleId": row.rule.name,
        "ruleIndex": place,
        "level": _LEVELS[row.rule.severity],
        "message": {"text": f"{row.rule.expected} {example.request}{who}: {example.response}.{follows}"},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": row.subject, "kind": "resource"}]}],
        "partialFingerprints": {"ruleAndOperation/v1": f"{row.rule.name} {row.subject}"},
    }


def _format_time(summary: Summary) -> str:
    return summary.started.replace("+00:00", "Z")
