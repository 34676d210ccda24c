"""CDR energy: the operations of CDS 1.36.0 that concern customers, in Fiskil's shape."""

from __future__ import annotations

from functools import partial

from openholder.models import energy
from openholder.operations.parameters import BILLING_TIMES, INVOICE_DATES, OPEN_STATUS
from openholder.operations.table import DATA, Operation, listed, paged

_Row = partial(Operation, sector="energy")
_C = "/v1/energy/customer/{customerId}"
_A = f"{_C}/accounts/{{accountId}}"

ENERGY = (
    _Row(
        "listEnergyAccountsDeprecated", "GET", f"{_C}/accounts",
        "energy.accounts", energy.DeprecatedAccount, paged("accounts"), whose="every",
        parameters=(OPEN_STATUS,), deprecated=True,
        summary="All accounts (superseded by the consent accounts)", evidence="partly",
    ),
    _Row(
        "listEnergyAccountsSpecific", "POST", f"{_C}/accounts",
        "energy.accounts", energy.AccountDetail, paged("accounts"), whose="chosen", parameters=(OPEN_STATUS,),
        summary="Chosen accounts", evidence="partly",
    ),
    _Row(
        "getEnergyAccount", "GET", _A,
        "energy.accounts", energy.AccountDetail, DATA, whose="account",
        summary="Account detail", evidence="partly",
    ),
    _Row(
        "getEnergyBalance", "GET", f"{_A}/balance",
        "energy.balances", energy.SingleBalance, DATA, whose="account",
        summary="Balance of an account", evidence="full",
    ),
    _Row(
        "listEnergyBalancesSpecific", "POST", f"{_C}/accounts/balances",
        "energy.balances", energy.Balance, paged("balances"), whose="chosen",
        summary="Balances of chosen accounts", evidence="inferred",
    ),
    _Row(
        "listEnergyConcessions", "GET", f"{_A}/concessions",
        "energy.concessions", energy.Concession, listed("data", "concessions"), whose="account",
        summary="Concessions of an account", evidence="full",
    ),
    _Row(
        "getEnergyPaymentSchedule", "GET", f"{_A}/payment-schedule",
        "energy.payment_schedules", energy.PaymentSchedule, listed("data", "paymentSchedules"), whose="account",
        summary="Agreed payment schedules of an account", evidence="inferred",
    ),
    _Row(
        "listEnergyInvoices", "GET", f"{_A}/invoices",
        "energy.invoices", energy.Invoice, paged("invoices"), whose="account", parameters=(INVOICE_DATES,),
        summary="Invoices of an account", evidence="inferred",
    ),
    _Row(
        "listEnergyInvoicesSpecific", "POST", f"{_C}/accounts/invoices",
        "energy.invoices", energy.Invoice, paged("invoices"), whose="chosen", parameters=(INVOICE_DATES,),
        summary="Invoices of chosen accounts", evidence="partly",
    ),
    _Row(
        "listEnergyBilling", "GET", f"{_A}/billing",
        "energy.billing", energy.BillingTransaction, paged("transactions"), whose="account",
        parameters=(BILLING_TIMES,),
        summary="Billing transactions of an account", evidence="partly",
    ),
    _Row(
        "listEnergyBillingSpecific", "POST", f"{_C}/accounts/billing",
        "energy.billing", energy.BillingTransaction, paged("transactions"), whose="chosen",
        parameters=(BILLING_TIMES,),
        summary="Billing transactions of chosen accounts", evidence="partly",
    ),
)  # fmt: skip
