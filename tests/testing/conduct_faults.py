"""Sources that answer right, but block the loop, leave something behind, or do not end when they are told to.

``ALONE`` has those faults that one test of the kit finds and no other.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from contextlib import suppress

from openholder import NotFound, Page, SourceFault, hookimpl
from testing.faults import FAULTS
from testing.reference import Reference

ALONE = []
LONG = 0.03
"""Seconds: longer than a hook may block the loop."""


def caught_only_by(test):
    """Register which test finds the fault of a class, and that no other one does."""

    def note(faulty):
        FAULTS[faulty] = test
        ALONE.append(faulty)
        return faulty

    return note


# -- the event loop -----------------------------------------------------------------------------------------------


@caught_only_by("test_it_never_blocks_the_event_loop")
class BlocksInFetch(Reference):
    """Waits for its backend like a synchronous driver, the first time that a collection is asked for."""

    @hookimpl
    async def open(self):
        await super().open()
        self.known = set()

    def answer(self, query):
        if query.collection == "balances" and query.collection not in self.known:
            self.known.add(query.collection)
            time.sleep(LONG)
        return super().answer(query)


@caught_only_by("test_it_never_blocks_the_event_loop")
class ComputesInFetch(Reference):
    @hookimpl
    async def open(self):
        await super().open()
        self.known = set()

    def answer(self, query):
        if query.collection == "balances" and query.collection not in self.known:
            self.known.add(query.collection)
            until = time.thread_time() + LONG
            while time.thread_time() < until:
                pass
        return super().answer(query)


@caught_only_by("test_it_never_blocks_the_event_loop")
class BlocksInATaskOfItsOwn(BlocksInFetch):
    @hookimpl
    async def fetch(self, query):
        return await asyncio.ensure_future(super().fetch(query))


@caught_only_by("test_it_never_blocks_the_event_loop")
class BlocksInFetchNow(Reference):
    @hookimpl
    def fetch_now(self, query):
        self.check_open()
        time.sleep(LONG if query.collection == "balances" and query.limit is None and query.offset == 0 else 0)


@caught_only_by("test_it_never_blocks_the_event_loop")
class BlocksInCollections(Reference):
    @hookimpl
    def collections(self):
        time.sleep(LONG)
        return super().collections()


@caught_only_by("test_it_never_blocks_the_event_loop")
class BlocksInOpen(Reference):
    @hookimpl
    async def open(self):
        time.sleep(LONG)
        await super().open()


@caught_only_by("test_questions_do_not_queue_up_behind_one_another")
class OneBehindTheOther(Reference):
    @hookimpl
    async def open(self):
        await super().open()
        self.lock = asyncio.Lock()

    @hookimpl
    async def fetch(self, query):
        self.check_open()
        async with self.lock:
            return await super().fetch(query)


# -- what is left behind ------------------------------------------------------------------------------------------


@caught_only_by("test_nothing_is_left_behind")
class LeavesATask(Reference):
    @hookimpl
    async def open(self):
        await super().open()
        self.task = asyncio.ensure_future(asyncio.Event().wait())


@caught_only_by("test_nothing_is_left_behind")
class LeavesAThread(Reference):
    @hookimpl
    async def open(self):
        await super().open()
        threading.Thread(target=time.sleep, args=(4,), daemon=True).start()


@caught_only_by("test_nothing_is_left_behind")
class LeavesADescriptor(Reference):
    @hookimpl
    async def open(self):
        await super().open()
        self.files = [*getattr(self, "files", []), os.open(os.devnull, os.O_RDONLY)]


@caught_only_by("test_nothing_is_left_behind")
class LeavesAFile(Reference):
    @hookimpl
    async def open(self):
        await super().open()
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(b"an index")


# -- after close --------------------------------------------------------------------------------------------------


@caught_only_by("test_a_closed_source_answers_nothing")
class AnswersWhenClosed(Reference):
    @hookimpl
    async def fetch(self, query):
        await self.free.wait()
        return self.answer(query)


@caught_only_by("test_a_closed_source_answers_nothing_at_once_either")
class AnswersAtOnceWhenClosed(Reference):
    @hookimpl
    def fetch_now(self, query):
        return self.answer(query)


@caught_only_by("test_health_fails_if_the_source_is_not_open")
class HealthyWhenClosed(Reference):
    @hookimpl
    async def health(self):
        self.check_backend()


# -- without its backend ------------------------------------------------------------------------------------------


@caught_only_by("test_health_fails_while_the_backend_is_gone")
class HealthyWithoutBackend(Reference):
    @hookimpl
    async def health(self):
        self.check_open()


@caught_only_by("test_health_fails_while_the_backend_is_gone")
class NeverHealthyAgain(Reference):
    def check_backend(self):
        self.was_gone = getattr(self, "was_gone", False) or self.is_gone
        super().check_backend()

    @hookimpl
    async def health(self):
        await super().health()
        if getattr(self, "was_gone", False):
            raise SourceFault("the backend was gone")


class NothingIfGone(Reference):
    """Takes a backend that is gone for one without records."""

    @hookimpl
    async def fetch(self, query):
        self.check_open()
        await self.free.wait()
        return self.find_nothing() if self.is_gone else self.answer(query)


@caught_only_by("test_a_backend_that_is_gone_is_no_empty_page")
class EmptyPageIfGone(NothingIfGone):
    def find_nothing(self):
        return Page(records=[], total=0)


@caught_only_by("test_a_backend_that_is_gone_is_no_empty_page")
class NotFoundIfGone(NothingIfGone):
    def find_nothing(self):
        raise NotFound("no such customer")


@caught_only_by("test_a_backend_that_is_gone_is_no_empty_page")
class EmptyPageAtOnceIfGone(Reference):
    @hookimpl
    def fetch_now(self, query):
        self.check_open()
        return Page(records=[], total=0) if self.is_gone else None


# -- cancelled queries --------------------------------------------------------------------------------------------


@caught_only_by("test_a_question_that_is_given_up_has_no_other_answer")
class NothingIfTooLate(Reference):
    """Takes a cancellation for the end of the records, but only on the way, not while the backend hangs."""

    @hookimpl
    async def fetch(self, query):
        self.check_open()
        await self.free.wait()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            return Page(records=[], total=0)
        return self.answer(query)


@caught_only_by("test_a_hanging_question_ends_as_cancelled_within_half_a_second")
class RightButTooLate(Reference):
    """Swallows the cancellation while the backend hangs."""

    @hookimpl
    async def fetch(self, query):
        with suppress(asyncio.CancelledError):
            return await super().fetch(query)
        self.check_open()
        return self.answer(query)


@caught_only_by("test_a_hanging_question_ends_as_cancelled_within_half_a_second")
class CleansUpSlowly(Reference):
    @hookimpl
    async def fetch(self, query):
        if not self.is_open:
            raise SourceFault("not open")
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.7)
            raise
        return await super().fetch(query)
