"""Lists of the CDR over a real server and a real SQLite file: pages, links, filters, order and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.bank import Bank

pytestmark = pytest.mark.slow  # together they take seconds

URN = "urn:au-cds:error:cds-all:"
BANKING, ENERGY = "/v1/banking/customer/c1", "/v1/energy/customer/c1"
TRANSACTIONS = f"{BANKING}/accounts/a1/transactions"
INVOICES = f"{ENERGY}/accounts/a1/invoices"
BILLING = f"{ENERGY}/accounts/a1/billing"
PLANS = f"{BANKING}/accounts/a1/payments/plans"
DEBITS = f"{BANKING}/accounts/a1/direct-debits"
PAYEES = f"{BANKING}/payees"
ALL = {"data": {"accountIds": ["a3", "a1", "a2"]}}

DEFAULTS = {
    "customers": {"id": "c1"},
    "accounts": {"customerId": "c1", "id": None},
    "banking_accounts": {
        "accountId": None,
        "displayName": "Saver",
        "accountOwnership": "ONE_PARTY",
        "maskedNumber": "xxxx 1234",
        "productCategory": "TRANS_AND_SAVINGS_ACCOUNTS",
        "productName": "Saver",
        "openStatus": None,
        "isOwned": None,
    },
    "banking_balances": {"accountId": None, "currentBalance": "1.00", "availableBalance": "1.00"},
    "banking_direct_debits": {"accountId": "a1", "authorisedEntity.description": "Gym"},
    "banking_scheduled_payments": {
        "accountId": None,
        "scheduledPaymentId": None,
        "payerReference": "r",
        "status": "ACTIVE",
        "from.accountId": "a1",
        "paymentSet": "[]",
        "recurrence": '{"recurrenceUType": "onceOff"}',
    },
    "banking_transactions": {
        "accountId": "a1",
        "transactionId": None,
        "isDetailAvailable": "false",
        "type": "PAYMENT",
        "status": "POSTED",
        "description": "Something",
        "reference": "",
        "amount": "1.00",
        "postingDateTime": None,
        "executionDateTime": None,
        "valueDateTime": None,
    },
    "banking_instalment_plans": {
        "accountId": "a1",
        "planId": None,
        "planReference": "r",
        "merchantName": "m",
        "planNickname": "n",
        "creationDate": "2026-01-01",
        "amount": "1.00",
        "duration": "P1D",
        "instalmentInterval": "P1D",
        "schedule": "[]",
    },
    "banking_payees": {"customerId": "c1", "payeeId": None, "nickname": "n", "type": "BILLER"},
    "energy_accounts": {"accountId": None, "openStatus": None, "plans": "[]"},
    "energy_invoices": {
        "accountId": "a1",
        "invoiceNumber": None,
        "issueDate": None,
        "balanceAtIssue": "0.00",
        "servicePoints": "[]",
        "paymentStatus": "PAID",
    },
    "energy_billing": {
        "accountId": "a1",
        "executionDateTime": None,
        "transactionUType": "payment",
        "payment": '{"amount": "1.00", "method": "CARD"}',
        "gst": None,
    },
}
"""For each table its columns, and what fills them where a test says nothing."""


def create_table(name, columns):
    definitions = ", ".join(f'"{column}" TEXT' for column in columns)
    return f'CREATE TABLE "{name}" ({definitions});'


class CDRBank(Bank):
    """A bank with the tables of the CDR lists."""

    def __init__(self, world):
        super().__init__(world, "\n".join(create_table(table, columns) for table, columns in DEFAULTS.items()))
        self.put("customers", [{}])
        self.put("accounts", [{"id": account} for account in ("a1", "a2", "a3")])

    def put(self, table, rows):
        """Make these the only rows of a table; what they do not say is filled in."""
        columns = DEFAULTS[table]
        with self.writer:
            self.writer.execute(f"DELETE FROM {table}")
            marks = ", ".join("?" * len(columns))
            values = [[(columns | row)[column] for column in columns] for row in rows]
            self.writer.executemany(f"INSERT INTO {table} VALUES ({marks})", values)

    def put_transactions(self, *rows):
        """Transactions of today, unless they say otherwise, called 1, 2, 3 in this order."""
        numbered = [{"transactionId": str(n), "executionDateTime": ago()} | row for n, row in enumerate(rows, 1)]
        self.put("banking_transactions", numbered)

    async def listed(self, path, query="", body=None, member=""):
        """One member of each record of a list that is answered: its id unless another is named."""
        answer = await self.get(path, query, body)
        assert answer.status == 200, (query, answer.json)
        (records,) = answer.json["data"].values()
        return [record[member or NAMES[next(name for name in NAMES if name in record)]] for record in records]


NAMES = {name: name for name in ("transactionId", "planId", "payeeId", "scheduledPaymentId", "invoiceNumber", "gst")}
NAMES |= {"accountId": "accountId"}


@pytest.fixture
def bank(io_loop, world):
    bank = CDRBank(world)
    io_loop.run_sync(bank.start)
    yield bank
    bank.writer.close()


def ago(**time):
    """A date-time so long ago."""
    return (datetime.now(UTC) - timedelta(minutes=1) - timedelta(**time)).isoformat()


def debits(*names, account="a1"):
    return [{"accountId": account, "authorisedEntity.description": name} for name in names]


# -- pages and links ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "query", "length", "links", "pages"),
    [
        (0, "", 0, {}, 0),
        (0, "page=1&page-size=1", 0, {}, 0),
        (1, "", 1, {}, 1),
        (25, "", 25, {}, 1),
        (26, "", 25, {"next": 2, "last": 2}, 2),
        (26, "page=2", 1, {"first": 1, "prev": 1}, 2),
        (35, "page-size=10", 10, {"next": 2, "last": 4}, 4),
        (35, "page=2&page-size=10", 10, {"first": 1, "prev": 1, "next": 3, "last": 4}, 4),
        (35, "page=3&page-size=10", 10, {"first": 1, "prev": 2, "next": 4, "last": 4}, 4),
        (35, "page-size=10&page=4", 5, {"first": 1, "prev": 3}, 4),
        (35, "page=007&page-size=005", 5, {"first": 1, "prev": 6}, 7),
        (35, "page-size=1000", 35, {}, 1),
        (1001, "page-size=1000", 1000, {"next": 2, "last": 2}, 2),
    ],
)
@pytest.mark.gen_test
async def test_a_page_has_its_records_links_and_totals(bank, rows, query, length, links, pages):
    bank.put("banking_direct_debits", debits(*map(str, range(rows))))
    size = int(dict(parse_qsl(query)).get("page-size", 25))
    number = int(dict(parse_qsl(query)).get("page", 1))
    answer = (await bank.get(DEBITS, query)).json
    names = [record["authorisedEntity"]["description"] for record in answer["data"]["directDebitAuthorisations"]]
    assert names == [str(n) for n in range((number - 1) * size, (number - 1) * size + length)]
    assert answer["links"] == {name: f"page={page}&page-size={size}" for name, page in links.items()}
    assert answer["meta"] == {"totalRecords": rows, "totalPages": pages}
    assert sorted(answer) == ["data", "links", "meta"]


@pytest.mark.gen_test
async def test_links_can_be_full_uris_and_then_name_the_page_itself(io_loop, world):
    bank = CDRBank(world)
    await bank.start(settings='links = "uri"')
    bank.put("banking_direct_debits", debits(*"12345"))
    uri = f"{world.url}{DEBITS}?page="
    for query, links in [
        ("page-size=2", {"self": 1, "next": 2, "last": 3}),
        ("page=2&page-size=2&x=1", {"self": 2, "first": 1, "prev": 1, "next": 3, "last": 3}),
        ("page=3&page-size=2", {"self": 3, "first": 1, "prev": 2}),
    ]:
        answer = await bank.get(DEBITS, query)
        assert answer.json["links"] == {name: f"{uri}{page}&page-size=2" for name, page in links.items()}
    bank.put("banking_direct_debits", [])
    assert (await bank.get(DEBITS)).json["links"] == {"self": f"{uri}1&page-size=25"}
    path = f"{BANKING}/accounts/direct-debits"
    answer = await bank.get(path, "open-status=ALL", body={"data": {"accountIds": []}})
    assert answer.json["links"] == {"self": f"{world.url}{path}?page=1&page-size=25&open-status=ALL"}
    bank.writer.close()


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("text=r%26b%20%C3%A9%2B%2F", "text=r%26b%20%C3%A9%2B%2F"),
        ("text=r%26b+%C3%A9%2b/", "text=r%26b%20%C3%A9%2B%2F"),
        ("min-amount=-5&utm=1&text=r&Text=x&X-V=3&x-v=1", "min-amount=-5&text=r"),
        ("text=&max-amount=99.50", "text=&max-amount=99.50"),
        ("type=ALL&open-status=OPEN&is-owned=true", ""),
        ("oldest-time=2020-01-01T00%3A00%3A00%2B10%3A00", "oldest-time=2020-01-01T00%3A00%3A00%2B10%3A00"),
        ("newest-time=2099-01-01T00:00:00.5Z&oldest-time=2020-01-01T00:00:00Z", None),
    ],
)
@pytest.mark.gen_test
async def test_links_repeat_exactly_the_filters_of_the_request(bank, asked, kept):
    """They are percent-encoded."""
    if kept is None:
        kept = asked.replace(":", "%3A")
    bank.put_transactions(*[{"reference": "r&b é+/"}] * 3)
    answer = (await bank.get(TRANSACTIONS, f"{asked}&page-size=1&page=2")).json
    tail = f"&page-size=1&{kept}".rstrip("&")
    numbers = {"first": 1, "prev": 1, "next": 3, "last": 3}
    assert answer["links"] == {name: f"page={number}{tail}" for name, number in numbers.items()}
    again = await bank.get(TRANSACTIONS, answer["links"]["next"])
    assert (again.status, len(again.json["data"]["transactions"]), again.json["meta"]) == (200, 1, answer["meta"])


# -- what is refused ----------------------------------------------------------------------------------------------

NO_NUMBERS = ["0", "-1", "", "abc", "1.0", "%2B1", "%201", "1e3", "0x1", "%EF%BC%91", "9" * 19, "null", "1,2"]


@pytest.mark.parametrize("name", ["page", "page-size"])
@pytest.mark.gen_test
async def test_what_is_no_whole_number_from_one_is_no_page_and_no_size(bank, name):
    for text in NO_NUMBERS:
        answer = await bank.get(DEBITS, f"{name}={text}")
        (error,) = answer.json["errors"]
        assert (answer.status, error["code"], error["detail"]) == (400, f"{URN}Field/Invalid", name), text


@pytest.mark.parametrize("size", ["1001", "999999999999999999"])
@pytest.mark.gen_test
async def test_a_page_size_above_a_thousand_is_an_error_of_its_own(bank, size):
    answer = await bank.get(DEBITS, f"page-size={size}")
    assert (answer.status, answer.code) == (400, f"{URN}Field/InvalidPageSize")
    assert answer.json["errors"][0]["detail"] == "page-size"


@pytest.mark.parametrize(
    ("rows", "query", "pages"), [(0, "page=2", 0), (1, "page=2", 1), (7, "page=5&page-size=2", 4), (7, "page=9999", 1)]
)
@pytest.mark.gen_test
async def test_a_page_out_of_range_is_422_with_the_number_of_pages(bank, rows, query, pages):
    bank.put("banking_direct_debits", debits(*map(str, range(rows))))
    posted = {"body": {"data": {"accountIds": ["a1"] if rows else []}}}
    for path, body in [(DEBITS, {}), (f"{BANKING}/accounts/direct-debits", posted)]:
        answer = await bank.get(path, query, **body)
        (error,) = answer.json["errors"]
        assert (answer.status, error["code"], error["detail"]) == (422, f"{URN}Field/InvalidPage", str(pages))
        assert "X-Sharing-Refused" not in answer.headers


FIELD, DATE = "Field/Invalid", "Field/InvalidDateTime"


@pytest.mark.parametrize(
    ("path", "query", "mistakes"),
    [
        (TRANSACTIONS, "oldest-time=2026-01-02T00:00:00Z&newest-time=2026-01-01T00:00:00Z", {"oldest-time": DATE}),
        (
            TRANSACTIONS,
            "oldest-time=2026-01-01T10:00:00Z&newest-time=2026-01-01T19:59:59%2B10:00",
            {"oldest-time": DATE},
        ),
        (TRANSACTIONS, "oldest-time=2099-01-01T00:00:00Z", {"oldest-time": DATE}),
        (TRANSACTIONS, "page=0&page-size=1001", {"page": FIELD, "page-size": "Field/InvalidPageSize"}),
        (
            TRANSACTIONS,
            "page=x&page-size=0&oldest-time=never&min-amount=ten&max-amount=1,5&text=%00",
            {
                "page": FIELD,
                "page-size": FIELD,
                "oldest-time": DATE,
                "min-amount": FIELD,
                "max-amount": FIELD,
                "text": FIELD,
            },
        ),
        (INVOICES, "oldest-date=2026-02-02&newest-date=2026-02-01", {"oldest-date": DATE}),
        (INVOICES, "newest-date=2026-02-30&page=0", {"newest-date": DATE, "page": FIELD}),
        (PLANS, "plan-status=active&page=0", {"plan-status": FIELD, "page": FIELD}),
        (PAYEES, "type=PERSON", {"type": FIELD}),
        (PAYEES, "type=", {"type": FIELD}),
        (PAYEES, "page=1&page=1", {"page": FIELD}),
        (PAYEES, "type=ALL&type=BILLER", {"type": FIELD}),
        (PAYEES, "type=%FF", {"query": FIELD}),
        (PAYEES, "%C3%28=1", {"query": FIELD}),
        (PAYEES, "&".join(f"x{n}=1" for n in range(101)), {"query": FIELD}),
    ],
)
@pytest.mark.gen_test
async def test_each_mistake_in_a_query_has_its_own_entry(bank, path, query, mistakes):
    answer = await bank.get(path, query)
    assert answer.status == 400
    errors = answer.json["errors"]
    assert {error["detail"]: error["code"].removeprefix(URN) for error in errors} == mistakes
    assert len(errors) == len(mistakes)
    assert all(error["title"] and error["meta"]["correlationId"] for error in errors)


IMPOSSIBLE_TIMES = [
    "2026-02-30T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01",
    "20260101T000000Z",
    "2026-W01-1T00:00:00Z",
    "2026-01-01T00:00:00%2B24:00",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00Z%20",
    "2026-01-01T00:00:00Z%00",
    "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-14:00",
    "1767225600",
    "now",
    "",
]


@pytest.mark.parametrize("name", ["oldest-time", "newest-time"])
@pytest.mark.gen_test
async def test_impossible_times_are_refused(bank, name):
    for text in IMPOSSIBLE_TIMES:
        for path in (TRANSACTIONS, BILLING):
            answer = await bank.get(path, f"{name}={text}")
            assert (answer.status, answer.code) == (400, f"{URN}{DATE}"), text
            assert answer.json["errors"][0]["detail"] == name


@pytest.mark.parametrize("name", ["oldest-date", "newest-date"])
@pytest.mark.gen_test
async def test_impossible_dates_are_refused(bank, name):
    for text in ["2026-02-30", "2025-02-29", "2026-13-01", "0000-01-01", "2026-1-1", "20260101", "2026-W01-1", "", "x"]:
        answer = await bank.get(INVOICES, f"{name}={text}")
        assert (answer.status, answer.code) == (400, f"{URN}{DATE}"), text
    answer = await bank.get(INVOICES, f"{name}=2026-01-01T00:00:00Z")
    assert (answer.status, answer.code) == (400, f"{URN}{DATE}")


@pytest.mark.gen_test
async def test_amounts_that_are_no_plain_decimals_are_refused(bank):
    for text in ["", "ten", "%2B5", "1e3", ".5", "5.", "1,000", "NaN", "-", "--1", "%205", "1" * 17, "%D9%A1"]:
        for name in ("min-amount", "max-amount"):
            answer = await bank.get(TRANSACTIONS, f"{name}={text}")
            assert (answer.status, answer.code) == (400, f"{URN}{FIELD}"), text
            assert answer.json["errors"][0]["detail"] == name


@pytest.mark.gen_test
async def test_query_then_account_then_page_are_checked(bank):
    unknown = f"{BANKING}/accounts/a9/transactions"
    assert (await bank.get(unknown, "page=0")).status == 400
    answer = await bank.get(unknown, "page=99")
    assert answer.status == 404 and answer.code.endswith("Authorisation/InvalidBankingAccount")
    posted = await bank.get(f"{BANKING}/accounts/balances", "page=99", body={"data": {"accountIds": ["a9"]}})
    assert posted.status == 422 and posted.code.endswith("Authorisation/InvalidBankingAccount")
    assert (await bank.get(f"{BANKING}/accounts/balances", "page=0", body={})).json["errors"][0]["detail"] == "page"


@pytest.mark.gen_test
async def test_each_bad_parameter_has_its_own_error(bank):
    """Each bad bound of a window, and each parameter given twice."""
    for query, details in (
        ("oldest-time=x&newest-time=y", ["oldest-time", "newest-time"]),
        ("page=1&page=2&oldest-time=x", ["page", "oldest-time"]),
        ("text=a&text=a", ["text"]),
    ):
        answer = await bank.get(TRANSACTIONS, query)
        assert answer.status == 400
        assert [error["detail"] for error in answer.json["errors"]] == details, query


@pytest.mark.gen_test
async def test_unknown_parameters_are_ignored(bank):
    """However often they are given."""
    assert (await bank.get(TRANSACTIONS, "x=1&x=2&limit=0&offset=z&startTime=never&startTime=ever")).status == 200


@pytest.mark.gen_test
async def test_a_page_beyond_every_number_is_out_of_range(bank):
    bank.put_transactions({})
    for query in ("page=999999999999999999&page-size=1000", "page=9223372036854775807", "page=4611686018427387904"):
        answer = await bank.get(TRANSACTIONS, query)
        assert answer.status in (400, 422), query
        assert answer.code in (f"{URN}Field/InvalidPage", f"{URN}Field/Invalid")


@pytest.mark.gen_test
async def test_a_broken_escape_is_refused_and_a_raw_plus_sign_is_read(bank):
    """A UTC offset may be sent with an unescaped plus sign; links have it escaped."""
    for query in ("text=%ZZ", "text=%", "text=100%2", "text=%FF"):
        answer = await bank.get(TRANSACTIONS, query)
        assert (answer.status, answer.json["errors"][0]["detail"]) == (400, "query"), query
    bank.put_transactions({}, {})
    answer = await bank.get(TRANSACTIONS, "page-size=1&oldest-time=2020-01-01T00:00:00+10:00&text=a%C2%A0b")
    assert answer.status == 200
    answer = await bank.get(TRANSACTIONS, "page-size=1&oldest-time=2020-01-01T00:00:00+10:00")
    assert answer.json["links"]["next"] == "page=2&page-size=1&oldest-time=2020-01-01T00%3A00%3A00%2B10%3A00"


# -- all pages together -------------------------------------------------------------------------------------------

MOMENTS = [
    None,
    "2026-06-15T12:00:00Z",
    "2026-06-15T22:00:00+10:00",
    "2026-06-15T12:00:00.000001Z",
    "2026-06-15T11:59:59-01:00",
    "2026-06-15T23:00:00+11:00",
    "2026-06-14T23:59:59.9Z",
]
DAYS = ["2026-06-15", "2026-06-14", "2025-12-31", "2026-02-28"]
WIDE = "oldest-time=2020-01-01T00:00:00Z&newest-time=2099-01-01T00:00:00Z"
sizes = st.integers(1, 8)
names = st.lists(st.text("abAB1_-", min_size=1, max_size=3), unique=True, max_size=16)
walking = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def micros(text):
    """Microseconds, or more than any moment has where there is none."""
    if text is None:
        return 10**20
    return round((datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def walk(io_loop, bank, path, size, filters="", body=None, member=""):
    """What the pages have from the first to the last, by following their links."""

    async def pages():
        query, found, pages = f"page-size={size}{'&' if filters else ''}{filters}", [], 0
        while query:
            answer = (await bank.get(path, query, body)).json
            (records,) = answer["data"].values()
            found.append(records)
            query, pages = answer["links"].get("next"), answer["meta"]["totalPages"]
            assert answer["meta"]["totalRecords"] >= sum(map(len, found))
        assert len(found) == max(pages, 1)
        assert all(len(records) == size for records in found[:-1])
        return [record for records in found for record in records]

    return [member(record) for record in io_loop.run_sync(pages)]


@pytest.mark.slow
@given(names, sizes, st.data())
@walking
def test_transactions_are_newest_first_then_by_id(io_loop, bank, ids, size, data):
    """Newest by effective time; each transaction is returned once."""
    moment = st.sampled_from(MOMENTS)
    rows = [
        {"transactionId": one} | {f"{kind}DateTime": data.draw(moment) for kind in ("posting", "execution", "value")}
        for one in ids
    ]
    bank.put("banking_transactions", [*rows, {"accountId": "a2", "transactionId": "other", "valueDateTime": DAYS[0]}])
    times = {
        row["transactionId"]: row["postingDateTime"] or row["executionDateTime"] or row["valueDateTime"] for row in rows
    }
    expected = sorted(ids, key=lambda one: (-micros(times[one]), one))
    assert walk(io_loop, bank, TRANSACTIONS, size, WIDE, member=lambda found: found["transactionId"]) == expected


POSTED = [
    ("energy_invoices", f"{ENERGY}/accounts/invoices", "invoiceNumber", "issueDate", "oldest-date=2020-01-01"),
    ("banking_instalment_plans", f"{BANKING}/accounts/payments/plans", "planId", "creationDate", "plan-status=ALL"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("table", "path", "key", "day", "filters"), POSTED)
@given(names, sizes, st.data())
@walking
def test_a_list_over_accounts_is_ordered_and_paged_as_one(
    io_loop, bank, table, path, key, day, filters, ids, size, data
):
    rows = [
        {key: one, day: data.draw(st.sampled_from(DAYS)), "accountId": data.draw(st.sampled_from(["a1", "a2", "a3"]))}
        for one in ids
    ]
    bank.put(table, rows)
    newest_first = sorted(sorted(rows, key=lambda row: row[key]), key=lambda row: row[day], reverse=True)
    wanted = data.draw(st.lists(st.sampled_from(["a1", "a2", "a3"]), max_size=4))
    found = walk(io_loop, bank, path, size, filters, {"data": {"accountIds": wanted}}, lambda record: record[key])
    assert found == [row[key] for row in newest_first if row["accountId"] in wanted]


@pytest.mark.slow
@given(st.lists(st.sampled_from(["a1", "a2", "a3"]), max_size=12), sizes)
@walking
def test_a_list_without_an_order_comes_as_the_rows_were_put_in(io_loop, bank, accounts, size):
    rows = [row for n, account in enumerate(accounts) for row in debits(str(n), account=account)]
    bank.put("banking_direct_debits", rows)
    entity = lambda record: int(record["authorisedEntity"]["description"])  # noqa: E731
    path = f"{BANKING}/accounts/direct-debits"
    assert walk(io_loop, bank, path, size, "", ALL, entity) == list(range(len(rows)))
    assert walk(io_loop, bank, DEBITS, size, "", None, entity) == [n for n, one in enumerate(accounts) if one == "a1"]


@pytest.mark.gen_test
async def test_billing_is_newest_first_and_ties_keep_the_rows_order(bank):
    today, yesterday = ago(), ago(days=1)
    times = [yesterday, today, yesterday, today, ago(days=2)]
    bank.put("energy_billing", [{"executionDateTime": time, "gst": f"{n}.00"} for n, time in enumerate(times)])
    body = {"data": {"accountIds": ["a2", "a1"]}}
    for size in (1, 2, 5):
        found = []
        for page in range(1, 1 + -(-5 // size)):
            query = f"page={page}&page-size={size}"
            found += await bank.listed(f"{ENERGY}/accounts/billing", query, body, member="gst")
        assert found == ["1.00", "3.00", "0.00", "2.00", "4.00"]


# -- times --------------------------------------------------------------------------------------------------------


@pytest.mark.gen_test
async def test_the_effective_time_is_posting_else_execution_else_value(bank):
    """Pending transactions come first."""
    bank.put_transactions(
        {"postingDateTime": ago(days=9), "executionDateTime": ago(days=1), "valueDateTime": ago(days=1)},
        {"postingDateTime": None, "executionDateTime": ago(days=8), "valueDateTime": ago(days=1)},
        {"executionDateTime": None, "valueDateTime": ago(days=7)},
        {"executionDateTime": None, "status": "PENDING"},
    )
    assert await bank.listed(TRANSACTIONS) == ["4", "3", "2", "1"]
    cases = {
        f"oldest-time={ago(days=7, hours=12)}": ["4", "3"],
        f"oldest-time={ago(days=8, hours=12)}&newest-time={ago(days=7, hours=12)}": ["2"],
        f"newest-time={ago(days=8, hours=12)}": ["1"],
        "newest-time=2099-01-01T00:00:00Z&oldest-time=2020-01-01T00:00:00Z": ["4", "3", "2", "1"],
        f"newest-time={ago(minutes=5)}": ["3", "2", "1"],
    }
    for query, ids in cases.items():
        assert await bank.listed(TRANSACTIONS, query.replace("+", "%2B")) == ids


FIVE = [
    "2026-06-15T11:59:59.999999Z",
    "2026-06-15T12:00:00Z",
    "2026-06-15T22:00:00+10:00",
    "2026-06-15T12:00:00.000001Z",
    "2026-06-15T07:00:01-05:00",
]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("oldest-time=2026-06-15T12:00:00Z", "5423"),
        ("oldest-time=2026-06-15T22:00:00%2B10:00", "5423"),
        ("oldest-time=2026-06-15T22:00:00+10:00", "5423"),
        ("oldest-time=2026-06-15t12:00:00z", "5423"),
        ("oldest-time=2026-06-15T12:00:00z&newest-time=2026-06-15t22:00:00%2B10:00", "23"),
        ("oldest-time=2026-06-15T12:00:00.000001Z", "54"),
        ("newest-time=2026-06-15T12:00:00Z", "231"),
        ("newest-time=2026-06-15T22:00:00+10:00", "231"),
        ("newest-time=2026-06-15T02:30:00-09:30", "231"),
        ("newest-time=2026-06-15T12:00:00.0000009Z", "231"),
        ("newest-time=2026-06-15T11:59:59.999999Z", "1"),
        ("oldest-time=2026-06-15T12:00:00Z&newest-time=2026-06-15T12:00:00Z", "23"),
        ("oldest-time=2026-06-15T11:59:60Z&newest-time=2026-06-15T12:00:00.5Z", "4231"),
    ],
)
@pytest.mark.gen_test
async def test_both_bounds_of_a_window_are_inclusive_in_any_offset(io_loop, world, query, ids):
    with time_machine.travel(datetime(2026, 7, 1, tzinfo=UTC)):
        bank = await CDRBank(world).start()
        bank.put_transactions(*[{"postingDateTime": time} for time in FIVE])
        assert await bank.listed(TRANSACTIONS, query) == list(ids)
        bank.put("energy_billing", [{"executionDateTime": time, "gst": f"{n}.00"} for n, time in enumerate(FIVE, 1)])
        assert {gst[0] for gst in await bank.listed(BILLING, query, member="gst")} == set(ids)
        bank.writer.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("now", "query", "inside", "outside"),
    [
        ("2028-02-29T10:00:00Z", "", "2027-02-28T10:00:00Z", "2027-02-28T09:59:59Z"),
        ("2028-02-29T09:59:59Z", "", "2028-02-29T23:59:59.999999Z", "2028-03-01T00:00:00Z"),
        ("2028-02-29T10:00:00Z", "", "2028-03-01T23:59:59Z", "2028-03-02T00:00:00Z"),
        ("2028-02-29T10:00:00Z", "oldest-time=2028-02-29T11:00:00Z", "2028-02-29T14:00:00Z", "2028-02-29T10:59:59Z"),
        ("2027-02-28T10:00:00Z", "", "2026-02-28T10:00:00Z", "2026-02-28T09:59:59Z"),
        ("2029-02-28T10:00:00Z", "", "2028-02-28T10:00:00Z", "2028-02-28T09:59:59Z"),
        ("2029-03-01T00:00:00Z", "", "2028-03-01T00:00:00Z", "2028-02-29T23:59:59Z"),
        ("2026-01-31T00:00:00Z", "", "2025-01-31T00:00:00Z", "2025-01-30T23:59:59Z"),
        ("2026-12-31T23:59:59Z", "", "2025-12-31T23:59:59Z", "2025-12-31T23:59:58Z"),
        ("2028-06-01T00:00:00Z", "newest-time=2024-02-29T12:00:00Z", "2023-02-28T12:00:00Z", "2023-02-28T11:59:59Z"),
        (
            "2028-06-01T00:00:00Z",
            "newest-time=2024-03-01T05:00:00%2B10:00",
            "2023-02-28T19:00:00Z",
            "2024-03-01T00:00:00Z",
        ),
        ("2028-06-01T00:00:00Z", "newest-time=2030-01-01T00:00:00Z", "2029-01-01T00:00:00Z", "2028-12-31T23:59:59Z"),
        ("2028-06-01T00:00:00Z", "oldest-time=1999-01-01T00:00:00Z", "1999-01-01T00:00:00Z", "2028-06-02T00:00:00Z"),
    ],
)
@pytest.mark.gen_test
async def test_a_window_without_bounds_is_twelve_calendar_months(io_loop, world, now, query, inside, outside):
    with time_machine.travel(datetime.fromisoformat(now), tick=False):
        bank = await CDRBank(world).start()
        times = {"1": inside, "2": outside}
        bank.put_transactions(*[{"postingDateTime": time} for time in times.values()])
        bank.put("energy_billing", [{"executionDateTime": time, "gst": f"{n}.00"} for n, time in times.items()])
        assert await bank.listed(TRANSACTIONS, query) == ["1"]
        assert await bank.listed(BILLING, query, member="gst") == ["1.00"]
        bank.writer.close()


@pytest.mark.parametrize(
    ("now", "query", "inside", "outside"),
    [
        ("2028-02-29T09:59:59Z", "", ["2028-02-29", "2026-02-28"], ["2028-03-01", "2026-02-27"]),
        ("2028-02-29T10:00:00Z", "", ["2028-03-01", "2026-03-01"], ["2028-03-02", "2026-02-28"]),
        ("2026-06-15T00:00:00Z", "", ["2026-06-15", "2024-06-15"], ["2026-06-16", "2024-06-14"]),
        ("2026-06-15T00:00:00Z", "newest-date=2024-02-29", ["2024-02-29", "2022-02-28"], ["2024-03-01", "2022-02-27"]),
        ("2026-06-15T00:00:00Z", "oldest-date=2001-01-01", ["2026-06-15", "2001-01-01"], ["2026-06-16", "2000-12-31"]),
        ("2026-06-15T00:00:00Z", "oldest-date=2026-05-05&newest-date=2026-05-05", ["2026-05-05"], ["2026-05-04"]),
        ("2026-06-15T00:00:00Z", "newest-date=0001-06-01", ["0001-06-01", "0001-01-01"], ["0001-06-02"]),
    ],
)
@pytest.mark.gen_test
async def test_invoices_default_to_24_months_until_today(io_loop, world, now, query, inside, outside):
    """Both days are inside."""
    with time_machine.travel(datetime.fromisoformat(now), tick=False):
        bank = await CDRBank(world).start()
        bank.put("energy_invoices", [{"invoiceNumber": day, "issueDate": day} for day in [*outside, *inside]])
        assert await bank.listed(INVOICES, query) == inside
        bank.writer.close()


# -- amounts and text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("min-amount=9.00", "123"),
        ("min-amount=9", "123"),
        ("min-amount=9.01", "23"),
        ("min-amount=10.00&max-amount=10", "2"),
        ("max-amount=9.00", "1456"),
        ("max-amount=-1", "56"),
        ("min-amount=-9.00&max-amount=0", "45"),
        ("min-amount=-9.5", "12345"),
        ("max-amount=-9.5", "6"),
        ("min-amount=-0", "1234"),
        ("min-amount=11&max-amount=10", ""),
        ("min-amount=0000000000000100", "3"),
    ],
)
@pytest.mark.gen_test
async def test_amounts_are_compared_as_signed_numbers_and_not_as_text(bank, query, ids):
    amounts = ["9.00", "10.00", "100.00", "0.00", "-9.00", "-10.00"]
    bank.put_transactions(*[{"amount": amount, "executionDateTime": FIVE[0]} for amount in amounts])
    query += "&oldest-time=2026-06-01T00:00:00Z&newest-time=2026-07-01T00:00:00Z"
    assert await bank.listed(TRANSACTIONS, query) == list(ids)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Rent", "13"),
        ("rent", "2"),
        ("R", "134"),
        ("%25", "4"),
        ("_", ""),
        ("for%20May", "1"),
        ("for+May", "1"),
        ("%C3%A9", "4"),
        ("e%CC%81", ""),
        ("'%20OR%201=1--", ""),
        ("May%5CRent", ""),
        ("", "1234"),
        ("x" * 1000, ""),
    ],
)
@pytest.mark.gen_test
async def test_text_is_found_in_description_and_reference(bank, text, ids):
    """It is compared letter by letter."""
    bank.put_transactions(
        {"description": "Rent for May", "reference": ""},
        {"description": "Parents", "reference": "May\\parents' rent"},
        {"description": "Transfer", "reference": "xxRentxx"},
        {"description": "Réduction 100% R", "reference": ""},
    )
    assert sorted(await bank.listed(TRANSACTIONS, f"text={text}")) == list(ids)


@pytest.mark.gen_test
async def test_a_text_with_control_characters_or_too_long_is_refused(bank):
    for text in ["a%00", "%0A", "%7F", "%E2%80%AE", "x" * 1001]:
        answer = await bank.get(TRANSACTIONS, f"text={text}")
        assert (answer.status, answer.code) == (400, f"{URN}{FIELD}"), text


@pytest.mark.gen_test
async def test_filters_are_combined_and_totals_are_filtered(bank):
    amounts = ["5.00", "15.00", "25.00", "35.00"]
    bank.put_transactions(
        *[{"amount": amount, "description": "Rent"} for amount in amounts], {"amount": "20.00", "description": "Food"}
    )
    answer = (await bank.get(TRANSACTIONS, "min-amount=10&max-amount=30&text=Rent&page-size=1")).json
    assert answer["meta"] == {"totalRecords": 2, "totalPages": 2}
    assert answer["links"]["last"] == "page=2&page-size=1&min-amount=10&max-amount=30&text=Rent"


# -- choices ------------------------------------------------------------------------------------------------------

PRODUCTS = [
    {"accountId": "a1", "productCategory": "TERM_DEPOSITS", "openStatus": None, "isOwned": None},
    {"accountId": "a2", "productCategory": "TRANS_AND_SAVINGS_ACCOUNTS", "openStatus": "CLOSED", "isOwned": "false"},
    {"accountId": "a3", "productCategory": "TERM_DEPOSITS", "openStatus": "OPEN", "isOwned": "1"},
]


@pytest.mark.parametrize(
    ("query", "accounts"),
    [
        ("", ["a1", "a2", "a3"]),
        ("product-category=TERM_DEPOSITS", ["a1", "a3"]),
        ("product-category=TRADE_FINANCE", []),
        ("open-status=OPEN", ["a1", "a3"]),
        ("open-status=CLOSED", ["a2"]),
        ("open-status=ALL", ["a1", "a2", "a3"]),
        ("is-owned=true", ["a1", "a3"]),
        ("is-owned=false", ["a2"]),
        ("is-owned=true&open-status=CLOSED", []),
        ("product-category=TERM_DEPOSITS&open-status=OPEN&is-owned=true", ["a1", "a3"]),
    ],
)
@pytest.mark.gen_test
async def test_account_filters_apply_to_lists_over_accounts(bank, query, accounts):
    three = [{"accountId": account} for account in ("a1", "a2", "a3")]
    bank.put("banking_accounts", PRODUCTS)
    bank.put("banking_balances", three)
    bank.put("banking_direct_debits", three)
    payments = [{"accountId": one, "from.accountId": one, "scheduledPaymentId": one} for one in ("a1", "a2", "a3")]
    bank.put("banking_scheduled_payments", payments)
    for path in ("accounts", "accounts/balances", "accounts/direct-debits", "payments/scheduled"):
        answer = (await bank.get(f"{BANKING}/{path}", query, ALL)).json
        (records,) = answer["data"].values()
        found = [record.get("accountId") or record["scheduledPaymentId"] for record in records]
        assert (found, answer["meta"]["totalRecords"]) == (accounts, len(accounts)), path


@pytest.mark.gen_test
async def test_filters_on_accounts_take_the_listed_values_only(bank):
    bank.put("banking_accounts", PRODUCTS)
    for query in [
        "product-category=term_deposits",
        "product-category=",
        "open-status=open",
        "is-owned=1",
        "is-owned=TRUE",
    ]:
        for path in ("accounts", "accounts/balances", "accounts/direct-debits", "payments/scheduled"):
            answer = await bank.get(f"{BANKING}/{path}", query, ALL)
            assert (answer.status, answer.code) == (400, f"{URN}{FIELD}")
            assert answer.json["errors"][0]["detail"] == query.partition("=")[0]


@pytest.mark.gen_test
async def test_energy_accounts_without_a_state_are_open(bank):
    bank.put(
        "energy_accounts",
        [
            {"accountId": one, "openStatus": state}
            for one, state in zip(("a1", "a2", "a3"), (None, "CLOSED", "OPEN"), strict=True)
        ],
    )
    for query, accounts in {
        "": ["a1", "a2", "a3"],
        "open-status=OPEN": ["a1", "a3"],
        "open-status=CLOSED": ["a2"],
    }.items():
        assert await bank.listed(f"{ENERGY}/accounts", query, ALL) == accounts


@pytest.mark.gen_test
async def test_active_plans_are_the_default(bank):
    """A plan is active while an instalment is unpaid."""
    schedules = {
        "none paid": [{"isPaid": False}],
        "not said": [{}],
        "one left": [{"isPaid": True}, {"isPaid": False}],
        "all paid": [{"isPaid": True}, {"isPaid": "true"}],
        "nothing due": [],
    }
    due = {"amountDue": "1.00", "dueDate": "2026-01-01"}
    rows = [
        {"planId": name, "schedule": json.dumps([due | one for one in schedule])}
        for name, schedule in schedules.items()
    ]
    bank.put("banking_instalment_plans", [row | {"accountId": "a1"} for row in rows])
    active, inactive = ["none paid", "not said", "one left"], ["all paid", "nothing due"]
    for query, plans in {
        "": active,
        "plan-status=ACTIVE": active,
        "plan-status=INACTIVE": inactive,
        "plan-status=ALL": active + inactive,
    }.items():
        assert sorted(await bank.listed(PLANS, query)) == sorted(plans)
        assert sorted(await bank.listed(f"{BANKING}/accounts/payments/plans", query, ALL)) == sorted(plans)


@pytest.mark.gen_test
async def test_payees_are_listed_by_their_type(bank):
    kinds = ["BILLER", "DOMESTIC", "INTERNATIONAL", "DIGITAL_WALLET", "DOMESTIC"]
    bank.put("banking_payees", [{"payeeId": f"p{n}", "type": kind} for n, kind in enumerate(kinds)])
    for query, payees in {
        "": ["p0", "p1", "p2", "p3", "p4"],
        "type=ALL": ["p0", "p1", "p2", "p3", "p4"],
        "type=DOMESTIC": ["p1", "p4"],
        "type=DIGITAL_WALLET": ["p3"],
        "type=BILLER": ["p0"],
        "type=INTERNATIONAL": ["p2"],
    }.items():
        assert await bank.listed(PAYEES, query) == payees
