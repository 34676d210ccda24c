"""The contract of answers: whose records come, which of them, and with which values."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from openholder.query import Query, Row
from openholder.testing.base import LOGINS, ContractBase
from openholder.testing.comparing import identities, identity
from openholder.testing.questions import (
    ABSENT,
    AMOUNTS,
    LISTS,
    MOMENTS,
    TEXTS,
    UNKNOWN,
    by_email,
    of_several,
    one_link,
    owned,
    owner_of,
    several_links,
    statement,
)
from openholder.testing.rows import ACCOUNT_IDS, BUSY, EMAILS, IDS
from openholder.testing.rows import AMOUNTS as AMOUNT_MEMBERS
from openholder.testing.running import Asked, about

STATEMENTS = "fdx.statements"
SEVERAL = ("banking.transactions", "energy.invoices", "banking.direct_debits", "balances")
ORDERED = ("banking.transactions", "energy.invoices")
MANY = 1000
"""Accounts that one question may name."""
ALIKE = ("12", "012", "12.0", "12 ", "10", "1e1", "A1", "a1", "a_1", "ab1")


class AnswerTests(ContractBase):
    """Whose records come, which of them, and with which values."""

    # -- whose --------------------------------------------------------------------------------------------------

    def test_an_unknown_id_has_no_records(self, tmp_path: Path) -> None:
        """Neither a fault nor anybody's records."""

        async def scenario(source: Asked) -> None:
            for collection in self._owned_collections():
                for unknown in UNKNOWN:
                    await self._check(source, owned(collection, unknown))

        self._play(tmp_path, scenario)

    def test_records_of_others_never_come(self, tmp_path: Path) -> None:
        """The most that can go wrong: another customer's data."""

        async def scenario(source: Asked) -> None:
            for query in self._questions():
                found = set(identities(query.collection, (await source.ask(query)).records))
                foreign = found - set(identities(query.collection, self._expected(query).records))
                with about(query):
                    assert not foreign, f"records that were not asked for: {sorted(foreign)[:3]!r}"

        self._play(tmp_path, scenario)

    def test_every_record_of_an_owner_comes(self, tmp_path: Path) -> None:
        """A record left out is an answer that looks complete."""

        async def scenario(source: Asked) -> None:
            for query in self._questions():
                found = set(identities(query.collection, (await source.ask(query)).records))
                lost = set(identities(query.collection, self._expected(query).records)) - found
                with about(query):
                    assert not lost, f"records that are missing: {sorted(lost)[:3]!r}"

        self._play(tmp_path, scenario)

    def test_no_record_comes_twice(self, tmp_path: Path) -> None:
        """As a join does it."""

        async def scenario(source: Asked) -> None:
            for query in self._questions():
                counted = Counter(identities(query.collection, (await source.ask(query)).records))
                twice = [one for one, count in counted.items() if count > 1]
                with about(query):
                    assert not twice, f"records that come more than once: {twice[:3]!r}"

        self._play(tmp_path, scenario)

    def test_ids_are_texts_and_no_numbers(self, tmp_path: Path) -> None:
        """012 is not 12, nor is A1 a1."""

        async def scenario(source: Asked) -> None:
            for owner in ALIKE:
                for collection in self._owned_collections():
                    await self._check_owner(source, owned(collection, owner), owner)
                for collection in self._chosen():
                    await self._check_owner(source, of_several(collection, (owner,)), owner)

        self._play(tmp_path, scenario)

    def _chosen(self) -> list[str]:
        """The collections that are asked for the records of several accounts."""
        return [name for name in SEVERAL if name in self.collections]

    async def _check_owner(self, source: Asked, query: Query, owner: str) -> None:
        _, member = owner_of(query.collection)
        records = (await source.ask(query)).records
        named = {str(record.get(member)) for record in records}
        with about(query):
            assert named <= {owner}, f"{member} is {sorted(named)!r}"
            assert bool(records) == bool(self._expected(query).records), "no records of an id that has some"

    def test_an_account_is_its_customers_and_no_others(self, tmp_path: Path) -> None:
        """How the host asks who may see an account."""
        self._served(["accounts"])

        async def scenario(source: Asked) -> None:
            for customer_id in IDS:
                for account_id in ACCOUNT_IDS:
                    await self._check(source, one_link(customer_id, account_id))
                await self._check(source, several_links(customer_id, ACCOUNT_IDS))

        self._play(tmp_path, scenario)

    def test_a_thousand_accounts_can_be_asked_for_at_once(self, tmp_path: Path) -> None:
        """And one: ``in`` with ids that are there and ids that are not."""
        many = [f"none-{number}" for number in range(MANY)]
        many[:: -(MANY // len(IDS) + 1)] = (
            IDS  # the last one, and all over: each lot of a source that asks in lots has some
        )

        async def scenario(source: Asked) -> None:
            collections = self._served(SEVERAL)
            for collection in collections:
                for account_ids in ((BUSY,), ("nobody",), IDS[:3], IDS[3:]):
                    await self._check(source, of_several(collection, account_ids))
            await self._check(source, of_several(collections[0], many))

        self._play(tmp_path, scenario)

    def test_the_records_of_several_accounts_are_one_list(self, tmp_path: Path) -> None:
        """Ordered and cut into pages as a whole, not account by account."""

        async def scenario(source: Asked) -> None:
            for collection in self._served(ORDERED):
                for limit, offset in ((2, 0), (3, 4), (10, 30)):
                    query = of_several(collection, IDS[::-1])
                    await self._check(source, replace(query, limit=limit, offset=offset))

        self._play(tmp_path, scenario)

    def test_email_addresses_match_in_either_case_of_a_to_z_and_no_other(self, tmp_path: Path) -> None:
        """Wider folding makes two people's addresses one."""
        addresses = (*EMAILS, EMAILS[0].upper(), "kim@example.co", "im@example.com", "%", "JOSE@EXAMPLE.COM")

        async def scenario(source: Asked) -> None:
            for collection in self._served(["customers", LOGINS]):
                for address in addresses:
                    await self._check(source, by_email(collection, address))

        self._play(tmp_path, scenario)

    # -- which --------------------------------------------------------------------------------------------------

    def test_times_are_compared_as_moments_whatever_their_offset(self, tmp_path: Path) -> None:
        """The first member that has a value counts, then what the question puts in its place."""
        self._play(tmp_path, lambda source: self._check_cases(source, MOMENTS))

    def test_amounts_are_compared_as_exact_numbers(self, tmp_path: Path) -> None:
        """9 is less than 10, and what a float would round is not."""
        self._play(tmp_path, lambda source: self._check_cases(source, AMOUNTS))

    def test_texts_are_compared_letter_by_letter(self, tmp_path: Path) -> None:
        """No signs stand for others, no two letters are the same."""
        self._play(tmp_path, lambda source: self._check_cases(source, TEXTS))

    def test_absent_members_count_as_what_the_question_says(self, tmp_path: Path) -> None:
        """An account without a status is open."""
        self._play(tmp_path, lambda source: self._check_cases(source, ABSENT))

    def test_lists_are_searched_for_an_object_of_that_kind(self, tmp_path: Path) -> None:
        """``some`` and ``none``, with lists that are empty or absent, and objects that lack the member."""
        self._play(tmp_path, lambda source: self._check_cases(source, LISTS))

    # -- with which values --------------------------------------------------------------------------------------

    def test_members_come_back_as_they_were_put_in(self, tmp_path: Path) -> None:
        """Whatever letters there are, and nothing where there was nothing."""

        async def scenario(source: Asked) -> None:
            for query in self._questions():
                await self._check_values(source, query, self._reader(query.collection).columns)

        self._play(tmp_path, scenario)

    def test_amounts_are_exact(self, tmp_path: Path) -> None:
        """Money is never rounded: text, whole numbers and decimals hold it, floats do not."""

        async def scenario(source: Asked) -> None:
            for query in self._questions():
                await self._check_values(source, query, AMOUNT_MEMBERS)

        self._play(tmp_path, scenario)

    async def _check_values(self, source: Asked, query: Query, members: frozenset[str]) -> None:
        meant = {identity(query.collection, record): record for record in self._expected(query).records}
        for record in (await source.ask(query)).records:
            with about(query):
                self._check_record(query.collection, record, meant[identity(query.collection, record)], members)

    def _check_record(self, collection: str, found: Row, meant: Row, members: frozenset[str]) -> None:
        reader = replace(self._reader(collection), columns=self._reader(collection).columns & members)
        have, want = reader.read(found), reader.read(meant)
        wrong = [name for name in sorted(reader.columns) if have.get(name) != want.get(name)]
        first = wrong[0] if wrong else ""
        assert not wrong, f"member {first!r} is {have.get(first)!a}, not {want.get(first)!a}"

    def test_documents_come_only_when_they_are_asked_for(self, tmp_path: Path) -> None:
        """They may be large."""
        if not self.documents:
            pytest.skip("has no documents")
        self._served([STATEMENTS])

        async def scenario(source: Asked) -> None:
            for row in self._rows(STATEMENTS):
                await self._check_document(source, row, wanted=True)
                await self._check_document(source, row, wanted=False)

        self._play(tmp_path, scenario)

    async def _check_document(self, source: Asked, row: Row, *, wanted: bool) -> None:
        query = statement(row["accountId"], row["statementId"], document=wanted)
        records = (await source.ask(query)).records
        with about(query):
            assert len(records) == 1, f"{len(records)} records, not one"
            assert records[0].get("document") == (row["document"] if wanted else None), f"asked for it: {wanted}"
