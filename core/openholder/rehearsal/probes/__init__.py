"""Probes ask questions of their own, beyond the conversation: each is an act, and yields outcomes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from openholder.contract.operations import Operation
from openholder.rehearsal.checks.consistency import encode_canonical
from openholder.rehearsal.exchange import CallSequence, format_route
from openholder.rehearsal.results import Result, Rule, fail_rule, pass_rule
from openholder.rehearsal.session import Session


def find_fullest(session: Session, operation: Operation) -> CallSequence | None:
    """Of all that was asked of an operation, the answer with the most records."""
    sequences = (
        sequence for run in session.runs for sequence in run.sequences.get(operation.name, ()) if sequence.is_complete
    )
    return max(sequences, key=lambda sequence: len(sequence.records), default=None)


def compare_records(rule: Rule, sequence: CallSequence, due: Iterable[dict[str, Any]], before: str = "") -> Result:
    """Whether a list has exactly the records that are due, in their order. ``before`` begins what is told."""
    where, request = format_route(sequence.operation), sequence.first.request
    if not sequence.is_complete:
        return fail_rule(rule, where, sequence.exchanges[-1].status_text, request)
    wanted, came = list(map(encode_canonical, due)), list(map(encode_canonical, sequence.records))
    return pass_rule(rule, where) if came == wanted else fail_rule(rule, where, before + _unlike(wanted, came), request)


def _unlike(wanted: list[bytes], came: list[bytes]) -> str:
    lost, more = len(set(wanted) - set(came)), len(set(came) - set(wanted))
    if lost or more:
        return f"{len(came)} records where {len(wanted)} are due: {more} too many, {lost} missing"
    return "the right records in another order, or twice"
