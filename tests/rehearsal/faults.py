"""The faults: each changes one thing, and says by which rule it must be found, on which operations."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl, urlencode

from rehearsal.proxy import Call, Change, nothing

ACCOUNTS, DETAIL = "listBankingAccountsSpecific", "getBankingAccount"
BALANCES, BALANCE = "listBankingBalancesSpecific", "getBankingBalance"
TRANSACTION = "getBankingTransaction"
TRANSACTIONS, PAYEES, PAYEE = "listBankingTransactions", "listPayees", "getPayee"
DEBITS, BULK_DEBITS = "listBankingDirectDebits", "listBankingDirectDebitsSpecific"
STARTER, SEARCH, CUSTOMER, CONSENT = "getStarterBalance", "searchCustomers", "getCustomerDetails", "listConsentAccounts"
FDX_ACCOUNTS, FDX_TRANSACTIONS = "fdxFetchSpecificAccounts", "fdxListTransactions"
ROBIN = "robin.citizen@example.com"
OWNERS = {"acc-2001": "cust-1001", "acc-2002": "cust-1001", "acc-2008": "cust-1003", "acc-2049": "cust-1003"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a server."""

    name: str
    rule: str
    operations: tuple[str, ...] = (TRANSACTIONS,)
    answer: Change = nothing
    ask: Change = nothing
    delay: Callable[[Call], float] = field(default=lambda _: 0)


FAULTS: list[Fault] = []
SEEN: dict[str, Any] = {}
"""What a server answered somebody, and answers others."""


def fault(rule: str, *operations: str, on_request: bool = False) -> Callable[[Change], Change]:
    """Add a change to the table: to responses, or requests, of these operations."""

    def add_fault(change: Change) -> Change:
        def change_call(call: Call) -> None:
            if not operations or call.name in operations:
                change(call)

        name = change.__name__.replace("_", " ")
        changes = {"ask": change_call} if on_request else {"answer": change_call}
        FAULTS.append(Fault(name, rule, operations or (TRANSACTIONS,), **changes))
        return change

    return add_fault


def query_of(call: Call) -> dict[str, str]:
    return dict(parse_qsl(call.query))


def edit_records(call: Call, member: str, change: Callable[[Any], Any]) -> None:
    """Edit a member of each record that has it."""
    call.with_records([{**row, member: change(row[member])} if member in row else row for row in call.records])


def put(call: Call, path: str, value: Any) -> None:
    """Set what stands at a path of the answer; None removes it."""
    if call.status != 200:
        return
    content = place = call.json
    *parents, last = path.split(".")
    for name in parents:
        place = place[name]
    place.pop(last, None)
    if value is not None:
        place[last] = value
    call.json = content


# -- lists --------------------------------------------------------------------------------------------------------


@fault("total-records", TRANSACTIONS)
def the_last_record_of_the_last_page_is_dropped(call: Call) -> None:
    if call.records and "next" not in call.json["links"]:
        call.with_records(call.records[:-1])


@fault("page-size", TRANSACTIONS)
def a_record_in_the_middle_is_dropped(call: Call) -> None:
    if "next" in (call.json.get("links") or ()):
        call.with_records(call.records[:3] + call.records[4:])


@fault("records-once", TRANSACTIONS)
def a_record_comes_twice(call: Call) -> None:
    if len(call.records) > 2:
        call.with_records([call.records[0], *call.records[:-1]])


@fault("pages-match-list", TRANSACTIONS)
def what_falls_between_two_pages_is_lost_with_its_count(call: Call) -> None:
    if query_of(call).get("page-size") == "1000" and call.records:
        call.with_records(call.records[:-1])
        put(call, "meta.totalRecords", len(call.records))


@fault("newest-first", TRANSACTIONS)
def the_oldest_comes_first(call: Call) -> None:
    call.with_records(call.records[::-1])


@fault("total-records", TRANSACTIONS)
def the_total_is_one_too_many(call: Call) -> None:
    if call.status == 200:
        put(call, "meta.totalRecords", call.json["meta"]["totalRecords"] + 1)


@fault("total-records", TRANSACTIONS)
def the_number_of_pages_is_that_of_another_size(call: Call) -> None:
    put(call, "meta.totalPages", 1)


@fault("total-records", TRANSACTIONS)
def the_total_is_that_of_the_page(call: Call) -> None:
    put(call, "meta.totalRecords", len(call.records))


@fault("total-records", TRANSACTIONS)
def the_list_ends_after_its_first_page(call: Call) -> None:
    put(call, "links.next", None)


@fault("page-links", TRANSACTIONS)
def links_forget_the_size_of_pages(call: Call) -> None:
    if call.status == 200 and "next" in call.json["links"]:
        put(call, "links.last", "page=2")


@fault("page-links", TRANSACTIONS)
def the_first_page_has_a_page_before_it(call: Call) -> None:
    if query_of(call).get("page", "1") == "1":
        put(call, "links.prev", "page=1&page-size=8")


@fault("page-links", TRANSACTIONS)
def the_last_page_has_no_link_to_the_first(call: Call) -> None:
    if call.status == 200 and "next" not in call.json["links"]:
        put(call, "links.first", None)


@fault("pages-end", TRANSACTIONS)
def the_last_page_leads_to_one_that_is_not_there(call: Call) -> None:
    if call.status == 200 and "next" not in call.json["links"]:
        page, size = query_of(call).get("page", "1"), query_of(call).get("page-size", "25")
        put(call, "links.next", f"page={int(page) + 1}&page-size={size}")


@fault("success-status", TRANSACTIONS)
def a_filtered_list_without_records_has_no_content(call: Call) -> None:
    if call.status == 200 and not call.records:
        call.status, call.content = 204, b""


@fault("default-filters", ACCOUNTS)
def an_account_is_there_if_any_status_is_asked_for(call: Call) -> None:
    if call.status == 200 and "open-status" not in call.query:
        call.with_records(call.records[1:])
        put(call, "meta.totalRecords", len(call.records))


@fault("answers-each-time", TRANSACTIONS)
def a_limit_does_not_say_when_to_come_again(call: Call) -> None:
    if call.number == 3:
        refuse(call, 429)


@fault("pages-end", TRANSACTIONS)
def the_last_page_leads_to_itself(call: Call) -> None:
    if call.status == 200 and "next" not in call.json["links"]:
        put(call, "links.next", call.query or "page=1")


@fault("links-keep-filters", TRANSACTIONS)
def links_forget_the_filter(call: Call) -> None:
    following = call.json["links"].get("next") if call.status == 200 else None
    if following:
        kept = {name: value for name, value in parse_qsl(following) if name in ("page", "page-size")}
        put(call, "links.next", urlencode(kept))


@fault("default-page-size", TRANSACTIONS, on_request=True)
def pages_have_ten_records_unless_told(call: Call) -> None:
    if "page-size" not in call.query:
        call.query = f"{call.query}&page-size=10".lstrip("&")


@fault("page-size", TRANSACTIONS, on_request=True)
def the_size_of_pages_is_ignored(call: Call) -> None:
    call.query = urlencode({**query_of(call), "page-size": "25"})


@fault("records-of-the-account", TRANSACTIONS)
def a_record_of_another_account_is_among_them(call: Call) -> None:
    if call.records:
        call.with_records([{**call.records[0], "accountId": "acc-2008"}, *call.records[1:]])


@fault("records-of-the-account", ACCOUNTS, on_request=True)
def accounts_that_were_not_chosen_come_too(call: Call) -> None:
    if b"acc-3001" not in call.body and b"acc-2008" not in call.body and b"no-such" not in call.body:
        call.body = call.body.replace(b"]", b', "acc-2005"]').replace(b"[,", b"[")


@fault("repeatable-response", TRANSACTIONS)
def the_order_changes_from_call_to_call(call: Call) -> None:
    if call.number > 14 and len(call.records) > 1:
        call.with_records([call.records[1], call.records[0], *call.records[2:]])


@fault("page-limits", TRANSACTIONS)
def one_page_more_is_the_last_one_again(call: Call) -> None:
    if call.status == 200:
        SEEN["page"] = call.content
    elif call.status == 422 and int(query_of(call)["page"]) < 100:
        call.status, call.content = 200, SEEN["page"]


@fault("page-limits", TRANSACTIONS, on_request=True)
def page_nought_is_the_first_page(call: Call) -> None:
    call.query = call.query.replace("page=0", "page=1")


@fault("page-limits", TRANSACTIONS)
def a_page_behind_the_last_is_an_empty_list(call: Call) -> None:
    if call.status == 422:
        call.status = 200
        call.json = {"data": {"transactions": []}, "links": {}, "meta": {"totalRecords": 0, "totalPages": 0}}


@fault("page-limits", TRANSACTIONS, on_request=True)
def pages_are_cut_to_a_thousand_in_silence(call: Call) -> None:
    call.query = call.query.replace("page-size=1001", "page-size=1000")


@fault("total-records", FDX_ACCOUNTS, FDX_TRANSACTIONS)
def the_total_of_a_cursor_is_wrong(call: Call) -> None:
    if call.status == 200:
        put(call, "page.totalElements", 3)


@fault("pages-end", FDX_ACCOUNTS, FDX_TRANSACTIONS, on_request=True)
def the_cursor_is_ignored(call: Call) -> None:
    call.query = call.query.partition("&offset=")[0]


# -- filters ------------------------------------------------------------------------------------------------------


def ignore_parameters(*names: str) -> Change:
    def ignore(call: Call) -> None:
        call.query = urlencode({name: value for name, value in query_of(call).items() if name not in names})

    return ignore


for names in (("oldest-time",), ("newest-time",), ("min-amount",), ("max-amount",), ("text",)):
    ask = ignore_parameters(*names)
    FAULTS.append(Fault(f"{names[0]} is ignored", "filters-applied", (TRANSACTIONS,), ask=ask))


@fault("filters-applied", TRANSACTIONS)
def the_later_end_of_the_window_is_exclusive(call: Call) -> None:
    newest = query_of(call).get("newest-time")
    if newest:
        call.with_records([row for row in call.records if row.get("postingDateTime") != newest])


@fault("filters-applied", TRANSACTIONS, on_request=True)
def a_window_begins_with_its_day(call: Call) -> None:
    query = query_of(call)
    if "T" in query.get("oldest-time", ""):
        call.query = urlencode({**query, "oldest-time": f"{query['oldest-time'][:10]}T00:00:00Z"})


@fault("filters-applied", TRANSACTIONS)
def fractions_of_seconds_are_refused(call: Call) -> None:
    if "." in query_of(call).get("oldest-time", ""):
        refuse(call, 400)


@fault("filters-applied", TRANSACTIONS)
def a_text_is_a_regular_expression(call: Call) -> None:
    if query_of(call).get("text") == ".*" and call.status == 200:
        call.with_records(SEEN.get(TRANSACTIONS, []))
        put(call, "meta.totalRecords", len(SEEN.get(TRANSACTIONS, [])))
    elif call.records:
        SEEN[TRANSACTIONS] = call.records


@fault("invalid-parameter", TRANSACTIONS, on_request=True)
def the_thirtieth_of_february_is_in_march(call: Call) -> None:
    call.query = call.query.replace("2026-02-30", "2026-03-02")


@fault("filters-applied", ACCOUNTS, on_request=True)
def the_product_category_is_ignored(call: Call) -> None:
    ignore_parameters("product-category")(call)


@fault("invalid-parameter", TRANSACTIONS, on_request=True)
def what_is_no_time_is_ignored(call: Call) -> None:
    if "yesterday" in call.query:
        call.query = ""


def repeated(call: Call) -> set[str]:
    """The parameters that are given twice."""
    names = [name for name, _ in parse_qsl(call.query)]
    return {name for name in names if names.count(name) > 1}


def answer_with_nothing(call: Call) -> None:
    call.status = 200
    call.json = {"data": {"transactions": []}, "links": {}, "meta": {"totalRecords": 0, "totalPages": 0}}


@fault("repeated-parameter", TRANSACTIONS, on_request=True)
def what_is_given_twice_is_dropped(call: Call) -> None:
    ignore_parameters(*repeated(call))(call)


@fault("repeated-parameter", TRANSACTIONS, on_request=True)
def an_amount_that_is_given_twice_is_none(call: Call) -> None:
    ignore_parameters(*repeated(call) - {"oldest-time", "newest-time"})(call)


@fault("repeated-parameter", TRANSACTIONS)
def two_values_match_no_record(call: Call) -> None:
    if repeated(call):
        answer_with_nothing(call)


@fault("no-server-fault", TRANSACTIONS)
def a_list_of_values_is_no_time(call: Call) -> None:
    if repeated(call):
        refuse(call, 500)


@fault("default-filters", TRANSACTIONS, on_request=True)
def a_window_without_a_beginning_begins_ninety_days_before_its_end(call: Call) -> None:
    query = query_of(call)
    if "oldest-time" not in query:
        with suppress(ValueError, KeyError):
            oldest = datetime.fromisoformat(query["newest-time"]) - timedelta(days=90)
            call.query = "&".join((call.query, urlencode({"oldest-time": oldest.isoformat()})))


@fault("default-filters", TRANSACTIONS, on_request=True)
def the_end_of_a_window_counts_with_its_beginning_only(call: Call) -> None:
    if "oldest-time" not in call.query:
        ignore_parameters("newest-time")(call)


@fault("filters-applied", TRANSACTIONS)
def a_window_of_one_moment_is_refused(call: Call) -> None:
    query = query_of(call)
    if query.get("oldest-time", "") == query.get("newest-time"):
        refuse(call, 400)


@fault("filters-applied", TRANSACTIONS)
def nothing_that_matches_is_nothing_found(call: Call) -> None:
    if "amount" in call.query and call.status == 200 and not call.records:
        refuse(call, 404)


@fault("filters-applied", TRANSACTIONS, on_request=True)
def a_bound_that_is_zero_or_more_is_taken_for_none(call: Call) -> None:
    if not query_of(call).get("min-amount", "-").startswith("-"):
        ignore_parameters("min-amount")(call)


@fault("filters-applied", TRANSACTIONS, on_request=True)
def one_bound_of_the_amount_is_exclusive(call: Call) -> None:
    query = query_of(call)
    with suppress(InvalidOperation, KeyError):
        lower = Decimal(query["max-amount"]) - Decimal("0.01")
        if lower.is_finite():
            call.query = urlencode({**query, "max-amount": f"{lower:f}"})


@fault("no-server-fault", TRANSACTIONS)
def a_year_far_ahead_is_a_fault(call: Call) -> None:
    if "2099" in call.query:
        refuse(call, 500)


@fault("filters-applied", TRANSACTIONS)
def offsets_of_records_are_not_looked_at(call: Call) -> None:
    oldest = query_of(call).get("oldest-time", "")
    if oldest and not oldest.endswith("Z") and oldest == query_of(call).get("newest-time") and call.records:
        call.with_records([])
        put(call, "meta.totalRecords", 0)
        put(call, "meta.totalPages", 0)


@fault("invalid-parameter", TRANSACTIONS, on_request=True)
def what_stands_behind_an_amount_is_ignored(call: Call) -> None:
    call.query = call.query.replace("amount=5x", "amount=5.00")


@fault("filters-applied", TRANSACTIONS)
def a_text_is_looked_for_in_the_name_of_the_merchant_too(call: Call) -> None:
    """All is bought from one merchant, so that all is found."""
    if call.status != 200:
        return
    if "text" not in query_of(call):
        SEEN.setdefault(call.path, call.records)
    elif query_of(call)["text"] == "Rehearsed":
        call.with_records(SEEN[call.path])
        put(call, "meta.totalRecords", len(call.records))
    call.with_records([{**row, "merchantName": "Rehearsed & Co"} for row in call.records])


@fault("unknown-parameter", TRANSACTIONS)
def a_parameter_that_is_not_known_is_refused(call: Call) -> None:
    if "x-unheard-of" in call.query:
        refuse(call, 400)


@fault("bulk-one-account", ACCOUNTS)
def a_body_with_one_account_gets_the_account_of_another_body(call: Call) -> None:
    if call.body.count(b"acc-") == 1 and call.records:
        edit_records(call, "displayName", lambda _: "another")


@fault("bulk-repeated-account", BALANCES)
def an_account_that_is_named_twice_comes_twice(call: Call) -> None:
    if call.body.count(b"acc-2001") == 2:
        call.with_records(call.records * 2)
        put(call, "meta.totalRecords", 2)


@fault("bulk-without-accounts", ACCOUNTS, on_request=True)
def no_account_means_all_of_them(call: Call) -> None:
    call.body = call.body.replace(b"[]", b'["acc-2001"]')


# -- records ------------------------------------------------------------------------------------------------------


@fault("member-types", TRANSACTIONS)
def money_is_a_number(call: Call) -> None:
    edit_records(call, "amount", Decimal)


@fault("member-types", BALANCE)
def a_balance_is_a_number(call: Call) -> None:
    if call.status == 200:
        put(call, "data.currentBalance", Decimal("12.50"))


@fault("exact-numbers", STARTER)
def money_went_through_binary_floating_point(call: Call) -> None:
    put(call, "available", Decimal("0.30000000000000004"))


@fault("text-encoding", TRANSACTIONS)
def a_file_in_utf_8_is_read_as_latin_1(call: Call) -> None:
    edit_records(call, "description", lambda _: "Caf\u00e9 Zo\u00eb".encode().decode("latin-1"))


@fault("text-encoding", TRANSACTIONS)
def signs_that_are_not_known_become_one(call: Call) -> None:
    edit_records(call, "description", lambda _: "Caf\ufffd")


@fault("clean-text", TRANSACTIONS)
def texts_fill_their_columns(call: Call) -> None:
    edit_records(call, "description", lambda text: text.ljust(40))


@fault("clean-text", TRANSACTIONS)
def texts_are_written_for_html(call: Call) -> None:
    edit_records(call, "description", lambda text: f"{text} &amp; more")


@fault("required-members", TRANSACTIONS)
def a_member_that_is_owed_is_missing(call: Call) -> None:
    call.with_records([{name: value for name, value in row.items() if name != "status"} for row in call.records])


@fault("required-members", SEARCH)
def the_search_answers_without_data(call: Call) -> None:
    call.json = {}


@fault("named-members", TRANSACTIONS)
def posted_transactions_have_no_time(call: Call) -> None:
    drop = {"postingDateTime"}
    call.with_records([{name: value for name, value in row.items() if name not in drop} for row in call.records])


@fault("conditional-members", TRANSACTIONS)
def a_card_number_is_in_clear(call: Call) -> None:
    call.with_records([{**row, "crn": "4111111111111111"} for row in call.records])


@fault("no-nulls", TRANSACTIONS)
def what_is_absent_is_null(call: Call) -> None:
    call.with_records([{**row, "merchantName": None} for row in call.records])


@fault("allowed-values", TRANSACTIONS)
def a_code_is_the_banks_own(call: Call) -> None:
    edit_records(call, "type", lambda _: "EFTPOS")


@fault("formats", TRANSACTIONS)
def times_have_no_offset(call: Call) -> None:
    edit_records(call, "valueDateTime", lambda text: text[:19])


@fault("formats", TRANSACTIONS)
def amounts_have_a_comma(call: Call) -> None:
    edit_records(call, "amount", lambda text: text.replace(".", ","))


@fault("list-and-detail-agree", BALANCES, BALANCE)
def a_balance_differs_from_the_list(call: Call) -> None:
    if call.name == BALANCE:
        put(call, "data.availableBalance", "1.00")


@fault("list-and-detail-agree", BALANCES, BALANCE)
def a_balance_by_itself_lacks_what_the_list_has(call: Call) -> None:
    if call.name == BALANCE:
        put(call, "data.availableBalance", None)


@fault("not-publicly-cacheable", TRANSACTIONS)
def answers_may_be_cached_by_anybody(call: Call) -> None:
    call.answer["Cache-Control"] = "public, max-age=300"


@fault("bulk-all-accounts", "listBankingAccountsSpecific", "getBankingAccount")
def an_account_that_was_closed_is_in_no_list(call: Call) -> None:
    if call.name == "listBankingAccountsSpecific":
        call.with_records(call.records[1:])


@fault("links-keep-filters", FDX_TRANSACTIONS)
def a_cursor_forgets_the_filter(call: Call) -> None:
    if "startTime" in call.query and "offset" in call.query:
        call.with_records(call.records[1:])


@fault("payee-has-one-owner", PAYEES)
def everybody_has_the_same_payees(call: Call) -> None:
    if "cust-1001" not in call.path:
        call.with_records(SEEN.get(PAYEES, []))
    elif call.status == 200 and call.records:
        SEEN[PAYEES] = call.records


@fault("starter-balance-agrees", STARTER, BALANCE)
def the_starter_balance_is_of_yesterday(call: Call) -> None:
    if call.name == STARTER and call.status == 200:
        put(call, "current", call.json["current"] + 10)


@fault("unknown-id", TRANSACTIONS)
def an_unknown_account_is_counted_as_a_refusal_to_share(call: Call) -> None:
    if call.status == 404 and "no-such" in call.path:
        call.answer["X-Sharing-Refused"] = "true"


@fault("default-filters", TRANSACTIONS, on_request=True)
def a_window_is_of_ninety_days_by_default(call: Call) -> None:
    if "oldest-time" not in call.query:
        oldest = (datetime.now(UTC) - timedelta(days=90)).isoformat()
        call.query = "&".join(filter(None, [call.query, urlencode({"oldest-time": oldest})]))


@fault("id-matches-path", CUSTOMER)
def the_details_are_somebody_elses(call: Call) -> None:
    put(call, "id", "cust-9999")


@fault("id-matches-path", ACCOUNTS, DETAIL)
def the_account_is_another(call: Call) -> None:
    if call.name == DETAIL:
        put(call, "data.accountId", "acc-2005")


@fault("bulk-matches-single", DEBITS, BULK_DEBITS)
def the_list_for_several_accounts_lacks_one(call: Call) -> None:
    if call.name == BULK_DEBITS and call.records:
        call.with_records(call.records[1:])
        put(call, "meta.totalRecords", len(call.records))


# -- whose it is --------------------------------------------------------------------------------------------------


@fault("foreign-data", TRANSACTIONS, on_request=True)
def whose_the_account_is_does_not_matter(call: Call) -> None:
    parts = call.path.split("/")
    owner = OWNERS.get(parts[6])
    if owner and parts[4] != owner:
        as_another(call, parts[4], owner)


@fault("foreign-data", TRANSACTIONS, on_request=True)
def whose_the_account_is_matters_for_one_product_only(call: Call) -> None:
    parts = call.path.split("/")
    if parts[6] == "acc-2049" and parts[4] == "cust-1001":
        as_another(call, parts[4], "cust-1003")


@fault("foreign-data-body", ACCOUNTS, on_request=True)
def the_first_account_of_the_body_is_not_looked_up(call: Call) -> None:
    if b'["acc-2008", "acc-2001"' in call.body:
        as_another(call, "cust-1001", "cust-1003")
        call.body = b'{"data": {"accountIds": ["acc-2008"]}}'


@fault("id-exact", TRANSACTIONS, on_request=True)
def ids_are_compared_without_regard_to_case(call: Call) -> None:
    respell(call, call.path.replace("ACC-", "acc-").replace("CUST-", "cust-"))


@fault("id-exact", BALANCES, BALANCE, on_request=True)
def ids_are_trimmed(call: Call) -> None:
    respell(call, call.path.replace("%20", ""))


@fault("foreign-data", PAYEES, PAYEE, on_request=True)
def whose_the_payee_is_does_not_matter(call: Call) -> None:
    if call.name == PAYEE and "payee-1003" in call.path:
        as_another(call, "cust-1001", "cust-1003")


@fault("foreign-data-body", ACCOUNTS)
def the_accounts_of_the_body_are_not_looked_up(call: Call) -> None:
    if call.status == 422 and b"acc-20" in call.body and b"no-such" not in call.body:
        call.status = 200
        row = {
            "accountId": "acc-2008",
            "displayName": "x",
            "accountOwnership": "ONE_PARTY",
            "maskedNumber": "xx 1",
            "productCategory": "TRANS_AND_SAVINGS_ACCOUNTS",
            "productName": "x",
        }
        call.json = {"data": {"accounts": [row]}, "links": {}, "meta": {"totalRecords": 1, "totalPages": 1}}


@fault("unknown-id-body", ACCOUNTS)
def unknown_ids_in_the_body_are_left_out(call: Call) -> None:
    if call.status == 422 and b"no-such" in call.body:
        call.status = 200
        call.json = {"data": {"accounts": []}, "links": {}, "meta": {"totalRecords": 0, "totalPages": 0}}


@fault("unknown-id", TRANSACTIONS)
def an_unknown_account_is_forbidden_and_not_unknown(call: Call) -> None:
    if call.status == 404:
        refuse(call, 403)


@fault("unknown-id", TRANSACTIONS)
def an_unknown_account_is_an_empty_list(call: Call) -> None:
    if call.status == 404:
        call.status = 200
        call.json = {"data": {"transactions": []}, "links": {}, "meta": {"totalRecords": 0, "totalPages": 0}}


@fault("foreign-same-as-unknown", TRANSACTIONS)
def what_is_anothers_is_refused_otherwise(call: Call) -> None:
    if call.status == 404 and "no-such" not in call.path:
        call.content = call.content.replace(b"Invalid", b"Unavailable")


@fault("foreign-same-as-unknown", TRANSACTIONS)
def what_is_anothers_is_refused_as_if_there_were_no_such_customer(call: Call) -> None:
    if call.status == 404 and ("customer/no-such" in call.path or "no-such" not in call.path):
        refuse(call, 404)


def as_another(call: Call, customer: str, owner: str) -> None:
    """Ask in another's name: the upstream is healthy, so it must have a token for that."""
    call.path = call.path.replace(customer, owner)
    call.headers["Authorization"] = f"Bearer {call.token(call.path)}"


def respell(call: Call, path: str) -> None:
    """Ask for the same with another spelling of the path."""
    if path != call.path:
        call.path = path
        call.headers["Authorization"] = f"Bearer {call.token(path)}"


# -- HTTP ---------------------------------------------------------------------------------------------------------


def refuse(call: Call, status: int) -> None:
    call.status = status
    call.json = {"errors": [{"code": "x", "title": "x", "detail": "x"}]}


@fault("answered")
def an_answer_never_comes(call: Call) -> None:
    """See the delay below."""


@fault("no-server-fault")
def an_unknown_id_is_a_fault(call: Call) -> None:
    if call.status == 404:
        refuse(call, 500)


@fault("answers-each-time")
def every_seventh_answer_is_a_refusal(call: Call) -> None:
    if call.name == TRANSACTIONS and call.number % 7 == 0:
        refuse(call, 503)


@fault("answers-each-time")
def now_and_then_a_token_is_refused(call: Call) -> None:
    if call.name == TRANSACTIONS and call.number % 5 == 3:
        refuse(call, 401)


@fault("answers-each-time", BALANCE)
def now_and_then_the_database_is_away(call: Call) -> None:
    if call.number == 2:
        refuse(call, 500)


@fault("error-status", TRANSACTIONS)
def errors_have_the_status_of_data(call: Call) -> None:
    if call.status == 404:
        call.status = 200


@fault("login-answered", SEARCH)
def a_search_creates_something(call: Call) -> None:
    call.status = 201


@fault("login-answered", SEARCH)
def a_version_is_demanded(call: Call) -> None:
    refuse(call, 406)


@fault("strict-json", SEARCH)
def a_byte_order_mark_comes_first(call: Call) -> None:
    call.content = b"\xef\xbb\xbf" + call.content


@fault("operation-returns-data")
def data_comes_with_another_status(call: Call) -> None:
    if call.name == TRANSACTIONS and call.status == 200 and call.number > 1:
        call.status = 203


@fault("error-form")
def errors_are_pages_of_html(call: Call) -> None:
    if call.status >= 400:
        call.content = b"<html><h1>Not Found</h1></html>"
        call.answer["Content-Type"] = "text/html"


@fault("error-form")
def errors_have_a_form_of_their_own(call: Call) -> None:
    if call.status >= 400:
        call.json = {"message": "no"}


@fault("no-internals")
def a_fault_shows_its_trace(call: Call) -> None:
    if call.status == 404:
        refuse(call, 404)
        call.content = call.content.replace(b'"x"}', b'"Traceback (most recent call last): File app.py"}')


@fault("interaction-id")
def the_interaction_id_is_missing(call: Call) -> None:
    call.answer = {name: value for name, value in call.answer.items() if "interaction" not in name.lower()}


@fault("interaction-id")
def the_interaction_id_is_missing_on_refusals(call: Call) -> None:
    if call.status >= 400:
        call.answer = {name: value for name, value in call.answer.items() if "interaction" not in name.lower()}


@fault("interaction-id")
def the_interaction_id_is_another(call: Call) -> None:
    call.answer = {name: value for name, value in call.answer.items() if "interaction" not in name.lower()}
    call.answer["x-fapi-interaction-id"] = "0b2cbd2c-3a4c-4b6e-9a39-5a0b1d8fa2c1"


@fault("sharing-refused-header")
def the_header_of_refusals_stands_on_data(call: Call) -> None:
    call.answer["X-Sharing-Refused"] = "true"


@fault("media-type")
def data_is_called_text(call: Call) -> None:
    call.answer["Content-Type"] = "text/plain; charset=utf-8"


@fault("strict-json")
def a_member_is_repeated(call: Call) -> None:
    if call.status == 200:
        call.content = b'{"data": {},' + call.content[1:]


@fault("strict-json")
def an_answer_is_empty(call: Call) -> None:
    if call.name == BALANCE or call.name == TRANSACTIONS:
        call.content = b"" if call.status == 200 else call.content


# -- what does not belong there ------------------------------------------------------------------------------------


@fault("no-cookies", TRANSACTIONS)
def a_session_is_begun(call: Call) -> None:
    call.answer["Set-Cookie"] = "session=1; HttpOnly"


@fault("no-versions", TRANSACTIONS)
def the_framework_tells_its_version(call: Call) -> None:
    call.answer["X-Powered-By"] = "PHP/8.1.2"


@fault("internal-members", CUSTOMER)
def the_row_of_the_customer_leaves_as_it_is(call: Call) -> None:
    put(call, "passwordHash", "$2b$10$abc")


@fault("internal-members", TRANSACTIONS)
def transactions_have_the_score_of_the_bank(call: Call) -> None:
    call.with_records([{**row, "fraudScore": 3} for row in call.records])


@fault("plausible-values", TRANSACTIONS)
def a_debit_of_nothing_is_negative(call: Call) -> None:
    edit_records(call, "amount", lambda _: "-0.00")


@fault("plausible-values", TRANSACTIONS)
def what_has_no_time_has_the_first_of_all(call: Call) -> None:
    call.with_records([{**row, "valueDateTime": "0001-01-01T00:00:00Z"} for row in call.records])


@fault("plausible-values", TRANSACTIONS)
def what_was_posted_is_to_come(call: Call) -> None:
    call.with_records([{**row, "postingDateTime": "2099-01-01T00:00:00Z"} for row in call.records])


@fault("internal-members", TRANSACTIONS)
def transactions_have_the_number_of_a_clerk(call: Call) -> None:
    call.with_records([{**row, "tellerId": "17"} for row in call.records])


@fault("country-codes", ACCOUNTS, DETAIL)
def countries_have_two_letters(call: Call) -> None:
    call.content = call.content.replace(b'"AUS"', b'"AU"')


@fault("ids-of-others", ACCOUNTS, DETAIL)
def an_account_names_that_of_a_stranger(call: Call) -> None:
    if call.name == DETAIL and "acc-2001" in call.path:
        put(call, "data.relatedAccountId", "acc-2008")


@fault("ids-of-others", ACCOUNTS, DETAIL)
def an_account_names_the_customer_who_opened_it(call: Call) -> None:
    if call.name == DETAIL and "acc-2001" in call.path:
        put(call, "data.openedWith", "cust-1003")


@fault("ids-of-others", ACCOUNTS, DETAIL)
def an_account_has_the_address_of_a_stranger(call: Call) -> None:
    if call.name == DETAIL and "acc-2001" in call.path:
        put(call, "data.statementTo", ROBIN)


@fault("joint-owners", CONSENT)
def one_owner_of_a_joint_account_cannot_share_it(call: Call) -> None:
    user = {"id": "1", "email": ROBIN, "isAccountHolder": True}
    if "cust-1001" in call.path:
        joint = {"users": [user], "complexAccountType": "joint"}
        call.with_records([{**row, **joint} if row["id"] == "acc-2003" else row for row in call.records])
    else:
        call.with_records([row for row in call.records if row["id"] != "acc-2003"])


@fault("offered-accounts-listed", ACCOUNTS, DETAIL)
def an_account_is_lost_on_the_way_to_the_list(call: Call) -> None:
    if call.name == ACCOUNTS:
        call.with_records([row for row in call.records if row["accountId"] != "acc-2001"])
        put(call, "meta.totalRecords", len(call.records))


@fault("link-hosts", TRANSACTIONS)
def links_lead_into_the_network_of_the_bank(call: Call) -> None:
    if call.status == 200:
        links = {name: f"http://10.0.0.5:3000/list?{link}" for name, link in call.json["links"].items()}
        put(call, "links", links)


@fault("link-hosts", TRANSACTIONS)
def links_lead_to_two_hosts(call: Call) -> None:
    if call.status == 200:
        hosts = {"next": "one.example", "prev": "two.example"}
        links = {
            name: f"https://{hosts.get(name, 'one.example')}/x?{link}" for name, link in call.json["links"].items()
        }
        put(call, "links", links)


@fault("operation-returns-data", TRANSACTIONS, TRANSACTION)
def details_of_one_record_only_are_there(call: Call) -> None:
    if call.name == TRANSACTION and call.number > 2:
        refuse(call, 404)


@fault("list-and-detail-agree", TRANSACTIONS, TRANSACTION)
def details_of_old_records_have_another_time(call: Call) -> None:
    if call.name == TRANSACTION and call.number > 2 and call.status == 200:
        put(call, "data.postingDateTime", "2020-02-02T00:00:00Z")


@fault("detail-flag", TRANSACTIONS, TRANSACTION)
def details_are_there_and_the_list_denies_them(call: Call) -> None:
    SEEN.update({row["transactionId"]: row for row in call.records})
    if call.name == TRANSACTION and call.status == 404:
        call.status = 200
        call.json = {"data": {**SEEN[call.path.split("/")[-1]], "extendedData": {"payer": "x", "payee": "x"}}}


# -- login --------------------------------------------------------------------------------------------------------


@fault("email-case-insensitive", SEARCH)
def an_address_is_found_as_it_is_written_only(call: Call) -> None:
    if b"JANE" in call.body:
        call.json = {"data": []}


@fault("unknown-email-empty", SEARCH)
def an_address_that_nobody_has_is_not_found(call: Call) -> None:
    if b"nobody" in call.body:
        refuse(call, 404)


@fault("unknown-email-empty", SEARCH)
def the_beginning_of_an_address_is_enough(call: Call) -> None:
    if b"jane.citizen@example.co" in call.body and b".com" not in call.body:
        call.json = {"data": [{"id": "cust-1001", "name": "Jane Citizen"}]}


@fault("search-one-person", SEARCH, CUSTOMER)
def a_search_finds_one_person_more(call: Call) -> None:
    if call.name == SEARCH and call.records and b"jane.citizen" in call.body.lower():
        call.with_records([*call.records, {"id": "cust-1003", "name": "Robin Citizen"}])


@fault("similar-email", SEARCH, on_request=True)
def dots_in_an_address_do_not_count(call: Call) -> None:
    call.body = call.body.replace(b"j.ane", b"jane").replace(b"janecitizen", b"jane.citizen")


@fault("similar-email", SEARCH, on_request=True)
def what_stands_behind_a_plus_sign_does_not_count(call: Call) -> None:
    call.body = call.body.replace(b"+rehearsal", b"")


@fault("no-server-fault", SEARCH)
def an_apostrophe_ends_the_statement(call: Call) -> None:
    if b"o'" in call.body:
        refuse(call, 500)


@fault("customer-found", SEARCH)
def nobody_is_found(call: Call) -> None:
    call.json = {"data": []}


@fault("token-accepted", SEARCH)
def every_token_is_refused(call: Call) -> None:
    refuse(call, 401)


@fault("every-account-answers", STARTER)
def an_account_that_is_offered_is_not_there(call: Call) -> None:
    if "acc-2002" in call.path:
        refuse(call, 404)


# -- people ---------------------------------------------------------------------------------------------------------


@fault("distinct-customers", SEARCH)
def everybody_is_the_first_customer(call: Call) -> None:
    if call.records:
        call.with_records([{"id": "cust-1001", "name": "Jane"}])


@fault("joint-account-agrees", TRANSACTIONS)
def one_owner_of_a_joint_account_sees_less(call: Call) -> None:
    if "cust-1003" in call.path and "acc-2003" in call.path:
        edit_records(call, "amount", lambda _: "1.00")


@fault("operation-returns-data", PAYEES, PAYEE)
def a_payee_of_the_list_is_not_there(call: Call) -> None:
    if call.name == PAYEE:
        refuse(call, 404)


@fault("operation-returns-data", STARTER)
def an_account_that_nobody_consents_to_is_a_fault(call: Call) -> None:
    if "acc-2005" in call.path:
        refuse(call, 500)


@fault("foreign-same-as-unknown", TRANSACTIONS)
def a_refusal_names_the_stranger(call: Call) -> None:
    if call.status == 404 and "no-such" not in call.path:
        call.content = call.content.replace(b'"detail": "', b'"detail": "belongs to Robin ')


@fault("no-internals", TRANSACTIONS)
def a_refusal_shows_the_statement(call: Call) -> None:
    if call.status == 404:
        refuse(call, 404)
        call.content = call.content.replace(b'"x"}', b'"SELECT * FROM accounts WHERE id = 1"}')


@fault("no-internals", TRANSACTIONS)
def a_refusal_shows_a_trace_of_node(call: Call) -> None:
    if call.status == 404:
        refuse(call, 404)
        call.content = call.content.replace(b'"x"}', b'"TypeError: x is undefined at get (/app/src/index.js:12:7)"}')


@fault("filters-applied", TRANSACTIONS)
def times_are_compared_as_text(call: Call) -> None:
    oldest = query_of(call).get("oldest-time", "")
    if oldest.endswith("+14:00") and call.records:
        call.with_records([row for row in call.records if row.get("postingDateTime", "9") >= oldest])


@fault("invalid-parameter", TRANSACTIONS, on_request=True)
def a_window_that_ends_before_it_begins_is_turned_round(call: Call) -> None:
    query = query_of(call)
    if query.get("oldest-time", "") > query.get("newest-time", "9"):
        call.query = urlencode({"oldest-time": query["newest-time"], "newest-time": query["oldest-time"]})


@fault("total-records", TRANSACTIONS)
def the_total_of_a_filtered_list_is_that_of_all(call: Call) -> None:
    if "min-amount" in call.query and call.status == 200:
        put(call, "meta.totalRecords", 999)


ASKED: list[str] = []
"""The paths that were asked for, as a server with a global variable has them: the last one counts."""
ANSWERS: dict[str, bytes] = {}


def _remember_path(call: Call) -> None:
    ASKED.append(call.path)


def _mix_up(call: Call) -> None:
    ANSWERS[call.path] = call.content
    call.content = ANSWERS.get(ASKED[-1], call.content)


FAULTS.append(Fault("a global has whose request it is", "concurrent-requests", ask=_remember_path, answer=_mix_up))


def delay_where(is_late: Callable[[Call], bool], seconds: float = 0.1) -> Callable[[Call], float]:
    """Let some requests take longer."""
    return lambda call: seconds if is_late(call) else 0


def is_of_another(call: Call) -> bool:
    """Tell whether an account, in the path or in the body, belongs to somebody else than the customer in the path."""
    found = re.findall(r"acc-\d+", call.path + call.body.decode(errors="replace"))
    return "cust-1001" in call.path and any(OWNERS.get(each, "cust-1001") != "cust-1001" for each in found)


FAULTS += [
    Fault("a strangers account is loaded before it is refused", "refusal-times", delay=delay_where(is_of_another)),
    Fault(
        "a strangers account of a body is loaded before it is refused",
        "refusal-times",
        (BALANCES,),
        delay=delay_where(is_of_another),
    ),
    Fault(
        "an unknown account is looked for elsewhere too",
        "refusal-times",
        delay=delay_where(lambda call: "no-such-id" in call.path and "accounts/no" in call.path),
    ),
    Fault(
        "a strangers payee is loaded before it is refused",
        "refusal-times",
        (PAYEES, PAYEE),
        delay=delay_where(lambda call: "cust-1001" in call.path and "payee-1003" in call.path),
    ),
]


def _late(call: Call) -> float:
    return 30 if call.name == TRANSACTIONS and call.number == 3 else 0


FAULTS = [Fault(row.name, row.rule, row.operations, delay=_late) if row.rule == "answered" else row for row in FAULTS]
