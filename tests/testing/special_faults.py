"""Sources that go wrong with other rows than the kit's own: long, typed, empty, broken or changed ones."""

from __future__ import annotations

import logging
from dataclasses import replace

from openholder import Page, SourceFault, hookimpl
from testing.conduct_faults import caught_only_by
from testing.reference import Reference

BROKEN_DIGITS = "1987"
"""A part of the value that the kit puts where none of that kind belongs."""


@caught_only_by("test_it_names_no_collection_that_it_does_not_serve")
class NamesTooMany(Reference):
    @hookimpl
    def collections(self):
        return [*self.rows, "energy.concessions"]


@caught_only_by("test_lists_come_without_documents")
class DocumentsInLists(Reference):
    def return_record(self, record, query):
        is_list = len(query.filters) == 1
        return super().return_record(record, replace(query, document=query.document or is_list))


@caught_only_by("test_more_than_a_thousand_records_of_one_owner_all_come")
class AThousandAtMost(Reference):
    def answer(self, query):
        page = super().answer(query)
        return replace(page, records=page.records[:1000])


@caught_only_by("test_more_than_a_thousand_records_of_one_owner_all_come")
class CountsToAThousand(Reference):
    def answer(self, query):
        page = super().answer(query)
        return replace(page, total=min(page.total, 1000))


@caught_only_by("test_values_of_types_come_back_as_such_text")
class OffsetsOfTypesLost(Reference):
    def write_value(self, value):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}" if hasattr(value, "hour") else super().write_value(value)


@caught_only_by("test_values_of_types_come_back_as_such_text")
class TypesRounded(Reference):
    def write_value(self, value):
        return super().write_value(round(value, 1) if hasattr(value, "quantize") else value)


@caught_only_by("test_values_of_types_come_back_as_such_text")
class NegatedTruths(Reference):
    def write_value(self, value):
        return super().write_value(not value if isinstance(value, bool) else value)


@caught_only_by("test_empty_texts_break_nothing")
class FaultOfEmptyText(Reference):
    def return_record(self, record, query):
        if "" in record.values():
            raise SourceFault("an empty text")
        return super().return_record(record, query)


@caught_only_by("test_a_nul_in_a_text_comes_back")
class CutsAtNul(Reference):
    def write_value(self, value):
        return value.partition("\0")[0] if isinstance(value, str) else super().write_value(value)


@caught_only_by("test_a_nul_or_nothing_in_a_question_finds_nothing")
class CutsQuestionsAtNul(Reference):
    def answer(self, query):
        cut = [
            replace(one, value=one.value.partition("\0")[0]) if isinstance(one.value, str) else one
            for one in query.filters
        ]
        return super().answer(replace(query, filters=tuple(cut)))


@caught_only_by("test_a_nul_or_nothing_in_a_question_finds_nothing")
class NulIsAFault(Reference):
    def answer(self, query):
        if any("\0" in str(one.value) for one in query.filters):
            raise SourceFault("a NUL character")
        return super().answer(query)


class Unreadable(Reference):
    """Finds values that cannot be read, and does something else than to tell so."""

    def answer(self, query):
        try:
            return super().answer(query)
        except SourceFault:
            rows = self.rows.get(query.collection, ())
            broken = [value for row in rows for value in row.values() if BROKEN_DIGITS in str(value)]
            if not broken:
                raise
            return self.go_on(query, broken[0])


@caught_only_by("test_a_value_that_cannot_be_read_is_a_fault_that_does_not_quote_it")
class LeavesOutTheUnreadable(Unreadable):
    def go_on(self, query, value):
        return Page(records=[], total=0)


@caught_only_by("test_a_value_that_cannot_be_read_is_a_fault_that_does_not_quote_it")
class QuotesTheUnreadable(Unreadable):
    def go_on(self, query, value):
        raise SourceFault(f"{value!r} cannot be read")


@caught_only_by("test_a_value_that_cannot_be_read_is_a_fault_that_does_not_quote_it")
class LogsTheUnreadable(Unreadable):
    def go_on(self, query, value):
        logging.getLogger("a.plugin").error("cannot read %s", value)
        raise SourceFault("a value cannot be read")


@caught_only_by("test_a_change_of_the_rows_is_seen")
class KeepsAnswers(Reference):
    def __init__(self, rows):
        super().__init__(rows)
        self.kept = {}

    def answer(self, query):
        if repr(query) not in self.kept:
            self.kept[repr(query)] = super().answer(query)
        return self.kept[repr(query)]
