"""Records of the energy operations. CDS 1.36.0, energy."""

from openholder.contract.records.energy.accounts import AccountDetail, DeprecatedAccount
from openholder.contract.records.energy.balances import Balance, SingleBalance
from openholder.contract.records.energy.billing import BillingTransaction
from openholder.contract.records.energy.invoices import Invoice
from openholder.contract.records.energy.payments import Concession, PaymentSchedule

__all__ = [
    "AccountDetail",
    "Balance",
    "BillingTransaction",
    "Concession",
    "DeprecatedAccount",
    "Invoice",
    "PaymentSchedule",
    "SingleBalance",
]
