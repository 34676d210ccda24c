"""Faults of a small server that is not openholder: each is found by the rule that names it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from openholder.contract.operations import OPERATIONS, Operation
from rehearsal.holder import OWNED, Answer, Holder, Refused, make_transaction
from rehearsal.test_healthy_servers import (
    ACCOUNTS,
    LOGIN,
    TRANSACTIONS,
    Taste,
    Unsigned,
    describe,
    edit,
    every,
    header,
    rehearse,
)

NAMES = {*LOGIN, ACCOUNTS, "getBankingAccount", TRANSACTIONS}


def open_one_account(holder: Holder) -> None:
    """Let everybody read the transactions of the last account of another person."""

    find = holder.find

    def find_in_place_of(operation: Operation, ids: dict[str, str], answer: Answer, http: Any) -> Any:
        if ids.get("accountId") == "a-2002":
            ids = {**ids, "customerId": "c-robin"}
        return find(operation, ids, answer, http)

    holder.find = find_in_place_of
    holder.rows["banking.transactions"]["a-2002"] = [make_transaction("a-2002", number) for number in range(1, 4)]
    for record in holder.rows["banking.accounts"]["a-2002"]:
        record["openStatus"] = "CLOSED"


def lose_accounts(holder: Holder) -> None:
    """Leave the accounts of one person out of all lists."""

    def after(answer: Answer) -> None:
        if answer.name == ACCOUNTS and answer.status == 200:
            rows = answer.json["data"]["accounts"]
            kept = [row for row in rows if row["accountId"] != OWNED["c-jane"][0]]
            answer.json["data"]["accounts"] = kept
            answer.json["meta"]["totalRecords"] = len(kept)

    holder.after = after


def read_query(change: Callable[[dict[str, str], list[str]], None]) -> Taste:
    """Let a change be made to what the server reads of a query; its second argument is what was given twice."""

    def apply(holder: Holder) -> None:
        spread_over_years(holder)

        def before(answer: Answer, handler: Any) -> None:
            names = [name for name, _ in parse_qsl(handler.request.query)]
            change(answer.query, [name for name in names if names.count(name) > 1])

        holder.before = before

    return apply


def spread_over_years(holder: Holder) -> None:
    """Give the account with most records one for every two months of three years."""
    for number, record in enumerate(holder.rows["banking.transactions"]["a-1001"]):
        moment = datetime.now(UTC) - timedelta(days=5 + 90 * number)
        record["postingDateTime"] = moment.isoformat(timespec="seconds")


def fail_at_two_values(query: dict[str, str], twice: list[str]) -> None:
    if twice:
        raise Refused(500)


def begin_without_end(query: dict[str, str], beginning: datetime) -> None:
    """Let windows of which only the end is given begin somewhere."""
    if "newest-time" in query and "oldest-time" not in query:
        query["oldest-time"] = beginning.isoformat()


FAULTS = {
    "both of two values are dropped": (
        read_query(lambda query, twice: [query.pop(name, None) for name in twice]),
        "repeated-parameter",
    ),
    "two times are one that nobody knows": (
        read_query(lambda query, twice: query.update(dict.fromkeys({*twice} - {"min-amount"}, "2000-01-01T00:00:00Z"))),
        "repeated-parameter",
    ),
    "two values are a fault": (read_query(fail_at_two_values), "no-server-fault"),
    "a window without a beginning has no bound": (
        read_query(lambda query, _: begin_without_end(query, datetime(1990, 1, 1, tzinfo=UTC))),
        "default-filters",
    ),
    "a window without a beginning begins a year before today": (
        read_query(lambda query, _: begin_without_end(query, datetime.now(UTC) - timedelta(days=366))),
        "default-filters",
    ),
    "the end of a window is not read": (
        read_query(lambda query, _: query.pop("newest-time", None) if "oldest-time" not in query else None),
        "default-filters",
    ),
    "one account of a stranger is open": (open_one_account, "foreign-data"),
    "accounts are lost": (lose_accounts, "offered-accounts-listed"),
    "cookies": (header("Set-Cookie", "sid=1"), "no-cookies"),
    "a version": (header("Server", "Apache/2.4.57 (Debian)"), "no-versions"),
    "a row version": (
        lambda holder: edit(holder, "banking.transactions", lambda row: row.update(rowVersion=3)),
        "internal-members",
    ),
    "negative zeros": (
        lambda holder: edit(holder, "banking.transactions", lambda row: row.update(amount="-0.00")),
        "plausible-values",
    ),
    "private links": (
        lambda holder: setattr(holder, "links", lambda path, query: f"http://bank-17.local{path}?{urlencode(query)}"),
        "link-hosts",
    ),
    "the password of the customer": (
        every(lambda answer: answer.json.update(password="x") if answer.status == 200 else None, "getCustomerDetails"),
        "internal-members",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_plain_server_is_found(name, find_causes):
    holder = Holder()
    apply, rule = FAULTS[name]
    apply(holder)
    operations = tuple(row for row in OPERATIONS if row.name in NAMES)
    report = asyncio.run(rehearse(holder, Unsigned(), operations=operations))
    assert rule in {row.rule.name for row in report.failed_results}
    assert find_causes(report, rule) == [rule], describe(report)
