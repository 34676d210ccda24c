"""The report as JUnit's XML: a test suite for each operation, a test case for each rule, as CI systems display it.

Broken rules are failures, warnings stay passed with a text on ``system-out``, and what could not be looked at is
skipped. The shape is that of the Jenkins xUnit schema.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from openholder.rehearsal.report.summary import EXAMPLES, Row, Summary, summarize
from openholder.rehearsal.results import Report

_NAME = "openholder rehearse"


def junit(report: Report) -> str:
    """The report as one XML document."""
    summary = summarize(report)
    suites: dict[str, list[Row]] = defaultdict(list)
    for row in summary.rows:
        suites[row.subject].append(row)
    root = Element("testsuites", {"name": _NAME, **_counts(summary.rows), "time": f"{summary.seconds:.3f}"})
    for subject, rows in suites.items():
        _suite(root, summary, subject, rows)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _suite(root: Element, summary: Summary, subject: str, rows: list[Row]) -> None:
    measured = {measure.subject: measure for measure in summary.walk}
    timestamp = summary.started.partition("+")[0]  # the schema has no place for an offset
    suite = SubElement(root, "testsuite", {"name": subject, **_counts(rows), "timestamp": timestamp, "time": "0"})
    properties = SubElement(suite, "properties")
    SubElement(properties, "property", {"name": "target", "value": summary.target})
    if subject in measured:
        value = f"{measured[subject].p95 * 1000:.1f}"
        SubElement(properties, "property", {"name": "p95 in milliseconds", "value": value})
    for row in rows:
        _case(suite, row)


def _case(suite: Element, row: Row) -> None:
    case = SubElement(suite, "testcase", {"classname": row.subject, "name": row.rule.name, "time": "0"})
    if row.verdict == "skipped":
        SubElement(case, "skipped", {"message": row.skipped})
    elif _failed(row):
        failure = SubElement(case, "failure", {"message": row.rule.expected, "type": row.rule.severity})
        failure.text = _text(row)
    elif row.verdict == "failed":
        SubElement(case, "system-out").text = f"warning\n{_text(row)}"


def _failed(row: Row) -> bool:
    return row.verdict == "failed" and row.rule.severity != "warning"


def _counts(rows: Iterable[Row]) -> dict[str, str]:
    listed = list(rows)
    skipped = sum(row.verdict == "skipped" for row in listed)
    counts = {"tests": len(listed), "failures": sum(map(_failed, listed)), "errors": 0, "skipped": skipped}
    return {name: str(count) for name, count in counts.items()}


def _text(row: Row) -> str:
    rule = row.rule
    examples = [f"{example.request}\n  came: {example.response}" for example in row.examples[:EXAMPLES]]
    left = len(row.examples) - EXAMPLES
    more = [f"and {left} more"] if left > 0 else []
    texts = [f"expected: {rule.expected}", f"why: {rule.why}", f"written: {rule.reference}", f"mend: {rule.how_to_fix}"]
    return "\n".join([*examples, *more, *texts])
