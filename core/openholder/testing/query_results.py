"""The contract of results: which records a query returns, and with which values."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from openholder.query import Query, Row
from openholder.testing.base import LOGINS, ContractBase, with_source
from openholder.testing.comparing import identify, identify_all
from openholder.testing.harness import SourceUnderTest, failures_naming
from openholder.testing.queries import (
    ABSENT,
    AMOUNTS,
    LISTS,
    MOMENTS,
    TEXTS,
    UNKNOWN,
    build_accounts_query,
    build_email_query,
    build_filtered_queries,
    build_link_query,
    build_links_query,
    build_owner_query,
    build_statement_query,
    find_owner,
)
from openholder.testing.sample_rows import ACCOUNT_IDS, BUSY, EMAILS, IDS
from openholder.testing.sample_rows import AMOUNTS as AMOUNT_MEMBERS

STATEMENTS = "fdx.statements"
BY_ACCOUNTS = ("banking.transactions", "energy.invoices", "banking.direct_debits", "balances")
"""Collections that are also queried for the records of several accounts at once."""
ORDERED_BY_ACCOUNTS = ("banking.transactions", "energy.invoices")
MANY = 1000
"""The most accounts that one query may name."""
LOOKALIKES = ("12", "012", "12.0", "12 ", "10", "1e1", "A1", "a1", "a_1", "ab1")
"""Ids that are equal as numbers, without case or blanks, or as LIKE patterns."""


class ResultTests(ContractBase):
    """Which records a query returns, and with which values."""

    # -- whose records ------------------------------------------------------------------------------------------

    @with_source
    async def test_an_unknown_id_has_no_records(self, source: SourceUnderTest) -> None:
        """Fail if an unknown owner gives an error or another owner's records, instead of an empty page."""
        for collection in self._list_owner_collections():
            for unknown in UNKNOWN:
                await self._check_query(source, build_owner_query(collection, unknown))

    @with_source
    async def test_records_of_others_never_come(self, source: SourceUnderTest) -> None:
        """Fail if a record of another customer is returned: the worst fault that a source can have."""
        for query in self._list_owner_queries():
            found = set(identify_all(query.collection, (await source.fetch(query)).records))
            expected = set(identify_all(query.collection, self._select_expected(query).records))
            foreign = sorted(found - expected)[:3]
            with failures_naming(query):
                assert not foreign, f"returned records that the query excludes: {foreign!r}"

    @with_source
    async def test_every_record_of_an_owner_comes(self, source: SourceUnderTest) -> None:
        """Fail if a record of the owner is left out: the result looks complete, and nobody will ask."""
        for query in self._list_owner_queries():
            found = set(identify_all(query.collection, (await source.fetch(query)).records))
            expected = set(identify_all(query.collection, self._select_expected(query).records))
            missing = sorted(expected - found)[:3]
            with failures_naming(query):
                assert not missing, f"missing records: {missing!r}"

    @with_source
    async def test_no_record_comes_twice(self, source: SourceUnderTest) -> None:
        """Fail if a record is duplicated, as by a join: a payment would count twice."""
        for query in self._list_owner_queries():
            counted = Counter(identify_all(query.collection, (await source.fetch(query)).records))
            duplicates = [one for one, count in counted.items() if count > 1][:3]
            with failures_naming(query):
                assert not duplicates, f"duplicate records: {duplicates!r}"

    @with_source
    async def test_ids_are_texts_and_no_numbers(self, source: SourceUnderTest) -> None:
        """Fail if ids are not compared as exact text: 012 is another person than 12, and A1 another than a1."""
        by_accounts = [name for name in BY_ACCOUNTS if name in self.collections]
        for owner in LOOKALIKES:
            for collection in self._list_owner_collections():
                await self._check_owner(source, build_owner_query(collection, owner), owner)
            for collection in by_accounts:
                await self._check_owner(source, build_accounts_query(collection, (owner,)), owner)

    async def _check_owner(self, source: SourceUnderTest, query: Query, owner: str) -> None:
        """Check that all records name this very owner, and that there are some if there should be."""
        _, member = find_owner(query.collection)
        records = (await source.fetch(query)).records
        found = {str(record.get(member)) for record in records}
        with failures_naming(query):
            assert found <= {owner}, f"{member} is {sorted(found)!r}, expected {owner!r} only"
            assert bool(records) == bool(self._select_expected(query).records), "no records of an id that has some"

    @with_source
    async def test_an_account_is_its_customers_and_no_others(self, source: SourceUnderTest) -> None:
        """Fail if one of the two filters on ``accounts`` is ignored.

        They decide who may see an account, and both must hold.
        """
        self._require_any(["accounts"])
        for customer_id in IDS:
            for account_id in ACCOUNT_IDS:
                await self._check_query(source, build_link_query(customer_id, account_id))
            await self._check_query(source, build_links_query(customer_id, ACCOUNT_IDS))

    @with_source
    async def test_a_thousand_accounts_can_be_asked_for_at_once(self, source: SourceUnderTest) -> None:
        """Fail if ``in`` does not take one id or a thousand, whether they exist or not.

        A request may name as many accounts.
        """
        many = [f"none-{number}" for number in range(MANY)]
        # Spread the real ids over the list, up to its end: a source that splits long lists finds some in each part.
        step = MANY // len(IDS) + 1
        for number, account_id in enumerate(IDS):
            many[MANY - 1 - number * step] = account_id
        collections = self._require_any(BY_ACCOUNTS)
        for collection in collections:
            for account_ids in ((BUSY,), ("nobody",), IDS[:3], IDS[3:]):
                await self._check_query(source, build_accounts_query(collection, account_ids))
        await self._check_query(source, build_accounts_query(collections[0], many))

    @with_source
    async def test_the_records_of_several_accounts_are_one_list(self, source: SourceUnderTest) -> None:
        """Fail if records of several accounts come account by account.

        They are ordered and cut into pages as one list.
        """
        for collection in self._require_any(ORDERED_BY_ACCOUNTS):
            for limit, offset in ((2, 0), (3, 4), (10, 30)):
                query = build_accounts_query(collection, IDS[::-1])
                await self._check_query(source, replace(query, limit=limit, offset=offset))

    @with_source
    async def test_email_addresses_match_in_either_case_of_a_to_z_and_no_other(self, source: SourceUnderTest) -> None:
        """Fail if ``ieq`` ignores the case of other letters than A-Z: two people's addresses would be equal."""
        addresses = (*EMAILS, EMAILS[0].upper(), "kim@example.co", "im@example.com", "%", "JOSE@EXAMPLE.COM")
        for collection in self._require_any(["customers", LOGINS]):
            for address in addresses:
                await self._check_query(source, build_email_query(collection, address))

    # -- filters ------------------------------------------------------------------------------------------------

    @with_source
    async def test_times_are_compared_as_moments_whatever_their_offset(self, source: SourceUnderTest) -> None:
        """Fail if times are not compared as instants: of the first member that has a value, else of ``absent``.

        As text, 22:00+10:00 is later than 13:00Z, and a day of payments is lost.
        """
        await self._check_filters(source, MOMENTS)
        for collection in self._require_any(MOMENTS):
            filters = next(iter(MOMENTS[collection].values()))
            for query in build_filtered_queries(collection, filters):
                await self._check_query(source, replace(query, order=(), limit=5))

    @with_source
    async def test_amounts_are_compared_as_exact_numbers(self, source: SourceUnderTest) -> None:
        """Fail if amounts are compared as text or rounded.

        As text 9 is more than 10, and a float takes one cent for none.
        """
        await self._check_filters(source, AMOUNTS)

    @with_source
    async def test_texts_are_compared_letter_by_letter(self, source: SourceUnderTest) -> None:
        """Fail if text is not compared by code points.

        With wildcards, folded case or normalisation, a search finds more.
        """
        await self._check_filters(source, TEXTS)

    @with_source
    async def test_absent_members_count_as_what_the_question_says(self, source: SourceUnderTest) -> None:
        """Fail if an absent member does not count as the filter's ``absent``: an account without a status is open."""
        await self._check_filters(source, ABSENT)

    @with_source
    async def test_lists_are_searched_for_an_object_of_that_kind(self, source: SourceUnderTest) -> None:
        """Fail if ``some`` and ``none`` search lists wrongly, also empty or absent ones, and objects without the item.

        A plan that is paid would be an active one.
        """
        await self._check_filters(source, LISTS)

    # -- values -------------------------------------------------------------------------------------------------

    @with_source
    async def test_members_come_back_as_they_were_put_in(self, source: SourceUnderTest) -> None:
        """Fail if a member has another value than its row, in any script, or if an absent member is there.

        The client gets what the source returns: nobody would notice a name that lost its accents.
        """
        for query in self._list_owner_queries():
            await self._check_values(source, query, self._make_reader(query.collection).columns)

    @with_source
    async def test_amounts_are_exact(self, source: SourceUnderTest) -> None:
        """Fail if an amount is rounded: return text, integers or decimals, since a float is another amount of money."""
        for query in self._list_owner_queries():
            await self._check_values(source, query, AMOUNT_MEMBERS)

    async def _check_values(self, source: SourceUnderTest, query: Query, members: frozenset[str]) -> None:
        """Compare the values of some members in all records of a query."""
        collection = query.collection
        expected = {identify(collection, record): record for record in self._select_expected(query).records}
        for record in (await source.fetch(query)).records:
            with failures_naming(query):
                self._check_record(collection, record, expected[identify(collection, record)], members)

    def _check_record(self, collection: str, found: Row, expected: Row, members: frozenset[str]) -> None:
        reader = self._make_reader(collection)
        reader = replace(reader, columns=reader.columns & members)
        have = reader.read(found)
        want = reader.read(expected)
        for name in sorted(reader.columns):
            is_equal = have.get(name) == want.get(name)
            assert is_equal, f"member {name!r} is {have.get(name)!a}, expected {want.get(name)!a}"

    @with_source
    async def test_documents_come_only_when_they_are_asked_for(self, source: SourceUnderTest) -> None:
        """Fail if a document does not come when it is asked for, or comes when it is not: documents may be large.

        Needs `documents`.
        """
        if not self.documents:
            pytest.skip("`documents` is False: unproven that documents come, and only when they are asked for")
        self._require_any([STATEMENTS])
        for row in self._get_rows(STATEMENTS):
            for wanted in (True, False):
                query = build_statement_query(row["accountId"], row["statementId"], document=wanted)
                records = (await source.fetch(query)).records
                expected = row["document"] if wanted else None
                with failures_naming(query):
                    assert len(records) == 1, f"{len(records)} records, expected 1"
                    is_right = records[0].get("document") == expected
                    assert is_right, f"wrong document with Query.document={wanted}"
