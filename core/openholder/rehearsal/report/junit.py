"""Render the report as JUnit XML for CI systems: a test suite for each operation, a test case for each rule.

Broken rules are failures, except warnings: these pass, with a text in ``system-out``. Rules that could not be checked
are skipped. The format is that of the Jenkins xUnit schema.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from openholder.rehearsal.report.summary import MAX_EXAMPLES, ResultRow, summarize
from openholder.rehearsal.results import Report


def render_junit(report: Report) -> str:
    """Render the report as one XML document."""
    summary = summarize(report)
    suites: dict[str, list[ResultRow]] = defaultdict(list)
    for row in summary.rows:
        suites[row.subject].append(row)
    measures = {measure.subject: measure for measure in summary.conversation}
    timestamp = summary.started.partition("+")[0]  # the schema does not allow an offset
    counts = _count_verdicts(summary.rows)
    root = Element("testsuites", {"name": "openholder rehearse", **counts, "time": f"{summary.seconds:.3f}"})
    for subject, rows in suites.items():
        attributes = {"name": subject, **_count_verdicts(rows), "timestamp": timestamp, "time": "0"}
        suite = SubElement(root, "testsuite", attributes)
        properties = SubElement(suite, "properties")
        SubElement(properties, "property", {"name": "target", "value": summary.target})
        if subject in measures:
            value = f"{measures[subject].p95 * 1000:.1f}"
            SubElement(properties, "property", {"name": "p95 in milliseconds", "value": value})
        for row in rows:
            _add_test_case(suite, row, summary.causes.get(row.rule.name, ""))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _add_test_case(suite: Element, row: ResultRow, cause: str) -> None:
    case = SubElement(suite, "testcase", {"classname": row.subject, "name": row.rule.name, "time": "0"})
    if row.verdict == "skipped":
        SubElement(case, "skipped", {"message": row.skipped})
    elif _is_failure(row):
        failure = SubElement(case, "failure", {"message": row.rule.expected, "type": row.rule.severity})
        failure.text = (f"Follows from: {cause}\n" if cause else "") + _describe_failures(row)
    elif row.verdict == "failed":
        SubElement(case, "system-out").text = f"warning\n{_describe_failures(row)}"


def _is_failure(row: ResultRow) -> bool:
    return row.verdict == "failed" and row.rule.severity != "warning"


def _count_verdicts(rows: Sequence[ResultRow]) -> dict[str, str]:
    return {
        "tests": str(len(rows)),
        "failures": str(sum(map(_is_failure, rows))),
        "errors": "0",
        "skipped": str(sum(row.verdict == "skipped" for row in rows)),
    }


def _describe_failures(row: ResultRow) -> str:
    lines = []
    for example in row.examples[:MAX_EXAMPLES]:
        lines += [f"Request: {example.request}, {example.who}" if example.who else f"Request: {example.request}"]
        lines += [f"Response: {example.response}"]
        lines += [f"In your log: {example.interaction_id}"] if example.interaction_id else []
    if len(row.examples) > MAX_EXAMPLES:
        lines.append(f"and {len(row.examples) - MAX_EXAMPLES} more")
    rule = row.rule
    lines += [
        f"Expected: {rule.expected}",
        f"Why: {rule.why}",
        f"Reference: {rule.reference}",
        f"How to fix: {rule.how_to_fix}",
    ]
    return "\n".join(lines)
