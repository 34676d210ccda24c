"""Servers of different lawful taste: the rehearsal finds nothing wrong with any of them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from helpers.support import ISSUER
from openholder.contract.operations import OPERATIONS, Operation
from openholder.rehearsal.caller import open_caller
from openholder.rehearsal.phases import PHASES, Phase
from openholder.rehearsal.results import Report
from openholder.rehearsal.run import run_rehearsal
from openholder.rehearsal.session import Plan
from rehearsal.holder import (
    ENERGY,
    FDX,
    JANE,
    OFFERED,
    OWNED,
    ROBIN,
    URN,
    Answer,
    Holder,
    Refused,
    make_transaction,
    serving,
)

Taste = Callable[[Holder], None]
TRANSACTIONS, ACCOUNTS = "listBankingTransactions", "listBankingAccountsSpecific"
DEBITS = ("listBankingDirectDebits", "listBankingDirectDebitsSpecific")
PAYEES = ("listPayees", "getPayee")
BALANCES = ("getBankingBalance", "listBankingBalancesSpecific", "getStarterBalance")
LOGIN = ("searchCustomers", "getCustomerDetails", "listConsentAccounts")
PLANNED = {"energy": ENERGY, "FDX": FDX, "debits": DEBITS, "payees": PAYEES, "balance": BALANCES, "single": DEBITS}
"""Operations that a rehearsal has only if the name of the taste has this word: all of them for each take a minute."""
TASTES: dict[str, Taste] = {}


class Unsigned:
    """Gives out texts in place of tokens: signing takes most of the time."""

    kid = "x"

    def sign_token(self, *_: object, **__: object) -> str:
        return "x"


def taste(change: Taste) -> Taste:
    """Add a taste to the table."""
    TASTES[change.__name__.replace("_", " ")] = change
    return change


def edit(holder: Holder, collection: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change each record of a collection."""
    for records in holder.rows[collection].values():
        for record in records:
            change(record)


def every(change: Callable[[Answer], None], *names: str) -> Taste:
    """Change each answer, or each answer of these operations, after it was made."""

    def apply(holder: Holder) -> None:
        def after(answer: Answer) -> None:
            if not names or answer.name in names:
                change(answer)

        holder.after = after

    return apply


def header(name: str, value: str) -> Taste:
    """Send a header with every answer."""
    return every(lambda answer: answer.headers.__setitem__(name, value))


def on_error(change: Callable[[dict[str, Any]], None]) -> Taste:
    """Change each error."""
    return every(lambda answer: [change(error) for error in answer.json["errors"]] if answer.status >= 400 else None)


def on_data(change: Callable[[Any], None]) -> Taste:
    """Change the content of each answer with data that has links."""
    return every(lambda answer: change(answer.json) if answer.status == 200 and "links" in answer.json else None)


def each_record(collection: str, **members: Any) -> Taste:
    """Give each record of a collection these members; None removes one."""

    def change(record: dict[str, Any]) -> None:
        for name, value in members.items():
            record.pop(name, None)
            if value is not None:
                record[name] = value

    return lambda holder: edit(holder, collection, change)


def without(*names: str, status: int = 404, code: str = f"{URN}Resource/NotImplemented") -> Taste:
    """Offer no such operations, and say so in this way."""

    def apply(holder: Holder) -> None:
        holder.offered -= set(names)
        holder.not_offered = status, code

    return apply


def blocked(*accounts: str, status: int = 404, code: str) -> Taste:
    """Offer accounts for consent that are not shared."""
    return lambda holder: setattr(holder, "blocked", dict.fromkeys(accounts, (status, code)))


def together(*tastes: Taste) -> Taste:
    """Have several tastes."""

    def apply(holder: Holder) -> None:
        for each in tastes:
            each(holder)

    return apply


def of_sector(operations: set[str], *tastes: Taste) -> Taste:
    """Serve another sector."""
    return together(lambda holder: setattr(holder, "offered", set(operations)), *tastes)


def first_day(shift: int) -> str:
    """Return the day, or one near it, with which the default window of invoices begins."""
    today = datetime.now(UTC).date()
    return (today.replace(year=today.year - 2, day=min(today.day, 28)) + timedelta(days=shift)).isoformat()


def set_page(content: dict[str, Any], number: int) -> str:
    """Return the link of a list to itself, with another page."""
    return re.sub(r"([?&]page)=\d+", rf"\1={number}", content["links"]["self"])


def drop(holder: Holder, *collections: str) -> None:
    """Have no records of these collections."""
    for collection in collections:
        holder.rows[collection] = {owner: [] for owner in holder.rows[collection]}


def on_page(change: Callable[[dict[str, Any]], object]) -> Taste:
    """Change what an answer of FDX says about its page."""
    return every(lambda answer: change(answer.json["page"]) if is_fdx_list(answer) else None)


def on_whole_page(change: Callable[[dict[str, Any]], object]) -> Taste:
    """Change an answer of FDX that has all records."""
    return every(
        lambda answer: (
            change(answer.json) if is_fdx_list(answer) and set(answer.json["page"]) == {"totalElements"} else None
        )
    )


def is_fdx_list(answer: Answer) -> bool:
    return answer.status == 200 and isinstance(answer.json, dict) and "page" in answer.json


def drop_plan_details(content: Any) -> None:
    """Have plans in a list of accounts as the CDS have them, and not as Fiskil's examples."""
    data = content.get("data", {})
    for number, account in enumerate(data.get("accounts", ())):
        plans = [{name: value for name, value in plan.items() if name != "planDetail"} for plan in account["plans"]]
        data["accounts"][number] = {**account, "plans": plans}


def drop_accounts(holder: Holder, customer: str) -> None:
    """Have no accounts of a customer."""
    holder.rows["accounts"][customer] = []


def mix(holder: Holder) -> None:
    """Serve two sectors: the second account of each customer is one of energy."""
    holder.offered = OFFERED | ENERGY
    for collection, rows in holder.rows.items():
        sector = collection.partition(".")[0]
        for account, records in rows.items():
            if (sector == "energy" and account.endswith("1")) or (
                sector in ("banking", "balances") and account.endswith("2")
            ):
                records.clear()


UNAVAILABLE = "urn:au-cds:error:cds-banking:Authorisation/UnavailableBankingAccount"
UNAVAILABLE_ENERGY = "urn:au-cds:error:cds-energy:Authorisation/UnavailableEnergyAccount"
TASTES |= {
    "plain": lambda holder: None,
    # How errors are worded.
    "errors with meta": on_error(lambda error: error.update(meta={"urn": "urn:x", "correlationId": "1"})),
    "errors with codes of its own": on_error(lambda error: error.update(code="bank-17")),
    "errors with a code of its own and a dot": on_error(lambda error: error.update(code="BANK.E17/x")),
    "errors with long details": on_error(lambda error: error.update(detail="This cannot be answered. " * 20)),
    "errors in another language": on_error(lambda error: error.update(title="Ungültig", detail="nicht gültig")),
    "errors with further members": on_error(lambda error: error.update(status="404", source={"parameter": "x"})),
    "two errors at once": every(
        lambda answer: answer.json["errors"].append(answer.json["errors"][0]) if answer.status >= 400 else None
    ),
    "errors of type problem beside": on_error(lambda error: error.update(type="about:blank")),
    # What is not offered.
    "no direct debits": without(*DEBITS),
    "no direct debits, 405": without(*DEBITS, status=405, code=f"{URN}GeneralError/Expected"),
    "no direct debits, 501": without(*DEBITS, status=501, code="not-implemented"),
    "no direct debits, 404 with a code of its own": without(*DEBITS, code="PRODUCT_NOT_OFFERED"),
    "no direct debits, 404 with NotFound": without(*DEBITS, code="NotFound"),
    "no payees": without(*PAYEES),
    "no payees, 405 with a code of its own": without(*PAYEES, status=405, code="bank-405"),
    "no payees, 404 with a code of its own": without(*PAYEES, code="bank-404"),
    "no details of payees, 405": without("getPayee", status=405, code="x"),
    "no transactions": without(TRANSACTIONS),
    "no starter balance": without("getStarterBalance"),
    "no starter balance, 501": without("getStarterBalance", status=501, code="x"),
    "no customer details": without("getCustomerDetails"),
    "no banking at all": without(*(name for name in OFFERED if name not in {"searchCustomers", "listConsentAccounts"})),
    "no balances": without("getBankingBalance", "listBankingBalancesSpecific", status=405, code="x"),
    # Accounts that are not shared.
    "a blocked account": blocked("a-1002", code=UNAVAILABLE),
    "a blocked account, 403": blocked("a-1002", status=403, code=UNAVAILABLE),
    "a blocked account, with a code of its own": blocked("a-1002", code="bank-blocked"),
    "the first account blocked": blocked("a-1001", code=UNAVAILABLE),
    "all accounts of one person blocked": blocked("a-2001", "a-2002", code=UNAVAILABLE),
    # Texts and members.
    "empty references": each_record("banking.transactions", reference=""),
    "no currency": each_record("banking.transactions", currency=None),
    "whole amounts": each_record("banking.transactions", amount="-12.00"),
    "amounts of equal size": each_record("banking.transactions", amount="-1.50"),
    "positive amounts": each_record("banking.transactions", amount="1.50"),
    "transactions of one moment": each_record("banking.transactions", postingDateTime="2026-02-01T10:00:00Z"),
    "times with offsets": each_record("banking.transactions", postingDateTime="2026-02-01T10:00:00+10:00"),
    "times with fractions": each_record("banking.transactions", postingDateTime="2026-02-01T10:00:00.123Z"),
    "pending transactions": each_record("banking.transactions", status="PENDING", postingDateTime=None),
    "descriptions with percent signs": each_record("banking.transactions", description="50% off"),
    "descriptions in other scripts": each_record("banking.transactions", description="Café 北京 ☕"),
    "descriptions with quotes": each_record("banking.transactions", description="O'Brien's \"Bar\" & Grill"),
    "descriptions with plus signs": each_record("banking.transactions", description="A+B C"),
    "long descriptions": each_record("banking.transactions", description="x" * 900),
    "no display names of products": each_record("banking.accounts", openStatus=None),
    "a closed account": each_record("banking.accounts", openStatus="CLOSED"),
    "available balances below zero": each_record("banking.balances", availableBalance="-0.05"),
    "balances in full": each_record("banking.balances", creditLimit="0.00", amortisedLimit="0.00", currency="AUD"),
    "no balances of the starter below": each_record("balances", available=0),
    # Energy.
    "energy": of_sector(ENERGY),
    "energy without bills": of_sector(ENERGY, lambda holder: drop(holder, "energy.billing", "energy.invoices")),
    "energy without concessions and schedules": of_sector(
        ENERGY, lambda holder: drop(holder, "energy.concessions", "energy.payment_schedules")
    ),
    "energy, no invoices, 405": of_sector(
        ENERGY, without("listEnergyInvoices", "listEnergyInvoicesSpecific", status=405, code="x")
    ),
    "energy, no concessions, 501": of_sector(ENERGY, without("listEnergyConcessions", status=501, code="x")),
    "energy, a blocked account": of_sector(ENERGY, blocked("a-1002", code=UNAVAILABLE_ENERGY)),
    "energy, closed accounts": of_sector(ENERGY, each_record("energy.accounts", openStatus="CLOSED")),
    "energy, accounts without a number": of_sector(
        ENERGY, each_record("energy.accounts", accountNumber=None, openStatus=None)
    ),
    "energy, times with fractions": of_sector(
        ENERGY, each_record("energy.billing", executionDateTime="2026-02-01T10:00:00.5+10:30")
    ),
    "energy, no details of plans in lists": of_sector(
        ENERGY, every(lambda answer: drop_plan_details(answer.json), "listEnergyAccountsSpecific")
    ),
    "energy, links that are queries": of_sector(
        ENERGY, lambda holder: setattr(holder, "links", lambda path, query: encode(query))
    ),
    "energy, a body without accounts refused": of_sector(
        ENERGY, lambda holder: setattr(holder, "refuses_no_accounts", True)
    ),
    "energy, an invoice on the first day of the window": of_sector(
        ENERGY, each_record("energy.invoices", issueDate=first_day(-1), dueDate=None)
    ),
    "energy, an invoice of two years ago": of_sector(ENERGY, each_record("energy.invoices", issueDate=first_day(0))),
    # FDX.
    "FDX": of_sector(FDX),
    "FDX, pages without a total": of_sector(FDX, on_page(lambda page: page.pop("totalElements"))),
    "FDX, no page beside a whole list": of_sector(FDX, on_whole_page(lambda content: content.pop("page"))),
    "FDX, links to pages": of_sector(FDX, on_page(lambda page: page.update(prevOffset="0"))),
    "FDX, no statements": of_sector(FDX, without("fdxListStatements", "fdxGetStatement")),
    "FDX, no contacts, 405": of_sector(FDX, without("fdxGetContact", status=405, code="x")),
    "FDX, no payment networks, 501": of_sector(FDX, without("fdxListPaymentNetworks", status=501, code="x")),
    "FDX, restricted accounts": of_sector(
        FDX,
        each_record("fdx.accounts", status="RESTRICTED"),
        every(lambda answer: setattr(answer, "json", b"") if answer.status == 200 else None, "fdxListPaymentNetworks"),
    ),
    "FDX, members of its own": of_sector(FDX, each_record("fdx.accounts", bankTier="gold", displayName="Checking")),
    "FDX, transactions in progress": of_sector(FDX, each_record("fdx.transactions", status="PENDING")),
    "FDX, whole amounts": of_sector(FDX, each_record("fdx.transactions", amount=12)),
    "FDX, an account for one person only": of_sector(
        FDX,
        lambda holder: setattr(holder, "refuses_no_accounts", True),
        lambda holder: drop_accounts(holder, "c-robin"),
    ),
    # Two sectors.
    "banking and energy": lambda holder: mix(holder),
    # How lists are linked.
    "links that are paths": lambda holder: setattr(holder, "links", lambda path, query: f"{path}?{encode(query)}"),
    "links that are queries": lambda holder: setattr(holder, "links", lambda path, query: encode(query)),
    "links with a question mark first": lambda holder: setattr(holder, "links", lambda _, query: f"?{encode(query)}"),
    "links in another order": lambda holder: setattr(
        holder, "links", lambda path, query: f"https://x.example{path}?{encode(dict(sorted(query.items())))}"
    ),
    "no link to itself": on_data(lambda content: content["links"].pop("self")),
    "links to the first and the last page on each page": on_data(
        lambda content: content["links"].update(
            first=set_page(content, 1), last=set_page(content, max(content["meta"]["totalPages"], 1))
        )
    ),
    "further members of meta": on_data(lambda content: content["meta"].update(asOf="2026-01-01", took=3)),
    "further links": on_data(lambda content: content["links"].update(help="https://bank.example/help")),
    # Headers.
    "a charset": every(lambda answer: answer.headers.update({"Content-Type": "application/json; charset=utf-8"})),
    "a media type in capitals": every(lambda answer: answer.headers.update({"Content-Type": "Application/JSON"})),
    "the server is named": header("Server", "Kestrel"),
    "HSTS": header("Strict-Transport-Security", "max-age=31536000"),
    "a request id of its own": header("X-Request-Id", "17"),
    "no word on caches": every(lambda answer: answer.headers.pop("Cache-Control")),
    "private caches": header("Cache-Control", "private, no-cache"),
    "vary": header("Vary", "Accept-Encoding, Origin"),
    "x-v": header("x-v", "1"),
    "the interaction id in capitals": every(
        lambda answer: answer.headers.update({"x-fapi-interaction-id": answer.headers["x-fapi-interaction-id"].upper()})
    ),
    # Bodies.
    "indented JSON": every(lambda answer: setattr(answer, "json", json.dumps(answer.json, indent=2).encode())),
    "escaped JSON": every(lambda answer: setattr(answer, "json", json.dumps(answer.json).replace("/", "\\/").encode())),
    "members in another order": every(
        lambda answer: setattr(answer, "json", json.dumps(answer.json, sort_keys=True).encode())
    ),
}


def encode(query: dict[str, str]) -> str:
    return "&".join(f"{name}={value}".replace(" ", "%20").replace("+", "%2B") for name, value in query.items())


@taste
def an_account_without_direct_debits_is_405(holder: Holder) -> None:
    def before(answer: Answer, _: object) -> None:
        if answer.path.endswith("a-1001/direct-debits"):
            raise Refused(405, Allow="POST")

    holder.before = before


@taste
def text_is_not_supported(holder: Holder) -> None:
    """The CDS let a holder ignore `text`, if it says so."""

    def before(answer: Answer, _: object) -> None:
        answer.query = {name: value for name, value in answer.query.items() if name != "text"}

    def after(answer: Answer) -> None:
        if answer.status == 200 and answer.name == TRANSACTIONS:
            answer.json["meta"]["isQueryParamUnsupported"] = True

    holder.before, holder.after = before, after


@taste
def a_time_of_reading_in_each_account(holder: Holder) -> None:
    def after(answer: Answer) -> None:
        if answer.status == 200 and answer.name == "getBankingAccount":
            answer.json["data"]["lastUpdatedDateTime"] = datetime.now(UTC).isoformat()
        if answer.status == 200 and answer.name == ACCOUNTS:
            for record in answer.json["data"]["accounts"]:
                record["lastUpdatedDateTime"] = datetime.now(UTC).isoformat()

    holder.after = after


@taste
def the_number_of_the_answer_in_its_meta(holder: Holder) -> None:
    on_data(lambda content: content["meta"].update(number=holder.answers))(holder)


@taste
def single_accounts_show_more_than_lists(holder: Holder) -> None:
    def after(answer: Answer) -> None:
        if answer.status == 200 and answer.name == "listBankingDirectDebitsSpecific":
            debits = answer.json["data"]["directDebitAuthorisations"]
            answer.json["data"]["directDebitAuthorisations"] = [
                {name: value for name, value in record.items() if name != "lastDebitAmount"} for record in debits
            ]

    holder.after = after


@taste
def at_times_too_busy(holder: Holder) -> None:
    """429 with Retry-After (RFC 6585) says when to come again."""

    def before(answer: Answer, _: object) -> None:
        if answer.number % 20 == 5:
            raise Refused(429, Retry_After="0")

    holder.before = before


@taste
def a_long_list(holder: Holder) -> None:
    holder.rows["banking.transactions"]["a-1001"] = [make_transaction("a-1001", number) for number in range(600)]


@taste
def nobody_has_anything(holder: Holder) -> None:
    for collection in ("banking.transactions", "banking.direct_debits", "banking.payees"):
        holder.rows[collection] = {owner: [] for owner in holder.rows[collection]}


@taste
def nothing_but_one_account_each(holder: Holder) -> None:
    for customer in OWNED:
        holder.rows["accounts"][customer] = holder.rows["accounts"][customer][:1]


def describe(report: Report) -> list[Any]:
    """Describe the findings, to be seen where there should be none."""
    return [
        (row.rule.name, row.subject, [(each.observed, each.request and each.request.redacted_text) for each in some])
        for row in report.failed_results
        if (some := row.failures[:3])
    ]


async def rehearse(holder: Holder, signer: Any, phases: tuple[Phase, ...] = PHASES, **plan: Any) -> Report:
    async with serving(holder) as url, open_caller(url, url, ISSUER, signer, seconds=60) as caller:
        return await run_rehearsal(caller, Plan(**{"emails": (JANE, ROBIN), "attacks": False, **plan}), phases=phases)


def plan_operations(name: str) -> tuple[Operation, ...]:
    more = [each for word, names in PLANNED.items() if word in name for each in names]
    wanted = {*more} if {"energy", "FDX"} & set(re.findall(r"^\w+", name)) else {*LOGIN, ACCOUNTS, "getBankingAccount"}
    wanted |= {*more} or {TRANSACTIONS}
    return tuple(row for row in OPERATIONS if row.name in wanted)


def test_there_are_tastes_enough():
    assert len(TASTES) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("name", TASTES)
def test_a_healthy_server_of_any_taste_has_no_finding(name):
    holder = Holder()
    TASTES[name](holder)
    sectors = frozenset({"banking"} if "banking" not in name else ())
    report = asyncio.run(rehearse(holder, Unsigned(), operations=plan_operations(name), sectors=sectors))
    assert describe(report) == []
    assert report.is_ready
    assert report.is_finished


# -- attacks, and proxies in front -------------------------------------------------------------------------------------


def refuse_by_proxy(is_refused: Callable[[Any], bool], status: int, server: str) -> Taste:
    """Let a proxy refuse some requests by itself: in HTML, and without an interaction id."""

    def apply(holder: Holder) -> None:
        def before(answer: Answer, handler: Any) -> None:
            if is_refused(handler.request):
                raise Refused(status, "proxy")

        def after(answer: Answer) -> None:
            if b"proxy" in json.dumps(answer.json).encode():
                answer.headers = {"Content-Type": "text/html", "Server": server}
                answer.json = b"<html><h1>Bad Request</h1></html>"

        holder.before, holder.after = before, after

    return apply


ATTACKED: dict[str, Taste] = {
    "bad tokens are 401": lambda holder: None,
    "bad tokens are 403": lambda holder: setattr(holder, "bad_token", 403),
    "a proxy that refuses two tokens, NUL and TRACE": refuse_by_proxy(
        lambda http: len(http.headers.get_list("Authorization")) > 1 or "%00" in http.uri or http.method == "TRACE",
        400,
        "nginx",
    ),
    "a proxy that fails at NUL": refuse_by_proxy(lambda http: "%00" in http.uri, 500, "nginx/1.22.1"),
    "a proxy that knows two methods": refuse_by_proxy(lambda http: http.method not in ("GET", "POST"), 405, "awselb"),
    "a firewall": refuse_by_proxy(
        lambda http: any(sign in http.uri.lower() for sign in ("%27", "..", "%2f", "%0d")), 403, "cloudflare"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKED)
def test_a_healthy_server_stands_the_attacks(name, signer):
    holder = Holder(key=signer._key.public_key(), kid=signer.kid)
    ATTACKED[name](holder)
    wanted = {*LOGIN, ACCOUNTS, "getBankingAccount"}
    plan = {"operations": tuple(row for row in OPERATIONS if row.name in wanted), "emails": (JANE,), "attacks": True}
    phases = tuple(phase for phase in PHASES if phase.name in ("Login, consent and data", "Attacks"))
    report = asyncio.run(rehearse(holder, signer, phases, **plan))
    assert describe(report) == []
    assert bool([row for row in report.results if row.notes]) == ("proxy" in name or "firewall" in name)


@pytest.mark.slow
def test_a_very_long_account_is_walked_in_parts():
    """An account of a business has thousands of records: its first, second, middle and last pages are looked at."""
    holder = Holder()
    holder.rows["banking.transactions"]["a-1001"] = [make_transaction("a-1001", number) for number in range(4200)]
    report = asyncio.run(rehearse(holder, Unsigned(), operations=plan_operations("a long list"), emails=(JANE,)))
    assert describe(report) == []
    assert report.requests < 300
    ((route, reason),) = report.untried
    assert route.endswith("/transactions")
    assert reason == "not looked at further: a list has 525 pages, of which 4 were read"
    checked = {row.rule.name: row.verdict for row in report.results if row.subject == route}
    assert checked["total-records"] == checked["filters-applied"] == checked["pages-match-list"] == "passed"


def test_a_server_that_asks_to_wait_too_long_is_not_called_bad():
    holder = Holder()

    def before(answer: Answer, _: object) -> None:
        if answer.number > 30:
            raise Refused(429, Retry_After="3600")

    holder.before = before
    report = asyncio.run(rehearse(holder, Unsigned(), operations=plan_operations("")))
    assert describe(report) == []
    assert not report.is_finished
    assert ("the server", "not looked at further: it asks to wait for more than 120 s (429)") in report.untried
