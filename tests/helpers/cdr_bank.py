"""A bank with the tables of the CDR lists, whose rows the tests write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from helpers.bank import Bank
from helpers.support import World

URN = "urn:au-cds:error:cds-all:"
BANKING, ENERGY = "/v1/banking/customer/c1", "/v1/energy/customer/c1"
TRANSACTIONS = f"{BANKING}/accounts/a1/transactions"
INVOICES = f"{ENERGY}/accounts/a1/invoices"
BILLING = f"{ENERGY}/accounts/a1/billing"
PLANS = f"{BANKING}/accounts/a1/payments/plans"
DEBITS = f"{BANKING}/accounts/a1/direct-debits"
PAYEES = f"{BANKING}/payees"
ALL = {"data": {"accountIds": ["a3", "a1", "a2"]}}

DEFAULTS = {
    "customers": {"id": "c1"},
    "accounts": {"customerId": "c1", "id": None},
    "banking_accounts": {
        "accountId": None,
        "displayName": "Saver",
        "accountOwnership": "ONE_PARTY",
        "maskedNumber": "xxxx 1234",
        "productCategory": "TRANS_AND_SAVINGS_ACCOUNTS",
        "productName": "Saver",
        "openStatus": None,
        "isOwned": None,
    },
    "banking_balances": {"accountId": None, "currentBalance": "1.00", "availableBalance": "1.00"},
    "banking_direct_debits": {"accountId": "a1", "authorisedEntity.description": "Gym"},
    "banking_scheduled_payments": {
        "accountId": None,
        "scheduledPaymentId": None,
        "payerReference": "r",
        "status": "ACTIVE",
        "from.accountId": "a1",
        "paymentSet": "[]",
        "recurrence": '{"recurrenceUType": "onceOff"}',
    },
    "banking_transactions": {
        "accountId": "a1",
        "transactionId": None,
        "isDetailAvailable": "false",
        "type": "PAYMENT",
        "status": "POSTED",
        "description": "Something",
        "reference": "",
        "amount": "1.00",
        "postingDateTime": None,
        "executionDateTime": None,
        "valueDateTime": None,
    },
    "banking_instalment_plans": {
        "accountId": "a1",
        "planId": None,
        "planReference": "r",
        "merchantName": "m",
        "planNickname": "n",
        "creationDate": "2026-01-01",
        "amount": "1.00",
        "duration": "P1D",
        "instalmentInterval": "P1D",
        "schedule": "[]",
    },
    "banking_payees": {"customerId": "c1", "payeeId": None, "nickname": "n", "type": "BILLER"},
    "energy_accounts": {"accountId": None, "openStatus": None, "plans": "[]"},
    "energy_invoices": {
        "accountId": "a1",
        "invoiceNumber": None,
        "issueDate": None,
        "balanceAtIssue": "0.00",
        "servicePoints": "[]",
        "paymentStatus": "PAID",
    },
    "energy_billing": {
        "accountId": "a1",
        "executionDateTime": None,
        "transactionUType": "payment",
        "payment": '{"amount": "1.00", "method": "CARD"}',
        "gst": None,
    },
}
"""For each table its columns, and what fills them where a test says nothing."""


def create_table(name, columns):
    definitions = ", ".join(f'"{column}" TEXT' for column in columns)
    return f'CREATE TABLE "{name}" ({definitions});'


class CDRBank(Bank):
    """A bank with the tables of the CDR lists."""

    def __init__(self, world):
        super().__init__(world, "\n".join(create_table(table, columns) for table, columns in DEFAULTS.items()))
        self.reset()

    def reset(self):
        """Leave nothing but one customer with three accounts."""
        for table in DEFAULTS:
            self.put(table, [])
        self.put("customers", [{}])
        self.put("accounts", [{"id": account} for account in ("a1", "a2", "a3")])

    def put(self, table, rows):
        """Make these the only rows of a table; what they do not say is filled in."""
        columns = DEFAULTS[table]
        with self.writer:
            self.writer.execute(f"DELETE FROM {table}")
            marks = ", ".join("?" * len(columns))
            values = [[(columns | row)[column] for column in columns] for row in rows]
            self.writer.executemany(f"INSERT INTO {table} VALUES ({marks})", values)

    def put_transactions(self, *rows):
        """Transactions of today, unless they say otherwise, called 1, 2, 3 in this order."""
        numbered = [{"transactionId": str(n), "executionDateTime": ago()} | row for n, row in enumerate(rows, 1)]
        self.put("banking_transactions", numbered)

    async def listed(self, path, query="", body=None, member=""):
        """One member of each record of a list that is answered: its id unless another is named."""
        answer = await self.get(path, query, body)
        assert answer.status == 200, (query, answer.json)
        (records,) = answer.json["data"].values()
        return [record[member or NAMES[next(name for name in NAMES if name in record)]] for record in records]


NAMES = {name: name for name in ("transactionId", "planId", "payeeId", "scheduledPaymentId", "invoiceNumber", "gst")}
NAMES |= {"accountId": "accountId"}


def open_bank(module_loop, signer, tmp_path_factory):
    """Open one bank for all tests of a module."""
    bank = CDRBank(World(tmp_path_factory.mktemp("bank"), signer))
    module_loop.run_sync(bank.start)
    yield bank
    module_loop.run_sync(bank.world.stop)
    bank.writer.close()


def reset_bank(opened):
    """Return the bank as it was at first: with its customer and the accounts, and no records."""
    opened.reset()
    return opened


def ago(**time):
    """A date-time so long ago."""
    return (datetime.now(UTC) - timedelta(minutes=1) - timedelta(**time)).isoformat()


def debits(*names, account="a1"):
    return [{"accountId": account, "authorisedEntity.description": name} for name in names]


# -- what is refused ---------------------------------------------------------------------------------------------------

FIELD, DATE = "Field/Invalid", "Field/InvalidDateTime"


# -- times -------------------------------------------------------------------------------------------------------------

FIVE = [
    "2026-06-15T11:59:59.999999Z",
    "2026-06-15T12:00:00Z",
    "2026-06-15T22:00:00+10:00",
    "2026-06-15T12:00:00.000001Z",
    "2026-06-15T07:00:01-05:00",
]
