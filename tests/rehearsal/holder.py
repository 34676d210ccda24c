"""A small data holder that is not openholder: healthy, and of a taste that each test chooses."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import jwt
from jwt.utils import base64url_decode, base64url_encode
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from helpers.support import ISSUER, print_nothing
from openholder.contract.collections import find_collection
from openholder.contract.errors import RequestError
from openholder.contract.operation import JSON
from openholder.contract.operations import OPERATIONS, Operation
from openholder.contract.query_string import read_parameters
from openholder.errors import UntrustedJSON
from openholder.server.app import bind
from openholder.strict_json import parse_json

URN = "urn:au-cds:error:cds-all:"
JANE, ROBIN = "jane@example.com", "robin@example.com"
PEOPLE = {JANE: ("c-jane", "Jane Citizen"), ROBIN: ("c-robin", "Robin Citizen")}
OWNED = {"c-jane": ("a-1001", "a-1002"), "c-robin": ("a-2001", "a-2002")}
OFFERED = {
    "searchCustomers",
    "getCustomerDetails",
    "listConsentAccounts",
    "getStarterBalance",
    "listBankingAccountsSpecific",
    "getBankingAccount",
    "listBankingBalancesSpecific",
    "getBankingBalance",
    "listBankingTransactions",
    "listBankingDirectDebits",
    "listBankingDirectDebitsSpecific",
    "listPayees",
    "getPayee",
}
ENERGY = {
    *("searchCustomers", "getCustomerDetails", "listConsentAccounts", "listEnergyAccountsSpecific", "getEnergyAccount"),
    *("getEnergyBalance", "listEnergyBalancesSpecific", "listEnergyConcessions", "getEnergyPaymentSchedule"),
    *("listEnergyInvoices", "listEnergyInvoicesSpecific", "listEnergyBilling", "listEnergyBillingSpecific"),
}
FDX = {
    *("searchCustomers", "getCustomerDetails", "listConsentAccounts", "getStarterBalance"),
    *("fdxFetchSpecificAccounts", "fdxGetAccount", "fdxListTransactions", "fdxListStatements", "fdxGetStatement"),
    *("fdxListPaymentNetworks", "fdxGetContact"),
}
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ROUTES = [
    (re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", row.path)), row)
    for row in sorted(OPERATIONS, key=lambda row: ("{" in row.path, row.path.count("{")))
]
_CODES = {
    400: f"{URN}Field/Invalid",
    401: "unauthorized",
    404: f"{URN}Resource/Invalid",
    405: f"{URN}GeneralError/Expected",
    406: f"{URN}Header/UnsupportedVersion",
    415: f"{URN}GeneralError/Expected",
    422: f"{URN}Field/InvalidPage",
}


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str = "", **headers: str) -> None:
        self.status, self.code = status, code or _CODES.get(status, "x")
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class Answer:
    """What is sent; a taste may change it."""

    operation: Operation | None
    path: str
    query: dict[str, str]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = None
    number: int = 0
    """The how manieth answer of the server."""

    @property
    def name(self) -> str:
        return self.operation.name if self.operation else ""


def make_transaction(account: str, number: int) -> dict[str, Any]:
    moment = f"2026-{1 + number % 9:02}-{1 + number % 27:02}T0{number % 10}:30:00Z"
    return {
        "accountId": account,
        "transactionId": f"{account}-t{number}",
        "isDetailAvailable": False,
        "type": "PAYMENT",
        "status": "POSTED",
        "description": f"Coffee {number}",
        "postingDateTime": moment,
        "amount": f"-{number}.50",
        "currency": "AUD",
        "reference": f"ref {number}",
    }


def make_rows() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The records of each collection, by account or customer."""
    accounts = [account for owned in OWNED.values() for account in owned]
    return {
        "accounts": {
            customer: [
                {"id": account, "name": "Everyday", "type": "savings", "displayName": f"Everyday {account[-4:]}"}
                for account in owned
            ]
            for customer, owned in OWNED.items()
        },
        "balances": {
            account: [{"account_id": account, "available": 1200.5, "current": 1250.5, "currency": "AUD"}]
            for account in accounts
        },
        "banking.accounts": {
            account: [
                {
                    "accountId": account,
                    "displayName": f"Everyday {account[-4:]}",
                    "accountOwnership": "ONE_PARTY",
                    "maskedNumber": f"xxxx {account[-4:]}",
                    "openStatus": "OPEN",
                    "productCategory": "TRANS_AND_SAVINGS_ACCOUNTS",
                    "productName": "Everyday",
                }
            ]
            for account in accounts
        },
        "banking.balances": {
            account: [{"accountId": account, "currentBalance": "1250.50", "availableBalance": "1200.50"}]
            for account in accounts
        },
        "banking.transactions": {
            account: [make_transaction(account, number) for number in range(1, count + 1)]
            for account, count in zip(accounts, (12, 3, 1, 0), strict=True)
        },
        "banking.direct_debits": {
            account: [
                {
                    "accountId": account,
                    "authorisedEntity": {"description": "Gym"},
                    "lastDebitDateTime": "2026-03-01T00:00:00Z",
                    "lastDebitAmount": "20.00",
                }
            ]
            if account.endswith("1")
            else []
            for account in accounts
        },
        "banking.payees": {
            customer: [
                {
                    "payeeId": f"p-{customer}",
                    "nickname": f"Landlord of {customer}",
                    "type": "BILLER",
                    "creationDate": "2026-01-05",
                    "payeeUType": "biller",
                    "biller": {"billerCode": "1234", "crn": customer[-3:], "billerName": "Water"},
                }
            ]
            for customer in OWNED
        },
    }


def make_energy_rows() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The records of a retailer, for the same accounts."""
    accounts = [account for owned in OWNED.values() for account in owned]

    def make_account(account: str) -> dict[str, Any]:
        overview = {"displayName": "Basic", "startDate": "2024-02-29"}
        rate = {"displayName": "All day", "rates": [{"unitPrice": "0.25"}]}
        period = {"displayName": "Year", "startDate": "01-01", "endDate": "12-31"}
        period |= {"rateBlockUType": "singleRate", "singleRate": rate, "dailySupplyCharge": "1.10"}
        contract = {"pricingModel": "SINGLE_RATE", "isFixed": True, "paymentOption": ["BPAY"], "tariffPeriod": [period]}
        detail = {"fuelType": "ELECTRICITY", "electricityContract": contract}
        plan = {"servicePointIds": [f"sp-{account}"], "planOverview": overview, "planDetail": detail}
        days = {"creationDate": "2024-02-29", "openStatus": "OPEN"}
        return {"accountId": account, "accountNumber": account[2:], **days, "plans": [plan]}

    def make_bill(account: str, month: int) -> dict[str, Any]:
        charge = {"transactionUType": "payment", "payment": {"amount": "80.00", "method": "BPAY"}}
        if month % 2:
            usage = {"timeOfUseType": "PEAK", "usage": 12.5, "amount": "-3.00", "measureUnit": "KWH"}
            usage |= {"startDate": f"2026-{month:02}-01T00:00:00Z", "endDate": f"2026-{month:02}-28T00:00:00Z"}
            charge = {"transactionUType": "usage", "usage": usage}
        return {"accountId": account, "executionDateTime": f"2026-{month:02}-28T10:00:00+10:00", **charge}

    def make_invoice(account: str, month: int) -> dict[str, Any]:
        days = {"issueDate": f"2026-{month:02}-02", "dueDate": f"2026-{month:02}-28"}
        amounts = {"invoiceAmount": "80.00", "balanceAtIssue": "80.00", "servicePoints": [f"sp-{account}"]}
        return {"accountId": account, "invoiceNumber": f"{account}-{month}", **days, **amounts, "paymentStatus": "PAID"}

    concession = {"type": "FIXED_PERCENTAGE", "displayName": "Pension", "percentage": "0.05"}
    concession |= {"discountFrequency": "P1Y", "appliedTo": ["USAGE"]}
    schedule = {"paymentScheduleUType": "manualPayment", "manualPayment": {"billFrequency": "P1M"}}
    return {
        "energy.accounts": {account: [make_account(account)] for account in accounts},
        "energy.balances": {account: [{"accountId": account, "balance": "-12.50"}] for account in accounts},
        "energy.concessions": {account: [concession] for account in accounts},
        "energy.payment_schedules": {account: [schedule] for account in accounts},
        "energy.invoices": {account: [make_invoice(account, month) for month in range(1, 8)] for account in accounts},
        "energy.billing": {account: [make_bill(account, month) for month in range(1, 10)] for account in accounts},
    }


def make_fdx_rows() -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The records of a bank of the US, for the same accounts."""
    accounts = [account for owned in OWNED.values() for account in owned]

    def make_account(account: str) -> dict[str, Any]:
        kind = {"accountCategory": "DEPOSIT_ACCOUNT", "accountType": "CHECKING", "status": "OPEN"}
        return {"accountId": account, **kind, "currency": {"currencyCode": "USD"}, "currentBalance": 1250.5}

    def make_one(account: str, number: int) -> dict[str, Any]:
        moment = f"2026-{1 + number % 9:02}-{1 + number % 27:02}T08:30:00.000Z"
        amount = {"amount": 0.25 * number, "debitCreditMemo": "DEBIT", "description": f"Store {number}"}
        return {"transactionId": f"{account}-{number}", "postedTimestamp": moment, "status": "POSTED", **amount}

    def make_statement(account: str, month: int) -> dict[str, Any]:
        return {"accountId": account, "statementId": f"{account}-{month}", "statementDate": f"2026-{month:02}-28"}

    network = {"bankId": "125000024", "type": "US_ACH", "transferIn": True, "transferOut": False}
    return {
        "fdx.accounts": {account: [make_account(account)] for account in accounts},
        "fdx.transactions": {
            account: [make_one(account, number) for number in range(1, count + 1)]
            for account, count in zip(accounts, (12, 3, 1, 0), strict=True)
        },
        "fdx.statements": {account: [make_statement(account, month) for month in range(1, 10)] for account in accounts},
        "fdx.payment_networks": {account: [{**network, "identifier": account}] for account in accounts},
        "fdx.contacts": {
            account: [{"holders": [{"relationship": "PRIMARY", "name": {"first": account}}]}] for account in accounts
        },
    }


@dataclass
class Holder:
    """The server: what it offers, and the places at which a taste may change what it does."""

    rows: dict[str, dict[str, list[dict[str, Any]]]] = field(
        default_factory=lambda: make_rows() | make_energy_rows() | make_fdx_rows()
    )
    offered: set[str] = field(default_factory=lambda: set(OFFERED))
    not_offered: tuple[int, str] = (404, f"{URN}Resource/NotImplemented")
    blocked: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Accounts that are not shared, and the status and code that say so for an id in a path."""
    bad_token: int = 401
    tolerance: int = 30
    refuses_no_accounts: bool = False
    before: Callable[[Answer, RequestHandler], None] = lambda *_: None
    """May refuse a request before its token is checked."""
    after: Callable[[Answer], None] = lambda _: None
    """May change an answer."""
    links: Callable[[str, dict[str, str]], str] = lambda path, query: f"https://bank.example{path}?{urlencode(query)}"
    key: Any = None
    """The public key of tokens; None to let all in."""
    kid: str = ""
    url: str = ""
    used: set[str] = field(default_factory=set)
    answers: int = 0

    def answer(self, request: RequestHandler) -> Answer:
        """Answer one request."""
        http = request.request
        path, _, query = http.uri.partition("?")
        answer = Answer(None, path, dict(parse_qsl(query, keep_blank_values=True)))
        self.answers += 1
        answer.number = self.answers
        answer.headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        try:
            self.before(answer, request)
            if self.key:
                self.check_token(http.headers.get_list("Authorization"), path)
            found = [(form.fullmatch(path), row) for form, row in _ROUTES if form.fullmatch(path)]
            if not found:
                raise Refused(404, f"{URN}Resource/NotImplemented")
            match = next(((each, row) for each, row in found if row.method == http.method), None)
            if match is None:
                raise Refused(405, Allow=found[0][1].method)
            answer.operation = match[1]
            if match[1].name not in self.offered:
                raise Refused(*self.not_offered)
            ids = {name: unquote(value) for name, value in match[0].groupdict().items()}
            answer.json = self.find(match[1], ids, answer, http)
        except Refused as exc:
            answer.status, answer.json = exc.status, {"errors": [{"code": exc.code, "title": "No", "detail": "no"}]}
            answer.headers |= exc.headers
            if exc.status == 401:
                answer.headers["WWW-Authenticate"] = "Bearer"
        sent = http.headers.get("x-fapi-interaction-id", "")
        answer.headers["x-fapi-interaction-id"] = sent if _UUID.fullmatch(sent) else str(uuid.uuid4())
        self.after(answer)
        return answer

    def check_token(self, values: list[str], path: str) -> None:
        scheme, _, token = (values or [""])[0].partition(" ")
        try:
            parts = token.split(".")
            header, _ = (parse_json(base64url_decode(part)) for part in parts[:2])
            if [base64url_encode(base64url_decode(part)).decode() for part in parts] != parts:
                raise ValueError
            claims = jwt.decode(
                token,
                self.key,
                ["PS256", "RS256"],
                issuer=ISSUER,
                subject=ISSUER,
                audience=self.url + path,
                leeway=self.tolerance,
                options={"require": ["exp", "iss", "sub", "aud", "jti"]},
            )
        except (jwt.InvalidTokenError, UntrustedJSON, ValueError, TypeError, AttributeError, RecursionError):
            raise Refused(self.bad_token) from None
        token_id, aud = claims["jti"], claims["aud"]
        is_good = (
            len(values) == 1
            and scheme.lower() == "bearer"
            and header.get("kid") == self.kid
            and not {"crit", "b64"} & set(header)
            and isinstance(token_id, str)
            and token_id
            and (isinstance(aud, str) or len(aud) == 1)
            and all(isinstance(claims[name], int | float) for name in ("exp", "nbf", "iat") if name in claims)
            and claims["exp"] < datetime.now(UTC).timestamp() + 3600
            and token_id not in self.used
        )
        if not is_good:
            raise Refused(self.bad_token)
        self.used.add(token_id)

    def find(self, operation: Operation, ids: dict[str, str], answer: Answer, http: Any) -> Any:
        """Return the content for an operation that is offered."""
        body = self.read_body(http) if operation.method == "POST" else {}
        customer = ids.get("customerId", "")
        if operation.whose == "search":
            if not isinstance(body.get("email"), str):
                raise Refused(400)
            found = PEOPLE.get(body["email"].lower())
            return {"data": [{"id": found[0], "name": found[1]}] if found else []}
        if customer not in OWNED:
            raise Refused(404)
        if operation.name == "getCustomerDetails":
            (name,) = [name for key, name in PEOPLE.values() if key == customer]
            return {"id": customer, "name": name}
        rows = self.rows[operation.collection]
        if operation.whose in ("customer", "consent"):
            records = rows[customer]
        elif operation.whose == "specific":
            accounts = self.read_accounts(body, customer)
            records = [record for account in accounts for record in rows[account]]
        else:
            account = ids["accountId"]
            if account not in OWNED[customer]:
                raise Refused(404)
            if account in self.blocked:
                raise Refused(*self.blocked[account], X_Sharing_Refused="true")
            records = rows[account]
        if operation.reply.many:
            return self.list_records(operation, records, customer, answer)
        key = find_collection(operation.collection).key or ""
        records = [record for record in records if ids.get(key, record.get(key)) == record.get(key)]
        if not records:
            raise Refused(404)
        if operation.reply.media != JSON:
            answer.headers["Content-Type"] = operation.reply.media
            return b"%PDF-1.4 %%EOF"
        if operation.name == "getEnergyBalance":
            return {"data": {"balance": records[0]["balance"]}}
        return {"data": records[0]} if operation.reply.envelope else records[0]

    def read_body(self, http: Any) -> dict[str, Any]:
        if http.headers.get("Content-Type", "").partition(";")[0] != "application/json":
            raise Refused(415)
        try:
            content = parse_json(http.body)
        except (UntrustedJSON, RecursionError):
            raise Refused(400) from None
        if not isinstance(content, dict):
            raise Refused(400)
        return content

    def read_accounts(self, body: dict[str, Any], customer: str) -> list[str]:
        data = body.get("data")
        accounts = data.get("accountIds") if isinstance(data, dict) else None
        if not isinstance(accounts, list) or not all(isinstance(each, str) for each in accounts):
            raise Refused(400)
        if not accounts and self.refuses_no_accounts:
            raise Refused(400)
        if set(accounts) - set(OWNED[customer]):
            raise Refused(422, f"{URN}Field/Invalid")
        if set(accounts) & set(self.blocked):
            raise Refused(422, "urn:au-cds:error:cds-banking:Authorisation/UnavailableBankingAccount")
        return list(dict.fromkeys(accounts))

    def list_records(self, operation: Operation, records: list[Any], customer: str, answer: Answer) -> Any:
        """Filter, order and cut a list."""
        try:
            parsed, errors = read_parameters(operation, answer.query, datetime.now(UTC))
        except RequestError:
            raise Refused(400) from None
        if errors:
            raise Refused(400)
        accounts = {row["accountId"]: row for rows in self.rows["banking.accounts"].values() for row in rows}
        records = [
            record
            for record in records
            if all(each.admits(record) for each in parsed.filters)
            and all(each.admits(accounts[record["accountId"]]) for each in parsed.account_filters)
        ]
        for order in find_collection(operation.collection).order[:1]:
            records.sort(key=order.key, reverse=True)
        if operation.reply.paging is None:
            content: Any = records
            for name in reversed(operation.reply.envelope):
                content = {name: content}
            return content
        if operation.reply.paging == "offset":
            return self.scroll(operation, records, answer)
        return self.cut_page(operation, records, answer)

    def scroll(self, operation: Operation, records: list[Any], answer: Answer) -> Any:
        limit, offset = answer.query.get("limit", "25"), answer.query.get("offset", "0")
        if not (limit.isdigit() and int(limit) and offset.isdigit()):
            raise Refused(400)
        end = int(offset) + int(limit)
        page = {"totalElements": len(records)} | ({"nextOffset": str(end)} if end < len(records) else {})
        return {"page": page, operation.reply.envelope[0]: records[int(offset) : end]}

    def cut_page(self, operation: Operation, records: list[Any], answer: Answer) -> Any:
        page, size = answer.query.get("page", "1"), answer.query.get("page-size", "25")
        if not (page.isdigit() and int(page) and size.isdigit() and 1 <= int(size) <= 1000):
            raise Refused(400)
        number, count = int(page), -(-len(records) // int(size))
        if number > max(count, 1):
            raise Refused(422)
        kept = {name: value for name, value in answer.query.items() if name in operation.query_names}
        places = {"self": number}
        places |= {"first": 1, "prev": number - 1} if number > 1 else {}
        places |= {"next": number + 1, "last": count} if number < count else {}
        links = {
            name: self.links(answer.path, {**kept, "page": str(place), "page-size": size})
            for name, place in places.items()
        }
        some = records[(number - 1) * int(size) : number * int(size)]
        meta = {"totalRecords": len(records), "totalPages": count}
        return {"data": {operation.reply.envelope[1]: some}, "links": links, "meta": meta}


class _Handler(RequestHandler):
    def initialize(self, holder: Holder) -> None:
        self.holder = holder

    def _answer(self, *_: str) -> None:
        answer = self.holder.answer(self)
        self.clear()
        for name in ("Server", "Date"):
            self.clear_header(name)
        self.set_status(answer.status)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        content = answer.json
        self.finish(content if isinstance(content, bytes) else json.dumps(content))

    get = post = put = delete = patch = options = _answer

    def head(self, *_: str) -> None:
        self.set_status(405)
        self.set_header("Allow", "GET, POST")
        self.set_header("x-fapi-interaction-id", self.request.headers.get("x-fapi-interaction-id", ""))

    def compute_etag(self) -> None:
        """None: it takes time."""

    def write_error(self, status_code: int, **_: Any) -> None:
        sent = self.request.headers.get("x-fapi-interaction-id", "")
        self.set_header("x-fapi-interaction-id", sent if _UUID.fullmatch(sent) else str(uuid.uuid4()))
        self.set_header("Allow", "GET, POST")
        self.finish({"errors": [{"code": "x", "title": "x", "detail": "x"}]})


@asynccontextmanager
async def serving(holder: Holder) -> AsyncIterator[str]:
    """The URL at which a holder answers."""
    sockets = bind("127.0.0.1", 0)
    application = Application([("/.*", _Handler, {"holder": holder})], log_function=print_nothing)
    server = HTTPServer(application, max_header_size=16_384, max_body_size=65_536)
    server.add_sockets(sockets)
    holder.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    try:
        yield holder.url
    finally:
        server.stop()
        await server.close_all_connections()
