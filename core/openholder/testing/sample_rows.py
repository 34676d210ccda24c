"""The kit's rows: few, but each with a value that some source has got wrong.

Every value is text, as in a CSV file, or ``None`` if the member is absent. The sets below list the members that are not
text, for sources whose columns have types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from openholder.query import Row

AMOUNTS: Final = frozenset({"amount", "available", "current", "invoiceAmount", "gst"})
"""Members that are numbers, of up to 18 digits: more than a float holds exactly."""
MOMENTS: Final = frozenset(
    {
        "postingDateTime",
        "executionDateTime",
        "valueDateTime",
        "creationDate",
        "issueDate",
        "statementDate",
        "updatedAt",
    }
)
"""Members that are dates, or date-times with an offset."""
TRUTHS: Final = frozenset({"isOwned", "emailVerified"})
"""Members that are booleans."""
LISTS: Final = frozenset({"schedule"})
"""Members that are lists of objects, as JSON text."""

IDS: Final = (
    "12",
    "012",
    "12.0",
    "12 ",
    "1e1",
    "10",
    "A1",
    "a1",
    "a_1",
    "ab1",
    "a b'c\"d",
    "100%",
    "x/y?z=1&w#v+u",
    "\u00fcn\u00ef\u2013\u00e9",
    "e\u0301",
    "\u65e5\u672c\U0001f3e6",
    "\u00e9",
    "long-" * 40,
    "long-" * 39 + "long_",
)
"""Ids of customers and of accounts. Some are equal as numbers, or if case, blanks or accents are ignored."""

TEXTS: Final = (
    "plain",
    "Caf\u00e9 \u2013 na\u00efve \u00a3\u20ac",
    "decomposed e\u0301",
    "\U0001f3e6 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u65e5\u672c\u8a9e",
    "\u0645\u0631\u062d\u0628\u0627 \u200f(right to left)",
    'it\'s a "quoted", comma; semicolon\ttab',
    "back\\slash % percent _ under ${x} {y} <b>&amp;",
    "two\nlines",
    "as\r\nWindows writes them",
    "long " * 1000 + "text",
    "line\u2028separator \ufeffbom",
    " blanks around ",
    "NULL",
    "007",
    "1.50",
    "true",
)
"""Free text as people write it: quotes, line breaks, emoji, right-to-left text, words that look like other types."""

EMAILS: Final = (
    "kim@example.com",
    "Kim@Example.COM",
    "\u212aim@example.com",
    "k\u0131m@example.com",
    "k_m@example.com",
    "kim@example.com.au",
    "JOS\u00c9@example.com",
    "jos\u00e9@example.com",
)
"""Only the first two are the same address: only A-Z are compared without case."""

# postingDateTime, executionDateTime, valueDateTime, amount, description, reference: one row of each for every account.
_Transaction = tuple[str | None, str | None, str | None, str, str, str | None]
_TRANSACTIONS: tuple[_Transaction, ...] = (
    ("2026-06-15T12:00:00Z", None, None, "10.00", "Coffee", None),
    ("2026-06-15T22:00:00+10:00", None, None, "9.00", "coffee and cake", "R-1"),
    (None, None, None, "-0.01", "pending: 100% off", None),
    (None, "2026-06-15T08:00:00-04:00", None, "-100.10", "100 percent", "a_b"),
    ("2026-06-15T11:59:59.999Z", "2027-01-01T00:00:00Z", None, "1234567890123456.90", "axb", "ref"),
    ("2025-12-31T23:30:00-05:00", None, None, "0.30", "Caf\u00e9", "COFFEE"),
    ("2026-01-01T04:00:00Z", None, None, "1000.00", "Cafe\u0301", None),
    (None, None, "2026-06-16T00:00:00+10:00", "1234567890123456.89", 'O\'Brien said "\\"', None),
    ("2026-06-15T12:00:00.000Z", None, None, "-9.5", "\U0001f600 tip", "caf\u00e9"),
    ("2026-06-15T12:00:00.5Z", None, None, "9.499", "half a second later", None),
    ("2026-06-15T12:00:00.000001Z", None, None, "-9.504", "a millionth later", None),
)
_SUFFIXES = ("z", "Z", "\u00e9", "\uffee", "\U0001f600", "10", "9", "a", "_", "\U0001f601", "\U0001f602")
"""Sorted by code point, these are in another order than by collation or by UTF-16 code unit."""
_SCHEDULES = (
    None,
    "[]",
    '[{"isPaid": true}, {"isPaid": false}]',
    '[{"isPaid": true, "dueDate": "2026-01-01"}]',
    '[{"amountDue": "1.00"}]',
    '[{"isPaid": null}, {"isPaid": true}]',
)
_DATES = ("2026-02-28", "2026-03-01", "2026-03-01", "2025-12-31", None)

BUSY: Final = IDS[0]
"""An account, and a customer, with enough rows for several pages."""
JOINT: Final = "joint"
"""An account with two owners."""
ACCOUNT_IDS: Final = (*IDS, JOINT)


def _pick(values: Sequence[str | None], number: int) -> str | None:
    return values[number % len(values)]


def _make_customers() -> Iterator[Row]:
    for number, customer_id in enumerate(IDS):
        yield {
            "id": customer_id,
            "email": EMAILS[number] if number < len(EMAILS) else f"c{number}@example.org",
            "emailVerified": _pick(("true", "false", None), number),
            "name": _pick(TEXTS, number),
            "updatedAt": _pick(("2026-03-14T09:26:53+11:00", None), number),
            "address.locality": _pick((None, "Newtown", "\u00c5rhus"), number),
        }


def _make_logins() -> Iterator[Row]:
    for number, email in enumerate((*EMAILS, EMAILS[0])):
        yield {"email": email, "customerId": IDS[-1 - number]}


def _make_accounts() -> Iterator[Row]:
    owned = [(number, (number + step) % len(IDS)) for step in (5, 2) for number in range(len(IDS))]
    links = [(IDS[customer], IDS[account]) for customer, account in owned] + [(IDS[0], JOINT), (IDS[1], JOINT)]
    for number, (customer_id, account_id) in enumerate(links):
        yield {
            "customerId": customer_id,
            "id": account_id,
            "name": _pick(TEXTS, number),
            "status": _pick(("open", None, "closed"), number),
        }


def _make_balances() -> Iterator[Row]:
    amounts = ("1234567890123456.90", "0.10", "-0.01", "1000000.00", "0", "9007199254740993")
    for number, account_id in enumerate(ACCOUNT_IDS):
        available = _pick(amounts, number)
        yield {
            "accountId": account_id,
            "available": available,
            "current": _pick(amounts, number + 1),
            "currency": "AUD",
        }


def _make_bank_accounts() -> Iterator[Row]:
    for number, account_id in enumerate(ACCOUNT_IDS):
        yield {
            "accountId": account_id,
            "displayName": _pick(TEXTS, number),
            "openStatus": _pick(("OPEN", None, "CLOSED"), number),
            "isOwned": _pick(("true", "false", None, "true"), number),
            "productCategory": _pick(("TRANS_AND_SAVINGS_ACCOUNTS", "CRED_AND_CHRG_CARDS"), number),
            "creationDate": _pick(_DATES, number),
        }


def _make_transactions() -> Iterator[Row]:
    rounds = [(turn, account_id) for turn in range(3) for account_id in (ACCOUNT_IDS if turn == 0 else (BUSY,))]
    for index, (suffix, row) in enumerate(zip(_SUFFIXES, _TRANSACTIONS, strict=True)):
        for turn, account_id in rounds:
            posted, executed, value, amount, description, reference = row
            yield {
                "accountId": account_id,
                "transactionId": f"{turn}{suffix}{ACCOUNT_IDS.index(account_id)}-{index}",
                "postingDateTime": posted,
                "executionDateTime": executed,
                "valueDateTime": value,
                "amount": amount,
                "description": description,
                "reference": reference,
            }


def _make_direct_debits() -> Iterator[Row]:
    for number in range(3 * len(ACCOUNT_IDS)):
        account_id = BUSY if number % 3 == 2 else ACCOUNT_IDS[number % len(ACCOUNT_IDS)]
        yield {
            "accountId": account_id,
            "lastDebitFrom": f"{(number * 7) % 55}",
            "lastDebitDateTime": "2026-06-15T12:00:00Z",
            "amount": _pick(("1.10", None), number),
        }


def _make_payees() -> Iterator[Row]:
    for number in range(2 * len(IDS)):
        yield {
            "customerId": IDS[number % len(IDS)],
            "payeeId": f"p{99 - number // 2}",  # two customers may have a payee of the same id
            "type": _pick(("BILLER", "DOMESTIC", "INTERNATIONAL"), number),
            "nickname": _pick(TEXTS, number),
        }


def _make_plans() -> Iterator[Row]:
    for number in range(6 * len(IDS)):
        yield {
            "accountId": IDS[number % len(IDS)],
            "planId": f"plan {99 - number}",
            "creationDate": _pick(_DATES, number // 2),
            "schedule": _pick(_SCHEDULES, number // len(IDS)),
        }


def _make_invoices() -> Iterator[Row]:
    for number in range(5 * len(IDS)):
        yield {
            "accountId": IDS[number % len(IDS)],
            "invoiceNumber": f"{200 - number}",
            "issueDate": _pick(_DATES, number // 3),
            "invoiceAmount": _pick(("386.38", "0.00", "1234567890123456.89"), number),
        }


def _make_billing() -> Iterator[Row]:
    times = ("2026-06-15T12:00:00Z", "2026-06-15T22:00:00+10:00", "2026-06-14T23:00:00Z", None)
    for number in range(4 * len(IDS)):
        yield {
            "accountId": IDS[number % len(IDS)],
            "executionDateTime": _pick(times, number // len(IDS)),
            "gst": _pick(("9.65", None), number),
            "transactionUType": "onceOff",
            "description": f"b{(number * 13) % 97}",
        }


def _make_statements() -> Iterator[Row]:
    for number in range(2 * len(IDS)):
        yield {
            "accountId": IDS[number % len(IDS)],
            "statementId": f"s{number}",
            "statementDate": _pick(_DATES, number // len(IDS)),
            "document": b"%PDF-1.7\n\x00\xff\r\n" + bytes([number]) if number % 5 else None,
        }


_ROW_MAKERS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "customers": _make_customers,
    "logins": _make_logins,
    "accounts": _make_accounts,
    "balances": _make_balances,
    "banking.accounts": _make_bank_accounts,
    "banking.transactions": _make_transactions,
    "banking.direct_debits": _make_direct_debits,
    "banking.payees": _make_payees,
    "banking.instalment_plans": _make_plans,
    "energy.invoices": _make_invoices,
    "energy.billing": _make_billing,
    "fdx.statements": _make_statements,
}
IDENTITIES: Mapping[str, str] = {
    "customers": "id",
    "logins": "customerId",
    "accounts": "id",
    "balances": "accountId",
    "banking.accounts": "accountId",
    "banking.transactions": "transactionId",
    "banking.direct_debits": "lastDebitFrom",
    "banking.payees": "payeeId",
    "banking.instalment_plans": "planId",
    "energy.invoices": "invoiceNumber",
    "energy.billing": "description",
    "fdx.statements": "statementId",
}
"""The member that identifies a record among those of one owner."""

COLLECTIONS: Final = tuple(_ROW_MAKERS)
"""The names of the collections that the kit has rows for."""

Rows = Mapping[str, Sequence[Row]]
"""For each collection its rows, in order: mappings from member to text, or to ``None`` if the member is absent."""


def copy_rows(collections: Sequence[str], *, documents: bool) -> Rows:
    """Return a fresh copy of the rows of some collections, which the caller may change."""
    return {name: [dict(row) for row in make_rows(name, documents)] for name in collections}


@cache
def make_rows(collection: str, documents: bool) -> Sequence[Row]:
    """Make the rows of a collection, with or without documents. The result is shared: do not change it."""
    rows = [dict(row) for row in _ROW_MAKERS[collection]()]
    if not documents:
        for row in rows:
            row.pop("document", None)
    return tuple(rows)
