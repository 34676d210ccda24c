"""The phases of a rehearsal, in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from openholder.rehearsal.attacks import run_attacks
from openholder.rehearsal.attacks.replayed_tokens import replay_first_token
from openholder.rehearsal.checks.consistency import check_consistency
from openholder.rehearsal.checks.latency import check_latency
from openholder.rehearsal.checks.lists import check_list
from openholder.rehearsal.checks.owners import check_owners
from openholder.rehearsal.conversation import run_conversation
from openholder.rehearsal.load import run_load
from openholder.rehearsal.probes.bulk import probe_bulk_requests
from openholder.rehearsal.probes.concurrency import probe_concurrency
from openholder.rehearsal.probes.connections import open_idle_connection, probe_packets, use_idle_connection
from openholder.rehearsal.probes.details import probe_details
from openholder.rehearsal.probes.filtering import probe_filters
from openholder.rehearsal.probes.foreign_ids import probe_foreign_ids
from openholder.rehearsal.probes.refusal_times import probe_refusal_times
from openholder.rehearsal.probes.repetition import probe_repetition
from openholder.rehearsal.probes.rotation import publish_new_key, use_new_key
from openholder.rehearsal.results import Result
from openholder.rehearsal.session import Session


class Phase(NamedTuple):
    """One part of a rehearsal."""

    name: str
    run: Callable[[Session], AsyncIterator[Result]]


async def check_content(session: Session) -> AsyncIterator[Result]:
    """Check every list, and all responses against each other. Sends no request."""
    for run in session.runs:
        for sequences in run.sequences.values():
            for sequence in sequences:
                for result in check_list(sequence):
                    yield result
    for check in (check_consistency, check_owners):
        for result in check(session):
            yield result


PHASES: tuple[Phase, ...] = (
    Phase("Login, consent and data", run_conversation),
    Phase("Content of the responses", check_content),
    Phase("An idle connection", open_idle_connection),
    Phase("A new key", publish_new_key),
    Phase("Details", probe_details),
    Phase("Access to foreign data", probe_foreign_ids),
    Phase("Bulk requests", probe_bulk_requests),
    Phase("Filters", probe_filters),
    Phase("Pages and repeated requests", probe_repetition),
    Phase("Response times", check_latency),
    Phase("Times of refusals", probe_refusal_times),
    Phase("Concurrent requests", probe_concurrency),
    Phase("Bodies in several packets", probe_packets),
    Phase("Attacks", run_attacks),
    Phase("The idle connection again", use_idle_connection),
    Phase("The new key again", use_new_key),
    Phase("Load", run_load),
    Phase("Late replay", replay_first_token),
)
"""Each phase builds on the responses of the earlier ones."""
CONVERSATION = PHASES[:2]
"""The requests that Fiskil itself makes, and the checks of their responses."""
