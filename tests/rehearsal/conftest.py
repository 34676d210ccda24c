"""Fixtures for all tests of the rehearsal."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest

from openholder.rehearsal.probes import connections
from openholder.rehearsal.report.summary import summarize
from openholder.rehearsal.results import Report

RIGHT = "right cause"
"""The property of a test of a planted fault: whether the report names its cause, and nothing beside it."""


@pytest.fixture(autouse=True)
def short_idleness(monkeypatch):
    """Let connections be idle for a moment only: most of these rehearsals are over in less than two seconds."""
    monkeypatch.setattr(connections, "LONG_ENOUGH", 0.1)


@pytest.fixture
def find_causes(record_property) -> Callable[..., list[str]]:
    """Return the causes that a report names, and count whether they are the right one alone."""

    def find(report: Report, *rules: str, known: Collection[str] = ()) -> list[str]:
        causes = [found.rule.name for found in summarize(report).findings if found.rule.name not in known]
        record_property(RIGHT, len(causes) == 1 and causes[0] in rules)
        return causes

    return find


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print for how many planted faults the report names the cause, and nothing beside it."""
    reports = [report for some in terminalreporter.stats.values() for report in some if hasattr(report, "when")]
    named = [
        value for report in reports if report.when == "call" for key, value in report.user_properties if key == RIGHT
    ]
    if named:
        share = 100 * sum(named) / len(named)
        terminalreporter.write_line(
            f"right cause named, alone: {sum(named)} of {len(named)} planted faults, {share:.0f} %"
        )
