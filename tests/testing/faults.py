"""Sources with one fault each, and the name of the test of the kit that must find it."""

from __future__ import annotations

import asyncio
import logging
import random
import unicodedata
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from openholder import Filter, NotFound, Page, SourceFault, hookimpl, select
from testing.reference import Reference

FAULTS = {}


def caught_by(test):
    """Register which test finds the fault of a class."""

    def note(faulty):
        FAULTS[faulty] = test
        return faulty

    return note


class WithOtherFilters(Reference):
    """Changes filters before it applies them."""

    def answer(self, query):
        return super().answer(replace(query, filters=tuple(map(self.change_filter, query.filters))))

    def change_filter(self, condition):
        return condition


class WithOtherPages(Reference):
    """Changes a correct page."""

    def answer(self, query):
        return self.change_page(super().answer(query), query)


class CustomFilter:
    """Acts as a filter: admits what a function returns True for."""

    def __init__(self, function):
        self.admits = function


# -- answering at once ---------------------------------------------------------------------------------------------


@caught_by("test_every_record_of_an_owner_comes")
class StaleAnswerAtOnce(Reference):
    @hookimpl
    def fetch_now(self, query):
        page = self.answer(query)
        return replace(page, records=page.records[:-1])


# -- whose records ------------------------------------------------------------------------------------------------


@caught_by("test_records_of_others_never_come")
class WrongOwner(WithOtherFilters):
    def change_filter(self, condition):
        owner = condition.variable and condition.operator == "eq" and condition.value == "a_1"
        return replace(condition, value="ab1") if owner else condition


@caught_by("test_an_unknown_id_has_no_records")
class EverythingForNobody(Reference):
    def answer(self, query):
        page = super().answer(query)
        return page if page.total else super().answer(replace(query, filters=query.filters[1:]))


@caught_by("test_an_unknown_id_has_no_records")
class FaultForNobody(WithOtherPages):
    def change_page(self, page, query):
        if not page.total:
            raise SourceFault("nothing found")
        return page


@caught_by("test_every_record_of_an_owner_comes")
class LostRow(Reference):
    def __init__(self, rows):
        super().__init__({name: list(found)[:-1] for name, found in rows.items()})


@caught_by("test_no_record_comes_twice")
class DoubledRow(Reference):
    def __init__(self, rows):
        super().__init__({name: [*found, found[0]] for name, found in rows.items()})


@caught_by("test_ids_are_texts_and_no_numbers")
class IdsAsNumbers(WithOtherFilters):
    def change_filter(self, condition):
        if condition.operator != "eq" or not condition.variable:
            return condition
        return CustomFilter(lambda record: parse_number(record[condition.member]) == parse_number(condition.value))


@caught_by("test_ids_are_texts_and_no_numbers")
class IdsInAnyCase(WithOtherFilters):
    def change_filter(self, condition):
        return replace(condition, operator="ieq") if condition.operator == "eq" and condition.variable else condition


@caught_by("test_ids_are_texts_and_no_numbers")
class IdsWithoutBlanks(WithOtherFilters):
    def change_filter(self, condition):
        if not condition.variable or condition.operator != "eq":
            return condition
        return CustomFilter(lambda record: str(record[condition.member]).strip() == condition.value.strip())


@caught_by("test_ids_are_texts_and_no_numbers")
class SeveralIdsInAnyCase(WithOtherFilters):
    def change_filter(self, condition):
        if condition.operator != "in":
            return condition
        return CustomFilter(lambda record: record[condition.member].lower() in [one.lower() for one in condition.value])


def parse_number(value):
    try:
        return float(value)
    except ValueError:
        return value


@caught_by("test_an_account_is_its_customers_and_no_others")
class FirstFilterOnly(Reference):
    def answer(self, query):
        return super().answer(replace(query, filters=query.filters[:1]))


@caught_by("test_an_account_is_its_customers_and_no_others")
class LastFilterOnly(Reference):
    def answer(self, query):
        return super().answer(replace(query, filters=query.filters[-1:]))


@caught_by("test_a_thousand_accounts_can_be_asked_for_at_once")
class FewIdsAtOnce(WithOtherFilters):
    def change_filter(self, condition):
        return replace(condition, value=condition.value[:999]) if condition.operator == "in" else condition


@caught_by("test_the_records_of_several_accounts_are_one_list")
class OneAccountAfterTheOther(Reference):
    def answer(self, query):
        owner = query.filters[0]
        if owner.operator != "in":
            return super().answer(query)
        pages = [super(OneAccountAfterTheOther, self).answer(self.query_account(query, each)) for each in owner.value]
        records = [record for page in pages for record in page.records]
        return Page(records=records[: query.limit], total=sum(page.total for page in pages))

    def query_account(self, query, account_id):
        return replace(query, filters=(Filter("accountId", "eq", account_id), *query.filters[1:]))


@caught_by("test_a_thousand_accounts_can_be_asked_for_at_once")
class LotsEndToEnd(Reference):
    """Splits long lists of ids, and joins the ordered results of the parts without sorting them again."""

    def answer(self, query):
        whole = super().answer(query)
        many = [condition for condition in query.filters if condition.operator == "in" and len(condition.value) > 500]
        if not many:
            return whole
        (condition,) = many
        lots = [set(condition.value[start : start + 500]) for start in range(0, len(condition.value), 500)]
        records = [row for lot in lots for row in whole.records if row[condition.member] in lot]
        return Page(records=records, total=whole.total)


@caught_by("test_every_record_of_an_owner_comes")
class OneRecordForEachId(Reference):
    """Indexes records by id, as if ids were unique across owners."""

    def __init__(self, rows):
        super().__init__(rows)
        payees = {row["payeeId"]: row for row in rows["banking.payees"]}
        self.rows = {**rows, "banking.payees": [payees[row["payeeId"]] for row in rows["banking.payees"]]}


@caught_by("test_email_addresses_match_in_either_case_of_a_to_z_and_no_other")
class FoldsTooMuch(WithOtherFilters):
    fold = staticmethod(str.lower)

    def change_filter(self, condition):
        if condition.operator != "ieq":
            return condition
        return CustomFilter(lambda record: self.fold(record[condition.member]) == self.fold(condition.value))


@caught_by("test_email_addresses_match_in_either_case_of_a_to_z_and_no_other")
class FoldsNothing(FoldsTooMuch):
    fold = staticmethod(str)


@caught_by("test_email_addresses_match_in_either_case_of_a_to_z_and_no_other")
class FoldsAccents(FoldsTooMuch):
    @staticmethod
    def fold(text):
        plain = unicodedata.normalize("NFKD", text.lower())
        return "".join(letter for letter in plain if not unicodedata.combining(letter))


# -- filters ------------------------------------------------------------------------------------------------------


@caught_by("test_times_are_compared_as_moments_whatever_their_offset")
class TimesAsTexts(WithOtherFilters):
    def change_filter(self, condition):
        if condition.operator not in ("ge", "le") or "ime" not in condition.member:
            return condition
        return CustomFilter(lambda record: self.compare_times(condition, record))

    def compare_times(self, condition, record):
        found = next((record[name] for name in condition.members if record[name]), None)
        found = found or (condition.absent.isoformat() if condition.absent else "")
        wanted = condition.value.isoformat()
        return found and (found >= wanted if condition.operator == "ge" else found <= wanted)


@caught_by("test_times_are_compared_as_moments_whatever_their_offset")
class FirstMemberOnly(WithOtherFilters):
    def change_filter(self, condition):
        return replace(condition, otherwise=()) if condition.operator in ("ge", "le") else condition


@caught_by("test_amounts_are_compared_as_exact_numbers")
class AmountsAsFloats(WithOtherFilters):
    def change_filter(self, condition):
        if condition.member != "amount":
            return condition
        limit = float(condition.value)
        if condition.operator == "ge":
            return CustomFilter(lambda record: float(record["amount"]) >= limit)
        return CustomFilter(lambda record: float(record["amount"]) <= limit)


@caught_by("test_texts_are_compared_letter_by_letter")
class Likes(WithOtherFilters):
    def change_filter(self, condition):
        if condition.operator != "contains":
            return condition
        wanted = condition.value.lower()
        return CustomFilter(lambda record: any(wanted in (record[name] or "").lower() for name in condition.members))


@caught_by("test_texts_are_compared_letter_by_letter")
class Normalises(WithOtherFilters):
    def change_filter(self, condition):
        if condition.operator != "contains":
            return condition
        return CustomFilter(lambda record: any(self.holds(record[name], condition.value) for name in condition.members))

    def holds(self, found, wanted):
        return unicodedata.normalize("NFC", wanted) in unicodedata.normalize("NFC", found or "")


@caught_by("test_absent_members_count_as_what_the_question_says")
class IgnoresAbsent(WithOtherFilters):
    def change_filter(self, condition):
        return replace(condition, absent=None)


@caught_by("test_lists_are_searched_for_an_object_of_that_kind")
class NoneIsNotSome(WithOtherFilters):
    def change_filter(self, condition):
        if condition.operator != "none":
            return condition
        return CustomFilter(lambda record: bool(record["schedule"]) and condition.admits(record))


# -- values -------------------------------------------------------------------------------------------------------


@caught_by("test_amounts_are_exact")
class FloatMoney(Reference):
    def return_record(self, record, query):
        amount = record.get("amount")
        return {**super().return_record(record, query), **({"amount": float(amount)} if amount else {})}


@caught_by("test_members_come_back_as_they_were_put_in")
class Mojibake(Reference):
    def return_record(self, record, query):
        record = super().return_record(record, query)
        return record | ({"name": record["name"].encode().decode("latin-1")} if record.get("name") else {})


@caught_by("test_members_come_back_as_they_were_put_in")
class NullAsText(Reference):
    def return_record(self, record, query):
        record = super().return_record(record, query)
        return record | ({"reference": record["reference"] or ""} if "reference" in record else {})


@caught_by("test_members_come_back_as_they_were_put_in")
class OffsetsLost(Reference):
    def return_record(self, record, query):
        record = super().return_record(record, query)
        posted = record.get("postingDateTime")
        return record | ({"postingDateTime": f"{posted[:19]}Z"} if posted else {})


@caught_by("test_documents_come_only_when_they_are_asked_for")
class DocumentsAlways(Reference):
    def return_record(self, record, query):
        return dict(record)


@caught_by("test_documents_come_only_when_they_are_asked_for")
class DocumentsNever(Reference):
    def return_record(self, record, query):
        return super().return_record(record, replace(query, document=False))


# -- order and pages ----------------------------------------------------------------------------------------------


@caught_by("test_the_newest_come_first_and_what_is_equally_new_by_its_id")
class TiesAsTheyCome(Reference):
    def answer(self, query):
        return super().answer(replace(query, order=query.order[:1]))


@caught_by("test_the_newest_come_first_and_what_is_equally_new_by_its_id")
class OrderOfTexts(Reference):
    def answer(self, query):
        return super().answer(replace(query, order=tuple(replace(order, reads="text") for order in query.order)))


@caught_by("test_the_newest_come_first_and_what_is_equally_new_by_its_id")
class OldestFirst(Reference):
    def answer(self, query):
        return super().answer(replace(query, order=tuple(replace(order, descending=False) for order in query.order)))


@caught_by("test_records_without_an_order_come_as_they_were_put_in")
class NewestRowFirst(Reference):
    def answer(self, query):
        rows = self.rows.get(query.collection)
        return select(rows[::-1], query) if rows and not query.document else super().answer(query)


@caught_by("test_the_order_is_the_same_each_time")
class UnstableOrder(Reference):
    def answer(self, query):
        rows = self.rows.get(query.collection)
        return select(random.sample(rows, len(rows)), query) if rows else super().answer(query)


@caught_by("test_an_answer_is_to_its_own_question_and_to_none_before")
class CachesByFilters(Reference):
    def __init__(self, rows):
        super().__init__(rows)
        self.kept = {}

    def answer(self, query):
        key = (query.collection, query.filters, query.offset, query.limit)
        return self.kept.setdefault(key, super().answer(query))


@caught_by("test_the_newest_come_first_and_what_is_equally_new_by_its_id")
class WholeSeconds(Reference):
    """Cuts fractions of seconds off times."""

    def __init__(self, rows):
        transactions = [
            {name: value and value.replace(".5Z", "Z").replace(".000001Z", "Z") for name, value in row.items()}
            for row in rows["banking.transactions"]
        ]
        super().__init__({**rows, "banking.transactions": transactions})


@caught_by("test_filters_count_before_a_list_is_cut_into_pages")
class FiltersThePage(Reference):
    def answer(self, query):
        own = super().answer(replace(query, filters=query.filters[:1]))
        wanted = super().answer(replace(query, offset=0, limit=None))
        return Page(records=[row for row in own.records if row in wanted.records], total=wanted.total)


@caught_by("test_no_page_is_longer_than_its_limit")
class IgnoresLimit(Reference):
    def answer(self, query):
        return super().answer(replace(query, limit=None))


@caught_by("test_no_page_is_longer_than_its_limit")
class OwnLimit(Reference):
    def answer(self, query):
        return super().answer(replace(query, limit=min(query.limit or 20, 20)))


@caught_by("test_the_total_counts_all_pages")
class TotalOfThePage(WithOtherPages):
    def change_page(self, page, query):
        return replace(page, total=len(page.records))


@caught_by("test_the_total_counts_all_pages")
class TotalOfTheRest(WithOtherPages):
    def change_page(self, page, query):
        return replace(page, total=max(page.total - query.offset, 0))


@caught_by("test_pages_follow_one_another_without_gap_or_overlap")
class OffsetFromOne(Reference):
    def answer(self, query):
        return super().answer(replace(query, offset=max(query.offset - 1, 0)))


@caught_by("test_beyond_the_end_a_page_is_empty_and_its_total_is_right")
class LastPageAgain(Reference):
    def answer(self, query):
        page = super().answer(query)
        return page if page.records else super().answer(replace(query, offset=0))


@caught_by("test_beyond_the_end_a_page_is_empty_and_its_total_is_right")
class CountsInThirtyTwoBits(Reference):
    def answer(self, query):
        if query.offset >= 2**31:
            raise OverflowError
        return super().answer(query)


# -- lifecycle ----------------------------------------------------------------------------------------------------


@caught_by("test_hooks_are_known_and_async_where_they_must_be")
class PlainFetch(Reference):
    @hookimpl
    def fetch(self, query):
        return self.answer(query)


@caught_by("test_hooks_are_known_and_async_where_they_must_be")
class Misspelt(Reference):
    @hookimpl
    async def helth(self):
        """Never called."""


@caught_by("test_hooks_are_known_and_async_where_they_must_be")
class Unmarked(Reference):
    async def fetch(self, query):
        return self.answer(query)


@caught_by("test_it_names_the_collections_that_it_serves")
class NamesTooFew(Reference):
    @hookimpl
    def collections(self):
        return list(self.rows)[1:]


@caught_by("test_a_collection_that_is_not_served_is_a_fault_and_no_empty_page")
class EmptyPageOfTheUnknown(Reference):
    def answer(self, query):
        return super().answer(query) if query.collection in self.rows else Page(records=(), total=0)


@caught_by("test_a_collection_that_is_not_served_is_a_fault_and_no_empty_page")
class UnknownIsNotFound(Reference):
    def answer(self, query):
        if query.collection not in self.rows:
            raise NotFound
        return super().answer(query)


@caught_by("test_it_is_healthy_while_it_is_open")
class NeverHealthy(Reference):
    @hookimpl
    async def health(self):
        raise SourceFault("unhealthy")


@caught_by("test_an_operator_that_is_not_known_is_a_fault")
class IgnoresUnknownOperators(Reference):
    def answer(self, query):
        known = [condition for condition in query.filters if " " not in condition.operator]
        return super().answer(replace(query, filters=tuple(known)))


@caught_by("test_a_collection_that_is_not_served_is_a_fault_and_no_empty_page")
class UnknownIsKeyError(Reference):
    def answer(self, query):
        self.rows[query.collection]
        return super().answer(query)


@caught_by("test_a_collection_that_is_not_served_is_a_fault_and_no_empty_page")
class FaultsQuoteTheQuery(Reference):
    def answer(self, query):
        if query.collection not in self.rows:
            raise SourceFault(f"nothing for {query.filters}")
        return super().answer(query)


@caught_by("test_it_is_healthy_while_it_is_open")
class HealthKeepsAConnection(Reference):
    left = 8

    @hookimpl
    async def health(self):
        self.left -= 1
        if not self.left:
            raise SourceFault("no connection left")


@caught_by("test_closing_one_source_leaves_others_of_its_kind_alone")
class StateOfTheClass(Reference):
    shared: ClassVar = {}

    @hookimpl
    async def open(self):
        await super().open()
        self.shared["rows"] = self.rows

    @hookimpl
    async def close(self):
        self.shared.clear()

    def answer(self, query):
        if not self.shared:
            raise SourceFault("not open")
        return super().answer(query)


@caught_by("test_nothing_of_anybody_is_printed_or_logged")
class Prints(WithOtherPages):
    def change_page(self, page, query):
        print(page)  # noqa: T201
        return page


@caught_by("test_nothing_of_anybody_is_printed_or_logged")
class Logs(WithOtherPages):
    def change_page(self, page, query):
        logging.getLogger("a.plugin").info("found %s", page)
        return page


@caught_by("test_closing_twice_is_fine")
class ClosesOnlyOnce(Reference):
    @hookimpl
    async def close(self):
        self.check_open()
        self.is_open = False


@caught_by("test_it_can_be_closed_without_having_been_opened")
class ClosesOnlyWhatWasOpened(Reference):
    @hookimpl
    async def close(self):
        self.free.set()
        self.is_open = False


@caught_by("test_it_can_be_opened_again")
class OpensOnlyOnce(Reference):
    @hookimpl
    async def open(self):
        if self.free:
            raise SourceFault("was open already")
        await super().open()


@caught_by("test_advice_is_given_in_sentences")
class AdviceOfOneText(Reference):
    @hookimpl
    async def advice(self, query):
        return "make an index"


@caught_by("test_questions_at_the_same_time_have_each_their_own_answer")
class OneQueryAtATime(Reference):
    @hookimpl
    async def fetch(self, query):
        self.query = query
        await asyncio.sleep(0)
        return self.answer(self.query)


@caught_by("test_questions_at_the_same_time_have_each_their_own_answer")
class OneListForAll(WithOtherPages):
    def change_page(self, page, query):
        self.records = getattr(self, "records", [])
        self.records[:] = page.records
        return replace(page, records=self.records)


@caught_by("test_a_question_that_is_given_up_ends")
class IgnoresOneCancellation(Reference):
    @hookimpl
    async def fetch(self, query):
        try:
            return await super().fetch(query)
        except asyncio.CancelledError:
            await asyncio.sleep(3600)


@caught_by("test_a_question_that_is_given_up_ends")
class NeverCancellable(Reference):
    @hookimpl
    async def fetch(self, query):
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)


@caught_by("test_a_question_that_is_given_up_ends")
class FaultWhenCancelled(Reference):
    @hookimpl
    async def fetch(self, query):
        try:
            return await super().fetch(query)
        except asyncio.CancelledError:
            raise SourceFault("cancelled") from None


@caught_by("test_a_question_that_was_given_up_leaves_the_source_usable")
class LeakyPool(Reference):
    @hookimpl
    async def open(self):
        await super().open()
        self.places = asyncio.Semaphore(4)

    @hookimpl
    async def fetch(self, query):
        await self.places.acquire()
        page = await super().fetch(query)
        self.places.release()
        return page


@caught_by("test_a_question_that_hangs_can_be_given_up")
class ShieldsItsWork(Reference):
    @hookimpl
    async def fetch(self, query):
        task = asyncio.ensure_future(super().fetch(query))
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(task)
        return task.result()


@caught_by("test_every_record_of_an_owner_comes")
class NeverEnds(Reference):
    @hookimpl
    async def fetch(self, query):
        await asyncio.Event().wait()
