"""Whole exports as they are, dropped into a folder and served by words alone.

One has the shape of the Czech bank data that is known as Berka (semicolons, quotes, days as yymmdd, codes such as
PRIJEM); the other, that of a CSV export of Firefly III (twelve decimals, times with an offset, and local times).
"""

from __future__ import annotations

import pytest

from helpers.support import World

BERKA = {
    "client.asc": '"client_id";"birth_number";"district_id"\r\n1;"706213";18\r\n2;"450204";1\r\n',
    "disp.asc": '"disp_id";"client_id";"account_id";"type"\r\n1;1;1;"OWNER"\r\n2;2;2;"OWNER"\r\n3;1;2;"DISPONENT"\r\n',
    "account.asc": (
        '"account_id";"district_id";"frequency";"date"\r\n'
        '1;18;"POPLATEK MESICNE";950324\r\n2;1;"POPLATEK PO OBRATU";930226\r\n'
    ),
    "trans.asc": (
        '"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"\r\n'
        '1;1;950324;"PRIJEM";"VKLAD";1000.00;1000.00;"";"";""\r\n'
        '5;1;950413;"PRIJEM";"PREVOD Z UCTU";3679;4679;"DUCHOD";"AB";41403269.00\r\n'
        '6;1;950513;"VYDAJ";"VYBER";20.5;4658.5;"SLUZBY";"";""\r\n'
        '9;1;991231;"VYBER";"VYBER";100.00;4558.50;;"";\r\n'
        '12;2;930226;"PRIJEM";"VKLAD";1100.00;1100.00;"";"";""\r\n'
        '14;2;930229;"PRIJEM";"VKLAD";7.00;1107.00;"";"";""\r\n'
        '15;3;930226;"PREVOD";"VKLAD";7.00;7.00;"";"";""\r\n'
    ),
}
BERKA_WORDS = """
[sources.bank]
kind = "csv"
path = "export"
delimiter = ";"
time_zone = "Europe/Prague"

[sources.bank.tables]
customers = "client.asc"
accounts = "disp.asc"
"banking.accounts" = "account.asc"
"banking.transactions" = "trans.asc"

[sources.bank.mapping.customers]
id = "client_id"

[sources.bank.mapping.accounts]
customerId = "client_id"
id = "account_id"
displayName = { constant = "Current account" }
type = { column = "type", codes = { OWNER = "own", DISPONENT = "authorised" } }
status = { constant = "open" }

[sources.bank.mapping."banking.accounts"]
accountId = "account_id"
displayName = { constant = "Current account" }
productName = { column = "frequency", codes = { "POPLATEK MESICNE" = "Monthly fee", "*" = "Other fees" } }
productCategory = { constant = "TRANS_AND_SAVINGS_ACCOUNTS" }
accountOwnership = { constant = "UNKNOWN" }
maskedNumber = { constant = "xxxx" }
creationDate = { column = "date", format = "%y%m%d" }

[sources.bank.mapping."banking.transactions"]
accountId = "account_id"
transactionId = "trans_id"
isDetailAvailable = { constant = false }
status = { constant = "POSTED" }
type = { column = "type", codes = { PRIJEM = "TRANSFER_INCOMING", VYDAJ = "PAYMENT", VYBER = "PAYMENT" } }
description = "operation"
reference = "k_symbol"
postingDateTime = { column = "date", format = "%y%m%d" }
amount = { column = "amount", negative = { column = "type", is = ["VYDAJ", "VYBER"], is_not = ["PRIJEM"] } }
"""


async def start(world: World, folder, files, words):
    (folder / "export").mkdir()
    for name, content in files.items():
        (folder / "export" / name).write_bytes(content.encode())
    await world.start(words)


def list_members(answer, *members):
    return [tuple(record[member] for member in members) for record in answer.json["data"]["transactions"]]


@pytest.mark.gen_test
async def test_czech_bank_data_is_served_by_words(world: World, tmp_path):
    await start(world, tmp_path, BERKA, BERKA_WORDS)
    account = await world.call("/v1/banking/customer/1/accounts/1")
    assert (account.json["data"]["creationDate"], account.json["data"]["productName"]) == ("1995-03-24", "Monthly fee")
    window = "?oldest-time=1990-01-01T00:00:00Z&newest-time=2000-01-01T00:00:00Z"
    path = f"/v1/banking/customer/1/accounts/1/transactions{window}"
    found = list_members(await world.call(path), "transactionId", "postingDateTime", "amount", "type", "reference")
    assert found == [
        ("9", "1999-12-31T00:00:00+01:00", "-100.00", "PAYMENT", ""),
        ("6", "1995-05-13T00:00:00+02:00", "-20.50", "PAYMENT", "SLUZBY"),
        ("5", "1995-04-13T00:00:00+02:00", "3679.00", "TRANSFER_INCOMING", "DUCHOD"),
        ("1", "1995-03-24T00:00:00+01:00", "1000.00", "TRANSFER_INCOMING", ""),
    ]
    pages = [await world.call(f"{path}&page-size=3&page={number}") for number in (1, 2)]
    assert [row for page in pages for row in list_members(page, "transactionId")] == [("9",), ("6",), ("5",), ("1",)]
    few = list_members(await world.call(f"{path}&max-amount=-20.50&text=VYBER"), "transactionId")
    assert few == [("9",), ("6",)]
    # A day that does not exist, and a code that nobody has listed, concern their own accounts only.
    assert (await world.call(f"/v1/banking/customer/2/accounts/2/transactions{window}")).status == 500
    offered = await world.call("/auth/v1/customer/1/accounts")
    assert [(row["id"], row["type"]) for row in offered.json["accounts"]] == [("1", "own"), ("2", "authorised")]


FIREFLY = {
    "customers.csv": "user_id,email,name\n1,kim@example.com,Kim\n2,sam@example.com,Sam\n",
    "accounts.csv": 'account_id,user_id,name,active\n11,1,"Checking, joint",true\n12,1,Old,false\n21,2,Checking,1\n',
    "transactions.csv": (
        "user_id,group_id,journal_id,created_at,type,amount,foreign_amount,currency_code,description,date,"
        "process_date,account_id,tags,notes\n"
        "1,1,101,2024-03-31T01:30:00+01:00,Withdrawal,-12.340000000000,,EUR,Groceries,"
        '2024-03-31T01:30:00+01:00,2024-03-31 03:30:00,11,"food,week 13",\n'
        '1,2,102,2024-10-27T02:30:00+02:00,Deposit,2500.000000000000,,EUR,"Salary ""October""",'
        "2024-10-27T02:30:00+02:00,2024-10-27 02:30:00,11,,\n"
        "1,3,103,2024-10-27T02:30:00+01:00,Transfer,-0.010000000000,,EUR,Savings,"
        "2024-10-27T02:30:00+01:00,,11,,\n"
        "2,4,104,2024-03-31T02:30:00+02:00,Withdrawal,-5.000000000000,,EUR,Skipped hour,"
        "2024-03-31T03:30:00+02:00,2024-03-31 02:30:00,21,,\n"
    ),
}
FIREFLY_WORDS = """
[sources.bank]
kind = "csv"
path = "export"
time_zone = "Europe/Amsterdam"

[sources.bank.tables]
"banking.transactions" = "transactions.csv"

[sources.bank.mapping.customers]
id = "user_id"

[sources.bank.mapping.accounts]
customerId = "user_id"
id = "account_id"
displayName = "name"
status = { column = "active", codes = { true = "open", 1 = "open", false = "closed" } }

[sources.bank.mapping."banking.transactions"]
accountId = "account_id"
transactionId = "journal_id"
isDetailAvailable = { constant = false }
status = { constant = "POSTED" }
type = { column = "type", codes = { Withdrawal = "PAYMENT", Deposit = "TRANSFER_INCOMING", "*" = "OTHER" } }
currency = "currency_code"
reference = { constant = "" }
postingDateTime = "date"
valueDateTime = { column = "process_date", repeated_hour = "second" }
"""


@pytest.mark.gen_test
async def test_an_export_of_firefly_is_served_by_words(world: World, tmp_path):
    await start(world, tmp_path, FIREFLY, FIREFLY_WORDS)
    window = "?oldest-time=2024-01-01T00:00:00Z&newest-time=2025-01-01T00:00:00Z"
    answer = await world.call(f"/v1/banking/customer/1/accounts/11/transactions{window}")
    found = list_members(answer, "transactionId", "postingDateTime", "amount", "description")
    assert found == [  # the hour that comes twice: the later one is newer
        ("103", "2024-10-27T02:30:00+01:00", "-0.010000000000", "Savings"),
        ("102", "2024-10-27T02:30:00+02:00", "2500.000000000000", 'Salary "October"'),
        ("101", "2024-03-31T01:30:00+01:00", "-12.340000000000", "Groceries"),
    ]
    dates = [record.get("valueDateTime") for record in answer.json["data"]["transactions"]]
    assert dates == [None, "2024-10-27T02:30:00+01:00", "2024-03-31T03:30:00+02:00"]
    large = await world.call(f"/v1/banking/customer/1/accounts/11/transactions{window}&min-amount=2500")
    assert list_members(large, "transactionId") == [("102",)]
    assert (await world.call(f"/v1/banking/customer/2/accounts/21/transactions{window}")).status == 500
    found = await world.call("/auth/v1/customer/search", body={"email": "KIM@example.com"})
    assert [customer["id"] for customer in found.json["data"]] == ["1"]
