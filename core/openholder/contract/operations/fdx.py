"""FDX v6: the operations on Fiskil's public pages."""

from __future__ import annotations

from functools import partial

from openholder.contract.operation import BARE, DOCUMENT, Operation, cursor_reply
from openholder.contract.operations.standard_parameters import POSTED_DAYS, STATEMENT_DAYS
from openholder.contract.records import fdx

_operation = partial(Operation, sector="fdx")
_C = "/fdx/v6/customer/{customerId}"
_A = f"{_C}/accounts/{{accountId}}"

FDX = (
    _operation(
        name="fdxFetchSpecificAccounts",
        method="POST",
        path=f"{_C}/accounts",
        collection="fdx.accounts",
        record=fdx.Account,
        reply=cursor_reply("accounts"),
        whose="specific",
        summary="Chosen accounts",
        evidence="partly",
    ),
    _operation(
        name="fdxGetAccount",
        method="GET",
        path=_A,
        collection="fdx.accounts",
        record=fdx.AccountDetail,
        reply=BARE,
        whose="account",
        summary="Account detail",
        evidence="partly",
    ),
    _operation(
        name="fdxListTransactions",
        method="GET",
        path=f"{_A}/transactions",
        collection="fdx.transactions",
        record=fdx.Transaction,
        reply=cursor_reply("transactions"),
        whose="account",
        parameters=(POSTED_DAYS,),
        summary="Transactions of an account",
        evidence="partly",
    ),
    _operation(
        name="fdxListStatements",
        method="GET",
        path=f"{_A}/statements",
        collection="fdx.statements",
        record=fdx.Statement,
        reply=cursor_reply("statements"),
        whose="account",
        parameters=(STATEMENT_DAYS,),
        summary="Statements of an account",
        evidence="full",
    ),
    _operation(
        name="fdxGetStatement",
        method="GET",
        path=f"{_A}/statements/{{statementId}}",
        collection="fdx.statements",
        record=fdx.Statement,
        reply=DOCUMENT,
        whose="account",
        needs="document",
        summary="A statement as PDF",
        evidence="full",
    ),
    _operation(
        name="fdxListPaymentNetworks",
        method="GET",
        path=f"{_A}/payment-networks",
        collection="fdx.payment_networks",
        record=fdx.PaymentNetwork,
        reply=cursor_reply("paymentNetworks"),
        whose="account",
        summary="Payment networks that an account supports",
        evidence="partly",
    ),
    _operation(
        name="fdxGetContact",
        method="GET",
        path=f"{_A}/contact",
        collection="fdx.contacts",
        record=fdx.Contact,
        reply=BARE,
        whose="account",
        summary="Contact information of an account",
        evidence="partly",
    ),
)
