"""Probes send requests beyond those of Fiskil's conversation; each is a phase that yields results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from openholder.contract.operations import Operation
from openholder.rehearsal.checks.consistency import encode_canonical
from openholder.rehearsal.exchange import CallSequence
from openholder.rehearsal.results import Result, Rule, fail_rule, judge_rule, skip_rule
from openholder.rehearsal.session import Session


def find_fullest(session: Session, operation: Operation) -> CallSequence | None:
    """Return the complete sequence of an operation with the most records; None if there is none."""
    sequences = (sequence for run in session.runs for sequence in run.sequences.get(operation.name, ()))
    complete = [sequence for sequence in sequences if sequence.is_complete]
    return max(complete, key=lambda sequence: len(sequence.records), default=None)


def compare_records(
    rule: Rule,
    sequence: CallSequence,
    expected: Iterable[dict[str, Any]],
    condition: str = "",
    unclear: Iterable[dict[str, Any]] = (),
) -> Result:
    """Check that a sequence has exactly the expected records in this order.

    Args:
        rule: The rule that is broken if it has not.
        sequence: The received list.
        expected: The records that it must have.
        condition: Begins the text of a failure.
        unclear: Records that it may have or lack.
    """
    request = sequence.first.request
    if not sequence.is_complete:
        return fail_rule(rule, sequence.route, sequence.exchanges[-1].status_text, request)
    if sequence.unread:
        return skip_rule(rule, sequence.route, sequence.unread)
    either = set(map(encode_canonical, unclear))
    due = list(map(encode_canonical, expected))
    received = [record for record in map(encode_canonical, sequence.records) if record not in either]
    missing, extra = len(set(due) - set(received)), len(set(received) - set(due))
    if missing or extra:
        observed = f"{len(received)} records, expected {len(due)}: {extra} too many, {missing} missing"
    else:
        observed = "the expected records in another order, or repeated"
    return judge_rule(rule, sequence.route, received == due, condition + observed, request)
