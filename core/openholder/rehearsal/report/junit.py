"""Render the report as JUnit XML for CI systems: a test suite for each operation, a test case for each rule.

Broken rules are failures, except warnings: these pass, with a text in ``system-out``. Rules that could not be checked
are skipped. What a baseline accepts is skipped too, in a suite of its own; what it need not accept any more passes in
another. The format is that of the Jenkins xUnit schema.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from openholder.rehearsal.baseline import KNOWN
from openholder.rehearsal.report.summary import MAX_EXAMPLES, Example, ResultRow, summarize
from openholder.rehearsal.results import Report, Rule


def render_junit(report: Report) -> str:
    """Render the report as one XML document."""
    summary = summarize(report)
    suites: dict[str, list[ResultRow]] = defaultdict(list)
    for row in summary.rows:
        if row.examples or not row.known:
            suites[row.subject].append(row)
    measures = {measure.subject: measure for measure in summary.conversation}
    timestamp = summary.started.partition("+")[0]  # the schema does not allow an offset
    root = Element("testsuites", {"name": "openholder rehearse", "time": f"{summary.seconds:.3f}"})

    def add_suite(name: str) -> tuple[Element, Element]:
        suite = SubElement(root, "testsuite", {"name": name, "timestamp": timestamp, "time": "0"})
        properties = SubElement(suite, "properties")
        SubElement(properties, "property", {"name": "target", "value": summary.target})
        return suite, properties

    for subject, rows in suites.items():
        suite, properties = add_suite(subject)
        if subject in measures:
            value = f"{measures[subject].p95 * 1000:.1f}"
            SubElement(properties, "property", {"name": "p95 in milliseconds", "value": value})
        for row in rows:
            _add_test_case(suite, row, summary.causes.get(row.rule.name, ""))
    if known := [row for row in summary.rows if row.known]:
        suite, _ = add_suite("baseline: known")
        for row in known:
            case = _add_case(suite, row.subject, row.rule.name)
            SubElement(case, "skipped", {"message": KNOWN})
            SubElement(case, "system-out").text = f"{row.rule.severity}\n{_describe_failures(row.rule, row.known)}"
    if summary.comparison and summary.comparison.stale:
        suite, _ = add_suite("baseline: no longer found")
        for entry in summary.comparison.stale:
            case = _add_case(suite, entry.subject, entry.rule)
            SubElement(case, "system-out").text = f"take this out of the baseline\n{entry.cause}"
    for element in (root, *root):
        _count_cases(element)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _add_test_case(suite: Element, row: ResultRow, cause: str) -> None:
    case = _add_case(suite, row.subject, row.rule.name)
    if row.verdict == "skipped":
        SubElement(case, "skipped", {"message": row.skipped})
    elif _is_failure(row):
        failure = SubElement(case, "failure", {"message": row.rule.expected, "type": row.rule.severity})
        failure.text = (f"Follows from: {cause}\n" if cause else "") + _describe_failures(row.rule, row.examples)
    elif row.verdict == "failed":
        SubElement(case, "system-out").text = f"warning\n{_describe_failures(row.rule, row.examples)}"


def _add_case(suite: Element, subject: str, rule: str) -> Element:
    return SubElement(suite, "testcase", {"classname": subject, "name": rule, "time": "0"})


def _is_failure(row: ResultRow) -> bool:
    return row.verdict == "failed" and row.rule.severity != "warning"


def _count_cases(element: Element) -> None:
    """Say in a suite, or in the root, how many test cases it has. The schema lets no root count what is skipped."""
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        if element.tag == "testsuite" or name != "skipped":
            element.set(name, str(sum(1 for _ in element.iter(tag))))


def _describe_failures(rule: Rule, examples: Sequence[Example]) -> str:
    lines = []
    for example in examples[:MAX_EXAMPLES]:
        lines += [f"Request: {example.request}, {example.who}" if example.who else f"Request: {example.request}"]
        lines += [f"Response: {example.response}"]
        lines += [f"In your log: {example.interaction_id}"] if example.interaction_id else []
    if len(examples) > MAX_EXAMPLES:
        lines.append(f"and {len(examples) - MAX_EXAMPLES} more")
    lines += [
        f"Expected: {rule.expected}",
        f"Why: {rule.why}",
        f"Reference: {rule.reference}",
        f"How to fix: {rule.how_to_fix}",
    ]
    return "\n".join(lines)
