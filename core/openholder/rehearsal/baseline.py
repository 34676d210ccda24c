"""Accept known findings: those of an earlier report, for a CI system that must notice new ones only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openholder.errors import UntrustedJSON
from openholder.rehearsal.preparation import UnusableOption
from openholder.rehearsal.results import Result, skip_rule
from openholder.strict_json import parse_json

Known = frozenset[tuple[str, str]]
"""Rules and subjects."""


def load_baseline(path: Path) -> Known:
    """Read the rules that were broken, and where, from a report that ``--json`` printed.

    Raises:
        UnusableOption: The file cannot be read, or is not such a report.
    """
    try:
        report: Any = parse_json(path.read_bytes())
        outcomes = report["outcomes"]
        return frozenset((row["rule"], row["subject"]) for row in outcomes if row["verdict"] == "found")
    except (OSError, UntrustedJSON, LookupError, TypeError) as exc:
        raise UnusableOption("--baseline", f"not a report of --json: {type(exc).__name__}") from None


def accept_known(results: Iterable[Result], known: Known) -> list[Result]:
    """Return the results, with the failures of known ones left out."""
    return [
        skip_rule(result.rule, result.subject, "known: in the baseline")
        if result.failures and (result.rule.name, result.subject) in known
        else result
        for result in results
    ]
