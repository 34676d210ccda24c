"""Records of the banking operations. CDS 1.36.0, banking."""

from __future__ import annotations

from openholder.contract.records.banking.accounts import Account, AccountDetail, DeprecatedAccount, ProductCategory
from openholder.contract.records.banking.balances import Balance
from openholder.contract.records.banking.payees import Payee, PayeeDetail
from openholder.contract.records.banking.payments import DirectDebit, InstalmentPlan, ScheduledPayment
from openholder.contract.records.banking.transactions import Transaction, TransactionDetail

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
