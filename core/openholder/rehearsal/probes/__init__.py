"""Probes ask questions of their own, beyond the conversation: each is an act, and yields outcomes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from openholder.contract.operations import Operation
from openholder.rehearsal.exchange import Leg, route
from openholder.rehearsal.findings import Outcome, Rule, found, passed
from openholder.rehearsal.judges.agreement import canonical
from openholder.rehearsal.scene import Scene


def fullest(scene: Scene, operation: Operation) -> Leg | None:
    """Of all that was asked of an operation, the answer with the most records."""
    legs = (leg for visit in scene.visits for leg in visit.legs.get(operation.name, ()) if leg.whole)
    return max(legs, key=lambda leg: len(leg.records), default=None)


def compared(rule: Rule, leg: Leg, due: Iterable[dict[str, Any]], before: str = "") -> Outcome:
    """Whether a list has exactly the records that are due, in their order. ``before`` begins what is told."""
    where, request = route(leg.operation), leg.first.request
    if not leg.whole:
        return found(rule, where, leg.exchanges[-1].came, request)
    wanted, came = list(map(canonical, due)), list(map(canonical, leg.records))
    return passed(rule, where) if came == wanted else found(rule, where, before + _unlike(wanted, came), request)


def _unlike(wanted: list[bytes], came: list[bytes]) -> str:
    lost, more = len(set(wanted) - set(came)), len(set(came) - set(wanted))
    if lost or more:
        return f"{len(came)} records where {len(wanted)} are due: {more} too many, {lost} missing"
    return "the right records in another order, or twice"
