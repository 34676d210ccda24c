"""The bank of the soak: which records an answer must have, what is asked, and what must be refused.

The expected answers are made from the bank's own tables, without openholder. Each generation of the database has other
names and amounts, so an answer that mixes two generations equals neither.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bank import ISSUER, PAGE, draw_request, get_account_id, get_customer_id, write_bank

from openholder.fiskil.signer import Signer

HOSTILE_TEXTS = (
    """O'Brien"; DROP TABLE person; --""",
    "<script>alert(document.domain)</script>",
    "Renée مرحبا 銀行 🏦",
    "%2e%2e%2f${jndi:ldap://127.0.0.1/a}{{7*7}}",
)
"""Family names of every twentieth customer: text that must leave as it came."""
EVER = "oldest-time=2000-01-01T00%3A00%3A00Z"
MIX = {"search": 5, "customer": 10, "accounts": 25, "balance": 35, "transactions": 25}
"""Operations and their percentages, as the non-functional requirements of the CDS are tested."""


class Asked(NamedTuple):
    """A request, and what must be answered."""

    operation: str
    method: str
    path: str
    """With its query."""
    body: str
    token: str | None
    status: int
    key: tuple[str, ...] = ()
    """What the answer is about: the record or the account, and the page."""


class Records:
    """The records of the bank's own tables, as they were written first."""

    def __init__(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            self.persons = {row["id"]: row for row in connection.execute("SELECT * FROM person")}
            self.holdings = {row["id"]: row for row in connection.execute("SELECT * FROM holding")}
            self.owned: dict[str, list[sqlite3.Row]] = {}
            for holding in self.holdings.values():
                self.owned.setdefault(holding["person"], []).append(holding)
            self.bookings: dict[str, list[sqlite3.Row]] = {}
            for row in connection.execute("SELECT * FROM booking ORDER BY moment DESC, nr DESC"):
                self.bookings.setdefault(row["holding"], []).append(row)


@dataclass(frozen=True, slots=True)
class Generation:
    """The records of one database: those that were written first, with the changes of `write_generation`."""

    records: Records
    number: int

    def expect(self, operation: str, key: tuple[str, ...]) -> Any:
        """Return what the body of an answer must be; of pages of transactions, without the links."""
        known = self.records
        match operation:
            case "search":
                person = known.persons[key[0]]
                name = f"{person['given']} {self._get_family(person)}"
                return {"data": [{"id": person["id"], "name": name, "phoneNumber": person["phone"]}]}
            case "customer":
                person = known.persons[key[0]]
                return expect_customer(person, self._get_family(person))
            case "accounts":
                return {"accounts": [self._expect_account(row) for row in known.owned[key[0]]]}
            case "balance":
                amount = (known.holdings[key[0]]["cents"] + self.number) / 100
                return {"account_id": key[0], "available": amount, "current": amount, "currency": "AUD"}
        rows, page = known.bookings[key[0]], int(key[1])
        listed = [expect_transaction(row, row["cents"] + self.number) for row in rows[(page - 1) * PAGE : page * PAGE]]
        meta = {"totalRecords": len(rows), "totalPages": -(-len(rows) // PAGE)}
        return {"data": {"transactions": listed}, "meta": meta}

    def _get_family(self, person: sqlite3.Row) -> str:
        place, rest = divmod(person["nr"] % 80, 20)
        return f"{person['family'] if rest else HOSTILE_TEXTS[place]} {self.number}"

    def _expect_account(self, row: sqlite3.Row) -> dict[str, Any]:
        label = f"{row['label']} {self.number}"
        return {"id": row["id"], "name": label, "type": row["kind"], "displayName": label}


def expect_customer(person: sqlite3.Row, family: str) -> dict[str, Any]:
    """Return the details of a customer."""
    return {
        "id": person["id"],
        "email": person["email"],
        "emailVerified": True,
        "givenName": person["given"],
        "familyName": family,
        "name": f"{person['given']} {family}",
        "phoneNumber": person["phone"],
        "phoneNumberVerified": False,
        "updatedAt": person["changed"],
        "address": {
            "streetAddress": person["street"],
            "locality": person["town"],
            "region": person["state"],
            "postalCode": person["postcode"],
            "country": "AUS",
        },
    }


def expect_transaction(row: sqlite3.Row, cents: int) -> dict[str, Any]:
    """Return a transaction of a page."""
    return {
        "accountId": row["holding"],
        "transactionId": f"t{row['nr']}",
        "isDetailAvailable": False,
        "type": row["kind"],
        "status": "POSTED",
        "description": row["text"],
        "postingDateTime": row["moment"],
        "executionDateTime": row["moment"],
        "amount": f"-{cents // 100}.{cents % 100:02d}",
        "currency": "AUD",
        "reference": row["reference"],
        "merchantName": row["shop"],
        "merchantCategoryCode": row["category"],
    }


def write_first(path: Path) -> Records:
    """Write the database that all generations are made from. Return its records."""
    write_bank(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return Records(path)


def write_generation(first: Path, path: Path, number: int) -> None:
    """Write another generation of the database, and put it into its place at once, as a nightly export does."""
    fresh = path.with_name(f"next-{number}.db")
    shutil.copy(first, fresh)
    with closing(sqlite3.connect(fresh)) as connection, connection:
        for place, text in enumerate(HOSTILE_TEXTS):
            connection.execute("UPDATE person SET family = ? WHERE nr % 80 = ?", (text, 20 * place))
        connection.execute("UPDATE person SET family = family || ?", (f" {number}",))
        connection.execute("UPDATE holding SET cents = cents + ?, label = label || ?", (number, f" {number}"))
        connection.execute("UPDATE booking SET cents = cents + ?", (number,))
    fresh.replace(path)


def draw_good(chance: random.Random, sign: Callable[[str], str]) -> Asked:
    """Draw a request of the mix, to be answered with data."""
    (operation,) = chance.choices(list(MIX), list(MIX.values()))
    request = draw_request(chance, operation)
    parts, path = request.path.split("/"), request.path
    key: tuple[str, ...] = (parts[4] if parts[1] == "auth" else parts[-2],) if not request.body else ()
    if operation == "search":
        number = int(request.body.partition("customer.")[2].partition("@")[0])
        key = (get_customer_id(number),)
    elif operation == "transactions":
        page = request.query.partition("page=")[2].partition("&")[0]
        key, path = (*key, page), f"{path}?page={page}&page-size={PAGE}&{EVER}"
    return Asked(operation, request.method, path, request.body, sign(request.path), 200, key)


def draw_hostile(chance: random.Random, signer: Signer, base_url: str, used: list[tuple[str, str]]) -> Asked:
    """Draw a request that must be refused, each in one of ten ways."""
    number, other = chance.randrange(400), chance.randrange(400, 800)
    own = f"/customer/{get_customer_id(number)}/accounts/{get_account_id(2 * number)}/balances"
    foreign = f"/customer/{get_customer_id(number)}/accounts/{get_account_id(2 * other)}/balances"
    customer, search = f"/auth/v1/customer/{get_customer_id(number)}", "/auth/v1/customer/search"

    def sign(path: str, **more: Any) -> str:
        return signer.sign_token(ISSUER, base_url + path, **more)

    ways: list[Callable[[], Asked]] = [
        lambda: Asked("no token", "GET", own, "", None, 401),
        lambda: Asked("token of another path", "GET", own, "", sign(customer), 401),
        lambda: Asked("changed signature", "GET", own, "", change_last(sign(own)), 401),
        lambda: Asked("expired token", "GET", own, "", sign(own, lifetime=-60), 401),
        lambda: Asked("token of a stranger", "GET", own, "", Signer.sign_token(STRANGER, ISSUER, base_url + own), 401),
        lambda: Asked("foreign account", "GET", foreign, "", sign(foreign), 404),
        lambda: Asked("SQL in the id", "GET", f"{customer}'--", "", sign(f"{customer}'--"), 404),
        lambda: Asked("unknown customer", "GET", f"{customer}0", "", sign(f"{customer}0"), 404),
        lambda: Asked("body without address", "POST", search, '{"email": 1}', sign(search), 400),
    ]
    if used:
        path, token = used[chance.randrange(len(used))]
        ways.append(lambda: Asked("used token", "GET", path, "", token, 401))
    return chance.choice(ways)()


STRANGER = Signer.generate("stranger")


def change_last(token: str) -> str:
    """Return a token whose signature has one other character."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
