"""Probes ask questions of their own, beyond the conversation: each is an act, and yields outcomes."""

from __future__ import annotations

from openholder.operations import Operation
from openholder.rehearsal.exchange import Leg
from openholder.rehearsal.scene import Scene


def fullest(scene: Scene, operation: Operation) -> Leg | None:
    """Of all that was asked of an operation, the answer with the most records."""
    legs = (leg for visit in scene.visits for leg in visit.legs.get(operation.name, ()) if leg.whole)
    return max(legs, key=lambda leg: len(leg.records), default=None)
