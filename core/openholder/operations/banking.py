"""CDR banking: the operations of CDS 1.36.0 that concern customers, in Fiskil's shape."""

from __future__ import annotations

from functools import partial

from openholder.models import banking
from openholder.operations.parameters import ACCOUNTS, PAYEE_TYPE, PLAN_STATUS, TRANSACTIONS
from openholder.operations.table import DATA, Operation, Reply, paged

_Row = partial(Operation, sector="banking")
_C = "/v1/banking/customer/{customerId}"
_A = f"{_C}/accounts/{{accountId}}"

BANKING = (
    _Row(
        "listBankingAccountsDeprecated", "GET", f"{_C}/accounts",
        "banking.accounts", banking.DeprecatedAccount, Reply(("data",), many=True, paging="page"), whose="every",
        account_parameters=ACCOUNTS, deprecated=True,
        summary="All accounts (superseded by the consent accounts)", evidence="partly",
    ),
    _Row(
        "listBankingAccountsSpecific", "POST", f"{_C}/accounts",
        "banking.accounts", banking.Account, paged("accounts"), whose="chosen", account_parameters=ACCOUNTS,
        summary="Chosen accounts", evidence="inferred",
    ),
    _Row(
        "getBankingAccount", "GET", _A,
        "banking.accounts", banking.AccountDetail, DATA, whose="account",
        summary="Account detail", evidence="partly",
    ),
    _Row(
        "listBankingBalancesSpecific", "POST", f"{_C}/accounts/balances",
        "banking.balances", banking.Balance, paged("balances"), whose="chosen", account_parameters=ACCOUNTS,
        summary="Balances of chosen accounts", evidence="partly",
    ),
    _Row(
        "getBankingBalance", "GET", f"{_A}/balance",
        "banking.balances", banking.Balance, DATA, whose="account",
        summary="Balance of an account", evidence="inferred",
    ),
    _Row(
        "listBankingTransactions", "GET", f"{_A}/transactions",
        "banking.transactions", banking.Transaction, paged("transactions"), whose="account", parameters=TRANSACTIONS,
        summary="Transactions of an account", evidence="full",
    ),
    _Row(
        "getBankingTransaction", "GET", f"{_A}/transactions/{{transactionId}}",
        "banking.transactions", banking.TransactionDetail, DATA, whose="account",
        needs="extendedData",
        summary="Transaction detail", evidence="full",
    ),
    _Row(
        "listBankingDirectDebits", "GET", f"{_A}/direct-debits",
        "banking.direct_debits", banking.DirectDebit, paged("directDebitAuthorisations"), whose="account",
        summary="Direct debits of an account", evidence="inferred",
    ),
    _Row(
        "listBankingDirectDebitsSpecific", "POST", f"{_C}/accounts/direct-debits",
        "banking.direct_debits", banking.DirectDebit, paged("directDebitAuthorisations"), whose="chosen",
        account_parameters=ACCOUNTS,
        summary="Direct debits of chosen accounts", evidence="partly",
    ),
    _Row(
        "listScheduledPayments", "GET", f"{_A}/payments/scheduled",
        "banking.scheduled_payments", banking.ScheduledPayment, paged("scheduledPayments"), whose="account",
        summary="Scheduled payments of an account", evidence="inferred",
    ),
    _Row(
        "listScheduledPaymentsSpecific", "POST", f"{_C}/payments/scheduled",
        "banking.scheduled_payments", banking.ScheduledPayment, paged("scheduledPayments"), whose="chosen",
        account_parameters=ACCOUNTS,
        summary="Scheduled payments of chosen accounts", evidence="inferred",
    ),
    _Row(
        "listScheduledPaymentsSpecificSecondPath", "POST", f"{_C}/accounts/payments/scheduled",
        "banking.scheduled_payments", banking.ScheduledPayment, paged("scheduledPayments"), whose="chosen",
        account_parameters=ACCOUNTS,
        summary="Scheduled payments of chosen accounts, second path", evidence="inferred",
    ),
    _Row(
        "listInstalmentPlans", "GET", f"{_A}/payments/plans",
        "banking.instalment_plans", banking.InstalmentPlan, paged("plans"), whose="account", parameters=(PLAN_STATUS,),
        summary="Instalment plans of an account", evidence="partly",
    ),
    _Row(
        "listInstalmentPlansSpecific", "POST", f"{_C}/accounts/payments/plans",
        "banking.instalment_plans", banking.InstalmentPlan, paged("plans"), whose="chosen", parameters=(PLAN_STATUS,),
        summary="Instalment plans of chosen accounts", evidence="full",
    ),
    _Row(
        "listPayees", "GET", f"{_C}/payees",
        "banking.payees", banking.Payee, paged("payees"), whose="customer", parameters=(PAYEE_TYPE,),
        summary="Payees", evidence="partly",
    ),
    _Row(
        "getPayee", "GET", f"{_C}/payees/{{payeeId}}",
        "banking.payees", banking.PayeeDetail, DATA, whose="customer",
        summary="Payee detail", evidence="inferred",
    ),
)  # fmt: skip
