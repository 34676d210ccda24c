"""FDX v6: the operations that Fiskil's pages show."""

from __future__ import annotations

from functools import partial

from openholder.models import fdx
from openholder.operations.parameters import POSTED_DAYS, STATEMENT_DAYS
from openholder.operations.table import BARE, DOCUMENT, Operation, scrolled

_Row = partial(Operation, sector="fdx")
_C = "/fdx/v6/customer/{customerId}"
_A = f"{_C}/accounts/{{accountId}}"

FDX = (
    _Row(
        "fdxFetchSpecificAccounts", "POST", f"{_C}/accounts",
        "fdx.accounts", fdx.Account, scrolled("accounts"), whose="chosen",
        summary="Chosen accounts", evidence="partly",
    ),
    _Row(
        "fdxGetAccount", "GET", _A,
        "fdx.accounts", fdx.AccountDetail, BARE, whose="account",
        summary="Account detail", evidence="partly",
    ),
    _Row(
        "fdxListTransactions", "GET", f"{_A}/transactions",
        "fdx.transactions", fdx.Transaction, scrolled("transactions"), whose="account", parameters=(POSTED_DAYS,),
        summary="Transactions of an account", evidence="partly",
    ),
    _Row(
        "fdxListStatements", "GET", f"{_A}/statements",
        "fdx.statements", fdx.Statement, scrolled("statements"), whose="account", parameters=(STATEMENT_DAYS,),
        summary="Statements of an account", evidence="full",
    ),
    _Row(
        "fdxGetStatement", "GET", f"{_A}/statements/{{statementId}}",
        "fdx.statements", fdx.Statement, DOCUMENT, whose="account", needs="document",
        summary="A statement as PDF", evidence="full",
    ),
    _Row(
        "fdxListPaymentNetworks", "GET", f"{_A}/payment-networks",
        "fdx.payment_networks", fdx.PaymentNetwork, scrolled("paymentNetworks"), whose="account",
        summary="Payment networks that an account supports", evidence="partly",
    ),
    _Row(
        "fdxGetContact", "GET", f"{_A}/contact",
        "fdx.contacts", fdx.Contact, BARE, whose="account",
        summary="Contact information of an account", evidence="partly",
    ),
)  # fmt: skip
