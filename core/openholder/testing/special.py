"""The contract for other rows than the kit's own: long lists, types, empty and broken values, and changes."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from openholder.contract.collections import COLLECTIONS as STANDARD
from openholder.errors import SharingRefused, SourceFault, SourceUnavailable
from openholder.query import Filter, Query
from openholder.testing.base import ContractBase, with_source
from openholder.testing.comparing import Reader, identify
from openholder.testing.harness import SourceUnderTest, failures_naming, logging_to
from openholder.testing.queries import (
    ABSENT,
    AMOUNTS,
    LISTS,
    MOMENTS,
    MORE_THAN_ALLOWED,
    build_filtered_queries,
    build_owner_query,
    list_owner_ids,
)
from openholder.testing.sample_rows import BUSY, Rows, copy_rows
from openholder.testing.special_rows import (
    BROKEN,
    LONG,
    change_rows,
    list_growing,
    make_broken_rows,
    make_many_rows,
    make_rows_with_text,
    make_typed_rows,
)

NUL = "a\0b"
UNREADABLE = (
    ("banking.transactions", "amount", AMOUNTS),
    ("banking.transactions", "postingDateTime", MOMENTS),
    ("banking.accounts", "isOwned", ABSENT),
    ("banking.instalment_plans", "schedule", LISTS),
)
"""A member that is no text, and filters that read it."""
CHANGE_TIME = 0.05
"""Seconds between two looks whether a change has arrived."""


class SpecialRowTests(ContractBase):
    """Long lists, types, empty and broken values, and changes while the source is open."""

    typed: ClassVar[bool] = False
    """True if `make_source` also takes `Decimal`, ``bool``, `datetime`, `date` and lists where the source has types."""
    any_text: ClassVar[bool] = True
    """True if every member can hold any text. False if the backend has types, and refuses an amount that is none."""
    nul_text: ClassVar[bool] = True
    """True if text can hold a NUL character. False if the backend refuses it."""

    def change_rows(self, source: object, rows: Rows) -> None:
        """Replace the rows behind an open source, as another program would, to find caches that are stale. Optional.

        Args:
            source: The open source, as `make_source` returned it.
            rows: The new rows of every collection, in the form that `make_source` takes.

        Raises:
            NotImplementedError: A subclass did not implement this method. The test is skipped.
        """
        raise NotImplementedError("change_rows(source, rows) is not implemented")

    # -- collections --------------------------------------------------------------------------------------------

    @with_source
    async def test_it_names_no_collection_that_it_does_not_serve(self, source: SourceUnderTest) -> None:
        """Fail if ``collections()`` names a collection without rows: the server would offer its operations."""
        surplus = sorted(source.get_collections() & STANDARD.keys() - set(self.collections))
        assert not surplus, f"collections() names {surplus!r}, of which the source has no rows"

    @with_source
    async def test_lists_come_without_documents(self, source: SourceUnderTest) -> None:
        """Fail if a list has documents, which only `Query.document` asks for: its records would be megabytes."""
        for collection in self._require_any(["fdx.statements"]):
            for owner in list_owner_ids(collection):
                query = build_owner_query(collection, owner)
                records = (await source.fetch(query)).records
                with failures_naming(query):
                    assert not any(row.get("document") for row in records), "documents that the query does not ask for"

    # -- long lists ---------------------------------------------------------------------------------------------

    def test_more_than_a_thousand_records_of_one_owner_all_come(self, tmp_path: Path) -> None:
        """Fail if a list of 2,100 records is not complete, by pages and at once.

        A limit of the source's own cuts it unseen.
        """
        collection = self._require_any(list_growing(self.collections))[0]
        self._run_with_source(tmp_path, partial(self._check_long_list, collection), rows=make_many_rows(collection))

    async def _check_long_list(self, collection: str, source: SourceUnderTest) -> None:
        query = build_owner_query(collection, list_owner_ids(collection)[0])
        await self._check_query(source, query)
        for offset, limit in ((0, MORE_THAN_ALLOWED), (MORE_THAN_ALLOWED - 2, 1000), (LONG - 1, 1000), (0, LONG)):
            await self._check_query(source, replace(query, offset=offset, limit=limit))

    # -- values -------------------------------------------------------------------------------------------------

    def test_values_of_types_come_back_as_such_text(self, tmp_path: Path) -> None:
        """Fail if `Decimal`, ``bool``, `datetime`, `date` or lists are not filtered, ordered and returned like text.

        A time may come back with another offset; never as a `datetime` object. Needs `typed`.
        """
        if not self.typed:
            pytest.skip("`typed` is False: unproven that columns with types are filtered and returned right")
        typed = make_typed_rows([name for name in self.collections if name != "fdx.statements"])
        self._run_with_source(tmp_path, self._check_typed, rows=typed)

    async def _check_typed(self, source: SourceUnderTest) -> None:
        self._other_rows = {}  # what is expected is the text
        for query in self._list_owner_queries():
            reader = replace(self._make_reader(query.collection), exact=False)
            expected = {identify(query.collection, row): row for row in self._select_expected(query).records}
            for record in (await source.fetch(query)).records:
                with failures_naming(query):
                    want, have = reader.read(expected[identify(query.collection, record)]), _read(reader, record)
                    wrong = sorted(name for name in {*want, *have} if want.get(name) != have.get(name))
                    assert not wrong, f"members {wrong!r} have other values than their text"
        cases = (MOMENTS, AMOUNTS, ABSENT, LISTS)
        for collection, filters in ((name, found) for each in cases for name, found in each.items()):
            for found in filters.values() if collection in self.collections else ():
                for query in build_filtered_queries(collection, found):
                    await self._check_query(source, query)

    def test_empty_texts_break_nothing(self, tmp_path: Path) -> None:
        """Fail if an empty text comes back as anything but empty or absent, or if an empty id is somebody's."""
        for name in self._require_any(["customers", "banking.transactions", "banking.payees", "banking.accounts"]):
            folder = tmp_path / name
            folder.mkdir()
            body = partial(self._check_texts, name, "")
            self._run_with_source(folder, body, rows=make_rows_with_text(name, ""))

    def test_a_nul_in_a_text_comes_back(self, tmp_path: Path) -> None:
        """Fail if a text is cut at a NUL character: two texts that differ after it would be one. See `nul_text`."""
        if not self.nul_text:
            pytest.skip("`nul_text` is False: unproven that texts are not cut at a NUL character")
        name = self._require_any(["customers", "banking.transactions", "banking.payees", "banking.accounts"])[0]
        self._run_with_source(tmp_path, partial(self._check_texts, name, NUL), rows=make_rows_with_text(name, NUL))

    @with_source
    async def test_a_nul_or_nothing_in_a_question_finds_nothing(self, source: SourceUnderTest) -> None:
        """Fail if an empty id, or one with a NUL after that of somebody, finds records or is an error.

        Cut at the NUL, the id would be that of another person.
        """
        for collection in self._list_owner_collections():
            for owner in ("", f"{BUSY}\0", "\0", f"{BUSY}\0x"):
                await self._check_query(source, build_owner_query(collection, owner))
        if "banking.transactions" in self.collections:
            text = Filter("description", "contains", "\0", otherwise=("reference",))
            await self._check_query(source, build_owner_query("banking.transactions", BUSY, text))

    async def _check_texts(self, collection: str, text: str, source: SourceUnderTest) -> None:
        for owner in list_owner_ids(collection):
            query = build_owner_query(collection, owner)
            await self._check_query(source, query)
            expected = {identify(collection, row): row for row in self._select_expected(query).records}
            for record in (await source.fetch(query)).records:
                want = expected[identify(collection, record)]
                wrong = [key for key, value in want.items() if value == text and (record.get(key) or "") != text]
                with failures_naming(query):
                    assert not wrong, f"members {wrong!r} are {record.get(wrong[0])!a}, expected {text!a}"

    # -- values that cannot be read -----------------------------------------------------------------------------

    def test_a_value_that_cannot_be_read_is_a_fault_that_does_not_quote_it(self, tmp_path: Path) -> None:
        """Fail if a filter that cannot read a value does not raise `SourceFault`, or if text or log have the value.

        Without that record, the answer would look complete; and logs are no place for customer data. See
        `any_text`.
        """
        if not self.any_text:
            pytest.skip("`any_text` is False: unproven that values that cannot be read are told without quoting them")
        self._require_any([name for name, _, _ in UNREADABLE])
        for number, (name, member, cases) in enumerate(UNREADABLE):
            if name in self.collections:
                folder = tmp_path / str(number)
                folder.mkdir()
                filters = next(found for found in cases[name].values() if any(one.member == member for one in found))
                self._check_unreadable(folder, name, member, build_owner_query(name, BUSY, *filters))

    def _check_unreadable(self, folder: Path, collection: str, member: str, query: Query) -> None:
        output = io.StringIO()
        body = partial(self._fetch_unreadable, query)
        with redirect_stdout(output), redirect_stderr(output), logging_to(logging.StreamHandler(output)):
            try:
                self._run_with_source(folder, body, rows=make_broken_rows(collection, member))
            except AssertionError as exc:  # `open` may refuse such rows
                assert BROKEN not in str(exc), f"an error quotes the value of {member!r}"
                if not isinstance(exc.__cause__, SourceFault | SourceUnavailable):
                    raise
        assert BROKEN not in output.getvalue(), f"printed or logged the value of {member!r}"

    async def _fetch_unreadable(self, query: Query, source: SourceUnderTest) -> None:
        with failures_naming(query):
            try:
                page = await source.fetch_unchecked(query)
            except (SourceFault, SourceUnavailable, SharingRefused) as exc:
                assert BROKEN not in str(exc), "the message contains the value that cannot be read"
            else:
                pytest.fail(f"a filter that cannot read a value gave {page.total} records, expected SourceFault")

    # -- changes ------------------------------------------------------------------------------------------------

    @with_source
    async def test_a_change_of_the_rows_is_seen(self, source: SourceUnderTest) -> None:
        """Fail if an answer is still as before, `patience` seconds after the rows have changed.

        A cache that outlives a change shares what a customer has corrected or withdrawn. Needs `change_rows`.
        """
        queries = [replace(query, limit=limit) for query in self._list_longest_queries() for limit in (None, 2)]
        for query in queries:
            await source.fetch(query)
        kit = copy_rows(self.collections, documents=self.documents)
        self._other_rows = {name: change_rows(rows, name) for name, rows in kit.items()}
        try:
            await asyncio.to_thread(self.change_rows, source.plugin, self._copy_other_rows())
        except NotImplementedError:
            pytest.skip("`change_rows` is not implemented: unproven that no cache outlives a change of the rows")
        for query in queries:
            await self._wait_until_seen(source, query)

    async def _wait_until_seen(self, source: SourceUnderTest, query: Query) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.patience
        while True:
            try:
                await self._check_query(source, query)
                await self._check_changed(source, query)
            except AssertionError:
                if loop.time() > end:
                    raise AssertionError(f"still as before {self.patience:g} s after the rows were changed") from None
            else:
                return
            await asyncio.sleep(CHANGE_TIME)

    async def _check_changed(self, source: SourceUnderTest, query: Query) -> None:
        expected = {identify(query.collection, row): row for row in self._select_expected(query).records}
        for record in (await source.fetch(query)).records:
            want = expected.get(identify(query.collection, record), {})
            assert all(record.get(key) == value for key, value in want.items() if value == "changed")


def _read(reader: Reader, record: Mapping[str, Any]) -> Mapping[str, object]:
    """Read a record, whose times must be text."""
    objects = sorted(name for name, value in record.items() if hasattr(value, "isoformat"))
    assert not objects, f"members {objects!r} are objects, expected text such as 2026-06-15T12:00:00Z"
    return reader.read(record)
