"""What the banking operations answer with. CDS 1.36.0, banking."""

from __future__ import annotations

from openholder.models.banking.accounts import Account, AccountDetail, DeprecatedAccount, ProductCategory
from openholder.models.banking.balances import Balance
from openholder.models.banking.payees import Payee, PayeeDetail
from openholder.models.banking.payments import DirectDebit, InstalmentPlan, ScheduledPayment
from openholder.models.banking.transactions import Transaction, TransactionDetail

__all__ = [
    "Account",
    "AccountDetail",
    "Balance",
    "DeprecatedAccount",
    "DirectDebit",
    "InstalmentPlan",
    "Payee",
    "PayeeDetail",
    "ProductCategory",
    "ScheduledPayment",
    "Transaction",
    "TransactionDetail",
]
