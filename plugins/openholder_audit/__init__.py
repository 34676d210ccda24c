"""An audit trail: one line for each disclosure and refusal, written before the answer leaves.

CDR rule 9.3 wants records of disclosures and of refusals to disclose, rule 9.4 a report of the refusals. The files are
append-only, chained by hashes, and never capped. Nobody deletes them but the operator.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from openholder import FinishedRequest, hookimpl, make_pseudonym
from openholder_audit.chain import Chain
from openholder_audit.segments import Segment, WriterLock, format_time
from openholder_audit.settings import AuditSettings

__all__ = ["AuditSettings", "AuditTrail"]

log = logging.getLogger("openholder.audit")

TICK = 1.0
"""Seconds between two looks at the file, and between two writes to the disk with ``sync = "second"``."""


class AuditTrail:
    """Records answers in the files of one writer."""

    Settings = AuditSettings
    api_version = 1

    def __init__(self, name: str, settings: AuditSettings) -> None:
        self._name = name
        self._settings = settings
        self._chain = Chain(settings.secret)
        self._lock: WriterLock | None = None
        self._segment: Segment | None = None
        self._last: Segment | None = None
        """The file before this one."""
        self._disk = asyncio.Lock()
        """Held by whatever opens, closes or waits for the file, in a thread."""
        self._work: set[asyncio.Task[None]] = set()
        self._upkeep: asyncio.Task[None] | None = None

    @hookimpl
    async def open(self) -> None:
        """Create the folder if necessary, and take the number of a writer. The file begins with the first record."""
        self._settings.folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = WriterLock(self._settings.folder)
        self._upkeep = asyncio.create_task(self._keep_up())

    @hookimpl
    async def close(self) -> None:
        """Force everything to the disk, and let others have the number."""
        if self._upkeep:
            self._upkeep.cancel()
            await asyncio.gather(self._upkeep, return_exceptions=True)
            self._upkeep = None
        await asyncio.gather(*self._work, return_exceptions=True)
        await self._end_segment()
        if self._lock:
            self._lock.release()
            self._lock = None

    @hookimpl
    async def record_answer(self, event: FinishedRequest) -> None:
        """Write the record. It is in the hands of the operating system, or with ``sync = "each"`` on the disk."""
        if not event.admitted and not self._settings.unadmitted:
            return
        while (segment := self._segment) is None or segment.failed:
            await self._wait_for(self._begin_segment())
        segment.write(self._describe(event))
        if self._settings.sync == "each":
            await self._wait_for(self._sync(segment))

    async def _wait_for(self, work: Coroutine[None, None, None]) -> None:
        """Wait for something that must come to its end, whatever becomes of the request that waits."""
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(task)

    async def _begin_segment(self) -> None:
        """Begin a file, unless another request has done so meanwhile."""
        if self._segment and self._segment.failed:
            await self._end_segment()
        async with self._disk:
            if self._lock is None:
                raise RuntimeError("the audit trail is not open")
            if self._segment is None:
                about = {"ids": self._settings.ids, "sealed": bool(self._settings.secret)}
                place = (self._settings.folder, self._lock.number)
                self._segment = await asyncio.to_thread(Segment, *place, self._chain, about, self._last)

    async def _sync(self, segment: Segment) -> None:
        """Force what was written to the disk, unless whoever held it before has done so."""
        async with self._disk:
            if segment.dirty:
                await asyncio.to_thread(segment.sync)

    def _describe(self, event: FinishedRequest) -> dict[str, Any]:
        return {
            "time": format_time(time.time()),
            "interaction_id": event.interaction_id,
            "operation": event.operation,
            "method": event.method,
            "status": event.status,
            "reason": event.reason,
            "refused": event.refused,
            "customers": self._write_ids(event.customer_ids),
            "accounts": self._write_ids(event.account_ids),
            "records": event.records,
            "kid": event.kid,
        }

    def _write_ids(self, ids: tuple[str, ...]) -> list[str]:
        if self._settings.ids == "plain":
            return list(ids)
        return [make_pseudonym(self._settings.secret, value) for value in ids]

    async def _keep_up(self) -> None:
        """Write to the disk, and begin a new file when the old one is full, old, or no longer where it was."""
        while True:
            await asyncio.sleep(TICK)
            segment = self._segment
            if segment is None:
                continue
            try:
                if not segment.is_in_place():
                    log.critical("audit file %s was moved, removed or changed: a new one begins", segment.name)
                    await self._end_segment()
                elif segment.size > self._settings.max_bytes or self._is_old(segment):
                    await self._end_segment()
                elif segment.dirty and self._settings.sync == "second":
                    await self._sync(segment)
            except OSError as exc:
                log.error("audit trail %s: %s", self._name, exc.strerror or type(exc).__name__)

    def _is_old(self, segment: Segment) -> bool:
        return time.time() - segment.began > self._settings.max_hours * 3600

    async def _end_segment(self) -> None:
        """Close the file. Its last hash goes to the log, which is kept elsewhere: it shows later what was cut off."""
        async with self._disk:
            segment, self._segment = self._segment, None
            if segment is None:
                return
            self._last = segment
            try:
                await asyncio.to_thread(segment.close)
            finally:
                log.info("audit file %s closed: %d records, head %s", segment.name, segment.records, segment.head)
