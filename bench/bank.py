"""A bank in SQLite as a data holder has it: tables of its own, and views with openholder's names over them.

Also the requests that callers send to it: `draw_request` gives the same ones for the same random numbers.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from openholder.fiskil.signer import Signer

ISSUER = "examplebank.cdr.fiskil.com"
TOKEN_LIFETIME = 3000
CUSTOMERS = 1000
ACCOUNTS = 2 * CUSTOMERS
BUSY_ACCOUNTS = 200
"""The accounts that callers page through."""
BUSY_TRANSACTIONS, OTHER_TRANSACTIONS = 160, 10
PAGE = 25

SCHEMA = """
PRAGMA synchronous = OFF;
CREATE TABLE person (
  nr INTEGER PRIMARY KEY, email TEXT NOT NULL, given TEXT NOT NULL, family TEXT NOT NULL, phone TEXT NOT NULL,
  changed TEXT NOT NULL, street TEXT NOT NULL, town TEXT NOT NULL, state TEXT NOT NULL, postcode TEXT NOT NULL,
  id TEXT NOT NULL UNIQUE);
CREATE TABLE holding (
  id TEXT PRIMARY KEY, person TEXT NOT NULL, kind TEXT NOT NULL, label TEXT NOT NULL, cents INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE booking (
  nr INTEGER PRIMARY KEY, holding TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, moment TEXT NOT NULL,
  cents INTEGER NOT NULL, reference TEXT NOT NULL, shop TEXT, category TEXT);
"""
VIEWS = """
CREATE INDEX person_email ON person (email COLLATE NOCASE);
CREATE INDEX holding_person ON holding (person, id);
CREATE INDEX booking_holding ON booking (holding, moment DESC, nr DESC);
CREATE VIEW customers AS SELECT
  id, email, 1 AS emailVerified, given AS givenName, family AS familyName, given || ' ' || family AS name,
  phone AS phoneNumber, 0 AS phoneNumberVerified, changed AS updatedAt, street AS "address.streetAddress",
  town AS "address.locality", state AS "address.region", postcode AS "address.postalCode", 'AUS' AS "address.country"
  FROM person;
CREATE VIEW accounts AS SELECT person AS customerId, id, label AS name, kind AS type, label AS displayName FROM holding;
CREATE VIEW balances AS SELECT
  id AS accountId, printf('%d.%02d', cents / 100, cents % 100) AS available,
  printf('%d.%02d', cents / 100, cents % 100) AS current, 'AUD' AS currency FROM holding;
CREATE VIEW banking_transactions AS SELECT
  holding AS accountId, 't' || nr AS transactionId, 0 AS isDetailAvailable, kind AS type, 'POSTED' AS status,
  text AS description, moment AS postingDateTime, moment AS executionDateTime,
  printf('-%d.%02d', cents / 100, cents % 100) AS amount, 'AUD' AS currency, reference, shop AS merchantName,
  category AS merchantCategoryCode FROM booking;
ANALYZE;
"""
PLACES = (("Sydney", "NSW", "2000"), ("Melbourne", "VIC", "3000"), ("Perth", "WA", "6000"), ("Hobart", "TAS", "7000"))
SHOPS = (("Corner Grocery 12", "5411"), ("Opal Travel", "4111"), ("Harbour Cafe", "5812"), ("City Hardware", "5200"))


def get_email(number: int) -> str:
    """Return the address of a customer."""
    return f"customer.{number}@example.com.au"


def get_customer_id(number: int) -> str:
    """Return the id of a customer."""
    return f"cus-{number * 2654435761 % 2**32:08x}"


def get_account_id(number: int) -> str:
    """Return the id of an account. Customer n has the accounts 2n and 2n + 1."""
    return f"acc-{number:06d}"


def write_bank(path: Path) -> None:
    """Write the bank into a new SQLite file. Its newest transactions are of today, since lists show recent ones."""
    chance = random.Random(11)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.executemany(f"INSERT INTO person VALUES ({_marks(11)})", _make_persons(chance))
        connection.executemany(f"INSERT INTO holding VALUES ({_marks(5)})", _make_holdings(chance))
        connection.executemany(f"INSERT INTO booking VALUES ({_marks(9)})", _make_bookings(chance))
        connection.executescript(VIEWS)
        connection.execute("PRAGMA journal_mode = WAL")


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _make_persons(chance: random.Random) -> Iterator[tuple[object, ...]]:
    for number in range(CUSTOMERS):
        phone, street = f"+614{chance.randint(10_000_000, 99_999_999)}", f"{chance.randint(1, 400)} Station Lane"
        names, place = ("Alex", f"Citizen{number}"), chance.choice(PLACES)
        moment = "2026-01-15T09:30:00Z"
        yield (number, get_email(number), *names, phone, moment, street, *place, get_customer_id(number))


def _make_holdings(chance: random.Random) -> Iterator[tuple[object, ...]]:
    for number in range(ACCOUNTS):
        kind, label = (("savings", "Savings"), ("transaction", "Everyday"))[number % 2]
        yield get_account_id(number), get_customer_id(number // 2), kind, label, chance.randint(0, 5_000_000)


def _make_bookings(chance: random.Random) -> Iterator[tuple[object, ...]]:
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    number = 0
    for account in range(ACCOUNTS):
        moment = newest
        for _ in range(BUSY_TRANSACTIONS if account < BUSY_ACCOUNTS else OTHER_TRANSACTIONS):
            number += 1
            moment -= timedelta(seconds=chance.randint(3600, 86_400))
            written, cents = moment.strftime("%Y-%m-%dT%H:%M:%SZ"), chance.randint(100, 50_000)
            shop, category = chance.choice(SHOPS)
            reference = f"REF{chance.randint(10**8, 10**9)}"
            yield (number, get_account_id(account), "PAYMENT", shop, written, cents, reference, shop, category)


class Request(NamedTuple):
    """One request without its token."""

    method: str
    path: str
    query: str = ""
    body: str = ""


MIX = {"search": 10, "customer": 20, "accounts": 20, "balance": 30, "transactions": 20}
"""Operations and their percentages in real traffic."""


def draw_request(chance: random.Random, operation: str) -> Request:
    """Draw a request for an operation, to be answered with data."""
    account = chance.randrange(BUSY_ACCOUNTS if operation == "transactions" else ACCOUNTS)
    customer, account_id = get_customer_id(account // 2), get_account_id(account)
    match operation:
        case "search":
            return Request("POST", "/auth/v1/customer/search", body=json.dumps({"email": get_email(account // 2)}))
        case "customer":
            return Request("GET", f"/auth/v1/customer/{customer}")
        case "accounts":
            return Request("GET", f"/auth/v1/customer/{customer}/accounts")
        case "balance":
            return Request("GET", f"/customer/{customer}/accounts/{account_id}/balances")
        case "transactions":
            page = chance.randint(1, BUSY_TRANSACTIONS // PAGE)
            path = f"/v1/banking/customer/{customer}/accounts/{account_id}/transactions"
            return Request("GET", path, f"?page={page}&page-size={PAGE}")
    raise ValueError(f"there is no operation {operation!r}")


def draw_requests(chance: random.Random, operation: str, count: int) -> list[Request]:
    """Draw requests for one operation, or for ``mix`` of all in the shares of `MIX`."""
    names = chance.choices(list(MIX), list(MIX.values()), k=count) if operation == "mix" else [operation] * count
    return [draw_request(chance, name) for name in names]


def sign_requests(key: Path, base_url: str, operation: str, count: int, seed: int) -> list[bytes]:
    """Return complete requests for an operation or the mix, each with a token of its own."""
    signer = Signer.load_or_generate(key)
    signed = []
    for request in draw_requests(random.Random(seed), operation, count):
        token = signer.sign_token(ISSUER, base_url + request.path, lifetime=TOKEN_LIFETIME)
        head = (
            f"{request.method} {request.path}{request.query} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}"
        )
        if request.body:
            head += f"\r\nContent-Type: application/json\r\nContent-Length: {len(request.body)}"
        signed.append(f"{head}\r\n\r\n{request.body}".encode())
    return signed
