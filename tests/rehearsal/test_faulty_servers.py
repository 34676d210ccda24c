"""Faults of a small server that is not openholder: each is found by the rule that names it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openholder.contract.operations import OPERATIONS, Operation
from rehearsal.holder import OWNED, Answer, Holder
from rehearsal.test_healthy_servers import ACCOUNTS, LOGIN, TRANSACTIONS, Unsigned, edit, every, header, rehearse

NAMES = {*LOGIN, ACCOUNTS, "getBankingAccount", TRANSACTIONS}


def open_one_account(holder: Holder) -> None:
    """Let everybody read the transactions of the last account of another person."""

    find = holder.find

    def find_in_place_of(operation: Operation, ids: dict[str, str], answer: Answer, http: Any) -> Any:
        if ids.get("accountId") == "a-2002":
            ids = {**ids, "customerId": "c-robin"}
        return find(operation, ids, answer, http)

    holder.find = find_in_place_of
    holder.rows["banking.transactions"]["a-2002"] = holder.rows["banking.transactions"]["a-2001"]
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


FAULTS = {
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
        lambda holder: setattr(holder, "links", lambda path, query: f"http://bank-17.local{path}?page={query['page']}"),
        "link-hosts",
    ),
    "the password of the customer": (
        every(lambda answer: answer.json.update(password="x") if answer.status == 200 else None, "getCustomerDetails"),
        "internal-members",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_plain_server_is_found(name):
    holder = Holder()
    apply, rule = FAULTS[name]
    apply(holder)
    operations = tuple(row for row in OPERATIONS if row.name in NAMES)
    report = asyncio.run(rehearse(holder, Unsigned(), operations=operations))
    assert rule in {row.rule.name for row in report.failed_results}
