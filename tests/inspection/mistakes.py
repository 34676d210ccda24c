"""Mistakes of a mapping: what each does to the data of a good bank, and the finding that it must give."""

from __future__ import annotations

from typing import NamedTuple

TRANSACTION = "WHERE transactionId = 'txn-2002-0005'"


class Mistake(NamedTuple):
    """What a mapping does to the data, and what must be found."""

    sql: str
    collection: str
    member: str
    fault: str
    severity: str = "error"
    kind: str = "form"
    count: int | None = None
    wanted: str = ""


def json_set(table: str, column: str, path: str, value: str, where: str) -> str:
    return f'UPDATE {table} SET "{column}" = json_set("{column}", \'{path}\', {value}) {where}'


def json_drop(table: str, column: str, path: str, where: str = "") -> str:
    return f'UPDATE {table} SET "{column}" = json_remove("{column}", \'{path}\') {where}'


MISTAKES = {
    # The form of values
    "amounts with a currency sign": Mistake(
        f"UPDATE banking_transactions SET amount = '$1.00' {TRANSACTION}",
        "banking.transactions",
        "amount",
        "wrong-form",
        count=1,
        wanted="an amount such as 1234.56",
    ),
    "amounts with a decimal comma": Mistake(
        f"UPDATE banking_transactions SET amount = '1,50' {TRANSACTION}",
        "banking.transactions",
        "amount",
        "decimal-comma",
    ),
    "a time without an offset": Mistake(
        f"UPDATE banking_transactions SET valueDateTime = '2026-10-01T09:30:00' {TRANSACTION}",
        "banking.transactions",
        "valueDateTime",
        "wrong-form",
        wanted="a time with an offset, such as 2026-10-01T09:30:00+10:00",
    ),
    "a day where a time is wanted": Mistake(
        f"UPDATE banking_transactions SET valueDateTime = '2026-10-01' {TRANSACTION}",
        "banking.transactions",
        "valueDateTime",
        "wrong-form",
    ),
    "a day in local order": Mistake(
        "UPDATE banking_accounts SET creationDate = '01/10/2020' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "creationDate",
        "wrong-form",
        wanted="a day such as 2026-10-01",
    ),
    "a time that cannot be sorted": Mistake(
        f"UPDATE banking_transactions SET postingDateTime = '01/10/2026' {TRANSACTION}",
        "banking.transactions",
        "postingDateTime",
        "wrong-form",
        count=1,
    ),
    "all times in local order": Mistake(
        "UPDATE energy_invoices SET issueDate = '01/10/2026'", "energy.invoices", "issueDate", "wrong-form", count=24
    ),
    "the bank's own code": Mistake(
        f"UPDATE banking_transactions SET type = 'EFTPOS' {TRANSACTION}",
        "banking.transactions",
        "type",
        "not-allowed",
        wanted="DIRECT_DEBIT, FEE, INTEREST_CHARGED",
    ),
    "a status in lower case": Mistake(
        "UPDATE banking_transactions SET status = lower(status) WHERE accountId = 'acc-2002'",
        "banking.transactions",
        "status",
        "not-allowed",
    ),
    "a status that nobody knows": Mistake(
        "UPDATE accounts SET status = 'ACT' WHERE id = 'acc-2001'", "accounts", "status", "not-allowed", count=1
    ),
    "an account number in clear": Mistake(
        "UPDATE banking_accounts SET maskedNumber = '1791 2341 2345' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "maskedNumber",
        "wrong-form",
        wanted="a masked number such as xxxx xxxx xxxx 1234",
    ),
    "a currency in lower case": Mistake(
        "UPDATE banking_balances SET currency = 'aud' WHERE accountId = 'acc-2001'",
        "banking.balances",
        "currency",
        "wrong-form",
    ),
    "a rate in per cent with its sign": Mistake(
        "UPDATE banking_accounts SET depositRate = '4.35 %' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "depositRate",
        "wrong-form",
    ),
    "a rate with twenty digits": Mistake(
        "UPDATE banking_accounts SET depositRate = '0.04750000000000000000' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "depositRate",
        "too-many-digits",
        wanted="at most 16 digits behind the point",
    ),
    "empty text for nothing": Mistake(
        "UPDATE banking_accounts SET creationDate = '' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "creationDate",
        "empty",
        wanted="no value, as NULL",
    ),
    "a phone number without its country": Mistake(
        "UPDATE customers SET phoneNumber = '0491570006' WHERE id = 'cust-1001'",
        "customers",
        "phoneNumber",
        "wrong-form",
    ),
    "Y and N for truth": Mistake(
        "UPDATE banking_accounts SET isOwned = 'Y' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "isOwned",
        "wrong-type",
        wanted="true or false",
    ),
    "JSON that is none": Mistake(
        "UPDATE banking_accounts SET features = '[{' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "features",
        "not-json",
    ),
    "an object where a list is wanted": Mistake(
        "UPDATE banking_accounts SET fees = json_extract(fees, '$[0]') WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "fees",
        "wrong-type",
    ),
    "a code inside a list": Mistake(
        json_set("banking_accounts", "fees", "$[0].feeType", "'MONTHLY'", "WHERE accountId = 'acc-2002'"),
        "banking.accounts",
        "fees[].feeType",
        "not-allowed",
    ),
    "a member of a list that is missing": Mistake(
        json_drop("banking_accounts", "fees", "$[0].name", "WHERE accountId = 'acc-2002'"),
        "banking.accounts",
        "fees[].name",
        "missing",
    ),
    # What is owed
    "a member that is owed and missing": Mistake(
        "UPDATE banking_payees SET nickname = NULL WHERE payeeId = 'payee-1001-01'",
        "banking.payees",
        "nickname",
        "missing",
    ),
    "an object that a zero makes": Mistake(
        "UPDATE banking_accounts SET \"creditCard.minPaymentAmount\" = '0.00' WHERE accountId = 'acc-2001'",
        "banking.accounts",
        "creditCard.paymentDueDate",
        "missing",
        wanted="because creditCard.minPaymentAmount is there",
    ),
    # Conditions of the CDS
    "a loan without its loan": Mistake(
        "UPDATE banking_accounts SET loan = NULL",
        "banking.accounts",
        "loan",
        "missing-for-type",
        kind="condition",
        wanted="an object `loan`, because specificAccountUType is loan",
    ),
    "the type of every account is loan": Mistake(
        "UPDATE banking_accounts SET specificAccountUType = 'loan'",
        "banking.accounts",
        "loan",
        "missing-for-type",
        kind="condition",
    ),
    "no type of account": Mistake(
        "UPDATE banking_accounts SET specificAccountUType = NULL",
        "banking.accounts",
        "loan",
        "not-named",
        "warning",
        "condition",
    ),
    "a posted transaction without its time": Mistake(
        f"UPDATE banking_transactions SET postingDateTime = NULL {TRANSACTION}",
        "banking.transactions",
        "postingDateTime",
        "missing-when-required",
        kind="condition",
        count=1,
    ),
    "all transactions posted": Mistake(
        "UPDATE banking_transactions SET status = 'POSTED'",
        "banking.transactions",
        "postingDateTime",
        "missing-when-required",
        kind="condition",
    ),
    "details without ids": Mistake(
        "UPDATE banking_transactions SET transactionId = NULL, isDetailAvailable = 'true' WHERE accountId = 'acc-2002'"
        " AND extendedData IS NOT NULL",
        "banking.transactions",
        "transactionId",
        "missing-when-required",
        kind="condition",
    ),
    "a fee without its amount": Mistake(
        json_drop("banking_accounts", "fees", "$[0].fixedAmount", "WHERE accountId = 'acc-2002'"),
        "banking.accounts",
        "fees[].fixedAmount",
        "missing-for-type",
        kind="condition",
    ),
    "a card number in clear": Mistake(
        f"UPDATE banking_transactions SET crn = '4111111111111111' {TRANSACTION}",
        "banking.transactions",
        "crn",
        "in-clear",
        "warning",
        "condition",
    ),
    "a payee without its account": Mistake(
        "UPDATE banking_payees SET domestic = NULL, biller = NULL, international = NULL, digitalWallet = NULL",
        "banking.payees",
        "domestic",
        "missing-for-type",
        kind="condition",
    ),
    "a scheduled payment without its payee": Mistake(
        json_drop("banking_scheduled_payments", "paymentSet", "$[0].to.payeeId"),
        "banking.scheduled_payments",
        "paymentSet[].to.payeeId",
        "missing-for-type",
        kind="condition",
    ),
    "a scheduled payment without its amount": Mistake(
        json_drop("banking_scheduled_payments", "paymentSet", "$[0].amount"),
        "banking.scheduled_payments",
        "paymentSet[].amount",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "a customer without a person": Mistake(
        "UPDATE common_customers SET customerUType = 'organisation'",
        "common.customers",
        "organisation",
        "missing-for-type",
        kind="condition",
    ),
    "an Australian address without its postcode": Mistake(
        json_drop(
            "common_customers",
            "person.physicalAddresses",
            "$[0].simple.postcode",
            "WHERE customerId = 'cust-1001'",
        ),
        "common.customers",
        "person.physicalAddresses[].simple.postcode",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "an occupation without its version": Mistake(
        'UPDATE common_customers SET "person.occupationCodeVersion" = NULL',
        "common.customers",
        "person.occupationCodeVersion",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "usage without its charge": Mistake(
        "UPDATE energy_billing SET usage = NULL", "energy.billing", "usage", "missing-for-type", kind="condition"
    ),
    "a concession without its percentage": Mistake(
        "UPDATE energy_concessions SET percentage = NULL, amount = NULL",
        "energy.concessions",
        "percentage",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "a direct debit without its account": Mistake(
        json_drop("energy_payment_schedules", "directDebit", "$.bsb"),
        "energy.payment_schedules",
        "directDebit.bsb",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "an open account without its day": Mistake(
        "UPDATE energy_accounts SET creationDate = NULL",
        "energy.accounts",
        "creationDate",
        "missing-when-required",
        "warning",
        "condition",
    ),
    "a gas plan without its contract": Mistake(
        json_drop("energy_accounts", "plans", "$[1].planDetail.gasContract", "WHERE accountId = 'acc-3001'"),
        "energy.accounts",
        "plans[].planDetail.gasContract",
        "missing-when-required",
        "warning",
        "condition",
    ),
    # Ids and owners
    "a doubled customer": Mistake(
        "INSERT INTO customers SELECT * FROM customers WHERE id = 'cust-1001'",
        "customers",
        "id",
        "duplicate-id",
        count=1,
    ),
    "doubled transactions": Mistake(
        "INSERT INTO banking_transactions SELECT * FROM banking_transactions WHERE accountId = 'acc-2002'",
        "banking.transactions",
        "transactionId",
        "duplicate-id",
    ),
    "two balances of one account": Mistake(
        "INSERT INTO balances SELECT * FROM balances WHERE accountId = 'acc-2001'",
        "balances",
        "",
        "several-records",
        count=1,
    ),
    "an account of nobody": Mistake(
        "INSERT INTO accounts (customerId, id, name) VALUES ('cust-none', 'acc-none', 'none')",
        "accounts",
        "customerId",
        "of-nobody",
        kind="reference",
        count=1,
    ),
    "a transaction of no account": Mistake(
        f"UPDATE banking_transactions SET accountId = 'acc-none' {TRANSACTION}",
        "banking.transactions",
        "accountId",
        "of-nobody",
        kind="reference",
    ),
    "an id that no request can have": Mistake(
        "UPDATE accounts SET id = 'acc/2001' WHERE id = 'acc-2001'", "accounts", "id", "unusable-id"
    ),
    "a status that is NULL": Mistake(
        "UPDATE accounts SET status = NULL WHERE id = 'acc-2001'", "accounts", "status", "no-status", kind="access"
    ),
    "text that is not UTF-8": Mistake(
        "UPDATE banking_payees SET nickname = CAST(X'5A6FEB' AS TEXT) WHERE payeeId = 'payee-1001-01'",
        "banking.payees",
        "nickname",
        "unreadable",
        count=1,
    ),
    # References across collections
    "personal loans left out of the view": Mistake(
        "DELETE FROM banking_accounts WHERE accountId = 'acc-2007'",
        "accounts",
        "id",
        "in-no-list",
        kind="reference",
        count=1,
        wanted="a record in banking.accounts or energy.accounts",
    ),
    "details of accounts that nobody is offered": Mistake(
        "DELETE FROM accounts WHERE id = 'acc-2001'",
        "banking.accounts",
        "accountId",
        "of-nobody",
        kind="reference",
        count=1,
    ),
    "an open account that is closed elsewhere": Mistake(
        "UPDATE banking_accounts SET openStatus = 'OPEN'",
        "banking.accounts",
        "openStatus",
        "states-disagree",
        "warning",
        "access",
        count=1,
    ),
    "an energy account that is closed elsewhere": Mistake(
        "UPDATE accounts SET status = 'closed' WHERE id = 'acc-3001'",
        "energy.accounts",
        "openStatus",
        "states-disagree",
        "warning",
        "access",
        count=1,
    ),
    "every account of one party": Mistake(
        "UPDATE banking_accounts SET accountOwnership = 'ONE_PARTY'",
        "banking.accounts",
        "accountOwnership",
        "more-holders",
        "warning",
        "access",
        count=1,
        wanted="TWO_PARTY or MANY_PARTY",
    ),
    "a login for nobody": Mistake(
        "UPDATE logins SET customerId = 'cust-none' WHERE customerId = 'cust-1002'",
        "logins",
        "customerId",
        "of-nobody",
        "warning",
        "reference",
        count=1,
    ),
    "customers without an address": Mistake(
        "UPDATE customers SET email = NULL WHERE id IN ('cust-1001', 'cust-1002')",
        "customers",
        "email",
        "no-login",
        "note",
        "access",
        count=1,
    ),
    "padded addresses": Mistake(
        "UPDATE customers SET email = email || '  ' WHERE id = 'cust-1001'",
        "customers",
        "email",
        "padded",
        "warning",
        "access",
        count=1,
    ),
    "a word for no address": Mistake(
        "UPDATE logins SET email = 'unknown' WHERE customerId = 'cust-1002'",
        "logins",
        "email",
        "not-an-address",
        "warning",
        "access",
        count=1,
    ),
    "a padded address of a person": Mistake(
        json_set("common_customers", "person.emailAddresses", "$[0].address", "' a@example.com'", ""),
        "common.customers",
        "person.emailAddresses[].address",
        "padded",
        "warning",
        "access",
    ),
    "a payment to the account of a stranger": Mistake(
        json_set(
            "banking_scheduled_payments",
            "paymentSet",
            "$[0].to",
            'json(\'{"toUType":"accountId","accountId":"acc-2009","nickname":"Niamh"}\')',
            "WHERE accountId = 'acc-2002'",
        ),
        "banking.scheduled_payments",
        "paymentSet[].to.accountId",
        "of-a-stranger",
        kind="reference",
    ),
    "a payment to a deleted payee": Mistake(
        "DELETE FROM banking_payees WHERE payeeId = 'payee-1001-01'",
        "banking.scheduled_payments",
        "paymentSet[].to.payeeId",
        "of-nothing",
        "warning",
        "reference",
        wanted="the `payeeId` of a record of banking.payees",
    ),
    "a payment to the payee of a stranger": Mistake(
        "UPDATE banking_payees SET customerId = 'cust-1009' WHERE payeeId = 'payee-1001-01'",
        "banking.scheduled_payments",
        "paymentSet[].to.payeeId",
        "of-a-stranger",
        kind="reference",
    ),
    "the offset account of a stranger": Mistake(
        json_set("banking_accounts", "loan", "$.offsetAccountIds", "json('[\"acc-2001\"]')", "WHERE loan IS NOT NULL"),
        "banking.accounts",
        "loan.offsetAccountIds[]",
        "of-a-stranger",
        kind="reference",
        count=1,
    ),
    "an offset account by its number": Mistake(
        json_set("banking_accounts", "loan", "$.offsetAccountIds", "json('[\"179191234\"]')", "WHERE loan IS NOT NULL"),
        "banking.accounts",
        "loan.offsetAccountIds[]",
        "of-nothing",
        "warning",
        "reference",
    ),
    "plans where there are none": Mistake(
        "UPDATE banking_accounts SET isInstalmentDetailAvailable = 'false'",
        "banking.accounts",
        "isInstalmentDetailAvailable",
        "denied",
        "warning",
        "reference",
    ),
    "meters by another number": Mistake(
        "UPDATE energy_invoices SET servicePoints = '[\"7\"]' WHERE accountId = 'acc-3001'",
        "energy.invoices",
        "servicePoints[]",
        "unknown-service-point",
        "warning",
        "reference",
    ),
    "balances that differ from those of consent": Mistake(
        "UPDATE balances SET current = '1.00' WHERE accountId != 'acc-2003'",
        "balances",
        "current",
        "balances-differ",
        "warning",
        "reference",
    ),
}
