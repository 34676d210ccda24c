"""Accept known findings: those of an earlier report, for a CI system that must notice new ones only.

A finding is known if the earlier report has one of the same rule, the same operation and the same cause: what was
observed, and what was special about the request. Whose data it was, which page and how many records do not matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openholder.errors import UntrustedJSON
from openholder.rehearsal.fingerprints import name_cause
from openholder.rehearsal.masking import build_mask
from openholder.rehearsal.preparation import UnusableOption
from openholder.rehearsal.results import Comparison, KnownFinding, Report, Result
from openholder.strict_json import parse_json

KNOWN = "known: in the baseline"
"""Why a rule is not reported as broken."""


def load_baseline(path: Path) -> frozenset[KnownFinding]:
    """Read what was found, and what was known then, from a report that ``--json`` printed.

    Raises:
        UnusableOption: The file cannot be read, or is not such a report.
    """
    try:
        report: Any = parse_json(path.read_bytes())
        rows = [row for row in report["outcomes"] if row["verdict"] == "found"]
        rows += (report.get("baseline") or {}).get("known", [])
        # A report of version 0.2.0 has no causes: whatever breaks the rule there is known.
        return frozenset(
            KnownFinding(str(row["rule"]), str(row["subject"]), str(cause))
            for row in rows
            for cause in row.get("causes", [""])
        )
    except (OSError, UntrustedJSON, LookupError, TypeError, AttributeError) as exc:
        raise UnusableOption("--baseline", f"not a report of --json: {type(exc).__name__}") from None


def accept_known(report: Report, known: Iterable[KnownFinding]) -> None:
    """Set known failures of a report apart, and say which entries of the baseline were not found."""
    mask = build_mask(report.secrets)
    causes: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in known:
        causes[entry.rule, entry.subject].add(entry.cause)
    missing, results = set(known), []
    for result in report.results:
        place = result.rule.name, mask(result.subject)
        expected = causes.get(place, set())
        found = [mask(name_cause(failure)) for failure in result.failures]
        results.append(_set_apart(result, [bool({"", cause} & expected) for cause in found]))
        missing -= {KnownFinding(*place, cause) for cause in ([*found, ""] if found else [])}
    checked = {(result.rule.name, mask(result.subject)) for result in report.results if result.verdict != "skipped"}
    stale = sorted(entry for entry in missing if (entry.rule, entry.subject) in checked)
    report.results = results
    report.comparison = Comparison(tuple(stale), len(missing) - len(stale))


def _set_apart(result: Result, are_known: list[bool]) -> Result:
    """Return the result with those of its failures set apart that are known."""
    if not any(are_known):
        return result
    failures = list(zip(result.failures, are_known, strict=True))
    new = tuple(failure for failure, is_known in failures if not is_known)
    known = tuple(failure for failure, is_known in failures if is_known)
    return Result(result.rule, result.subject, new, "" if new else KNOWN, result.notes, known)
