"""A good bank of many customers, made by rules: every kind of account and product, in three sectors, without a fault.

What a check of data reports of it as an error or a warning is a false alarm.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

from helpers.support import Rows

CUSTOMERS = 60
NEWEST = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
"""The time of the newest records."""
RATE = {"applicationType": "PERIODIC", "applicationFrequency": "P1M", "calculationFrequency": "P1D"}
LENDING = RATE | {"repaymentType": "PRINCIPAL_AND_INTEREST", "loanPurpose": "OTHER"}
PRODUCTS: tuple[tuple[str, str, str | None], ...] = (
    ("TRANS_AND_SAVINGS_ACCOUNTS", "Everyday", None),
    ("CRED_AND_CHRG_CARDS", "Card", "creditCard"),
    ("RESIDENTIAL_MORTGAGES", "Home Loan", "loan"),
    ("TERM_DEPOSITS", "Deposit", "termDeposit"),
    ("PERS_LOANS", "Car Loan", "loan"),
    ("OVERDRAFTS", "Overdraft", None),
    ("LEASES", "Lease", "loan"),
    ("BUY_NOW_PAY_LATER", "Pay Later", None),
)
"""The products, each with the type of its account. Every customer has two of them, loans only included."""


def make_rich_bank(seed: int = 7) -> Rows:
    """Make the rows of all collections of banking and energy."""
    chance = random.Random(seed)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in COLLECTIONS}
    for number in range(CUSTOMERS):
        _add_customer(rows, number)
        for place in range(2):
            product = PRODUCTS[(number + place * 3) % len(PRODUCTS)]
            _add_account(rows, number, place, product, chance)
        if number % 5 == 0:
            _add_energy(rows, number, chance)
    # Every sixth customer shares an account with the next one.
    for number in range(0, CUSTOMERS - 1, 6):
        link = next(row for row in rows["accounts"] if row["id"] == f"acc-{number}-0")
        rows["accounts"].append(link | {"customerId": f"cust-{number + 1}"})
        detail = next(row for row in rows["banking.accounts"] if row["accountId"] == link["id"])
        detail["accountOwnership"] = "TWO_PARTY"
    return {name: _fill(found) for name, found in rows.items()}


COLLECTIONS = (
    "customers",
    "logins",
    "accounts",
    "balances",
    "banking.accounts",
    "banking.balances",
    "banking.transactions",
    "banking.direct_debits",
    "banking.scheduled_payments",
    "banking.instalment_plans",
    "banking.payees",
    "energy.accounts",
    "energy.balances",
    "energy.concessions",
    "energy.payment_schedules",
    "energy.invoices",
    "energy.billing",
    "common.customers",
)


def _fill(rows: list[dict[str, Any]]) -> list[dict[str, str | None]]:
    """Give each row all columns of the table, and write objects and truth as text."""
    columns = dict.fromkeys(name for row in rows for name in row)
    return [{name: _write(row.get(name)) for name in columns} for row in rows]


def _write(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _add_customer(rows: dict[str, list[dict[str, Any]]], number: int) -> None:
    customer, phone = f"cust-{number}", f"+6149157{number:04}"
    is_business = number % 10 == 3
    name = f"Firm {number} Pty Ltd" if is_business else f"Given{number} Family{number}"
    rows["customers"].append(
        {"id": customer, "email": f"person{number}@example.com", "name": name, "phoneNumber": phone}
    )
    address = {
        "purpose": "REGISTERED" if is_business else "PHYSICAL",
        "addressUType": "simple",
        "simple": {"addressLine1": f"{number + 1} Wattle St", "city": "Perth", "state": "WA", "postcode": "6000"},
    }
    if is_business:
        rows["logins"].append({"customerId": customer, "email": f"agent{number}@example.com"})
        rows["common.customers"].append(
            {
                "customerId": customer,
                "customerUType": "organisation",
                "organisation": {
                    "agentFirstName": f"Agent{number}",
                    "agentLastName": f"Family{number}",
                    "agentRole": "Director",
                    "businessName": name,
                    "organisationType": "COMPANY",
                    "physicalAddresses": [address],
                },
            }
        )
    else:
        phone_number = {"purpose": "MOBILE", "number": phone.removeprefix("+61"), "fullNumber": f"tel:{phone}"}
        rows["common.customers"].append(
            {
                "customerId": customer,
                "customerUType": "person",
                "person": {
                    "firstName": f"Given{number}",
                    "lastName": f"Family{number}",
                    "middleNames": [],
                    "phoneNumbers": [phone_number],
                    "emailAddresses": [{"purpose": "HOME", "address": f"person{number}@example.com"}],
                    "physicalAddresses": [address],
                },
            }
        )
    rows["banking.payees"].append(
        {
            "customerId": customer,
            "payeeId": f"payee-{number}",
            "nickname": f"Landlord {number}",
            "type": "DOMESTIC",
            "payeeUType": "domestic",
            "domestic": {
                "payeeAccountUType": "account",
                "account": {"accountName": f"Landlord {number}", "bsb": "062000", "accountNumber": f"{10**7 + number}"},
            },
        }
    )


def _add_account(
    rows: dict[str, list[dict[str, Any]]],
    number: int,
    place: int,
    product: tuple[str, str, str | None],
    chance: random.Random,
) -> None:
    category, name, kind = product
    customer, account = f"cust-{number}", f"acc-{number}-{place}"
    status = "closed" if number % 13 == 5 and place else "blocked" if number % 17 == 7 and place else "open"
    owes = kind in ("creditCard", "loan") or category in ("OVERDRAFTS", "BUY_NOW_PAY_LATER")
    amount = f"{chance.randrange(100, 9_000)}.{chance.randrange(100):02}"
    rows["accounts"].append({"customerId": customer, "id": account, "name": name, "type": category, "status": status})
    balance = f"-{amount}" if owes else amount
    rows["balances"].append({"accountId": account, "current": balance, "available": amount, "currency": "AUD"})
    rows["banking.balances"].append(
        {
            "accountId": account,
            "currentBalance": balance,
            "availableBalance": amount,
            "creditLimit": "20000.00" if owes else None,
            "currency": "AUD",
        }
    )
    opened = date(2019, 1, 1) + timedelta(days=number * 30 + place)
    rows["banking.accounts"].append(
        {
            "accountId": account,
            "creationDate": opened.isoformat(),
            "displayName": f"{name} xxxx {number:02}{place:02}",
            "nickname": f"{name} of {number}" if number % 3 else None,
            "openStatus": "CLOSED" if status == "closed" else "OPEN",
            "isOwned": True,
            "accountOwnership": "ONE_PARTY",
            "maskedNumber": f"xxxx xxxx xxxx {number:02}{place:02}",
            "productCategory": category,
            "productName": name,
            "isInstalmentDetailAvailable": category == "BUY_NOW_PAY_LATER",
            "bsb": None if owes else "062000",
            "accountNumber": None if owes else f"{20_000_000 + number * 2 + place}",
            "specificAccountUType": kind,
            **_make_specifics(kind, opened, amount),
            "features": [{"featureType": "DIGITAL_BANKING", "isActivated": "ACTIVATED"}],
            "fees": [
                {
                    "name": "Monthly fee",
                    "feeType": "PERIODIC",
                    "feeMethodUType": "fixedAmount",
                    "fixedAmount": {"amount": "5.00"},
                    "additionalValue": "P1M",
                }
            ],
        }
    )
    _add_transactions(rows, account, number, chance)
    if category == "TRANS_AND_SAVINGS_ACCOUNTS":
        _add_payments(rows, account, number)
    if category == "BUY_NOW_PAY_LATER":
        _add_plan(rows, account)


def _make_specifics(kind: str | None, opened: date, amount: str) -> dict[str, Any]:
    """Make the members that only this type of account has."""
    if kind == "creditCard":
        rate = {"lendingRateType": "PURCHASE", "rate": "0.1349", **LENDING}
        return {
            "creditCard": {"minPaymentAmount": "25.00", "paymentDueAmount": amount, "paymentDueDate": "2026-12-08"},
            "lendingRates": [rate],
        }
    if kind == "loan":
        rate = {"lendingRateType": "VARIABLE", "rate": "0.0609", **LENDING}
        return {
            "loan": {
                "originalStartDate": opened.isoformat(),
                "originalLoanAmount": "15000.00",
                "loanEndDate": "2045-01-01",
                "nextInstalmentDate": "2026-12-15",
                "minInstalmentAmount": "412.40",
                "repaymentType": "PRINCIPAL_AND_INTEREST",
                "repaymentFrequency": "P1M",
            },
            "lendingRate": "0.0609",
            "lendingRates": [rate],
        }
    if kind == "termDeposit":
        term = {"lodgementDate": "2026-02-16", "maturityDate": "2027-02-16", "maturityInstructions": "ROLLED_OVER"}
        rate = {"depositRateType": "FIXED", "rate": "0.0440", "additionalValue": "P12M", **RATE}
        return {"termDeposit": [term], "depositRate": "0.0440", "depositRates": [rate]}
    rate = {"depositRateType": "VARIABLE", "rate": "0.0010", **RATE}
    return {"depositRate": "0.0010", "depositRates": [rate]}


KINDS_OF_TRANSACTION = (
    ("PAYMENT", -1, {"merchantName": "Two Sparrows Coffee", "merchantCategoryCode": "5814"}),
    ("DIRECT_DEBIT", -1, {}),
    ("FEE", -1, {}),
    ("TRANSFER_INCOMING", 1, {"extendedData": {"payer": "Employer"}}),
    ("TRANSFER_OUTGOING", -1, {"extendedData": {"payee": "Landlord"}}),
    ("INTEREST_PAID", 1, {}),
    ("INTEREST_CHARGED", -1, {}),
    ("OTHER", -1, {"billerCode": "996418", "billerName": "Harbour Water", "crn": "600418273"}),
)


def _add_transactions(rows: dict[str, list[dict[str, Any]]], account: str, number: int, chance: random.Random) -> None:
    for place in range(24):
        kind, sign, more = KINDS_OF_TRANSACTION[place % len(KINDS_OF_TRANSACTION)]
        time = NEWEST - timedelta(days=place * 14, minutes=chance.randrange(600))
        is_pending = place == 0 and number % 4 == 0
        local = time + timedelta(hours=8)
        rows["banking.transactions"].append(
            {
                "accountId": account,
                "transactionId": f"txn-{account}-{place}",
                "isDetailAvailable": "extendedData" in more,
                "type": kind,
                "status": "PENDING" if is_pending else "POSTED",
                "description": f"{kind.capitalize()} {place}",
                "postingDateTime": None if is_pending else f"{local:%Y-%m-%dT%H:%M:%S}+08:00",
                "executionDateTime": f"{local:%Y-%m-%dT%H:%M:%S}+08:00",
                "amount": f"{sign * chance.randrange(1, 400)}.{chance.randrange(100):02}",
                "reference": f"Ref {place}" if place % 2 else "",
                **more,
            }
        )


def _add_payments(rows: dict[str, list[dict[str, Any]]], account: str, number: int) -> None:
    rows["banking.direct_debits"].append(
        {
            "accountId": account,
            "authorisedEntity": {"description": "Gym", "financialInstitution": "Other Bank", "abn": "51824753556"},
            "lastDebitDateTime": "2026-11-02T03:00:00Z",
            "lastDebitAmount": "45.00",
        }
    )
    rows["banking.scheduled_payments"].append(
        {
            "scheduledPaymentId": f"sched-{number}",
            "from.accountId": account,
            "accountId": account,
            "nickname": "Rent",
            "payerReference": "",
            "payeeReference": "Rent",
            "status": "ACTIVE",
            "paymentSet": [{"to": {"toUType": "payeeId", "payeeId": f"payee-{number}"}, "amount": "900.00"}],
            "recurrence": {
                "nextPaymentDate": "2026-12-01",
                "recurrenceUType": "intervalSchedule",
                "intervalSchedule": {"intervals": [{"interval": "P1M", "dayInInterval": "P1D"}]},
            },
        }
    )


def _add_plan(rows: dict[str, list[dict[str, Any]]], account: str) -> None:
    rows["banking.instalment_plans"].append(
        {
            "accountId": account,
            "planId": f"plan-{account}",
            "planReference": f"P-{account}",
            "merchantName": "Bike Shop",
            "planNickname": "Bike",
            "creationDate": "2026-10-01",
            "amount": "400.00",
            "duration": "P8W",
            "instalmentInterval": "P2W",
            "schedule": [{"amountDue": "100.00", "dueDate": f"2026-1{part}-15", "isPaid": False} for part in (0, 1, 2)],
        }
    )


def _add_energy(rows: dict[str, list[dict[str, Any]]], number: int, chance: random.Random) -> None:
    account, meter = f"energy-{number}", f"41{number:08}"
    rows["accounts"].append(
        {"customerId": f"cust-{number}", "id": account, "name": "Energy", "type": "energy", "status": "open"}
    )
    rates = [{"unitPrice": "0.30", "measureUnit": "KWH"}]
    contract = {
        "pricingModel": "SINGLE_RATE",
        "isFixed": False,
        "variation": "Prices may change with a month's notice",
        "paymentOption": ["DIRECT_DEBIT"],
        "tariffPeriod": [
            {
                "displayName": "All year",
                "startDate": "01-01",
                "endDate": "12-31",
                "dailySupplyChargeType": "SINGLE",
                "dailySupplyCharge": "1.10",
                "rateBlockUType": "singleRate",
                "singleRate": {"displayName": "Usage", "rates": rates},
            }
        ],
    }
    plan = {
        "nickname": "Home",
        "servicePointIds": [meter],
        "planOverview": {"displayName": "Saver", "startDate": "2025-01-01"},
        "planDetail": {"fuelType": "ELECTRICITY", "electricityContract": contract},
    }
    rows["energy.accounts"].append(
        {
            "accountId": account,
            "accountNumber": f"8{number:06}",
            "displayName": "Electricity",
            "openStatus": "OPEN",
            "creationDate": "2025-01-01",
            "plans": [plan],
        }
    )
    rows["energy.balances"].append({"accountId": account, "balance": f"{chance.randrange(300)}.00"})
    rows["energy.concessions"].append(
        {
            "accountId": account,
            "type": "FIXED_PERCENTAGE",
            "displayName": "Concession",
            "discountFrequency": "P3M",
            "percentage": "0.175",
        }
    )
    rows["energy.payment_schedules"].append(
        {"accountId": account, "paymentScheduleUType": "manualPayment", "manualPayment": {"billFrequency": "P3M"}}
    )
    totals = {
        "totalUsageCharges": "90.00",
        "totalGenerationCredits": "0.00",
        "totalOnceOffCharges": "0.00",
        "totalOnceOffDiscounts": "0.00",
    }
    rows["energy.invoices"].append(
        {
            "accountId": account,
            "invoiceNumber": f"INV-{number}",
            "issueDate": "2026-10-05",
            "dueDate": "2026-10-25",
            "period": {"startDate": "2026-07-01", "endDate": "2026-09-30"},
            "invoiceAmount": "99.00",
            "balanceAtIssue": "99.00",
            "servicePoints": [meter],
            "electricity": totals,
            "paymentStatus": "NOT_PAID",
        }
    )
    rows["energy.billing"].append(
        {
            "accountId": account,
            "executionDateTime": "2026-10-05T00:00:00+08:00",
            "transactionUType": "payment",
            "payment": {"amount": "99.00", "method": "DIRECT_DEBIT"},
        }
    )
