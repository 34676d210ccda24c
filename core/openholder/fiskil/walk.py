"""Fiskil's part, played over HTTP: every operation asked for somebody's data, and what must be refused."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

from openholder.fiskil.reading import FIRST_PAGE, OK, Answer, Ids, Leg, next_page, told
from openholder.fiskil.sample import EMAIL
from openholder.fiskil.signer import Signer
from openholder.operations import OPERATIONS, Operation
from openholder.operations.table import JSON, Sector
from openholder.strict_json import parse_json

NOT_ASKED = 0
"""In place of a status: the answers before left nothing to ask for."""
MOST_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who logs in, and the sectors that the person's data is of."""

    email: str
    sectors: tuple[Sector, ...]


PEOPLE = (
    Person(EMAIL, ("banking", "common")),
    Person("asha.sundaravel@example.com", ("energy", "common")),
    Person("dana.holbrook@example.com", ("fdx",)),
)
"""Of these people's data, every operation has something to answer with."""
EVERYBODY: tuple[Sector, ...] = ("auth", "custom")
"""The consent flow, and the first data endpoint of the build guide."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that must not be answered with data, and how it is refused."""

    asked: str
    status: int
    code: str
    """The code of the error, without the prefix of the CDS."""
    operation: str = "getStarterBalance"
    account: str = ""
    """The account that the path names, or that the body names beside the customer's own."""
    query: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """What the token says instead of what it should."""
    times: int = 1
    """How often the same token is sent."""
    sharing: bool = False
    """Whether it counts as a refusal to share, which a header tells."""


ELSEWHERE = "https://elsewhere.example.com/"
ANOTHERS = "acc-3001"
BLOCKED = "acc-2004"

REFUSALS = (
    Refusal("The same token again", 401, "invalid_token", times=2),
    Refusal("A token for another URI", 401, "invalid_token", claims={"aud": ELSEWHERE}),
    Refusal("A token that has expired", 401, "invalid_token", claims={"exp": 1}),
    Refusal("An account that is not the customer's", 404, "account_not_found", account=ANOTHERS),
    Refusal("A blocked account", 404, "account_unavailable", account=BLOCKED, sharing=True),
    Refusal(
        "An account in the body that is not the customer's", 422, "cds-banking:Authorisation/InvalidBankingAccount",
        operation="listBankingBalancesSpecific", account=ANOTHERS,
    ),
    Refusal(
        "A page out of range", 422, "cds-all:Field/InvalidPage",
        operation="listBankingTransactions", query="page=1000",
    ),
)  # fmt: skip
"""What must be refused to the first of `PEOPLE`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing asked, and what came of it."""

    chapter: str
    asked: str
    route: str
    expected: int
    status: int
    answer: str
    wrong: str = ""
    """What is wrong with the answer, whatever its status."""

    @property
    def good(self) -> bool:
        """Whether the answer is as expected."""
        return self.status == self.expected and not self.wrong


class Caller:
    """Calls a resource server as Fiskil does: one new token for each request."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, signer: Signer, issuer: str) -> None:
        self._session = session
        self._base_url = base_url
        self._signer = signer
        self._issuer = issuer

    def token(self, path: str, **claims: Any) -> str:
        """A token for one request to ``path``."""
        return self._signer.token(self._issuer, self._base_url + path, **claims)

    async def call(self, path: str, query: str = "", body: Any = None, token: str | None = None) -> Answer:
        """GET ``path``, or POST ``body`` to it."""
        headers = {"Authorization": f"Bearer {token or self.token(path)}"}
        method = "GET" if body is None else "POST"
        url = self._base_url + path + (query and f"?{query}")
        async with self._session.request(method, url, json=body, headers=headers) as response:
            content = await response.read()
            decoded = parse_json(content) if response.content_type == JSON else content
            return Answer(response.status, response.headers, decoded)


class Visit:
    """Everything asked for one person: the answers give the ids for the requests behind them."""

    def __init__(self, caller: Caller, person: Person) -> None:
        self._caller = caller
        self._person = person
        self._found: dict[str, list[tuple[Ids, dict[str, Any]]]] = defaultdict(list)
        """For each collection the records that were seen, with the ids in the path where they were."""

    async def ask(self, operation: Operation) -> Step:
        """Ask one operation for all that is the person's: for every account, where it is about one."""
        legs = [await self._leg(operation, ids) for ids in self._targets(operation)]
        seen = [(leg.ids, record) for leg in legs for record in leg.records]
        self._found[operation.collection] += seen
        status = next((leg.status for leg in legs if leg.status != OK), OK if legs else NOT_ASKED)
        nothing = "" if seen or operation.reply.media != JSON else "nothing there"
        wrong = next((leg.wrong for leg in legs if leg.wrong), nothing)
        chapter = f"{self._person.email}: {', '.join(self._person.sectors)}"
        return Step(chapter, operation.summary, _route(operation), OK, status, wrong or told(operation, legs), wrong)

    async def refused(self, refusal: Refusal) -> Step:
        """Ask for what must not be given."""
        operation = next(row for row in OPERATIONS if row.name == refusal.operation)
        answer = await self._try(refusal, operation)
        header = answer.headers.get("X-Sharing-Refused")
        as_said = (answer.code, header) == (refusal.code, "true" if refusal.sharing else None)
        wrong = "" if as_said else f"{refusal.code} expected"
        answered = answer.code + (f", X-Sharing-Refused: {header}" if header else "")
        chapter = f"{self._person.email}: what must be refused"
        return Step(chapter, refusal.asked, _route(operation), refusal.status, answer.status, answered, wrong)

    async def _try(self, refusal: Refusal, operation: Operation) -> Answer:
        """The answer to the request, or to the last of several."""
        other = {"accountId": refusal.account} if refusal.account else {}
        own = next(iter(self._targets(operation)), {"customerId": "none", "accountId": "none"})
        path, body = _path(operation, {**own, **other}), self._body(operation, *other.values())
        token = self._caller.token(path, **refusal.claims)
        answers = [await self._caller.call(path, refusal.query, body, token) for _ in range(refusal.times)]
        return answers[-1]

    async def _leg(self, operation: Operation, ids: Ids) -> Leg:
        """All pages of an answer."""
        path, body, query = _path(operation, ids), self._body(operation), FIRST_PAGE[operation.reply.paging]
        answers = [await self._caller.call(path, query, body)]
        while (query := next_page(operation, answers[-1])) and len(answers) < MOST_PAGES:
            answers.append(await self._caller.call(path, query, body))
        return Leg(operation, ids, answers)

    def _targets(self, operation: Operation) -> list[Ids]:
        """The ids to fill the operation's path with, one set for each request."""
        match re.findall(r"{(\w+)}", operation.path):
            case [*_, "accountId"]:
                return [{**own, "accountId": one} for own in self._customer() for one in self._accounts(operation)]
            case [*_, "customerId"]:
                return self._customer()
            case [*_, name]:
                return self._seen(operation, name)
        return [{}]

    def _customer(self) -> list[Ids]:
        """The first customer that the search has found."""
        return [{"customerId": record["id"]} for _, record in self._found["customers"][:1]]

    def _seen(self, operation: Operation, name: str) -> list[Ids]:
        """The first record that a list has shown with an id of that name, and that has more to show."""
        records = self._found[operation.collection]
        known = [(ids, record) for ids, record in records if name in record and record.get("isDetailAvailable", True)]
        return [{**ids, name: record[name]} for ids, record in known[:1]]

    def _accounts(self, operation: Operation) -> list[str]:
        """The sector's accounts, as its list has shown them. For that list: the accounts of all sectors."""
        own = f"{operation.sector}.accounts"
        listing = operation.whose == "chosen" and operation.collection == own
        shown = [] if listing else [record["accountId"] for _, record in self._found[own]]
        return list(dict.fromkeys(shown)) or [record["id"] for _, record in self._found["accounts"]]

    def _body(self, operation: Operation, *more: str) -> dict[str, Any] | None:
        """What is posted, if anything is: the address, or accounts."""
        if operation.whose == "search":
            return {"email": self._person.email}
        return {"data": {"accountIds": [*self._accounts(operation), *more]}} if operation.whose == "chosen" else None


def _path(operation: Operation, ids: Ids) -> str:
    return operation.path.format_map({name: quote(value, safe="") for name, value in ids.items()})


def _route(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


async def walk(caller: Caller, people: Sequence[Person] = PEOPLE) -> AsyncIterator[Step]:
    """Every operation of these people's sectors, then what must be refused to the first of them.

    The answers are told as they are: only for sample data.
    """
    visits = [Visit(caller, person) for person in people]
    for visit, person in zip(visits, people, strict=True):
        for operation in OPERATIONS:
            if operation.sector in (*EVERYBODY, *person.sectors):
                yield await visit.ask(operation)
    for refusal in REFUSALS:
        yield await visits[0].refused(refusal)
