"""What the energy operations answer with. CDS 1.36.0, energy."""

from openholder.models.energy.accounts import AccountDetail, DeprecatedAccount
from openholder.models.energy.balances import Balance, SingleBalance
from openholder.models.energy.billing import BillingTransaction
from openholder.models.energy.invoices import Invoice
from openholder.models.energy.payments import Concession, PaymentSchedule

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
