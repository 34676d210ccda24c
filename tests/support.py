"""What the tests share: a server on a free port, a stand-in for Fiskil, and the same data in every kind of source."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from openholder.app import Holder, bind, serving
from openholder.config import Configuration
from openholder.fiskil import sample
from openholder.fiskil.jwks_host import jwks_host
from openholder.fiskil.signer import Signer

ISSUER = "examplebank.cdr.fiskil.com"
UPSTREAM_TOKEN = "upstream-credentials"

Rows = dict[str, list[dict[str, str | None]]]


def sample_rows() -> Rows:
    """The sample data as rows: an empty cell is no value."""
    return {
        name: [{key: value or None for key, value in row.items()} for row in csv.DictReader(io.StringIO(text))]
        for name, text in sample.collections().items()
    }


@dataclass
class Answer:
    status: int
    headers: Any
    text: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The code of the one error in the body."""
        (error,) = self.json["errors"]
        return str(error["code"])


@dataclass
class World:
    """Fiskil's side and ours: start a server, then call it."""

    folder: Path
    signer: Signer
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    holder: Holder | None = None
    url: str = ""
    jwks: bytes = b""

    async def start(self, sources: str, *, settings: str = "", tables: str = "") -> Holder:
        """Serve ``sources`` (TOML tables), with further top-level ``settings`` and ``tables``."""
        self.jwks = self.jwks or self.signer.jwks()
        keys, public = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
        jwks_url = f"http://127.0.0.1:{keys[0].getsockname()[1]}/jwks.json"
        self.url = f"http://127.0.0.1:{public[0].getsockname()[1]}"
        await self.stack.enter_async_context(jwks_host(jwks_url, lambda: self.jwks, keys))
        path = self.folder / "openholder.toml"
        path.write_text(
            f'public_url = "{self.url}"\n{settings}\n[fiskil]\nissuer = "{ISSUER}"\njwks_url = "{jwks_url}"\n'
            f'[listen]\nadmin_port = 0\n[replay]\npath = "replay.db"\n{tables}\n{sources}',
            encoding="utf-8",
        )
        self.holder = await self.stack.enter_async_context(serving(Configuration.load(path), public))
        self.session = await self.stack.enter_async_context(aiohttp.ClientSession())
        return self.holder

    async def stop(self) -> None:
        await self.stack.aclose()

    def token(self, path: str, **claims: Any) -> str:
        return self.signer.token(ISSUER, self.url + path.partition("?")[0], **claims)

    async def call(
        self, path: str, *, method: str = "", body: Any = None, token: str | None = None, headers: Any = None
    ) -> Answer:
        """GET, or POST where there is a body, with a token of its own unless ``token`` says otherwise ("" for none)."""
        sent = dict(headers or {})
        token = self.token(path) if token is None else token
        if token:
            sent.setdefault("Authorization", f"Bearer {token}")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        url = aiohttp.client.URL(self.url + path, encoded=True)
        method = method or ("GET" if body is None else "POST")
        async with self.session.request(method, url, data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())


# -- the same rows, in each kind of source ------------------------------------------------------------------------


def write_sqlite(path: Path, rows: Rows) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection, connection:
        for name, records in rows.items():
            columns = list(dict.fromkeys(key for record in records for key in record))
            definitions = ", ".join(f'"{column}" TEXT' for column in columns)
            connection.execute(f'CREATE TABLE "{name}" ({definitions})')
            marks = ", ".join("?" * len(columns))
            connection.executemany(
                f'INSERT INTO "{name}" VALUES ({marks})',
                [[record.get(column) for column in columns] for record in records],
            )


def write_csv(folder: Path, rows: Rows) -> None:
    folder.mkdir(exist_ok=True)
    for name, records in rows.items():
        columns = list(dict.fromkeys(key for record in records for key in record))
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(records)


NUMBERS = {"available", "current"}
TRUTHS = {"true": True, "false": False}


def as_json(row: dict[str, str | None]) -> dict[str, Any]:
    """A row as an API would have it: objects for dotted columns, numbers and truth values for what they are."""
    record: dict[str, Any] = {}
    for column, value in row.items():
        if value is None:
            continue
        *path, last = column.split(".")
        place = record
        for name in path:
            place = place.setdefault(name, {})
        place[last] = msgspec.Raw(value.encode()) if column in NUMBERS else TRUTHS.get(value, value)
    return record


class Upstream:
    """A bank's own API, over HTTP: what a REST source asks. Counts and checks what it is sent."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.requests: list[Any] = []
        self.break_with: Any = None
        """When set, a function that answers in place of the data: takes the RequestHandler."""
        self.server = HTTPServer(
            Application([(r"/api/(.*)", _UpstreamHandler, {"upstream": self})], log_function=print_nothing)
        )
        self.sockets = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.sockets[0].getsockname()[1]}/api"

    async def __aenter__(self) -> Upstream:
        self.server.add_sockets(self.sockets)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.stop()
        await self.server.close_all_connections()

    def find(self, path: str, query: dict[str, str]) -> Any:
        match path.split("/"):
            case ["customers"]:
                return self.where("customers", email=query["email"])
            case ["logins"]:
                return self.where("logins", email=query["email"])
            case ["customers", customer]:
                return next(iter(self.where("customers", id=customer)), None)
            case ["customers", customer, "accounts"]:
                return self.where("accounts", customerId=customer)
            case ["accounts", account, "balance"]:
                found = next(iter(self.where("balances", accountId=account)), None)
                return found and {name: value for name, value in found.items() if name != "accountId"}
        return None

    def where(self, collection: str, **wanted: str) -> list[Any]:
        ((member, value),) = wanted.items()
        fold = str.lower if member == "email" else str
        return [as_json(row) for row in self.rows[collection] if fold(row[member] or "") == fold(value)]


class _UpstreamHandler(RequestHandler):
    def initialize(self, upstream: Upstream) -> None:
        self.upstream = upstream

    async def get(self, path: str) -> None:
        self.upstream.requests.append(self.request)
        if self.upstream.break_with:
            result = self.upstream.break_with(self)
            if result is not None:
                await result
            return
        if self.request.headers.get("Authorization") != f"Bearer {UPSTREAM_TOKEN}":
            self.set_status(401)
            return
        found = self.upstream.find(path, {name: self.get_query_argument(name) for name in self.request.query_arguments})
        if found is None:
            self.set_status(404)
            return
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode({"data": found}))


def print_nothing(_: Any) -> None:
    """Tornado's log function for servers of tests."""


SQLITE = '[sources.bank]\nkind = "sqlite"\npath = "bank.db"\n'
CSV = '[sources.bank]\nkind = "csv"\npath = "bank"\nreload = 0.05\n'


def rest(url: str, collections: Iterable[str] = ("customers", "accounts", "balances", "logins")) -> str:
    """TOML for a REST source named ``api`` that serves the given collections from ``url``."""
    templates = {
        "customers": '["/customers/{customerId}", "/customers?email={email}"]',
        "accounts": '"/customers/{customerId}/accounts"',
        "balances": '"/accounts/{accountId}/balance"',
        "logins": '"/logins?email={email}"',
    }
    lines = "\n".join(f"{name} = {templates[name]}" for name in collections)
    head = f'[sources.api]\nkind = "rest"\nbase_url = "{url}"\ntoken = {{ env = "UPSTREAM_TOKEN" }}\nrecords = "data"\n'
    return f"{head}[sources.api.collections]\n{lines}\n"


SOURCES = ("sqlite", "csv", "rest", "mixed")


async def start_with(world: World, kind: str, rows: Rows, **more: str) -> Upstream | None:
    """Start a server that serves ``rows`` from the given kind of source; gives the upstream where there is one."""
    if kind in {"sqlite", "mixed"}:
        write_sqlite(world.folder / "bank.db", rows)
    if kind == "csv":
        write_csv(world.folder / "bank", rows)
    upstream = None
    if kind in {"rest", "mixed"}:
        upstream = await world.stack.enter_async_context(Upstream(rows))
    sources = {
        "sqlite": lambda: SQLITE,
        "csv": lambda: CSV,
        "rest": lambda: rest(upstream.url),
        "mixed": lambda: SQLITE + rest(upstream.url, ["balances"]) + '[serve]\n"*" = "bank"\nbalances = "api"\n',
    }[kind]()
    await world.start(sources, **more)
    return upstream
