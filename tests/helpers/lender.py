"""A good lender of loans alone that fills few members, with reversed fees, zero balances and customers without logins.

What a check of data reports of it as an error or a warning is a false alarm.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from helpers.support import Rows

CUSTOMERS = 40
NEWEST = datetime(2026, 11, 20, 4, tzinfo=UTC)


def make_lender() -> Rows:
    """Make the rows of banking, with only the members that the standard requires and those of the condition tables."""
    rows: dict[str, list[dict[str, Any]]] = {
        name: []
        for name in (
            "customers",
            "accounts",
            "balances",
            "banking.accounts",
            "banking.balances",
            "banking.transactions",
            "common.customers",
        )
    }
    for number in range(CUSTOMERS):
        customer, account = f"c{number:04}", f"L-{number:06}"
        # Every tenth has no online access, and so no address to be found by.
        email = None if number % 10 == 9 else f"borrower.{number}@example.net"
        rows["customers"].append({"id": customer, "email": email, "name": f"Borrower {number}"})
        rows["common.customers"].append(_make_person(customer, number))
        is_closed = number % 9 == 4
        rows["accounts"].append(
            {"customerId": customer, "id": account, "name": "Car Loan", "status": "closed" if is_closed else "open"}
        )
        if number % 8 == 2:  # co-borrowers
            rows["accounts"].append(
                {"customerId": f"c{number + 1:04}", "id": account, "name": "Car Loan", "status": "open"}
            )
        owed = "0.00" if is_closed else f"-{9_000 + number * 17}.00" if number % 2 else f"-{8_000 + number * 13}.42"
        if number == 7:
            owed = "12.60"  # overpaid
        rows["balances"].append({"accountId": account, "current": owed, "currency": "AUD"})
        rows["banking.balances"].append({"accountId": account, "currentBalance": owed, "availableBalance": "0.00"})
        rows["banking.accounts"].append(_make_account(account, number, is_closed))
        rows["banking.transactions"] += _make_transactions(account, number)
    for row in rows["accounts"]:
        row["status"] = next(one["status"] for one in rows["accounts"] if one["id"] == row["id"])
    return {name: _square(found) for name, found in rows.items()}


def _make_person(customer: str, number: int) -> dict[str, Any]:
    return {
        "customerId": customer,
        "customerUType": "person",
        "person": (
            f'{{"lastName":"{"Null" if number == 3 else f"Surname{number % 25}"}","middleNames":[],"phoneNumbers":[],'
            '"emailAddresses":[],"physicalAddresses":[{"purpose":"OTHER","addressUType":"simple","simple":'
            '{"addressLine1":"1 Ledger Lane","postcode":"2000","city":"Sydney","state":"NSW"}}]}'
        ),
    }


def _make_account(account: str, number: int, is_closed: bool) -> dict[str, Any]:
    opened = date(2021, 2, 1) + timedelta(days=31 * (number % 50))
    return {
        "accountId": account,
        "creationDate": opened.isoformat(),
        "displayName": "Car Loan",
        "openStatus": "CLOSED" if is_closed else "OPEN",
        "isOwned": "true",
        "accountOwnership": "TWO_PARTY" if number % 8 == 2 else "ONE_PARTY",
        "maskedNumber": f"xxxx {number:04}",
        "productCategory": "PERS_LOANS",
        "productName": "Car Loan",
        "specificAccountUType": "loan",
        "loan": (
            f'{{"repaymentType":"PRINCIPAL_AND_INTEREST","originalStartDate":"{opened}","originalLoanAmount":"20000.00"'
            f',"loanEndDate":"{opened.replace(day=1, year=opened.year + 7)}","repaymentFrequency":"P1M"}}'
        ),
        "lendingRate": "0.0899",
        "lendingRates": (
            '[{"lendingRateType":"FIXED","rate":"0.0899","additionalValue":"P7Y","applicationType":"PERIODIC",'
            '"applicationFrequency":"P1M","repaymentType":"PRINCIPAL_AND_INTEREST","loanPurpose":"OTHER"}]'
        ),
        "features": '[{"featureType":"DIGITAL_BANKING"}]',
        "fees": '[{"name":"Set-up","feeType":"UPFRONT","feeMethodUType":"fixedAmount","fixedAmount":{"amount":"199"}}]',
    }


def _make_transactions(account: str, number: int) -> list[dict[str, Any]]:
    """Make repayments in, interest and fees out, and a fee that was given back."""
    kinds = (
        ("PAYMENT", "Repayment", f"{300 + number}.00"),
        ("INTEREST_CHARGED", "Interest", f"-{60 + number}.{10 + number}"),
        ("FEE", "Dishonour fee", "-15.00"),
        *((("FEE", "Dishonour fee reversed", "15.00"),) if number % 5 == 0 else ()),
    )
    rows = []
    for month in range(13):
        for place, (kind, description, amount) in enumerate(kinds):
            time = NEWEST - timedelta(days=30 * month + place)
            rows.append(
                {
                    "accountId": account,
                    "transactionId": f"{account}-{month}-{place}",
                    "isDetailAvailable": "false",
                    "type": kind,
                    "status": "POSTED",
                    "description": description,
                    "postingDateTime": f"{time:%Y-%m-%d}T00:00:00Z",
                    "amount": amount,
                    "reference": "",
                }
            )
    return rows


def _square(rows: list[dict[str, Any]]) -> list[dict[str, str | None]]:
    columns = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in columns} for row in rows]
