"""A bank with the tables of the FDX lists, whose rows the tests write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from helpers.bank import Bank
from helpers.support import World

CUSTOMER = "/fdx/v6/customer/c1"
TRANSACTIONS = f"{CUSTOMER}/accounts/a1/transactions"
STATEMENTS = f"{CUSTOMER}/accounts/a1/statements"
NETWORKS = f"{CUSTOMER}/accounts/a1/payment-networks"
ACCOUNTS = f"{CUSTOMER}/accounts"

SCHEMA = """
CREATE TABLE customers (id TEXT);
CREATE TABLE accounts (customerId TEXT, id TEXT);
CREATE TABLE fdx_accounts (accountId TEXT, nickname TEXT);
CREATE TABLE fdx_transactions (accountId TEXT, transactionId TEXT, postedTimestamp TEXT, transactionTimestamp TEXT);
CREATE TABLE fdx_statements (accountId TEXT, statementId TEXT, statementDate TEXT);
CREATE TABLE fdx_payment_networks (accountId TEXT, identifier TEXT);
INSERT INTO customers VALUES ('c1');
INSERT INTO accounts VALUES ('c1', 'a1'), ('c1', 'a2'), ('c1', 'a3');
"""
DAY = datetime(2026, 6, 15, tzinfo=UTC)


class FDXBank(Bank):
    """A bank with the tables of the FDX lists."""

    def __init__(self, world):
        super().__init__(world, SCHEMA)

    def add(self, table, *rows):
        with self.writer:
            for row in rows:
                self.writer.execute(f"INSERT INTO fdx_{table} VALUES ({', '.join('?' * len(row))})", row)

    def clear(self, table):
        with self.writer:
            self.writer.execute(f"DELETE FROM fdx_{table}")

    async def walk(self, path, query, name, key, between=lambda: None, body=None):
        """What all parts of a list have, by following the cursor; ``between`` happens after each of them."""
        found, totals, offset = [], [], ""
        while True:
            answer = (await self.get(path, f"{query}{offset}", body)).json
            assert sorted(answer) == sorted(["page", name])
            found += [record[key] for record in answer[name]]
            totals.append(answer["page"].pop("totalElements"))
            following = answer["page"].pop("nextOffset", "")
            assert answer["page"].pop("nextPageKey", "") == following
            assert answer["page"] == {} and following.isascii()
            if not following:
                return found, totals
            offset = f"&offset={following}"
            between()


def transactions(*numbers, account="a1"):
    """One a minute, the greater the newer, each called by its number."""
    return [(account, f"t{n}", (DAY + timedelta(minutes=n)).isoformat(), None) for n in numbers]


def open_bank(module_loop, signer, tmp_path_factory):
    """Open one bank for all tests of a module."""
    bank = FDXBank(World(tmp_path_factory.mktemp("bank"), signer))
    module_loop.run_sync(bank.start)
    yield bank
    module_loop.run_sync(bank.world.stop)
    bank.writer.close()


def open_own_bank(io_loop, world):
    """Open a bank that the test may restart."""
    bank = FDXBank(world)
    io_loop.run_sync(bank.start)
    yield bank
    bank.writer.close()


def reset_bank(opened):
    """Return the bank as it was at first: with its customer and the accounts, and no records."""
    for table in ("accounts", "transactions", "statements", "payment_networks"):
        opened.clear(table)
    return opened


async def offset_of(bank, path=TRANSACTIONS, query="limit=2", body=None):
    return (await bank.get(path, query, body)).json["page"]["nextOffset"]


async def refused(bank, offset, path=TRANSACTIONS, query="", body=None):
    """Whether an offset is refused as the contract wants it."""
    answer = await bank.get(path, f"{query}&offset={offset}".lstrip("&"), body)
    if answer.status == 200:
        return False
    (error,) = answer.json["errors"]
    assert (answer.status, error["code"], error["detail"]) == (400, "invalid_request", "offset")
    assert error["meta"]["urn"] == "urn:au-cds:error:cds-all:Field/Invalid"
    return True
