"""Fiskil's part of a consent, played over HTTP: search, details, accounts, data, and what must be refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from openholder.fiskil.signer import Signer

BALANCE = "GET /customer/{customerId}/accounts/{accountId}/balances"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing asked, and what came of it."""

    asked: str
    route: str
    expected: int
    status: int
    answer: str

    @property
    def good(self) -> bool:
        """Whether the status is the expected one."""
        return self.status == self.expected


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

    async def call(self, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any, dict[str, str]]:
        """GET ``path``, or POST ``body`` to it. Gives status, decoded answer and headers."""
        headers = {"Authorization": f"Bearer {token or self.token(path)}"}
        method = "GET" if body is None else "POST"
        async with self._session.request(method, self._base_url + path, json=body, headers=headers) as response:
            return response.status, json.loads(await response.read(), parse_float=str), dict(response.headers)


async def walk(caller: Caller, email: str) -> AsyncIterator[Step]:
    """The consent flow of the person behind ``email``, then four requests that must not be answered with data.

    The answers are told as they are: only for sample data.
    """
    status, found, _ = await caller.call("/auth/v1/customer/search", {"email": email})
    customers = found.get("data", [])
    names = "; ".join(customer["name"] for customer in customers)
    yield Step("customers behind an e-mail address", "POST /auth/v1/customer/search", 200, status, names)
    if not customers:
        return
    customer = quote(customers[0]["id"])
    status, details, _ = await caller.call(f"/auth/v1/customer/{customer}")
    told = f"{details.get('name')}, {details.get('phoneNumber')}"
    yield Step("who the customer is", "GET /auth/v1/customer/{customerId}", 200, status, told)
    status, offered, _ = await caller.call(f"/auth/v1/customer/{customer}/accounts")
    accounts = [account["id"] for account in offered.get("accounts", [])]
    asked = "accounts to choose from"
    yield Step(asked, "GET /auth/v1/customer/{customerId}/accounts", 200, status, ", ".join(accounts))
    for account in accounts:
        status, balance, _ = await caller.call(f"/customer/{customer}/accounts/{quote(account)}/balances")
        told = f"{account}: {balance.get('available')} {balance.get('currency')} available"
        yield Step("balance of a chosen account", BALANCE, 200, status, told)
    async for step in _refusals(caller, customer, quote(accounts[0]) if accounts else "none"):
        yield step


async def _refusals(caller: Caller, customer: str, account: str) -> AsyncIterator[Step]:
    path = f"/customer/{customer}/accounts/{account}/balances"
    used = caller.token(path)
    await caller.call(path, token=used)
    for asked, expected, target, token in (
        ("the same token again", 401, path, used),
        ("a token for another URI", 401, path, caller.token("/elsewhere")),
        ("a token that has expired", 401, path, caller.token(path, exp=1)),
        ("an account that is not the customer's", 404, f"/customer/{customer}/accounts/nobodys/balances", None),
    ):
        status, error, _ = await caller.call(target, token=token)
        yield Step(asked, BALANCE, expected, status, error["errors"][0]["code"] if "errors" in error else "data")
